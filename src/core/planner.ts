/**
 * When this region acts on a plan, and which part of it is its own [A3].
 *
 * There is no allocator role: every region makes the same plan from the same view, claims the orphans
 * that it gives to this region, and gives away what it takes from it. So that views are the same, a
 * region waits until the members have stood still for a moment; only the shards of members that are
 * gone for good are claimed at once, since every millisecond counts and nobody else holds them.
 *
 * A plan is made anew when members change or somebody asks for it, until it has nothing left to do. Then the planner rests, so
 * that it does not undo what people allocate by hand. Orphans wake it at any time [A2].
 *
 * While a member is suspected, or dead but not removed, nobody knows whose shards are whose, and
 * nothing moves between regions.
 *
 * Deliberately absent: the plan itself (`allocation.ts`).
 */
import { type Move, type PlanView, planMoves } from "./allocation.ts";
import type { PeerState } from "./peer-state.ts";
import type { Instant } from "./units.ts";
import { ALLOCATIONS, encodeAllocation } from "./view.ts";

export class Planner {
  readonly #state: PeerState;
  /** When to plan next; Infinity while the planner rests. */
  #planAt: Instant = Number.POSITIVE_INFINITY;
  /** When to look again for orphans that others should have claimed; Infinity if there were none. */
  #claimAt: Instant = Number.POSITIVE_INFINITY;

  /** How long it waits for them, in ms: doubled each time. */
  #claimWaitMs = 0;

  constructor(state: PeerState) {
    this.#state = state;
  }

  /** Plans now, as after a change of members; returns the moves of the whole cluster. */
  plan(): Move[] {
    return planMoves(planView(this.#state));
  }

  /** Wakes the planner: the members changed, or a user asked. */
  wake(): void {
    this.#planAt = this.#state.now + this.#settleMs;
  }

  /** What follows from everything that happened in this step. */
  settle(): void {
    const state = this.#state;
    if (state.membersChanged) this.wake();
    if (!state.isReady) return;
    const { now } = state;
    if (state.orphaned || now >= this.#claimAt) {
      // The others' claims take a round trip; a region that does not answer may take long.
      this.#claimWaitMs = state.orphaned
        ? this.#settleMs / 10
        : Math.min(2 * this.#claimWaitMs, 2 * this.#settleMs);
      state.orphaned = false;
      const isDone = this.#claim(false);
      this.#claimAt = isDone ? Number.POSITIVE_INFINITY : now + this.#claimWaitMs;
    }
    if (now < this.#planAt) return;
    const moves = this.plan();
    if (moves.length === 0) {
      this.#planAt = Number.POSITIVE_INFINITY;
      return;
    }
    this.#claim(true);
    this.#giveAway(moves);
    this.wake();
  }

  deadline(): Instant {
    if (!this.#state.isReady) return Number.POSITIVE_INFINITY;
    return Math.min(this.#planAt, this.#claimAt);
  }

  get #settleMs(): number {
    return this.#state.timings.planSettleMs;
  }

  /**
   * Claims the orphans that the plan gives to this region. False when others have some to claim: they
   * may see another plan, in which those are not theirs. A suspect gets none [F1]: it may not even
   * hear of it.
   */
  #claim(isSettled: boolean): boolean {
    const { name } = this.#state.options;
    const view = planView(this.#state);
    const { membership } = this.#state.view;
    const regions = view.regions.map((region) =>
      membership.get(region.name)?.status === "alive" ? region : { ...region, draining: true },
    );
    const moves = planMoves({ ...view, regions });
    let isDone = true;
    for (const { shard, from, to } of moves) {
      if (from !== undefined && this.#isHeld(from, isSettled)) {
        isDone &&= this.#isHeld(from, true);
      } else if (to === name) this.#state.write(ALLOCATIONS, shard, encodeAllocation(name));
      else isDone = false;
    }
    return isDone;
  }

  #giveAway(moves: readonly Move[]): void {
    const { options, view } = this.#state;
    const isUnclear = view.membership
      .all()
      .some(({ status, removed }) => !removed && (status === "suspect" || status === "dead"));
    if (isUnclear) return;
    for (const { shard, from, to } of moves) {
      if (from === options.name) this.#state.write(ALLOCATIONS, shard, encodeAllocation(to));
    }
  }

  /**
   * Whether a region's shards are its own: it is a member that is not gone for good. The row of an
   * unknown one may still be on its way, so it is waited for until the view has settled.
   */
  #isHeld(region: string, isSettled: boolean): boolean {
    const member = this.#state.view.membership.get(region);
    return member === undefined ? !isSettled : !member.removed;
  }
}

/** The key in `settings` by whose writing somebody asks all regions to plan anew. */
export const REBALANCE_KEY = "rebalance";

/**
 * The view as the planner looks at it. Suspect and dead regions keep their shards until they are
 * removed, so they count as alive here [F1, F9].
 */
export function planView({ view }: PeerState): PlanView {
  const regions = view.membership.all().map(({ name, row, removed }) => ({
    name,
    alive: !removed,
    weight: row.weight,
    zone: row.zone,
    draining: row.draining,
  }));
  return { regions, shards: view.shards(), allocations: view.allocations() };
}
