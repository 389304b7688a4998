/**
 * How well this peer itself is doing: one that is slow must not take others for dead.
 *
 * A peer cannot tell whether others are silent or it is deaf. What it can tell is that its own pulse
 * came late, that others hear somebody whom it does not, and that it was itself suspected. Each of these
 * makes it more patient with everybody, and calm makes it less so again.
 *
 * Source: Dadgar et al., "Lifeguard: Local Health Awareness for More Accurate Failure Detection",
 * 2018, section IV.A. Rules: SPEC.md, F2.
 */
import type { Instant } from "./units.ts";

/** Patience is multiplied by 4 at most, so that somebody slow still notices the dead. */
const SCORE_MAX = 3;

export class LocalHealth {
  readonly #calmMs: number;
  #score = 0;
  #troubledAt: Instant = Number.NEGATIVE_INFINITY;

  /** One point of the score is forgotten after `calmMs` without trouble. */
  constructor(calmMs: number) {
    this.#calmMs = calmMs;
  }

  /** Records a sign that this peer is slow or deaf. */
  worsen(now: Instant): void {
    this.#score = Math.min(SCORE_MAX, this.#scoreAt(now) + 1);
    this.#troubledAt = now;
  }

  /** What every limit on the silence of others is multiplied by: 1 when all is well. */
  multiplier(now: Instant): number {
    return 1 + this.#scoreAt(now);
  }

  #scoreAt(now: Instant): number {
    if (this.#score === 0) return 0;
    return Math.max(0, this.#score - Math.floor((now - this.#troubledAt) / this.#calmMs));
  }
}
