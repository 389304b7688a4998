import { expect, test, vi } from "vitest";
import { planMoves } from "../../src/core/allocation.ts";
import type { Effect } from "../../src/core/effect.ts";
import { Machine } from "../../src/core/machine.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { allocationIn, Cluster, entriesByKey } from "./cluster.ts";

const T = TIMINGS.local;
const SEEDS = Array.from({ length: 8 }, (_, seed) => seed + 1);
const HOUR_MS = 3_600_000;

const spread = (cluster: Cluster, by: string): number => {
  const loads = [...cluster.loads(by).values()];
  return Math.max(...loads) - Math.min(...loads);
};

test("[G1] in every step what won is durable before anything is sent, answered or told", () => {
  const steps = vi.spyOn(Machine.prototype, "step");
  try {
    const cluster = new Cluster("a b c d", { seed: 3 }).settled();
    cluster.allocate("b", "shard-1", "a");
    cluster.peer("c").kill();
    cluster.run(2000);
    cluster.start("c");
    cluster.cut("a b", "c d");
    cluster.run(15_000);
    cluster.heal();
    cluster.run(5000);
    cluster.call("d", { type: "leave" });
    cluster.run(2000);
    const results = steps.mock.results.map(({ value }) => value as Effect[]);
    expect(results.length).toBeGreaterThan(1000);
    let persists = 0;
    for (const effects of results) {
      const places = effects.flatMap(({ type }, place) => (type === "persist" ? [place] : []));
      if (places.length === 0) {
        // Nothing won: nothing is pushed either, nor told of.
        const told = effects.filter(
          (effect) =>
            (effect.type === "send" && effect.message.type === "delta") ||
            (effect.type === "notify" && ["allocation", "member"].includes(effect.change.type)),
        );
        expect(told).toEqual([]);
        continue;
      }
      persists += 1;
      expect(places).toEqual([0]);
      const [persist] = effects;
      if (persist?.type !== "persist") continue;
      const durable = entriesByKey(persist.maps);
      for (const effect of effects) {
        if (effect.type !== "send" || effect.message.type !== "delta") continue;
        for (const [key, entry] of entriesByKey(effect.message.maps)) {
          expect(durable.get(key)).toEqual(entry);
        }
      }
    }
    expect(persists).toBeGreaterThan(50);
  } finally {
    steps.mockRestore();
  }
});

test("[G1] a write is known to all after one hop", () => {
  const cluster = new Cluster("a b c d e f", { seed: 2 }).settled();
  const { frames } = cluster.network;
  const { token } = allocationIn(cluster.allocate("c", "shard-5", "e"));
  const knows = (name: string) => cluster.machine(name).view.allocation("shard-5")?.token === token;
  cluster.runUntil(() => cluster.up.every(knows), 20);
  expect(cluster.network.frames - frames).toBeLessThan(20); // Heartbeats and all; were it passed on, 25.
});

test("[G3] what no push brought is found by anti-entropy, and pushed on", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a b c d", { seed }).settled();
    const entry = { key: "k", value: 1, time: cluster.machine("c").clockTime, writer: "w" };
    cluster.tell("c", [{ map: "later", entries: [entry] }]);
    expect(cluster.isEqual).toBe(false);
    cluster.runUntil(() => cluster.isEqual, 2 * 1.25 * T.syncIntervalMs);
    expect(cluster.entries("a").get("later k")).toEqual(entry);
  }
});

test("[A1] an allocation is readable at once where it was written, and says what it superseded", () => {
  const cluster = new Cluster("a b").settled();
  const before = cluster.machine("a").view.allocation("shard-0");
  const target = before?.region === "a" ? "b" : "a";
  const allocation = allocationIn(cluster.allocate("a", "shard-0", target));
  expect(allocation).toMatchObject({ shard: "shard-0", region: target, superseded: before });
  expect(cluster.machine("a").view.regionFor("shard-0")).toBe(target);
  const again = allocationIn(cluster.allocate("a", "shard-0", target));
  expect(again.token).toBeGreaterThan(allocation.token);
});

test("[A2] every registered shard has a region that is alive, from the first one on", () => {
  const cluster = new Cluster("a b c", { shardCount: 50 });
  cluster.start("a b c");
  const isServed = () => cluster.up.some((name) => cluster.table(name).size === 50);
  cluster.runUntil(isServed, T.foundAfterMs + 300);
  cluster.run(3000);
  for (const name of cluster.up) {
    expect(cluster.table(name).size).toBe(50);
    for (const region of cluster.table(name).values()) expect(cluster.up).toContain(region);
  }
});

test("[A3] equal views give equal plans", () => {
  const cluster = new Cluster("a b c").settled();
  for (let shard = 0; shard < 9; shard += 1) cluster.allocate("a", `shard-${shard}`, "a");
  cluster.run(50);
  const plans = cluster.up.map((name) => cluster.call(name, { type: "rebalance", dryRun: true }));
  expect(plans[0]).toMatchObject({ ok: true });
  expect(plans[1]).toEqual(plans[0]);
  expect(plans[2]).toEqual(plans[0]);
  expect(spread(cluster, "b")).toBeGreaterThan(4);
  cluster.call("a", { type: "rebalance", dryRun: false });
  cluster.run(2000);
  expect(spread(cluster, "b")).toBe(0);
});

test("[A5] within 5 s after a join, a leave or a return the loads are equal within one", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a b c d", { seed, shardCount: 64 });
    cluster.start("a b c");
    cluster.run(5000);
    expect(spread(cluster, "a")).toBeLessThanOrEqual(1);
    const from = cluster.now;
    cluster.start("d");
    cluster.run(5000);
    expect([cluster.loads("b").get("d"), spread(cluster, "b")]).toEqual([16, 0]);
    // No more moves than the newcomer's share and one for each region.
    expect(cluster.changes("allocation", from, "a").length).toBeLessThanOrEqual(16 + 4);

    cluster.peer("b").kill();
    cluster.run(5000);
    expect([cluster.loads("a").has("b"), spread(cluster, "a") <= 1]).toEqual([false, true]);
    const back = cluster.now;
    cluster.start("b", { wipe: seed % 2 === 0 });
    cluster.run(5000);
    expect([cluster.loads("a").get("b"), spread(cluster, "a")]).toEqual([16, 0]);
    expect(cluster.changes("allocation", back, "a").length).toBeLessThanOrEqual(16 + 4);
  }
});

test("[A5] once balanced nothing moves any more", () => {
  const cluster = new Cluster("a b c", { shardCount: 31 }).settled();
  const from = cluster.now;
  cluster.run(60_000);
  expect(cluster.changes("allocation", from)).toEqual([]);
  const { view } = cluster.machine("a");
  const regions = ["a", "b", "c"].map((name) => ({ name, alive: true }));
  const shards = view.shards();
  expect(planMoves({ regions, shards, allocations: view.allocations() })).toEqual([]);
});

test("[R5] every change of owner carries a higher token than the one before", () => {
  const cluster = new Cluster("a b c d").settled();
  cluster.peer("b").kill();
  cluster.run(2000);
  cluster.start("b");
  cluster.cut("a", "b c d");
  cluster.run(15_000);
  cluster.heal();
  cluster.run(5000);
  const last = new Map<string, number>();
  const changes = cluster.changes("allocation", 0, "c");
  expect(changes.length).toBeGreaterThan(12);
  for (const { shard, token } of changes) {
    expect(token).toBeGreaterThan(last.get(shard) ?? 0);
    last.set(shard, token);
  }
});

test("[C4] nothing of a peer an hour ahead gets in; it says CLOCK_DRIFT, and the others go on", () => {
  const cluster = new Cluster("a b c d");
  cluster.start("a b c");
  cluster.run(5000);
  const before = cluster.entries("a");
  cluster.peer("d").wallOffsetMs = HOUR_MS;
  cluster.start("d");
  cluster.run(20_000);
  expect(cluster.machine("d").isReady).toBe(false);
  expect(cluster.allocate("d", "shard-0", "d")).toMatchObject({ ok: false, code: "CLOCK_DRIFT" });
  const warnings = cluster.changes("warning", 0, "d").map(({ code }) => code);
  expect(warnings).toContain("CLOCK_DRIFT");
  expect(cluster.entries("a")).toEqual(before);
  for (const name of ["a", "b", "c"]) {
    expect(cluster.machine(name).isReady).toBe(true);
    expect(cluster.status("d", name)).toBeUndefined();
  }
  cluster.peer("d").wallOffsetMs = 0;
  cluster.run(10_000);
  expect(cluster.machine("d").isReady).toBe(true);
  expect([...cluster.loads("a").values()]).toEqual([3, 3, 3, 3]);
});

test("[C5] a member whose clock goes wrong stops writing, and what it held is not lost", () => {
  const cluster = new Cluster("a b c").settled();
  // It drifts slowly, so that no step gives it away.
  cluster.peer("c").wallDrift = 0.01;
  cluster.runUntil(() => !cluster.machine("c").isReady, 700_000);
  expect(cluster.allocate("c", "shard-0", "c")).toMatchObject({ code: "CLOCK_DRIFT" });
  expect(["a", "b"].map((name) => cluster.machine(name).isReady)).toEqual([true, true]);
  expect(cluster.allocate("a", "shard-0", "b")).toMatchObject({ ok: true });
});

test("[C7] a wall clock that is set an hour ahead stops nobody: the step is held back", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.peer("b").wallOffsetMs = HOUR_MS;
  cluster.run(2000);
  const { token } = allocationIn(cluster.allocate("b", "shard-0", "a"));
  cluster.run(100);
  expect(cluster.machine("a").view.allocation("shard-0")?.token).toBe(token);
  for (const name of cluster.up) {
    expect(cluster.machine(name).isReady).toBe(true);
    expect(cluster.machine(name).status().clock.driftMs).toBeLessThan(1000);
  }
  expect(cluster.changes("warning").filter(({ code }) => code === "CLOCK_DRIFT")).toEqual([]);
});

test("[C7] a step that all peers take, as when their host wakes up, is taken", () => {
  const cluster = new Cluster("a b c").settled();
  for (const name of cluster.up) cluster.peer(name).wallOffsetMs = HOUR_MS;
  cluster.run(3000);
  const { token } = allocationIn(cluster.allocate("b", "shard-0", "a"));
  expect(token).toBeGreaterThan(
    allocationIn(cluster.allocate("a", "shard-1", "a")).token - 4096 * 50,
  );
  expect(cluster.machine("b").wallMs).toBe(cluster.peer("b").wallMs);
  cluster.run(100);
  expect(cluster.isEqual).toBe(true);
});

test("[C6] a peer that is restarted with its clock set back writes what supersedes all it wrote", () => {
  const cluster = new Cluster("a", { join: () => [] }).settled();
  const first = allocationIn(cluster.allocate("a", "shard-0", "a"));
  cluster.peer("a").kill();
  cluster.peer("a").wallOffsetMs = -HOUR_MS;
  cluster.start("a", { wipe: false });
  cluster.run(100);
  const second = allocationIn(cluster.allocate("a", "shard-0", "a"));
  expect(second.token).toBeGreaterThan(first.token);
  expect(second.superseded).toMatchObject({ token: first.token });
});

test("[G10] entries of maps that nobody knows reach everybody, and a newcomer", () => {
  const cluster = new Cluster("a b c d");
  cluster.start("a b c");
  cluster.run(4000);
  const entry = {
    key: "k",
    value: ["?", 7],
    time: cluster.machine("a").clockTime,
    writer: "later",
  };
  const repair = {
    type: "repair" as const,
    maps: [{ map: "of-a-later-version", entries: [entry] }],
  };
  cluster.peer("a").step({ type: "received", link: 1, messages: [repair], refused: 0 });
  cluster.run(4000);
  cluster.start("d");
  cluster.run(4000);
  for (const name of cluster.up) {
    expect(cluster.entries(name).get("of-a-later-version k")).toEqual(entry);
  }
});

test("[S8] a forged row is gone from everybody's table as soon as its owner has seen it", () => {
  const cluster = new Cluster("a b c").settled();
  const { view, clockTime } = cluster.machine("a");
  const row = view.membership.get("b")?.row;
  const writer = `${(row?.started ?? 0).toString(36)}-forged`;
  const value = ["left", writer, row?.started ?? 0, "b:1", null, 1, false, 0, 0];
  const entry = { key: "b", value, time: clockTime + 5, writer };
  cluster.tell("a", [{ map: "members", entries: [entry] }]);
  expect(cluster.status("b", "a")).toBe("left");
  const isAlive = () => cluster.up.every((name) => cluster.status("b", name) === "alive");
  cluster.runUntil(isAlive, 2 * 1.25 * T.syncIntervalMs);
  cluster.run(5000);
  expect([...cluster.loads("a").values()]).toEqual([4, 4, 4]);
  expect(cluster.isEqual).toBe(true);
});

test("[G10, G8] a link that a full replica closed is dialled anew with growing waits", () => {
  const cluster = new Cluster("a b", { downing: "off" }).settled();
  const time = cluster.machine("a").clockTime;
  for (const name of ["a", "b"]) {
    const maps = Array.from({ length: 40 }, (_, number) => ({
      map: `of-${name}-${number}`,
      entries: [{ key: "k", value: 1, time, writer: "w" }],
    }));
    cluster.tell(name, maps);
  }
  const { frames } = cluster.network;
  cluster.run(10_000);
  const warnings = cluster.changes("warning").filter(({ code }) => code === "BUFFER_FULL");
  expect(warnings.length).toBeGreaterThan(0);
  expect(cluster.network.frames - frames).toBeLessThan(1000);
});

test("[S5] many requests for a chunk in one frame are answered by one", () => {
  const cluster = new Cluster("a b").settled();
  const machine = cluster.machine("a");
  const now = cluster.peer("a").now;
  const request = { type: "snapshot-request", exchange: 1, cursor: 0 } as const;
  const effects = [1, 2, 3, 4].flatMap((link) =>
    machine.step(
      { type: "received", link, messages: Array(4096).fill(request), refused: 0 },
      now,
      cluster.peer("a").wallMs,
    ),
  );
  const chunks = effects.filter(
    (effect) => effect.type === "send" && effect.message.type === "snapshot",
  );
  expect(chunks).toHaveLength(1);
});
