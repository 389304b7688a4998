/**
 * How a cluster begins exactly once: who founds it, and when a newcomer may.
 *
 * Theory of operation
 *
 * A fresh peer with addresses to join cannot know whether the cluster exists already. Were it to
 * claim shards, its stamps, being the newest, would win against the whole table of the cluster it
 * then meets. So it writes nothing until it has exchanged with a peer that belongs to a founding,
 * and a founding is one entry of the replicated map `settings`, whose stamp names the cluster's life.
 *
 * If nobody around belongs to one, the lowest in name of those that hear each other founds after a
 * while; a peer that hears nobody founds in the end, alone and with a warning. One without addresses
 * to join founds at once: it was told that it is the first. The lowest may be one that never founds,
 * broken or hostile, so the others wait for it no longer than for an answer, one after the other.
 *
 * It may have been told so wrongly, when the first peer of a cluster is restarted with the command
 * line that it was first started with. Two foundings that meet are therefore never merged: the younger
 * one gives way, and its peers begin again as newcomers. The older has the table that people rely on.
 * A newcomer of that kind takes no younger founding while it waits for the older one: else those that
 * give way would join each other again and again.
 *
 * Rules: SPEC.md, A0.
 */
import { compareStamps } from "./lww-map.ts";
import type { Timings } from "./timings.ts";
import type { Instant, PeerName, Stamp } from "./units.ts";

/** The replicated map of what all peers must agree on, and the key of the founding in it. */
export const SETTINGS = "settings";
export const FOUNDING_KEY = "founding";

/** Why a peer founds. */
export type FoundingReason = "first" | "lowest" | "overdue" | "alone";

export class Founding {
  readonly #name: PeerName;
  readonly #timings: Timings;
  readonly #startedAt: Instant;
  readonly #joins: boolean;
  /** Whether the founding was on the disk when this life began, and the table with it. */
  readonly isFromDisk: boolean;
  /** Since when other unfounded peers have been heard without a break. */
  #companySince: Instant | undefined;
  #stamp: Stamp | undefined;
  /** The founding that this peer has given way to, and waits for. */
  #older: Stamp | undefined;

  constructor(
    options: {
      readonly name: PeerName;
      readonly timings: Timings;
      readonly joins: boolean;
      readonly stamp: Stamp | undefined;
      readonly older?: Stamp | undefined;
    },
    now: Instant,
  ) {
    this.#name = options.name;
    this.#timings = options.timings;
    this.#joins = options.joins;
    this.#stamp = options.stamp;
    this.isFromDisk = options.stamp !== undefined;
    this.#startedAt = now;
    this.#older = options.older;
  }

  /** The founding that this peer belongs to; undefined while it waits for one. */
  get stamp(): Stamp | undefined {
    return this.#stamp;
  }

  /** Records that this peer founded, or took over a founding. */
  settle(stamp: Stamp): void {
    this.#stamp = stamp;
  }

  /**
   * How another peer's founding relates to this peer's: `same` also while either has none, but for
   * those that are younger than the one that is waited for;
   * `older` when this peer must begin again; `younger` when the other must.
   */
  compare(other: Stamp | undefined): "same" | "older" | "younger" {
    if (other === undefined) return "same";
    if (this.#stamp === undefined) {
      return this.#older !== undefined && compareStamps(other, this.#older) > 0
        ? "younger"
        : "same";
    }
    const order = compareStamps(other, this.#stamp);
    return order === 0 ? "same" : order < 0 ? "older" : "younger";
  }

  /** Waits no longer for the older founding once it has had time to answer; true when that ends now. */
  hasTired(now: Instant): boolean {
    if (this.#older === undefined || now - this.#startedAt < this.#timings.joinTimeoutMs)
      return false;
    this.#older = undefined;
    return true;
  }

  /**
   * Whether a peer that has a founding from its disk may serve without an exchange with a member: it
   * has nobody to join, or has waited for one as long as unfounded peers wait for each other, and has
   * exchanged with all newcomers that it is linked with.
   */
  isPatienceOver(now: Instant, isExchanging: boolean): boolean {
    if (!this.#joins) return true;
    return !isExchanging && now - this.#startedAt >= this.#timings.foundAfterMs;
  }

  /**
   * Whether it is this peer that founds, now. `company` are the unfounded peers it is linked with;
   * `answer` says what other links lead to: a founding, or nobody knows yet what.
   */
  due(
    now: Instant,
    company: readonly PeerName[],
    answer: "founded" | "new" | "none",
  ): FoundingReason | undefined {
    if (this.#stamp !== undefined) return undefined;
    if (!this.#joins) return "first";
    if (company.length === 0) this.#companySince = undefined;
    // Links that come and go must not hold it up for ever.
    const isPatient = now - this.#startedAt < this.#timings.joinTimeoutMs;
    if (answer === "founded" || (answer === "new" && isPatient)) return undefined;
    if (company.length === 0) {
      return now - this.#startedAt >= this.#timings.joinTimeoutMs ? "alone" : undefined;
    }
    this.#companySince ??= now;
    const { foundAfterMs, joinTimeoutMs } = this.#timings;
    if (now - this.#companySince < foundAfterMs) return undefined;
    const lower = new Set(company.filter((name) => name < this.#name)).size;
    if (lower === 0) return "lowest";
    // The waits differ by enough for the next one's founding to be heard of.
    const isOver = now - this.#startedAt >= joinTimeoutMs + lower * foundAfterMs;
    return isOver ? "overdue" : undefined;
  }
}
