/**
 * Finds out who is silent, and says what is to be said about them.
 *
 * Theory of operation
 *
 * Twice in a heartbeat this peer looks at its links and at the members without one. Whoever has been
 * silent for longer than its link's detector bears, times this peer's own health and its patience with
 * that member, is asked about [F3]. If only this peer does not hear it, the link is cut and dialled
 * anew [S9]. If nobody does, it is suspected, and dead when the suspicion has lasted [F4].
 *
 * Only the neighbours of this peer are judged by silence: of others it hears what their own neighbours
 * say. A link to somebody who is no member is simply cut when it is silent.
 *
 * The measures of silence are in `failure-detector.ts`, `local-health.ts` and `suspicion.ts`, what was
 * heard and said is in `liveness.ts`; this file brings them together and writes verdicts.
 *
 * Rules: SPEC.md, F1 to F4.
 */
import type { Connections } from "./connections.ts";
import { Inquiries, type InquiryFinding } from "./inquiries.ts";
import type { Link } from "./link.ts";
import {
  encodeVerdict,
  type MemberState,
  VERDICTS,
  type VerdictKind,
  verdictKey,
} from "./membership.ts";
import type { Inquiry, InquiryAnswer } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import { Removals } from "./removals.ts";
import { suspicionMs } from "./suspicion.ts";
import type { Instant, PeerName } from "./units.ts";

export class Surveillance {
  readonly #state: PeerState;
  readonly #connections: Connections;
  readonly #inquiries: Inquiries;
  readonly #removals: Removals;
  /** The membership of which `#counted` members are alive or suspect. */
  #members: readonly MemberState[] = [];
  #counted = 0;

  constructor(state: PeerState, connections: Connections) {
    this.#state = state;
    this.#connections = connections;
    this.#inquiries = new Inquiries(state);
    this.#removals = new Removals(state.timings);
  }

  /** Takes a question or an answer about somebody who is silent. */
  received(link: Link, message: Inquiry | InquiryAnswer): void {
    if (message.type === "inquiry") this.#inquiries.asked(link, message);
    else this.#inquiries.answered(link, message);
  }

  /** [F2] This peer was late: nobody else was silent meanwhile. */
  forgive(lateMs: number): void {
    const { liveness, links, health, now } = this.#state;
    health.worsen(now);
    liveness.forgive(lateMs, now);
    this.#removals.forgive(lateMs, now);
    this.#inquiries.forgive(lateMs);
    this.#connections.forgive(lateMs);
    for (const link of links.open()) link.detector.forgive(lateMs, now);
  }

  /** Looks at all links and members. */
  pulse(): void {
    const { links, view, liveness, options, isReady } = this.#state;
    for (const link of links.open()) {
      if (this.#isSilent(link)) this.#notice(link);
    }
    if (!isReady) return;
    for (const member of view.membership.all()) {
      const { name, row, status, removed } = member;
      if (name === options.name || status === "left" || removed) continue;
      // Without a link, what others hear of a member is all that there is.
      const isUnlinked = links.to(row.incarnation) === undefined && this.#isJudged(member);
      if (isUnlinked && this.#isMissed(member)) this.#inquire(member);
      if (liveness.isSuspect(name)) this.#judge(member);
    }
    this.#remove();
  }

  /** [F9] Removes those whose deaths have stood for long enough. */
  #remove(): void {
    const { view, options, now } = this.#state;
    for (const { member, deadMs } of this.#removals.due(view.membership.all(), now)) {
      if (member.name === options.name) continue;
      const why = `${member.verdict}, and so for ${Math.round(deadMs)} ms to who goes on`;
      this.accuse(member.name, "removed", why, member.since);
    }
  }

  /** Goes on with what was asked and answered in this step. */
  proceed(): void {
    this.#inquiries.proceed((subject, finding, hadLink, why) =>
      this.#found(subject, finding, hadLink, why),
    );
  }

  deadline(): Instant {
    return this.#inquiries.deadline();
  }

  /**
   * Gives a verdict about a member's present row, unless that has been said often enough. `since` is
   * when what it says began, if not now, in Unix ms.
   */
  accuse(subject: PeerName, kind: VerdictKind, why: string, since?: number): void {
    const { view, options } = this.#state;
    const { membership } = view;
    const about = membership.get(subject)?.stamp;
    if (about === undefined || membership.verdictBy(subject, options.name) === kind) return;
    if (membership.hasEnough(subject, kind)) return; // [F1]
    const accuser = options.incarnation;
    const key = verdictKey(subject, options.name);
    this.#state.write(VERDICTS, key, encodeVerdict({ kind, about, accuser, why, since }));
  }

  #isSilent({ detector, remote }: Link): boolean {
    return this.#state.now - detector.heardAt >= detector.limitMs * this.#patience(remote.name);
  }

  #patience(name: PeerName): number {
    const { liveness, health, now } = this.#state;
    return health.multiplier(now) * liveness.patience(name, now);
  }

  /** Whether a member is judged by silence: by then it is not any more, if it is dead. */
  #isJudged({ name, status }: MemberState): boolean {
    return (status === "alive" || status === "suspect") && this.#state.isNeighbour(name);
  }

  /** A link is silent. */
  #notice(link: Link): void {
    const { isReady, view } = this.#state;
    const member = view.membership.get(link.remote.name);
    const isSubject =
      isReady &&
      member !== undefined &&
      member.row.incarnation === link.remote.incarnation &&
      this.#isMissed(member) && // Otherwise it was heard over another link, and only this one is broken.
      this.#isJudged(member);
    if (isSubject) this.#inquire(member);
    else this.#connections.giveUp(link);
  }

  /** Whether a member has not been heard for long, over whichever link. */
  #isMissed({ name }: MemberState): boolean {
    const { liveness, now, timings } = this.#state;
    return now - (liveness.heardAt(name) ?? now) >= timings.silenceMs * this.#patience(name);
  }

  #inquire({ name, row }: MemberState): void {
    const { liveness, health, now } = this.#state;
    if (liveness.isSuspect(name) || this.#inquiries.has(name)) return;
    this.#inquiries.begin(name, row.incarnation, health.multiplier(now));
  }

  #found(subject: PeerName, finding: InquiryFinding, hadLink: boolean, others: string): void {
    const { view, liveness, links, health, now, isReady } = this.#state;
    const member = view.membership.get(subject);
    if (finding === "heard" || member === undefined) return;
    const link = links.to(member.row.incarnation);
    if (link !== undefined) this.#connections.giveUp(link); // [S9]
    // Others hear whom this peer does not: it may be this one that is deaf.
    if (finding === "heard-elsewhere" && hadLink) health.worsen(now);
    if (finding !== "silent" || !isReady || !this.#isJudged(member)) return;
    const silentMs = Math.round(now - (liveness.heardAt(subject) ?? now));
    liveness.suspect(subject, now);
    this.accuse(subject, "suspect", `silent for ${silentMs} ms${others}`);
  }

  #judge(member: MemberState): void {
    const { view, liveness, timings, options, now } = this.#state;
    const { name } = member;
    const accusers = view.membership.accusersOf(name);
    const confirmations = accusers.filter((accuser) => accuser !== options.name).length;
    const lastingMs = suspicionMs(timings, this.#size(), confirmations);
    const why = liveness.deathDue(member, lastingMs, now);
    if (why !== undefined) this.accuse(name, "dead", why);
  }

  /** How many members are alive or suspect. */
  #size(): number {
    const members = this.#state.view.membership.all();
    if (members !== this.#members) {
      this.#members = members;
      this.#counted = members.filter(({ status, removed }) => {
        return !removed && (status === "alive" || status === "suspect");
      }).length;
    }
    return this.#counted;
  }
}
