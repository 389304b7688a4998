import { connect } from "node:net";
import { expect, test } from "vitest";
import { AllocationTable } from "../src/allocation-table.ts";
import type { Change } from "../src/core/effect.ts";
import { compareTokens } from "../src/core/token.ts";
import { type Peer, startPeer } from "../src/peer.ts";
import { freeAddresses, isSettled, next, start, startCluster, until } from "./peers.ts";

const documents = Array.from({ length: 200 }, (_, index) => `document-${index}`);

const shardOf = (peer: Peer, region: string): string => {
  const allocation = peer.allocations().find((each) => each.region === region);
  if (allocation === undefined) throw new Error(`"${region}" has no shard`);
  return allocation.shard;
};

/** Whether somebody listens at an address of this machine. */
function isListening(address: string): Promise<boolean> {
  const socket = connect(Number(address.split(":")[1]), "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).then((answer) => {
    socket.destroy();
    return answer as boolean;
  });
}

test("[A0, A2] a peer without addresses to join founds at once and hosts every shard", async () => {
  const a = await start("a");
  expect(a.isReady).toBe(true);
  expect(a.address).toMatch(/^127\.0\.0\.1:[1-9]\d+$/);
  expect(a.allocations().map(({ region }) => region)).toEqual(Array(16).fill("a"));
  expect(a.members()).toMatchObject([{ name: "a", status: "alive", address: a.address }]);
  expect(a.status()).toMatchObject({ name: "a", cluster: "hearsay", shards: 16, ready: true });
});

test("[A0] a peer that joined serves when it has caught up, and allocates nothing before", async () => {
  const a = await start("a");
  const { shard } = await a.allocate("shard-7", "a");
  const before = a.allocations();
  const b = await start("b", { join: [a.address] });
  expect(b.regionFor(shard)).toBeDefined();
  expect(b.members().map(({ name }) => name)).toEqual(["a", "b"]);
  // All that b could have changed so far, it changed after it knew the table.
  for (const { shard: each, token, writer } of before) {
    const now = b.allocations().find((allocation) => allocation.shard === each);
    expect(
      compareTokens(now ?? { token: 0, writer: "" }, { token, writer }),
    ).toBeGreaterThanOrEqual(0);
  }
});

test("[A0] of peers that wait for each other the lowest founds, once", async () => {
  const addresses = await freeAddresses(3);
  const peers = await Promise.all(
    ["c", "a", "b"].map((name, index) =>
      start(name, { listen: addresses[index] as string, join: addresses }),
    ),
  );
  await until(peers, () => peers.every((peer) => isSettled(peer, peers)));
  expect(new Set(peers.map((peer) => peer.status().viewId)).size).toBe(1);
});

test("[A0] a peer that finds nobody founds alone in the end, with a warning", async () => {
  const [nowhere] = await freeAddresses(1);
  const warnings: object[] = [];
  const logger = {
    ...{ debug() {}, info() {}, error() {} },
    warn: (fields: object) => void warnings.push(fields),
  };
  const a = await start("a", { join: [nowhere as string], logger });
  expect(a.allocations()).toHaveLength(16);
  expect(warnings).toContainEqual({ code: "UNREACHABLE" });
});

test("[A0] a peer that looks for others does not found at once because it found none", async () => {
  const a = await start("a");
  const b = await start("b", { join: async () => [a.address] });
  await until([a, b], () => isSettled(a, [a, b]) && isSettled(b, [a, b]));
  const join = async (): Promise<string[]> => {
    throw new Error("The name server is away");
  };
  const codes: string[] = [];
  const c = startPeer({
    ...{
      name: "c",
      listen: "127.0.0.1:0",
      join,
      timings: "local",
      signal: AbortSignal.timeout(100),
    },
    logger: {
      ...{ debug() {}, info() {}, error() {} },
      warn: (fields) => void codes.push((fields as { code: string }).code),
    },
  });
  await expect(c).rejects.toMatchObject({ name: "TimeoutError" });
  expect(codes).toEqual(["UNREACHABLE"]);
});

test("[A0] of two clusters that meet the younger gives way, and its peers begin again", async () => {
  const [address] = await freeAddresses(1);
  const a = await start("a");
  const c = await start("c", { join: [a.address, address as string] });
  const kept = await a.allocate("shard-0", "a");
  const b = await start("b", { listen: address as string }); // Told wrongly that it is the first.
  const { incarnation } = b;
  await next(b, "warning", ({ code }) => code === "NOT_READY");
  await b.ready();
  const peers = [a, b, c];
  await until(peers, () => peers.every((peer) => isSettled(peer, peers)));
  expect(b.incarnation).not.toBe(incarnation);
  const now = b.allocations().find(({ shard }) => shard === "shard-0");
  expect(compareTokens(now ?? { token: 0, writer: "" }, kept)).toBeGreaterThanOrEqual(0);
});

test("[A1] what one peer allocates all can read, with the same token", async () => {
  const peers = await startCluster("a", "b", "c");
  // From the region with one shard more to another: the plan leaves it there.
  const load = ({ name }: Peer): number =>
    peers[0].shards().filter((s) => s.region === name).length;
  const [to, writer, from] = [...peers].sort((x, y) => load(x) - load(y)) as [Peer, Peer, Peer];
  const shard = shardOf(writer, from.name);
  const superseded = writer.allocations().find((each) => each.shard === shard);
  const heard = [to, from].map((peer) => next(peer, "allocation", (its) => its.shard === shard));
  const allocation = await writer.allocate(shard, to.name);
  const { token } = allocation;
  const written = { shard, region: to.name, token, writer: writer.incarnation };
  expect(allocation).toEqual({ ...written, superseded });
  expect(writer.regionFor(shard)).toBe(to.name);
  await Promise.all(heard);
  for (const peer of peers) {
    expect(peer.allocations()).toContainEqual(written);
    expect(peer.shard(shard)).toMatchObject({ ...written, status: "online" });
    expect(peer.status().fingerprint).toBe(writer.status().fingerprint);
  }
});

test("allocating what is not there is refused by a code", async () => {
  const [a, b] = await startCluster("a", "b");
  await expect(a.allocate("shard-16", "a")).rejects.toMatchObject({ code: "SHARD_NOT_FOUND" });
  await expect(a.release("shard-16")).rejects.toMatchObject({ code: "SHARD_NOT_FOUND" });
  await expect(a.allocate("shard-0", "c")).rejects.toMatchObject({ code: "REGION_NOT_FOUND" });
  await expect(a.allocate("shard 0", "a")).rejects.toThrow(TypeError);
  await expect(a.allocate("shard-0", undefined as never)).rejects.toThrow(TypeError);
  await expect(a.rebalance({ dryRun: 1 as never })).rejects.toThrow(TypeError);
  await b.leave();
  await until([a], () => a.members()[1]?.status === "left");
  const refused = { code: "REGION_NOT_ALIVE", retryable: true };
  await expect(a.allocate("shard-0", "b")).rejects.toMatchObject(refused);
});

test("[A2] a shard that was released is given to a region again", async () => {
  const [a, b] = await startCluster("a", "b");
  const shard = shardOf(a, "b");
  const before = a.allocations().find((each) => each.shard === shard);
  const released = await a.release(shard);
  expect(released).toMatchObject({ shard, region: undefined, superseded: before });
  await until([a, b], () => a.regionFor(shard) === "b" && b.regionFor(shard) === "b");
  const after = a.allocations().find((each) => each.shard === shard);
  expect(compareTokens(after ?? released, released)).toBeGreaterThan(0);
});

test("[A3] rebalancing takes back what was allocated by hand; a dry run only says so", async () => {
  const [a, b] = await startCluster("a", "b");
  const shard = shardOf(a, "a");
  await a.allocate(shard, "b");
  expect(await a.rebalance({ dryRun: true })).toMatchObject([{ from: "b", to: "a" }]);
  expect(a.regionFor(shard)).toBe("b");
  await until([a, b], () => b.regionFor(shard) === "b");
  await b.rebalance();
  await until([a, b], () => isSettled(a, [a, b]));
});

test("[R4] a document is routed to the same shard and region by every peer", async () => {
  const [a, b, c] = await startCluster("a", "b", "c");
  for (const document of [...documents, "", "__proto__", "\ud800"]) {
    const route = a.routeDocument(document);
    expect(b.routeDocument(document)).toEqual(route);
    expect(c.routeNode(document)).toEqual(route);
  }
  expect(a.routeDocument("document-0").shard).toBe("shard-8");
  expect(new Set(documents.map((each) => a.routeDocument(each).region)).size).toBe(3);
});

test("[R5] a route carries the fencing token of its allocation, and is that very object", async () => {
  const a = await start("a");
  const route = a.routeDocument("document-0");
  expect(route).toEqual(a.allocations().find(({ shard }) => shard === route.shard));
  expect(route.writer).toBe(a.incarnation);
  expect(a.routeDocument("document-0")).toBe(route);
  expect(Object.isFrozen(route)).toBe(true);
  await a.allocate(route.shard, "a");
  expect(compareTokens(a.routeDocument("document-0"), route)).toBeGreaterThan(0);
});

test("[R1] without shards, and without a region, routing says so and invents nothing", async () => {
  const empty = await start("a", { shards: 0 });
  expect(() => empty.routeDocument("x")).toThrow(expect.objectContaining({ code: "NO_SHARDS" }));
  expect(empty.shards()).toEqual([]);
  expect(empty.shard("shard-0")).toBeUndefined();

  const [b, c] = await startCluster("b", "c");
  const document = documents.find((each) => b.routeDocument(each).region === "c") as string;
  const { shard } = b.routeDocument(document);
  await b.release(shard);
  // Nothing has been heard from c since.
  const refused = { code: "NO_REGION", retryable: true };
  expect(() => b.routeDocument(document)).toThrow(expect.objectContaining(refused));
  expect(b.regionFor(shard)).toBeUndefined();
  expect(b.shard(shard)).toMatchObject({ region: null, status: "recovering", token: null });
  expect(b.onlineShards()).toHaveLength(15);
  await until([b, c], () => b.regionFor(shard) !== undefined);
  expect(b.routeDocument(document)).toMatchObject({ shard, region: "c" });
  expect(() => b.routeDocument(7 as never)).toThrow(TypeError);
});

test("[R6] a peer of another cluster, or with another number of shards, is not let in", async () => {
  const a = await start("a");
  for (const differences of [{ cluster: "other" }, { shards: 17 }]) {
    const codes: string[] = [];
    const b = await start("b", {
      ...{ join: [a.address], ...differences },
      logger: {
        ...{ debug() {}, info() {}, error() {} },
        warn: (fields) => void codes.push((fields as { code: string }).code),
      },
    });
    expect(codes).toEqual(["CLUSTER_MISMATCH", "UNREACHABLE"]);
    expect(b.members()).toHaveLength(1);
    await b.close();
  }
  expect(a.members()).toHaveLength(1);
});

test("[F6] a peer that leaves has handed its shards to others before anyone misses it", async () => {
  const [a, b, c] = await startCluster("a", "b", "c");
  const peers = [a, c];
  const members: string[] = [];
  for (const peer of peers)
    peer.on("member", ({ name, status }) => members.push(`${name} ${status}`));
  const regions: (string | undefined)[] = [];
  a.on("allocation", ({ region }) => regions.push(region));
  await b.leave();
  await until(peers, () => members.length === 2);
  expect(members).toEqual(["b left", "b left"]);
  expect(regions).not.toContain(undefined);
  expect(a.allocations().map(({ region }) => region)).not.toContain("b");
  expect(a.allocations()).toEqual(c.allocations());
  expect(await isListening(b.address)).toBe(false);
});

test("[F5] a peer that closes without leaving is found dead, and its shards are claimed", async () => {
  const [a, b, c] = await startCluster("a", "b", "c");
  const died = next(a, "member", ({ name }) => name === "b");
  await b.close();
  expect((await died).status).toBe("dead");
  await until([a, c], () => a.allocations().every(({ region }) => region !== "b"));
  expect(a.shards().every(({ status }) => status === "online")).toBe(true);
});

test("[F7] a second peer of a name is refused, and the first goes on", async () => {
  const [a, b] = await startCluster("a", "b");
  const clone = start("a", { join: [b.address] });
  await expect(clone).rejects.toMatchObject({ code: "NAME_TAKEN" });
  expect(a.isReady).toBe(true);
  expect(b.members().map(({ status }) => status)).toEqual(["alive", "alive"]);
});

test("[F7] a peer that is restarted takes its name over", async () => {
  const [a, b] = await startCluster("a", "b");
  await b.close();
  const again = await start("b", { listen: b.address, join: [a.address] });
  expect(again.incarnation).not.toBe(b.incarnation);
  const isKnown = (): boolean => a.members()[1]?.incarnation === again.incarnation;
  await until([a, again], () => isKnown() && isSettled(a, [a, again]));
});

test("a port that is in use is refused by a code", async () => {
  const a = await start("a");
  const refused = { code: "ADDRESS_IN_USE" };
  await expect(start("b", { listen: a.address })).rejects.toMatchObject(refused);
  await expect(start("b", { listen: "203.0.113.1:0", insecure: true })).rejects.toMatchObject({
    code: "BAD_REQUEST",
  });
});

test("[S6] listening on more than loopback has to be spelt out", async () => {
  const refused = { code: "INSECURE_LISTEN" };
  await expect(start("a", { listen: "0.0.0.0:0" })).rejects.toMatchObject(refused);
  const a = await start("a", { listen: "0.0.0.0:0", insecure: true });
  expect(await isListening(a.address)).toBe(true);
});

test("starting can be given up, and leaves nothing open", async () => {
  const [nowhere, address] = await freeAddresses(2);
  const giveUp = new AbortController();
  const options = { name: "a", listen: address as string, join: [nowhere as string] };
  const starting = startPeer({ ...options, signal: giveUp.signal });
  const reason = new Error("Enough");
  giveUp.abort(reason);
  await expect(starting).rejects.toBe(reason);
  expect(await isListening(address as string)).toBe(false);
  await expect(startPeer({ ...options, signal: giveUp.signal })).rejects.toBe(reason);
});

test("a peer's snapshot and that of a table are one format", async () => {
  const [a, b] = await startCluster("a", "b");
  const table = new AllocationTable();
  expect(table.mergeRemote(a.snapshot())).toEqual(a.allocations());
  expect(table.allocations()).toEqual(b.allocations());
  expect(table.mergeRemote(b.snapshot())).toEqual([]);
});

test("listeners and watchers hear the same, in the order in which it happened", async () => {
  const [a, b] = await startCluster("a", "b");
  const shard = shardOf(a, "b");
  const stop = new AbortController();
  const watch = a.watch({ signal: stop.signal });
  const heard: Change[] = [];
  for (const type of ["allocation", "acquire", "release"] as const) {
    a.on(type, (change) => void heard.push(change));
  }
  const { superseded, ...got } = await a.allocate(shard, "a");
  const { superseded: _, ...gone } = await a.allocate(shard, "b");
  const { token, writer } = got;
  expect(heard).toEqual([
    { type: "allocation", ...got, superseded },
    { type: "acquire", shard, token, writer },
    { type: "allocation", ...gone, superseded: got },
    { type: "release", shard, to: "b" },
  ]);
  stop.abort();
  const watched: Change[] = [];
  for await (const change of watch) watched.push(change);
  expect(watched).toEqual(heard);
  expect(b.isReady).toBe(true);
});

test("a listener that is taken off hears nothing more", async () => {
  const a = await start("a");
  let heard = 0;
  const listener = (): void => {
    heard += 1;
  };
  await a.on("allocation", listener).allocate("shard-0", "a");
  await a.off("allocation", listener).allocate("shard-0", "a");
  expect(heard).toBe(1);
});

test("a peer that has ended refuses everything by a code", async () => {
  const a = await start("a");
  const changes = a.watch();
  await Promise.all([a.leave(), a.leave(), a.close(), a[Symbol.asyncDispose]()]);
  await a.ended;
  const closed = expect.objectContaining({ code: "CLOSED", retryable: false });
  for (const read of [
    () => a.routeDocument("x"),
    () => a.regionFor("shard-0"),
    () => a.allocations(),
    () => a.snapshot(),
    () => a.shards(),
    () => a.shard("shard-0"),
    () => a.members(),
    () => a.status(),
  ]) {
    expect(read).toThrow(closed);
  }
  for (const write of [
    a.allocate("shard-0", "a"),
    a.release("shard-0"),
    a.rebalance(),
    a.ready(),
  ]) {
    await expect(write).rejects.toEqual(closed);
  }
  expect(a.isReady).toBe(false);
  for await (const change of changes) expect(change.type).toBe("member");
});

test("a peer can be ended by one of its own listeners", async () => {
  const [a, b] = await startCluster("a", "b");
  a.on("allocation", () => void a.close());
  await b.allocate("shard-0", "b");
  await a.ended;
  expect(await isListening(a.address)).toBe(false);
});

test("waiting for a peer to serve can be given up", async () => {
  const [a, b, c] = await startCluster("a", "b", "c");
  await a.ready();
  expect(b.isReady && c.isReady).toBe(true);
  const reason = new Error("Enough");
  await expect(a.ready({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
