import { expect, test } from "vitest";
import { TIMINGS } from "../../src/core/timings.ts";
import { addressOf, Cluster } from "./cluster.ts";

const SEEDS = Array.from({ length: 12 }, (_, seed) => seed + 1);

/** The stamp of the founding that a peer belongs to. */
const foundingOf = (cluster: Cluster, name: string) => {
  const entry = cluster.entries(name).get("settings founding");
  return entry && `${entry.time} ${entry.writer}`;
};

/** Shards whose region differs from what it was. */
const moved = (before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): number =>
  [...before].filter(([shard, region]) => after.get(shard) !== region).length;

test.each(SEEDS)("[A0] three that start at once make one founding (seed %d)", (seed) => {
  const cluster = new Cluster("a b c", { seed, delayMsMean: seed % 3 === 0 ? 20 : 1 });
  cluster.start("a b c");
  cluster.run(6000);
  const ready = cluster.changes("ready").map(({ peer, how }) => `${peer} ${how}`);
  expect(ready.sort()).toEqual(["a founded", "b joined", "c joined"]);
  expect(new Set(["a", "b", "c"].map((name) => foundingOf(cluster, name))).size).toBe(1);
  expect(cluster.isEqual).toBe(true);
  expect([...cluster.loads("a").values()]).toEqual([4, 4, 4]);
});

test("[A0] peers that start apart make one founding, whichever is first", () => {
  for (const order of ["a b c", "c b a", "b a c"]) {
    const cluster = new Cluster("a b c");
    for (const name of order.split(" ")) {
      cluster.start(name);
      cluster.run(400);
    }
    cluster.run(8000);
    expect(new Set(cluster.up.map((name) => foundingOf(cluster, name))).size).toBe(1);
    expect(cluster.changes("ready").filter(({ how }) => how === "founded")).toHaveLength(1);
    expect(cluster.isEqual).toBe(true);
  }
});

test("[A0] nobody steals a table by starting last: the newcomer takes over what is there", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a b z", { seed, shardCount: 30 });
    cluster.start("a b");
    cluster.run(5000);
    for (let shard = 0; shard < 30; shard += 1) cluster.allocate("a", `shard-${shard}`, "b");
    cluster.run(10);
    const before = cluster.table("a");
    const from = cluster.now;
    cluster.start("z");
    cluster.run(TIMINGS.local.planSettleMs);
    expect(cluster.machine("z").isReady).toBe(true);
    expect(cluster.table("z")).toEqual(before);
    expect(cluster.changes("allocation", from, "a")).toEqual([]);
    const own = [...cluster.entries("z").values()].filter(({ writer }) => writer.includes("z:1"));
    expect(own.map(({ key }) => key)).toEqual(["z"]);
  }
});

test("[A0] a table of several chunks is not stolen by two newcomers that hear each other", () => {
  for (const seed of [2, 3, 4]) {
    const cluster = new Cluster("a b c", {
      ...{ seed, shardCount: 10_000, delayMsMean: 5 },
      join: (name) => (name === "a" ? [] : ["a", "b", "c"].map(addressOf)),
    });
    cluster.start("a");
    cluster.run(2000);
    const before = cluster.table("a");
    cluster.start("b c");
    cluster.run(TIMINGS.local.planSettleMs - 50);
    expect(moved(before, cluster.table("a"))).toBe(0);
  }
});

test("[A0] until it has synchronised a peer writes nothing and refuses writes with NOT_READY", () => {
  const cluster = new Cluster("a b", { timings: TIMINGS.lan });
  cluster.start("b");
  cluster.run(3500);
  expect(cluster.allocate("b", "shard-0", "b")).toMatchObject({ ok: false, code: "NOT_READY" });
  cluster.start("a");
  cluster.run(2000);
  for (const name of ["a", "b"]) {
    expect(cluster.entries(name).size).toBe(0);
    expect(cluster.allocate(name, "shard-0", name)).toMatchObject({ code: "NOT_READY" });
  }
  cluster.run(2000);
  expect(cluster.allocate("b", "shard-0", "b")).toMatchObject({ ok: true });
});

test("[A0] one that hears nobody founds after joinTimeoutMs, with a warning, and dials on", () => {
  const cluster = new Cluster("a b");
  cluster.start("b");
  cluster.run(TIMINGS.local.joinTimeoutMs - 1);
  expect(cluster.machine("b").isReady).toBe(false);
  cluster.run(200);
  expect(cluster.machine("b").isReady).toBe(true);
  expect(cluster.changes("warning").map(({ code }) => code)).toContain("UNREACHABLE");
  cluster.start("a");
  cluster.run(4000);
  expect(cluster.changes("ready", 0, "a")).toMatchObject([{ how: "joined" }]);
  expect(cluster.isEqual).toBe(true);
});

test("[A0] a first peer that is restarted without a disk gives way to the older cluster", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a b c", {
      seed,
      join: (name) => (name === "a" ? [] : ["a:1", "b:1"]),
    });
    cluster.start("a");
    cluster.run(100);
    cluster.start("b c");
    cluster.run(5000);
    const founding = foundingOf(cluster, "b");
    cluster.peer("a").kill();
    cluster.run(3000);
    const before = cluster.table("b");
    cluster.start("a");
    cluster.run(TIMINGS.local.planSettleMs);
    expect([foundingOf(cluster, "a"), foundingOf(cluster, "b")]).toEqual([founding, founding]);
    expect(moved(before, cluster.table("b"))).toBe(0);
    expect(cluster.peer("a").lives).toBe(3);
    cluster.run(5000);
    expect(cluster.isEqual).toBe(true);
    expect([...cluster.loads("a").values()]).toEqual([4, 4, 4]);
  }
});

test("[A0, C5] a first peer that is restarted with a clock an hour slow takes nobody's table", () => {
  for (const seed of SEEDS.slice(0, 6)) {
    const cluster = new Cluster("a b c", {
      seed,
      join: (name) => (name === "a" ? [] : ["a:1", "b:1"]),
    });
    cluster.start("a");
    cluster.run(100);
    cluster.start("b c");
    cluster.run(5000);
    const founding = foundingOf(cluster, "b");
    cluster.peer("a").kill();
    cluster.run(3000);
    const before = cluster.table("b");
    cluster.peer("a").wallOffsetMs = -3_600_000;
    cluster.start("a");
    cluster.run(5000);
    for (const name of ["b", "c"]) {
      expect(cluster.machine(name).isReady).toBe(true);
      expect(foundingOf(cluster, name)).toBe(founding);
      expect(moved(before, cluster.table(name))).toBe(0);
    }
    expect(cluster.machine("a").isReady).toBe(false);
    cluster.peer("a").wallOffsetMs = 0;
    cluster.run(15_000);
    expect(cluster.up.map((name) => foundingOf(cluster, name))).toEqual(Array(3).fill(founding));
    expect(cluster.isEqual).toBe(true);
    expect([...cluster.loads("a").values()]).toEqual([4, 4, 4]);
  }
});

test("[A0, C4] a newcomer whose clock is wrong founds nothing beside peers that it hears", () => {
  const cluster = new Cluster("a b c z").settled();
  cluster.peer("z").kill();
  cluster.run(2000);
  const founding = foundingOf(cluster, "a");
  cluster.peer("z").wallOffsetMs = -86_400_000;
  cluster.start("z");
  cluster.run(TIMINGS.local.joinTimeoutMs + 5000);
  expect(foundingOf(cluster, "z")).toBeUndefined();
  for (const name of ["a", "b", "c"]) {
    expect(foundingOf(cluster, name)).toBe(founding);
    expect(cluster.machine(name).isReady).toBe(true);
  }
});

test("[A0] two clusters that meet do not merge: the younger one begins again in the older", () => {
  const cluster = new Cluster("a b c d", { join: () => [] });
  cluster.start("c d", { join: [addressOf("c")] });
  cluster.start("a b", { join: [addressOf("a")] });
  cluster.run(TIMINGS.local.joinTimeoutMs + 5000);
  expect(foundingOf(cluster, "a")).not.toBe(foundingOf(cluster, "c"));
  const foundings = ["a", "c"].map((name) => foundingOf(cluster, name) ?? "");
  const [older] = foundings.sort();
  cluster.add("e");
  cluster.start("e", { join: [addressOf("a"), addressOf("c")] });
  cluster.run(20_000);
  for (const name of ["a", "b", "c", "d", "e"]) expect(foundingOf(cluster, name)).toBe(older);
  expect(cluster.isEqual).toBe(true);
});

test("[A0] a cluster that is restarted as a whole from its disks has its table again", () => {
  const cluster = new Cluster("a b c").settled();
  const founding = foundingOf(cluster, "a");
  for (let shard = 0; shard < 6; shard += 1) cluster.allocate("b", `shard-${shard}`, "c");
  cluster.run(100);
  const before = cluster.table("b");
  for (const name of ["a", "b", "c"]) cluster.peer(name).kill();
  cluster.run(1000);
  const from = cluster.now;
  cluster.start("c a b", { wipe: false });
  cluster.run(400);
  expect(cluster.up.map((name) => foundingOf(cluster, name))).toEqual([
    founding,
    founding,
    founding,
  ]);
  expect(cluster.up.map((name) => moved(before, cluster.table(name)))).toEqual([0, 0, 0]);
  cluster.run(5000);
  expect(cluster.changes("ready", from).map(({ how }) => how)).toEqual([
    "joined",
    "joined",
    "joined",
  ]);
  expect(cluster.isEqual).toBe(true);
});

test("[R6] peers that were told different shard counts do not link, and say why", () => {
  const cluster = new Cluster("a");
  cluster.add("b", { shardCount: 13 });
  cluster.start("a b");
  cluster.run(5000);
  for (const name of ["a", "b"]) {
    expect(cluster.machine(name).status().links).toBe(0);
  }
  expect(cluster.changes("warning", 0, "b").map(({ code }) => code)).toContain("CLUSTER_MISMATCH");
  expect(cluster.entries("a").has("members b")).toBe(false);
});

test("[F7] a newcomer with the name of a peer that answers stops with NAME_TAKEN", () => {
  const cluster = new Cluster("a b").settled();
  const twin = cluster.add("a", { address: "a2:1", join: [addressOf("b")] }, "twin");
  const before = cluster.entries("b").get("members a");
  twin.start({ wipe: true });
  cluster.run(2000);
  expect([twin.state, twin.stoppedWith]).toEqual(["down", "NAME_TAKEN"]);
  expect(cluster.entries("b").get("members a")).toEqual(before);
  expect(cluster.machine("a").isReady).toBe(true);
});

test("[F7] a newcomer with the name of the only peer stops with NAME_TAKEN, and founds nothing", () => {
  const cluster = new Cluster("a", { join: () => [] }).settled();
  const twin = cluster.add("a", { address: "a2:1", join: [addressOf("a")] }, "twin");
  const { eventCount } = cluster.world;
  twin.start({ wipe: true });
  cluster.run(2000);
  expect(twin.stoppedWith).toBe("NAME_TAKEN");
  expect(cluster.world.eventCount - eventCount).toBeLessThan(500);
  cluster.run(TIMINGS.local.joinTimeoutMs);
  expect(cluster.changes("ready", 0, "twin")).toEqual([]);
});

test("[F7] a newcomer takes over the name of a peer that died, at another address", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.peer("a").kill();
  cluster.run(1000);
  const twin = cluster.add("a", { address: "a2:1" }, "twin");
  twin.start({ wipe: true });
  cluster.run(4000);
  expect(twin.stoppedWith).toBeUndefined();
  expect(cluster.status("a", "b")).toBe("alive");
  expect(
    cluster
      .machine("b")
      .view.members()
      .find(({ name }) => name === "a")?.address,
  ).toBe("a2:1");
  expect([...cluster.loads("b").values()]).toEqual([4, 4, 4]);
});

test("[F7] a peer that is restarted at once, before anybody missed it, takes its name over", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.peer("b").kill();
  cluster.start("b");
  cluster.run(4000);
  expect(cluster.peer("b").stoppedWith).toBeUndefined();
  expect(["a", "c"].map((name) => cluster.status("b", name))).toEqual(["alive", "alive"]);
  expect(cluster.isEqual).toBe(true);
  expect([...cluster.loads("a").values()]).toEqual([4, 4, 4]);
});

test("[F7] of two newcomers of one name that meet, the later started one stops", () => {
  for (const seed of SEEDS) {
    const cluster = new Cluster("a", { seed, join: () => ["a:1", "a2:1"] });
    const twin = cluster.add("a", { address: "a2:1" }, "twin");
    const first = seed % 2 === 0 ? twin : cluster.peer("a");
    const second = first === twin ? cluster.peer("a") : twin;
    first.start({ wipe: true });
    cluster.run(seed);
    second.start({ wipe: true });
    cluster.run(40_000);
    expect([first.stoppedWith, second.stoppedWith]).toEqual([undefined, "NAME_TAKEN"]);
    expect(first.machine?.isReady).toBe(true);
  }
});
