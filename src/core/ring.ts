/**
 * The hash ring: which shard a document belongs to.
 *
 * Every shard has a number of points on a circle of 2^32 places; a document belongs to the shard
 * of the first point at or behind its own hash. A shard that comes takes documents from all others
 * and a shard that goes gives its documents to all others; nothing else moves.
 *
 * Theory of operation
 *
 * The points of a shard are a chain: the first is the hash of its id, each further one the hash of
 * its id seeded with the point before. They depend on nothing but the id and on how many there are,
 * so the ring is the same whatever came first, and a shard that gains weight only adds points. Where
 * two shards have the same point, the lower id has it.
 *
 * A lookup happens for every request, a change of the shards hardly ever. So a change only marks
 * the ring stale, and the next lookup builds it whole: points are counted into buckets by their
 * upper bits, as in a radix sort, and sorted within each. The same buckets serve as the index: with
 * twice as many buckets as points, a lookup is a hash, a bucket, and about one comparison. Binary
 * search over the same points takes twice as long.
 *
 * How many points a shard has must not depend on how many shards are present, or one shard more
 * would move the documents of all [R2]. It may depend on how many are configured, since that never
 * changes: `virtualNodesFor` chooses fewer points where there are very many shards.
 *
 * The ring knows nothing of regions: `view.ts` says where a shard is hosted.
 *
 * Source: Karger et al., "Consistent Hashing and Random Trees", STOC 1997.
 * Rules: SPEC.md, section R.
 */
import { hash32 } from "./hash.ts";
import { compareText } from "./units.ts";

/** Points of a shard of weight 1: leaves a max/mean load of 1.09 for 5 shards, 1.13 for 10. */
const VIRTUAL_NODES_DEFAULT = 150;

/** Points of one ring. At 8 bytes each, and 4 more while it is built, this is 200 MB. */
export const POINTS_MAX = 16_777_216;

/** Points that the configured shards share: 64 each for the most shards that there may be. */
const POINTS_CONFIGURED_MAX = 4_194_304;

/** More buckets than this no longer fit any cache, and a lookup gains nothing by them. */
const BUCKET_BITS_MAX = 22;

export interface HashRingOptions {
  /** Points of a shard of weight 1, 1 or more. More balance better and take more memory. Default 150. */
  readonly virtualNodes?: number;
}

/** How many virtual nodes to use where `shardCount` shards are configured: 150, fewer above 27 962. */
export function virtualNodesFor(shardCount: number): number {
  const share = Math.floor(POINTS_CONFIGURED_MAX / Math.max(1, shardCount));
  return Math.max(1, Math.min(VIRTUAL_NODES_DEFAULT, share));
}

/** How many points a shard of this weight has. */
export function pointsOf(virtualNodes: number, weight: number): number {
  return Math.max(1, Math.round(virtualNodes * weight));
}

export class HashRing {
  readonly #virtualNodes: number;
  /** How many points each shard has. */
  readonly #pointCounts = new Map<string, number>();
  #pointCount = 0;
  /** What lookups read; undefined after a change. */
  #circle: Circle | undefined;
  #changes = 0;

  constructor(options: HashRingOptions = {}) {
    const { virtualNodes = VIRTUAL_NODES_DEFAULT } = options;
    if (!Number.isSafeInteger(virtualNodes) || virtualNodes < 1) {
      throw new RangeError("Cannot make a ring: virtualNodes is not an integer from 1");
    }
    this.#virtualNodes = virtualNodes;
  }

  /**
   * Registers a shard, or gives a registered one another weight. A shard of weight 2 gets twice the
   * documents. Throws a RangeError, and changes nothing, when the ring would have over 2^24 points.
   */
  add(shard: string, weight = 1): void {
    if (typeof shard !== "string") throw new TypeError("Cannot add a shard: its id is no string");
    if (!(weight > 0)) throw new RangeError(`Cannot add "${shard}": its weight is not positive`);
    const before = this.#pointCounts.get(shard) ?? 0;
    const after = pointsOf(this.#virtualNodes, weight);
    const pointCount = this.#pointCount - before + after;
    if (pointCount > POINTS_MAX) {
      throw new RangeError(`Cannot add "${shard}": the ring would have over ${POINTS_MAX} points`);
    }
    if (after === before) return;
    this.#pointCounts.set(shard, after);
    this.#pointCount = pointCount;
    this.#circle = undefined;
    this.#changes += 1;
  }

  /** How often it has changed: while that is the same, every key belongs to the same shard. */
  get changes(): number {
    return this.#changes;
  }

  /** Takes a shard off the ring; false when it was not there. */
  remove(shard: string): boolean {
    const pointCount = this.#pointCounts.get(shard);
    if (pointCount === undefined) return false;
    this.#pointCounts.delete(shard);
    this.#pointCount -= pointCount;
    this.#circle = undefined;
    this.#changes += 1;
    return true;
  }

  /** The shard that a document belongs to; undefined while no shard is registered [R1]. */
  shardFor(key: string): string | undefined {
    const circle = this.#built();
    return circle.shards[circle.owners[indexAt(circle, hash32(key))] as number];
  }

  /**
   * The place in `shards()` of the shard that a document belongs to, for callers that keep an array
   * by shard; -1 while no shard is registered. Valid until the next `add` or `remove`.
   */
  shardIndexFor(key: string): number {
    const circle = this.#built();
    return circle.owners[indexAt(circle, hash32(key))] as number;
  }

  /**
   * The first `count` distinct shards at or behind the document in ring order, the one it belongs to
   * first; all of them when there are fewer.
   */
  replicasFor(key: string, count: number): string[] {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError("Cannot choose replicas: count is not an integer from 0");
    }
    const replicas: string[] = [];
    if (count === 0) return replicas;
    for (const shard of this.shardsFrom(key)) {
      replicas.push(shard);
      if (replicas.length === count) break;
    }
    return replicas;
  }

  /**
   * All shards in ring order from a document on, each once, the one it belongs to first. Lazy: a
   * caller that wants replicas in distinct regions stops when it has them. Walks the ring as it was
   * when the first was taken.
   */
  *shardsFrom(key: string): Generator<string, void> {
    const circle = this.#built();
    const { shards, owners } = circle;
    const pointCount = owners.length - 1;
    const start = indexAt(circle, hash32(key));
    const seen = new Set<number>();
    for (let step = 0; step < pointCount && seen.size < shards.length; step += 1) {
      const owner = owners[(start + step) % pointCount] as number;
      if (seen.has(owner)) continue;
      seen.add(owner);
      yield shards[owner] as string;
    }
  }

  /** The registered shards by id. */
  shards(): string[] {
    return [...this.#built().shards];
  }

  #built(): Circle {
    this.#circle ??= circleOf(this.#pointCounts, this.#pointCount);
    return this.#circle;
  }
}

/** The circle that was built last, and of which shards: one that begins again mostly has the same. */
let latest:
  | { readonly pointCounts: ReadonlyMap<string, number>; readonly circle: Circle }
  | undefined;

function circleOf(pointCounts: ReadonlyMap<string, number>, pointCount: number): Circle {
  if (latest === undefined || !isSame(latest.pointCounts, pointCounts)) {
    const circle = buildCircle(pointCounts, pointCount);
    latest = { pointCounts: new Map(pointCounts), circle };
  }
  return latest.circle;
}

function isSame(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  if (a.size !== b.size) return false;
  for (const [shard, count] of a) if (b.get(shard) !== count) return false;
  return true;
}

/** A built ring. `points` ascend; `owners` has for each of them an index into `shards`. */
interface Circle {
  /** Sorted by id. */
  readonly shards: readonly string[];
  /** One more than there are: the last stands behind every hash, for the way around the circle. */
  readonly points: Uint32Array;
  /** The last is the owner of the first point; -1 on an empty ring. */
  readonly owners: Int32Array;
  /** For each value of a hash's upper bits the index of the first point at or above it. */
  readonly buckets: Uint32Array;
  /** How many bits of a hash are below those. */
  readonly shift: number;
}

/** The index of the first point at or behind `hash`. */
function indexAt(circle: Circle, hash: number): number {
  const { points, buckets, shift } = circle;
  let index = buckets[hash >>> shift] as number;
  while ((points[index] as number) < hash) index += 1; // Ends at the last point at the latest.
  return index;
}

function buildCircle(pointCounts: ReadonlyMap<string, number>, pointCount: number): Circle {
  const shards = [...pointCounts.keys()].sort(compareText);
  const chained = chainPoints(shards, pointCounts, pointCount);
  const bucketBits = Math.min(BUCKET_BITS_MAX, 33 - Math.clz32(pointCount)); // 2 to 4 a point.
  const shift = 32 - bucketBits;
  const buckets = new Uint32Array(2 ** bucketBits);
  for (const point of chained) buckets[point >>> shift] = (buckets[point >>> shift] as number) + 1;
  for (let bucket = 1; bucket < buckets.length; bucket += 1) {
    buckets[bucket] = (buckets[bucket] as number) + (buckets[bucket - 1] as number);
  }
  // Every bucket now has its end, and is filled backwards until it has its start. Shards go backwards
  // too, so that of equal points the one of the lowest id comes first, and is found.
  const points = new Uint32Array(pointCount + 1);
  const owners = new Int32Array(pointCount + 1);
  let unplaced = pointCount;
  for (let owner = shards.length - 1; owner >= 0; owner -= 1) {
    for (let left = pointCounts.get(shards[owner] as string) as number; left > 0; left -= 1) {
      unplaced -= 1;
      const point = chained[unplaced] as number;
      const index = (buckets[point >>> shift] as number) - 1;
      buckets[point >>> shift] = index;
      points[index] = point;
      owners[index] = owner;
    }
  }
  sortWithinBuckets(points, owners, pointCount);
  points[pointCount] = 0xffff_ffff;
  owners[pointCount] = pointCount === 0 ? -1 : (owners[0] as number);
  return { shards, points, owners, buckets, shift };
}

/** The points of all shards, shard by shard. */
function chainPoints(
  shards: readonly string[],
  pointCounts: ReadonlyMap<string, number>,
  pointCount: number,
): Uint32Array {
  const chained = new Uint32Array(pointCount);
  let filled = 0;
  for (const shard of shards) {
    let point = 0;
    for (let left = pointCounts.get(shard) as number; left > 0; left -= 1) {
      point = hash32(shard, point); // [R4]
      chained[filled] = point;
      filled += 1;
    }
  }
  return chained;
}

/**
 * Insertion sort, stable. The buckets are in order already, so no point has further to go than to
 * the start of its own, and most hold no other.
 */
function sortWithinBuckets(points: Uint32Array, owners: Int32Array, pointCount: number): void {
  for (let index = 1; index < pointCount; index += 1) {
    const point = points[index] as number;
    if ((points[index - 1] as number) <= point) continue;
    const owner = owners[index] as number;
    let hole = index;
    for (; hole > 0 && (points[hole - 1] as number) > point; hole -= 1) {
      points[hole] = points[hole - 1] as number;
      owners[hole] = owners[hole - 1] as number;
    }
    points[hole] = point;
    owners[hole] = owner;
  }
}
