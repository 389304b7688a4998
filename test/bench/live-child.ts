/**
 * One process with rows and live queries, for the bench: it writes rows on request, follows queries, and says
 * when it saw what.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { LiveQuery, LiveRow, Peer } from "../../src/index.ts";
import { answerParent } from "./child.ts";
import { nowMs } from "./measure.ts";

export type Command =
  | {
      readonly type: "open";
      readonly name: string;
      readonly listen: string;
      readonly join: readonly string[];
      readonly shards: number;
    }
  /** Answers where the shard is, once so many peers are here and all shards are somewhere. */
  | { readonly type: "regionOf"; readonly count: number; readonly shard: string }
  | { readonly type: "give"; readonly shard: string; readonly region: string }
  /** Writes rows `from` to `to`. */
  | { readonly type: "fill"; readonly from: number; readonly to: number }
  /** Writes one row again and again, with the time in it. */
  | { readonly type: "putTimes"; readonly count: number; readonly everyMs: number }
  /** Follows that row, and answers how long each change took to come. */
  | { readonly type: "seeTimes"; readonly count: number }
  /** Follows so many queries of so many shapes; answers when all have their rows. */
  | {
      readonly type: "follow";
      readonly count: number;
      readonly shapes: number;
      readonly rows: number;
    }
  /** Answers how many subscriptions have had a reset since, how many windows are wrong, and when the last came. */
  | { readonly type: "resets" };

const ENTITIES = { task: { owner: "string", priority: "number", at: "number" } } as const;
const TENANT = "bench";

let peer: Peer | undefined;
let seen: Promise<number[]> | undefined;
let resets = 0;
let wrong = 0;
let lastMs = 0;

async function open(command: Extract<Command, { type: "open" }>): Promise<string> {
  const dist = new URL("../../dist/index.js", import.meta.url).href;
  const { startPeer } = (await import(dist)) as typeof import("../../src/index.ts");
  const { type: _, ...options } = command;
  peer = await startPeer({ ...options, live: { entities: ENTITIES } });
  return peer.address;
}

const columnsOf = (n: number) => ({
  owner: `owner-${n % 100}`,
  priority: (n * 7919) % 10_007,
  at: 0,
});

async function fill(from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 200) {
    const some = Array.from({ length: Math.min(200, to - n) }, (_, each) => n + each);
    await Promise.all(
      some.map((each) =>
        peer?.live.put({
          tenant: TENANT,
          entity: "task",
          id: `r${each}`,
          columns: columnsOf(each),
        }),
      ),
    );
  }
}

async function putTimes(count: number, everyMs: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    await sleep(everyMs);
    const columns = { owner: "clock", priority: n, at: nowMs() };
    void peer?.live.put({ tenant: TENANT, entity: "task", id: "clock", columns });
  }
}

async function seeTimes(count: number): Promise<number[]> {
  const times: number[] = [];
  const query: LiveQuery = {
    ...{ tenant: TENANT, entity: "task", limit: 1 },
    where: [{ column: "owner", op: "eq", value: "clock" }],
  };
  for await (const delta of peer?.live.subscribe(query) ?? []) {
    if (delta.type !== "enter" && delta.type !== "update") continue;
    times.push(nowMs() - (delta.row.columns.at as number));
    if (times.length === count) break;
  }
  return times;
}

const shapeOf = (shape: number): LiveQuery => ({
  ...{ tenant: TENANT, entity: "task", limit: 5 + Math.floor(shape / 100) },
  where: [{ column: "owner", op: "eq", value: `owner-${shape % 100}` }],
  sort: [{ column: "priority", descending: shape % 2 === 0 }],
});

/** The ids that a window of a shape must have, of rows 0 to `rows`. */
function expectedOf(shape: number, rows: number): string {
  const { limit = 0 } = shapeOf(shape);
  const sign = shape % 2 === 0 ? -1 : 1;
  return Array.from({ length: rows }, (_, n) => n)
    .filter((n) => n % 100 === shape % 100)
    .map((n) => ({ id: `r${n}`, priority: columnsOf(n).priority }))
    .sort((a, b) => sign * (a.priority - b.priority) || (a.id < b.id ? -1 : 1))
    .slice(0, limit)
    .map(({ id }) => id)
    .join();
}

function follow(count: number, shapes: number, rows: number): Promise<void> {
  const expected = Array.from({ length: shapes }, (_, shape) => expectedOf(shape, rows));
  let missing = count;
  return new Promise((resolve) => {
    const watch = async (shape: number): Promise<void> => {
      let window: LiveRow[] = [];
      let isFirst = true;
      for await (const delta of peer?.live.subscribe(shapeOf(shape)) ?? []) {
        if (delta.type === "reset") window = [];
        else if (delta.type === "enter") window.splice(delta.index, 0, delta.row);
        if (delta.at === undefined) continue;
        if (window.map(({ id }) => id).join() !== expected[shape]) wrong += 1;
        resets += 1;
        lastMs = nowMs();
        if (isFirst) missing -= 1;
        isFirst = false;
        if (missing === 0) resolve();
      }
    };
    for (let n = 0; n < count; n += 1) void watch(n % shapes);
  });
}

answerParent<Command>(async (command) => {
  switch (command.type) {
    case "open":
      return open(command);
    case "regionOf": {
      const { members, allocations, shards } = peer?.status() ?? {};
      const isWhole = members?.alive === command.count && allocations === shards;
      return isWhole ? peer?.regionFor(command.shard) : undefined;
    }
    case "give":
      return (await peer?.allocate(command.shard, command.region))?.region;
    case "fill":
      return fill(command.from, command.to);
    case "putTimes":
      return putTimes(command.count, command.everyMs);
    case "seeTimes":
      if (seen === undefined) {
        seen = seeTimes(command.count);
        return undefined;
      }
      return seen;
    case "follow":
      await follow(command.count, command.shapes, command.rows);
      return undefined;
    case "resets":
      return { resets, wrong, lastMs };
  }
});
