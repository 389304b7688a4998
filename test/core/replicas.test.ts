import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeRow, MEMBERS } from "../../src/core/membership.ts";
import type { MapEntries } from "../../src/core/message.ts";
import { Replica } from "../../src/core/replica.ts";
import { replicasOf } from "../../src/core/replicas.ts";
import { ALLOCATIONS, encodeAllocation, View } from "../../src/core/view.ts";
import { member } from "./members.ts";

/** A view of shards at regions, and of regions in zones. */
function viewOf(
  regions: readonly (string | undefined)[],
  zones: Record<string, string> = {},
): View {
  const names = [...new Set(regions.filter((region) => region !== undefined))];
  const maps: MapEntries[] = [
    {
      map: MEMBERS,
      entries: names.map((key) => {
        const row = { ...member(key).row, zone: zones[key] ?? null };
        return { key, value: encodeRow(row), time: 1, writer: row.incarnation };
      }),
    },
    {
      map: ALLOCATIONS,
      entries: regions.flatMap((region, number) =>
        region === undefined
          ? []
          : [{ key: `shard-${number}`, value: encodeAllocation(region), time: 1, writer: "w" }],
      ),
    },
  ];
  const replica = new Replica("x");
  replica.merge(maps);
  return new View(replica, regions.length, 1);
}

const spread = (count: number, names: string): string[] =>
  Array.from({ length: count }, (_, index) => names[index % names.length] as string);

test("[R3] the first is the document's own shard, and no two are in one region", () => {
  const view = viewOf(spread(64, "abcde"));
  for (let number = 0; number < 200; number += 1) {
    const document = `document-${number}`;
    const { shards, complete } = replicasOf(view, document, 3);
    expect(shards[0]?.shard).toBe(view.shardFor(document));
    expect(new Set(shards.map(({ region }) => region)).size).toBe(3);
    expect(complete).toBe(true);
    expect(shards[0]).toBe(view.allocationFor(document));
  }
});

test("[R3] with fewer regions than copies there are fewer, and that is said", () => {
  const view = viewOf(spread(16, "ab"));
  const { shards, complete } = replicasOf(view, "document", 3);
  expect([shards.length, complete]).toEqual([2, false]);
  expect(replicasOf(view, "document", 2).complete).toBe(true);
});

test("[R3] zones are distinct while there are enough, and regions in any case", () => {
  const zones = { a: "x", b: "x", c: "x", d: "y", e: "z" };
  const view = viewOf(spread(64, "abcde"), zones);
  const zonesOf = (count: number, document: string) =>
    replicasOf(view, document, count).shards.map(
      ({ region }) => zones[region as keyof typeof zones],
    );
  for (let number = 0; number < 200; number += 1) {
    const document = `document-${number}`;
    expect(new Set(zonesOf(2, document)).size).toBe(2);
    expect(new Set(zonesOf(3, document)).size).toBe(3);
    expect([...new Set(zonesOf(4, document))].sort()).toEqual(["x", "y", "z"]);
    const { shards } = replicasOf(view, document, 4);
    expect(new Set(shards.map(({ region }) => region)).size).toBe(4);
  }
});

test("[R3] regions that name no zone are as good as zones of their own", () => {
  const view = viewOf(spread(64, "abc"), { a: "x", b: "x" });
  for (let number = 0; number < 50; number += 1) {
    const { shards } = replicasOf(view, `document-${number}`, 2);
    expect(shards.map(({ region }) => region)).toContain("c");
  }
});

test("[R3] when no region hosts the document's own shard, that is no complete answer", () => {
  const regions = spread(16, "abc");
  const own = Number(viewOf(regions).shardFor("document")?.slice("shard-".length));
  const view = viewOf((regions as (string | undefined)[]).with(own, undefined));
  const { shards, complete } = replicasOf(view, "document", 2);
  expect([shards.length, complete]).toEqual([2, false]);
  expect(shards.map(({ shard }) => shard)).not.toContain(`shard-${own}`);
});

test("[R3] they are in ring order, and what a look at every choice would find", () => {
  const regions = fc.array(fc.option(fc.constantFrom(..."abcdef"), { nil: undefined }), {
    minLength: 1,
    maxLength: 24,
  });
  const zones = fc.dictionary(fc.constantFrom(..."abcdef"), fc.constantFrom("x", "y"));
  fc.assert(
    fc.property(regions, zones, fc.integer({ min: 1, max: 6 }), (all, by, count) => {
      const view = viewOf(all, by);
      const { shards } = replicasOf(view, "document", count);
      const order = [...view.shardsFrom("document")];
      const places = shards.map(({ shard }) => order.indexOf(shard));
      expect(places).toEqual([...places].sort((a, b) => a - b));
      const hosting = new Set(all.filter((region) => region !== undefined));
      const zoneOf = (region: string) => (Object.hasOwn(by, region) ? by[region] : `of ${region}`);
      const zoneCount = new Set([...hosting].map(zoneOf)).size;
      expect(shards.length).toBe(Math.min(count, hosting.size));
      expect(new Set(shards.map(({ region }) => zoneOf(region))).size).toBe(
        Math.min(count, zoneCount),
      );
    }),
  );
});
