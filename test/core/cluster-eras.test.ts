import { expect, test } from "vitest";
import { relateEras } from "../../src/core/eras.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { Cluster } from "./cluster.ts";

const ERA_MS = 20_000;
const GRACE_MS = 2000;
const timings = { ...TIMINGS.local, eraMs: ERA_MS, eraGraceMs: GRACE_MS };
const eraOf = (cluster: Cluster, name: string) => cluster.machine(name).status().era;
const keysOf = (cluster: Cluster, name: string, map: string) =>
  [...cluster.entries(name).keys()].filter((place) => place.startsWith(`${map} `));

test("[M5] the lowest member writes one era after another, and all take it over", () => {
  const cluster = new Cluster("a b c", { timings }).settled();
  expect(eraOf(cluster, "b")).toBe(0);
  cluster.run(ERA_MS);
  expect(["a", "b", "c"].map((name) => eraOf(cluster, name))).toEqual([1, 1, 1]);
  expect(cluster.changes("era").map(({ number }) => number)).toEqual([1, 1, 1]);
  cluster.run(3 * ERA_MS);
  expect(["a", "b", "c"].map((name) => eraOf(cluster, name))).toEqual([4, 4, 4]);
  const { writer } = cluster.entries("c").get("settings era") ?? expect.fail("there is an era");
  expect(writer).toBe(cluster.machine("a").incarnation);
  expect(cluster.isEqual).toBe(true);
});

test("[M5] deletions are forgotten by all, not before an era and the grace have gone by", () => {
  const cluster = new Cluster("a b c", { timings, shardCount: 1 }).settled();
  // Nobody claims a shard of which the ring knows nothing: its deletion stays one.
  const { clockTime, incarnation } = cluster.machine("a");
  const entry = { key: "shard-9", value: undefined, time: clockTime + 1, writer: incarnation };
  for (const name of ["a", "b", "c"])
    cluster.tell(name, [{ map: "allocations", entries: [entry] }]);
  cluster.run(ERA_MS + 5000);
  expect(eraOf(cluster, "c")).toBe(1);
  expect(keysOf(cluster, "c", "allocations")).toContain("allocations shard-9");
  cluster.run(2 * ERA_MS);
  for (const name of ["a", "b", "c"]) {
    expect(keysOf(cluster, name, "allocations")).toEqual(["allocations shard-0"]);
  }
  expect(cluster.isEqual).toBe(true);
});

test("[F8] a dead member stays listed as dead until eras drop it, and one that lives is kept", () => {
  const cluster = new Cluster("a b c", { timings }).settled();
  cluster.peer("c").kill();
  cluster.run(ERA_MS);
  expect(cluster.status("c", "a")).toBe("dead");
  expect(cluster.machine("b").view.membership.get("c")?.why).toContain("nothing listens");
  cluster.run(3 * ERA_MS);
  expect(cluster.status("c", "a")).toBeUndefined();
  expect(keysOf(cluster, "b", "members")).toEqual(["members a", "members b"]);
  expect(keysOf(cluster, "b", "verdicts")).toEqual([]);
  expect(cluster.changes("era").some(({ forgotten }) => forgotten.includes("c"))).toBe(true);
  cluster.run(3 * ERA_MS);
  expect(cluster.status("a", "b")).toBe("alive");
  expect(cluster.isEqual).toBe(true);
});

test("[M5] a peer that is one era behind catches up as itself", () => {
  const cluster = new Cluster("a b c", { timings }).settled();
  const { incarnation } = cluster.machine("c");
  cluster.cut("c", "a b");
  cluster.run(ERA_MS);
  expect([eraOf(cluster, "a"), eraOf(cluster, "c")]).toEqual([1, 0]);
  cluster.heal();
  cluster.run(5000);
  expect(cluster.machine("c").incarnation).toBe(incarnation);
  expect(eraOf(cluster, "c")).toBe(1);
  expect(cluster.isEqual).toBe(true);
});

test("[M5] a peer that is two eras behind begins again, and brings nothing back", () => {
  const cluster = new Cluster("a b c", { timings, shardCount: 2 }).settled();
  const { incarnation, clockTime } = cluster.machine("c");
  const live = { key: "shard-9", value: ["c"], time: clockTime + 1, writer: incarnation };
  for (const name of ["a", "b", "c"]) cluster.tell(name, [{ map: "allocations", entries: [live] }]);
  cluster.cut("c", "a b");
  cluster.run(1000);
  const deleted = { key: "shard-9", value: undefined, time: clockTime + 4096, writer: incarnation };
  for (const name of ["a", "b"]) cluster.tell(name, [{ map: "allocations", entries: [deleted] }]);
  cluster.run(3 * ERA_MS);
  expect(keysOf(cluster, "a", "allocations")).not.toContain("allocations shard-9");
  expect(keysOf(cluster, "c", "allocations")).toContain("allocations shard-9");
  cluster.heal();
  cluster.run(10_000);
  expect(cluster.machine("c").incarnation).not.toBe(incarnation);
  for (const name of ["a", "b", "c"]) {
    expect(keysOf(cluster, name, "allocations")).not.toContain("allocations shard-9");
    expect(cluster.machine(name).isReady).toBe(true);
  }
  expect(cluster.isEqual).toBe(true);
});

test("[M5] of two sides that both went on, the one with fewer eras begins again", () => {
  const cluster = new Cluster("a b c d", { timings, downing: "off" }).settled();
  const lives = () => ["a", "b", "c", "d"].map((name) => cluster.machine(name).incarnation);
  const before = lives();
  cluster.cut("a b", "c d");
  cluster.run(2 * ERA_MS + 10_000);
  const lineOf = (name: string) => cluster.machine(name).identity(cluster.now, 0).era;
  const [left, right] = [lineOf("a"), lineOf("c")];
  cluster.heal();
  cluster.run(10_000);
  expect(cluster.isEqual).toBe(true);
  if (left === undefined || right === undefined) expect.fail("both sides have an era");
  const isLeftOlder = relateEras(left, right) === "ahead";
  const hasChanged = lives().map((life, index) => life !== before[index]);
  expect(hasChanged).toEqual(isLeftOlder ? [true, true, false, false] : [false, false, true, true]);
});

test("[M5] a peer that meets nobody goes through eras and never begins again", () => {
  const cluster = new Cluster("a", { timings, join: () => [] }).settled();
  const { incarnation } = cluster.machine("a");
  cluster.run(5 * ERA_MS);
  expect(cluster.machine("a").incarnation).toBe(incarnation);
  expect(eraOf(cluster, "a")).toBe(5);
});

test("[A0, M5] of two foundings the older wins, however many eras the younger has had", () => {
  const cluster = new Cluster("a b", { timings, join: () => [] });
  cluster.add("c", { join: ["a:1", "b:1"] });
  cluster.start("a");
  cluster.run(1000);
  const { founding } = cluster.machine("a").identity(cluster.now, cluster.peer("a").wallMs);
  cluster.cut("a", "b c");
  cluster.start("b");
  cluster.run(4 * ERA_MS);
  cluster.peer("a").kill();
  cluster.start("a", { wipe: false });
  cluster.heal();
  cluster.start("c");
  cluster.run(10_000);
  for (const name of ["a", "b", "c"]) {
    const machine = cluster.machine(name);
    expect(machine.identity(cluster.now, cluster.peer(name).wallMs).founding).toEqual(founding);
  }
});

test("[M5] a replica stays bounded over a month of members and deletions that come and go", () => {
  const cluster = new Cluster("a b", { timings, shardCount: 4 }).settled();
  const sizes: number[] = [];
  for (let day = 0; day < 30; day += 1) {
    for (let guest = 0; guest < 5; guest += 1) {
      const name = `guest-${day}-${guest}`;
      const peer = cluster.add(name);
      peer.start();
      cluster.run(2000);
      if (guest % 2 === 0) peer.leave();
      cluster.run(100);
      peer.kill();
      cluster.run(1000);
    }
    cluster.run(ERA_MS - 15_500);
    sizes.push(cluster.machine("a").status().entries);
  }
  expect(eraOf(cluster, "a")).toBeGreaterThan(25);
  expect(Math.max(...sizes.slice(5))).toBeLessThanOrEqual(Math.max(...sizes.slice(0, 5)) + 8);
  expect(cluster.machine("a").view.members().length).toBeLessThan(25);
  expect(cluster.peer("a").disk.image.maps.flatMap(({ entries }) => entries).length).toBe(
    cluster.machine("a").status().entries,
  );
  cluster.run(3 * ERA_MS);
  expect(keysOf(cluster, "b", "members")).toEqual(["members a", "members b"]);
  expect(cluster.isEqual).toBe(true);
});
