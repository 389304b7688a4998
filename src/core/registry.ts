/**
 * Which shards there are: those of the configuration, those registered since, without those removed.
 *
 * Theory of operation
 *
 * `shard-0` to `shard-(n-1)` are there from the beginning and written by nobody. Further ones are rows of
 * the map `shards`. A removal is a row of its own in the map `removals`, for either kind, and it is
 * final: a shard is there if it was registered and *nobody has ever* removed it. Were a removal an
 * overwrite or a deletion of the registration instead, a peer that has not heard of it could register
 * the shard again with a later stamp, and an era could forget it; an id whose documents are gone would
 * be alive again. So both maps only grow, and which came first does not matter.
 *
 * The id of a registered shard is a hash of the caller's key, so that peers which register one key at the
 * same time register one shard. A key whose shard was removed gets the next id of its own sequence: the
 * hash is keyed by the generation, and that of the first one that was not removed is the shard's.
 *
 * The ring follows. It has room for a number of points; should the maps hold more shards than that,
 * which no honest peer lets happen, the first by id that fit are there, at every peer the same.
 *
 * Rules: SPEC.md, R1, R2 and R6.
 */
import { Hash64, hexOf } from "./hash.ts";
import type { Entry, Value } from "./message.ts";
import { HashRing, POINTS_MAX, pointsOf, virtualNodesFor } from "./ring.ts";
import { compareText, type ShardId } from "./units.ts";

/** The replicated maps of registered shards, and of removed ones. */
export const SHARDS = "shards";
export const REMOVALS = "removals";

/** What a shard weighs on the ring, compared with one of the configuration. */
const SHARD_WEIGHT_MIN = 1 / 16;
export const SHARD_WEIGHT_MAX = 16;

/** The ids that keys are hashed to. */
const REGISTERED_PATTERN = /^shard-[0-9a-f]{16}$/;

/** Shards that have come and gone. */
export interface RegistryChanges {
  readonly added: readonly ShardId[];
  readonly removed: readonly ShardId[];
}

/** The id that a key has in a generation, 0 for the first. Equal at every peer. */
export function shardIdOf(key: string, generation: number): ShardId {
  const hash = new Hash64();
  hash.reset(generation, 0);
  hash.text(key);
  hash.finish();
  return `shard-${hexOf(hash.high)}${hexOf(hash.low)}`;
}

/** The value of a `shards` entry. Later versions append fields. */
export function encodeShard(weight: number): Value {
  return [weight];
}

/** Whether a number can be a shard's weight. */
export function isShardWeight(value: unknown): value is number {
  return typeof value === "number" && value >= SHARD_WEIGHT_MIN && value <= SHARD_WEIGHT_MAX;
}

export class Registry {
  readonly ring: HashRing;
  readonly #virtualNodes: number;
  /** Weight by shard, of the configuration and of `shards`, removed ones included. */
  readonly #known = new Map<ShardId, number>();
  readonly #removed = new Set<ShardId>();
  /** Weight by shard of those on the ring. */
  readonly #present = new Map<ShardId, number>();
  /** Sorted by id; undefined after a change. */
  #sorted: readonly ShardId[] | undefined;
  readonly #touched = new Set<ShardId>();
  /** Points that all shards which should be there would have. */
  #points = 0;
  /** Some of them did not fit. */
  #isTruncated = false;

  constructor(shardCount: number) {
    this.#virtualNodes = virtualNodesFor(shardCount);
    this.ring = new HashRing({ virtualNodes: this.#virtualNodes });
    for (let number = 0; number < shardCount; number += 1) {
      this.#learn(`shard-${number}`, 1); // [R6] Written by nobody.
    }
    this.settle();
  }

  /** The shards that are there, by id. Not to be changed. */
  shards(): readonly ShardId[] {
    this.#sorted ??= [...this.#present.keys()].sort(compareText);
    return this.#sorted;
  }

  /** How many shards are there. */
  get size(): number {
    return this.#present.size;
  }

  has(shard: ShardId): boolean {
    return this.#present.has(shard);
  }

  /** The weight of a shard that is there. */
  weightOf(shard: ShardId): number | undefined {
    return this.#present.get(shard);
  }

  isRemoved(shard: ShardId): boolean {
    return this.#removed.has(shard);
  }

  /** Whether the ring has room for one more shard of this weight. */
  fits(weight: number): boolean {
    return this.#points + this.#pointsOf(weight) <= POINTS_MAX;
  }

  /** The id that a key stands for now: one that is there, or that may be registered [R6]. */
  idOf(key: string): ShardId {
    for (let generation = 0; ; generation += 1) {
      const shard = shardIdOf(key, generation);
      if (!this.#removed.has(shard)) return shard;
    }
  }

  /** Takes in an entry that won. Takes effect with `settle`. */
  apply(map: string, { key, value }: Entry): void {
    if (map === REMOVALS) {
      this.#remove(key);
      return;
    }
    if (!REGISTERED_PATTERN.test(key)) return;
    const weight = Array.isArray(value) ? (value as Value[])[0] : undefined;
    // What nobody can read registers nothing: what is there must follow from the maps alone.
    this.#learn(key, isShardWeight(weight) ? weight : undefined);
  }

  /** Puts what was applied into effect; says which shards have come and gone by it. */
  settle(): RegistryChanges {
    const changes = { added: [] as ShardId[], removed: [] as ShardId[] };
    if (this.#touched.size === 0) return changes;
    const isFull = this.#points > POINTS_MAX;
    const wanted = isFull || this.#isTruncated ? this.#fitting() : undefined;
    const all = () => new Set([...this.#known.keys(), ...this.#present.keys()]);
    const concerned = wanted === undefined ? this.#touched : all();
    const weightOf = (shard: ShardId): number | undefined =>
      (wanted?.has(shard) ?? !this.#removed.has(shard)) ? this.#known.get(shard) : undefined;
    // Those that go, or lose weight, make room for those that come.
    const order = [...concerned].sort((a, b) => this.#gain(a, weightOf) - this.#gain(b, weightOf));
    for (const shard of order) this.#place(shard, weightOf(shard), changes);
    this.#isTruncated = isFull;
    this.#touched.clear();
    return changes;
  }

  #learn(shard: ShardId, weight: number | undefined): void {
    const before = this.#known.get(shard);
    if (weight === undefined) this.#known.delete(shard);
    else this.#known.set(shard, weight);
    this.#touched.add(shard);
    if (!this.#removed.has(shard)) this.#points += this.#pointsOf(weight) - this.#pointsOf(before);
  }

  #pointsOf(weight: number | undefined): number {
    return weight === undefined ? 0 : pointsOf(this.#virtualNodes, weight);
  }

  /** [R6] For good: no registration, before or after, brings it back. */
  #remove(shard: ShardId): void {
    if (this.#removed.has(shard)) return;
    this.#removed.add(shard);
    this.#points -= this.#pointsOf(this.#known.get(shard));
    this.#touched.add(shard);
  }

  #place(
    shard: ShardId,
    weight: number | undefined,
    changes: { readonly added: ShardId[]; readonly removed: ShardId[] },
  ): void {
    const before = this.#present.get(shard);
    if (before === weight) return;
    if (weight === undefined) {
      this.#present.delete(shard);
      this.ring.remove(shard);
      changes.removed.push(shard);
    } else {
      this.#present.set(shard, weight);
      this.ring.add(shard, weight);
      if (before === undefined) changes.added.push(shard);
    }
    if (before === undefined || weight === undefined) this.#sorted = undefined;
  }

  /** What a shard would weigh more than it does. */
  #gain(shard: ShardId, weightOf: (shard: ShardId) => number | undefined): number {
    return (weightOf(shard) ?? 0) - (this.#present.get(shard) ?? 0);
  }

  /** The first shards by id that fit on the ring. */
  #fitting(): Set<ShardId> {
    const fitting = new Set<ShardId>();
    let points = 0;
    for (const shard of [...this.#known.keys()].sort(compareText)) {
      if (this.#removed.has(shard)) continue;
      points += this.#pointsOf(this.#known.get(shard));
      if (points > POINTS_MAX) break;
      fitting.add(shard);
    }
    return fitting;
  }
}
