/**
 * Counts failed attempts by whoever makes them, and says when somebody has had enough of them.
 *
 * A failure costs a place in a bucket that empties with time. Whoever has filled theirs is refused before
 * anything is computed for them; success costs nothing and is never refused by this. The number of
 * buckets is limited: the one that was used longest ago makes place for a new one.
 *
 * Deliberately absent: a bucket for all, which would let one guesser lock everybody out.
 *
 * Rules: SPEC.md, S4.
 */

/** Failures that somebody may make in a row. */
const FAILURES_MAX = 10;

/** How long it takes until one more is forgiven, in ms. */
const FORGIVE_MS = 1000;

/** Somebodies that are remembered at once. */
const BUCKETS_MAX = 4096;

interface Bucket {
  failures: number;
  at: number;
}

export class FailureLimiter {
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /** `now` is monotonic, in ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether `who` has failed too often of late. */
  isExhausted(who: string): boolean {
    return this.#leftOf(who) >= FAILURES_MAX;
  }

  /** Records a failure of `who`. */
  failed(who: string): void {
    const failures = Math.min(this.#leftOf(who) + 1, FAILURES_MAX);
    this.#buckets.delete(who);
    this.#buckets.set(who, { failures, at: this.#now() });
    if (this.#buckets.size > BUCKETS_MAX) {
      const [oldest] = this.#buckets.keys();
      this.#buckets.delete(oldest as string);
    }
  }

  /** How many failures of `who` are not forgiven yet. */
  #leftOf(who: string): number {
    const bucket = this.#buckets.get(who);
    if (bucket === undefined) return 0;
    const forgiven = Math.floor((this.#now() - bucket.at) / FORGIVE_MS);
    return Math.max(0, bucket.failures - forgiven);
  }
}
