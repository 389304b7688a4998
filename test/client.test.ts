import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { afterEach, expect, expectTypeOf, test } from "vitest";
import { WebSocket } from "ws";
import { type Client, type ConnectOptions, connect, type Gap } from "../src/client.ts";
import type { Allocation, Change } from "../src/core/effect.ts";
import type { PeerName } from "../src/core/units.ts";
import { METHODS } from "../src/io/rpc-methods.ts";
import type { Peer } from "../src/peer.ts";
import { freeAddresses, isSettled, next, start, startCluster, until } from "./peers.ts";

const clients: Client[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

async function connectTo(
  addresses: string | readonly string[],
  options?: ConnectOptions,
): Promise<Client> {
  const client = await connect(addresses, options);
  clients.push(client);
  return client;
}

/** Resolves to the next event of that type. */
const nextEvent = (client: Client, type: "connected" | "disconnected"): Promise<object> =>
  new Promise((resolve) => client.on(type, resolve));

test("the client's type is that of the peer, with promises and options", () => {
  expectTypeOf<Client["routeDocument"]>().returns.toEqualTypeOf<Promise<Allocation>>();
  expectTypeOf<Client["regionFor"]>().returns.toEqualTypeOf<Promise<PeerName | undefined>>();
  expectTypeOf<Parameters<Client["allocate"]>[0]>().toEqualTypeOf<
    Parameters<Peer["allocate"]>[0]
  >();
  expectTypeOf<ReturnType<Client["watch"]>>().toEqualTypeOf<AsyncIterableIterator<Change | Gap>>();
  expectTypeOf<Client>().not.toHaveProperty("leave");
});

test("[Q1] every read tells a client what it tells the process of the peer", async () => {
  const [a] = await startCluster("a", "b");
  const client = await connectTo(a.address);
  expect(client.peer).toEqual({ name: "a", incarnation: a.incarnation, cluster: "hearsay" });
  const shard = a.allocations()[3]?.shard ?? "";
  expect(await client.allocations()).toEqual(a.allocations());
  expect(await client.members()).toEqual(a.members());
  expect(await client.shards()).toEqual(a.shards());
  expect(await client.onlineShards()).toEqual(a.onlineShards());
  expect(await client.shard(shard)).toEqual(a.shard(shard));
  expect(await client.shard("shard-99")).toBeUndefined();
  expect(await client.regionFor(shard)).toBe(a.regionFor(shard));
  expect(await client.routeDocument("order/4711")).toEqual(a.routeDocument("order/4711"));
  expect(await client.routeNode("__proto__")).toEqual(a.routeNode("__proto__"));
  expect(await client.snapshot()).toEqual(a.snapshot());
  expect(await client.status()).toMatchObject({ name: "a", shards: 16, links: 1 });
  await client.ready();
});

test("[A1] what a client allocates all peers can read, and it hears why when it cannot", async () => {
  const [a, b] = await startCluster("a", "b");
  const client = await connectTo(b.address);
  const { shard } = a.allocations().find(({ region }) => region === "a") as Allocation;
  const heard = next(a, "allocation", (change) => change.shard === shard);
  const allocation = await client.allocate(shard, "b");
  expect(allocation).toMatchObject({ shard, region: "b", superseded: { region: "a" } });
  expect(await heard).toMatchObject({ region: "b", token: allocation.token });
  expect(await client.release(shard)).toMatchObject({ shard, region: undefined });
  expect(await client.rebalance({ dryRun: true })).toBeInstanceOf(Array);
  await expect(client.allocate(shard, "nobody")).rejects.toMatchObject({
    ...{ name: "HearsayError", code: "REGION_NOT_FOUND", retryable: false },
    message: `Cannot allocate "${shard}" to "nobody": no such region`,
  });
});

test("mistakes of the caller are TypeErrors, and nothing is sent", async () => {
  const a = await start("a");
  const client = await connectTo(a.address);
  const wrong = [
    () => client.allocate("a b", "a"),
    () => client.allocate("shard-1", undefined as never),
    () => client.routeDocument(7 as never),
    () => client.routeDocument("\ud800"),
    () => client.rebalance({ dryrun: true } as never),
    () => client.members({ timeout: 5 } as never),
    () => (client.members as (...args: object[]) => Promise<unknown>)({}, {}),
    () => client.members({ signal: "now" as never }),
    () => client.ready({ signal: 7 as never }),
  ];
  for (const call of wrong) await expect(call()).rejects.toThrow(TypeError);
  await expect(client.members({ timeoutMs: 0 })).rejects.toThrow(RangeError);
  expect(() => client.watch({ since: 1 } as never)).toThrow(TypeError);
  expect(() => client.on("error" as never, () => {})).toThrow(TypeError);
  for (const options of [{ token: "a b" }, { token: "" }, { tokn: "a" }, { signal: 1 }]) {
    await expect(connect(a.address, options as never)).rejects.toThrow(TypeError);
  }
  for (const addresses of ["127.0.0.1", "127.0.0.1:0", ["a"]]) {
    await expect(connect(addresses)).rejects.toThrow(TypeError);
  }
  await expect(connect([])).rejects.toThrow(RangeError);
});

test("[Q1] 10 000 calls are answered in order over one connection", async () => {
  const a = await start("a");
  const client = await connectTo(a.address);
  const answered: number[] = [];
  const documents = Array.from({ length: 10_000 }, (_, index) => `document-${index}`);
  for (let from = 0; from < documents.length; from += 1000) {
    const calls = documents.slice(from, from + 1000).map(async (document, index) => {
      const route = await client.routeDocument(document);
      answered.push(from + index);
      return route;
    });
    const routes = await Promise.all(calls);
    expect(routes).toEqual(documents.slice(from, from + 1000).map((each) => a.routeDocument(each)));
  }
  expect(answered).toEqual(documents.map((_, index) => index));
});

test("[Q4] one call more than 1000 at once is refused, and the others are answered", async () => {
  const a = await start("a");
  const client = await connectTo(a.address);
  const calls = Array.from({ length: 1001 }, () => client.regionFor("shard-1"));
  const outcomes = await Promise.allSettled(calls);
  expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1000);
  expect(outcomes[1000]).toMatchObject({ reason: { code: "BUFFER_FULL", retryable: true } });
});

test("[Q5] a client sees the changes that the peer sees, in order, until it stops", async () => {
  const a = await start("a");
  const client = await connectTo(a.address);
  const stop = new AbortController();
  const changes = client.watch({ signal: stop.signal });
  await client.members(); // Asked later, answered later: the stream has begun.
  const own = a.watch();
  for (const shard of ["shard-1", "shard-2", "shard-3"]) await a.allocate(shard, "a");
  for (let count = 0; count < 3; count += 1) {
    expect((await changes.next()).value).toEqual((await own.next()).value);
  }
  const waiting = client.watch().next();
  await client.members();
  stop.abort();
  await a.allocate("shard-4", "a");
  expect(await waiting).toMatchObject({ value: { type: "allocation", shard: "shard-4" } });
  const rest: Change[] = [];
  for await (const change of changes) rest.push(change as Change); // What had come, and no more.
  expect(rest.some((change) => "shard" in change && change.shard === "shard-4")).toBe(false);
});

test("[Q2] a client whose peer leaves goes on with another, and its streams say so", async () => {
  const peers = await startCluster("a", "b");
  const [a, b] = peers;
  const client = await connectTo([a.address, b.address]);
  expect(client.peer?.name).toBe("a");
  const changes = client.watch();
  await client.members();
  const lost = nextEvent(client, "disconnected");
  const again = nextEvent(client, "connected");
  await a.leave();
  expect(await lost).toEqual({ code: "LEAVING", message: "The connection was closed: LEAVING" });
  expect(await again).toEqual({ address: b.address, peer: "b" });
  expect((await client.status()).name).toBe("b");
  const seen: string[] = [];
  for await (const change of changes) {
    seen.push(change.type);
    if (change.type === "gap") break;
  }
  expect(seen.at(-1)).toBe("gap");
  expect(await client.allocate("shard-1", "b")).toMatchObject({ region: "b" });
});

test("[Q2] a client waits for a peer that is restarted at its address", async () => {
  const [address] = (await freeAddresses(1)) as [string];
  const a = await start("a", { listen: address });
  const client = await connectTo(address);
  await a.close();
  const waiting = client.status();
  const b = await start("b", { listen: address });
  expect((await waiting).name).toBe("b");
  expect(client.peer?.incarnation).toBe(b.incarnation);
});

/** A server that lets a client in, reads what it says, and cuts it off when the test says so. */
async function startSilentPeer(): Promise<{ address: string; heard: Promise<void>; cut(): void }> {
  const { WebSocketServer } = await import("ws");
  const { frameOf } = await import("./io/rpc-fakes.ts");
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  let cut = (): void => {};
  const heard = new Promise<void>((resolve) => {
    server.on("connection", (socket) => {
      const welcome = { name: "silent", incarnation: "i", cluster: "c" };
      socket.send(frameOf({ type: "welcome", ...welcome }));
      socket.on("message", () => resolve());
      cut = () => {
        socket.terminate();
        server.close();
      };
    });
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    cut: () => cut(),
  };
}

test("[Q2] when a peer dies in the middle of calls, reads go on elsewhere and writes are unknown", async () => {
  const b = await start("b");
  const silent = await startSilentPeer();
  const client = await connectTo([silent.address, b.address]);
  const read = client.routeDocument("d");
  const written = client.allocate("shard-1", "b");
  await silent.heard;
  silent.cut();
  await expect(written).rejects.toMatchObject({ code: "TIMEOUT" });
  expect(await read).toEqual(b.routeDocument("d"));
  expect(b.allocations().find(({ shard }) => shard === "shard-1")?.region).toBe("b");
});

test("[Q3] a call ends with its deadline or its signal, and the connection goes on", async () => {
  const silent = await startSilentPeer();
  const client = await connectTo(silent.address);
  await expect(client.members({ timeoutMs: 20 })).rejects.toMatchObject({ code: "TIMEOUT" });
  const signal = AbortSignal.timeout(20);
  await expect(client.members({ signal })).rejects.toMatchObject({ name: "TimeoutError" });
  await expect(client.ready({ signal: AbortSignal.timeout(20) })).rejects.toMatchObject({
    name: "TimeoutError",
  });
  expect(client.peer?.name).toBe("silent");
  const last = client.members();
  client.close();
  await expect(last).rejects.toMatchObject({ code: "CLOSED" });
  await expect(client.members()).rejects.toMatchObject({ code: "CLOSED" });
  silent.cut();
});

test("[Q3] connecting can be given up, and says why nobody was there", async () => {
  const deaf = createServer().listen(0, "127.0.0.1");
  await once(deaf, "listening");
  const address = `127.0.0.1:${(deaf.address() as AddressInfo).port}`;
  const given = connect(address, { signal: AbortSignal.timeout(20) });
  await expect(given).rejects.toMatchObject({ name: "TimeoutError" });
  deaf.close();
  const [free] = (await freeAddresses(1)) as [string];
  await expect(connect(free)).rejects.toMatchObject({
    code: "UNREACHABLE",
    message: `Cannot connect: the connection to ${free} was refused: nothing listens there`,
  });
});

test("[S2] a token opens nothing where none is known, and no page of another origin comes in", async () => {
  const a = await start("a");
  await expect(connect(a.address, { token: "secret" })).rejects.toMatchObject({
    code: "AUTH_FAILED",
  });
  const statusOf = async (path: string, headers: Record<string, string>): Promise<number> => {
    const socket = new WebSocket(`ws://${a.address}${path}`, { headers });
    socket.on("error", () => {});
    const answer = await Promise.race([
      once(socket, "unexpected-response").then(([, { statusCode }]) => statusCode as number),
      once(socket, "open").then(() => 101),
    ]);
    socket.terminate();
    return answer;
  };
  const foreign = { origin: "https://evil.example" };
  expect(await statusOf("/rpc", foreign)).toBe(403);
  expect(await statusOf("/rpc", { origin: "http://localhost:1" })).toBe(403);
  expect(await statusOf("/rpc", { origin: `http://${a.address}` })).toBe(101);
  expect(await statusOf("/peer", { origin: `http://${a.address}` })).toBe(403);
  const b = await start("b", { origins: ["https://good.example"] });
  const open = async (origin: string): Promise<boolean> => {
    const socket = new WebSocket(`ws://${b.address}/rpc`, { origin });
    socket.on("error", () => {});
    const [isOpen] = await Promise.race([
      once(socket, "open").then(() => [true]),
      once(socket, "unexpected-response").then(() => [false]),
    ]);
    socket.terminate();
    return isOpen === true;
  };
  expect(await open("https://good.example")).toBe(true);
  expect(await open(`http://${b.address}`)).toBe(false);
});

test("[S2] frames of a client open no link, and frames of a peer are no calls", async () => {
  const a = await start("a");
  const b = await start("b", { join: [a.address] });
  await until([a, b], () => isSettled(a, [a, b]));
  const { frameOf } = await import("./io/rpc-fakes.ts");
  const { encodeFrame } = await import("../src/wire/codec.ts");
  const closedWith = async (path: string, frame: Uint8Array): Promise<number> => {
    const socket = new WebSocket(`ws://${a.address}${path}`);
    await once(socket, "open");
    socket.send(frame);
    const [status] = await once(socket, "close");
    return status as number;
  };
  const call = { type: "call", id: "1", method: "members", timeoutMs: 0, args: [] } as const;
  expect(await closedWith("/peer", frameOf(call))).toBe(4010);
  expect(await closedWith("/rpc", encodeFrame([{ type: "done", exchange: 0 }]))).toBe(4010);
  expect(a.status().links).toBe(1);
});

test("a client is closed by what disposes of it, and every method of the table is there", async () => {
  const a = await start("a");
  let calls: Promise<unknown>;
  {
    await using client = await connect(a.address);
    for (const name of Object.keys(METHODS)) {
      expect(client[name as keyof typeof METHODS]).toBeInstanceOf(Function);
    }
    calls = client.members();
    await calls;
  }
  await a.leave(); // And nobody is left who would have to be cut off.
});
