import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { HearsayError } from "../../src/core/error.ts";
import { shardOf } from "../../src/core/shard-of.ts";
import type { LiveOptions } from "../../src/live-queries.ts";
import type { Peer } from "../../src/peer.ts";
import { isSettled, start, until } from "../peers.ts";
import { FollowedWindow } from "./follower.ts";
import { DECLARATIONS } from "./rows.ts";

const SHARDS = 16;
const SHARD = `shard-${shardOf("t", "task", SHARDS)}`;
const QUERY = {
  ...{ tenant: "t", entity: "task", limit: 3 },
  sort: [{ column: "priority", descending: true }],
} as const;

/** Three peers of which the first founded, and who has the shard is known. */
async function cluster(live: LiveOptions = { entities: DECLARATIONS }): Promise<Peer[]> {
  const a = await start("a", { live });
  const others = await Promise.all(
    ["b", "c"].map((name) => start(name, { live, join: [a.address] })),
  );
  const peers = [a, ...others];
  await until(peers, () => peers.every((peer) => isSettled(peer, peers)));
  return peers;
}

const put = (peer: Peer, id: string, priority: number, tenant = "t") =>
  peer.live.put({ tenant, entity: "task", id, columns: { priority, title: `title of ${id}` } });

const codeOf = async (call: () => unknown): Promise<string | undefined> => {
  try {
    await call();
    return undefined;
  } catch (error) {
    return (error as HearsayError).code;
  }
};

async function give(peers: Peer[], region: string): Promise<void> {
  await peers[0]?.allocate(SHARD, region);
  await until(peers, () => peers.every((peer) => peer.regionFor(SHARD) === region));
}

describe("rows and queries through peers", () => {
  test("[V3, V7] a change at one peer, with its shard at a second, is followed at a third", async () => {
    const peers = await cluster();
    const [a, b, c] = peers as [Peer, Peer, Peer];
    await give(peers, "b");
    for (const n of [1, 2, 3, 4]) await put(a, `r${n}`, n);
    const window = new FollowedWindow(c.live.subscribe(QUERY));
    await window.until(({ ids }) => ids.join() === "r4,r3,r2");
    expect(window.rows[0]).toEqual({
      ...{ id: "r4", version: 1 },
      columns: { title: "title of r4", priority: 4, done: null, constructor: null },
    });
    await put(a, "r1", 9);
    await window.until(({ ids }) => ids.join() === "r1,r4,r3");
    await a.live.delete({ tenant: "t", entity: "task", id: "r4" });
    await window.until(({ ids }) => ids.join() === "r1,r3,r2");
    expect(window.resets).toBe(1);
    expect(b.live).toBeDefined();
  });

  test("[V8, H7] a shard that stays under a new token is followed under that one, and written", async () => {
    const peers = await cluster();
    const [a, b, c] = peers as [Peer, Peer, Peer];
    await give(peers, "b");
    for (const n of [1, 2, 3, 4]) await put(a, `r${n}`, n);
    const window = new FollowedWindow(c.live.subscribe(QUERY));
    await window.until(({ ids }) => ids.join() === "r4,r3,r2");
    const tokenOf = (at = "0.0") => Number(at.split(".")[1]);
    const before = tokenOf(window.at);
    await b.allocate(SHARD, "b");
    await window.until(({ at, ids }) => tokenOf(at) > before && ids.join() === "r4,r3,r2");
    await put(a, "r1", 9);
    await window.until(({ ids }) => ids.join() === "r1,r4,r3");
  });

  test("[V10] rows and windows go with their shard when it moves", async () => {
    const peers = await cluster();
    const [a, b, c] = peers as [Peer, Peer, Peer];
    await give(peers, "b");
    for (const n of [1, 2, 3, 4]) await put(a, `r${n}`, n);
    const windows = peers.map((peer) => new FollowedWindow(peer.live.subscribe(QUERY)));
    for (const window of windows) await window.until(({ ids }) => ids.join() === "r4,r3,r2");
    await give(peers, "c");
    await put(b, "r5", 5);
    await give(peers, "a");
    await put(c, "r6", 6);
    for (const window of windows) await window.until(({ ids }) => ids.join() === "r6,r5,r4");
    await b.leave();
    await put(a, "r7", 7);
    for (const window of [windows[0], windows[2]]) {
      await window?.until(({ ids }) => ids.join() === "r7,r6,r5");
    }
    expect([windows[1]?.isOver, windows[1]?.error]).toEqual([true, undefined]);
  });

  test("[V13] rows that were acknowledged outlive the peer that had them, and windows are right again", async () => {
    const peers = await cluster();
    const [a, b, c] = peers as [Peer, Peer, Peer];
    await give(peers, "b");
    for (let n = 0; n < 50; n += 1) await put(a, `r${n}`, n);
    await a.live.delete({ tenant: "t", entity: "task", id: "r49" });
    const windows = [a, c].map((peer) => new FollowedWindow(peer.live.subscribe(QUERY)));
    for (const window of windows) await window.until(({ ids }) => ids.join() === "r48,r47,r46");
    await b.close();
    await put(c, "r100", 100);
    for (const window of windows) await window.until(({ ids }) => ids.join() === "r100,r48,r47");
    const all = new FollowedWindow(c.live.subscribe({ ...QUERY, limit: 100 }));
    await all.until(({ rows }) => rows.length === 50);
  });

  test("[V13] rows are there again when a peer has been started on its disk", async () => {
    const data = await mkdtemp(join(tmpdir(), "hearsay-live-"));
    try {
      const live = { entities: DECLARATIONS };
      const first = await start("a", { live, data });
      await until([first], () => first.allocations().length === SHARDS);
      for (let n = 0; n < 700; n += 1) await put(first, `r${n % 30}`, n);
      await first.live.delete({ tenant: "t", entity: "task", id: "r0" });
      await first.close();
      const second = await start("a", { live, data });
      const window = new FollowedWindow(second.live.subscribe({ ...QUERY, limit: 100 }));
      await window.until(({ rows }) => rows.length === 29);
      expect(window.rows[0]).toMatchObject({ id: "r9", columns: { priority: 699 } });
      const late = { tenant: "t", entity: "task", id: "r0", columns: {} };
      expect(await second.live.put({ ...late, version: 3 })).toMatchObject({ applied: false });
    } finally {
      await rm(data, { recursive: true, force: true });
    }
  });

  test("[V6] a write says whether it changed anything", async () => {
    const a = await start("a", { live: { entities: DECLARATIONS } });
    await until([a], () => a.allocations().length === SHARDS);
    const row = { tenant: "t", entity: "task", id: "r", columns: {} };
    expect(await a.live.put({ ...row, version: 5 })).toEqual({ applied: true, version: 5 });
    expect(await a.live.put({ ...row, version: 5 })).toEqual({ applied: false, version: 5 });
    expect(await a.live.delete({ ...row, version: 6 })).toEqual({ applied: true, version: 6 });
    expect(await a.live.put(row)).toEqual({ applied: true, version: 7 });
  });

  test("[V5] a streamed query tells of each row that matches, and that does not any more", async () => {
    const a = await start("a", { live: { entities: DECLARATIONS } });
    await until([a], () => a.allocations().length === SHARDS);
    await put(a, "r1", 1);
    const deltas = a.live.subscribe({
      ...{ tenant: "t", entity: "task", mode: "streamed" },
      where: [{ column: "priority", op: "lt", value: 5 }],
    });
    const next = async () => (await deltas.next()).value;
    expect(await next()).toEqual({ type: "reset", rows: 1 });
    expect(await next()).toMatchObject({ type: "match", row: { id: "r1" }, changed: [] });
    await put(a, "r1", 2);
    expect(await next()).toMatchObject({ type: "match", row: { id: "r1" }, changed: ["priority"] });
    await put(a, "r1", 7);
    expect(await next()).toMatchObject({ type: "unmatch", id: "r1" });
  });

  test("[V9] a reader who leaves too much unread has lagged, and gets all rows", async () => {
    const a = await start("a", { live: { entities: DECLARATIONS } });
    await until([a], () => a.allocations().length === SHARDS);
    await put(a, "r1", 0);
    const deltas = a.live.subscribe(QUERY);
    const quick = new FollowedWindow(a.live.subscribe(QUERY));
    expect((await deltas.next()).value).toMatchObject({ type: "reset" });
    expect((await deltas.next()).value).toMatchObject({ type: "enter" });
    for (let n = 1; n <= 3000; n += 1) await put(a, "r1", n);
    await quick.until(({ rows }) => rows[0]?.columns.priority === 3000);
    const slow = new FollowedWindow(deltas);
    await slow.until(({ rows }) => rows[0]?.columns.priority === 3000);
    expect([slow.lagged, slow.resets]).toEqual([1, 1]);
  });

  test("[V12] who comes back with the position it has seen gets what followed", async () => {
    const peers = await cluster();
    const [a, b] = peers as [Peer, Peer];
    await put(a, "r1", 1);
    const first = new FollowedWindow(b.live.subscribe(QUERY));
    const other = new FollowedWindow(b.live.subscribe(QUERY)); // Keeps what is followed here.
    await first.until(({ ids }) => ids.join() === "r1");
    const resume = first.at as string;
    await put(a, "r2", 2);
    await other.until(({ ids }) => ids.join() === "r2,r1");
    const deltas = b.live.subscribe(QUERY, { resume });
    expect((await deltas.next()).value).toMatchObject({
      type: "enter",
      index: 0,
      row: { id: "r2" },
    });
    expect(await codeOf(() => b.live.subscribe(QUERY, { resume: "nonsense" }))).toBe("BAD_REQUEST");
  });

  test("[V1] what makes no sense is refused at once, here, and nobody else is asked", async () => {
    const a = await start("a", { live: { entities: DECLARATIONS } });
    const none = await start("none", { join: [a.address] });
    expect(await codeOf(() => a.live.subscribe({ ...QUERY, limit: 1e9 }))).toBe("BAD_REQUEST");
    expect(await codeOf(() => a.live.subscribe({ ...QUERY, cursor: "forged" }))).toBe(
      "BAD_REQUEST",
    );
    expect(await codeOf(() => put(a, "", 1))).toBe("BAD_REQUEST");
    expect(await codeOf(() => a.live.put(null as never))).toBe("BAD_REQUEST");
    expect(await codeOf(() => a.live.delete({ tenant: "t", entity: "x", id: "r" }))).toBe(
      "BAD_REQUEST",
    );
    expect(await codeOf(() => none.live.subscribe(QUERY))).toBe("BAD_REQUEST");
    await expect(
      start("wrong", { live: { entities: { task: { id: "string" } } } }),
    ).rejects.toThrow(TypeError);
    await expect(start("wrong", { live: { other: 1 } as never })).rejects.toThrow(TypeError);
  });

  test("[V7] a subscription ends with its signal, with its iteration and with its peer", async () => {
    const a = await start("a", { live: { entities: DECLARATIONS } });
    await until([a], () => a.allocations().length === SHARDS);
    const stop = new AbortController();
    const stopped = new FollowedWindow(a.live.subscribe(QUERY, { signal: stop.signal }));
    const ended = new FollowedWindow(a.live.subscribe({ ...QUERY, limit: 2 }));
    for await (const delta of a.live.subscribe(QUERY)) {
      expect(delta).toMatchObject({ type: "reset", rows: 0 });
      break;
    }
    stop.abort();
    await stopped.until(({ isOver }) => isOver);
    await a.close();
    await ended.until(({ isOver }) => isOver);
    expect([stopped.error, ended.error]).toEqual([undefined, undefined]);
  });
});
