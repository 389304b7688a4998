/**
 * One process with a host, for benches and end-to-end tests: a peer whose shards are served.
 *
 * It asks on request, at a rate or as fast as a number of asks under way allows, and says how each one
 * ended. SIGTERM makes it leave. Its host notes what it handles, so that nothing is handled twice unseen.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Peer } from "../../src/index.ts";
import { answerParent } from "./child.ts";
import { nowMs } from "./measure.ts";

export type Command =
  | {
      readonly type: "open";
      readonly name: string;
      readonly listen: string;
      readonly join: readonly string[];
      readonly shards: number;
      readonly downing?: "majority" | "off";
    }
  /** Answers whether so many are linked, and every shard is at one of them. */
  | { readonly type: "isSettled"; readonly count: number }
  /** Asks shards in turn until `untilMs`, one every `everyMs`. */
  | { readonly type: "askAtRate"; readonly everyMs: number; readonly untilMs: number }
  /** Asks shards of `region` so many times, with so many under way at once. */
  | {
      readonly type: "askAtOnce";
      readonly region: string;
      readonly count: number;
      readonly atOnce: number;
    }
  /** Moves all shards of this region to another one. */
  | { readonly type: "moveAll"; readonly to: string }
  /** Answers what its host has handled, in order. */
  | { readonly type: "handled" }
  | { readonly type: "leave" };

/** An ask: its number, its shard, when it was made and answered, and its code when it failed. */
export type Ended = readonly [
  ask: string,
  shard: string,
  askedMs: number,
  endedMs: number,
  code: string | null,
];

const handled: string[] = [];
let peer: Peer | undefined;
let lastAsk = 0;

async function open(command: Extract<Command, { type: "open" }>): Promise<string> {
  const dist = new URL("../../dist/index.js", import.meta.url).href;
  const { startPeer } = (await import(dist)) as typeof import("../../src/index.ts");
  const { type: _, ...options } = command;
  peer = await startPeer(options);
  peer.host({
    onAcquire() {},
    onMessage(message) {
      if (typeof message === "string") handled.push(message);
      return message;
    },
    onRelease() {},
  });
  return peer.address;
}

function isSettled(count: number): boolean {
  const { members, allocations, shards } = peer?.status() ?? {};
  const loads = new Map<string, number>();
  for (const { region } of peer?.allocations() ?? []) {
    loads.set(region, (loads.get(region) ?? 0) + 1);
  }
  const spread = Math.max(...loads.values()) - Math.min(...loads.values());
  return members?.alive === count && allocations === shards && loads.size === count && spread <= 1;
}

async function ask(shard: string): Promise<Ended> {
  lastAsk += 1;
  const number = `${process.pid}-${lastAsk}`;
  const askedMs = nowMs();
  try {
    await peer?.ask(shard, number, { entity: `entity-${lastAsk % 64}` });
    return [number, shard, askedMs, nowMs(), null];
  } catch (error) {
    return [number, shard, askedMs, nowMs(), (error as { code: string }).code];
  }
}

async function askAtRate(everyMs: number, untilMs: number): Promise<Ended[]> {
  const shards = peer?.shards().map(({ shard }) => shard) ?? [];
  const asks: Promise<Ended>[] = [];
  let dueMs = nowMs();
  while (nowMs() < untilMs) {
    for (; dueMs <= nowMs(); dueMs += everyMs) {
      asks.push(ask(shards[asks.length % shards.length] as string));
    }
    await sleep(Math.max(1, dueMs - nowMs()));
  }
  return Promise.all(asks);
}

/** Answers how long all of them took, and each of them, in ms. */
async function askAtOnce(
  region: string,
  count: number,
  atOnce: number,
): Promise<{ readonly totalMs: number; readonly eachMs: Float64Array }> {
  const shards = (peer?.allocations() ?? []).filter((each) => each.region === region);
  const eachMs = new Float64Array(count);
  let next = 0;
  const ask = async (entity: string): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      const askedMs = nowMs();
      await peer?.ask(shards[index % shards.length]?.shard ?? "", index, { entity });
      eachMs[index] = nowMs() - askedMs;
    }
  };
  const startMs = nowMs();
  await Promise.all(Array.from({ length: atOnce }, (_, index) => ask(`entity-${index}`)));
  return { totalMs: nowMs() - startMs, eachMs };
}

async function moveAll(to: string): Promise<number> {
  const own = (peer?.allocations() ?? []).filter(({ region }) => region === peer?.name);
  const startMs = nowMs();
  await Promise.all(own.map(({ shard }) => peer?.allocate(shard, to)));
  return nowMs() - startMs;
}

async function answer(command: Command): Promise<unknown> {
  switch (command.type) {
    case "open":
      return open(command);
    case "isSettled":
      return isSettled(command.count);
    case "askAtRate":
      return askAtRate(command.everyMs, command.untilMs);
    case "askAtOnce":
      return askAtOnce(command.region, command.count, command.atOnce);
    case "moveAll":
      return moveAll(command.to);
    case "handled":
      return handled;
    case "leave":
      await peer?.leave();
      return null;
  }
}

process.on("SIGTERM", () => void peer?.leave().then(() => process.exit()));
answerParent((command: Command) => answer(command));
