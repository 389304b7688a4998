import { expect, test } from "vitest";
import type { Host } from "../src/host.ts";
import type { Peer } from "../src/peer.ts";
import type { Body } from "../src/wire/body.ts";
import { start, startCluster, until } from "./peers.ts";

/** A host that counts by entity, and holds its shards in memory. */
class Counter implements Host {
  readonly shards = new Map<string, Map<string, number>>();
  readonly calls: string[] = [];
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  onAcquire(shard: string): void {
    this.calls.push(`acquire ${shard}`);
    if (!this.shards.has(shard)) this.shards.set(shard, new Map());
  }

  async onMessage(
    message: Body,
    { shard, entity = "" }: { shard: string; entity?: string | undefined },
  ) {
    if (message === "throw") throw new Error("It does not like that");
    if (message === "nonsense") return (() => 1) as unknown as Body;
    if (message === "hang") await new Promise(() => {});
    const counts = this.shards.get(shard) ?? new Map<string, number>();
    counts.set(entity, (counts.get(entity) ?? 0) + 1);
    return { by: this.name, count: counts.get(entity) as number, echo: message };
  }

  onRelease(shard: string): void {
    this.calls.push(`release ${shard}`);
    this.shards.delete(shard);
  }

  *exportState(shard: string): Iterable<Body> {
    for (const entry of this.shards.get(shard) ?? []) yield entry;
  }

  async importState(shard: string, chunks: AsyncIterable<Body>): Promise<void> {
    const counts = new Map<string, number>();
    for await (const chunk of chunks) {
      const [entity, count] = chunk as [string, number];
      counts.set(entity, count);
    }
    this.shards.set(shard, counts);
  }
}

/** Peers with hosts, each of which serves what the table gives it. */
async function hosted(...names: string[]): Promise<{ peers: Peer[]; hosts: Counter[] }> {
  const peers = await startCluster(...names);
  const hosts = names.map((name) => new Counter(name));
  for (const [index, peer] of peers.entries()) peer.host(hosts[index] as Counter);
  await until(peers, () => hosts.reduce((sum, { shards }) => sum + shards.size, 0) === 16);
  return { peers, hosts };
}

const shardOf = (peer: Peer, region: string): string =>
  peer.allocations().find((each) => each.region === region)?.shard ?? "";

test("[H3] an ask reaches the region of the shard from any peer, and brings its answer back", async () => {
  const { peers } = await hosted("a", "b");
  const [a, b] = peers as [Peer, Peer];
  const shard = shardOf(a, "b");
  const message = { text: "é", bytes: new Uint8Array([1, 2]), list: [null, { deep: true }] };
  expect(await a.ask(shard, message, { entity: "x" })).toEqual({
    by: "b",
    count: 1,
    echo: message,
  });
  expect(await b.ask(shard, 1, { entity: "x" })).toEqual({ by: "b", count: 2, echo: 1 });
  expect(await a.tell(shard, 1, { entity: "x" })).toBeUndefined();
});

test("[H1, H2] a shard that moves takes its state along, and asks go on", async () => {
  const { peers } = await hosted("a", "b");
  const [a] = peers as [Peer, Peer];
  const shard = shardOf(a, "b");
  for (let count = 0; count < 5; count += 1) await a.ask(shard, count, { entity: "x" });
  const asks = Array.from({ length: 200 }, (_, index) => a.ask(shard, index, { entity: "x" }));
  const moved = await a.allocate(shard, "a");
  expect(moved).toMatchObject({ shard, region: "a", superseded: { region: "b" } });
  const answers = (await Promise.all(asks)) as { count: number; echo: number }[];
  expect(answers.map(({ count }) => count)).toEqual(answers.map((_, index) => index + 6));
  expect(await a.ask(shard, 0, { entity: "x" })).toMatchObject({ by: "a", count: 206 });
});

test("[H3] what a host throws, or answers that cannot be sent, is HANDLER_FAILED to whoever asked", async () => {
  const { peers } = await hosted("a", "b");
  const [a] = peers as [Peer, Peer];
  const shard = shardOf(a, "b");
  await expect(a.ask(shard, "throw")).rejects.toMatchObject({
    code: "HANDLER_FAILED",
    message: "It does not like that",
  });
  await expect(a.ask(shard, "nonsense")).rejects.toMatchObject({ code: "HANDLER_FAILED" });
  expect(await a.ask(shard, 1)).toMatchObject({ by: "b" });
});

test("[H3] a host that hangs costs its own ask, which may have been handled", async () => {
  const { peers } = await hosted("a", "b");
  const [a] = peers as [Peer, Peer];
  const shard = shardOf(a, "b");
  const hung = a.ask(shard, "hang", { entity: "x", timeoutMs: 300 });
  expect(await a.ask(shard, 1, { entity: "y" })).toMatchObject({ by: "b" });
  await expect(hung).rejects.toMatchObject({ code: "TIMEOUT" });
});

test("[S4] a message that is too large, or none, is refused before it is sent", async () => {
  const { peers } = await hosted("a", "b");
  const [a] = peers as [Peer, Peer];
  const shard = shardOf(a, "b");
  const large = new Uint8Array(10_000_000);
  await expect(a.ask(shard, large)).rejects.toMatchObject({ code: "FRAME_TOO_LARGE" });
  const most = new Uint8Array(1_048_000).fill(7);
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => a.ask(shard, most, { timeoutMs: 30_000 })),
  );
  expect(answers.every((answer) => (answer as { by: string }).by === "b")).toBe(true);
  const wrong = { call: () => 1 } as unknown as Body;
  await expect(a.ask(shard, wrong)).rejects.toMatchObject({ code: "BAD_REQUEST" });
  await expect(a.ask("shard-99", 1)).rejects.toMatchObject({ code: "SHARD_NOT_FOUND" });
  await expect(a.ask(shard, 1, { timeoutMs: 0 })).rejects.toThrow(RangeError);
  await expect(a.ask(shard, 1, { entity: "e".repeat(129) })).rejects.toThrow(RangeError);
  await expect(a.ask("no such name!", 1)).rejects.toThrow(TypeError);
});

test("[H3] an ask can be given up, before and after it was sent", async () => {
  const { peers } = await hosted("a", "b");
  const [a] = peers as [Peer, Peer];
  const shard = shardOf(a, "b");
  const reason = new Error("Enough");
  await expect(a.ask(shard, 1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const controller = new AbortController();
  const hung = a.ask(shard, "hang", { entity: "z", signal: controller.signal });
  controller.abort(reason);
  await expect(hung).rejects.toBe(reason);
});

test("[F6, H4] who leaves hands its shards over, and lets go of each before it is gone", async () => {
  const { peers, hosts } = await hosted("a", "b", "c");
  const [a, b] = peers as [Peer, Peer, Peer];
  const asks = Array.from({ length: 16 * 20 }, (_, index) =>
    a.ask(`shard-${index % 16}`, index, { entity: "x", timeoutMs: 20_000 }),
  );
  await b.leave();
  await Promise.all(asks);
  expect(hosts[1]?.shards.size).toBe(0);
  const acquired = hosts[1]?.calls.filter((call) => call.startsWith("acquire")).length;
  expect(hosts[1]?.calls.filter((call) => call.startsWith("release")).length).toBe(acquired);
  expect(a.allocations().some(({ region }) => region === "b")).toBe(false);
});

test("[H1] a host is given once, and must be one", async () => {
  const a = await start("a");
  expect(() => a.host({} as Host)).toThrow(TypeError);
  const host = { onAcquire() {}, onMessage() {}, onRelease() {} };
  expect(() => a.host({ ...host, passivateAfterMs: 1 })).toThrow(RangeError);
  expect(() => a.host({ ...host, exportState: 7 } as unknown as Host)).toThrow(TypeError);
  a.host(host);
  expect(() => a.host(host)).toThrow(TypeError);
});
