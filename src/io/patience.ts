/**
 * A time-out that does not count the time in which this process could not listen.
 *
 * After a blocked loop timers fire before sockets are read. What should have come in 500 ms may lie there
 * since 10, and giving up on it only makes more work for a process that has too much. So the time is
 * waited for in parts, one after another: a loop that was blocked costs one part, however long it was.
 */

/** Turns of the loop that a handshake may need at its slowest, with some to spare. */
const PARTS = 10;

/** Calls `run` after `ms` in which the loop turned. Returns what cancels it. */
export function afterListening(ms: number, run: () => void): () => void {
  let left = PARTS;
  let timeout = setTimeout(next, ms / PARTS);
  let immediate: NodeJS.Immediate | undefined;
  function next(): void {
    left -= 1;
    if (left === 0) immediate = setImmediate(run);
    else timeout = setTimeout(next, ms / PARTS);
  }
  return () => {
    clearTimeout(timeout);
    clearImmediate(immediate);
  };
}
