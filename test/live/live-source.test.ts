import { describe, expect, test } from "vitest";
import type { HearsayError } from "../../src/core/error.ts";
import { Random } from "../../src/core/random.ts";
import { shardOf } from "../../src/core/shard-of.ts";
import type { LiveSource } from "../../src/live/shell/source-reader.ts";
import type { SourceQuery, SourceRows } from "../../src/live/source.ts";
import type { LiveOptions } from "../../src/live-queries.ts";
import type { Peer } from "../../src/peer.ts";
import { liveRowsContract, type RowsHarness } from "../contract/live-rows-contract.ts";
import { start, until } from "../peers.ts";
import { FollowedWindow } from "./follower.ts";
import { MemorySource, OrderedSource, turns } from "./memory-source.ts";
import { DECLARATIONS } from "./rows.ts";

const SHARDS = 16;
const SHARD = `shard-${shardOf("t", "task", SHARDS)}`;
const QUERY = {
  ...{ tenant: "t", entity: "task", limit: 3 },
  sort: [{ column: "priority", descending: true }],
} as const;

async function twoPeers(live: LiveOptions): Promise<readonly [Peer, Peer]> {
  const a = await start("a", { live });
  const b = await start("b", { live, join: [a.address] });
  const peers = [a, b] as const;
  await until(peers, () =>
    peers.every((peer) => peer.allocations().length === SHARDS && peer.members().length === 2),
  );
  await give(peers, "b");
  return peers;
}

async function give(peers: readonly [Peer, Peer], region: string): Promise<void> {
  await peers[0].allocate(SHARD, region, { pin: true });
  await until(peers, () => peers.every((peer) => peer.regionFor(SHARD) === region));
}

liveRowsContract("rows in the peers", async () => {
  const peers = await twoPeers({ entities: DECLARATIONS });
  const row = { tenant: "t", entity: "task" };
  return {
    peers,
    put: async (id, columns) => void (await peers[0].live.put({ ...row, id, columns })),
    delete: async (id) => void (await peers[0].live.delete({ ...row, id })),
    move: () => give(peers, "a"),
  };
});

for (const [name, Source] of Object.entries({ MemorySource, OrderedSource })) {
  liveRowsContract(`rows at a source of the user's: ${name}`, async (): Promise<RowsHarness> => {
    const source = new Source(SHARDS);
    const peers = await twoPeers({ entities: DECLARATIONS, source });
    const row = { tenant: "t", entity: "task" };
    return {
      peers,
      put: async (id, columns) => {
        source.put({ ...row, id, columns });
        await turns(1);
      },
      delete: async (id) => source.delete({ ...row, id }),
      move: () => give(peers, "a"),
    };
  });
}

/** One peer, over a source that a test may spoil, and what the peer has warned of. */
async function over(source: LiveSource): Promise<{ peer: Peer; warnings: string[] }> {
  const peer = await start("a", { live: { entities: DECLARATIONS, source } });
  await until([peer], () => peer.allocations().length === SHARDS);
  const warnings: string[] = [];
  peer.on("warning", ({ code, message }) => warnings.push(`${code}: ${message}`));
  return { peer, warnings };
}

const codeOf = (error: unknown): string | undefined => (error as HearsayError)?.code;

const put = (source: MemorySource, id: string, priority: number): void =>
  source.put({ tenant: "t", entity: "task", id, columns: { priority } });

function filled(): MemorySource {
  const source = new MemorySource(SHARDS);
  for (const n of [1, 2, 3, 4]) put(source, `r${n}`, n);
  return source;
}

test("[V2, V15] at every position a window is what the source was there", async () => {
  for (const Source of [MemorySource, OrderedSource]) {
    const source = new Source(SHARDS);
    const { peer } = await over(source);
    const random = new Random(3);
    let checks = 0;
    const follow = (limit: number): FollowedWindow =>
      new FollowedWindow(peer.live.subscribe({ ...QUERY, limit }), (window) => {
        checks += 1;
        const position = Number(window.at?.split(".")[0]);
        const model = new Map<string, number>();
        for (const { id, columns } of source.log.slice(0, position)) {
          if (columns === undefined) model.delete(id);
          else model.set(id, columns.priority as number);
        }
        const first = [...model]
          .sort(([x, one], [y, other]) => other - one || (x < y ? -1 : 1))
          .slice(0, limit)
          .map(([id]) => id);
        expect(window.ids).toEqual(first);
      });
    const windows: FollowedWindow[] = [];
    for (let n = 0; n < 400; n += 1) {
      const id = `r${random.below(9)}`;
      if (random.below(3) === 0) source.delete({ tenant: "t", entity: "task", id });
      else put(source, id, random.below(100));
      if (n % 40 === 0) windows.push(follow(1 + windows.length));
      if (n === 0) await windows[0]?.until(({ at }) => at !== undefined);
      await turns(random.below(9));
    }
    put(source, "last", 1000);
    for (const window of windows) await window.until(({ ids }) => ids[0] === "last");
    for (const { error } of windows) expect(error).toBe(undefined);
    expect(checks).toBeGreaterThan(100);
    await peer.close();
  }
});

/** Writes that contradict what was told before. Whoever believed them would show what is not there. */
const LIES: Record<string, (source: MemorySource) => void> = {
  "a version that goes back": (source) => {
    put(source, "r4", 4);
    put(source, "r4", 4);
    const change = { tenant: "t", entity: "task", id: "r4", columns: { priority: 77 } };
    source.write({ ...change, version: 1, position: source.log.length + 1 });
  },
  "a position that goes back": (source) => {
    const change = { tenant: "t", entity: "task", id: "x", columns: { priority: 77 } };
    source.write({ ...change, version: 1, position: 1 });
  },
  "a row that is none": (source) => {
    const change = { tenant: "t", entity: "task", id: "x", columns: { priority: "high" } };
    source.write({ ...change, version: 1, position: source.log.length + 1 });
  },
  "no change at all": (source) => source.write({ tenant: "t", entity: "task" } as never),
};

describe("a source that cannot be relied on", () => {
  for (const [what, lie] of Object.entries(LIES)) {
    test(`[V15] after ${what} windows are read anew, and show what the source reads`, async () => {
      const source = filled();
      const { peer, warnings } = await over(source);
      const window = new FollowedWindow(peer.live.subscribe(QUERY));
      await window.until(({ ids }) => ids.join() === "r4,r3,r2");
      put(source, "r1", 1);
      lie(source);
      await window.until(({ resets }) => resets === 2);
      put(source, "r5", 5);
      await window.until(({ ids }) => ids.join() === "r5,r4,r3");
      expect(warnings.some((each) => each.startsWith("HANDLER_FAILED: The source"))).toBe(true);
      expect(window.rows.every(({ columns }) => columns.priority !== 77)).toBe(true);
    });
  }

  test("[V15] changes that end, or throw, are asked for anew from where the rows were read", async () => {
    const source = filled();
    let ends = 2;
    const { peer } = await over({
      read: (query) => source.read(query),
      changes: async function* (...asked) {
        for await (const change of source.changes(...asked)) {
          ends -= 1;
          if (ends === 1) return;
          if (ends === 0) throw new Error("The database went away");
          yield change;
        }
      },
    });
    const window = new FollowedWindow(peer.live.subscribe(QUERY));
    await window.until(({ ids }) => ids.join() === "r4,r3,r2");
    put(source, "r5", 5);
    await window.until(({ ids }) => ids.join() === "r5,r4,r3");
    put(source, "r6", 6);
    await window.until(({ ids }) => ids.join() === "r6,r5,r4");
    put(source, "r7", 7);
    await window.until(({ ids }) => ids.join() === "r7,r6,r5");
    expect(window.resets).toBe(3);
  });

  test("[V15] a source that fails for good ends subscriptions with a code, those that stood, too", async () => {
    const source = filled();
    let isGone = false;
    const { peer, warnings } = await over({
      read: (query) => {
        if (isGone) throw new Error("The database is gone");
        return source.read(query);
      },
      changes: async function* (...asked) {
        for await (const change of source.changes(...asked)) {
          if (isGone) throw new Error("The database is gone");
          yield change;
        }
      },
    });
    const stood = new FollowedWindow(peer.live.subscribe(QUERY));
    await stood.until(({ ids }) => ids.length === 3);
    isGone = true;
    put(source, "r5", 5);
    await stood.until(({ isOver }) => isOver);
    const late = new FollowedWindow(peer.live.subscribe({ ...QUERY, limit: 2 }));
    await late.until(({ isOver }) => isOver);
    expect([stood, late].map(({ error }) => codeOf(error))).toEqual([
      "HANDLER_FAILED",
      "HANDLER_FAILED",
    ]);
    expect(warnings.length).toBeGreaterThan(0);
    isGone = false;
    const again = new FollowedWindow(peer.live.subscribe(QUERY));
    await again.until(({ ids, isOver }) => isOver || ids.join() === "r5,r4,r3");
  });

  test("[V15] a source that never answers ends subscriptions with TIMEOUT, and is told to give up", async () => {
    const given: SourceQuery[] = [];
    const { peer } = await over({
      read: (query) => {
        given.push(query);
        return new Promise(() => {});
      },
      changes: async function* () {},
    });
    const window = new FollowedWindow(peer.live.subscribe(QUERY));
    await window.until(({ isOver }) => isOver);
    expect(codeOf(window.error)).toBe("TIMEOUT");
    expect(given[0]?.signal.aborted).toBe(true);
    expect(given[0]).toMatchObject({
      ...{ shard: SHARD, tenant: "t", entity: "task", where: [], after: undefined, limit: 19 },
      sort: [
        { column: "priority", descending: true },
        { column: "id", descending: false },
      ],
    });
  });

  test("[V15] answers that cannot be are refused by a code, and nothing of them is shown", async () => {
    const source = filled();
    const row = (id: string, more: object = {}) => ({
      ...{ tenant: "t", entity: "task", id, version: 1, columns: { priority: 1 } },
      ...more,
    });
    const answers: Record<string, (honest: SourceRows) => unknown> = {
      nothing: () => undefined,
      "another tenant": () => ({
        rows: [row("x", { tenant: "u" })],
        isComplete: true,
        position: 9,
      }),
      "another entity": () => ({
        rows: [row("x", { entity: "u" })],
        isComplete: true,
        position: 9,
      }),
      "a row twice": () => ({ rows: [row("x"), row("x")], isComplete: true, position: 9 }),
      "no version": () => ({
        rows: [row("x", { version: undefined })],
        ...{ isComplete: true, position: 9 },
      }),
      "a wrong column": () => ({
        rows: [row("x", { columns: { priority: {} } })],
        ...{ isComplete: true, position: 9 },
      }),
      "no position": ({ rows }) => ({ rows, isComplete: true }),
      "another order": ({ rows }) => ({
        rows: Array.from({ length: 30 }, (_, n) => ({ ...rows[0], id: `x${n % 2 ? n : 99 - n}` })),
        ...{ isComplete: false, position: 9 },
      }),
      "too few": ({ rows }) => ({ rows: rows.slice(1), isComplete: false, position: 9 }),
      "too many": () => ({
        rows: Array.from({ length: 70_000 }, (_, n) => row(`x${n}`)),
        ...{ isComplete: true, position: 9 },
      }),
    };
    let answer: (honest: SourceRows) => unknown = () => undefined;
    const { peer, warnings } = await over({
      read: async (query) => answer(await source.read(query)) as SourceRows,
      changes: (...asked) => source.changes(...asked),
    });
    for (const [what, give] of Object.entries(answers)) {
      answer = give;
      const window = new FollowedWindow(peer.live.subscribe({ ...QUERY, limit: 10 }));
      await window.until(({ isOver }) => isOver);
      expect([what, codeOf(window.error), window.rows]).toEqual([what, "HANDLER_FAILED", []]);
    }
    expect(warnings.length).toBeGreaterThan(0);
  });

  test("[V15] a read that is older than what was told is made again, and then refused", async () => {
    const source = filled();
    let isStale = 0;
    const { peer } = await over({
      read: async (query) => {
        const rows = await source.read(query);
        isStale -= 1;
        return isStale < 0 ? rows : { ...rows, rows: [], position: rows.position - 1 };
      },
      changes: (...asked) => source.changes(...asked),
    });
    const window = new FollowedWindow(peer.live.subscribe(QUERY));
    await window.until(({ ids }) => ids.length === 3);
    isStale = 1;
    const second = new FollowedWindow(peer.live.subscribe({ ...QUERY, limit: 2 }));
    await second.until(({ ids }) => ids.join() === "r4,r3");
    isStale = 2;
    const third = new FollowedWindow(peer.live.subscribe({ ...QUERY, limit: 1 }));
    await third.until(({ isOver }) => isOver);
    expect([codeOf(third.error), third.rows]).toEqual(["HANDLER_FAILED", []]);
  });

  test("[V15] changes without end do not keep the peer from anything else", async () => {
    const source = filled();
    let told = 0;
    const { peer } = await over({
      read: (query) => source.read(query),
      changes: async function* (_shard, since, signal) {
        while (!signal.aborted) {
          told += 1;
          const change = { tenant: "t", entity: "task", id: "r1", columns: { priority: 1 } };
          yield { ...change, version: 10 + told, position: since + told };
        }
      },
    });
    const window = new FollowedWindow(peer.live.subscribe(QUERY));
    await window.until(({ ids }) => ids.join() === "r4,r3,r2");
    const other = new FollowedWindow(peer.live.subscribe({ ...QUERY, limit: 2 }));
    await until([peer], () => true);
    await fetch(`http://${peer.address}/healthz`);
    expect(told).toBeGreaterThan(0);
    await peer.close();
    await other.until(({ isOver }) => isOver);
    const end = told;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(told).toBe(end);
  });

  test("[V15] changes are asked for while somebody follows, and rows are not written here", async () => {
    const source = filled();
    const { peer } = await over(source);
    const stop = new AbortController();
    const window = new FollowedWindow(peer.live.subscribe(QUERY, { signal: stop.signal }));
    await window.until(({ ids }) => ids.length === 3);
    expect(source.followed).toBe(1);
    await expect(
      peer.live.put({ tenant: "t", entity: "task", id: "x", columns: {} }),
    ).rejects.toMatchObject({ code: "BAD_REQUEST" });
    stop.abort();
    for (let n = 0; source.followed > 0 && n < 1000; n += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(source.followed).toBe(0);
    put(source, "r9", 9);
    const again = new FollowedWindow(peer.live.subscribe(QUERY));
    await again.until(({ ids }) => ids.join() === "r9,r4,r3");
    await expect(
      start("wrong", { live: { entities: DECLARATIONS, source: {} as never } }),
    ).rejects.toThrow(TypeError);
  });
});
