/**
 * How long one link may be silent until its other end is doubted: an accrual detector.
 *
 * Theory of operation
 *
 * The other end says with each heartbeat after how long the next sign of life is due at the latest.
 * What comes later than that is lateness, and lateness is what a link is judged by: its mean and its
 * deviation over the last signs of life say how probable it is that one is still on its way. The doubt
 * phi is minus the logarithm, base 10, of that probability. A link is silent when phi reaches 8, which
 * happens at mean + 5.612 deviations of a normal distribution. So the moment is known in advance, and
 * no logarithm is ever computed.
 *
 * What follows from the samples is bounded on both sides. The floor, `silenceMs`, is what an even link
 * is granted: without it a link that was never late would be doubted after the first lost segment. The
 * cap, twice that, keeps the time to a suspicion predictable whatever a link was like before.
 *
 * Any bytes are a sign of life, but those that follow soon upon others say nothing of when the next
 * are due. They would only make the samples look better than the heartbeats are, so they are not
 * sampled.
 *
 * Deliberately absent: this peer's own lateness, which is taken from the silence before anything is
 * judged by it (`forgive`); its local health and its patience, which multiply the limit; and what
 * follows from silence (`surveillance.ts`).
 *
 * Source: Hayashibara et al., "The phi accrual failure detector", SRDS 2004, sections 4 and 5; the
 * threshold is that of Akka and Cassandra. Rules: SPEC.md, F2.
 */
import type { Timings } from "./timings.ts";
import type { Instant } from "./units.ts";

/** How many of the last signs of life count. About a quarter of a minute of heartbeats. */
const SAMPLES = 64;

/** Deviations above the mean at which phi is 8: one false alarm in 10^8 heartbeats. */
const DEVIATIONS = 5.612;

export class FailureDetector {
  readonly #timings: Timings;
  readonly #lateMs = new Float32Array(SAMPLES);
  #count = 0;
  #heardAt: Instant;
  #everyMs: number;
  /** What is granted beyond the interval; undefined after a new sample. */
  #graceMs: number | undefined;

  constructor(timings: Timings, now: Instant) {
    this.#timings = timings;
    this.#heardAt = now;
    this.#everyMs = timings.heartbeatMs;
  }

  /** When any bytes came, this peer's own lateness taken out. */
  get heardAt(): Instant {
    return this.#heardAt;
  }

  /** After how much silence the other end is doubted, in ms. */
  get limitMs(): number {
    this.#graceMs ??= this.#grace();
    return this.#everyMs + this.#graceMs;
  }

  /** Records a sign of life. */
  heard(now: Instant): void {
    const gapMs = now - this.#heardAt;
    this.#heardAt = now;
    if (2 * gapMs < this.#everyMs) return;
    this.#lateMs[this.#count % SAMPLES] = Math.max(0, gapMs - this.#everyMs);
    this.#count += 1;
    this.#graceMs = undefined;
  }

  /** The other end promises a sign of life at least every so many ms. Nobody gets off for long. */
  expect(everyMs: number): void {
    this.#everyMs = Math.min(Math.max(1, everyMs), 2 * this.#timings.keepAliveMs);
  }

  /** [F2] Nothing could be heard for so long, through no fault of the other end. */
  forgive(lateMs: number, now: Instant): void {
    this.#heardAt = Math.min(now, this.#heardAt + lateMs); // Nobody was heard in the future.
  }

  #grace(): number {
    const { silenceMs, heartbeatMs } = this.#timings;
    const floorMs = silenceMs - heartbeatMs;
    const count = Math.min(this.#count, SAMPLES);
    if (count === 0) return floorMs;
    let sum = 0;
    let squares = 0;
    for (let index = 0; index < count; index += 1) sum += this.#lateMs[index] as number;
    const mean = sum / count;
    for (let index = 0; index < count; index += 1) {
      squares += ((this.#lateMs[index] as number) - mean) ** 2;
    }
    const variance = squares / count;
    const likelyMs = mean + DEVIATIONS * Math.sqrt(variance);
    return Math.min(Math.max(floorMs, likelyMs), floorMs + silenceMs);
  }
}
