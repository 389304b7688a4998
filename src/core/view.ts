/**
 * What follows from a replica: who is a member, which shards exist, and who hosts which.
 *
 * Everything users read comes from here and from memory: the ring says which shard a document belongs
 * to, and an array over the ring's shards says which allocation that shard has, so a route is one
 * hash and two array reads. The view is kept up to date entry by entry as entries win; it holds
 * nothing that could not be computed anew from the replica, and two equal replicas have equal views.
 *
 * Rules: SPEC.md, sections R and F.
 */
import type { Allocation, Change, Member } from "./effect.ts";
import { Hash64 } from "./hash.ts";
import { MEMBERS, type MemberState, Membership, publicMember, VERDICTS } from "./membership.ts";
import type { Entry, MapEntries, MapKeys, Value } from "./message.ts";
import type { Replica } from "./replica.ts";
import { HashRing, virtualNodesFor } from "./ring.ts";
import { compareText, NAME_PATTERN, type PeerName, type ShardId } from "./units.ts";

/** The replicated map of which region hosts which shard. */
export const ALLOCATIONS = "allocations";

/** What changed in the view, in the order of the entries that did it. */
export interface ViewChanges {
  readonly members: readonly MemberState[];
  readonly allocations: readonly Extract<Change, { type: "allocation" }>[];
}

export class View {
  readonly membership = new Membership();
  readonly #replica: Replica;
  readonly #ring: HashRing;
  /** The registered shards by id, as the ring numbers them. */
  readonly #shards: readonly ShardId[];
  readonly #indexes: ReadonlyMap<ShardId, number>;
  /** By the ring's number of the shard. */
  readonly #allocations: (Allocation | undefined)[];
  #allocationCount = 0;
  /** Undefined after a change. */
  #viewId: string | undefined;

  /** Computes the view of `replica` as it is; later winners are handed to `apply`. */
  constructor(replica: Replica, shardCount: number) {
    this.#replica = replica;
    this.#ring = new HashRing({ virtualNodes: virtualNodesFor(shardCount) });
    // [R6] Registered by configuration, written by nobody.
    for (let number = 0; number < shardCount; number += 1) this.#ring.add(`shard-${number}`);
    this.#shards = this.#ring.shards();
    this.#indexes = new Map(this.#shards.map((shard, index) => [shard, index]));
    this.#allocations = this.#shards.map(() => undefined);
    this.apply(replica.everything());
  }

  /** Takes in entries that won in the replica. */
  apply(winners: readonly MapEntries[]): ViewChanges {
    this.#viewId = undefined;
    const members: MemberState[] = [];
    const allocations: Extract<Change, { type: "allocation" }>[] = [];
    for (const { map, entries } of winners) {
      for (const entry of entries) {
        if (map === ALLOCATIONS) {
          const change = this.#applyAllocation(entry);
          if (change !== undefined) allocations.push(change);
        } else if (map === MEMBERS || map === VERDICTS) {
          const member =
            map === MEMBERS ? this.membership.applyRow(entry) : this.membership.applyVerdict(entry);
          if (member !== undefined) members.push(member);
        }
      }
    }
    return { members, allocations };
  }

  /**
   * Forgets rows and verdicts that were dropped from the replica; returns members that were not, and
   * changed. No other map shows what is dropped.
   */
  drop(dropped: readonly MapKeys[]): MemberState[] {
    this.#viewId = undefined;
    return dropped.flatMap(({ map, keys }) =>
      map === MEMBERS || map === VERDICTS ? this.membership.drop(map, keys) : [],
    );
  }

  /** The registered shards, by id. */
  shards(): readonly ShardId[] {
    return this.#shards;
  }

  hasShard(shard: ShardId): boolean {
    return this.#indexes.has(shard);
  }

  /** The shard that a document belongs to; undefined while no shard is registered [R1]. */
  shardFor(document: string): ShardId | undefined {
    return this.#ring.shardFor(document);
  }

  /** The allocation of the shard that a document belongs to. Allocates nothing. */
  allocationFor(document: string): Allocation | undefined {
    return this.#allocations[this.#ring.shardIndexFor(document)];
  }

  /** The allocation of a registered shard; undefined while no region hosts it. */
  allocation(shard: ShardId): Allocation | undefined {
    const index = this.#indexes.get(shard);
    return index === undefined ? undefined : this.#allocations[index];
  }

  regionFor(shard: ShardId): PeerName | undefined {
    return this.allocation(shard)?.region;
  }

  /** The allocations of registered shards, by shard. */
  allocations(): Allocation[] {
    return this.#allocations.filter((allocation) => allocation !== undefined);
  }

  get allocationCount(): number {
    return this.#allocationCount;
  }

  /** All members, by name, those that are dead or have left included. */
  members(): Member[] {
    return this.membership.all().map(publicMember);
  }

  /** Names the allocation table: equal on two peers exactly when their tables are equal. */
  fingerprint(): string {
    return this.#replica.map(ALLOCATIONS).fingerprint();
  }

  /** Names the view: the table, and who is in which state. */
  viewId(): string {
    this.#viewId ??= this.#nameView();
    return this.#viewId;
  }

  #nameView(): string {
    const hash = new Hash64();
    hash.reset(this.#shards.length, 0);
    hash.text(this.fingerprint());
    for (const { name, row, status, removed } of this.membership.all()) {
      hash.text(name);
      hash.text(row.incarnation);
      hash.text(removed ? "removed" : status);
    }
    hash.finish();
    return [hash.high, hash.low].map((word) => word.toString(16).padStart(8, "0")).join("");
  }

  #applyAllocation(entry: Entry): Extract<Change, { type: "allocation" }> | undefined {
    const index = this.#indexes.get(entry.key);
    if (index === undefined) return undefined; // [R1] Kept in the replica, but no shard of ours.
    const before = this.#allocations[index];
    const region = regionOf(entry.value);
    const { key: shard, time: token, writer } = entry;
    this.#allocations[index] =
      region === undefined ? undefined : Object.freeze({ shard, region, token, writer });
    this.#allocationCount += Number(region !== undefined) - Number(before !== undefined);
    const change = { type: "allocation" as const, shard, region, token, writer };
    return before === undefined ? change : { ...change, superseded: before };
  }
}

/** The value of an `allocations` entry. Later versions append fields. */
export function encodeAllocation(region: PeerName): Value {
  return [region];
}

/** The region in an `allocations` value; undefined in a tombstone or what this version cannot read. */
export function regionOf(value: Value | undefined): PeerName | undefined {
  if (!Array.isArray(value)) return undefined;
  const region = (value as Value[])[0];
  return typeof region === "string" && NAME_PATTERN.test(region) ? region : undefined;
}

/** Orders allocations by shard. */
export function byShard(a: { shard: ShardId }, b: { shard: ShardId }): number {
  return compareText(a.shard, b.shard);
}
