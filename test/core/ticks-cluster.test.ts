import { expect, test } from "vitest";
import type { CallRequest } from "../../src/core/event.ts";
import { Cluster } from "./cluster.ts";

const PHASES = ["sense", "act"];

const start = (phaseTimeoutMs = 30_000): CallRequest => {
  return { type: "tick-start", phases: PHASES, phaseTimeoutMs };
};
const done = (shard: string, phase: string, tick: number): CallRequest => {
  return { type: "phase-complete", shard, phase, tick };
};
const wait = (phase: string, tick: number): CallRequest => {
  return { type: "phase-wait", phase, tick, timeoutMs: 60_000 };
};

/** Every region completes a phase for its own shards, as it sees them. */
function completeOwn(cluster: Cluster, names: string, phase: string, tick: number): void {
  for (const name of names.split(" ")) {
    for (const [shard, region] of cluster.table(name)) {
      if (region === name) cluster.later(name, done(shard, phase, tick));
    }
  }
}

function runTick(cluster: Cluster, names: string, tick: number): void {
  expect(cluster.callUntil(names.slice(-1), start(), 1000)).toEqual({ ok: true, value: tick });
  cluster.run(100);
  for (const phase of PHASES) {
    const waits = names.split(" ").map((name) => cluster.later(name, wait(phase, tick)));
    completeOwn(cluster, names, phase, tick);
    cluster.runUntil(() => waits.every((answer) => answer()?.ok === true), 1000);
  }
}

const ticksOf = (cluster: Cluster, name: string): string[] =>
  cluster.changes("tick", 0, name).map(({ tick, phase, state }) => `${tick} ${phase} ${state}`);

const TOLD = ["1 sense running", "1 act running", "1 act complete"];

test("[B1, B7] all peers hear of the same ticks in the same order", () => {
  const cluster = new Cluster("a b c", { delayMsMean: 20 }).settled();
  for (const tick of [1, 2, 3]) runTick(cluster, "a b c", tick);
  cluster.run(1000);
  for (const name of ["a", "b", "c"]) {
    expect(ticksOf(cluster, name)).toHaveLength(9);
    expect(ticksOf(cluster, name)).toEqual(ticksOf(cluster, "a"));
  }
  expect(ticksOf(cluster, "a").slice(0, 3)).toEqual(TOLD);
  expect(cluster.isEqual).toBe(true);
});

test("[B7] a peer that joins later knows the ticks, and hears of those that come", () => {
  const cluster = new Cluster("a b c");
  cluster.start("a b");
  cluster.run(5000);
  runTick(cluster, "a b", 1);
  cluster.start("c");
  cluster.run(5000);
  expect(ticksOf(cluster, "c")).toEqual([]);
  expect(cluster.machine("c").status().tick).toBe(1);
  runTick(cluster, "a b c", 2);
  cluster.run(100);
  expect(ticksOf(cluster, "c")).toEqual(["2 sense running", "2 act running", "2 act complete"]);
});

test("[B4, B5] when starter and region die in the middle of a phase, the others finish it", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.callUntil("b", start(), 100);
  cluster.run(10);
  const waits = ["b", "c"].map((name) => cluster.later(name, wait("sense", 1)));
  completeOwn(cluster, "b c", "sense", 1);
  cluster.peer("a").kill();
  cluster.runUntil(() => [...cluster.table("b").values()].every((region) => region !== "a"), 5000);
  cluster.run(100);
  expect(waits.map((answer) => answer())).toEqual([undefined, undefined]);
  completeOwn(cluster, "b c", "sense", 1);
  cluster.runUntil(() => waits.every((answer) => answer()?.ok === true), 1000);
});

test("[B7] a partition in the middle of a phase: the majority goes on, the others learn of it", () => {
  const cluster = new Cluster("a b c d e").settled();
  cluster.callUntil("a", start(), 100);
  cluster.run(10);
  cluster.cut("a b", "c d e");
  completeOwn(cluster, "a b c d e", "sense", 1);
  const lost = cluster.later("a", wait("sense", 1));
  const held = cluster.later("d", wait("sense", 1));
  const isTaken = () => [...cluster.table("d").values()].every((region) => "cde".includes(region));
  cluster.runUntil(isTaken, 30_000);
  cluster.run(1000);
  completeOwn(cluster, "c d e", "sense", 1);
  cluster.runUntil(() => held()?.ok === true, 1000);
  expect(lost()).toBeUndefined();
  expect(cluster.callUntil("a", start(), 100)).toMatchObject({ code: "NOT_READY" });
  completeOwn(cluster, "c d e", "act", 1);
  cluster.run(1000);
  runTick(cluster, "c d e", 2);
  cluster.heal();
  cluster.run(10_000);
  expect(lost()).toEqual({ ok: true, value: undefined });
  expect(cluster.isEqual).toBe(true);
  for (const name of ["a", "b", "c", "d", "e"]) {
    expect(
      cluster
        .machine(name)
        .view.ticks.history()
        .map(({ tick, state }) => [tick, state]),
    ).toEqual([
      [1, "complete"],
      [2, "complete"],
    ]);
    expect(ticksOf(cluster, name).filter((text) => text.endsWith("complete"))).toEqual([
      "1 act complete",
      "2 act complete",
    ]);
  }
});

test("[B6, B7] with downing off both sides complete a tick, and one of them hears of the other's, too", () => {
  const cluster = new Cluster("a b", { downing: "off" }).settled();
  cluster.cut("a", "b");
  const isTaken = (name: string) =>
    [...cluster.table(name).values()].every((region) => region === name);
  cluster.runUntil(() => isTaken("a") && isTaken("b"), 30_000);
  cluster.run(1000);
  for (const name of ["a", "b"]) runTick(cluster, name, 1);
  cluster.heal();
  cluster.runUntil(() => cluster.isEqual, 10_000);
  expect(ticksOf(cluster, "a")).toEqual([...TOLD, "1 act complete"]);
  expect(ticksOf(cluster, "b")).toEqual(TOLD);
});

test("[B5] a tick whose region hangs is aborted by the starter, and all hear of the same stragglers", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.callUntil("a", start(500), 100);
  cluster.run(10);
  completeOwn(cluster, "a b", "sense", 1);
  cluster.peer("c").pause();
  cluster.run(600);
  const stragglers = [...cluster.table("a")]
    .filter(([, region]) => region === "c")
    .map(([shard]) => shard);
  for (const name of ["a", "b"]) {
    expect(cluster.changes("tick", 0, name).at(-1)).toMatchObject({ state: "aborted", stragglers });
  }
});
