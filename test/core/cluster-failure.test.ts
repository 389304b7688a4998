import { expect, test } from "vitest";
import { detectionTimes } from "../../src/core/suspicion.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { allocationIn, Cluster } from "./cluster.ts";

const T = TIMINGS.local;
/** A bound on the time until a hung peer is dead to everybody. */
const UNTIL_DEAD_MS = detectionTimes(T, 5).deadAloneMs;
const SEEDS = Array.from({ length: 12 }, (_, seed) => seed + 1);
const FIVE = "a b c d e";

/** What everybody said of one member since a moment: `peer status`. */
const said = (cluster: Cluster, of: string, from: number): string[] =>
  cluster
    .changes("member", from)
    .filter(({ name }) => name === of)
    .map(({ peer, status }) => `${peer} ${status}`);

test.each(SEEDS)(
  "[F5] a killed peer is dead to all within 200 ms, and never suspect (seed %d)",
  (seed) => {
    const cluster = new Cluster(FIVE, { seed }).settled();
    const from = cluster.now;
    cluster.peer("c").kill();
    const others = ["a", "b", "d", "e"];
    cluster.runUntil(() => others.every((name) => cluster.status("c", name) === "dead"), 200);
    cluster.run(3000);
    expect(new Set(said(cluster, "c", from))).toEqual(
      new Set(others.map((name) => `${name} dead`)),
    );
    for (const name of others) expect([...cluster.loads(name).values()]).toEqual([3, 3, 3, 3]);
  },
);

test("[F5, A2] shards are served again within a second, also when three of seven die together", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a b c d e f g", { seed, shardCount: 28 }).settled();
    for (const name of ["b", "d", "g"]) cluster.peer(name).kill();
    const isServed = () =>
      cluster.up.every((name) => {
        const regions = new Set(cluster.table(name).values());
        return (
          cluster.table(name).size === 28 && ["b", "d", "g"].every((dead) => !regions.has(dead))
        );
      });
    cluster.runUntil(isServed, 1000);
    cluster.run(5000);
    expect([...cluster.loads("a").values()]).toEqual([7, 7, 7, 7]);
    expect(cluster.isEqual).toBe(true);
  }
});

test("[F5] a link that is reset between two peers that live costs no verdict", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a b c", { seed }).settled();
    const from = cluster.now;
    const before = cluster.entries("a");
    for (let round = 0; round < 5; round += 1) {
      cluster.network.reset((connection) => connection.involves("b"));
      cluster.run(100);
    }
    cluster.run(2000);
    expect(said(cluster, "b", from)).toEqual([]);
    expect(cluster.entries("a")).toEqual(before);
    for (const name of ["a", "b", "c"]) expect(cluster.machine(name).status().links).toBe(2);
  }
});

test("[F5] a peer whose host lost its power refuses nobody: silence decides", () => {
  const cluster = new Cluster("a b c").settled();
  const from = cluster.now;
  cluster.peer("b").kill(true);
  cluster.run(T.silenceMs - T.heartbeatMs);
  expect(said(cluster, "b", from)).toEqual([]);
  cluster.runUntil(() => cluster.status("b", "a") === "suspect", T.silenceMs);
  cluster.runUntil(() => cluster.status("b", "a") === "dead", UNTIL_DEAD_MS);
  expect(cluster.loads("a").get("b")).toBe(4);
  cluster.run(T.stableAfterMs + 1500);
  expect([...cluster.loads("a")]).toEqual([
    ["a", 6],
    ["c", 6],
  ]);
});

test("[F1, F2] a peer that hangs is dead within the silence limit and the suspicion, and lives again after", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.peer("c").pause();
  const ms = cluster.runUntil(() => cluster.status("c", "a") === "dead", 10_000);
  expect(ms).toBeLessThan(UNTIL_DEAD_MS);
  const from = cluster.now;
  cluster.peer("c").resume();
  cluster.runUntil(
    () => ["a", "b", "c"].every((name) => cluster.status("c", name) === "alive"),
    500,
  );
  cluster.run(5000);
  expect(said(cluster, "a", from).concat(said(cluster, "b", from))).toEqual([]);
  expect(cluster.isEqual).toBe(true);
  expect([...cluster.loads("a").values()]).toEqual([4, 4, 4]);
});

test("[F2] a peer that was late for less than the silence limit loses no link and accuses nobody", () => {
  for (let pauseAt = 0; pauseAt < 40; pauseAt += 1) {
    const cluster = new Cluster("a b c").settled();
    cluster.run(500 + pauseAt * 0.3);
    const from = cluster.now;
    cluster.peer("b").pause();
    cluster.run(700);
    cluster.peer("b").resume();
    cluster.run(3000);
    expect(cluster.changes("member", from)).toEqual([]);
    expect(["a", "b", "c"].map((name) => cluster.peer(name).links.malformed)).toEqual([0, 0, 0]);
  }
});

test("[F2] a link that works one way only is no link: both ends notice", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.network.cut("a", "b");
  cluster.run(2 * T.silenceMs + 1000);
  expect(cluster.machine("a").status().links).toBe(1);
  expect(cluster.machine("b").status().links).toBe(1);
  cluster.heal();
  cluster.run(1000);
  expect(cluster.machine("a").status().links).toBe(2);
  cluster.run(4000);
  expect(cluster.isEqual).toBe(true);
});

test("[F6] a peer that leaves is left to all at once, its shards are taken, and nobody misses it", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster(FIVE, { seed }).settled();
    const from = cluster.now;
    expect(cluster.call("c", { type: "leave" })).toMatchObject({ ok: true });
    cluster.run(20);
    cluster.peer("c").kill();
    const others = ["a", "b", "d", "e"];
    for (const name of others) {
      expect(cluster.status("c", name)).toBe("left");
      expect(cluster.loads(name).has("c")).toBe(false);
    }
    cluster.run(15_000);
    const words = said(cluster, "c", from).filter((one) => !one.startsWith("c "));
    expect(words.sort()).toEqual(others.map((name) => `${name} left`));
    expect([...cluster.loads("a").values()]).toEqual([3, 3, 3, 3]);
  }
});

test("[F6] a peer that left and is started again is a member again", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.call("c", { type: "leave" });
  cluster.run(50);
  cluster.peer("c").kill();
  cluster.run(2000);
  cluster.start("c", { wipe: false });
  cluster.run(5000);
  expect(cluster.status("c", "a")).toBe("alive");
  expect([...cluster.loads("b").values()]).toEqual([4, 4, 4]);
});

test("[F6] all of a cluster may leave one after another, and come back with their table's founding", () => {
  const cluster = new Cluster("a b c").settled();
  const founding = cluster.entries("a").get("settings founding");
  for (const name of ["a", "b", "c"]) {
    cluster.call(name, { type: "leave" });
    cluster.run(100);
    cluster.peer(name).kill();
  }
  cluster.start("a b c", { wipe: false });
  cluster.run(8000);
  expect(cluster.entries("b").get("settings founding")).toEqual(founding);
  expect([...cluster.loads("b").values()]).toEqual([4, 4, 4]);
  expect(cluster.isEqual).toBe(true);
});

test("[F9] the side with the majority takes over, and the other one stops and writes nothing", () => {
  const cluster = new Cluster(FIVE).settled();
  cluster.cut("a b", "c d e");
  cluster.run(UNTIL_DEAD_MS + 1000);
  for (const name of ["a", "b"]) {
    expect(cluster.machine(name).isReady).toBe(false);
    expect(cluster.allocate(name, "shard-0", name)).toMatchObject({ code: "NOT_READY" });
  }
  const own = cluster.entries("a");
  cluster.run(T.stableAfterMs + 3000);
  expect(cluster.entries("a")).toEqual(own);
  for (const name of ["c", "d", "e"]) {
    expect(cluster.machine(name).isReady).toBe(true);
    expect([...cluster.loads(name)]).toEqual([
      ["c", 4],
      ["d", 4],
      ["e", 4],
    ]);
  }
});

test("[F9] of exact halves the one with the lowest name goes on", () => {
  const cluster = new Cluster("a b c d").settled();
  cluster.cut("a d", "b c");
  cluster.run(UNTIL_DEAD_MS + T.stableAfterMs + 3000);
  const ready = cluster.up.filter((name) => cluster.machine(name).isReady);
  expect(ready).toEqual(["a", "d"]);
  expect([...cluster.loads("a")]).toEqual([
    ["a", 6],
    ["d", 6],
  ]);
});

test("[G9] after a cut has healed all are equal within two sync intervals, and hosts are even again", () => {
  for (const seed of SEEDS.slice(0, 6)) {
    const cluster = new Cluster(FIVE, { seed }).settled();
    cluster.cut("a b", "c d e");
    cluster.run(30_000);
    for (let shard = 0; shard < 12; shard += 1) cluster.allocate("d", `shard-${shard}`, "e");
    cluster.heal();
    const ms = cluster.runUntil(() => cluster.isEqual, 2 * 1.25 * T.syncIntervalMs);
    expect(ms).toBeLessThan(2500);
    cluster.run(8000);
    expect(cluster.isEqual).toBe(true);
    expect(cluster.up.map((name) => cluster.machine(name).status().members.alive)).toEqual([
      5, 5, 5, 5, 5,
    ]);
    expect(Math.max(...cluster.loads("a").values())).toBeLessThanOrEqual(3);
  }
});

test("[G9] with downing off both sides write, and end equal after the cut has healed", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a b c d", { seed, downing: "off" }).settled();
    cluster.cut("a b", "c d");
    cluster.run(20_000);
    for (let shard = 0; shard < 12; shard += 1) {
      const [name, region] = shard % 2 === 0 ? ["a", "b"] : ["d", "c"];
      expect(cluster.allocate(name ?? "", `shard-${shard}`, region ?? "")).toMatchObject({
        ok: true,
      });
    }
    cluster.heal();
    cluster.runUntil(() => cluster.isEqual, 2500);
    cluster.run(8000);
    expect(cluster.isEqual).toBe(true);
    expect([...cluster.loads("c").values()]).toEqual([3, 3, 3, 3]);
  }
});

test("[G8] redialling never ends: a cut of a week heals within the long wait", () => {
  const slow = { heartbeatMs: 20_000, keepAliveMs: 20_000, silenceMs: 80_000 };
  const timings = { ...T, ...slow, syncIntervalMs: 60_000 };
  const cluster = new Cluster("a b", { timings, downing: "off", shardCount: 2 });
  cluster.start("a b");
  cluster.run(60_000);
  cluster.cut("a", "b");
  cluster.run(7 * 86_400_000);
  cluster.allocate("b", "shard-0", "b");
  cluster.heal();
  const linked = () => cluster.up.every((name) => cluster.machine(name).status().links === 1);
  expect(cluster.runUntil(linked, T.redialIdleMs + 1000)).toBeLessThan(T.redialIdleMs + 1000);
  cluster.run(1000);
  expect(cluster.isEqual).toBe(true);
});

test("[G8] a dead peer that comes back is linked within half a second", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.peer("b").kill();
  cluster.run(60_000);
  cluster.start("b", { join: [], wipe: false });
  const linked = () => ["a", "c"].every((name) => cluster.machine(name).status().links === 2);
  expect(cluster.runUntil(linked, 600)).toBeLessThanOrEqual(600);
});

test("[G7] every pair has one link, whoever dialled, also when all dial at the same moment", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster(FIVE, { seed, delayMsMean: seed }).settled();
    const links = cluster.up.map((name) => cluster.machine(name).status().links);
    expect(links).toEqual([4, 4, 4, 4, 4]);
    cluster.run(100);
    expect(cluster.network.connections.size).toBe(10);
  }
});

test("[G5] what was written while a link was down is there as soon as it is up again", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a b c", { seed }).settled();
    cluster.network.reset((connection) => connection.involves("a"));
    const { token } = allocationIn(cluster.allocate("a", "shard-3", "b"));
    const knows = (name: string) =>
      cluster.machine(name).view.allocation("shard-3")?.token === token;
    expect(cluster.runUntil(() => cluster.up.every(knows), 100)).toBeGreaterThan(0);
  }
});
