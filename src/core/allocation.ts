/**
 * The planner: which shards should move where, from what everybody knows.
 *
 * There is no allocator. Each region computes the same plan from the same view and carries out
 * its own part of it: it gives away what the plan takes from it, and claims what the plan gives to
 * it and nobody alive holds. So the plan must be a pure function of the view, whatever order its
 * parts come in, and a table that it has produced must need no further plan.
 *
 * Theory of operation
 *
 * First every region gets a target: its share by weight, rounded down or up. Who is rounded up is
 * decided for the least movement: first regions that would otherwise give a shard away, then those
 * with the larger remainder, then the lower name. How many shards a region has plays no further part:
 * regions carry out their parts one after another, and who comes later must find the same targets.
 * Any table in which each load is its share rounded either way is its own target, so a balanced table
 * is left alone.
 *
 * Then shards are taken from the regions that have most above their target, and given to those that
 * have most below, one at a time, so that a plan cut short by `movesMax` has done the best that so
 * many moves can do. Shards of nobody alive are given out before all others.
 *
 * A pinned shard belongs to its region's load, and raises its target if need be; the others share
 * what is left. A strategy is nothing but pins that give way to those of people: what it places is bound
 * to a region, and what it leaves open is balanced as above, or kept where it is. A region that is draining, or not alive, has target 0. If all that live are draining
 * they still take the shards of nobody, since a shard without a region serves no one, but nothing
 * moves between them.
 *
 * Zones play no part: a shard has one region. They matter to replicas, which `view.ts` chooses.
 *
 * Cost: linear in shards, times logarithm in regions; strategies add their own.
 * Rules: SPEC.md, section A (A2 to A5).
 */
import type { Allocation } from "./effect.ts";
import { placeShards, STRATEGY_NAMES, type Strategy, type StrategyName } from "./strategy.ts";
import { compareText, type PeerName, type ShardId } from "./units.ts";

/** What the planner looks at. The order of the arrays does not matter. */
export interface PlanView {
  readonly regions: readonly PlanRegion[];
  /** The registered shards. Allocations and pins of others are ignored. */
  readonly shards: readonly ShardId[];
  /** At most one for each shard. */
  readonly allocations: readonly Allocation[];
  /** Shards that belong to a certain region while it can take them; balanced otherwise. */
  readonly pins?: readonly Pin[];
}

export interface PlanRegion {
  readonly name: PeerName;
  readonly alive: boolean;
  /** Share of the shards relative to other regions; what is not a positive number counts as 0. Default 1. */
  readonly weight?: number;
  readonly zone?: string | null;
  /** Gives all its shards away. Default false. */
  readonly draining?: boolean;
}

export interface Pin {
  readonly shard: ShardId;
  readonly region: PeerName;
}

/** One shard that should change its region. */
export interface Move {
  readonly shard: ShardId;
  /** Absent when the shard has no allocation. May be dead, or unknown. */
  readonly from?: PeerName;
  readonly to: PeerName;
}

export interface PlanOptions {
  /**
   * `balanced` (the default): least movement that makes loads equal within one, weights respected.
   * `rendezvous` and `ring`: by hashing. `pinned`: only pins move. Or a function that says where.
   */
  readonly strategy?: StrategyName | Strategy;
  /** Moves between alive regions, at most. Claims of shards of nobody alive are not limited. Default none. */
  readonly movesMax?: number;
}

/** Shares closer than this to an integer are that integer: they were rounded on the way. */
const SHARE_TOLERANCE = 1e-9;

/** An alive region while a plan is made. */
interface Holder {
  readonly name: PeerName;
  /** 0 to 1: the largest is 1. */
  readonly weight: number;
  readonly zone: string | null;
  /** False while it drains and others can take its shards. */
  readonly takes: boolean;
  /** Shards that it holds and that no pin binds, by id. */
  readonly free: ShardId[];
  /** How many shards pins bind to it, wherever they still are. */
  pinnedCount: number;
  /** How many shards it should have. */
  target: number;
}

/** A plan, or why a strategy has none. */
export type Plan =
  | { readonly ok: true; readonly moves: Move[] }
  | { readonly ok: false; readonly why: string };

/**
 * The moves that turn the view's allocations into the table that the strategy wants: first the claims of
 * shards that nobody alive holds, then the moves between alive regions. Nothing when no region is alive.
 * Throws a RangeError for a strategy that throws or names what is not there, and for a bad `movesMax`.
 */
export function planMoves(view: PlanView, options: PlanOptions = {}): Move[] {
  if (!((options.movesMax ?? 0) >= 0)) {
    throw new RangeError("Cannot plan: movesMax is not a number from 0");
  }
  const { strategy = "balanced" } = options;
  if (typeof strategy !== "function" && !STRATEGY_NAMES.includes(strategy)) {
    throw new RangeError("Cannot plan: the strategy is unknown");
  }
  const plan = tryPlan(view, options);
  if (!plan.ok) throw new RangeError(`Cannot plan: ${plan.why}`);
  return plan.moves;
}

/** The same, for whoever must go on whatever the strategy does. */
export function tryPlan(view: PlanView, options: PlanOptions = {}): Plan {
  const { strategy = "balanced", movesMax = Number.POSITIVE_INFINITY } = options;
  const holders = aliveHolders(view.regions);
  const takers = [...holders.values()].filter((holder) => holder.takes);
  if (takers.length === 0) return { ok: true, moves: [] };
  const shards = [...new Set(view.shards)].sort(compareText);
  const placement = placeShards(strategy, takers, shards, view.allocations);
  if (!placement.ok) return placement;
  const { orphans, claims, moves } = sortOut(shards, view, holders, placement.placed);
  setTargets(takers, shards.length);

  const places = turns(takers, (taker) => -excess(taker)).values();
  const nextPlace = (): PeerName => (places.next().value as Holder).name;
  // [A2] Before all others: these shards are served by nobody.
  for (const { shard, from } of orphans) claims.push(move(shard, from, nextPlace()));
  // [A4] Who only pins moves nothing else, but for what a region that drains gives away.
  const givers = [...holders.values()].filter(({ takes }) => strategy !== "pinned" || !takes);
  for (const giver of turns(givers, excess)) {
    moves.push(move(giver.free.pop() as ShardId, giver.name, nextPlace()));
  }
  const allDrain = view.regions.every((region) => !region.alive || region.draining);
  return { ok: true, moves: [...claims, ...moves.slice(0, allDrain ? 0 : movesMax)] };
}

function move(shard: ShardId, from: PeerName | undefined, to: PeerName): Move {
  return from === undefined ? { shard, to } : { shard, from, to };
}

/** How many shards a region has above its target; negative below it. */
function excess(holder: Holder): number {
  return holder.pinnedCount + holder.free.length - holder.target;
}

/** The alive regions by name, in the order of their names: sums of weights depend on the order. */
function aliveHolders(regions: readonly PlanRegion[]): Map<PeerName, Holder> {
  const alive = regions
    .filter((region) => region.alive)
    .sort((a, b) => compareText(a.name, b.name));
  const allDrain = alive.every((region) => region.draining);
  const weights = alive.map(({ weight = 1 }) =>
    weight > 0 && Number.isFinite(weight) ? weight : 0,
  );
  const weightMax = weights.reduce((a, b) => Math.max(a, b), 0);
  return new Map(
    alive.map(({ name, draining = false, zone = null }, index) => [
      name,
      {
        name,
        zone,
        weight: weightMax === 0 ? 1 : (weights[index] as number) / weightMax,
        takes: allDrain || !draining,
        free: [],
        pinnedCount: 0,
        target: 0,
      },
    ]),
  );
}

interface Sorted {
  /** Shards that nobody alive holds and no pin binds. */
  readonly orphans: { readonly shard: ShardId; readonly from: PeerName | undefined }[];
  /** Pinned shards that nobody alive holds. */
  readonly claims: Move[];
  /** Pinned shards that another alive region holds. */
  readonly moves: Move[];
}

/** Gives each shard to its holder, where it is bound to, or to the orphans. `shards` are in order. */
function sortOut(
  shards: readonly ShardId[],
  view: PlanView,
  holders: ReadonlyMap<PeerName, Holder>,
  placed: ReadonlyMap<ShardId, PeerName>,
): Sorted {
  const regions = new Map(view.allocations.map(({ shard, region }) => [shard, region]));
  const pins = new Map((view.pins ?? []).map(({ shard, region }) => [shard, region]));
  const sorted: Sorted = { orphans: [], claims: [], moves: [] };
  for (const shard of shards) {
    const from = regions.get(shard);
    const holder = holders.get(from as PeerName);
    // [A4] A pin to no region that could take the shard does not count for now.
    const byPin = holders.get(pins.get(shard) as PeerName);
    const pinned = byPin?.takes ? byPin : holders.get(placed.get(shard) as PeerName);
    if (pinned?.takes) {
      pinned.pinnedCount += 1;
      if (pinned === holder) continue;
      const there = move(shard, from, pinned.name);
      if (holder === undefined) sorted.claims.push(there);
      else sorted.moves.push(there);
    } else if (holder === undefined) sorted.orphans.push({ shard, from });
    else holder.free.push(shard);
  }
  return sorted;
}

/** Sets the targets of the regions that take shards. They add up to `shardCount`. */
function setTargets(takers: readonly Holder[], shardCount: number): void {
  let sharing = takers;
  let remaining = shardCount;
  for (;;) {
    const share = sharesOf(sharing, remaining);
    const full = sharing.filter((taker) => taker.pinnedCount > share(taker) + SHARE_TOLERANCE);
    if (full.length === 0) {
      roundShares(sharing, remaining, share);
      return;
    }
    // What pins bind to these is above their share. The others share what is left of the whole.
    for (const taker of full) {
      taker.target = taker.pinnedCount;
      remaining -= taker.target;
    }
    sharing = sharing.filter((taker) => !full.includes(taker));
  }
}

/** How a number of shards divides among regions by weight: evenly where all weights are 0. */
function sharesOf(sharing: readonly Holder[], shardCount: number): (taker: Holder) => number {
  const weightSum = sharing.reduce((sum, taker) => sum + taker.weight, 0);
  return weightSum === 0
    ? () => shardCount / sharing.length
    : (taker) => (shardCount * taker.weight) / weightSum;
}

/** [A5] Rounds each share down or up for the least movement, so that the targets add up. */
function roundShares(
  sharing: readonly Holder[],
  shardCount: number,
  share: (taker: Holder) => number,
): void {
  const rounded = sharing.map((taker) => {
    taker.target = Math.floor(share(taker) + SHARE_TOLERANCE);
    const remainder = share(taker) - taker.target;
    // Rounded down, it would have to give a shard away.
    const keeps = excess(taker) > 0 && remainder > SHARE_TOLERANCE;
    return { taker, remainder, keeps };
  });
  const left = rounded.reduce((rest, { taker }) => rest - taker.target, shardCount);
  rounded.sort(
    (a, b) =>
      Number(b.keeps) - Number(a.keeps) ||
      b.remainder - a.remainder ||
      compareText(a.taker.name, b.taker.name),
  );
  for (const { taker } of rounded.slice(0, left)) taker.target += 1;
}

/**
 * Each region as often as `countOf` says, the one with most left to come always next: for counts
 * of 3, 1 and 1 a, a, then a, b, c.
 */
function turns(holders: readonly Holder[], countOf: (holder: Holder) => number): Holder[] {
  const counted = holders
    .map((holder) => ({ holder, count: countOf(holder) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count || compareText(a.holder.name, b.holder.name));
  const order: Holder[] = [];
  let reached = 0;
  for (let level = counted[0]?.count ?? 0; level > 0; level -= 1) {
    while ((counted[reached]?.count ?? 0) >= level) reached += 1;
    for (const { holder } of counted.slice(0, reached)) order.push(holder);
  }
  return order;
}
