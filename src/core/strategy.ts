/**
 * Where a strategy wants shards to be: the rule behind a plan.
 *
 *   balanced     anywhere, as long as loads are equal within one and little moves; the default
 *   rendezvous   where rendezvous hashing of its id puts it, weights respected
 *   ring         where a hash ring of the regions puts it, weights respected
 *   pinned       where it is; only pins, and regions that drain, move anything
 *   a function   where it says; what it does not place is balanced
 *
 * A strategy only names a region for each shard. Which moves lead there, and what becomes of shards
 * that it names no region for, is for `allocation.ts`. Pins come before any strategy.
 *
 * Rendezvous hashing names the same regions as `rendezvousOwner` where all weights are equal, so a client
 * that knows the members can tell where a shard is. It costs a hash for each shard and region, and is for
 * a few hundred regions; a ring costs one for each shard and is less even. With either, a region that
 * comes or goes moves only its own share, and loads differ by chance.
 *
 * A function is a stranger: it may throw, never end its answer, or name what is not there. Whatever it
 * does becomes a plan or a reason why there is none. Every region runs it on its own, so it must give the
 * same answer for the same view, everywhere.
 *
 * Sources: Thaler, Ravishankar 1998; Schindelhauer, Schomaker, "Weighted Distributed Hash Tables", 2005,
 * for weights. Rules: SPEC.md, A4.
 */
import type { Allocation } from "./effect.ts";
import { hash32 } from "./hash.ts";
import { HashRing } from "./ring.ts";
import { compareText, type PeerName, type ShardId } from "./units.ts";

/** The strategies that every peer knows. */
export const STRATEGY_NAMES = ["balanced", "rendezvous", "ring", "pinned"] as const;

export type StrategyName = (typeof STRATEGY_NAMES)[number];

/** What a function looks at. Everything is in order, so that equal views look equal. */
export interface StrategyView {
  /** The regions that may be given shards, by name: alive, and not draining unless all are. */
  readonly regions: readonly StrategyRegion[];
  /** The registered shards, by id. */
  readonly shards: readonly ShardId[];
  /** What they are allocated to now, by shard. Regions may be dead, or unknown. */
  readonly allocations: readonly Allocation[];
}

export interface StrategyRegion {
  readonly name: PeerName;
  /** Share relative to the others, 0 to 1: the largest is 1. */
  readonly weight: number;
  readonly zone: string | null;
}

/** The region of each shard that it cares about. Must be a function of its argument alone. */
export type Strategy = (
  view: StrategyView,
) => Iterable<readonly [shard: ShardId, region: PeerName]>;

/** Where shards should be, or why nobody can tell. */
export type Placement =
  | { readonly ok: true; readonly placed: ReadonlyMap<ShardId, PeerName> }
  | { readonly ok: false; readonly why: string };

const NOWHERE: ReadonlyMap<ShardId, PeerName> = new Map();

/** Asks a strategy. There must be a region; shards and regions are in order. */
export function placeShards(
  strategy: StrategyName | Strategy,
  regions: readonly StrategyRegion[],
  shards: readonly ShardId[],
  allocations: readonly Allocation[],
): Placement {
  switch (strategy) {
    case "balanced":
    case "pinned":
      return { ok: true, placed: NOWHERE };
    case "rendezvous":
      return { ok: true, placed: byRendezvous(shards, weighted(regions)) };
    case "ring":
      return { ok: true, placed: byRing(shards, weighted(regions)) };
    default:
      return byFunction(strategy, viewOf(regions, shards, allocations));
  }
}

function byRendezvous(
  shards: readonly ShardId[],
  candidates: readonly StrategyRegion[],
): Map<ShardId, PeerName> {
  const placed = new Map<ShardId, PeerName>();
  for (const shard of shards) {
    const seed = hash32(shard);
    let owner = candidates[0] as StrategyRegion;
    let highest = hash32(owner.name, seed);
    for (const candidate of candidates) {
      const lot = hash32(candidate.name, seed);
      if (!beats(candidate.weight, lot, owner.weight, highest)) continue;
      owner = candidate;
      highest = lot;
    }
    placed.set(shard, owner.name);
  }
  return placed;
}

/** Whether one lot beats another: it is the higher, or of a region that much heavier. */
function beats(weight: number, lot: number, otherWeight: number, other: number): boolean {
  if (weight === otherWeight) return lot > other;
  return weight / -Math.log(unit(lot)) > otherWeight / -Math.log(unit(other));
}

/** A hash as a number above 0 and below 1. */
function unit(hash: number): number {
  return (hash + 0.5) / 2 ** 32;
}

function byRing(
  shards: readonly ShardId[],
  regions: readonly StrategyRegion[],
): Map<ShardId, PeerName> {
  const ring = new HashRing();
  for (const { name, weight } of regions) ring.add(name, weight);
  return new Map(shards.map((shard) => [shard, ring.shardFor(shard) as PeerName]));
}

/** Regions without weight get no shards, unless none has any. */
function weighted(regions: readonly StrategyRegion[]): readonly StrategyRegion[] {
  const heavy = regions.filter(({ weight }) => weight > 0);
  return heavy.length > 0 ? heavy : regions.map((region) => ({ ...region, weight: 1 }));
}

function byFunction(strategy: Strategy, view: StrategyView): Placement {
  const names = new Set(view.regions.map(({ name }) => name));
  const shards = new Set(view.shards);
  const placed = new Map<ShardId, PeerName>();
  try {
    let count = 0;
    for (const pair of strategy(view)) {
      const [shard, region] = pair as readonly [unknown, unknown];
      count += 1;
      if (count > view.shards.length) return nonsense("names more shards than there are"); // [S4]
      if (!shards.has(shard as ShardId)) return nonsense("names a shard that is not registered");
      if (placed.has(shard as ShardId)) return nonsense("names a shard twice");
      if (!names.has(region as PeerName)) return nonsense("names a region that takes no shards");
      placed.set(shard as ShardId, region as PeerName);
    }
  } catch {
    return nonsense("has thrown, or gives no pairs of shard and region");
  }
  return { ok: true, placed };
}

function nonsense(what: string): Placement {
  return { ok: false, why: `the strategy ${what}` };
}

/** What a function is shown: a frozen copy, since it is a stranger's. */
function viewOf(
  regions: readonly StrategyRegion[],
  shards: readonly ShardId[],
  allocations: readonly Allocation[],
): StrategyView {
  const registered = new Set(shards);
  return Object.freeze({
    regions: Object.freeze(
      regions.map(({ name, weight, zone }) => Object.freeze({ name, weight, zone })),
    ),
    shards: Object.freeze([...shards]),
    allocations: Object.freeze(
      allocations
        .filter(({ shard }) => registered.has(shard))
        .sort((a, b) => compareText(a.shard, b.shard)),
    ),
  });
}
