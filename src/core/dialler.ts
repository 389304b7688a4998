/**
 * When to dial which address: for ever, with growing, jittered waits.
 *
 * A peer that has not been heard for a while is most likely to come back soon or not for long, so an
 * address is dialled often for the first minutes and rarely later, but never given up [G8]: after a cut
 * of a week both sides still find each other without a person. Waits grow by doubling and are jittered
 * downwards, so that peers which lost the same link do not dial in step.
 *
 * However many addresses are wanted, dials that are under way at once are limited, and so are those
 * begun in a second: whoever can forge members must not make a peer do nothing but dial. Those that
 * have waited longest come first.
 *
 * This module knows addresses and times; which of them are wanted is decided in `connections.ts`.
 */
import { DIALS_BURST_MAX, DIALS_MAX, DIALS_PER_SECOND_MAX } from "./limits.ts";
import type { Random } from "./random.ts";
import type { Timings } from "./timings.ts";
import type { Address, Instant } from "./units.ts";

/** A link that stood this long was a success, in ms: the next dial begins from the shortest wait. */
const LASTING_MS = 5000;

/** Sums of fractions are not exact: an allowance that is due at a moment is there at that moment. */
const ROUNDING = 1e-6;

/** An address that is wanted. */
export interface Wish {
  /** How long others have the chance to dial first, in ms. */
  readonly delayMs: number;
}

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
  /** Dials under way. */
  #dialCount = 0;
  /** How many dials may begin at once, as of `#allowedAt`. */
  #allowance = DIALS_BURST_MAX;
  #allowedAt: Instant = 0;
  /** When the next address is due: undefined after a change. Asked for in every step. */
  #nextAt: Instant | undefined;

  constructor(timings: Timings, random: Random) {
    this.#timings = timings;
    this.#random = random;
  }

  /**
   * Says which addresses are wanted from now on. A new one is dialled after `delayMs`; one that was
   * wanted before goes on where it was. One whose link did not last is as if the dial had failed, or
   * two peers that cannot bear each other would link and part as fast as they can.
   */
  want(addresses: ReadonlyMap<Address, Wish>, now: Instant): void {
    this.#nextAt = undefined;
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
    if (now < this.#dueAt()) return [];
    const all: [Address, Target][] = [];
    for (const each of this.#targets) {
      const [, { dialling, wanted, nextAt }] = each;
      if (wanted && !dialling && nextAt <= now) all.push(each);
    }
    this.#nextAt = undefined;
    this.#allowance = this.#allowanceAt(now);
    this.#allowedAt = now;
    const due = all
      .sort(([, a], [, b]) => a.nextAt - b.nextAt)
      .slice(0, Math.min(Math.floor(this.#allowance), DIALS_MAX - this.#dialCount)); // [G8]
    for (const [, target] of due) target.dialling = true;
    this.#dialCount += due.length;
    this.#allowance -= due.length;
    return due.map(([address]) => address);
  }

  /** How many dials may begin at a stretch, DIALS_BURST_MAX or fewer. */
  #allowanceAt(now: Instant): number {
    const earned = ((now - this.#allowedAt) * DIALS_PER_SECOND_MAX) / 1000;
    return Math.min(DIALS_BURST_MAX, this.#allowance + earned + ROUNDING);
  }

  /** How many dials of an address have come to nothing in a row; 0 if it is not wanted. */
  failures(address: Address): number {
    return this.#targets.get(address)?.failures ?? 0;
  }

  /** Records that a dial came to nothing; returns how many have in a row. */
  failed(address: Address, now: Instant): number {
    const target = this.#targets.get(address);
    if (target === undefined) return 0;
    this.#ended(target);
    this.#wait(target, now);
    return target.failures;
  }

  #ended(target: Target): void {
    this.#nextAt = undefined;
    if (target.dialling) this.#dialCount -= 1;
    target.dialling = false;
  }

  /** Records that a link stands. */
  opened(address: Address, now: Instant): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    this.#ended(target);
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
    this.#nextAt = undefined;
    for (const target of this.#targets.values()) {
      target.failures = 0;
      target.nextAt = Math.min(target.nextAt, now + this.#timings.redialMinMs);
    }
  }

  /** When the next dial is due; Infinity when none is. */
  deadline(): Instant {
    if (this.#dialCount >= DIALS_MAX) return Infinity; // The end of one comes first.
    const missing = Math.max(0, 1 - this.#allowance);
    return Math.max(this.#dueAt(), this.#allowedAt + (missing * 1000) / DIALS_PER_SECOND_MAX);
  }

  #dueAt(): Instant {
    if (this.#nextAt !== undefined) return this.#nextAt;
    let dueAt = Infinity;
    for (const target of this.#targets.values()) {
      if (target.wanted && !target.dialling) dueAt = Math.min(dueAt, target.nextAt);
    }
    this.#nextAt = dueAt;
    return dueAt;
  }
}
