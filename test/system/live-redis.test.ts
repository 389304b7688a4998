/**
 * Live queries whose messages go through a real Redis, and what that does to windows when Redis fails.
 */
import { afterEach, describe, expect, test } from "vitest";
import { shardOf } from "../../src/core/shard-of.ts";
import { SYSTEM_CLOCK } from "../../src/io/clock.ts";
import { RedisBus } from "../../src/live/shell/redis-bus.ts";
import { streamOf } from "../../src/live/shell/redis-streams.ts";
import type { Peer } from "../../src/peer.ts";
import { liveBusContract, soon } from "../contract/live-bus-contract.ts";
import { FollowedWindow } from "../live/follower.ts";
import { DECLARATIONS } from "../live/rows.ts";
import { start, until } from "../peers.ts";
import { HAS_REDIS, RedisProcess } from "./redis-process.ts";

const SHARDS = 16;
const SHARD = `shard-${shardOf("t", "task", SHARDS)}`;
const QUERY = {
  ...{ tenant: "t", entity: "task", limit: 3 },
  sort: [{ column: "priority", descending: true }],
} as const;

let redis: RedisProcess | undefined;

afterEach(async () => {
  await redis?.end();
  redis = undefined;
});

describe.skipIf(!HAS_REDIS)("a bus of Redis streams", () => {
  liveBusContract("as any other", async () => {
    const server = await RedisProcess.start();
    const buses = new Map<string, RedisBus>();
    return {
      start: async (name, listener) => {
        const create = await RedisBus.prepare({
          ...{ url: server.url, cluster: "c", name, clock: SYSTEM_CLOCK },
          ...{ isMember: () => true, onProblem: () => {} },
        });
        const bus = create(listener);
        buses.set(name, bus);
        return bus;
      },
      kill: async (name) => buses.get(name)?.close(),
      end: async () => {
        for (const bus of buses.values()) bus.close();
        await server.end();
      },
    };
  });
});

const put = (peer: Peer, id: string, priority: number) =>
  peer.live.put({ tenant: "t", entity: "task", id, columns: { priority } });

/** Three peers whose live queries go through Redis; "b" has the shard, and "c" follows it. */
async function cluster(server: RedisProcess): Promise<[Peer, Peer, Peer]> {
  const live = { entities: DECLARATIONS, bus: server.url };
  const a = await start("a", { live });
  const [b, c] = await Promise.all([
    start("b", { live, join: [a.address] }),
    start("c", { live, join: [a.address] }),
  ]);
  const peers = [a, b, c];
  await until(peers, () =>
    peers.every((peer) => peer.allocations().length === SHARDS && peer.members().length === 3),
  );
  await a.allocate(SHARD, "b", { pin: true });
  await until(peers, () => peers.every((peer) => peer.regionFor(SHARD) === "b"));
  return [a, b, c];
}

/** What goes wrong with a Redis, and how it is put right. */
const FAULTS: Record<string, (server: RedisProcess, write: () => Promise<void>) => Promise<void>> =
  {
    "is killed and begins empty": async (server, write) => {
      await server.kill();
      await write();
      await server.restart();
    },
    "hangs for longer than it is waited for": async (server, write) => {
      server.signal("SIGSTOP");
      await write();
      await new Promise((resolve) => setTimeout(resolve, 8000));
      server.signal("SIGCONT");
    },
    "is flushed while it is written to": async (server, write) => {
      const flushes = [0, 1, 2, 3].map(() => server.command("FLUSHALL"));
      await Promise.all([...flushes, write()]);
      await server.command("FLUSHALL");
    },
    "trims what nobody has read": async (server, write) => {
      const trim = () => server.command("XTRIM", streamOf("hearsay", "c"), "MAXLEN", "0");
      const writing = write();
      for (let n = 0; n < 50; n += 1) await trim();
      await writing;
      await trim();
    },
    "has no memory left": async (server, write) => {
      await server.command("CONFIG", "SET", "maxmemory", "1");
      await write();
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await server.command("CONFIG", "SET", "maxmemory", "0");
    },
    "loses its connections": async (server, write) => {
      const writing = write();
      for (let n = 0; n < 5; n += 1) await server.command("CLIENT", "KILL", "TYPE", "normal");
      await writing;
    },
    "holds entries and keys of strangers": async (server, write) => {
      const stream = streamOf("hearsay", "c");
      const add = (...fields: (string | Buffer)[]) =>
        server.command("XADD", stream, "*", ...fields);
      const writing = write();
      const noise = Buffer.from([0xc1, 0xff, 0x00, 0x80]);
      await add("x", "y");
      await add("v", "1", "f", "../../b", "s", "s", "a", "", "n", "1", "h", "0", "b", noise);
      const forged = ["v", "1", "f", "b", "s", "forged"];
      for (const [about, count] of [
        ["", "0"],
        ["x", "7"],
        ["", "9007199254740993"],
        ["", "-1"],
      ]) {
        await add(...forged, "a", about ?? "", "n", count ?? "", "h", "999", "b", noise);
      }
      await add(...forged, "a", "", "n", "0", "h", "0");
      await add(...forged, "a", "y".repeat(100_000), "n", "1", "h", "1", "b", noise);
      await writing;
      await server.command("DEL", stream);
      await server.command("SET", stream, "no stream");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await server.command("DEL", stream);
      await server.command("XADD", stream, "18446744073709551615-18446744073709551615", "x", "y");
    },
  };

describe.skipIf(!HAS_REDIS)("live queries through Redis", () => {
  for (const [what, fault] of Object.entries(FAULTS)) {
    test(`[V8, V14] windows are right again after a Redis that ${what}`, async () => {
      redis = await RedisProcess.start();
      const [a, b, c] = await cluster(redis);
      for (const n of [1, 2, 3, 4]) await put(a, `r${n}`, n);
      const own = new FollowedWindow(b.live.subscribe(QUERY));
      const windows = [a, c].map((peer) => new FollowedWindow(peer.live.subscribe(QUERY)));
      for (const window of [own, ...windows]) {
        await window.until(({ ids }) => ids.join() === "r4,r3,r2");
      }
      await fault(redis, async () => {
        for (let n = 5; n < 60; n += 1) await put(a, `r${n}`, n);
        // Writes, and queries where the rows are, need no Redis.
        await own.until(({ ids }) => ids.join() === "r59,r58,r57");
      });
      // What was lost is found, though nothing more is written.
      for (const window of windows) await window.until(({ ids }) => ids.join() === "r59,r58,r57");
      await put(a, "r100", 100);
      for (const window of [own, ...windows]) {
        await window.until(({ ids }) => ids.join() === "r100,r59,r58");
      }
      expect(own.resets).toBe(1);
      const late = new FollowedWindow(c.live.subscribe({ ...QUERY, limit: 100 }));
      await late.until(({ rows }) => rows.length === 60);
    });
  }

  test("[V10, V14] the next region is asked when the one that is followed dies", async () => {
    redis = await RedisProcess.start();
    const [a, b, c] = await cluster(redis);
    for (const n of [1, 2, 3, 4]) await put(a, `r${n}`, n);
    const windows = [a, c].map((peer) => new FollowedWindow(peer.live.subscribe(QUERY)));
    for (const window of windows) await window.until(({ ids }) => ids.join() === "r4,r3,r2");
    await b.close();
    await put(a, "r5", 5);
    for (const window of windows) await window.until(({ ids }) => ids.join() === "r5,r4,r3");
  });

  test("[V14] streams are as long as what was not read, and no longer than their limit", async () => {
    redis = await RedisProcess.start();
    const [a, , c] = await cluster(redis);
    const window = new FollowedWindow(c.live.subscribe(QUERY));
    for (let n = 0; n < 2000; n += 1) await put(a, `r${n % 9}`, n);
    await window.until(({ rows }) => rows[0]?.columns.priority === 1999);
    let length = Number.POSITIVE_INFINITY;
    while (length > 64) length = Number(await redis.command("XLEN", streamOf("hearsay", "c")));
    expect(window.resets).toBe(1);
    expect(Number(await redis.command("PTTL", streamOf("hearsay", "c")))).toBeGreaterThan(0);
  });

  test("[V14] a peer starts without its Redis, says so, and its windows come up with it", async () => {
    redis = await RedisProcess.start();
    await redis.kill();
    const warnings: string[] = [];
    const live = { entities: DECLARATIONS, bus: redis.url };
    const a = await start("a", { live });
    const b = await start("b", { live, join: [a.address] });
    b.on("warning", ({ code, message }) => warnings.push(`${code}: ${message}`));
    await until([a, b], () => [a, b].every((peer) => peer.members().length === 2));
    await a.allocate(SHARD, "a", { pin: true });
    await until([a, b], () => b.regionFor(SHARD) === "a");
    await put(b, "r1", 1);
    const window = new FollowedWindow(b.live.subscribe(QUERY));
    await redis.restart();
    await window.until(({ ids }) => ids.join() === "r1");
    await redis.kill();
    await soon(() => warnings.length > 0);
    expect(warnings[0]).toMatch(/^UNREACHABLE: Cannot use Redis at 127/);
  });
});
