/**
 * Hybrid clock: timestamps that follow the wall clock and never contradict causality.
 *
 * Last-writer-wins needs "last" to mean what people mean by it, so a timestamp starts from the wall
 * clock. But wall clocks differ and step back. So a peer also remembers the highest timestamp that it
 * issued or saw, and issues only higher ones: what it writes supersedes all that it has seen, however
 * wrong anybody's wall clock is.
 *
 * Theory of operation
 *
 * A timestamp is one safe integer: 41 bits of ms since 2024 above a 12-bit counter. When the
 * wall clock has not moved on, the counter grows, and past 4095 it carries into the ms: the clock then
 * runs ahead of the wall for a while, which harms nobody. `<` compares two timestamps. 41 bits end
 * in September 2093; from then on `next` throws rather than repeats itself.
 *
 * One timestamp from far in the future would pin its key for ever and drag every clock that sees it
 * along, so `observe` refuses what is more than `maxDriftMs` ahead of the wall clock.
 *
 * The clock reads no clock: the wall time is an argument. Whether that one can be trusted is the
 * matter of `wall-clock.ts` and, among peers, of the machine.
 *
 * Source: Kulkarni et al., "Logical Physical Clocks", OPODIS 2014. The counter is part of the
 * number, as in CockroachDB's and MongoDB's clocks, and not a second field to compare.
 * Rules: SPEC.md, section C.
 */
import type { Timestamp, WallMs } from "./units.ts";

/** Where timestamps begin: 2024-01-01T00:00:00Z, in Unix ms. */
export const EPOCH_MS = 1_704_067_200_000;

/** How much a timestamp grows in a millisecond: the 12 bits of the counter. */
export const TICKS_PER_MS = 4096;

/** Drift that is accepted without being told otherwise, in ms: far above what NTP leaves. */
const MAX_DRIFT_MS_DEFAULT = 5000;

/** How far above the wall clock the durable bound is put, in ms: one durable write per that time. */
const BOUND_AHEAD_MS = 500;

export interface HybridClockOptions {
  /** How far ahead of the wall clock a remote timestamp may be, in ms, 0 or more. Default 5000. */
  readonly maxDriftMs?: number;
  /** Everything issued is above this: the durable bound after a restart [C6]. Default 0. */
  readonly last?: Timestamp;
}

export class HybridClock {
  readonly #maxDriftMs: number;
  #last: Timestamp;

  constructor(options: HybridClockOptions = {}) {
    const { maxDriftMs = MAX_DRIFT_MS_DEFAULT, last = 0 } = options;
    if (!(maxDriftMs >= 0 && maxDriftMs < Number.POSITIVE_INFINITY)) {
      throw new RangeError("Cannot make a clock: maxDriftMs is not a finite number from 0");
    }
    if (!isTimestamp(last)) {
      throw new RangeError("Cannot make a clock: last is not a safe integer from 0");
    }
    this.#maxDriftMs = maxDriftMs;
    this.#last = last;
  }

  /** The highest timestamp issued or observed. */
  get last(): Timestamp {
    return this.#last;
  }

  /** Issues a timestamp above all that were issued or observed before. */
  next(wallMs: WallMs): Timestamp {
    const next = Math.max(packTimestamp(wallMs), this.#last + 1); // [C2]
    if (!isTimestamp(next)) {
      throw new RangeError("Cannot issue a timestamp: the clock has run past the year 2093");
    }
    this.#last = next;
    return next;
  }

  /**
   * Takes note of a timestamp from elsewhere, so that `next` is above it. False when it is refused
   * and nothing was changed: it is no timestamp, or too far ahead of `wallMs`. Never for being old.
   */
  observe(remote: Timestamp, wallMs: WallMs): boolean {
    if (!isTimestamp(remote)) return false;
    // [C4] Put so that a wall clock that is no number refuses everything.
    if (!(timestampMs(remote) - wallMs <= this.#maxDriftMs)) return false;
    if (remote > this.#last) this.#last = remote; // [C3]
    return true;
  }

  /**
   * [C6] The bound to make durable before timestamps up to it are used. A restart with it as `last`
   * issues nothing that was issued before, although not every single timestamp was written down.
   */
  boundAhead(wallMs: WallMs): Timestamp {
    return Math.max(packTimestamp(wallMs + BOUND_AHEAD_MS), this.#last + TICKS_PER_MS);
  }
}

/** Whether `value` is a timestamp, whatever its type: a safe integer from 0 [C1]. */
function isTimestamp(value: unknown): value is Timestamp {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The lowest timestamp of a moment [C1]. 0 for those before 2024, which only a broken clock says. */
export function packTimestamp(wallMs: WallMs): Timestamp {
  if (!Number.isFinite(wallMs)) {
    throw new RangeError("Cannot make a timestamp: the wall clock is not a finite number");
  }
  return Math.max(0, Math.floor(wallMs) - EPOCH_MS) * TICKS_PER_MS;
}

/** The milliseconds of a timestamp, in Unix ms. */
export function timestampMs(timestamp: Timestamp): WallMs {
  return Math.floor(timestamp / TICKS_PER_MS) + EPOCH_MS;
}

/** The counter of a timestamp: 0 to 4095. */
export function timestampCounter(timestamp: Timestamp): number {
  return timestamp % TICKS_PER_MS;
}
