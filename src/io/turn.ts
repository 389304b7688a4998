/**
 * When what a peer has to say leaves: at the end of the turn of the event loop, or a while later [G1].
 *
 * `setImmediate` comes right after the sockets were read, so nothing waits for a timer, unless `flushMs`
 * asks for one.
 */
import type { PlanFlush } from "../wire/outbox.ts";

/** Flushes when the turn is over, or `flushMs` after the first message when that is above 0. */
export function flushAfter(flushMs: number): PlanFlush {
  return (flush) => {
    if (flushMs > 0) {
      const timer = setTimeout(flush, flushMs);
      return () => clearTimeout(timer);
    }
    const immediate = setImmediate(flush);
    return () => clearImmediate(immediate);
  };
}

/** Returns a function that has `run` called once, when the turn is over, however often it is called until then. */
export function oncePerTurn(run: () => void): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      run();
    });
  };
}
