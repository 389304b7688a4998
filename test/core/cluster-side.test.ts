import { expect, test } from "vitest";
import { TIMINGS } from "../../src/core/timings.ts";
import { Cluster } from "./cluster.ts";

const { silenceMs, suspicionMs, stableAfterMs } = TIMINGS.local;

/** Long enough for a silent member to be dead to everybody. */
const UNTIL_DEAD_MS = silenceMs + suspicionMs + 1000;

test("[A3] a call for a rebalance makes every region do its part, whichever peer was asked", () => {
  for (const asked of ["a", "b", "c"]) {
    const cluster = new Cluster("a b c", { shardCount: 30 }).settled();
    for (let shard = 0; shard < 30; shard += 1) cluster.allocate("a", `shard-${shard}`, "b");
    cluster.run(5000);
    expect(cluster.loads("a").get("b")).toBe(30);
    cluster.call(asked, { type: "rebalance", dryRun: false });
    cluster.run(3000);
    expect([...cluster.loads("a").values()]).toEqual([10, 10, 10]);
    expect(cluster.isEqual).toBe(true);
  }
});

test("[F9] a side that loses its majority says so, and says so again when it has one", () => {
  const cluster = new Cluster("a b c").settled();
  const from = cluster.now;
  cluster.cut("c", "a");
  cluster.cut("c", "b");
  cluster.run(UNTIL_DEAD_MS + 1000);
  expect(cluster.machine("c").isReady).toBe(false);
  expect(cluster.machine("a").isReady).toBe(true);
  expect(cluster.changes("warning", from, "c")).toMatchObject([{ code: "NOT_READY" }]);
  expect(cluster.changes("warning", from, "a")).toEqual([]);
  cluster.heal();
  cluster.run(3000);
  expect(cluster.machine("c").isReady).toBe(true);
  expect(cluster.changes("ready", from, "c")).toMatchObject([{ how: "rejoined" }]);
});

test("[F5, F9] a side without a majority has one again when those it misses turn out to be dead", () => {
  const cluster = new Cluster("a b").settled();
  cluster.peer("a").pause();
  cluster.run(UNTIL_DEAD_MS);
  expect(cluster.machine("b").isReady).toBe(false); // Half of two, and not the lowest name.
  cluster.peer("a").kill();
  cluster.run(3000);
  expect(cluster.machine("b").isReady).toBe(true);
  expect(cluster.loads("b").get("b")).toBe(cluster.machine("b").view.shards().length);
});

test("[F9] a side without a majority removes nobody whose address is silent", () => {
  const cluster = new Cluster("a b").settled();
  cluster.peer("a").pause();
  cluster.run(UNTIL_DEAD_MS + stableAfterMs + 10_000);
  expect(cluster.machine("b").isReady).toBe(false);
  expect(cluster.status("a", "b")).toBe("dead");
  expect(cluster.machine("b").view.membership.get("a")?.removed).toBe(false);
});

test("[F5, G8] a member that only one peer cannot reach costs no storm of inquests", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.network.unlisten("c:1"); // Nobody gets through any more, and links that stand do.
  cluster.network.reset((link) => link.involves("a") && link.involves("c"));
  cluster.run(1000);
  const { frames } = cluster.network;
  cluster.run(20_000);
  expect((cluster.network.frames - frames) / 20).toBeLessThan(60);
});
