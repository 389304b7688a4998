import fc from "fast-check";
import { expect, test } from "vitest";
import {
  KEY_LENGTH_MAX,
  VALUE_BYTES_MAX,
  VALUE_DEPTH_MAX,
  WRITER_LENGTH_MAX,
} from "../../src/core/limits.ts";
import { compareStamps, LwwMap } from "../../src/core/lww-map.ts";
import type { Entry, Value } from "../../src/core/message.ts";
import {
  badEntry,
  compareEntries,
  entries,
  entry,
  key,
  modelOf,
  nested,
  THROWING_ENTRIES,
  value,
} from "./entries.ts";

function mapOf(...batches: readonly (readonly Entry[])[]): LwwMap<Value> {
  const map = new LwwMap<Value>();
  for (const batch of batches) map.merge(batch);
  return map;
}

/** Good entries among bad ones: whether each is good, and the entry. */
const mixed: fc.Arbitrary<{ good: boolean; entry: Entry }[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: entry.map((one) => ({ good: true, entry: one })) },
    { weight: 1, arbitrary: badEntry.map((one) => ({ good: false, entry: one })) },
  ),
  { maxLength: 12 },
);

const hostile = mixed.map((all) => all.map((one) => one.entry));

test("[M1] merge is commutative, for hostile entries too", () => {
  fc.assert(
    fc.property(hostile, hostile, (x, y) => {
      const [xy, yx] = [mapOf(x, y), mapOf(y, x)];
      expect(xy.all()).toStrictEqual(yx.all());
      expect(xy.fingerprint()).toBe(yx.fingerprint());
    }),
  );
});

test("[M1] merge is associative", () => {
  fc.assert(
    fc.property(hostile, hostile, hostile, (x, y, z) => {
      const left = mapOf(mapOf(x, y).all(), z);
      const right = mapOf(x, mapOf(y, z).all());
      expect(left.all()).toStrictEqual(right.all());
      expect(left.fingerprint()).toBe(right.fingerprint());
    }),
  );
});

test("[M1] merge is idempotent", () => {
  fc.assert(
    fc.property(hostile, (x) => {
      const [once, twice] = [mapOf(x), mapOf(x, x)];
      expect(twice.all()).toStrictEqual(once.all());
      expect(twice.fingerprint()).toBe(once.fingerprint());
    }),
  );
});

test("[M1] however entries are batched and ordered, the naive model's maximum is left", () => {
  fc.assert(
    fc.property(fc.array(entries, { maxLength: 5 }), (batches) => {
      expect(mapOf(...batches).all()).toStrictEqual(modelOf(batches.flat()));
    }),
  );
});

test("[M2] any two different entries of one key are ordered, and both maps agree how", () => {
  fc.assert(
    fc.property(entry, entry, key, (a, b, shared) => {
      const [one, other] = [
        { ...a, key: shared },
        { ...b, key: shared },
      ];
      const higher = compareEntries(one, other) < 0 ? other : one;
      expect(mapOf([one], [other]).all()).toStrictEqual([higher]);
      expect(mapOf([other], [one]).all()).toStrictEqual([higher]);
    }),
  );
});

test("[M2] under one stamp a deletion beats every value, and values go by their bytes", () => {
  const stamp = { time: 5, writer: "w" };
  fc.assert(
    fc.property(value, value, (one, other) => {
      const [a, b] = [one, other].map((each) => ({ key: "k", value: each, ...stamp }));
      const gone = { key: "k", value: undefined, ...stamp };
      expect(mapOf([a as Entry, gone]).get("k")).toBeUndefined();
      expect(mapOf([gone, b as Entry]).get("k")).toBeUndefined();
      const higher = compareEntries(a as Entry, b as Entry) < 0 ? other : one;
      expect(mapOf([a as Entry, b as Entry]).get("k")).toStrictEqual(higher);
      expect(mapOf([b as Entry, a as Entry]).get("k")).toStrictEqual(higher);
    }),
  );
});

test("[M2] writers are compared by UTF-16 code units, as are keys in all()", () => {
  // U+FF5E is above U+1F600 by code units, whose first is U+D83D, but below it by code points.
  const [low, high] = ["\u{1f600}", "\uff5e"];
  const map = mapOf([
    { key: high, value: 1, time: 1, writer: high },
    { key: low, value: 1, time: 1, writer: low },
    { key: high, value: 2, time: 1, writer: low },
    { key: low, value: 2, time: 1, writer: high },
    { key: "z", value: 2, time: 1, writer: "a" },
    { key: "Z", value: 2, time: 1, writer: "a" },
  ]);
  expect(map.all().map((one) => [one.key, one.value])).toEqual([
    ["Z", 2],
    ["z", 2],
    [low, 2],
    [high, 1],
  ]);
  expect(compareStamps({ time: 1, writer: low }, { time: 1, writer: high })).toBeLessThan(0);
  expect(compareStamps({ time: 2, writer: low }, { time: 1, writer: high })).toBeGreaterThan(0);
  expect(compareStamps({ time: 1, writer: low }, { time: 1, writer: low })).toBe(0);
});

test("[M3] a merge returns exactly the entries that won, one for each key", () => {
  fc.assert(
    fc.property(entries, mixed, (before, batch) => {
      const map = mapOf(before);
      const good = batch.filter((one) => one.good).map((one) => one.entry);
      const old = modelOf(before);
      const isNew = (one: Entry) => {
        const known = old.find((each) => each.key === one.key);
        return known === undefined || compareEntries(one, known) > 0;
      };
      const winners = map.merge(batch.map((one) => one.entry));
      expect(modelOf(winners)).toStrictEqual(modelOf(good).filter(isNew));
      expect(new Set(winners.map((one) => one.key)).size).toBe(winners.length);
      for (const winner of winners) expect(good).toContainEqual(winner);
    }),
  );
});

test("[M3] what a map has seen brings nothing the second time", () => {
  fc.assert(
    fc.property(hostile, hostile, (x, y) => {
      const map = mapOf(x, y);
      const before = map.fingerprint();
      expect(map.merge(x)).toEqual([]);
      expect(map.merge(y)).toEqual([]);
      expect(map.merge(map.all())).toEqual([]);
      expect(map.fingerprint()).toBe(before);
    }),
  );
});

test("[M3] put and delete say whether they won, like a merge of one", () => {
  fc.assert(
    fc.property(entries, entry, (before, one) => {
      const [written, merged] = [mapOf(before), mapOf(before)];
      const won =
        one.value === undefined
          ? written.delete(one.key, one)
          : written.put(one.key, one.value, one);
      expect(won).toBe(merged.merge([one]).length === 1);
      expect(written.all()).toStrictEqual(merged.all());
    }),
  );
});

test("[M4] an older write does not bring a deleted key back, a newer one does", () => {
  const map = new LwwMap<Value>();
  expect(map.put("k", 1, { time: 5, writer: "w" })).toBe(true);
  expect(map.delete("k", { time: 7, writer: "w" })).toBe(true);
  expect(map.put("k", 2, { time: 6, writer: "x" })).toBe(false);
  expect([map.get("k"), map.size, map.has("k")]).toEqual([undefined, 0, true]);
  expect(map.entry("k")).toStrictEqual({ key: "k", value: undefined, time: 7, writer: "w" });
  expect(map.entries()).toEqual([]);
  expect(map.put("k", 3, { time: 8, writer: "a" })).toBe(true);
  expect([map.get("k"), map.size]).toEqual([3, 1]);
});

test("[M4] a key that was never written can be deleted, and that stands", () => {
  const map = new LwwMap<Value>();
  expect(map.delete("k", { time: 2, writer: "w" })).toBe(true);
  expect(map.put("k", 1, { time: 1, writer: "w" })).toBe(false);
  expect(map.all()).toStrictEqual([{ key: "k", value: undefined, time: 2, writer: "w" }]);
});

test("[M4] size and entries() are the live part of all(), by key", () => {
  fc.assert(
    fc.property(entries, (x) => {
      const map = mapOf(x);
      const live = modelOf(x).filter((one) => one.value !== undefined);
      expect(map.entries()).toStrictEqual(live);
      expect(map.size).toBe(live.length);
      for (const one of live) expect(map.get(one.key)).toStrictEqual(one.value);
    }),
  );
});

test("[M6] a key takes one slot and one id, whatever its history", () => {
  const ids = new Map<string, number>();
  const count = (low: number, high: number, by: number) => {
    const id = `${low},${high}`;
    ids.set(id, (ids.get(id) ?? 0) + by);
    if (ids.get(id) === 0) ids.delete(id);
  };
  const sink = {
    add: (low: number, high: number) => count(low, high, 1),
    remove: (low: number, high: number) => count(low, high, -1),
  };
  fc.assert(
    fc.property(fc.array(entries, { maxLength: 8 }), (batches) => {
      ids.clear();
      const map = new LwwMap<Value>({ sink });
      for (const batch of batches) map.merge(batch);
      const keys = new Set(batches.flat().map((one) => one.key));
      expect(map.slotCount).toBe(keys.size);
      const held = map.all().map((_, slot) => `${map.idLowAt(slot)},${map.idHighAt(slot)}`);
      expect([...ids]).toEqual(expect.arrayContaining(held.map((id) => [id, 1])));
      expect(ids.size).toBe(held.length);
    }),
  );
});

test("[M6] a slot keeps its key for ever, so that a position is a cursor", () => {
  const map = new LwwMap<Value>();
  const keys = Array.from({ length: 100 }, (_, number) => `k${(number * 37) % 100}`);
  keys.forEach((each, at) => void map.put(each, at, { time: 1, writer: "w" }));
  keys.forEach((each) => void map.delete(each, { time: 2, writer: "w" }));
  expect(keys.map((_, slot) => map.entryAt(slot)?.key)).toEqual(keys);
});

test("[M7] malformed entries are left out one by one, and a merge never throws", () => {
  fc.assert(
    fc.property(mixed, (batch) => {
      const map = mapOf(batch.map((one) => one.entry));
      const good = batch.filter((one) => one.good).map((one) => one.entry);
      expect(map.all()).toStrictEqual(modelOf(good));
    }),
    { numRuns: 300 },
  );
});

test("[M7] entries whose getters throw are left out like all that are malformed", () => {
  const good = { key: "k", value: 1, time: 1, writer: "w" };
  const map = new LwwMap<Value>();
  expect(map.merge([...THROWING_ENTRIES, good])).toEqual([good]);
  expect(map.all()).toStrictEqual([good]);
});

const limits: Record<string, { within: Partial<Entry>; beyond: Partial<Entry> }> = {
  "a key of 256 code units": {
    within: { key: "\u{1f600}".repeat(KEY_LENGTH_MAX / 2) },
    beyond: { key: "k".repeat(KEY_LENGTH_MAX + 1) },
  },
  "a writer of 96 code units": {
    within: { writer: "w".repeat(WRITER_LENGTH_MAX) },
    beyond: { writer: "w".repeat(WRITER_LENGTH_MAX + 1) },
  },
  "a value of 65 536 bytes": {
    within: { value: "x".repeat(VALUE_BYTES_MAX - 5) },
    beyond: { value: "x".repeat(VALUE_BYTES_MAX - 4) },
  },
  "a value 16 deep": {
    within: { value: nested(VALUE_DEPTH_MAX) },
    beyond: { value: nested(VALUE_DEPTH_MAX + 1) },
  },
  "a time of 2^53 - 1": { within: { time: 2 ** 53 - 1 }, beyond: { time: 2 ** 53 } },
  "a time of 0": { within: { time: 0 }, beyond: { time: -1 } },
  "text without lone surrogates": {
    within: { key: "\u{1f600}", writer: "\u{1f600}" },
    beyond: { writer: "\ude00\ud83d" },
  },
};

test.each(Object.entries(limits))("[M7] %s is taken, and nothing beyond", (_, limit) => {
  const base = { key: "k", value: 1, time: 1, writer: "w" };
  const [good, bad] = [
    { ...base, ...limit.within },
    { ...base, ...limit.beyond },
  ];
  expect(mapOf([good]).all()).toStrictEqual([good]);
  expect(mapOf([bad]).all()).toEqual([]);
  expect(new LwwMap<Value>().put(good.key, good.value as Value, good)).toBe(true);
  expect(() => new LwwMap<Value>().put(bad.key, bad.value as Value, bad)).toThrow(TypeError);
});

test("[M7] writing what no map may hold is misuse, and changes nothing", () => {
  const map = mapOf([{ key: "k", value: 1, time: 1, writer: "w" }]);
  const before = map.fingerprint();
  const stamp = { time: 2, writer: "w" };
  expect(() => map.put("k", undefined as unknown as Value, stamp)).toThrow(TypeError);
  expect(() => map.put("k", Number.NaN, stamp)).toThrow(TypeError);
  expect(() => map.delete("\ud800", stamp)).toThrow(TypeError);
  expect(() => map.delete("k", { time: -1, writer: "w" })).toThrow(TypeError);
  expect(map.fingerprint()).toBe(before);
});

test("[M7] `__proto__` and its like are ordinary keys", () => {
  const names = ["__proto__", "constructor", "hasOwnProperty", "toString", "7"];
  const map = new LwwMap<Value>();
  for (const each of names) expect(map.get(each)).toBeUndefined();
  for (const each of names) map.put(each, each, { time: 1, writer: "__proto__" });
  for (const each of names) expect(map.get(each)).toBe(each);
  expect(map.entries().map((one) => one.key)).toEqual([...names].sort());
});

test("[M1] fingerprints are equal exactly when all() is", () => {
  fc.assert(
    fc.property(entries, entries, (x, y) => {
      const [a, b] = [mapOf(x), mapOf(y)];
      const isSame = modelOf(x).length === modelOf(y).length && isEqual(a.all(), b.all());
      expect(a.fingerprint() === b.fingerprint()).toBe(isSame);
    }),
    { numRuns: 300 },
  );
});

function isEqual(x: readonly Entry[], y: readonly Entry[]): boolean {
  return x.every((one, at) => one.key === y[at]?.key && compareEntries(one, y[at]) === 0);
}

test("[M1] a fingerprint depends on each part of an entry, and on the seed of the map", () => {
  const base = { key: "k", value: 1, time: 4096, writer: "w" };
  const variants: Entry[] = [
    base,
    { ...base, key: "l" },
    { ...base, value: 2 },
    { ...base, value: "1" },
    { ...base, value: undefined },
    { ...base, time: 4097 },
    { ...base, time: 4096 + 2 ** 32 },
    { ...base, writer: "x" },
    { ...base, key: "kw", writer: "" },
  ];
  const prints = variants.map((one) => mapOf([one]).fingerprint());
  const seeded = new LwwMap<Value>({ seed: { low: 1, high: 0 } });
  seeded.merge([base]);
  expect(new Set([...prints, seeded.fingerprint()]).size).toBe(variants.length + 1);
  expect(new LwwMap().fingerprint()).toBe("0000000000000000");
  for (const print of prints) expect(print).toMatch(/^[0-9a-f]{16}$/);
});
