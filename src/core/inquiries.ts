/**
 * Asks others about a member that is silent here, before anybody suspects it, and answers those who ask.
 *
 * Theory of operation
 *
 * A peer that does not hear a member may itself be deaf, or the link between the two may be broken. So
 * it asks over the silent link for a sign of life, and up to three others whether they hear the
 * member. Who heard it within a heartbeat says so at once; who did not asks the member for a sign of
 * life, and answers when one has come or the time for it is over. If the member is heard by anyone, it
 * is alive, and only the link is given up. If it is silent everywhere, it may be suspected.
 *
 * A witness that is asked about one member by many asks it once. The number of inquiries is bounded by
 * that of the members; what others may have this peer wait for has a limit of its own.
 *
 * Deliberately absent: knowing when a member is silent, and what follows (`surveillance.ts`); dialling
 * those whose link ended (`inquests.ts`).
 *
 * Source: Das et al., "SWIM", 2002, section 3.1. Rules: SPEC.md, F3.
 */
import { INQUIRIES_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Inquiry, InquiryAnswer } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Incarnation, Instant, LinkId, PeerName } from "./units.ts";

/** How many others are asked. */
const WITNESSES_MAX = 3;

/** Of the time that an inquiry takes, what its witnesses may take: the rest is for the way. */
const WITNESS_SHARE = 0.7;

/** What an inquiry came to: heard on our own link, by another, or by nobody. */
export type InquiryFinding = "heard" | "heard-elsewhere" | "silent";

/** An inquiry of this peer's own. */
interface Own {
  readonly incarnation: Incarnation;
  readonly startedAt: Instant;
  expiresAt: Instant;
  /** Whether a link to the subject was there, so that its silence says something of it. */
  readonly hadLink: boolean;
  /** Number of the inquiry on the wire. */
  readonly number: number;
  /** Witnesses that have not answered. */
  readonly waiting: Set<LinkId>;
  /** How many did, and do not hear it either. */
  denials: number;
  isHeardElsewhere: boolean;
}

/** One that another peer asked for. */
interface Foreign {
  readonly asker: LinkId;
  readonly number: number;
  /** The link to the subject. */
  readonly link: LinkId;
  readonly askedAt: Instant;
  expiresAt: Instant;
}

export class Inquiries {
  readonly #state: PeerState;
  readonly #own = new Map<PeerName, Own>();
  #foreign: Foreign[] = [];
  #count = 0;

  constructor(state: PeerState) {
    this.#state = state;
  }

  has(subject: PeerName): boolean {
    return this.#own.has(subject);
  }

  /** Begins to ask about a member; `patience` stretches the time that answers may take. */
  begin(subject: PeerName, incarnation: Incarnation, patience: number): void {
    const { links, now, timings, options } = this.#state;
    const link = links.to(incarnation);
    if (link !== undefined) this.#state.send(link, link.pulse(now, true));
    const others = links
      .usable(timings.maxDriftMs)
      .filter(({ remote }) => remote.name !== subject && this.#state.hasRow(remote));
    const witnesses: Link[] = [];
    while (witnesses.length < WITNESSES_MAX && others.length > 0) {
      witnesses.push(...others.splice(options.random.below(others.length), 1));
    }
    this.#count = (this.#count + 1) % 0x1_0000_0000;
    const message: Inquiry = { type: "inquiry", inquiry: this.#count, subject, incarnation };
    const waiting = new Set(witnesses.map(({ id }) => id));
    this.#state.sendAll([...waiting], message);
    const expiresAt = now + timings.probeTimeoutMs * patience;
    this.#own.set(subject, {
      ...{ incarnation, startedAt: now, expiresAt, hadLink: link !== undefined },
      ...{ number: this.#count, waiting, denials: 0, isHeardElsewhere: false },
    });
  }

  /** Another peer asks whether this one hears a member. */
  asked(link: Link, { inquiry, subject, incarnation }: Inquiry): void {
    const { links, now, timings } = this.#state;
    const to = links.to(incarnation);
    if (to === undefined || to.remote.name !== subject) {
      this.#answer(link.id, inquiry, -1);
    } else if (now - to.heardAt < timings.heartbeatMs) {
      this.#answer(link.id, inquiry, now - to.heardAt);
    } else if (this.#foreign.length < INQUIRIES_MAX) {
      if (this.#foreign.every((other) => other.link !== to.id)) {
        this.#state.send(to, to.pulse(now, true));
      }
      const expiresAt = now + WITNESS_SHARE * timings.probeTimeoutMs;
      const foreign = { asker: link.id, number: inquiry, link: to.id, askedAt: now, expiresAt };
      this.#foreign.push(foreign);
    }
  }

  /** A witness answers. A stranger's word, or one too many, does not count. */
  answered(link: Link, { inquiry, heardMs }: InquiryAnswer): void {
    const { liveness, now } = this.#state;
    for (const [subject, own] of this.#own) {
      if (own.number !== inquiry || !own.waiting.delete(link.id)) continue;
      if (heardMs < 0) own.denials += 1;
      else if (now - heardMs > (liveness.heardAt(subject) ?? now)) {
        own.isHeardElsewhere = true;
        liveness.heard(subject, now - heardMs);
      }
    }
  }

  /** [F2] This peer was late: answers may be waiting in its sockets. */
  forgive(lateMs: number): void {
    for (const own of this.#own.values()) own.expiresAt += lateMs;
    for (const foreign of this.#foreign) foreign.expiresAt += lateMs;
  }

  /** Answers what can be answered, and hands on what own inquiries came to. */
  proceed(
    over: (subject: PeerName, finding: InquiryFinding, hadLink: boolean, why: string) => void,
  ): void {
    if (this.#foreign.length > 0) this.#foreign = this.#foreign.filter((one) => this.#isOpen(one));
    const { liveness, now } = this.#state;
    for (const [subject, own] of this.#own) {
      // Here, over whichever link, which may have ended since; what others hear is noted apart.
      const heardAt = liveness.heardAt(subject) ?? own.startedAt;
      const isHeard = !own.isHeardElsewhere && heardAt > own.startedAt;
      const isOver = own.waiting.size === 0 && own.denials > 0;
      if (!isHeard && !own.isHeardElsewhere && !isOver && now < own.expiresAt) continue;
      this.#own.delete(subject);
      const finding = isHeard ? "heard" : own.isHeardElsewhere ? "heard-elsewhere" : "silent";
      over(subject, finding, own.hadLink, evidence(own.denials));
    }
  }

  deadline(): Instant {
    let deadline = Infinity;
    for (const { expiresAt } of this.#own.values()) deadline = Math.min(deadline, expiresAt);
    for (const { expiresAt } of this.#foreign) deadline = Math.min(deadline, expiresAt);
    return deadline;
  }

  /** Whether a foreign inquiry is still to be answered. */
  #isOpen({ asker, number, link, askedAt, expiresAt }: Foreign): boolean {
    const { links, now } = this.#state;
    const heardAt = links.get(link)?.heardAt ?? Number.NEGATIVE_INFINITY;
    if (heardAt <= askedAt && now < expiresAt) return true;
    this.#answer(asker, number, heardAt > askedAt ? now - heardAt : -1);
    return false;
  }

  #answer(link: LinkId, inquiry: number, heardMs: number): void {
    this.#state.sendAll([link], { type: "inquiry-answer", inquiry, heardMs: Math.round(heardMs) });
  }
}

/** For people: who else was asked. */
function evidence(denials: number): string {
  if (denials === 0) return "";
  return `, and to ${denials} other${denials === 1 ? "" : "s"}`;
}
