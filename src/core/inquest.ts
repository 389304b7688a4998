/**
 * Finds out whether a process is dead after its link ended without goodbye.
 *
 * A killed process closes its sockets, so its peers notice at once; what they cannot know is whether
 * it was the process that ended or only the link. So the peer dials again: an address that refuses has
 * nobody behind it. The listener can outlive the link for a moment, hence a second and a third try.
 * Since one peer may be refused by what stands between it and the other, up to three others are asked
 * to dial too, and only when everyone was refused is the member dead, without any suspicion. If one
 * reaches it, or cannot tell, there is no verdict and ordinary silence decides.
 *
 * An inquest that another peer asked for ends in an answer and never in a verdict.
 *
 * This module counts outcomes; `machine.ts` dials and asks. Rules: SPEC.md, F5.
 */
import type { ProbeOutcome } from "./message.ts";
import type { Address, Incarnation, Instant, LinkId, PeerName } from "./units.ts";

/** Waits before the second and the third dial, in ms. */
const RETRY_MS = [2, 20] as const;

/** How many others are asked. */
export const WITNESSES_MAX = 3;

/** Who asked for this inquest, and under which number. */
export interface Requester {
  readonly link: LinkId;
  readonly probe: number;
}

/** How one dial of this peer's ended. */
export type DialOutcome = ProbeOutcome | "reset";

export class Inquest {
  readonly subject: PeerName;
  readonly incarnation: Incarnation;
  readonly address: Address;
  /** Answers go to these once this peer's own dials have settled. */
  readonly requesters: Requester[] = [];
  readonly startedAt: Instant;
  /** Given up then, whatever is still unknown. */
  readonly expiresAt: Instant;
  /** Whether this peer lost a link itself, so that the end may be a verdict. */
  isOwn = false;
  /** Who is to be asked, the first that can be reached before the others; and whether they were. */
  witnesses: readonly PeerName[] = [];
  isSummoned = false;
  /** Whether this peer has said that the subject is dead, and waits for a majority to be heard. */
  isSaid = false;
  /** The dial under way. */
  dial: number | undefined;
  #dialAt: Instant;
  #refusals = 0;
  #own: ProbeOutcome | undefined;
  readonly #witnesses = new Map<LinkId, ProbeOutcome | undefined>();

  constructor(
    subject: { name: PeerName; incarnation: Incarnation; address: Address },
    now: Instant,
    dialAt: Instant,
    expiresAt: Instant,
  ) {
    this.subject = subject.name;
    this.incarnation = subject.incarnation;
    this.address = subject.address;
    this.startedAt = now;
    this.#dialAt = dialAt;
    this.expiresAt = expiresAt;
  }

  /** What this peer's own dials came to; undefined while they go on. */
  get own(): ProbeOutcome | undefined {
    return this.#own;
  }

  /** When to dial next: Infinity while a dial is under way or none is needed. */
  get dialAt(): Instant {
    return this.#own === undefined && this.dial === undefined ? this.#dialAt : Infinity;
  }

  /** Whether a dial has been made, or is being made. */
  get hasBegun(): boolean {
    return this.dial !== undefined || this.#refusals > 0 || this.#own !== undefined;
  }

  /** Begins now if it was to begin later. */
  hurry(now: Instant): void {
    this.#dialAt = Math.min(this.#dialAt, now);
  }

  asked(link: LinkId): void {
    this.#witnesses.set(link, undefined);
  }

  /** Records what a witness found. A stranger's word does not count. */
  testified(link: LinkId, outcome: ProbeOutcome): void {
    if (this.#witnesses.has(link)) this.#witnesses.set(link, outcome);
  }

  /** A witness whose own link ended cannot answer any more. */
  lostWitness(link: LinkId): void {
    this.#witnesses.delete(link);
  }

  /**
   * Records the end of this peer's dial. A connection that was made and then reset may be the last of
   * a process that is ending, or one too many for a process that lives: it is tried again like one
   * that was refused, and in the end only a refusal says that nobody is there.
   */
  dialled(outcome: DialOutcome, now: Instant): void {
    this.dial = undefined;
    if (outcome !== "refused" && outcome !== "reset") {
      this.#own = outcome;
      return;
    }
    const waitMs = RETRY_MS[this.#refusals];
    this.#refusals += 1;
    if (waitMs === undefined) this.#own = outcome === "refused" ? "refused" : "unknown";
    else this.#dialAt = now + waitMs;
  }

  /** The finding, once it is certain: everyone was refused, or somebody was not. */
  get finding(): "dead" | "undecided" | undefined {
    const outcomes = [this.#own, ...this.#witnesses.values()];
    if (outcomes.some((outcome) => outcome === "reached" || outcome === "unknown")) {
      return "undecided";
    }
    return outcomes.every((outcome) => outcome === "refused") ? "dead" : undefined;
  }

  /** For people: the evidence behind a verdict. */
  get why(): string {
    const count = this.#witnesses.size;
    const others = count === 0 ? "" : `, and for ${count} other${count === 1 ? "" : "s"} too`;
    return `nothing listens at ${this.address} any more${others}`;
  }
}
