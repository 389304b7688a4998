/**
 * When this region acts on a plan, and which part of it is its own [A3].
 *
 * There is no allocator role: every region makes the same plan from the same view, claims the orphans
 * that it gives to this region, and gives away what it takes from it. So that views are the same, a
 * region waits until the members have stood still for a moment; only the shards of members that are
 * gone for good are claimed at once, since every millisecond counts and nobody else holds them.
 *
 * A plan is made anew when members change or somebody asks for it, until it has nothing left to do. Then
 * the planner rests, so that it does not undo what people allocate by hand. Orphans wake it at any time
 * [A2], and so does a handoff that it began and that comes to nothing: the plan is not carried out yet.
 *
 * While a member is suspected, or dead but not removed, nobody knows whose shards are whose, and
 * nothing moves between regions.
 *
 * Which strategy to plan by is replicated. A region that does not know it, or whose strategy fails, gives
 * nothing away; it still claims what nobody serves, by a plan that moves as little as any. And whatever a
 * strategy says, no region gives one shard away again and again for one reason: a plan that wants it back
 * and forth does not know what it wants [L4].
 *
 * Deliberately absent: the plan itself (`allocation.ts`).
 */
import { type Move, type Plan, type PlanOptions, type PlanView, tryPlan } from "./allocation.ts";
import type { Allocation } from "./effect.ts";
import { SETTINGS } from "./founding.ts";
import type { MemberState } from "./membership.ts";
import type { PeerState } from "./peer-state.ts";
import type { PlanSettings } from "./plan-settings.ts";
import { STRATEGY_NAMES } from "./strategy.ts";
import type { Instant, PeerName, ShardId } from "./units.ts";
import { ALLOCATIONS, encodeAllocation, type View } from "./view.ts";

/** How often a region gives one shard away for one reason: unequal views may bring it back once or twice. */
const GIVES_MAX = 4;

/** How often the same moves of others are looked at before these are asked, at least, and how many times more. */
const LOOKS_MIN = 3;
const LOOKS_MORE_MAX = 20;

export class Planner {
  readonly #state: PeerState;
  /** When to plan next; Infinity while the planner rests. */
  #planAt: Instant = Number.POSITIVE_INFINITY;
  /** When to look again for orphans that others should have claimed; Infinity if there were none. */
  #claimAt: Instant = Number.POSITIVE_INFINITY;

  /** How long it waits for them, in ms: doubled each time. */
  #claimWaitMs = 0;

  /** What this region has given away for the present reason. */
  readonly #given = new Map<ShardId, number>();

  /** Shards whose last way from here a plan began, whatever has been a reason to plan since. */
  readonly #begun = new Set<ShardId>();

  /** What others should do by the last plans, which have been the same so many times. */
  #left = "";
  #leftCount = 0;
  /** The members among whom this region has asked the others to plan. */
  #askedAmong: readonly MemberState[] | undefined;

  /** Why no plan was made the last time; undefined when one was. */
  #why: string | undefined;

  readonly #give: (shard: ShardId, to: PeerName) => void;

  /** `give` gives a shard of this region away: at once, or in a handoff. Default: at once. */
  constructor(state: PeerState, give?: (shard: ShardId, to: PeerName) => void) {
    this.#state = state;
    this.#give =
      give ?? ((shard, to) => void state.write(ALLOCATIONS, shard, encodeAllocation(to)));
  }

  /** Wakes the planner: the members changed, or a user asked. */
  wake(): void {
    this.#planAt = this.#state.now + this.#settleMs;
  }

  /** What follows from everything that happened in this step. */
  settle(): void {
    const state = this.#state;
    if (state.membersChanged) {
      this.wake();
      this.#given.clear();
    }
    const returned = state.returned.splice(0).filter((shard) => this.#begun.delete(shard));
    // Its messages have waited for a whole handoff: before the next one they are served for as long.
    if (returned.length > 0) {
      this.#planAt = Math.min(this.#planAt, state.now + state.timings.handoffMs);
    }
    if (!state.isReady || state.isStale) return; // [A9] What it missed may be its own removal.
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
    this.#planAt = Number.POSITIVE_INFINITY;
    const plan = planOf(state);
    this.#noticeFailure(plan.ok ? undefined : plan.why);
    if (plan.ok && plan.moves.length === 0) {
      // Regions that began by unequal views give shards to each other: that shows when all have arrived.
      if (state.view.successions().size > 0) this.wake();
      return;
    }
    this.#claim(true);
    // [A3] Who cannot run the strategy makes no move.
    if (plan.ok && this.#giveAway(plan.moves)) this.wake();
  }

  deadline(): Instant {
    if (!this.#state.isReady || this.#state.isStale) return Number.POSITIVE_INFINITY;
    return Math.min(this.#planAt, this.#claimAt);
  }

  get #settleMs(): number {
    return this.#state.timings.planSettleMs;
  }

  /**
   * Claims the orphans that the plan gives to this region. False when others have some to claim: they
   * may see another plan, in which those are not theirs.
   */
  #claim(isSettled: boolean): boolean {
    const { name } = this.#state.options;
    let isDone = true;
    for (const { shard, from, to } of movesOf(this.#state)) {
      if (from !== undefined && this.#isHeld(from, isSettled)) {
        isDone &&= this.#isHeld(from, true);
      } else if (to === name) this.#state.write(ALLOCATIONS, shard, encodeAllocation(name));
      else isDone = false;
    }
    return this.#inherit() && isDone;
  }

  /** [H0] Takes the shards that a region was giving to this one when it died; false if others have to. */
  #inherit(): boolean {
    const { view, options } = this.#state;
    let isDone = true;
    for (const [shard, successor] of view.successions()) {
      const { membership } = view;
      const isOrphan = membership.get(view.regionFor(shard) ?? "")?.removed === true;
      if (!isOrphan || membership.get(successor)?.removed !== false) continue;
      if (successor === options.name) {
        this.#state.write(ALLOCATIONS, shard, encodeAllocation(options.name));
      } else isDone = false;
    }
    return isDone;
  }

  /** Carries out this region's part. False when there is no point in planning on. */
  #giveAway(moves: readonly Move[]): boolean {
    const { options, view } = this.#state;
    const isUnclear = view.membership
      .all()
      .some(({ status, removed }) => !removed && (status === "suspect" || status === "dead"));
    if (isUnclear) return true;
    // A shard that is only on its way to this region is still its present region's to give.
    const own = moves.filter(({ from, shard }) => {
      return from === options.name && view.regionFor(shard) === from;
    });
    if (own.some(({ shard }) => (this.#given.get(shard) ?? 0) >= GIVES_MAX)) {
      this.#noticeFailure("the strategy moves shards back and forth"); // [L4]
      return false;
    }
    if (own.length === 0) this.#remind(moves);
    for (const shard of this.#begun) {
      if (view.regionFor(shard) !== options.name) this.#begun.delete(shard); // It has arrived.
    }
    for (const { shard, to } of own) {
      this.#begun.add(shard);
      this.#given.set(shard, (this.#given.get(shard) ?? 0) + 1);
      this.#give(shard, to);
    }
    return true;
  }

  /**
   * [A5] Regions that plan by unequal views give shards to each other, and one that rests by then may have got
   * too many. Who still plans sees that nobody does anything about it, and asks all to plan anew: once among
   * the same members, or a strategy that never rests would never be let rest [L4]. Mostly one does so, since
   * those of higher names wait longer.
   */
  #remind(moves: readonly Move[]): void {
    const { view, options } = this.#state;
    const left = moves.map(({ shard, from, to }) => `${shard} ${from} ${to}`).join();
    const isMoving = view.successions().size > 0;
    this.#leftCount = left === this.#left && !isMoving ? this.#leftCount + 1 : 0;
    this.#left = left;
    const members = view.membership.all();
    const rank = members.findIndex(({ name }) => name === options.name);
    if (this.#leftCount < LOOKS_MIN + Math.min(rank, LOOKS_MORE_MAX)) return;
    if (this.#askedAmong === members) return;
    this.#askedAmong = members;
    this.#state.write(SETTINGS, REBALANCE_KEY, [options.name]);
  }

  /** Says once why this region moves nothing, and again when that has changed. */
  #noticeFailure(why: string | undefined): void {
    if (why !== undefined && why !== this.#why) {
      this.#state.warn("HANDLER_FAILED", `Moving no shards: ${why}`);
    }
    this.#why = why;
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

/** The plan by what is agreed on, or by `settings` in its place, or why there is none. */
export function planOf(
  state: PeerState,
  view: PlanView = planView(state),
  settings: PlanSettings | undefined = state.view.planSettings(),
): Plan {
  const strategy = settings && strategyNamed(state, settings.strategy);
  if (strategy === undefined) return { ok: false, why: "this peer does not know the strategy" };
  return tryPlan(view, { strategy, movesMax: settings?.movesMax ?? Number.POSITIVE_INFINITY });
}

/**
 * The moves of that plan; where there is none, those that cannot wait: of what nobody serves. Nothing
 * goes to a suspect [F1], which may not even hear of it, nor to a region that is `leaving`.
 */
export function movesOf(state: PeerState, leaving?: PeerName): readonly Move[] {
  const view = prudentView(state, leaving);
  const settings = state.view.planSettings();
  // What is nobody's, or drains, is not what a budget of moves is for.
  const plan = planOf(state, view, settings && { ...settings, movesMax: null });
  if (plan.ok) return plan.moves;
  const last = tryPlan(view, { strategy: "pinned" });
  return last.ok ? last.moves : [];
}

function strategyNamed({ options }: PeerState, name: string): PlanOptions["strategy"] {
  return STRATEGY_NAMES.find((each) => each === name) ?? options.strategies?.get(name);
}

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
  const allocations = counted(view);
  return { regions, shards: view.shards(), allocations, pins: view.pins() };
}

/**
 * [H0] A shard in handoff counts for its successor, while that can take it: no plan moves it back, and
 * should its region die, no plan gives it to anybody else.
 */
function counted(view: View): Allocation[] {
  const successions = view.successions();
  if (successions.size === 0) return view.allocations();
  return view.allocations().map((allocation) => {
    const successor = successions.get(allocation.shard);
    const member = successor === undefined ? undefined : view.membership.get(successor);
    const isThere = member !== undefined && !member.removed;
    return successor !== undefined && isThere ? { ...allocation, region: successor } : allocation;
  });
}

function prudentView(state: PeerState, leaving: PeerName | undefined): PlanView {
  const { membership } = state.view;
  const view = planView(state);
  const isTaking = (region: PeerName): boolean =>
    region !== leaving && membership.get(region)?.status === "alive";
  const regions = view.regions.map((region) =>
    isTaking(region.name) ? region : { ...region, draining: true },
  );
  return { ...view, regions };
}
