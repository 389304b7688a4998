/**
 * The inquests under way: own ones after a lost link, and those that other peers asked for [F5].
 *
 * `inquest.ts` has the rule; this file dials, asks witnesses, answers those who asked, and hands the
 * finding on. Their number is bounded by that of the members.
 */

import { Inquest, WITNESSES_MAX } from "./inquest.ts";
import type { Link } from "./link.ts";
import type { Probe, ProbeAnswer, ProbeOutcome } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Address, Incarnation, Instant, LinkId, PeerName } from "./units.ts";

/** Carried out by whoever owns the dials. */
export interface InquestHooks {
  dial(address: Address, subject: PeerName): number;
  /** Everybody who tried was refused: the member is dead. */
  dead(subject: PeerName, incarnation: Incarnation, why: string): void;
}

export class Inquests {
  readonly #state: PeerState;
  readonly #inquests = new Map<PeerName, Inquest>();
  /** Our probe numbers, by which witnesses answer. */
  readonly #probes = new Map<number, PeerName>();
  #probeCount = 0;
  /** When the last inquest about each member ended. */
  readonly #endedAt = new Map<PeerName, Instant>();

  constructor(state: PeerState) {
    this.#state = state;
  }

  /** Whether an inquest dials `subject` now, so that nobody else needs to. */
  has(subject: PeerName): boolean {
    return this.#inquests.has(subject);
  }

  /** A link to this life of `subject` ended without goodbye. */
  lost(subject: PeerName, incarnation: Incarnation): void {
    const member = this.#state.view.membership.get(subject);
    const isKnown = member?.row.incarnation === incarnation && !member.removed;
    if (!isKnown || member.status === "left") return;
    const inquest = this.#open({ name: subject, incarnation, address: member.row.address });
    if (inquest.isOwn) return;
    inquest.isOwn = true;
    this.#summon(inquest);
  }

  /**
   * An ordinary dial of `subject` was refused. Redials go on for ever, so where an inquest came to
   * nothing the next one waits.
   */
  refused(subject: PeerName, incarnation: Incarnation): void {
    const { now, timings } = this.#state;
    const endedAt = this.#endedAt.get(subject) ?? Number.NEGATIVE_INFINITY;
    if (now - endedAt >= timings.silenceMs) this.lost(subject, incarnation);
  }

  /** Another peer asks this one to dial. */
  asked(link: Link, { probe, subject, incarnation, address }: Probe): void {
    const member = this.#state.view.membership.get(subject);
    // Only addresses that the members themselves gave are dialled: no peer makes us scan others.
    if (member?.row.address !== address || member.row.incarnation !== incarnation) {
      this.#answer(link.id, probe, "unknown");
      return;
    }
    const inquest = this.#open({ name: subject, incarnation, address });
    if (inquest.own !== undefined) this.#answer(link.id, probe, inquest.own);
    else if (inquest.requesters.length < WITNESSES_MAX * 16) {
      inquest.requesters.push({ link: link.id, probe });
    }
  }

  /** A witness answers. */
  testified(link: Link, { probe, outcome }: ProbeAnswer): void {
    const subject = this.#probes.get(probe);
    if (subject !== undefined) this.#inquests.get(subject)?.testified(link.id, outcome);
  }

  lostWitness(link: LinkId): void {
    for (const inquest of this.#inquests.values()) inquest.lostWitness(link);
  }

  /** A dial for `subject` ended. */
  dialled(subject: PeerName, outcome: ProbeOutcome): void {
    const inquest = this.#inquests.get(subject);
    if (inquest === undefined) return;
    inquest.dialled(outcome, this.#state.now);
    if (inquest.own === undefined) return;
    for (const { link, probe } of inquest.requesters) this.#answer(link, probe, inquest.own);
    inquest.requesters.length = 0;
  }

  /** Dials that are due, and findings. */
  proceed(hooks: InquestHooks): void {
    const { now } = this.#state;
    for (const [subject, inquest] of this.#inquests) {
      if (inquest.dialAt <= now) inquest.dial = hooks.dial(inquest.address, subject);
      const finding = inquest.finding;
      const isOver = finding !== undefined || now >= inquest.expiresAt;
      if (finding === "dead" && inquest.isOwn) {
        hooks.dead(subject, inquest.incarnation, inquest.why);
      }
      if (isOver && inquest.own !== undefined) this.#close(subject);
      else if (now >= inquest.expiresAt) this.#close(subject);
    }
  }

  deadline(): Instant {
    let deadline = Infinity;
    for (const inquest of this.#inquests.values()) {
      deadline = Math.min(deadline, inquest.dialAt, inquest.expiresAt);
    }
    return deadline;
  }

  #open(subject: { name: PeerName; incarnation: Incarnation; address: Address }): Inquest {
    const existing = this.#inquests.get(subject.name);
    if (existing?.incarnation === subject.incarnation) return existing;
    const { now, timings } = this.#state;
    const inquest = new Inquest(subject, now, now + 2 * timings.dialTimeoutMs);
    this.#inquests.set(subject.name, inquest);
    return inquest;
  }

  #summon(inquest: Inquest): void {
    const { links, timings } = this.#state;
    const witnesses = links
      .usable(timings.maxDriftMs)
      .filter((link) => link.remote.name !== inquest.subject)
      .slice(0, WITNESSES_MAX);
    const { subject, incarnation, address } = inquest;
    this.#probeCount = (this.#probeCount + 1) % 0x1_0000_0000;
    this.#probes.set(this.#probeCount, subject);
    for (const witness of witnesses) {
      inquest.asked(witness.id);
      const probe = this.#probeCount;
      this.#state.send(witness, { type: "probe", probe, subject, incarnation, address });
    }
  }

  #answer(link: LinkId, probe: number, outcome: ProbeOutcome): void {
    this.#state.sendAll([link], { type: "probe-answer", probe, outcome });
  }

  #close(subject: PeerName): void {
    this.#inquests.delete(subject);
    this.#endedAt.set(subject, this.#state.now);
    for (const [probe, name] of this.#probes) if (name === subject) this.#probes.delete(probe);
    this.#state.membersChanged = true; // The address may be dialled in the ordinary way again.
  }
}
