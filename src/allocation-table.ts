/**
 * The table of which region hosts which shard, for use alone: without peers, sockets or timers.
 *
 * It is for those who bring their own way of carrying bytes from one process to another: call
 * `snapshot()` here and `mergeRemote()` there, in any order, as often as you like, and tables that
 * have seen the same writes are equal. Peers keep the same table, and a peer's snapshot is one that
 * this class can merge, and the other way round.
 *
 * Theory of operation
 *
 * A last-writer-wins map under a hybrid clock. Merging raises the clock, so that a write supersedes
 * everything its writer has seen, however wrong the wall clocks are; an entry from too far in the future
 * is skipped, since it would pin its shard and drag the clock along. A release is an entry as well, and no
 * older allocation brings the shard back. Two tables that write in the same moment are told apart by
 * their writers.
 *
 * Beside the map stands what it says, shard by shard, so that a look-up is one look-up. Entries that
 * this version cannot read are kept and passed on, but name no region.
 *
 * Rules: SPEC.md, sections C, M, A1 and R5.
 */
import { isWellFormed } from "./core/canonical.ts";
import { HybridClock } from "./core/clock.ts";
import type { Allocation } from "./core/effect.ts";
import { HearsayError } from "./core/error.ts";
import { Hash64, hexOf } from "./core/hash.ts";
import { WRITER_LENGTH_MAX } from "./core/limits.ts";
import { LwwMap } from "./core/lww-map.ts";
import type { Entry, Value } from "./core/message.ts";
import type { Released } from "./core/shard-state.ts";
import { NAME_PATTERN, type PeerName, type ShardId, type WallMs } from "./core/units.ts";
import { ALLOCATIONS, byShard, encodeAllocation, regionOf } from "./core/view.ts";
import { createIncarnation } from "./io/incarnation.ts";
import { decodeSnapshot, encodeSnapshot } from "./wire/codec.ts";

export interface AllocationTableOptions {
  /** Who writes here, 1 to 96 characters. No two tables may share one. Default: a fresh unique id. */
  readonly writer?: string;
  /** The wall clock, in Unix ms. Default `Date.now`. */
  readonly wallMs?: () => WallMs;
  /** How far ahead of the wall clock a merged entry may be, in ms, 0 or more. Default 5000. */
  readonly maxDriftMs?: number;
}

export class AllocationTable {
  readonly #writer: string;
  readonly #wallMs: () => WallMs;
  readonly #clock: HybridClock;
  readonly #map = new LwwMap<Value>();
  /** What the map says, for every shard that has a region. */
  readonly #allocations = new Map<ShardId, Allocation>();

  /** Makes an empty table. Throws TypeError or RangeError for options out of range. */
  constructor(options: AllocationTableOptions = {}) {
    const { wallMs = Date.now, writer = createIncarnation(wallMs()), maxDriftMs } = options;
    if (typeof writer !== "string" || writer.length === 0 || writer.length > WRITER_LENGTH_MAX) {
      const wanted = `a string of 1 to ${WRITER_LENGTH_MAX} characters`;
      throw new TypeError(`Cannot make a table: writer is not ${wanted}`);
    }
    if (!isWellFormed(writer)) {
      throw new TypeError("Cannot make a table: writer is not well-formed text");
    }
    this.#writer = writer;
    this.#wallMs = wallMs;
    this.#clock = new HybridClock(maxDriftMs === undefined ? {} : { maxDriftMs });
  }

  /** Number of shards that have a region. */
  get shardCount(): number {
    return this.#allocations.size;
  }

  /**
   * Gives `shard` to `region`, whoever had it. Says what that superseded. Throws TypeError for what
   * cannot be a name.
   */
  allocate(shard: ShardId, region: PeerName): Allocation {
    checkName("allocate", "shard", shard);
    checkName("allocate", "region", region);
    return this.#write(shard, encodeAllocation(region)) as Allocation; // [A1]
  }

  /** Takes `shard` from whoever has it. A shard that nobody has can be released, too: it stays so. */
  release(shard: ShardId): Released {
    checkName("release", "shard", shard);
    return this.#write(shard, undefined) as Released;
  }

  /** The region that hosts `shard`; undefined when none does. */
  regionFor(shard: ShardId): PeerName | undefined {
    return this.#allocations.get(shard)?.region;
  }

  /** All allocations, by shard. Costs O(n log n). */
  allocations(): Allocation[] {
    return [...this.#allocations.values()].sort(byShard);
  }

  /** Everything there is, releases included, as bytes for `mergeRemote`. Later writes do not change it. */
  snapshot(): Uint8Array {
    return encodeSnapshot([{ map: ALLOCATIONS, entries: this.#map.all() }]);
  }

  /**
   * Takes over what is newer in a snapshot of another table or of a peer, and returns what changed:
   * one for each shard, without a region where it was released. Entries that are too far ahead are
   * skipped. Throws `MALFORMED_FRAME`, and changes nothing, when the bytes are no snapshot.
   */
  mergeRemote(snapshot: Uint8Array): (Allocation | Released)[] {
    if (!(snapshot instanceof Uint8Array)) {
      throw new TypeError("Cannot merge: the snapshot is not a Uint8Array");
    }
    const decoded = decodeSnapshot(snapshot);
    if (!decoded.ok) throw new HearsayError(decoded.code, decoded.message);
    const wallMs = this.#wallMs();
    const near = decoded.maps
      .filter(({ map }) => map === ALLOCATIONS)
      .flatMap(({ entries }) => entries)
      // [C3, C4] The clock takes note of what it lets pass, and of nothing else.
      .filter(({ time }) => this.#clock.observe(time, wallMs));
    const changes = this.#map.merge(near).map((entry) => this.#follow(entry));
    return changes.filter((change) => change !== undefined);
  }

  /**
   * Names the allocations there are: 16 hex digits, equal for two tables exactly when every shard has
   * the same region by the same write. Costs O(n log n).
   */
  fingerprint(): string {
    const hash = new Hash64();
    hash.reset(this.#allocations.size, 0);
    for (const { shard, region, token, writer } of this.allocations()) {
      for (const text of [shard, region, writer]) hash.text(text);
      hash.word(token % 0x1_0000_0000);
      hash.word(Math.floor(token / 0x1_0000_0000));
    }
    hash.finish();
    return hexOf(hash.high) + hexOf(hash.low);
  }

  #write(shard: ShardId, value: Value | undefined): Allocation | Released {
    // Above all that the map has seen, so it wins.
    const stamp = { time: this.#clock.next(this.#wallMs()), writer: this.#writer };
    if (value === undefined) this.#map.delete(shard, stamp);
    else this.#map.put(shard, value, stamp);
    const { time: token, writer } = stamp;
    const changed = this.#follow({ key: shard, value, time: token, writer });
    return changed ?? { shard, region: undefined, token, writer };
  }

  /** Takes in an entry that won in the map; undefined when no shard has or had a region by it. */
  #follow({ key: shard, value, time: token, writer }: Entry): Allocation | Released | undefined {
    const superseded = this.#allocations.get(shard);
    const region = regionOf(value);
    if (region !== undefined && NAME_PATTERN.test(shard)) {
      const allocation: Allocation = Object.freeze({ shard, region, token, writer });
      this.#allocations.set(shard, allocation);
      return superseded === undefined ? allocation : { ...allocation, superseded };
    }
    this.#allocations.delete(shard);
    return superseded && { shard, region: undefined, token, writer, superseded };
  }
}

function checkName(action: string, what: string, name: unknown): void {
  if (typeof name === "string" && NAME_PATTERN.test(name)) return;
  throw new TypeError(
    `Cannot ${action}: the ${what} is not a name like "a", "shard-0" or "eu.west_1"`,
  );
}
