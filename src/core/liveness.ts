/**
 * What this peer has heard and said of each member: silence, suspicion, death, and its own patience.
 *
 * Theory of operation
 *
 * Anything that arrives from a member is a sign of life [F2], and so is the word of another that hears
 * it [F3]. A member that is silent to all who were asked is suspected, and a suspicion that lasts makes it
 * dead. The member hears what is
 * said about it and refutes by writing its row anew; an accuser that was refuted doubles its patience
 * with that member, up to a minute, so that two peers which cannot hear each other but live do not make
 * everybody's view flap [F5]. Patience wears off: who was wrong once must not be slow for ever.
 *
 * A peer whose own loop was late has heard nobody meanwhile through no fault of theirs: it subtracts
 * its lateness from every silence before it accuses anybody.
 *
 * Deliberately absent: how long which silence is borne (`failure-detector.ts`), asking others and
 * acting on it (`surveillance.ts`), deaths that last (`removals.ts`), knowing the members (`membership.ts`), and the certain death of a
 * process whose address refuses (`inquest.ts`).
 *
 * Source: Das et al., "SWIM", 2002; Dadgar et al., "Lifeguard", 2018. Rules: SPEC.md, section F.
 */
import type { MemberState } from "./membership.ts";
import type { Timings } from "./timings.ts";
import type { Incarnation, Instant, PeerName, Timestamp } from "./units.ts";

interface Watch {
  heardAt: Instant;
  /** When this peer suspected the present row; undefined while it does not. */
  suspectedAt: Instant | undefined;
  /** Whether this peer has ever accused the present row: a new one is then a refutation. */
  hasAccused: boolean;
  /** Stamp of the row that the above is about, and the life that wrote it. */
  rowTime: Timestamp;
  incarnation: Incarnation;
  /** How many times the usual silence was borne when this peer was last refuted, and when that was. */
  patience: number;
  refutedAt: Instant;
}

/** Longest patience with one member, in ms: beyond a minute nobody is waited for. */
const PATIENCE_MS_MAX = 60_000;

/** Patience is halved whenever so much time has passed without another refutation, in ms. */
const PATIENCE_WEARS_MS = 60_000;

export class Liveness {
  readonly #timings: Timings;
  readonly #watches = new Map<PeerName, Watch>();

  constructor(timings: Timings) {
    this.#timings = timings;
  }

  /** Records a sign of life. */
  heard(name: PeerName, at: Instant): void {
    const watch = this.#watches.get(name);
    if (watch === undefined || at <= watch.heardAt) return;
    watch.heardAt = at;
    if (watch.suspectedAt !== undefined && at > watch.suspectedAt) watch.suspectedAt = undefined;
  }

  /** [U3] A member whose row is forgotten is watched no longer. */
  forget(name: PeerName): void {
    this.#watches.delete(name);
  }

  /** When `name` was last heard; undefined if it is not watched. */
  heardAt(name: PeerName): Instant | undefined {
    return this.#watches.get(name)?.heardAt;
  }

  /**
   * Takes in a member's new row. A row that the same life wrote anew while accused is a refutation;
   * that of another life shows that the accusation was right.
   */
  sawRow(member: MemberState, now: Instant): void {
    const watch = this.#watches.get(member.name);
    const { incarnation } = member.row;
    if (watch === undefined) {
      this.#watches.set(member.name, {
        ...{ heardAt: now, suspectedAt: undefined, hasAccused: false },
        ...{ rowTime: member.stamp.time, incarnation, patience: 1, refutedAt: now },
      });
      return;
    }
    if (watch.rowTime === member.stamp.time) return;
    if (watch.incarnation !== incarnation) watch.patience = 1;
    else if (watch.hasAccused) {
      const patience = Math.min(2 * worn(watch, now), PATIENCE_MS_MAX / this.#timings.silenceMs);
      watch.patience = Math.max(1, patience);
      watch.refutedAt = now;
    }
    watch.rowTime = member.stamp.time;
    watch.incarnation = incarnation;
    watch.heardAt = now; // It wrote, so it lives, whichever way the news came.
    watch.suspectedAt = undefined;
    watch.hasAccused = false;
  }

  /** How many times the usual silence of `name` is borne: 1, and more after refutations. */
  patience(name: PeerName, now: Instant): number {
    const watch = this.#watches.get(name);
    return watch === undefined ? 1 : worn(watch, now);
  }

  /** This peer suspects a member from now on. */
  suspect(name: PeerName, now: Instant): void {
    const watch = this.#watches.get(name);
    if (watch === undefined) return;
    watch.suspectedAt = now;
    watch.hasAccused = true;
  }

  /** Whether this peer suspects a member itself. */
  isSuspect(name: PeerName): boolean {
    return this.#watches.get(name)?.suspectedAt !== undefined;
  }

  /** [F2] Subtracts this peer's own lateness from everybody's silence. */
  forgive(lateMs: number, now: Instant): void {
    const later = (moment: Instant) => Math.min(now, moment + lateMs); // None is in the future.
    for (const watch of this.#watches.values()) {
      watch.heardAt = later(watch.heardAt);
      if (watch.suspectedAt !== undefined) watch.suspectedAt = later(watch.suspectedAt);
    }
  }

  /** Why a member other than this peer is dead by now, once its suspicion has lasted `suspicionMs`. */
  deathDue({ name, status }: MemberState, suspicionMs: number, now: Instant): string | undefined {
    const watch = this.#watches.get(name);
    if (watch === undefined || (status !== "alive" && status !== "suspect")) return undefined;
    if (watch.suspectedAt === undefined || now - watch.suspectedAt < suspicionMs) return undefined;
    return `silent for ${Math.round(now - watch.heardAt)} ms`;
  }
}

function worn({ patience, refutedAt }: Watch, now: Instant): number {
  if (patience === 1) return 1;
  return Math.max(1, patience / 2 ** Math.floor((now - refutedAt) / PATIENCE_WEARS_MS));
}
