/**
 * Links that were closed as duplicates before the one that stays is known here.
 *
 * When two peers dial each other at once, one of the two links is closed by the end that saw both open.
 * The other end may hear of the end of one before it hears of the beginning of the other. What it sent
 * over the first was taken, and is answered over the second: it is not lost, unless that never opens.
 *
 * Rules: SPEC.md, G7 and H3.
 */
import type { Link } from "./link.ts";
import type { PeerState } from "./peer-state.ts";
import type { Incarnation, Instant, LinkId } from "./units.ts";

export interface AdriftHooks {
  /** What was sent over `from` is answered over `to`. */
  moved(from: LinkId, to: Link): void;
  /** There is no other link. */
  lost(from: LinkId): void;
}

interface Waiting {
  readonly link: LinkId;
  readonly to: Incarnation;
  readonly untilAt: Instant;
}

export class Adrift {
  readonly #state: PeerState;
  readonly #hooks: AdriftHooks;
  /** At most as many as links are open at a time, in the order in which they ended. */
  #waiting: readonly Waiting[] = [];

  constructor(state: PeerState, hooks: AdriftHooks) {
    this.#state = state;
    this.#hooks = hooks;
  }

  /** A link to this life of a peer was closed as a duplicate. */
  add(link: LinkId, to: Incarnation): void {
    const { now, timings } = this.#state;
    this.#waiting = [...this.#waiting, { link, to, untilAt: now + timings.dialTimeoutMs }];
  }

  settle(): void {
    if (this.#waiting.length === 0) return;
    const { links, now } = this.#state;
    this.#waiting = this.#waiting.filter(({ link, to, untilAt }) => {
      const other = links.to(to);
      if (other !== undefined) this.#hooks.moved(link, other);
      else if (now >= untilAt) this.#hooks.lost(link);
      else return true;
      return false;
    });
  }

  deadline(): Instant {
    return this.#waiting[0]?.untilAt ?? Number.POSITIVE_INFINITY;
  }
}
