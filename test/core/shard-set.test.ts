import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalBytes } from "../../src/core/canonical.ts";
import { SHARDS_MAX } from "../../src/core/limits.ts";
import type { Value } from "../../src/core/message.ts";
import { shardIdOf } from "../../src/core/registry.ts";
import { decodeShardSet, encodeShardSet } from "../../src/core/shard-set.ts";

test("[B1] a set of shards survives its value, whatever is in it", () => {
  const configured = fc.integer({ min: 0, max: SHARDS_MAX - 1 }).map((number) => `shard-${number}`);
  const registered = fc.string({ maxLength: 3 }).map((key) => shardIdOf(key, 0));
  fc.assert(
    fc.property(fc.uniqueArray(fc.oneof(configured, registered)), (shards) => {
      const decoded = decodeShardSet(encodeShardSet(shards));
      expect([...(decoded ?? [])].sort()).toEqual([...shards].sort());
    }),
  );
});

test("[B1] all configured shards fit into a few bytes, and thousands of registered ones into a value", () => {
  const all = Array.from({ length: SHARDS_MAX }, (_, number) => `shard-${number}`);
  expect(encodeShardSet(all)).toEqual([[0, SHARDS_MAX - 1], new Uint8Array(0)]);
  const registered = Array.from({ length: 8000 }, (_, index) => shardIdOf(`${index}`, 0));
  expect(canonicalBytes(encodeShardSet(registered))).toBeDefined();
});

test.each<[string, Value | undefined]>([
  ["nothing", undefined],
  ["text", "shard-0"],
  ["no bytes", [[0, 1]]],
  ["half a range", [[0], new Uint8Array(0)]],
  ["a range that goes back", [[3, 2], new Uint8Array(0)]],
  ["ranges that overlap", [[0, 5, 5, 6], new Uint8Array(0)]],
  ["ranges out of order", [[7, 8, 0, 1], new Uint8Array(0)]],
  ["a range beyond all shards", [[0, SHARDS_MAX], new Uint8Array(0)]],
  ["a range of 2^53 shards", [[0, 2 ** 53 - 1], new Uint8Array(0)]],
  ["a negative number", [[-1, 1], new Uint8Array(0)]],
  ["a fraction", [[0, 0.5], new Uint8Array(0)]],
  ["half an id", [[], new Uint8Array(7)]],
])("[S5] %s is no set of shards", (_, value) => {
  expect(decodeShardSet(value)).toBeUndefined();
});
