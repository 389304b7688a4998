import { afterEach, expect, test, vi } from "vitest";
import { type Client, connect } from "../src/client.ts";
import { start, startCluster, until } from "./peers.ts";

const clients: Client[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

async function connectTo(address: string): Promise<Client> {
  const client = await connect(address);
  clients.push(client);
  return client;
}

test("[B1, B2, B5] a client takes a tick through its phases, as the process of a peer does", async () => {
  const [a, b] = await startCluster("a", "b");
  const client = await connectTo(b.address);
  const tick = await client.startTick({ phases: ["Sense", "act"], timeoutMs: 60_000 });
  expect(tick).toBe(1);
  await expect(client.startTick()).rejects.toMatchObject({ code: "TICK_IN_PROGRESS" });
  for (const phase of ["sense", "act"]) {
    const over = client.waitForPhase(phase, tick);
    expect(await client.barrierReady(phase, tick)).toBe(false);
    for (const { shard } of await client.allocations()) {
      await client.phaseComplete(shard, phase, tick);
    }
    await over;
    expect(await client.barrierReady(phase, tick)).toBe(true);
  }
  await until([a, b], () => a.tickStatus().state === "complete");
  expect(await client.tickStatus()).toEqual(b.tickStatus());
  expect(await client.currentTick()).toBe(1);
  await expect(client.phaseComplete("shard-0", "sense", tick)).rejects.toMatchObject({
    code: "STALE_TICK",
  });
});

test("[B5] a client that waits in vain is told for whom, and one that gives up ends its wait", async () => {
  const a = await start("a");
  const client = await connectTo(a.address);
  const tick = await client.startTick();
  await client.phaseComplete("shard-3", "sense", tick);
  const stragglers = a.tickStatus().pending;
  expect(stragglers).toHaveLength(15);
  const late = client.waitForPhase("sense", tick, { timeoutMs: 10 });
  await expect(late).rejects.toMatchObject({ code: "PHASE_TIMEOUT", retryable: true, stragglers });

  const stop = new AbortController();
  const given = client.waitForPhase("sense", tick, { signal: stop.signal });
  const also = client.waitForPhase("sense", tick, {}, { signal: stop.signal });
  stop.abort(new Error("Enough"));
  await expect(given).rejects.toThrow("Enough");
  await expect(also).rejects.toThrow("Enough");

  const short = await start("b", { shards: 1 });
  const other = await connectTo(short.address);
  const aborted = await other.startTick({ phases: ["only"], timeoutMs: 20 });
  await expect(other.waitForPhase("only", aborted)).rejects.toMatchObject({
    ...{ code: "TICK_ABORTED", retryable: false },
    stragglers: ["shard-0"],
  });
});

test("[D1, D2, D5] what a client publishes all peers count, and all clients can ask", async () => {
  const [a, b] = await startCluster("a", "b");
  const client = await connectTo(b.address);
  const terms = new Map([
    ["gossip", 4],
    ["__proto__", 1],
  ]);
  for (const { shard } of a.shards()) {
    await client.publishFrequencies(shard, { documents: 10, terms });
  }
  await vi.waitUntil(() => a.globalDf([]).complete && b.globalDf([]).complete, 20_000);
  const other = await connectTo(a.address);
  for (const each of [client, other]) {
    const { documents, frequencies, complete } = await each.globalDf(["gossip", "__proto__", "x"]);
    expect([documents, complete]).toEqual([160, true]);
    expect(frequencies).toEqual(
      new Map([
        ["gossip", 64],
        ["__proto__", 16],
        ["x", 0],
      ]),
    );
    expect((await each.idf("gossip")).idf).toBe(Math.log(160 / 64) + 1);
  }
  const wrong = client.publishFrequencies("shard-0", { documents: 1, terms: new Map([["a", 2]]) });
  await expect(wrong).rejects.toMatchObject({ code: "BAD_REQUEST" });
});

test("[D1] as many terms as a client may publish arrive, and one more is its caller's mistake", async () => {
  const a = await start("a", { shards: 1 });
  const client = await connectTo(a.address);
  const terms = new Map(Array.from({ length: 65_535 }, (_, index) => [index.toString(36), 1]));
  await client.publishFrequencies("shard-0", { documents: 1, terms });
  await vi.waitUntil(() => a.globalDf([]).complete, 20_000);
  expect((await client.globalDf(["0", "zz", "zzzz"])).frequencies).toEqual(
    new Map([
      ["0", 1],
      ["zz", 1],
      ["zzzz", 0],
    ]),
  );
  terms.set("more", 1);
  const more = client.publishFrequencies("shard-0", { documents: 1, terms });
  await expect(more).rejects.toThrow("a map of at most 65535 terms");
});

test("[R3, R6, R7] a client registers a shard, says what it holds, and removes it", async () => {
  const [a, b] = await startCluster("a", "b");
  const client = await connectTo(a.address);
  const shard = await client.registerShard({ key: "orders", weight: 4 });
  expect(await client.registerShard({ key: "orders" })).toBe(shard);
  await until([a, b], () => a.regionFor(shard) !== undefined && b.regionFor(shard) !== undefined);
  await client.updateShardMetrics(shard, { documents: 7, memoryBytes: 900 });
  await until([a, b], () => a.totalDocuments() === 7 && b.totalDocuments() === 7);
  expect(await client.totalDocuments()).toBe(7);
  expect(await client.clusterStats()).toEqual(a.clusterStats());
  expect(await client.leastLoadedShard()).toBe(a.leastLoadedShard());
  expect(await client.replicaShards("d", 3)).toEqual(a.replicaShards("d", 3));
  await client.deregisterShard(shard);
  expect(await client.shard(shard)).toBeUndefined();
  await expect(client.deregisterShard(shard)).rejects.toMatchObject({ code: "SHARD_NOT_FOUND" });
});

test("[A4] a client pins a shard, and drains a region", async () => {
  const [a, b] = await startCluster("a", "b");
  const client = await connectTo(a.address);
  const { shard = "" } = a.allocations().find(({ region }) => region === "a") ?? {};
  await client.allocate(shard, "b", { pin: true });
  expect(await client.pins()).toEqual([{ shard, region: "b" }]);
  expect(await client.rebalance({ dryRun: true, strategy: "rendezvous", movesMax: null })).toEqual(
    expect.any(Array),
  );
  expect((await client.status()).plan).toEqual({ strategy: "balanced", movesMax: null });
  await client.drain("b");
  await until([a, b], () => a.allocations().every(({ region }) => region === "a"));
  await client.drain("b", { undo: true });
  await until([a, b], () => a.regionFor(shard) === "b");
});

test("what a coordinator could not mean is the caller's mistake, and nothing is sent", async () => {
  const a = await start("a");
  const client = await connectTo(a.address);
  const one = { documents: 1, terms: new Map() };
  const wrong: (() => Promise<unknown>)[] = [
    () => client.registerShard({ key: "" }),
    () => client.registerShard({ key: "k".repeat(257) }),
    () => client.registerShard({ key: "\ud800" }),
    () => client.registerShard({ weight: 0 }),
    () => client.registerShard({ weight: Number.NaN }),
    () => client.deregisterShard("../shard"),
    () => client.updateShardMetrics("shard-0", { documents: -1, memoryBytes: 0 }),
    () => client.updateShardMetrics("shard-0", { documents: 0 } as never),
    () => client.updateShardMetrics("shard-0", undefined as never),
    () => client.updateShardMetrics("shard-0", { documents: 0, memoryBytes: 0, a: 0 } as never),
    () => client.replicaShards("d", 0),
    () => client.startTick({ phases: [] }),
    () => client.startTick({ phases: ["a", "A"] }),
    () => client.startTick({ phases: "sense" as never }),
    () => client.startTick({ phases: [7] as never }),
    () => client.startTick({ phases: Array.from({ length: 17 }, (_, index) => `p${index}`) }),
    () => client.startTick({ timeoutMs: 0 }),
    () => client.phaseComplete("shard-0", "sense", -1),
    () => client.waitForPhase("sense", 1, { timeoutMs: 0.5 }),
    () => client.publishFrequencies("shard-0", { ...one, terms: {} } as never),
    () => client.publishFrequencies("shard-0", { ...one, more: 1 } as never),
    () => client.publishFrequencies("shard-0", null as never),
    () => client.globalDf("gossip" as never),
    () => client.globalDf(["gossip", 7] as never),
    () => client.globalDf(new Array(16_385).fill("gossip")),
    () => client.rebalance({ movesMax: -1 }),
    () => client.drain("a b"),
  ];
  for (const call of wrong) await expect(call(), `${call}`).rejects.toThrow(TypeError);
  expect(await client.currentTick()).toBe(0);
});
