import { expect, test } from "vitest";
import { TIMINGS } from "../../src/core/timings.ts";
import { Cluster } from "./cluster.ts";

const { silenceMs, claimSettleMs } = TIMINGS.local;

/** Peers with hosts that never fail, all shards spread and served. */
function hosted(names: string, options: { shardCount?: number } = {}): Cluster {
  const cluster = new Cluster(names, { shardCount: 6, hosts: true, ...options }).settled();
  cluster.run(1000);
  return cluster;
}

/** Asks so many times, one ms apart; the asks are numbered from `first`. */
function askAll(cluster: Cluster, name: string, shard: string, first: number, count: number): void {
  for (let index = 0; index < count; index += 1) {
    cluster.world.plan(index, () => cluster.peer(name).ask(first + index, shard, "e", 10_000));
  }
}

const ownerOf = (cluster: Cluster, shard: string): string =>
  cluster.machine("a").view.regionFor(shard) ?? "";

const asksOf = (cluster: Cluster, shard: string): number[] =>
  cluster.handled.filter((each) => each.shard === shard).map(({ ask }) => ask);

test("[H3] an ask reaches whoever serves the shard, from any peer, and is answered", () => {
  const cluster = hosted("a b c");
  for (const [index, name] of ["a", "b", "c"].entries()) {
    cluster.peer(name).ask(index, "shard-1", "e", 1000);
  }
  cluster.run(200);
  expect(asksOf(cluster, "shard-1").sort()).toEqual([0, 1, 2]);
  expect(new Set(cluster.handled.map(({ by }) => by))).toEqual(
    new Set([ownerOf(cluster, "shard-1")]),
  );
  expect([...cluster.outcomes.values()].every(({ ok }) => ok)).toBe(true);
});

test("[H1, H2, H3] messages that meet a move are handled once each, in order, and none is lost", () => {
  const cluster = hosted("a b c");
  const owner = ownerOf(cluster, "shard-2");
  const [next = ""] = ["a", "b", "c"].filter((name) => name !== owner);
  askAll(cluster, "a", "shard-2", 0, 400);
  askAll(cluster, "c", "shard-2", 1000, 400);
  cluster.run(50);
  const moved = cluster.callUntil("b", { type: "allocate", shard: "shard-2", region: next }, 5000);
  expect(moved).toMatchObject({ ok: true, value: { region: next, superseded: { region: owner } } });
  cluster.run(8000);
  const asks = asksOf(cluster, "shard-2");
  const from = (first: number) => asks.filter((ask) => ask >= first && ask < first + 400);
  expect(from(0)).toEqual(Array.from({ length: 400 }, (_, index) => index));
  expect(from(1000)).toEqual(Array.from({ length: 400 }, (_, index) => 1000 + index));
  expect(new Set(cluster.handled.map(({ by }) => by))).toEqual(new Set([owner, next]));
  expect(cluster.outcomes.size).toBe(800);
  expect([...cluster.outcomes.values()].every(({ ok }) => ok)).toBe(true);
});

test("[H2] the next region has the state that the last one left", () => {
  const cluster = hosted("a b");
  const owner = ownerOf(cluster, "shard-3");
  const next = owner === "a" ? "b" : "a";
  askAll(cluster, "a", "shard-3", 0, 7);
  cluster.run(300);
  cluster.callUntil("a", { type: "allocate", shard: "shard-3", region: next }, 5000);
  cluster.run(500);
  const taken = cluster.acquired.findLast(({ shard }) => shard === "shard-3");
  expect(taken).toMatchObject({ by: next, from: owner, state: new Map([["e", 7]]) });
});

test("[H7] whoever serves wrote the token that it serves under, in its present life", () => {
  const cluster = hosted("a b");
  const owner = ownerOf(cluster, "shard-0");
  cluster.peer("a").ask(0, "shard-0", "e", 1000);
  cluster.run(200);
  cluster.peer(owner).kill();
  cluster.peer(owner).start();
  cluster.run(5000);
  cluster.peer(owner === "a" ? "b" : "a").ask(1, "shard-0", "e", 5000);
  cluster.run(3000);
  const [before, after] = cluster.handled;
  expect(after?.ask).toBe(1);
  expect(after?.token).toBeGreaterThan(before?.token ?? 0);
  expect(after?.writer).toBe(cluster.machine(after?.by ?? "").incarnation);
});

test("[H5] the shards of a killed region are served again once the claims have stood", () => {
  const cluster = hosted("a b c");
  const shard = cluster
    .machine("a")
    .view.allocations()
    .find(({ region }) => region === "b")?.shard;
  const killedAt = cluster.now;
  cluster.peer("b").kill();
  cluster.peer("a").ask(0, shard ?? "", "e", 5000);
  cluster.run(1000);
  const [handled] = cluster.handled;
  expect(handled?.ask).toBe(0);
  expect((handled?.at ?? 0) - killedAt).toBeGreaterThanOrEqual(claimSettleMs);
  expect((handled?.at ?? 0) - killedAt).toBeLessThan(1000);
});

test.each([
  ["b", "stays down"],
  ["c", "stays down"],
  ["b", "comes back"],
  ["c", "comes back"],
])(
  "[H4, I11] whatever is the last effect of %s in a handoff, one region serves then: it %s",
  (dies, fate) => {
    let isOver = false;
    let crashes = 0;
    for (let effects = 0; !isOver; effects += 1) {
      const cluster = hosted("a b c");
      const shard =
        cluster
          .machine("a")
          .view.allocations()
          .find(({ region }) => region === "b")?.shard ?? "";
      askAll(cluster, "a", shard, 0, 60);
      cluster.run(20);
      cluster.peer(dies).crashInEffects = effects;
      const answer = cluster.later("a", { type: "allocate", shard, region: "c" });
      const peer = cluster.peer(dies);
      cluster.runUntil(() => peer.state === "down" || answer() !== undefined, 1000);
      // Once the handoff is over first, every moment of it has been a last one.
      isOver = peer.state === "up";
      crashes += Number(!isOver);
      peer.crashInEffects = undefined;
      if (fate === "comes back") peer.start();
      cluster.run(3000);
      expect(cluster.machine("a").view.course(shard), `${effects} effects`).toEqual({});
      cluster.peer("a").ask(1000, shard, "e", 5000);
      cluster.run(2000);
      expect(cluster.outcomes.get(1000)?.ok).toBe(true);
      const asks = asksOf(cluster, shard);
      expect(new Set(asks).size).toBe(asks.length); // Nothing twice.
      for (let ask = 0; ask < 60; ask += 1) {
        const outcome = cluster.outcomes.get(ask);
        expect(outcome, `ask ${ask} after ${effects} effects`).toBeDefined();
        if (outcome?.ok) expect(asks).toContain(ask);
        else if (outcome?.code !== "TIMEOUT") expect(asks).not.toContain(ask);
      }
    }
    expect(crashes).toBeGreaterThan(5);
  },
);

test("[H4] a region that dies in the middle of a handoff leaves the shard to its successor", () => {
  for (const afterMs of [0, 0.5, 1, 2, 4, 8, 16, 32]) {
    const cluster = hosted("a b c");
    const shard = cluster
      .machine("a")
      .view.allocations()
      .find(({ region }) => region === "b")?.shard;
    cluster.later("a", { type: "allocate", shard: shard ?? "", region: "c" });
    cluster.run(afterMs);
    cluster.peer("b").kill();
    cluster.run(3000);
    expect(cluster.machine("a").view.course(shard ?? "")).toEqual({});
    cluster.peer("a").ask(1, shard ?? "", "e", 5000);
    cluster.run(1000);
    expect(cluster.outcomes.get(1)?.ok).toBe(true);
  }
});

test("[H0, H4] a successor that dies gets nothing: the region keeps the shard under a new token", () => {
  for (const afterMs of [0, 0.5, 1, 2, 4, 8, 16, 32]) {
    const cluster = hosted("a b c");
    const shard = cluster
      .machine("a")
      .view.allocations()
      .find(({ region }) => region === "b")?.shard;
    const before = cluster.machine("a").view.allocation(shard ?? "")?.token ?? 0;
    cluster.later("a", { type: "allocate", shard: shard ?? "", region: "c" });
    cluster.run(afterMs);
    cluster.peer("c").kill();
    cluster.run(3000);
    const { view } = cluster.machine("a");
    expect(view.course(shard ?? "")).toEqual({});
    expect(["a", "b"]).toContain(view.regionFor(shard ?? ""));
    expect(view.allocation(shard ?? "")?.token).toBeGreaterThan(before);
    cluster.peer("a").ask(1, shard ?? "", "e", 5000);
    cluster.run(1000);
    expect(cluster.outcomes.get(1)?.ok).toBe(true);
  }
});

test("[F9] a side without a majority serves nothing, and says NOT_READY", () => {
  const cluster = hosted("a b c");
  cluster.cut("c", "a");
  cluster.cut("c", "b");
  cluster.run(10_000);
  const from = cluster.now;
  const shard = cluster
    .machine("c")
    .view.allocations()
    .find(({ region }) => region === "c")?.shard;
  cluster.peer("c").ask(0, shard ?? "", "e", 1000);
  cluster.run(2000);
  expect(cluster.outcomes.get(0)).toMatchObject({ ok: false, code: "NOT_READY" });
  expect(cluster.handled.filter(({ at, by }) => at >= from && by === "c")).toEqual([]);
  cluster.heal();
  cluster.run(5000);
  cluster.peer("c").ask(1, "shard-0", "e", 5000);
  cluster.run(3000);
  expect(cluster.outcomes.get(1)?.ok).toBe(true);
});

test("[A9] a peer that was paused handles nothing before an exchange has ended", () => {
  const cluster = hosted("a b c");
  const shard = cluster
    .machine("a")
    .view.allocations()
    .find(({ region }) => region === "b")?.shard;
  cluster.peer("b").pause();
  cluster.run(20_000); // Everybody else has removed it, and serves its shards.
  const resumedAt = cluster.now;
  cluster.peer("b").ask(0, shard ?? "", "e", 10_000);
  cluster.peer("b").resume();
  cluster.run(10_000);
  expect(cluster.handled.filter(({ at, by }) => by === "b" && at < resumedAt + 1)).toEqual([]);
  expect(asksOf(cluster, shard ?? "")).toEqual([0]);
  expect(cluster.outcomes.get(0)?.ok).toBe(true);
});

test("[H3] what was sent to a region that is cut off may have been handled, and is not sent again", () => {
  const cluster = hosted("a b c");
  const shard = cluster
    .machine("a")
    .view.allocations()
    .find(({ region }) => region === "b")?.shard;
  cluster.cut("b", "a");
  cluster.cut("b", "c");
  cluster.peer("a").ask(0, shard ?? "", "e", 60_000);
  cluster.run(silenceMs + 1500);
  expect(cluster.outcomes.get(0)).toMatchObject({ ok: false, code: "TIMEOUT" });
  cluster.heal();
  cluster.run(10_000);
  expect(asksOf(cluster, shard ?? "").length).toBeLessThanOrEqual(1);
});

test("[F6, H4] a peer that leaves hands everything over, and no ask of anybody fails", () => {
  const cluster = hosted("a b c");
  for (let shard = 0; shard < 6; shard += 1) {
    askAll(cluster, "a", `shard-${shard}`, 1000 * shard, 300);
  }
  cluster.run(100);
  const left = cluster.later("b", { type: "leave" });
  cluster.run(10_000);
  expect(left()).toMatchObject({ ok: true });
  expect(cluster.outcomes.size).toBe(1800);
  expect([...cluster.outcomes.values()].filter(({ ok }) => !ok)).toEqual([]);
  expect(cluster.handled.length).toBe(1800);
  expect(
    cluster
      .machine("a")
      .view.allocations()
      .some(({ region }) => region === "b"),
  ).toBe(false);
});

test("[H6] the next region starts the entities of a region that was killed", () => {
  const cluster = hosted("a b c");
  const shard = cluster
    .machine("a")
    .view.allocations()
    .find(({ region }) => region === "b")?.shard;
  cluster.peer("a").ask(0, shard ?? "", "room", 1000);
  cluster.run(300);
  cluster.peer("b").kill();
  cluster.run(1500);
  const taken = cluster.acquired.findLast((each) => each.shard === shard);
  expect(taken).toMatchObject({ entities: ["room"] });
  cluster.run(60_000); // It is passivated there, and forgotten.
  expect(
    cluster
      .machine("a")
      .entries()
      .find(({ map }) => map === "entities")?.entries,
  ).toMatchObject([{ key: `${shard}/room`, value: undefined }]);
});

test("[A8] a region that knows better says so, at the cost of one more hop", () => {
  const cluster = hosted("a b c");
  const shard = cluster
    .machine("a")
    .view.allocations()
    .find(({ region }) => region === "b")?.shard;
  cluster.cut("a", "c"); // Nothing that c writes comes to a, but through an exchange with b.
  cluster.later("b", { type: "allocate", shard: shard ?? "", region: "c" });
  cluster.run(400);
  cluster.heal();
  cluster.peer("a").ask(0, shard ?? "", "e", 5000);
  cluster.run(2000);
  expect(cluster.handled).toMatchObject([{ ask: 0, by: "c" }]);
});

test("[H1] a call that moves a shard is refused when the handoff comes to nothing", () => {
  const cluster = hosted("a b c");
  const shard = cluster
    .machine("a")
    .view.allocations()
    .find(({ region }) => region === "b")?.shard;
  const answer = cluster.later("a", { type: "allocate", shard: shard ?? "", region: "c" });
  cluster.run(3);
  const back = cluster.callUntil("b", { type: "allocate", shard: shard ?? "", region: "b" }, 100);
  expect(back.ok).toBe(true);
  cluster.run(100);
  expect(answer()).toMatchObject({ ok: false, code: "HANDOFF_TIMEOUT" });
  expect(cluster.machine("a").view.regionFor(shard ?? "")).toBe("b");
});
