import fc from "fast-check";
import { expect, test } from "vitest";
import { MAP_NAME_LENGTH_MAX, REPLICA_MAPS_MAX } from "../../src/core/limits.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";
import { Replica, splitEntries } from "../../src/core/replica.ts";
import type { Ids } from "../../src/core/sketch.ts";
import { compareEntries, entries, modelOf } from "./entries.ts";

const MAP_NAMES = ["allocations", "members", "of-a-later-version", "__proto__", ""];
const mapName = fc.constantFrom(...MAP_NAMES);
const mapEntries: fc.Arbitrary<MapEntries> = fc.record(
  { map: mapName, entries },
  { noNullPrototype: true },
);
/** Entries of maps, each map at most once, as a frame has them. */
const batch = fc.uniqueArray(mapEntries, { selector: ({ map }) => map, maxLength: 4 });

const numbered = (count: number, prefix: string): Entry[] =>
  Array.from({ length: count }, (_, number) => ({
    key: `${prefix}${number}`,
    value: number,
    time: 1,
    writer: "w",
  }));

function replicaOf(...batches: readonly (readonly MapEntries[])[]): Replica {
  const replica = new Replica("x");
  for (const maps of batches) replica.merge(maps);
  return replica;
}

/** All entries by map and key, so that two replicas can be compared. */
function contentOf(maps: readonly MapEntries[]): Map<string, Entry[]> {
  const content = new Map<string, Entry[]>();
  for (const map of MAP_NAMES) {
    const all = maps.filter((part) => part.map === map).flatMap((part) => part.entries);
    if (all.length > 0) content.set(map, modelOf(all));
  }
  return content;
}

/** Every id of a replica's entries. */
function idsOf(replica: Replica): Ids {
  return replica.everything().flatMap(({ map: name }) => {
    const map = replica.map(name);
    return Array.from({ length: map.slotCount }, (_, slot) => [
      map.idLowAt(slot),
      map.idHighAt(slot),
    ]).flat();
  });
}

test("[G10] unknown maps are kept and passed on like the others", () => {
  const unknown = [{ map: "of-a-later-version", entries: numbered(3, "k") }];
  const replica = new Replica("x");
  expect(replica.merge(unknown)).toEqual(unknown);
  expect(replica.everything()).toEqual(unknown);
  expect(replica.chunk(0, 1e6)).toEqual({ maps: unknown, next: -1 });
  expect(replica.withIds(idsOf(replica)).maps).toEqual(unknown);
  expect(replica.entryCount).toBe(3);
});

test("[M3] a merge returns what won, by map, and maps without a winner not at all", () => {
  fc.assert(
    fc.property(batch, batch, (x, y) => {
      const replica = replicaOf(x);
      const before = contentOf(replica.everything());
      const winners = replica.merge(y);
      for (const { map, entries: won } of winners) {
        expect(won.length).toBeGreaterThan(0);
        for (const entry of won) expect(before.get(map) ?? []).not.toContainEqual(entry);
      }
      expect(contentOf([...x, ...winners])).toEqual(contentOf([...x, ...y]));
      expect(replica.merge(y)).toEqual([]);
    }),
  );
});

test("[G3] replicas have equal sketches exactly when their content is equal", () => {
  fc.assert(
    fc.property(batch, batch, (x, y) => {
      const [a, b] = [replicaOf(x, y), replicaOf(y, x)];
      expect(contentOf(a.everything())).toEqual(contentOf(b.everything()));
      expect(a.sketch.summary()).toEqual(b.sketch.summary());
      expect(a.entryCount).toBe(a.everything().flatMap((part) => part.entries).length);
      const isEqual =
        JSON.stringify([...contentOf(replicaOf(x).everything())]) ===
        JSON.stringify([...contentOf(a.everything())]);
      expect(replicaOf(x).fingerprint() === a.fingerprint()).toBe(isEqual);
    }),
  );
});

test("[G4] one entry has different ids in two maps and in two clusters", () => {
  const prints = [
    { cluster: "x", map: "m" },
    { cluster: "x", map: "n" },
    { cluster: "y", map: "m" },
  ].map(({ cluster, map }) => {
    const replica = new Replica(cluster);
    replica.merge([{ map, entries: numbered(1, "k") }]);
    return replica.fingerprint();
  });
  expect(new Set(prints).size).toBe(3);
});

test("[C3] a write stands in the replica, a deletion too", () => {
  const replica = new Replica("x");
  expect(replica.put("m", "k", ["a"], { time: 1, writer: "w" })).toEqual({
    key: "k",
    value: ["a"],
    time: 1,
    writer: "w",
  });
  expect(replica.map("m").get("k")).toEqual(["a"]);
  replica.put("m", "k", undefined, { time: 2, writer: "w" });
  expect(replica.map("m").all()).toEqual([{ key: "k", value: undefined, time: 2, writer: "w" }]);
});

/** What happens between two chunks: a new key, an overwrite, or a new map. */
const interlude = fc.array(
  fc.record({ map: mapName, key: fc.nat(30).map((number) => `k${number}`) }),
  { maxLength: 3 },
);

test("[G4] chunks cover all that was there when the first was asked for, while writes go on", () => {
  const sizes = fc.array(fc.tuple(mapName, fc.nat(12)), { maxLength: 6 });
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1, max: 120 }),
      fc.array(interlude),
      (all, bytesMax, writes) => {
        const replica = new Replica("x");
        for (const [map, count] of all) replica.merge([{ map, entries: numbered(count, "k") }]);
        const wanted = contentOf(replica.everything());
        const seen: MapEntries[] = [];
        let time = 2;
        let cursor = 0;
        for (let round = 0; cursor >= 0; round += 1) {
          expect(round).toBeLessThan(500);
          const { maps, next } = replica.chunk(cursor, bytesMax);
          expect(next === -1 || maps.length > 0).toBe(true);
          seen.push(...maps);
          cursor = next;
          for (const { map, key } of writes[round] ?? []) {
            replica.put(map, key, round, { time, writer: "w" });
            time += 1;
          }
        }
        for (const [map, before] of wanted) {
          const keys = new Set((contentOf(seen).get(map) ?? []).map(({ key }) => key));
          for (const { key } of before) expect(keys).toContain(key);
        }
      },
    ),
  );
});

test("[G4] chunks of a replica at rest are the whole of it, each entry once", () => {
  fc.assert(
    fc.property(batch, fc.integer({ min: 1, max: 200 }), (x, bytesMax) => {
      const replica = replicaOf(x);
      const seen: MapEntries[] = [];
      for (let cursor = 0; cursor >= 0; ) {
        const { maps, next } = replica.chunk(cursor, bytesMax);
        seen.push(...maps);
        cursor = next;
      }
      expect(contentOf(seen)).toEqual(contentOf(replica.everything()));
      expect(seen.flatMap((part) => part.entries).length).toBe(replica.entryCount);
      expect(replica.chunk(Number.MAX_SAFE_INTEGER, bytesMax)).toEqual({ maps: [], next: -1 });
    }),
  );
});

test("[G4] the entries with given ids are found, and no others", () => {
  const ids = fc
    .array(fc.nat(0xffff_ffff), { maxLength: 8 })
    .map((all) => all.slice(all.length % 2));
  fc.assert(
    fc.property(batch, batch, ids, (x, y, strangers) => {
      const replica = replicaOf(x);
      const before = idsOf(replica);
      const old = contentOf(replica.everything());
      replica.merge(y);
      const left = new Map(
        [...old]
          .map(([map, all]) => {
            const now = contentOf(replica.everything()).get(map) ?? [];
            return [
              map,
              all.filter((entry) =>
                now.some((one) => compareEntries(one, entry) === 0 && one.key === entry.key),
              ),
            ] as const;
          })
          .filter(([, all]) => all.length > 0),
      );
      expect(contentOf(replica.withIds([...strangers, ...before]).maps)).toEqual(left);
      expect(replica.withIds(strangers)).toEqual({ maps: [], missing: strangers });
    }),
  );
});

test("[G4] parts keep all entries in order, each about as long as asked", () => {
  fc.assert(
    fc.property(batch, fc.integer({ min: 1, max: 200 }), (maps, bytesMax) => {
      const parts = splitEntries(maps, bytesMax);
      const flat = (all: readonly MapEntries[]) =>
        all.flatMap((part) => part.entries.map((entry) => [part.map, entry] as const));
      expect(flat(parts.flat())).toEqual(flat(maps));
      for (const part of parts) {
        const count = flat(part).length;
        expect(count).toBeGreaterThan(0);
        expect((count - 1) * 12).toBeLessThanOrEqual(bytesMax);
      }
    }),
  );
});

test("[G10] a batch overflows exactly when the replica would be over a cap after it", () => {
  fc.assert(
    fc.property(batch, batch, fc.nat(12), (x, y, entriesMax) => {
      const unique = y.map(({ map, entries: all }) => ({ map, entries: modelOf(all) }));
      const [replica, after] = [new Replica("x", entriesMax), replicaOf(x, unique)];
      replica.merge(x);
      expect(replica.wouldOverflow(unique)).toBe(after.entryCount > entriesMax);
      expect(replica.isFull).toBe(replica.entryCount >= entriesMax);
    }),
    { numRuns: 300 },
  );
});

test("[G10] a full replica still takes newer entries of the keys that it has", () => {
  const replica = new Replica("x", 3);
  const old = numbered(3, "k");
  replica.merge([{ map: "m", entries: old }]);
  expect(replica.isFull).toBe(true);
  expect(replica.wouldOverflow([{ map: "m", entries: old }])).toBe(false);
  expect(replica.wouldOverflow([{ map: "m", entries: numbered(4, "k") }])).toBe(true);
  expect(replica.wouldOverflow([{ map: "n", entries: numbered(1, "k") }])).toBe(true);
});

test("[G10] maps and their names have a cap, too", () => {
  const replica = new Replica("x");
  const one = (map: string): MapEntries => ({ map, entries: numbered(1, "k") });
  const maps = Array.from({ length: REPLICA_MAPS_MAX }, (_, number) => one(`m${number}`));
  expect(replica.wouldOverflow(maps)).toBe(false);
  expect(replica.wouldOverflow([...maps, one("n")])).toBe(true);
  replica.merge(maps);
  expect(replica.wouldOverflow(maps)).toBe(false);
  expect(replica.wouldOverflow([one("n")])).toBe(true);
  expect(new Replica("x").wouldOverflow([one("m".repeat(MAP_NAME_LENGTH_MAX))])).toBe(false);
  expect(new Replica("x").wouldOverflow([one("m".repeat(MAP_NAME_LENGTH_MAX + 1))])).toBe(true);
});
