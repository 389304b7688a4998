/**
 * Which members have been silent for too long, and what is to be said about them.
 *
 * Theory of operation
 *
 * Anything that arrives from a member is a sign of life [F2]. Silence leads from no verdict to
 * `suspect`, from there to `dead` unless the suspect speaks up, and from there, on a side that may
 * host, to `removed` [F9]. The member hears what is said about it and refutes by writing its row anew;
 * an accuser that was refuted doubles its patience with that member, up to a minute, so that two peers
 * which cannot hear each other but live do not make everybody's view flap [F5].
 *
 * A peer whose own loop was late has heard nobody meanwhile through no fault of theirs: it subtracts
 * its lateness from every silence before it accuses anybody.
 *
 * Deliberately absent: knowing the members (`membership.ts`), and the certain death of a process
 * whose address refuses (`inquest.ts`).
 *
 * Source: Das et al., "SWIM", 2002; Dadgar et al., "Lifeguard", 2018. Rules: SPEC.md, section F.
 */
import type { MemberState, VerdictKind } from "./membership.ts";
import type { Timings } from "./timings.ts";
import type { Instant, PeerName, Timestamp } from "./units.ts";

/** A verdict that this peer should give. */
export interface Accusation {
  readonly name: PeerName;
  readonly kind: VerdictKind;
  readonly why: string;
}

interface Watch {
  heardAt: Instant;
  /** When this peer suspected the present row; undefined while it does not. */
  suspectedAt: Instant | undefined;
  /** When this peer first saw the present row dead. */
  deadAt: Instant | undefined;
  /** Stamp of the row that the above is about. */
  rowTime: Timestamp;
  /** How many times the usual silence is borne: 1, doubled by each refutation. */
  patience: number;
}

const PATIENCE_MS_MAX = 60_000;

export class Liveness {
  readonly #timings: Timings;
  readonly #watches = new Map<PeerName, Watch>();

  constructor(timings: Timings) {
    this.#timings = timings;
  }

  /** Records a sign of life. */
  heard(name: PeerName, now: Instant): void {
    const watch = this.#watches.get(name);
    if (watch !== undefined) watch.heardAt = now;
  }

  /** When `name` was last heard; undefined if it is not watched. */
  heardAt(name: PeerName): Instant | undefined {
    return this.#watches.get(name)?.heardAt;
  }

  /** Takes in a member's new row. A row written anew while accused is a refutation. */
  sawRow(member: MemberState, now: Instant): void {
    const watch = this.#watches.get(member.name);
    if (watch === undefined) {
      this.#watches.set(member.name, {
        heardAt: now,
        suspectedAt: undefined,
        deadAt: undefined,
        rowTime: member.stamp.time,
        patience: 1,
      });
      return;
    }
    if (watch.rowTime === member.stamp.time) return;
    if (watch.suspectedAt !== undefined) {
      const patience = Math.min(2 * watch.patience, PATIENCE_MS_MAX / this.#timings.silenceMs);
      watch.patience = Math.max(1, patience);
    }
    watch.rowTime = member.stamp.time;
    watch.heardAt = now; // It wrote, so it lives, whichever way the news came.
    watch.suspectedAt = undefined;
    watch.deadAt = undefined;
  }

  /** [F2] Subtracts this peer's own lateness from everybody's silence. */
  forgive(lateMs: number, now: Instant): void {
    const later = (moment: Instant) => Math.min(now, moment + lateMs); // None is in the future.
    for (const watch of this.#watches.values()) {
      watch.heardAt = later(watch.heardAt);
      if (watch.suspectedAt !== undefined) watch.suspectedAt = later(watch.suspectedAt);
      if (watch.deadAt !== undefined) watch.deadAt = later(watch.deadAt);
    }
  }

  /** What is to be said now about one member other than this peer, or undefined. */
  check(member: MemberState, now: Instant): Accusation | undefined {
    const watch = this.#watches.get(member.name);
    if (watch === undefined || member.status === "left" || member.removed) return undefined;
    const { name } = member;
    if (member.status === "dead") {
      watch.deadAt ??= now;
      if (now - watch.deadAt < this.#timings.stableAfterMs) return undefined;
      const deadMs = Math.round(now - watch.deadAt);
      return { name, kind: "removed", why: `dead for ${deadMs} ms to a majority` };
    }
    const silenceMs = now - watch.heardAt;
    if (silenceMs < this.#timings.silenceMs * watch.patience) return undefined;
    if (watch.suspectedAt === undefined) {
      watch.suspectedAt = now;
      return { name, kind: "suspect", why: `silent for ${Math.round(silenceMs)} ms` };
    }
    if (now - watch.suspectedAt < this.#timings.suspicionMs) return undefined;
    return { name, kind: "dead", why: `silent for ${Math.round(silenceMs)} ms` };
  }
}
