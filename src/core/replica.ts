/**
 * All replicated maps of one peer, and the one sketch over them.
 *
 * Everything that peers share is an entry of a named map in here, so there is one gossip for all of
 * it. Maps that this version does not know are kept and passed on like the others [G10]: a peer of a
 * later version may need them.
 *
 * The maps' ids are keyed by cluster and map name. No entry changes its position: a snapshot is read in
 * chunks by a plain cursor, while writes go on. What is written behind the cursor meanwhile is found
 * by the next exchange.
 *
 * Rules: SPEC.md, section G.
 */
import { Hash64 } from "./hash.ts";
import {
  MAP_NAME_LENGTH_MAX,
  MEMBERS_MAX,
  REPLICA_ENTRIES_MAX,
  REPLICA_MAPS_MAX,
} from "./limits.ts";
import { LwwMap } from "./lww-map.ts";
import { MEMBERS } from "./membership.ts";
import {
  type Entry,
  type EraMark,
  type MapEntries,
  type MapKeys,
  NO_ERA,
  type Value,
} from "./message.ts";
import { type Ids, Sketch } from "./sketch.ts";
import type { Stamp } from "./units.ts";

/** One chunk of a replica, and where the next begins: -1 at the end. */
export interface Chunk {
  readonly maps: readonly MapEntries[];
  readonly next: number;
}

/** Bits of the filter that spares a look at most ids when some are sought, and how many are some. */
const FILTER_BITS = 16;
const FILTER_IDS_MIN = 64;

export class Replica {
  readonly sketch = new Sketch();
  /** The era that this replica is at, as heads say it. */
  era: EraMark = NO_ERA;
  readonly #cluster: string;
  readonly #maps = new Map<string, LwwMap<Value>>();
  readonly #entriesMax: number;

  constructor(cluster: string, entriesMax = REPLICA_ENTRIES_MAX) {
    this.#cluster = cluster;
    this.#entriesMax = entriesMax;
  }

  /** Entries of all maps, tombstones included. */
  get entryCount(): number {
    return this.sketch.idCount;
  }

  /** The map of that name; made empty if there was none. */
  map(name: string): LwwMap<Value> {
    const existing = this.#maps.get(name);
    if (existing !== undefined) return existing;
    const hash = new Hash64();
    hash.reset(0, 0);
    hash.text(this.#cluster);
    hash.text(name);
    hash.finish();
    const map = new LwwMap<Value>({
      seed: { low: hash.low, high: hash.high },
      sink: this.sketch,
    });
    this.#maps.set(name, map);
    return map;
  }

  /** The entry of a key, which may be a tombstone; undefined also where there is no such map. */
  entry(map: string, key: string): Entry | undefined {
    return this.#maps.get(map)?.entry(key);
  }

  /** Writes one entry. The stamp must be higher than the key's, and it is: the clock saw it [C3]. */
  put(map: string, key: string, value: Value | undefined, stamp: Stamp): Entry {
    const target = this.map(map);
    if (value === undefined) target.delete(key, stamp);
    else target.put(key, value, stamp);
    return { key, value, time: stamp.time, writer: stamp.writer };
  }

  /** Merges entries and returns those that won, by map; maps without any are left out. */
  merge(maps: readonly MapEntries[]): MapEntries[] {
    const winners: MapEntries[] = [];
    for (const { map, entries } of maps) {
      const won = this.map(map).merge(entries);
      if (won.length > 0) winners.push({ map, entries: won });
    }
    return winners;
  }

  /** Forgets these entries, in the maps and in the sketch together. */
  drop(dropped: readonly MapKeys[]): void {
    for (const { map, keys } of dropped) for (const key of keys) this.#maps.get(map)?.drop(key);
  }

  /** The keys of all entries that `isStale` says are. Costs O(n). */
  staleKeys(isStale: (map: string, entry: Entry) => boolean): MapKeys[] {
    const stale: MapKeys[] = [];
    for (const { map, entries } of this.everything()) {
      const keys = entries.filter((entry) => isStale(map, entry)).map(({ key }) => key);
      if (keys.length > 0) stale.push({ map, keys });
    }
    return stale;
  }

  /** [G10] Whether these entries would take the replica over its caps. */
  wouldOverflow(maps: readonly MapEntries[]): boolean {
    let mapCount = this.#maps.size;
    let entryCount = this.entryCount;
    const most = maps.reduce((sum, { entries }) => sum + entries.length, entryCount);
    for (const { map, entries } of maps) {
      const target = this.#maps.get(map);
      if (target === undefined) mapCount += 1;
      if (map.length > MAP_NAME_LENGTH_MAX) return true;
      if (map === MEMBERS && this.#hasTooMany(entries)) return true;
      if (most <= this.#entriesMax) continue; // The usual case: there is room for all of them.
      for (const { key } of entries) entryCount += target?.has(key) ? 0 : 1;
    }
    return mapCount > REPLICA_MAPS_MAX || entryCount > this.#entriesMax;
  }

  /** [G10] Whether there is room for a member of that name. */
  canAddMember(name: string): boolean {
    const members = this.map(MEMBERS);
    return members.has(name) || members.slotCount < MEMBERS_MAX;
  }

  #hasTooMany(members: readonly Entry[]): boolean {
    const known = this.map(MEMBERS);
    if (known.slotCount + members.length <= MEMBERS_MAX) return false;
    const added = new Set(members.map(({ key }) => key).filter((key) => !known.has(key)));
    return known.slotCount + added.size > MEMBERS_MAX;
  }

  /** Names the content of all maps: 16 hex digits. */
  fingerprint(): string {
    return this.sketch.fingerprint();
  }

  /** [G10] Whether a local write of a new key is still allowed. */
  get isFull(): boolean {
    return this.entryCount >= this.#entriesMax;
  }

  /** Every entry of every map. */
  everything(): MapEntries[] {
    return [...this.#maps].map(([name, map]) => {
      const slots = Array.from({ length: map.slotCount }, (_, slot) => map.entryAt(slot));
      return { map: name, entries: slots.filter((entry) => entry !== undefined) };
    });
  }

  /**
   * The entries from `cursor` on, at least one if there is one and then up to `bytesMax` bytes in a frame.
   * Cursors count positions over the maps in the order of their making, which never changes.
   */
  chunk(cursor: number, bytesMax: number): Chunk {
    const maps: MapEntries[] = [];
    let bytes = 0;
    let passed = 0;
    for (const [name, map] of this.#maps) {
      const entries: Entry[] = [];
      let slot = Math.max(0, cursor - passed);
      for (; slot < map.slotCount && bytes < bytesMax; slot += 1) {
        const entry = map.entryAt(slot);
        if (entry === undefined) continue;
        bytes += entryBytes(entry);
        entries.push(entry);
      }
      if (entries.length > 0) maps.push({ map: name, entries });
      if (slot < map.slotCount) return { maps, next: passed + slot };
      passed += map.slotCount;
    }
    return { maps, next: -1 };
  }

  /** The entries with these ids, and the ids of those that are not there any more. One pass over the id columns. */
  withIds(ids: Ids): { readonly maps: MapEntries[]; readonly missing: Ids } {
    const sought = new Map<number, number[]>();
    for (let index = 0; index < ids.length; index += 2) {
      const low = ids[index] as number;
      const highs = sought.get(low);
      if (highs === undefined) sought.set(low, [ids[index + 1] as number]);
      else highs.push(ids[index + 1] as number);
    }
    const filter = sought.size < FILTER_IDS_MIN ? undefined : filterOf(sought.keys());
    const maps: MapEntries[] = [];
    for (const [name, map] of this.#maps) {
      const entries: Entry[] = [];
      for (let slot = 0; slot < map.slotCount; slot += 1) {
        const low = map.idLowAt(slot);
        const bit = low >>> (32 - FILTER_BITS);
        if (filter && ((filter[bit >> 3] as number) & (1 << (bit & 7))) === 0) continue;
        const highs = sought.get(low);
        const high = map.idHighAt(slot);
        if (!highs?.includes(high)) continue;
        const entry = map.entryAt(slot); // A hole keeps the id of what was dropped.
        if (entry === undefined) continue;
        entries.push(entry);
        sought.set(
          low,
          highs.filter((each) => each !== high),
        );
      }
      if (entries.length > 0) maps.push({ map: name, entries });
    }
    const missing = [...sought].flatMap(([low, highs]) => highs.flatMap((high) => [low, high]));
    return { maps, missing };
  }
}

function filterOf(lows: Iterable<number>): Uint8Array {
  const filter = new Uint8Array(1 << (FILTER_BITS - 3));
  for (const low of lows) {
    const bit = low >>> (32 - FILTER_BITS);
    filter[bit >> 3] = (filter[bit >> 3] as number) | (1 << (bit & 7));
  }
  return filter;
}

/** Splits entries into parts of at most `bytesMax` bytes in a frame and one entry more. */
export function splitEntries(maps: readonly MapEntries[], bytesMax: number): MapEntries[][] {
  const parts: MapEntries[][] = [];
  let part: MapEntries[] = [];
  let bytes = 0;
  for (const { map, entries } of maps) {
    let from = 0;
    for (let index = 0; index < entries.length; index += 1) {
      bytes += entryBytes(entries[index] as Entry);
      if (bytes < bytesMax) continue;
      part.push({ map, entries: entries.slice(from, index + 1) });
      parts.push(part);
      part = [];
      bytes = 0;
      from = index + 1;
    }
    if (from < entries.length) part.push({ map, entries: entries.slice(from) });
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

/**
 * The most that an entry takes in a frame, in bytes: text takes up to three for each UTF-16 code unit.
 * Its writer travels once for all its entries, but nobody says that the writers are few.
 */
export function entryBytes({ key, writer, value }: Entry): number {
  return 32 + 3 * (key.length + writer.length) + (value === undefined ? 0 : valueBytes(value));
}

/** The most that a value takes in a frame, in bytes. */
export function valueBytes(value: Value): number {
  if (typeof value === "string") return 5 + 3 * value.length;
  if (value instanceof Uint8Array) return 5 + value.length;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + valueBytes(item), 5);
  return 9;
}
