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
import type { Pin } from "./allocation.ts";
import { DocumentFrequency } from "./document-frequency.ts";
import type { Allocation, Change, Member } from "./effect.ts";
import { SETTINGS } from "./founding.ts";
import { FREQUENCIES } from "./frequency-chunks.ts";
import { Hash64, hexOf } from "./hash.ts";
import { MEMBERS, type MemberState, Membership, publicMember, VERDICTS } from "./membership.ts";
import type { Entry, MapEntries, MapKeys, Value } from "./message.ts";
import { decodePin, decodePlan, PINS, PLAN_KEY, type PlanSettings } from "./plan-settings.ts";
import { REMOVALS, Registry, SHARDS } from "./registry.ts";
import type { Replica } from "./replica.ts";
import type { HashRing } from "./ring.ts";
import { decodeMetrics, METRICS, type ShardMetrics } from "./shard-metrics.ts";
import { type TickChanges, TickView } from "./tick-view.ts";
import { compareText, NAME_PATTERN, type PeerName, type ShardId, type Timestamp } from "./units.ts";

/** The replicated map of which region hosts which shard. */
export const ALLOCATIONS = "allocations";

/** What changed in the view, in the order of the entries that did it. */
export interface ViewChanges {
  readonly members: readonly MemberState[];
  readonly allocations: readonly AllocationChange[];
  /** Whether shards have come or gone. */
  readonly shards: boolean;
  readonly ticks: TickChanges;
}

type AllocationChange = Extract<Change, { type: "allocation" }>;

interface ShardChanges {
  readonly added: ReadonlySet<ShardId>;
  readonly removed: readonly ShardId[];
}

const NOTHING: ShardChanges = { added: new Set(), removed: [] };

export class View {
  readonly membership = new Membership();
  /** Right at the end of a step, once it has settled. */
  readonly frequencies: DocumentFrequency;
  readonly #replica: Replica;
  readonly registry: Registry;
  readonly ticks: TickView;
  readonly #ring: HashRing;
  /** The registered shards by id, as the ring numbers them. */
  #shards: readonly ShardId[] = [];
  #indexes: ReadonlyMap<ShardId, number> = new Map();
  /** By the ring's number of the shard. */
  #allocations: (Allocation | undefined)[] = [];
  /** Of the shards whose entries say more than the region. */
  readonly #courses = new Map<ShardId, Course>();
  #allocationCount = 0;
  /** How many shards each region hosts; those that host none are not in it. */
  readonly #loads = new Map<PeerName, number>();
  /** Undefined after a change. */
  #viewId: string | undefined;

  /**
   * Computes the view of `replica` as it is; later winners are handed to `apply`. `key` is any integer
   * that others cannot guess; nothing that anybody sees depends on it.
   */
  constructor(replica: Replica, shardCount: number, key: number) {
    this.#replica = replica;
    this.registry = new Registry(shardCount);
    this.ticks = new TickView(replica, this.registry);
    this.#ring = this.registry.ring;
    this.#number();
    this.frequencies = new DocumentFrequency(replica.map(FREQUENCIES), key);
    for (const shard of this.#shards) this.frequencies.register(shard);
    this.apply(replica.everything());
    this.frequencies.settle();
  }

  /** Takes in entries that won in the replica. */
  apply(winners: readonly MapEntries[]): ViewChanges {
    this.#viewId = undefined;
    const members: MemberState[] = [];
    const allocations: AllocationChange[] = [];
    // First of all: what is allocated must be registered, in whatever order entries come.
    const { added, removed } = this.#applyRegistry(winners, allocations);
    for (const { map, entries } of winners) {
      for (const entry of entries) {
        if (map === ALLOCATIONS && !added.has(entry.key)) {
          const change = this.#applyAllocation(entry);
          if (change !== undefined) allocations.push(change);
        } else if (map === FREQUENCIES) {
          this.frequencies.apply(entry);
        } else if (map === MEMBERS || map === VERDICTS) {
          const member =
            map === MEMBERS ? this.membership.applyRow(entry) : this.membership.applyVerdict(entry);
          if (member !== undefined) members.push(member);
        }
      }
    }
    const ticks = this.ticks.apply(winners, removed);
    return { members, allocations, shards: added.size + removed.length > 0, ticks };
  }

  /** Shards that come bring the allocation that they already have, those that go lose theirs. */
  #applyRegistry(winners: readonly MapEntries[], allocations: AllocationChange[]): ShardChanges {
    const rows = winners.filter(({ map }) => map === SHARDS || map === REMOVALS);
    if (rows.length === 0) return NOTHING; // The usual case.
    for (const { map, entries } of rows) {
      for (const entry of entries) this.registry.apply(map, entry);
    }
    const { added, removed } = this.registry.settle();
    for (const shard of added) this.frequencies.register(shard);
    for (const shard of removed) {
      this.frequencies.deregister(shard);
      this.#courses.delete(shard);
      const before = this.allocation(shard);
      if (before === undefined) continue;
      this.#count(before.region, -1);
      const { token, writer } = before;
      const change = { type: "allocation" as const, shard, region: undefined, token, writer };
      allocations.push({ ...change, superseded: before });
    }
    if (added.length + removed.length > 0) this.#number();
    for (const shard of added) {
      const entry = this.#replica.map(ALLOCATIONS).entry(shard);
      const change = entry && this.#applyAllocation(entry);
      if (change !== undefined) allocations.push(change);
    }
    return { added: new Set(added), removed };
  }

  /** Numbers the shards as the ring does. */
  #number(): void {
    const before = this.#indexes;
    const allocations = this.#allocations;
    this.#shards = this.registry.shards();
    this.#indexes = new Map(this.#shards.map((shard, index) => [shard, index]));
    this.#allocations = this.#shards.map((shard) => allocations[before.get(shard) ?? -1]);
  }

  #count(region: PeerName, change: number): void {
    this.#allocationCount += change;
    const load = (this.#loads.get(region) ?? 0) + change;
    if (load === 0) this.#loads.delete(region);
    else this.#loads.set(region, load);
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

  /** All shards in ring order from a document on, each once, the one it belongs to first. */
  shardsFrom(document: string): Iterable<ShardId> {
    return this.#ring.shardsFrom(document);
  }

  /** How many shards each region hosts; those that host none are not in it. */
  get loads(): ReadonlyMap<PeerName, number> {
    return this.#loads;
  }

  /** The allocation of a registered shard; undefined while no region hosts it. */
  allocation(shard: ShardId): Allocation | undefined {
    const index = this.#indexes.get(shard);
    return index === undefined ? undefined : this.#allocations[index];
  }

  /** What the entry of a shard says of its way; nothing for most. */
  course(shard: ShardId): Course {
    return this.#courses.get(shard) ?? NO_COURSE;
  }

  /** The shards in handoff, with their successors [H0]. */
  successions(): Map<ShardId, PeerName> {
    const successions = new Map<ShardId, PeerName>();
    for (const [shard, { successor }] of this.#courses) {
      if (successor !== undefined) successions.set(shard, successor);
    }
    return successions;
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

  /** What a shard holds, as its region reports it; zeros until it does. */
  metrics(shard: ShardId): ShardMetrics {
    return decodeMetrics(this.#replica.map(METRICS).get(shard));
  }

  /** What regions plan by; undefined when this version cannot read it. */
  planSettings(): PlanSettings | undefined {
    return decodePlan(this.#replica.map(SETTINGS).get(PLAN_KEY));
  }

  /** The pins of registered shards, by shard. Their regions may be dead, or unknown. */
  pins(): Pin[] {
    return this.#replica
      .map(PINS)
      .entries()
      .map(decodePin)
      .filter((pin) => pin !== undefined && this.hasShard(pin.shard)) as Pin[];
  }

  /** Whether somebody has pinned a shard. */
  isPinned(shard: ShardId): boolean {
    return this.#replica.map(PINS).get(shard) !== undefined;
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
    for (const map of [SHARDS, REMOVALS]) hash.text(this.#replica.map(map).fingerprint());
    for (const { name, row, status, removed } of this.membership.all()) {
      hash.text(name);
      hash.text(row.incarnation);
      hash.text(removed ? "removed" : status);
    }
    hash.finish();
    return hexOf(hash.high) + hexOf(hash.low);
  }

  #applyAllocation(entry: Entry): AllocationChange | undefined {
    const index = this.#indexes.get(entry.key);
    if (index === undefined) return undefined; // [R1] Kept in the replica, but no shard of ours.
    const before = this.#allocations[index];
    const region = regionOf(entry.value);
    const { key: shard, time: token, writer } = entry;
    this.#allocations[index] =
      region === undefined ? undefined : Object.freeze({ shard, region, token, writer });
    if (before !== undefined) this.#count(before.region, -1);
    if (region !== undefined) this.#count(region, 1);
    const course = courseOf(entry.value);
    if (course === undefined || region === undefined) this.#courses.delete(shard);
    else this.#courses.set(shard, course);
    const change = { type: "allocation" as const, shard, region, token, writer };
    return before === undefined ? change : { ...change, superseded: before };
  }
}

/** Where a shard is going, and where it came from [H0]. */
export interface Course {
  /** The region that is to have it next: a handoff is under way. */
  readonly successor?: PeerName;
  /** The region that had it before, and has to stop. */
  readonly from?: PeerName;
  /** The token of the entry by which that region began to hand it over: names the state it gave. */
  readonly begun?: Timestamp;
}

const NO_COURSE: Course = {};

/** The value of an `allocations` entry. Later versions append fields. */
export function encodeAllocation(region: PeerName, course: Course = {}): Value {
  const { successor, from, begun } = course;
  if (begun !== undefined) return [region, successor ?? null, from ?? null, begun];
  if (from !== undefined) return [region, successor ?? null, from];
  return successor === undefined ? [region] : [region, successor];
}

/** What an `allocations` value says beside the region; undefined when that is nothing. */
function courseOf(value: Value | undefined): Course | undefined {
  if (!Array.isArray(value) || value.length < 2) return undefined;
  const [region, successor, from, begun] = value as Value[];
  const course = {
    // A shard that is to move to where it is stays.
    ...(isName(successor) && successor !== region ? { successor } : {}),
    ...(isName(from) && from !== region ? { from } : {}),
    ...(typeof begun === "number" ? { begun } : {}),
  };
  return Object.keys(course).length > 0 ? course : undefined;
}

function isName(value: Value | undefined): value is PeerName {
  return typeof value === "string" && NAME_PATTERN.test(value);
}

/** The region in an `allocations` value; undefined in a tombstone or what this version cannot read. */
export function regionOf(value: Value | undefined): PeerName | undefined {
  if (!Array.isArray(value)) return undefined;
  const region = (value as Value[])[0];
  return isName(region) ? region : undefined;
}

/** Orders allocations by shard. */
export function byShard(a: { shard: ShardId }, b: { shard: ShardId }): number {
  return compareText(a.shard, b.shard);
}
