/**
 * How often a peer may write its own row to defend it.
 *
 * Whoever is accused, or finds that another wrote its row, writes it anew at once. Two lives of one name
 * that cannot meet, or somebody who forges verdicts, would make it do so for ever and as fast as frames
 * travel, and each row goes to every member. So a few rows are free, and then there is one a second:
 * enough to answer everything that was said meanwhile, since one row refutes it all.
 *
 * Source: the token bucket. Rules: SPEC.md, F1 and S4.
 */
import { ROW_WRITE_INTERVAL_MS, ROW_WRITES_BURST_MAX } from "./limits.ts";
import type { Instant } from "./units.ts";

export class RowWrites {
  #left = ROW_WRITES_BURST_MAX;
  #filledAt: Instant;

  constructor(now: Instant) {
    this.#filledAt = now;
  }

  /** Whether a row may be written now, which takes one. If not, ask again later. */
  take(now: Instant): boolean {
    const more = Math.floor((now - this.#filledAt) / ROW_WRITE_INTERVAL_MS);
    this.#left = Math.min(ROW_WRITES_BURST_MAX, this.#left + more);
    this.#filledAt += more * ROW_WRITE_INTERVAL_MS;
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}
