/**
 * When to dial which address: for ever, with growing, jittered waits.
 *
 * A peer that has not been heard for a while is most likely to come back soon or not for long, so an
 * address is dialled often for the first minutes and rarely later, but never given up [G8]: after a cut
 * of a week both sides still find each other without a person. Waits grow by doubling and are jittered
 * downwards, so that peers which lost the same link do not dial in step.
 *
 * This module knows addresses and times; which of them are wanted is decided in `machine.ts`.
 */
import type { Random } from "./random.ts";
import type { Timings } from "./timings.ts";
import type { Address, Instant } from "./units.ts";

/** A link that stood this long was a success, in ms: the next dial begins from the shortest wait. */
const LASTING_MS = 5000;

interface Target {
  failures: number;
  nextAt: Instant;
  /** When something at this address was last linked; the start for a new one. */
  heardAt: Instant;
  /** Since when a link to this address stands, or has stood last. */
  openedAt: Instant;
  dialling: boolean;
  wanted: boolean;
}

export class Dialler {
  readonly #timings: Timings;
  readonly #random: Random;
  readonly #targets = new Map<Address, Target>();

  constructor(timings: Timings, random: Random) {
    this.#timings = timings;
    this.#random = random;
  }

  /**
   * Says which addresses are wanted from now on. A new one is dialled after `delayMs`; one that was
   * wanted before goes on where it was. One whose link did not last is as if the dial had failed, or
   * two peers that cannot bear each other would link and part as fast as they can.
   */
  want(addresses: ReadonlyMap<Address, { readonly delayMs: number }>, now: Instant): void {
    for (const [address, target] of this.#targets) {
      const isWanted = addresses.has(address);
      const lasted = now - target.openedAt >= LASTING_MS;
      if (!target.dialling && lasted && !(target.wanted && isWanted)) this.#targets.delete(address);
      else if (isWanted && !target.wanted && !target.dialling) this.#wait(target, now);
      target.wanted = isWanted;
    }
    for (const [address, { delayMs }] of addresses) {
      if (this.#targets.has(address)) continue;
      const target = { failures: 0, heardAt: now, dialling: false, wanted: true };
      const openedAt = Number.NEGATIVE_INFINITY;
      this.#targets.set(address, { ...target, openedAt, nextAt: now + delayMs });
    }
  }

  /** The addresses to dial now. Each counts as being dialled until `failed` or `opened`. */
  due(now: Instant): Address[] {
    const due: Address[] = [];
    for (const [address, target] of this.#targets) {
      if (target.dialling || !target.wanted || target.nextAt > now) continue;
      target.dialling = true;
      due.push(address);
    }
    return due;
  }

  /** Records that a dial came to nothing; returns how many have in a row. */
  failed(address: Address, now: Instant): number {
    const target = this.#targets.get(address);
    if (target === undefined) return 0;
    target.dialling = false;
    this.#wait(target, now);
    return target.failures;
  }

  /** Records that a link stands. */
  opened(address: Address, now: Instant): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.dialling = false;
    target.wanted = false;
    target.heardAt = now;
    target.openedAt = now;
  }

  #wait(target: Target, now: Instant): void {
    const { redialMinMs, redialMaxMs, redialPatienceMs, redialIdleMs } = this.#timings;
    const isFresh = now - target.heardAt < redialPatienceMs;
    const growing = redialMinMs * 2 ** Math.min(target.failures, 30);
    const waitMs = isFresh ? Math.min(growing, redialMaxMs) : redialIdleMs;
    target.failures += 1;
    target.nextAt = now + waitMs * (0.5 + 0.5 * this.#random.unit());
  }

  /** [G8] Dials everything at once: something came back, so the rest may have, too. */
  hurry(now: Instant): void {
    for (const target of this.#targets.values()) {
      target.failures = 0;
      target.nextAt = Math.min(target.nextAt, now + this.#timings.redialMinMs);
    }
  }

  /** When the next dial is due; Infinity when none is. */
  deadline(): Instant {
    let deadline = Infinity;
    for (const target of this.#targets.values()) {
      if (target.wanted && !target.dialling) deadline = Math.min(deadline, target.nextAt);
    }
    return deadline;
  }
}
