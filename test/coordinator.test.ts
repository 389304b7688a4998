import { expect, test } from "vitest";
import type { HearsayError, Peer } from "../src/index.ts";
import { start, startCluster, until } from "./peers.ts";

const PHASES = ["sense", "act", "decay", "advance"];

const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "done",
    (error: HearsayError) => error.code ?? error.name,
  );

/** Completes a phase for the shards of each peer, at that peer. */
async function completeOwn(peers: readonly Peer[], phase: string, tick: number): Promise<void> {
  for (const peer of peers) {
    const own = peer.allocations().filter(({ region }) => region === peer.name);
    await Promise.all(own.map(({ shard }) => peer.phaseComplete(shard, phase, tick)));
  }
}

test("[B1, B2, B5] a tick goes through its phases at all peers, whoever is asked", async () => {
  const peers = await startCluster("a", "b", "c");
  const [a, b, c] = peers;
  const heard: string[] = [];
  b.on("tick", ({ tick, phase, state }) => void heard.push(`${tick} ${phase} ${state}`));
  expect(c.tickStatus()).toMatchObject({ tick: 0, phase: null, state: "idle", history: [] });
  const tick = await c.startTick();
  expect(tick).toBe(1);
  expect(await codeOf(b.startTick())).toBe("TICK_IN_PROGRESS");
  for (const phase of PHASES) {
    const waits = peers.map((peer) => peer.waitForPhase(phase.toUpperCase(), tick));
    expect(a.barrierReady(phase, tick)).toBe(false);
    // Half of the shards at a peer that is not their region.
    for (const [index, { shard }] of a.allocations().entries()) {
      await (index % 2 === 0 ? b : c).phaseComplete(shard, phase, tick);
    }
    await Promise.all(waits);
    expect(peers.map((peer) => peer.barrierReady(phase, tick))).toEqual([true, true, true]);
  }
  expect(a.tickStatus()).toMatchObject({ tick: 1, state: "complete", pending: [] });
  expect(c.currentTick()).toBe(1);
  expect(c.status().tick).toBe(1);
  await until([b], () => heard.length === 5);
  expect(heard).toEqual([...PHASES.map((phase) => `1 ${phase} running`), "1 advance complete"]);
});

test("[B5] a tick whose phase takes too long is aborted, and who waits is told for whom", async () => {
  const [a, b] = await startCluster("a", "b");
  const stragglers = a.shards().map(({ shard }) => shard);
  const tick = await b.startTick({ phases: ["only"], timeoutMs: 20 });
  const wait = b.waitForPhase("only", tick);
  await expect(wait).rejects.toMatchObject({ code: "TICK_ABORTED" });
  await expect(wait.catch(({ stragglers: named }) => [...named].sort())).resolves.toEqual(
    [...stragglers].sort(),
  );
  expect(await codeOf(a.phaseComplete("shard-0", "only", tick))).toBe("TICK_ABORTED");
  expect(a.tickStatus().history).toMatchObject([{ state: "aborted" }]);
  expect(await a.startTick()).toBe(2);
});

test("[B5] a wait can be given up, and ends in time", async () => {
  const a = await start("a");
  const tick = await a.startTick();
  const stop = new AbortController();
  const wait = a.waitForPhase("sense", tick, { signal: stop.signal });
  stop.abort(new Error("Enough"));
  await expect(wait).rejects.toThrow("Enough");
  await expect(a.waitForPhase("sense", tick, { signal: stop.signal })).rejects.toThrow("Enough");
  const late = a.waitForPhase("sense", tick, { timeoutMs: 10 });
  await expect(late).rejects.toMatchObject({
    code: "PHASE_TIMEOUT",
    stragglers: a.shards().map(({ shard }) => shard),
  });
});

test("[B5] when the starter dies in the middle of a phase, the next lowest goes on", async () => {
  const [a, b, c] = await startCluster("a", "b", "c");
  const tick = await c.startTick({ phases: ["only"] });
  await until([b, c], () => b.currentTick() === 1 && c.currentTick() === 1);
  const wait = c.waitForPhase("only", tick);
  await completeOwn([b, c], "only", tick);
  await a.close();
  await until([b, c], () => b.allocations().every(({ region }) => region !== "a"));
  await until([b, c], () => c.allocations().every(({ region }) => region !== "a"));
  for (const shard of b.tickStatus().pending) await b.phaseComplete(shard, "only", tick);
  await wait;
  await until([b], () => b.tickStatus().state === "complete");
});

test("[R6] a registered shard is routed to and hosted, and a removed one is gone at every peer", async () => {
  const [a, b] = await startCluster("a", "b");
  const shard = await a.registerShard({ key: "orders", weight: 4 });
  await until([a, b], () => b.regionFor(shard) !== undefined && a.regionFor(shard) !== undefined);
  expect(await b.registerShard({ key: "orders" })).toBe(shard);
  const documents = Array.from({ length: 500 }, (_, index) => `document-${index}`);
  const routed = documents.filter((document) => a.routeDocument(document).shard === shard);
  expect(routed.length).toBeGreaterThan(0);
  expect(routed.every((document) => b.routeDocument(document).shard === shard)).toBe(true);
  const others = [await a.registerShard(), await a.registerShard()];
  expect(new Set(others).size).toBe(2);
  await until([a, b], () => others.every((other) => a.regionFor(other) !== undefined));
  await b.deregisterShard(shard);
  expect(b.shard(shard)).toBeUndefined();
  expect(await codeOf(b.deregisterShard(shard))).toBe("SHARD_NOT_FOUND");
  await until([a], () => a.shard(shard) === undefined);
  expect(documents.every((document) => a.routeDocument(document).shard !== shard)).toBe(true);
  expect(await a.registerShard({ key: "orders" })).not.toBe(shard);
});

test("[R7] what a shard holds is counted in totals, whichever peer was told", async () => {
  const [a, b] = await startCluster("a", "b");
  const [first, second] = a.allocations();
  if (first === undefined || second === undefined) throw new Error("There are no shards");
  await b.updateShardMetrics(first.shard, { documents: 5, memoryBytes: 100 });
  await b.updateShardMetrics(second.shard, { documents: 7, memoryBytes: 200 });
  await until([a, b], () => a.totalDocuments() === 12 && b.totalDocuments() === 12);
  expect(a.clusterStats()).toEqual({
    ...{ totalShards: 16, onlineShards: 16, totalDocuments: 12, totalMemoryBytes: 300 },
    currentTick: 0,
  });
  const least = a.leastLoadedShard();
  expect([first.shard, second.shard]).not.toContain(least);
  expect(await codeOf(a.updateShardMetrics("shard-99", { documents: 1, memoryBytes: 1 }))).toBe(
    "SHARD_NOT_FOUND",
  );
});

test("[R3] copies of a document are in distinct regions", async () => {
  const [a] = await startCluster("a", "b", "c");
  const { shards, complete } = a.replicaShards("document");
  expect([shards.length, complete]).toEqual([3, true]);
  expect(shards[0]).toBe(a.routeDocument("document"));
  expect(a.replicaShards("document", 4).complete).toBe(false);
  const empty = await start("empty", { shards: 0 });
  expect(() => empty.replicaShards("document")).toThrow("no shard is registered");
});

test("what cannot be meant is refused before anything is done", async () => {
  const a = await start("a");
  const wrong: [unknown, Promise<unknown>][] = [
    ["RangeError", a.registerShard({ key: "" })],
    ["RangeError", a.registerShard({ key: "k".repeat(257) })],
    ["TypeError", a.registerShard({ key: 7 as unknown as string })],
    ["RangeError", a.registerShard({ weight: 0 })],
    ["RangeError", a.registerShard({ weight: Number.NaN })],
    ["TypeError", a.deregisterShard("../shard")],
    ["RangeError", a.updateShardMetrics("shard-0", { documents: -1, memoryBytes: 0 })],
    ["RangeError", a.updateShardMetrics("shard-0", { documents: 0, memoryBytes: 0.5 })],
    ["RangeError", a.startTick({ phases: [] })],
    ["RangeError", a.startTick({ phases: ["a", "A"] })],
    ["TypeError", a.startTick({ phases: "sense" as unknown as string[] })],
    ["RangeError", a.startTick({ timeoutMs: 0 })],
    ["RangeError", a.waitForPhase("sense", 1, { timeoutMs: -1 })],
    ["RangeError", a.waitForPhase("sense", -1)],
    ["TypeError", a.phaseComplete("shard-0", 7 as unknown as string, 1)],
    ["BAD_REQUEST", a.startTick().then((tick) => a.phaseComplete("shard-0", "dream", tick))],
    ["SHARD_NOT_FOUND", a.phaseComplete("shard-99", "sense", 1)],
    ["TICK_NOT_FOUND", a.phaseComplete("shard-0", "sense", 99)],
    ["TICK_NOT_FOUND", a.waitForPhase("sense", 99)],
  ];
  for (const [expected, call] of wrong) expect(await codeOf(call)).toBe(expected);
  for (const count of [0, -1, 0.5, Number.NaN]) {
    expect(() => a.replicaShards("document", count)).toThrow(RangeError);
  }
  expect(() => a.replicaShards(7 as unknown as string)).toThrow(TypeError);
  expect(a.barrierReady("sense", 99)).toBe(false);
});
