/**
 * What an idle peer with 256 shards takes: resident memory, and the time until it serves.
 *
 * Real processes of the `hearsay` command as it is installed, from `dist`. The time goes from the
 * spawn to the ready line of a peer that founds its cluster. Resident memory is what the kernel says
 * (VmRSS) after 5 s without calls, alone and in a mesh of four; of those the median and the largest.
 *
 * Beside it stands `node` with nothing but a timer, which is what no program can get below. Linux only.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { median, nowMs } from "./measure.ts";
import type { Bench } from "./report.ts";

const ROUNDS = 7;
const SETTLE_MS = 5000;
const MESH = 4;
const SHARDS = 256;
const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const BARE = ["-e", "console.log('ready'); setInterval(() => {}, 1000)"];

export const bench: Bench = {
  summary: "resident memory of an idle peer and its time to ready, beside bare node",
  run: async (progress) => {
    progress(`${ROUNDS} starts`);
    const starts = await measureStarts();
    progress("an idle peer, and a mesh of four");
    const [bare] = await residentOf(async () => [await startProcess(BARE)]);
    const [alone] = await residentOf(async () => [await startPeerProcess("peer-0")]);
    const mesh = await residentOf(startMesh);
    return [
      {
        title: "From spawn to ready",
        figures: [
          { name: "a first peer", value: starts.peer, unit: "s", target: { atMost: 0.4 } },
          { name: "bare node", value: starts.bare, unit: "s" },
        ],
      },
      {
        title: `Resident memory when idle, ${SHARDS} shards`,
        figures: [
          { name: "alone", value: alone ?? Number.NaN, unit: "MB", target: { atMost: 85 } },
          { name: "in a mesh of 4, median", value: median(mesh), unit: "MB" },
          {
            ...{ name: "in a mesh of 4, largest", value: Math.max(...mesh), unit: "MB" },
            target: { atMost: 85 },
          },
          { name: "bare node", value: bare ?? Number.NaN, unit: "MB" },
        ],
      },
    ];
  },
};

/** A process that has said its first line. */
interface Started {
  readonly child: ChildProcess;
  readonly line: string;
  /** From the spawn to that line, in s. */
  readonly seconds: number;
}

async function startProcess(args: readonly string[]): Promise<Started> {
  const start = nowMs();
  // The channel ends the peer, should this process die first.
  const stdio = ["ignore", "pipe", "ignore", "ipc"] as const;
  const child = spawn(process.execPath, args, { stdio: [...stdio] });
  if (child.stdout === null) throw new Error("A process without output was started");
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([once(lines, "line"), once(lines, "close")])) as string[];
  if (line === undefined) throw new Error(`node ${args.join(" ")} has ended before it was ready`);
  return { child, line, seconds: (nowMs() - start) / 1000 };
}

function startPeerProcess(name: string, join: readonly string[] = []): Promise<Started> {
  const args = ["start", "--name", name, "--listen", "127.0.0.1:0", "--shards", String(SHARDS)];
  return startProcess([CLI, ...args, ...join.flatMap((address) => ["--join", address])]);
}

async function startMesh(): Promise<Started[]> {
  const first = await startPeerProcess("peer-0");
  const { address } = JSON.parse(first.line) as { address: string };
  const others = Array.from({ length: MESH - 1 }, (_, index) => `peer-${index + 1}`);
  return [first, ...(await Promise.all(others.map((name) => startPeerProcess(name, [address]))))];
}

async function measureStarts(): Promise<{ peer: number; bare: number }> {
  const peers: number[] = [];
  const bares: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const peer = await startPeerProcess("peer-0");
    peers.push(peer.seconds);
    await end([peer]);
    const bare = await startProcess(BARE);
    bares.push(bare.seconds);
    await end([bare]);
  }
  return { peer: median(peers), bare: median(bares) };
}

/** Resident memory of each process when it has been idle for a while, in MB. */
async function residentOf(start: () => Promise<Started[]>): Promise<number[]> {
  const started = await start();
  await sleep(SETTLE_MS);
  const resident = started.map(({ child }) => residentMegabytes(child));
  await end(started);
  return resident;
}

function residentMegabytes({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  return (Number(kibibytes) * 1024) / 1e6;
}

async function end(started: readonly Started[]): Promise<void> {
  const ended = started.map(({ child }) => once(child, "exit"));
  for (const { child } of started) child.kill("SIGKILL");
  await Promise.all(ended);
}
