import { expect, test } from "vitest";
import { SHARDS_MAX } from "../../src/core/limits.ts";
import { encodeShard, shardIdOf } from "../../src/core/registry.ts";
import { leastLoadedShard, shardState } from "../../src/core/shard-state.ts";
import { Cluster } from "./cluster.ts";
import { allocationEntry, effectsOf, HandDriven, persisted, rowEntry } from "./machines.ts";

const register = (key: string, weight?: number) => {
  return { type: "register-shard", key, weight } as const;
};
const deregister = (shard: string) => ({ type: "deregister-shard", shard }) as const;
const metrics = (shard: string, documents: number, memoryBytes = 0) => {
  return { type: "shard-metrics", shard, documents, memoryBytes } as const;
};

function founded(options: ConstructorParameters<typeof HandDriven>[1] = {}): HandDriven {
  const driven = new HandDriven("a", options);
  driven.start();
  return driven;
}

const id = shardIdOf("k", 0);

test("[R6] a registered shard gets a region at once; registering its key again writes nothing", () => {
  const driven = founded();
  const { effects, outcome } = driven.call(register("k"));
  expect(outcome).toEqual({ ok: true, value: id });
  expect(persisted(effects)).toEqual([`shards ${id}`, `allocations ${id}`]);
  expect(effectsOf(effects, "notify").map(({ change }) => change.type)).toEqual([
    ...["allocation", "acquire"],
  ]);
  expect(driven.machine.view.regionFor(id)).toBe("a");
  const again = driven.call(register("k"));
  expect([again.outcome, persisted(again.effects)]).toEqual([{ ok: true, value: id }, []]);
});

test("[R6] registering a key again with another weight changes the weight", () => {
  const driven = founded();
  driven.call(register("k", 2));
  expect(driven.call(register("k", 0.5)).outcome).toEqual({ ok: true, value: id });
  expect(driven.machine.view.registry.weightOf(id)).toBe(0.5);
  driven.call(register("k"));
  expect(driven.machine.view.registry.weightOf(id)).toBe(0.5);
});

test("[R6] a removed shard is gone from ring, table and lists, and its id never comes back", () => {
  const driven = founded();
  driven.call(register("k"));
  driven.call(metrics(id, 5));
  const { effects, outcome } = driven.call(deregister(id));
  expect(outcome).toEqual({ ok: true, value: undefined });
  expect(effectsOf(effects, "notify").map(({ change }) => change)).toMatchObject([
    { type: "allocation", shard: id, region: undefined, superseded: { region: "a" } },
    { type: "release", shard: id },
  ]);
  const { view } = driven.machine;
  expect([view.shards(), view.allocation(id), shardState(view, id)]).toEqual([
    ["shard-0", "shard-1"],
    undefined,
    undefined,
  ]);
  expect(driven.entry("allocations", id)?.value).toBeUndefined();
  expect(driven.call(deregister(id)).outcome).toMatchObject({ code: "SHARD_NOT_FOUND" });
  expect(driven.call(register("k")).outcome).toEqual({ ok: true, value: shardIdOf("k", 1) });
});

test("[R6] a shard of the configuration can be removed, too, and stays so after a restart", () => {
  const driven = founded();
  driven.call(deregister("shard-0"));
  const maps = driven.machine.entries();
  const again = new HandDriven("a", { image: { clockBound: 0, maps } });
  expect(again.machine.view.shards()).toEqual(["shard-1"]);
});

test("[R1, R2] an allocation that came before its shard is used as soon as the shard is there", () => {
  const driven = founded();
  driven.open(1, "b");
  driven.delta(1, "members", rowEntry("b", 1));
  driven.delta(1, "allocations", allocationEntry(id, "b", 2));
  expect(driven.machine.view.regionFor(id)).toBeUndefined();
  const row = { key: id, value: encodeShard(1), time: 0, writer: "w" };
  const effects = driven.delta(1, "shards", row);
  expect(driven.machine.view.regionFor(id)).toBe("b");
  expect(effectsOf(effects, "notify").map(({ change }) => change)).toMatchObject([
    { type: "allocation", shard: id, region: "b" },
  ]);
});

test("[R1] a shard that comes together with its allocation is told of once", () => {
  const driven = founded();
  driven.open(1, "b");
  driven.delta(1, "members", rowEntry("b", 1));
  const shard = { key: id, value: encodeShard(1), time: 0, writer: "w" };
  const effects = driven.receive(1, {
    type: "delta",
    maps: [
      { map: "allocations", entries: [allocationEntry(id, "b", 2)] },
      { map: "shards", entries: [shard] },
    ],
  });
  expect(effectsOf(effects, "notify").map(({ change }) => change.type)).toEqual(["allocation"]);
});

test("[S4] no more shards are registered than there may be", () => {
  const driven = founded({ shardCount: SHARDS_MAX });
  expect(driven.call(register("k")).outcome).toMatchObject({ code: "BUFFER_FULL" });
  driven.call(deregister("shard-9"));
  expect(driven.call(register("k")).outcome).toEqual({ ok: true, value: id });
});

test("[R7] metrics are written once a second at most, and the last word counts", () => {
  const driven = founded();
  expect(persisted(driven.call(metrics("shard-0", 1)).effects)).toEqual(["metrics shard-0"]);
  expect(persisted(driven.call(metrics("shard-0", 2)).effects)).toEqual([]);
  expect(persisted(driven.call(metrics("shard-0", 3)).effects)).toEqual([]);
  expect(persisted(driven.call(metrics("shard-1", 3)).effects)).toEqual(["metrics shard-1"]);
  expect(shardState(driven.machine.view, "shard-0")?.documents).toBe(1);
  const seen: [number, string[]][] = [];
  driven.pass(5000, (effects, now) => {
    const keys = persisted(effects).filter((key) => key.startsWith("metrics"));
    if (keys.length > 0) seen.push([now, keys]);
  });
  expect(seen).toEqual([[1000, ["metrics shard-0"]]]);
  expect(shardState(driven.machine.view, "shard-0")?.documents).toBe(3);
});

test("[R7] what has not changed is not written again", () => {
  const driven = founded();
  driven.call(metrics("shard-0", 1));
  driven.pass(3000);
  expect(persisted(driven.call(metrics("shard-0", 1)).effects)).toEqual([]);
});

test("[R7] metrics of a shard that has moved meanwhile are not written any more", () => {
  const driven = founded();
  driven.open(1, "b");
  driven.delta(1, "members", rowEntry("b", 1));
  driven.call(metrics("shard-0", 1));
  driven.call(metrics("shard-0", 2));
  driven.call({ type: "allocate", shard: "shard-0", region: "b" });
  const effects = driven.pass(1900);
  expect(persisted(effects).filter((key) => key.startsWith("metrics"))).toEqual([]);
});

test("[R7] the least loaded shard has the fewest documents, then the least memory, then the lowest id", () => {
  const driven = founded({ shardCount: 3 });
  const { view } = driven.machine;
  expect(leastLoadedShard(view)).toBe("shard-0");
  driven.call(metrics("shard-0", 5, 1));
  driven.call(metrics("shard-1", 2, 9));
  driven.call(metrics("shard-2", 2, 8));
  expect(leastLoadedShard(view)).toBe("shard-2");
});

test("[R6] peers that register one key at the same time register one shard, at one region", () => {
  const cluster = new Cluster("a b c").settled();
  const answers = ["a", "b", "c"].map((name) => cluster.later(name, register("k")));
  cluster.runUntil(() => answers.every((answer) => answer() !== undefined), 100);
  expect(new Set(answers.map((answer) => JSON.stringify(answer()))).size).toBe(1);
  cluster.run(5000);
  expect(cluster.isEqual).toBe(true);
  expect(cluster.machine("b").view.shards()).toHaveLength(13);
  expect(cluster.table("c").get(id)).toMatch(/^[abc]$/);
});

test("[R6] a removal wins against a registration that did not know of it", () => {
  const cluster = new Cluster("a b c", { downing: "off" }).settled();
  cluster.callUntil("a", register("k"), 100);
  cluster.run(1000);
  cluster.cut("a", "b c");
  cluster.run(100);
  expect(cluster.callUntil("a", deregister(id), 100)).toMatchObject({ ok: true });
  cluster.run(100);
  // Changing the weight writes the shard's row anew, with a later stamp than the removal's.
  expect(cluster.callUntil("b", register("k", 4), 100)).toEqual({ ok: true, value: id });
  cluster.heal();
  cluster.run(10_000);
  expect(cluster.isEqual).toBe(true);
  for (const name of ["a", "b", "c"]) expect(cluster.machine(name).view.hasShard(id)).toBe(false);
});

test("[R6] a shard is recovering while its region is gone, and offline while nobody can take it", () => {
  const driven = founded({ shardCount: 1 });
  driven.open(1, "b");
  driven.delta(1, "members", rowEntry("b", 1));
  const { view } = driven.machine;
  expect(shardState(view, "shard-0")?.status).toBe("online");
  driven.delta(1, "members", rowEntry("b", 5, { status: "left" }));
  driven.delta(1, "allocations", allocationEntry("shard-0", "b", 6));
  expect(shardState(view, "shard-0")).toMatchObject({ region: "b", status: "recovering" });
  driven.pass(1000);
  expect(shardState(view, "shard-0")).toMatchObject({ region: "a", status: "online" });
  driven.open(2, "c"); // With b, which has left, there is no link any more.
  driven.call({ type: "leave" });
  driven.delta(2, "allocations", allocationEntry("shard-0", "b", 2000));
  expect(shardState(view, "shard-0")).toMatchObject({ region: "b", status: "offline" });
});
