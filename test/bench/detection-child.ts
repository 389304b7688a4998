/**
 * One process of the benches `kill`, `hang` and `idle`: a peer from `dist`, as it is installed.
 *
 * It notes when it sees a member change, by the monotonic clock that all processes of a machine share,
 * and says so when it is asked.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { answerParent } from "./child.ts";
import { nowMs } from "./measure.ts";

/** What the parent asks, and what is answered. */
export type Command =
  /** Starts the peer; answers `Opened`. */
  | {
      readonly type: "open";
      readonly name: string;
      readonly join: readonly string[];
      readonly timings: "lan" | "fast";
    }
  /** Answers when so many are alive, every shard has a region, and nothing has moved for a while. */
  | { readonly type: "settle"; readonly count: number }
  /** Answers the changes of members since the last time: `Seen[]`. */
  | { readonly type: "seen" }
  /** Answers `Usage`. */
  | { readonly type: "usage" };

export interface Opened {
  readonly address: string;
  readonly incarnation: string;
}

export interface Seen {
  readonly name: string;
  readonly status: string;
  readonly incarnation: string;
  readonly atMs: number;
}

/** What this process has used since it began. */
export interface Usage {
  readonly frames: number;
  readonly bytes: number;
  readonly cpuMs: number;
}

const SETTLED_MS = 1000;

let peer: import("../../src/index.ts").Peer | undefined;
const seen: Seen[] = [];
let movedMs = nowMs();

async function answer(command: Command): Promise<unknown> {
  switch (command.type) {
    case "open":
      return open(command);
    case "settle":
      while (!isSettled(command.count)) await sleep(20);
      return;
    case "seen":
      return seen.splice(0);
    case "usage":
      return usage();
  }
}

async function open({ name, join, timings }: Extract<Command, { type: "open" }>): Promise<Opened> {
  const dist = new URL("../../dist/index.js", import.meta.url).href;
  const { startPeer } = (await import(dist)) as typeof import("../../src/index.ts");
  peer = await startPeer({ name, listen: "127.0.0.1:0", join, timings });
  peer.on("member", (member) => {
    movedMs = nowMs();
    seen.push({ ...member, atMs: movedMs });
  });
  peer.on("allocation", () => {
    movedMs = nowMs();
  });
  return { address: peer.address, incarnation: peer.incarnation };
}

function isSettled(count: number): boolean {
  const { members, allocations, shards, links } = peer?.status() ?? {};
  const isWhole = members?.alive === count && links === count - 1 && allocations === shards;
  if (!isWhole) movedMs = nowMs();
  return nowMs() - movedMs >= SETTLED_MS;
}

async function usage(): Promise<Usage> {
  const metrics = await (await fetch(`http://${peer?.address}/metrics`)).text();
  const read = (name: string): number =>
    Number(new RegExp(`^${name} (.*)$`, "m").exec(metrics)?.[1] ?? Number.NaN);
  const { user, system } = process.cpuUsage();
  return {
    frames: read("hearsay_frames_sent_total"),
    bytes: read("hearsay_bytes_sent_total"),
    cpuMs: (user + system) / 1000,
  };
}

answerParent(answer);
