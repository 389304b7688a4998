/**
 * When a dead member is removed, so that it no longer counts and its shards may be claimed.
 *
 * Theory of operation
 *
 * A verdict of death may be a mistake, and both sides of a partition call each other dead. So a side
 * that may go on waits until the verdict on one row has stood for a while. That the rows of others
 * change meanwhile does not restart the wait, or a cluster in which peers come and go would never
 * remove anybody. The wait grows with the logarithm of the members, since views differ longer where
 * news travel further, and is never shorter than it takes to call somebody dead: by then every peer
 * of this side has had the time to notice, and those of the other side to notice that they may not
 * go on.
 *
 * Deliberately absent: who is dead (`liveness.ts`), and processes that are known to have ended, which
 * are removed at once (`inquest.ts`).
 *
 * Rules: SPEC.md, F9.
 */
import type { MemberState } from "./membership.ts";
import { detectionTimes } from "./suspicion.ts";
import type { Timings } from "./timings.ts";
import type { Instant, PeerName, Timestamp } from "./units.ts";

/**
 * How long a verdict of death stands before the member is removed, in ms, among `memberCount` members
 * that count: `stableAfterMs` for each power of ten.
 */
export function stableAfterMs(memberCount: number, timings: Timings): number {
  const powers = Math.max(1, Math.log10(Math.max(1, memberCount)));
  const { deadAloneMs } = detectionTimes(timings, memberCount);
  return Math.round(Math.max(powers * timings.stableAfterMs, deadAloneMs));
}

/** A row, and since when this peer has known it as dead. */
interface Death {
  readonly rowTime: Timestamp;
  at: Instant;
}

export class Removals {
  readonly #timings: Timings;
  readonly #deaths = new Map<PeerName, Death>();
  /** How long verdicts stand among so many members that count: it is asked for at every pulse. */
  #counted = -1;
  #waitMs = 0;

  constructor(timings: Timings) {
    this.#timings = timings;
  }

  /** The dead members whose verdicts have stood for long enough, and for how long. */
  due(members: readonly MemberState[], now: Instant): { member: MemberState; deadMs: number }[] {
    const dead: MemberState[] = [];
    let counted = 0;
    for (const member of members) {
      if (member.removed || member.status === "left") continue;
      counted += 1;
      if (member.status === "dead") dead.push(member);
    }
    if (dead.length === 0 && this.#deaths.size === 0) return []; // The usual case.
    const names = new Set(dead.map(({ name }) => name));
    for (const name of this.#deaths.keys()) if (!names.has(name)) this.#deaths.delete(name);
    const waitMs = this.#waitAmong(counted);
    return dead.flatMap((member) => {
      const deadMs = now - this.#deathOf(member, now).at;
      return deadMs >= waitMs ? [{ member, deadMs }] : [];
    });
  }

  /** [F2] This peer was late: that is no time in which anybody could have spoken up. */
  forgive(lateMs: number, now: Instant): void {
    for (const death of this.#deaths.values()) death.at = Math.min(now, death.at + lateMs);
  }

  #waitAmong(counted: number): number {
    if (counted !== this.#counted) {
      this.#counted = counted;
      this.#waitMs = stableAfterMs(counted, this.#timings);
    }
    return this.#waitMs;
  }

  #deathOf({ name, stamp }: MemberState, now: Instant): Death {
    const known = this.#deaths.get(name);
    if (known?.rowTime === stamp.time) return known;
    const death = { rowTime: stamp.time, at: now };
    this.#deaths.set(name, death);
    return death;
  }
}
