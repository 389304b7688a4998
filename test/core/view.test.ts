import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeRow, encodeVerdict, MEMBERS, VERDICTS } from "../../src/core/membership.ts";
import type { Entry, MapEntries, Value } from "../../src/core/message.ts";
import { Replica } from "../../src/core/replica.ts";
import { compareTokens } from "../../src/core/token.ts";
import { ALLOCATIONS, encodeAllocation, regionOf, View } from "../../src/core/view.ts";
import { member } from "./members.ts";

const SHARDS = 4;

const allocation = (shard: string, region: string | undefined, time = 1, writer = "w"): Entry => ({
  key: shard,
  value: region === undefined ? undefined : encodeAllocation(region),
  time,
  writer,
});

function viewOf(...entries: readonly Entry[]): { replica: Replica; view: View } {
  const replica = new Replica("x");
  const view = new View(replica, SHARDS, 1);
  view.apply(replica.merge([{ map: ALLOCATIONS, entries }]));
  return { replica, view };
}

test("[R6] shard-0 to shard-(n-1) are registered by configuration, and nothing is written", () => {
  const { replica, view } = viewOf();
  expect(view.shards()).toEqual(["shard-0", "shard-1", "shard-2", "shard-3"]);
  expect(replica.entryCount).toBe(0);
  expect([view.hasShard("shard-3"), view.hasShard("shard-4")]).toEqual([true, false]);
  expect(view.allocations()).toEqual([]);
});

test("[R1] without shards routing answers nothing", () => {
  const view = new View(new Replica("x"), 0, 1);
  expect([view.shardFor("d"), view.allocationFor("d"), view.shards()]).toEqual([
    undefined,
    undefined,
    [],
  ]);
});

test("[R1] an allocation of a shard that is not registered is kept, and is never an answer", () => {
  const { replica, view } = viewOf(allocation("shard-4", "a"), allocation("shard-00", "a"));
  expect(replica.entryCount).toBe(2);
  expect([view.regionFor("shard-4"), view.allocations(), view.allocationCount]).toEqual([
    undefined,
    [],
    0,
  ]);
});

test("[R5] an answer that names a region carries its token and writer", () => {
  const { view } = viewOf(allocation("shard-2", "a", 7, "w"));
  const expected = { shard: "shard-2", region: "a", token: 7, writer: "w" };
  expect(view.allocation("shard-2")).toEqual(expected);
  expect(view.allocations()).toEqual([expected]);
  const documents = Array.from({ length: 200 }, (_, number) => `document-${number}`);
  for (const document of documents) {
    const shard = view.shardFor(document);
    expect(view.allocationFor(document)).toEqual(shard === "shard-2" ? expected : undefined);
  }
  expect(documents.some((document) => view.shardFor(document) === "shard-2")).toBe(true);
});

test("[R5] an allocation does not change in the hands of who asked for it", () => {
  const { view } = viewOf(allocation("shard-0", "a"));
  expect(Object.isFrozen(view.allocation("shard-0"))).toBe(true);
});

test("[R5] each change of a shard's owner has a token above the one before", () => {
  const entries = fc.array(
    fc.record({
      shard: fc.constantFrom("shard-0", "shard-1"),
      region: fc.option(fc.constantFrom("a", "b"), { nil: undefined }),
      time: fc.nat(5),
      writer: fc.constantFrom("v", "w"),
    }),
  );
  fc.assert(
    fc.property(entries, (all) => {
      const { replica, view } = viewOf();
      for (const { shard, region, time, writer } of all) {
        const before = view.allocation(shard);
        const entry = allocation(shard, region, time, writer);
        const won = replica.merge([{ map: ALLOCATIONS, entries: [entry] }]);
        const { allocations } = view.apply(won);
        expect(allocations.length).toBe(won.length);
        for (const change of allocations) {
          expect(change.superseded).toEqual(before);
          if (before === undefined) continue;
          // Under one stamp the value decides: one that was cloned may be written twice.
          expect(compareTokens(change, before)).toBeGreaterThanOrEqual(0);
        }
      }
    }),
  );
});

test("[A1] a change says what it superseded, a release too", () => {
  const { replica, view } = viewOf(allocation("shard-0", "a", 1));
  const apply = (entry: Entry) =>
    view.apply(replica.merge([{ map: ALLOCATIONS, entries: [entry] }])).allocations;
  const first = { shard: "shard-0", region: "a", token: 1, writer: "w" };
  expect(apply(allocation("shard-0", "b", 2))).toEqual([
    { type: "allocation", shard: "shard-0", region: "b", token: 2, writer: "w", superseded: first },
  ]);
  expect(apply(allocation("shard-0", undefined, 3))).toEqual([
    {
      type: "allocation",
      shard: "shard-0",
      region: undefined,
      token: 3,
      writer: "w",
      superseded: { shard: "shard-0", region: "b", token: 2, writer: "w" },
    },
  ]);
  expect([view.regionFor("shard-0"), view.allocationCount]).toEqual([undefined, 0]);
});

test("[G10] fields that later versions append to an allocation are no hindrance", () => {
  expect(regionOf(["a", null, "b"])).toBe("a");
  const unreadable: (Value | undefined)[] = [undefined, null, "a", {}, [], [7], ["a b"], [""]];
  for (const value of unreadable) expect(regionOf(value)).toBeUndefined();
});

const name = fc.constantFrom("a", "b", "c");
const time = fc.integer({ min: 1, max: 4 });
const entry: fc.Arbitrary<MapEntries> = fc.oneof(
  fc
    .tuple(name, time, fc.boolean(), fc.constantFrom("i1", "i2"))
    .map(([key, at, isLeft, incarnation]) => {
      const row = { ...member(key).row, incarnation, status: isLeft ? "left" : "alive" } as const;
      const rowEntry = { key, value: encodeRow(row), time: at, writer: incarnation };
      return { map: MEMBERS, entries: [rowEntry] };
    }),
  fc
    .tuple(name, name, time, time, fc.constantFrom("suspect", "dead", "removed"))
    .map(([subject, accuser, about, at, kind]) => {
      const verdict = { kind, about: { time: about, writer: "i1" }, accuser: "w", why: "" };
      const key = `${subject}/${accuser}`;
      const entries = [{ key, value: encodeVerdict(verdict), time: at, writer: "w" }];
      return { map: VERDICTS, entries };
    }),
  fc.tuple(fc.nat(5), fc.option(name, { nil: undefined }), time).map(([shard, region, at]) => ({
    map: ALLOCATIONS,
    entries: [allocation(`shard-${shard}`, region, at)],
  })),
  fc.constant({ map: "of-a-later-version", entries: [allocation("shard-0", "a")] }),
);

test("[G9] a view kept entry by entry is the one computed anew from the replica", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 40 }), (all) => {
      const { replica, view } = viewOf();
      for (const maps of all) view.apply(replica.merge([maps]));
      const anew = new View(replica, SHARDS, 1);
      expect(view.members()).toEqual(anew.members());
      expect(view.membership.all()).toEqual(anew.membership.all());
      expect(view.allocations()).toEqual(anew.allocations());
      expect(view.allocationCount).toBe(view.allocations().length);
      expect(view.viewId()).toBe(anew.viewId());
      expect(view.fingerprint()).toBe(anew.fingerprint());
    }),
    { numRuns: 300 },
  );
});

test("[G9] a view's id changes with the table, and with the state of a member", () => {
  const { replica, view } = viewOf();
  const ids = new Set([view.viewId()]);
  const apply = (map: string, one: Entry): void => {
    view.apply(replica.merge([{ map, entries: [one] }]));
    ids.add(view.viewId());
  };
  const { row } = member("a");
  const alive = { key: "a", value: encodeRow(row), time: 1, writer: "a1" };
  apply(ALLOCATIONS, allocation("shard-0", "a"));
  apply(MEMBERS, alive);
  for (const kind of ["suspect", "dead", "removed"] as const) {
    const verdict = { kind, about: { time: 1, writer: "a1" }, accuser: "b1", why: "" };
    apply(VERDICTS, {
      key: "a/b",
      value: encodeVerdict(verdict),
      time: 5 + ids.size,
      writer: "b1",
    });
  }
  apply(MEMBERS, { ...alive, value: encodeRow({ ...row, incarnation: "a2" }), time: 9 });
  expect(ids.size).toBe(7);
});
