import fc from "fast-check";
import { expect, test } from "vitest";
import { shardOf } from "../../src/core/shard-of.ts";

/** FNV-1a with 64 bits of tenant, zero, entity, modulo the count, as its definition reads. */
function model(tenantId: string, entity: string, shardCount: number): number {
  const bytes = [...Buffer.from(tenantId), 0, ...Buffer.from(entity)];
  const hash = bytes.reduce(
    (sum, byte) => BigInt.asUintN(64, (sum ^ BigInt(byte)) * 0x100000001b3n),
    0xcbf29ce484222325n,
  );
  return Number(hash % BigInt(shardCount));
}

const id = fc.oneof(fc.string(), fc.string({ unit: "binary" }));

test("[R4] shardOf is FNV-1a with 64 bits of tenant, zero, entity, modulo the count", () => {
  fc.assert(
    fc.property(id, id, fc.integer({ min: 1, max: 65_536 }), (tenantId, entity, shardCount) => {
      expect(shardOf(tenantId, entity, shardCount)).toBe(model(tenantId, entity, shardCount));
      expect(shardOf(tenantId, entity)).toBe(model(tenantId, entity, 256));
    }),
  );
});

test("[R4] shardOf gives these numbers in every release", () => {
  expect([
    shardOf("", ""),
    shardOf("acme", "invoices"),
    shardOf("acme", "invoices", 65_536),
    shardOf("müller", "bücher", 1000),
  ]).toEqual([223, 209, 46033, 1]);
});

test("[R4] the zero byte keeps apart what reads the same without it", () => {
  expect(shardOf("ab", "c", 65_536)).not.toBe(shardOf("a", "bc", 65_536));
});

test("[R4] 256 shards get about as much each", () => {
  const counts = new Array<number>(256).fill(0);
  for (let entity = 0; entity < 256_000; entity += 1) {
    const shard = shardOf(`tenant-${entity % 100}`, `entity-${entity}`);
    counts[shard] = (counts[shard] as number) + 1;
  }
  expect(Math.max(...counts)).toBeLessThan(1150);
  expect(Math.min(...counts)).toBeGreaterThan(850);
});

test.each([0, -1, 1.5, 65_537, Number.NaN, Number.POSITIVE_INFINITY])(
  "[R4] a shard count of %d is refused",
  (shardCount) => {
    expect(() => shardOf("acme", "invoices", shardCount)).toThrow(RangeError);
  },
);
