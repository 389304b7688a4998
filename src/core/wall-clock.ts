/**
 * The wall clock, doubted: a step that monotonic time knows nothing of is held back.
 *
 * A wall clock is set by people, by NTP and by virtual machines that wake up. What it gains or loses
 * in small amounts is its business. When it suddenly differs by more than a second from what has
 * passed on the monotonic clock, either it was wrong before or it is wrong now, and this peer alone
 * cannot tell. So the old offset stays in use until half of the links agree with the step; a peer
 * without links has nobody to contradict it and takes the step at once.
 *
 * A step that is taken back was none: as soon as the raw clock is within a second of the one in
 * use, it is followed again. While a step is held back the clock in use runs on monotonic time.
 *
 * This module asks nobody: the caller reads both clocks, collects the links' differences, asks
 * `agrees`, and calls `adopt`.
 *
 * Rules: SPEC.md, section C (C7).
 */
import type { Instant, WallMs } from "./units.ts";

/** The largest change of the wall clock against monotonic time that is followed unasked, in ms. */
export const WALL_STEP_MS_MAX = 1000;

export class WallClock {
  /** Wall clock minus monotonic clock, as last read. */
  #rawOffsetMs: number;
  /** The one in use. Differs from the raw one only while a step is held back. */
  #usedOffsetMs: number;

  /** Trusts the first reading: there is nothing yet to compare it with. */
  constructor(wallMs: WallMs, now: Instant) {
    this.#rawOffsetMs = wallMs - now;
    this.#usedOffsetMs = this.#rawOffsetMs;
  }

  /** The wall clock to use at `now`, when the raw one says `wallMs`. */
  read(wallMs: WallMs, now: Instant): WallMs {
    this.#rawOffsetMs = wallMs - now;
    if (Math.abs(this.stepMs()) > WALL_STEP_MS_MAX) return now + this.#usedOffsetMs; // [C7]
    this.adopt();
    return wallMs;
  }

  /** The step that is held back: the raw clock minus the one in use, in ms. 0 when there is none. */
  stepMs(): number {
    return this.#rawOffsetMs - this.#usedOffsetMs;
  }

  /** Takes the step: from now on the raw clock is used. */
  adopt(): void {
    this.#usedOffsetMs = this.#rawOffsetMs;
  }
}

/**
 * Whether a step should be taken [C7]. `linkDifferencesMs` has, for each link, the remote wall clock
 * minus the one in use here. A link agrees when it is nearer to the stepped clock; half of them
 * suffice, and nobody is half of nobody.
 */
export function agrees(linkDifferencesMs: readonly number[], stepMs: number): boolean {
  const isNearer = (difference: number) => Math.abs(difference - stepMs) < Math.abs(difference);
  return linkDifferencesMs.filter(isNearer).length * 2 >= linkDifferencesMs.length;
}
