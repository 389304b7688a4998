import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { expect, test } from "vitest";
import { connect } from "../src/client.ts";
import type { Strategy } from "../src/core/strategy.ts";
import type { Peer } from "../src/peer.ts";
import { next, start, startCluster, until } from "./peers.ts";

const loadOf = (peer: Peer, region: string): number =>
  peer.allocations().filter((allocation) => allocation.region === region).length;

const regionAt = (peer: Peer, shard: string): string | undefined => peer.regionFor(shard);

async function post(peer: Peer, path: string, body: object): Promise<[number, unknown]> {
  const [host, port] = peer.address.split(":");
  const headers = { "content-type": "application/json" };
  const sent = request({ host, port, path, method: "POST", headers, agent: false });
  sent.end(JSON.stringify(body));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return [response.statusCode ?? 0, await json(response)];
}

test("[A4] a region that is told from afar to drain gives all away, and takes some again", async () => {
  const [a, b] = await startCluster("a", "b");
  await a.drain("b");
  await until([a, b], () => loadOf(a, "b") === 0 && loadOf(b, "b") === 0);
  expect(a.members().map(({ draining }) => draining)).toEqual([false, true]);
  expect(b.status()).toMatchObject({ draining: true, ready: true });
  expect(await post(a, "/v1/regions/b/drain", { undo: true })).toEqual([
    200,
    { region: "b", draining: false },
  ]);
  await until([a, b], () => loadOf(a, "b") === 8);
  await expect(a.drain("nobody")).rejects.toMatchObject({ code: "REGION_NOT_FOUND" });
  await b.leave();
  await until([a], () => loadOf(a, "a") === 16);
  await expect(a.drain("b")).rejects.toMatchObject({ code: "REGION_NOT_ALIVE" });
});

test("[A4] a pin outlasts a plan, one by hand does not, and a release takes it off", async () => {
  const [a, b] = await startCluster("a", "b");
  const own = a.allocations().filter(({ region }) => region === "a");
  const [pinned, byHand] = own.map(({ shard }) => shard) as [string, string];
  await a.allocate(pinned, "b", { pin: true });
  await a.allocate(byHand, "b");
  expect(a.pins()).toEqual([{ shard: pinned, region: "b" }]);
  await b.rebalance();
  await until([a, b], () => [a, b].every((peer) => loadOf(peer, "a") === 8));
  expect(regionAt(a, pinned)).toBe("b");
  await using client = await connect(b.address);
  expect(await client.pins()).toEqual([{ shard: pinned, region: "b" }]);
  await client.release(pinned);
  await until([a, b], () => a.pins().length === 0 && b.pins().length === 0);
});

test("[A4] a strategy that one peer asks for is what all plan by", async () => {
  const toB: Strategy = ({ shards, regions }) => {
    const isThere = regions.some(({ name }) => name === "b");
    return isThere ? shards.map((shard) => [shard, "b"] as const) : [];
  };
  const strategies = { toB };
  const a = await start("a", { strategies });
  const b = await start("b", { strategies, join: [a.address] });
  await until([a, b], () => loadOf(a, "b") === 8);
  expect(await a.rebalance({ strategy: "toB", dryRun: true })).toHaveLength(8);
  expect(a.status().plan).toEqual({ strategy: "balanced", movesMax: null });
  await a.rebalance({ strategy: "toB", movesMax: 3 });
  await until([a, b], () => loadOf(a, "b") === 16);
  await until([a, b], () => b.status().plan?.strategy === "toB");
  expect(b.status().plan).toEqual({ strategy: "toB", movesMax: 3 });
  await b.rebalance({ strategy: "balanced", movesMax: null });
  await until([a, b], () => loadOf(a, "b") === 8);
});

test("[A4] a strategy that nobody knows, or that fails, is refused and changes nothing", async () => {
  const fails: Strategy = () => {
    throw new Error("No tenants");
  };
  const a = await start("a", { strategies: { fails } });
  for (const strategy of ["fails", "unheard-of"]) {
    await expect(a.rebalance({ strategy })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    expect(await post(a, "/v1/rebalance", { strategy })).toMatchObject([400, {}]);
  }
  for (const body of [{ strategy: "a b" }, { strategy: 7 }, { movesMax: -1 }, { movesMax: "1" }]) {
    expect(await post(a, "/v1/rebalance", body)).toMatchObject([400, {}]);
  }
  await expect(a.rebalance({ movesMax: -1 })).rejects.toThrow(RangeError);
  await expect(a.rebalance({ strategy: "a b" })).rejects.toThrow(TypeError);
  expect(a.status().plan).toEqual({ strategy: "balanced", movesMax: null });
  expect(loadOf(a, "a")).toBe(16);
});

test("[A4] a peer that was not given a strategy says so, and the cluster goes on", async () => {
  const spread: Strategy = ({ shards, regions }) =>
    shards.map((shard, index) => [shard, regions[index % regions.length]?.name ?? ""] as const);
  const a = await start("a", { strategies: { spread } });
  const b = await start("b", { join: [a.address] });
  await until([a, b], () => loadOf(a, "b") === 8);
  const warned = next(b, "warning", ({ code }) => code === "HANDLER_FAILED");
  await a.rebalance({ strategy: "spread" });
  expect((await warned).message).toBe("Moving no shards: this peer does not know the strategy");
  expect(b.isReady).toBe(true);
  await b.allocate("shard-1", "b");
  expect(b.regionFor("shard-1")).toBe("b");
});
