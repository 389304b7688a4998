import fc from "fast-check";
import { expect, test } from "vitest";
import { hash32 } from "../../src/core/hash.ts";
import { rendezvousOwner, rendezvousRank } from "../../src/core/rendezvous.ts";

const key = fc.oneof(fc.constantFrom("", "a", "document-1"), fc.string());
const names = fc.array(fc.constantFrom("a", "b", "c", "d", "ab", "region-1", "", "ü"));

/** Counts how many of 65 536 keys each candidate owns. */
function loads(candidates: readonly string[]): Map<string, number> {
  const counts = new Map(candidates.map((candidate) => [candidate, 0]));
  for (let number = 0; number < 65_536; number += 1) {
    const owner = rendezvousOwner(`key-${number}`, candidates) as string;
    counts.set(owner, (counts.get(owner) as number) + 1);
  }
  return counts;
}

test("[R1] among nobody there is no owner", () => {
  expect(rendezvousOwner("key", [])).toBeUndefined();
  expect(rendezvousRank("key", [])).toEqual([]);
});

test("[R4] the rank is by hash seeded with the key's, and names each candidate once", () => {
  fc.assert(
    fc.property(key, names, (any, candidates) => {
      const lot = (name: string) => hash32(name, hash32(any));
      const rank = [...new Set(candidates)].sort((a, b) => lot(b) - lot(a));
      expect(rendezvousRank(any, candidates)).toEqual(rank);
      expect(rendezvousOwner(any, candidates)).toBe(rank[0]);
    }),
  );
});

test("[R4] neither the order of the candidates nor a repetition matters", () => {
  fc.assert(
    fc.property(key, names, (any, candidates) => {
      const other = [...candidates.toReversed(), ...candidates];
      expect(rendezvousOwner(any, new Set(candidates))).toBe(rendezvousOwner(any, other));
      expect(rendezvousRank(any, candidates)).toEqual(rendezvousRank(any, other));
    }),
  );
});

test("[R4] these candidates own these keys in every release", () => {
  const candidates = ["a", "b", "c", "d"];
  const owners = ["", "a", "document-1", "document-2", "ü"].map((any) =>
    rendezvousOwner(any, candidates),
  );
  expect(owners).toEqual(["c", "d", "d", "d", "c"]);
});

test("[R4] of candidates with equal lots the lower name wins", () => {
  const [lower, higher] = ["owner-80215", "owner-95160"] as const;
  expect(hash32(lower, hash32("key"))).toBe(hash32(higher, hash32("key")));
  expect(rendezvousOwner("key", [lower, higher])).toBe(lower);
  expect(rendezvousOwner("key", [higher, lower])).toBe(lower);
  expect(rendezvousRank("key", [higher, lower])).toEqual([lower, higher]);
});

test("[R2] a candidate that goes leaves only its own keys, each to the next in its rank", () => {
  fc.assert(
    fc.property(key, names, fc.constantFrom("a", "b", "c"), (any, candidates, gone) => {
      const rest = candidates.filter((candidate) => candidate !== gone);
      const rank = rendezvousRank(any, candidates).filter((candidate) => candidate !== gone);
      expect(rendezvousRank(any, rest)).toEqual(rank);
    }),
  );
});

test("[R4] no owner of 16 has over 1.05 times its share, unlike with bare FNV-1a", () => {
  for (const prefix of ["shard-", "region-", "10.0.0.", "peer"]) {
    const candidates = Array.from({ length: 16 }, (_, number) => `${prefix}${number}`);
    expect(Math.max(...loads(candidates).values()) / 4096).toBeLessThanOrEqual(1.05);
  }
});

test("[R4] the rank is cut at count", () => {
  const candidates = ["a", "b", "c", "d"];
  const rank = rendezvousRank("key", candidates);
  expect(rendezvousRank("key", candidates, 2)).toEqual(rank.slice(0, 2));
  expect(rendezvousRank("key", candidates, 0)).toEqual([]);
  expect(rendezvousRank("key", candidates, 9)).toEqual(rank);
  for (const count of [-1, 0.5, Number.NaN]) {
    expect(() => rendezvousRank("key", candidates, count)).toThrow(RangeError);
  }
});
