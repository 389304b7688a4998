import { expect, test } from "vitest";
import { detectionTimes } from "../../src/core/suspicion.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { Cluster } from "./cluster.ts";

const { stableAfterMs } = TIMINGS.local;

/** Long enough for a silent member to be dead to everybody. */
const UNTIL_DEAD_MS = detectionTimes(TIMINGS.local, 3).deadAloneMs + 1000;

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

/** Cuts two groups apart as a firewall does that rejects. */
function reject(cluster: Cluster, one: string, other: string): void {
  for (const a of one.split(" ")) {
    for (const b of other.split(" ")) {
      cluster.network.cut(a, b, true);
      cluster.network.cut(b, a, true);
    }
  }
}

const readyOnes = (cluster: Cluster): string[] =>
  cluster.up.filter((name) => cluster.machine(name).isReady);

test.each([
  ["a", "b c", ["b", "c"]],
  ["a b", "c d e", ["c", "d", "e"]],
  ["a d", "b c", ["a", "d"]],
  ["a b c d", "e f g", ["a", "b", "c", "d"]],
])("[F5, F9] a network that rejects between %s and %s lets one side go on", (one, other, ready) => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const names = `${one} ${other}`.split(" ").sort().join(" ");
    const cluster = new Cluster(names, { seed }).settled();
    reject(cluster, one, other);
    cluster.run(UNTIL_DEAD_MS + 2000);
    expect(readyOnes(cluster)).toEqual(ready);
    cluster.run(stableAfterMs + 3000);
    expect(readyOnes(cluster)).toEqual(ready);
    const hosts = new Set(cluster.table(ready[0] ?? "").values());
    expect([...hosts].sort()).toEqual(ready);
    cluster.heal();
    cluster.run(6000);
    expect(readyOnes(cluster)).toEqual(cluster.up);
    expect(cluster.isEqual).toBe(true);
  }
});

test("[F5, F9] of processes that are killed one after another the last one goes on", () => {
  const cluster = new Cluster("a b c d").settled();
  for (const name of ["a", "b", "c"]) {
    cluster.peer(name).kill();
    cluster.run(200);
    expect(readyOnes(cluster)).toEqual(cluster.up);
  }
  cluster.run(2000);
  expect([...cluster.loads("d").keys()]).toEqual(["d"]);
});

test("[F5, F9] a minority that is killed at one moment is removed at once, a majority is not", () => {
  const few = new Cluster("a b c d e").settled();
  for (const name of ["a", "b"]) few.peer(name).kill();
  few.run(300);
  expect(readyOnes(few)).toEqual(["c", "d", "e"]);
  for (const name of ["a", "b"]) {
    expect(few.machine("c").view.membership.get(name)).toMatchObject({ removed: true });
  }
  const many = new Cluster("a b c d e").settled();
  for (const name of ["a", "b", "c"]) many.peer(name).kill();
  many.run(20_000);
  expect(readyOnes(many)).toEqual([]);
  expect(["a", "b", "c"].map((name) => many.status(name, "d"))).toEqual(["dead", "dead", "dead"]);
  many.start("a", { wipe: false });
  many.run(5000);
  expect(readyOnes(many)).toEqual(["a", "d", "e"]);
});

test("[F5, F9] on this machine's loopback no network is in between: whoever is left goes on", () => {
  const cluster = new Cluster("a b c", { join: () => ["127.0.0.1:1"] });
  for (const [index, name] of ["x", "y", "z"].entries()) {
    cluster.add(name, { address: `127.0.0.1:${index + 1}`, join: ["127.0.0.1:1"] });
  }
  cluster.start("x y z");
  cluster.run(5000);
  for (const name of ["x", "y"]) cluster.peer(name).kill();
  cluster.run(500);
  expect(readyOnes(cluster)).toEqual(["z"]);
});

test("[F2, S9] a link that flaps ten times a second costs no verdict and no storm", () => {
  const cluster = new Cluster("a b c").settled();
  const from = cluster.now;
  const { frames } = cluster.network;
  for (let round = 0; round < 100; round += 1) {
    cluster.network.reset((link) => link.involves("a") && link.involves("c"));
    cluster.run(100);
  }
  expect(cluster.changes("member", from)).toEqual([]);
  expect((cluster.network.frames - frames) / 10).toBeLessThan(250);
  expect(cluster.changes("warning", from)).toEqual([]);
  cluster.run(6000);
  expect(cluster.up.map((name) => cluster.machine(name).status().links)).toEqual([2, 2, 2]);
});
