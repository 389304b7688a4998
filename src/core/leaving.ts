/**
 * How a peer leaves: its shards first, then what its users have asked, then goodbye [F6].
 *
 * From the call on it is draining, and not ready for anything new. Shards that a host serves are handed
 * over one by one, all at the same time, and asks that this peer's users have made already still get
 * their answers. All of it has one deadline; what is left then is given away without ceremony. Where
 * nobody is there to take the shards, there is nothing to wait for.
 *
 * Links are closed last, and say that this peer left: whoever has asked it something and has no answer
 * knows by that that it was not handled [H3].
 *
 * Rules: SPEC.md, F6 and H4.
 */
import type { Connections } from "./connections.ts";
import type { Outcome } from "./effect.ts";
import type { Caller } from "./forwarding.ts";
import type { PeerState } from "./peer-state.ts";
import { movesOf } from "./planner.ts";
import type { Service } from "./service.ts";
import type { Standing } from "./standing.ts";
import type { Instant } from "./units.ts";

export interface LeavingParts {
  readonly connections: Connections;
  readonly standing: Standing;
  readonly service: Service;
}

export class Leaving {
  readonly #state: PeerState;
  readonly #parts: LeavingParts;
  readonly #answer: (caller: Caller, outcome: Outcome) => void;
  readonly #callers: Caller[] = [];
  #deadlineAt: Instant = Number.POSITIVE_INFINITY;

  constructor(
    state: PeerState,
    parts: LeavingParts,
    answer: (caller: Caller, outcome: Outcome) => void,
  ) {
    this.#state = state;
    this.#parts = parts;
    this.#answer = answer;
  }

  leave(caller: Caller): void {
    const state = this.#state;
    this.#callers.push(caller);
    if (state.isLeaving && !state.left) return;
    if (state.left || !state.isReady || !state.isHosting) {
      this.#finish();
      return;
    }
    state.isLeaving = true;
    const { drainMs, handoffMs } = state.timings;
    this.#deadlineAt = state.now + drainMs + handoffMs; // [H4]
    this.#parts.standing.refresh(); // It is draining: nobody gives it anything.
    for (const { shard, from, to } of movesOf(state, state.options.name)) {
      const isOurs = from === state.options.name && state.view.regionFor(shard) === from;
      if (isOurs) this.#parts.service.hosting.begin(shard, to);
    }
  }

  /** Goes on when there is nothing left to wait for. */
  settle(): void {
    const state = this.#state;
    if (!state.isLeaving || state.left) return;
    const { hosting, router } = this.#parts.service;
    const isBusy = hosting.isHandingOver() || router.size > 0;
    if (!isBusy || !state.isReady || state.now >= this.#deadlineAt) this.#finish();
  }

  deadline(): Instant {
    return this.#deadlineAt;
  }

  #finish(): void {
    this.#deadlineAt = Number.POSITIVE_INFINITY;
    this.#parts.service.finish();
    this.#parts.standing.leave();
    for (const caller of this.#callers.splice(0))
      this.#answer(caller, { ok: true, value: undefined });
    this.#parts.connections.closeAll("LEAVING");
  }
}
