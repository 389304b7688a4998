/**
 * One process of the `ticks` bench: a peer that completes the phases of its own shards.
 *
 * The peer comes from `dist`, as it is installed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Peer } from "../../src/index.ts";
import { answerParent } from "./child.ts";
import { nowMs } from "./measure.ts";

/** What the parent asks, and what is answered. */
export type TickCommand =
  /** Starts a peer; answers its address. */
  | {
      readonly type: "open";
      readonly name: string;
      readonly join: readonly string[];
      readonly shards: number;
    }
  /** Answers when so many members are alive and all shards are spread over them. */
  | { readonly type: "settle"; readonly count: number }
  /** Starts a tick; answers its number. */
  | { readonly type: "start" }
  /** Completes all phases, each at its moment; answers how long after it each was released, in ms. */
  | {
      readonly type: "tick";
      readonly tick: number;
      readonly startMs: number;
      readonly everyMs: number;
    };

/** How long the table must have stood still, in ms: longer than peers wait before they plan. */
const SETTLED_MS = 1500;

let peer: Peer | undefined;

async function answer(command: TickCommand): Promise<unknown> {
  switch (command.type) {
    case "open":
      return open(command);
    case "settle":
      return settle(command.count);
    case "start":
      return peer?.startTick();
    case "tick":
      return tick(command);
  }
}

async function open(options: Extract<TickCommand, { type: "open" }>): Promise<string> {
  const { name, join, shards } = options;
  const dist = new URL("../../dist/index.js", import.meta.url).href;
  const { startPeer } = (await import(dist)) as typeof import("../../src/index.ts");
  peer = await startPeer({ name, listen: "127.0.0.1:0", join: join.slice(0, 1), shards });
  return peer.address;
}

async function settle(count: number): Promise<void> {
  let movedMs = nowMs();
  let seen = "";
  while (nowMs() - movedMs < SETTLED_MS) {
    const status = peer?.status();
    const isSpread = status?.members.alive === count && status.allocations === status.shards;
    if (!isSpread || status.fingerprint !== seen) movedMs = nowMs();
    seen = status?.fingerprint ?? "";
    await sleep(50);
  }
}

async function tick({
  tick: number,
  startMs,
  everyMs,
}: Extract<TickCommand, { type: "tick" }>): Promise<number[]> {
  const own = peer as Peer;
  const { phases } = await started(own, number);
  const shards = own.allocations().filter(({ region }) => region === own.name);
  const released: number[] = [];
  for (const [index, phase] of phases.entries()) {
    const atMs = startMs + index * everyMs;
    await sleep(Math.max(0, atMs - nowMs()));
    const beganMs = Math.max(atMs, nowMs());
    const wait = own.waitForPhase(phase, number);
    await Promise.all(shards.map(({ shard }) => own.phaseComplete(shard, phase, number)));
    await wait;
    released.push(nowMs() - beganMs);
  }
  return released;
}

/** The status of a tick, once it has come here. */
async function started(own: Peer, number: number): Promise<{ readonly phases: readonly string[] }> {
  while (own.currentTick() < number) await sleep(1);
  return own.tickStatus();
}

answerParent((command: TickCommand) => answer(command));
