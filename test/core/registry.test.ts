import fc from "fast-check";
import { expect, test } from "vitest";
import type { Entry } from "../../src/core/message.ts";
import { encodeShard, REMOVALS, Registry, SHARDS, shardIdOf } from "../../src/core/registry.ts";

const entry = (key: string, value: Entry["value"], time = 1): Entry => {
  return { key, value, time, writer: "w" };
};

function registryOf(shardCount: number, registered: readonly string[] = []): Registry {
  const registry = new Registry(shardCount);
  for (const shard of registered) registry.apply(SHARDS, entry(shard, encodeShard(1)));
  registry.settle();
  return registry;
}

const [A, B] = [shardIdOf("a", 0), shardIdOf("b", 0)];

test("[R6] the id of a key is specified", () => {
  expect([shardIdOf("a", 0), shardIdOf("a", 1), shardIdOf("", 0), shardIdOf("é😀", 0)]).toEqual([
    ...["shard-2eefe86a722aec69", "shard-3e70618447e80df5"],
    ...["shard-0d96ff0d887c1d6f", "shard-c0b7c87d2d4b468b"],
  ]);
});

test("[R6] a shard that is registered is there, and one that was removed never again", () => {
  const registry = registryOf(2, [A]);
  expect(registry.shards()).toEqual(["shard-0", "shard-1", A]);
  registry.apply(REMOVALS, entry(A, ["x"]));
  registry.apply(REMOVALS, entry("shard-1", ["x"]));
  expect(registry.settle()).toEqual({ added: [], removed: expect.arrayContaining([A, "shard-1"]) });
  registry.apply(SHARDS, entry(A, encodeShard(1), 9));
  registry.settle();
  expect(registry.shards()).toEqual(["shard-0"]);
});

test("[R6] a removal that comes before its registration counts as well", () => {
  const registry = registryOf(0);
  registry.apply(REMOVALS, entry(A, ["x"]));
  registry.apply(SHARDS, entry(A, encodeShard(1), 2));
  expect(registry.settle()).toEqual({ added: [], removed: [] });
  expect(registry.has(A)).toBe(false);
});

test("[R6] a key whose shard was removed stands for the next id of its own", () => {
  const registry = registryOf(0, [A]);
  expect(registry.idOf("a")).toBe(A);
  registry.apply(REMOVALS, entry(A, ["x"]));
  registry.settle();
  expect(registry.idOf("a")).toBe(shardIdOf("a", 1));
  expect(registry.idOf("b")).toBe(B);
});

test.each<[string, Entry]>([
  ["a weight of text", entry(A, ["1"])],
  ["no weight", entry(A, [])],
  ["a weight of zero", entry(A, [0])],
  ["a weight too small for a point", entry(A, [1 / 17])],
  ["a weight that would take the ring", entry(A, [17])],
  ["no list", entry(A, 1)],
  ["a deletion", entry(A, undefined)],
  ["an id of the configuration", entry("shard-7", encodeShard(1))],
  ["an id in capitals", entry(A.toUpperCase(), encodeShard(1))],
  ["any other name", entry("__proto__", encodeShard(1))],
])("[R6] a row with %s registers nothing", (_, row) => {
  const registry = registryOf(1);
  registry.apply(SHARDS, row);
  expect(registry.settle()).toEqual({ added: [], removed: [] });
  expect(registry.shards()).toEqual(["shard-0"]);
});

test("[R2] registering a shard takes documents from the others, and only to it", () => {
  const registry = registryOf(4);
  const documents = Array.from({ length: 4000 }, (_, index) => `document-${index}`);
  const before = documents.map((document) => registry.ring.shardFor(document));
  registry.apply(SHARDS, entry(A, encodeShard(1)));
  registry.settle();
  const after = documents.map((document) => registry.ring.shardFor(document));
  const moved = after.filter((shard, index) => shard !== before[index]);
  expect(new Set(moved)).toEqual(new Set([A]));
  expect(moved.length).toBeGreaterThan(4000 / 10);
  expect(moved.length).toBeLessThan(4000 / 3);
  registry.apply(REMOVALS, entry(A, ["x"]));
  registry.settle();
  expect(documents.map((document) => registry.ring.shardFor(document))).toEqual(before);
});

test("[R2] a shard of weight 2 gets about twice the documents", () => {
  const registry = registryOf(4);
  registry.apply(SHARDS, entry(A, encodeShard(2)));
  registry.settle();
  const counts = new Map<string | undefined, number>();
  for (let index = 0; index < 12_000; index += 1) {
    const shard = registry.ring.shardFor(`document-${index}`);
    counts.set(shard, (counts.get(shard) ?? 0) + 1);
  }
  expect((counts.get(A) ?? 0) / 12_000).toBeGreaterThan(0.27);
  expect((counts.get(A) ?? 0) / 12_000).toBeLessThan(0.4);
  expect(registry.weightOf(A)).toBe(2);
});

test("[R1] what is there does not depend on the order in which rows came", () => {
  const rows = fc.array(
    fc.oneof(
      fc.record({
        map: fc.constant(SHARDS),
        key: fc.constantFrom(A, B, "shard-0"),
        value: fc.constantFrom([1], [4], ["?"], undefined),
      }),
      fc.record({
        map: fc.constant(REMOVALS),
        key: fc.constantFrom(A, B, "shard-0", "shard-1"),
        value: fc.constant(["x"]),
      }),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(rows, fc.boolean(), (all, settlesOften) => {
      const registry = new Registry(2);
      const last = new Map<string, Entry["value"]>();
      for (const { map, key, value } of all) {
        registry.apply(map, entry(key, value));
        if (settlesOften) registry.settle();
        last.set(`${map} ${key}`, value);
      }
      registry.settle();
      const expected = ["shard-0", "shard-1", A, B].filter((shard) => {
        const weight = (last.get(`${SHARDS} ${shard}`) as number[] | undefined)?.[0];
        const isRegistered = shard.length < 10 || typeof weight === "number";
        return isRegistered && !last.has(`${REMOVALS} ${shard}`);
      });
      expect([...registry.shards()]).toEqual(expected.sort());
      expect(registry.ring.shards()).toEqual(registry.shards());
    }),
  );
});

test("[S4] rows of more shards than the ring can take leave the first by id, in any order", () => {
  // 16 x 150 points each: 6990 of them fill the ring.
  const shards = Array.from({ length: 7200 }, (_, index) => shardIdOf(`${index}`, 0));
  const fill = (order: readonly string[], step: number): Registry => {
    const registry = new Registry(1);
    for (const [index, shard] of order.entries()) {
      registry.apply(SHARDS, entry(shard, encodeShard(16)));
      if (index % step === 0) registry.settle();
    }
    registry.settle();
    return registry;
  };
  const one = fill(shards, 1000);
  expect(one.size).toBeLessThan(7000);
  expect(one.fits(16)).toBe(false);
  const sorted = [...shards, "shard-0"].sort();
  expect(one.shards()).toEqual(sorted.slice(0, one.size));
  expect(fill([...shards].reverse(), 7200).shards()).toEqual(one.shards());
  // When enough of them are removed there is room for the rest.
  for (const shard of sorted.slice(0, 400)) one.apply(REMOVALS, entry(shard, ["x"]));
  one.settle();
  expect(one.shards()).toEqual(sorted.slice(400));
});
