/**
 * The inquests under way: own ones after a lost link, and those that other peers asked for [F5].
 *
 * `inquest.ts` has the rule; this file dials, asks witnesses, answers those who asked, and hands the
 * finding on. Their number is bounded by that of the members.
 */

import { mayHost } from "./downing.ts";
import { type DialOutcome, Inquest, WITNESSES_MAX } from "./inquest.ts";
import { INQUESTS_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import type { MemberState, VerdictKind } from "./membership.ts";
import type { Probe, ProbeAnswer, ProbeOutcome } from "./message.ts";
import { MONITORS, successorsOf } from "./monitors.ts";
import type { PeerState } from "./peer-state.ts";
import type { Address, Incarnation, Instant, LinkId, PeerName } from "./units.ts";

/** Carried out by whoever owns the dials. */
export interface InquestHooks {
  dial(address: Address, subject: PeerName): number;
  /** Everybody who tried was refused: the member is dead, or more than that. */
  dead(subject: PeerName, incarnation: Incarnation, kind: VerdictKind, why: string): void;
}

/**
 * How long those who do not monitor a member leave its inquest to those who do, as a share of the time
 * that a dial may take. Were everybody to dial at once, a death in a large cluster would cost a storm.
 */
const OTHERS_WAIT = 0.2;

/** First wait for a link that has ended again soon after an inquest, in ms; doubles from there. */
const FLAP_MS = 10;
const FLAPS_MAX = 10;

export class Inquests {
  readonly #state: PeerState;
  readonly #inquests = new Map<PeerName, Inquest>();
  /** Our probe numbers, by which witnesses answer. */
  readonly #probes = new Map<number, PeerName>();
  #probeCount = 0;
  /**
   * When the last inquest about each member ended, and how many others it followed upon closely: for as long
   * as that matters.
   */
  readonly #ended = new Map<PeerName, { readonly at: Instant; readonly flaps: number }>();

  /** The membership that `#near` follows from. */
  #members: readonly MemberState[] = [];
  #near: readonly MemberState[] = [];

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
    const order = this.#successors(subject);
    const isMonitor = order.slice(0, MONITORS).includes(this.#state.options.name);
    const { address } = member.row;
    const inquest = this.#open({ name: subject, incarnation, address }, isMonitor);
    if (inquest.isOwn) return;
    inquest.isOwn = true;
    inquest.witnesses = order;
  }

  /**
   * An ordinary dial of `subject` was refused. Redials go on for ever, so where an inquest came to
   * nothing the next one waits.
   */
  refused(subject: PeerName, incarnation: Incarnation): void {
    const { now, timings } = this.#state;
    if (this.#inquests.size >= INQUESTS_MAX) return; // The next refusal will do.
    const endedAt = this.#ended.get(subject)?.at ?? Number.NEGATIVE_INFINITY;
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
    if (this.#inquests.size >= INQUESTS_MAX && !this.#inquests.has(subject)) {
      this.#answer(link.id, probe, "unknown");
      return;
    }
    const inquest = this.#open({ name: subject, incarnation, address }, true);
    inquest.hurry(this.#state.now);
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
  dialled(subject: PeerName, outcome: DialOutcome): void {
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
      if (this.#isMoot(inquest)) {
        this.#close(subject);
        continue;
      }
      // Whoever is heard is not dead, whatever became of the dials: a network may refuse for a while.
      if (inquest.own !== "reached" && this.#isHeard(inquest)) this.dialled(subject, "reached");
      if (inquest.dialAt <= now) inquest.dial = hooks.dial(inquest.address, subject);
      if (inquest.hasBegun) this.#summon(inquest);
      const { finding } = inquest;
      const isDead = finding === "dead" && inquest.isOwn;
      const isNoPartition = isDead && this.#isNoPartition(inquest);
      if (isNoPartition || (isDead && !inquest.isSaid)) {
        const kind = isNoPartition ? "removed" : "dead";
        inquest.isSaid = true;
        hooks.dead(subject, inquest.incarnation, kind, inquest.why);
      }
      const isWaiting = isDead && !isNoPartition; // Answers of those who live may be on their way.
      const isOver = finding !== undefined && inquest.own !== undefined && !isWaiting;
      if (isOver || now >= inquest.expiresAt) this.#close(subject);
    }
  }

  deadline(): Instant {
    let deadline = Infinity;
    for (const inquest of this.#inquests.values()) {
      deadline = Math.min(deadline, inquest.dialAt, inquest.expiresAt);
    }
    return deadline;
  }

  /**
   * [F5, F9] Whether a refusal is known to be a death, and not the doing of a network that rejects. On
   * this machine no network is in between. Otherwise this side must have heard, since the link was lost,
   * as many as it takes to go on after a partition: one that rejects hides all of the other side.
   * Of two members neither could ever know, and the one that is left goes on.
   */
  #isNoPartition({ address, incarnation, startedAt }: Inquest): boolean {
    if (isLoopback(address)) return true;
    const { links, options } = this.#state;
    const near = this.#countNear();
    if (near.length <= 2) return true;
    const heard = new Set<Incarnation>([options.incarnation]);
    for (const { remote, heardAt } of links.open()) {
      if (heardAt > startedAt) heard.add(remote.incarnation);
    }
    const members = near.map((member) => {
      const isHere = heard.has(member.row.incarnation) && member.row.incarnation !== incarnation;
      return isHere ? member : { ...member, status: "dead" as const };
    });
    return mayHost(options.downing, members, options.name);
  }

  /**
   * Of those whom this peer keeps no link to it cannot hear anything: its neighbours, and itself, stand
   * for all members that count. Every inquest that waits asks for them in every step.
   */
  #countNear(): readonly MemberState[] {
    const { view, options } = this.#state;
    const members = view.membership.all();
    if (members === this.#members) return this.#near;
    this.#members = members;
    this.#near = members.filter(({ name, status, removed }) => {
      if (removed || status === "left") return false;
      return name === options.name || this.#state.isNeighbour(name);
    });
    return this.#near;
  }

  /** Whether this life of the subject has been heard since the link was lost, over another one. */
  #isHeard({ incarnation, startedAt }: Inquest): boolean {
    return (this.#state.links.to(incarnation)?.heardAt ?? startedAt) > startedAt;
  }

  /** How many inquests about a member have followed upon each other closely until now. */
  #flapsOf(subject: PeerName): number {
    const ended = this.#ended.get(subject);
    const isClose =
      ended !== undefined && this.#state.now - ended.at < this.#state.timings.silenceMs;
    return isClose ? Math.min(ended.flaps + 1, FLAPS_MAX) : 0;
  }

  /** Whether others have found out meanwhile, and nobody waits for what this peer would find. */
  #isMoot({ subject, incarnation, requesters, own }: Inquest): boolean {
    if (own !== undefined || requesters.length > 0) return false;
    const member = this.#state.view.membership.get(subject);
    return member?.removed === true || member?.row.incarnation !== incarnation;
  }

  /** The members that follow upon one in the circle of monitors. */
  #successors(subject: PeerName): PeerName[] {
    const members = this.#state.view.membership.all();
    return successorsOf(
      subject,
      members
        .filter(({ status }) => status === "alive" || status === "suspect")
        .map(({ name }) => name),
    );
  }

  #open(
    subject: { name: PeerName; incarnation: Incarnation; address: Address },
    isMonitor: boolean,
  ): Inquest {
    const existing = this.#inquests.get(subject.name);
    if (existing?.incarnation === subject.incarnation) return existing;
    const { now, timings } = this.#state;
    // A link that comes and goes all the time is dialled less and less eagerly.
    const flapMs = Math.min(FLAP_MS * 2 ** this.#flapsOf(subject.name), timings.dialTimeoutMs);
    const waitMs = isMonitor ? 0 : timings.dialTimeoutMs * OTHERS_WAIT;
    const dialAt = now + waitMs + (flapMs > FLAP_MS ? flapMs : 0);
    const inquest = new Inquest(subject, now, dialAt, dialAt + 2 * timings.dialTimeoutMs);
    this.#inquests.set(subject.name, inquest);
    return inquest;
  }

  #summon(inquest: Inquest): void {
    if (!inquest.isOwn || inquest.isSummoned) return;
    inquest.isSummoned = true;
    const { links, timings } = this.#state;
    const usable = new Map(
      links.usable(timings.maxDriftMs).map((link) => [link.remote.name, link]),
    );
    const witnesses = inquest.witnesses
      .map((name) => usable.get(name))
      .filter((link) => link !== undefined)
      .slice(0, WITNESSES_MAX);
    const { subject, incarnation, address } = inquest;
    if (!isLoopback(address)) this.#rollCall(subject);
    this.#probeCount = (this.#probeCount + 1) % 0x1_0000_0000;
    this.#probes.set(this.#probeCount, subject);
    for (const witness of witnesses) {
      inquest.asked(witness.id);
      const probe = this.#probeCount;
      this.#state.send(witness, { type: "probe", probe, subject, incarnation, address });
    }
  }

  /** Asks everybody for a sign of life, to know whether this side has a majority. */
  #rollCall(subject: PeerName): void {
    for (const link of this.#state.links.open()) {
      if (link.remote.name !== subject) this.#state.send(link, link.pulse(this.#state.now, true));
    }
  }

  #answer(link: LinkId, probe: number, outcome: ProbeOutcome): void {
    this.#state.sendAll([link], { type: "probe-answer", probe, outcome });
  }

  #close(subject: PeerName): void {
    const { now, timings } = this.#state;
    const flaps = this.#flapsOf(subject);
    this.#inquests.delete(subject);
    this.#ended.delete(subject); // It is the latest now, and stands last.
    this.#ended.set(subject, { at: now, flaps });
    for (const [name, { at }] of this.#ended) {
      if (now - at < timings.silenceMs) break;
      this.#ended.delete(name);
    }
    for (const [probe, name] of this.#probes) if (name === subject) this.#probes.delete(probe);
    this.#state.membersChanged = true; // The address may be dialled in the ordinary way again.
  }
}

/** Whether an address leads to this machine whatever the network does. */
export function isLoopback(address: Address): boolean {
  return /^(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+$/.test(address);
}
