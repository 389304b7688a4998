import { expect, test } from "vitest";
import type { Service, ServicePort } from "../src/io/services.ts";
import type { Peer } from "../src/peer.ts";
import type { Body } from "../src/wire/body.ts";
import { start, startCluster, until } from "./peers.ts";

/** Resolves when `condition` holds, which is looked at after every turn. */
async function soon(condition: () => boolean): Promise<void> {
  const until = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > until) throw new Error(`This never came true: ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A service that counts by shard, and keeps what it is told. */
class Notes implements Service {
  readonly counts = new Map<string, number>();
  readonly told: string[] = [];
  failures = 0;
  onAcquire(shard: string): void {
    this.failures -= 1;
    if (this.failures >= 0) throw new Error("Not yet");
    if (!this.counts.has(shard)) this.counts.set(shard, 0);
  }
  onRelease(shard: string): void {
    this.counts.delete(shard);
  }
  onMessage(message: Body, { shard }: { shard: string }): Body {
    this.counts.set(shard, (this.counts.get(shard) ?? 0) + 1);
    return [message as string, this.counts.get(shard) as number];
  }
  *exportState(shard: string): Iterable<Body> {
    yield this.counts.get(shard) as number;
  }
  async importState(shard: string, chunks: AsyncIterable<Body>): Promise<void> {
    for await (const chunk of chunks) this.counts.set(shard, chunk as number);
  }
  onPost(from: string, body: Uint8Array): void {
    this.told.push(`${from}: ${Buffer.from(body)}`);
  }
  onOpen(peer: string): void {
    this.told.push(`open ${peer}`);
  }
  onLost(peer: string): void {
    this.told.push(`lost ${peer}`);
  }
}

function serve(peer: Peer): { notes: Notes; port: ServicePort } {
  const notes = new Notes();
  return { notes, port: peer.services.register("notes", notes) };
}

const shardOf = (peer: Peer, region: string): string =>
  peer.allocations().find((each) => each.region === region)?.shard ?? "";

test("[N1, N2, N3] services of two peers talk, and hear when the other one is gone", async () => {
  const [a, b] = await startCluster("a", "b");
  const [one, other] = [serve(a), serve(b)];
  one.port.need("b");
  await soon(() => one.notes.told.includes("open b"));
  expect(one.port.post("b", Buffer.from("hello"))).toBe(true);
  await soon(() => other.notes.told.includes("a: hello"));
  expect(other.port.post("a", Buffer.from("there"))).toBe(true);
  await soon(() => one.notes.told.includes("b: there"));
  expect(one.port.post("nobody", Buffer.from("hello"))).toBe(false);
  await b.close();
  await soon(() => one.notes.told.includes("lost b"));
  expect(one.port.post("b", Buffer.from("hello"))).toBe(false);
});

test("[N4] a service and the user's host serve the same shards, and each gets its own state", async () => {
  const peers = await startCluster("a", "b");
  const [a, b] = peers;
  const services = peers.map(serve);
  const shard = shardOf(a, "b");
  await until(peers, () => services.every(({ notes }) => notes.counts.size > 0));
  const users = peers.map((peer) => {
    const messages: string[] = [];
    peer.host({
      onAcquire: (acquired) => void messages.push(`acquire ${acquired}`),
      onRelease: (released) => void messages.push(`release ${released}`),
      onMessage: (message) => `user ${message}`,
      exportState: () => [{ kept: 1 }, { kept: 2 }],
      importState: async (_shard, chunks) => {
        for await (const chunk of chunks) messages.push(JSON.stringify(chunk));
      },
    });
    return messages;
  });
  expect(await a.ask(shard, "x")).toBe("user x");
  expect(await services[0]?.port.ask(shard, "y")).toEqual(["y", 1]);
  expect(await services[1]?.port.ask(shard, "y")).toEqual(["y", 2]);
  await a.allocate(shard, "a");
  expect(await b.ask(shard, "x")).toBe("user x");
  expect(await services[1]?.port.ask(shard, "z")).toEqual(["z", 3]);
  expect(users[0]?.slice(-3)).toEqual(['{"kept":1}', '{"kept":2}', `acquire ${shard}`]);
  expect(users[1]?.at(-1)).toBe(`release ${shard}`);
});

test("[N4] a service that cannot take a shard at first is told again, and the user's host has it", async () => {
  const peer = await start("a", { shards: 1 });
  const acquired: string[] = [];
  const notes = new Notes();
  notes.failures = 1;
  peer.services.register("notes", notes);
  peer.host({
    onAcquire: (shard) => void acquired.push(shard),
    onRelease: () => {},
    onMessage: () => "here",
  });
  expect(await peer.ask("shard-0", 1)).toBe("here");
  expect(acquired).toEqual(["shard-0"]);
  await soon(() => notes.counts.size === 1);
});

test("[H7, N4] a service hears of the new token of a shard that it has, and users' messages carry it", async () => {
  const peer = await start("a", { shards: 1 });
  const acquired: number[] = [];
  const renewed: number[] = [];
  peer.services.register("notes", {
    onAcquire: () => {},
    onRelease: () => {},
    onRenew: (_shard, { token }) => void renewed.push(token),
  });
  peer.host({
    onAcquire: (_shard, { token }) => void acquired.push(token),
    onRelease: () => {},
    onMessage: (_message, { token }) => token,
  });
  const first = await peer.ask("shard-0", 1);
  await peer.allocate("shard-0", "a");
  await soon(() => renewed.length === 1);
  const [token = 0] = renewed;
  expect(await peer.ask("shard-0", 1)).toBe(token);
  expect(token).toBeGreaterThan(first as number);
  expect(acquired).toEqual([first]);
});

test("[N4] a message to a host or a service that is not there fails", async () => {
  const peer = await start("a", { shards: 1 });
  const { port } = serve(peer);
  expect(await port.ask("shard-0", "x")).toEqual(["x", 1]);
  await expect(peer.ask("shard-0", 1)).rejects.toMatchObject({ code: "HANDLER_FAILED" });
  await expect(peer.ask("shard-0", 1, { entity: "\0notes" })).rejects.toThrow(RangeError);
});
