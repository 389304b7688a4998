/**
 * The clocks of this machine, as the runtime wants them.
 *
 * Nothing else in the program reads time or sets the machine's timer: tests hand in a clock of their
 * own. See ARCHITECTURE.md, data path.
 */
import { performance } from "node:perf_hooks";
import type { Instant, WallMs } from "../core/units.ts";

/** Where the runtime takes time from. */
export interface Clock {
  /** Monotonic time: never runs backwards, whatever happens to the wall clock. */
  now(): Instant;
  wallMs(): WallMs;
  /** Calls `wake` once, at `at` or a little later. Returns a function that cancels it. */
  alarm(at: Instant, wake: () => void): () => void;
}

/** The longest wait that `setTimeout` takes, in ms; a longer one would fire at once. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** The real clocks. */
export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),

  wallMs: () => Date.now(),

  /** `at` may be beyond the longest timeout: `wake` then comes early, and has to ask again. */
  alarm(at, wake) {
    const delayMs = Math.min(Math.max(0, Math.ceil(at - performance.now())), TIMEOUT_MS_MAX);
    let immediate: NodeJS.Immediate | undefined;
    const timeout = setTimeout(() => {
      // After a blocked loop timers fire before sockets are read: whoever has spoken meanwhile would
      // be accused of silence. One turn later everybody has been heard.
      immediate = setImmediate(wake);
    }, delayMs);
    return () => {
      clearTimeout(timeout);
      clearImmediate(immediate);
    };
  },
};
