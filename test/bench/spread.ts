/**
 * How long a write takes to be known to every peer: 3, 6 and 12 processes on this machine.
 *
 * One process allocates a shard 500 times, 20 ms apart. Every process notes when its `allocation` event
 * comes, by the monotonic clock, which is the same for all processes of a machine. A write's time
 * goes from the call to the last of these events.
 *
 * Before the writes that count come as many as it takes until the code that they run is compiled.
 *
 * Beside the peers runs a full mesh of bare WebSockets: as many processes, messages of as many bytes, no
 * codec, no table. Its writes fall in the middle between those of the peers, so that both have the
 * same neighbours, and the processes of both are alive all the time.
 */
import { ALLOCATIONS } from "../../src/core/view.ts";
import { encodeFrame } from "../../src/wire/codec.ts";
import { createEntries } from "./allocations.ts";
import { Child } from "./child.ts";
import { nowMs, percentile } from "./measure.ts";
import type { Bench, Section } from "./report.ts";
import type { Command } from "./spread-child.ts";

const SIZES = [3, 6, 12];
const WRITES = { writes: 500, everyMs: 20 };
/** Before those that count, so that every process has compiled what it runs. */
const WARM_UPS = { writes: 5000, everyMs: 2 };
/** Until the first write, so that everybody has understood. */
const LEAD_MS = 500;

export const bench: Bench = {
  summary: "one change to all of 3, 6 and 12 processes, against a mesh of bare WebSockets",
  run: async (progress) => {
    const sections: Section[] = [];
    for (const size of SIZES) sections.push(await measureSize(size, progress));
    return sections;
  },
};

type Times = readonly (readonly [key: number, atMs: number])[];

async function measureSize(size: number, progress: (text: string) => void): Promise<Section> {
  progress(`starting ${size} peers and a mesh of ${size}`);
  const peers = Array.from({ length: size }, () => startChild("peer"));
  const mesh = Array.from({ length: size }, () => startChild("mesh"));
  try {
    const names = peers.map((_, index) => `peer-${index}`);
    await Promise.all([linkUp(peers, names), linkUp(mesh, names)]);
    progress("warming up, and writing");
    await measureBoth(peers, mesh, names, WARM_UPS);
    const [ours, bare] = await measureBoth(peers, mesh, names, WRITES);
    const ratio = percentile(ours, 0.5) / percentile(bare, 0.5);
    return {
      title: `${size} processes`,
      figures: [
        { name: "peers, p50", value: percentile(ours, 0.5), unit: "ms" },
        {
          ...{ name: "peers, p99", value: percentile(ours, 0.99), unit: "ms" },
          target: { atMost: 10 },
        },
        { name: "bare mesh, p50", value: percentile(bare, 0.5), unit: "ms" },
        { name: "bare mesh, p99", value: percentile(bare, 0.99), unit: "ms" },
        { name: "peers / bare mesh, p50", value: ratio, unit: "x", target: { atMost: 1.25 } },
      ],
    };
  } finally {
    await Promise.all([...peers, ...mesh].map((child) => child.end()));
  }
}

function startChild(kind: "peer" | "mesh"): Child {
  return new Child(new URL("./spread-child.ts", import.meta.url), [kind]);
}

function ask(child: Child, command: Command): Promise<unknown> {
  return child.ask(command);
}

/** Opens one after the other; each joins those before it. */
async function linkUp(children: readonly Child[], names: readonly string[]): Promise<void> {
  const join: string[] = [];
  for (const [index, child] of children.entries()) {
    const name = names[index] as string;
    join.push((await ask(child, { type: "open", name, join: [...join] })) as string);
  }
  const count = children.length;
  await Promise.all(children.map((child) => ask(child, { type: "settle", count })));
}

interface Schedule {
  readonly writes: number;
  readonly everyMs: number;
}

/** The times of the peers' writes and, half a period later each, of the mesh's. */
function measureBoth(
  peers: readonly Child[],
  mesh: readonly Child[],
  names: readonly string[],
  schedule: Schedule,
): Promise<[number[], number[]]> {
  const startMs = nowMs() + LEAD_MS;
  return Promise.all([
    spreadOf(peers, names, { ...schedule, startMs }),
    spreadOf(mesh, names, { ...schedule, startMs: startMs + schedule.everyMs / 2 }),
  ]);
}

/** The time of each write from the call to the last process that saw it, in ms. */
async function spreadOf(
  children: readonly Child[],
  names: readonly string[],
  schedule: Schedule & { readonly startMs: number },
): Promise<number[]> {
  const [writer] = children;
  if (writer === undefined) return [];
  const write: Command = { type: "write", ...schedule, bytes: bytesOfWrite(), names };
  const calls = (await ask(writer, write)) as Times;
  const lastMs = new Map<number, number>();
  const counts = new Map<number, number>();
  for (const child of children) {
    for (const [key, atMs] of (await ask(child, { type: "seen" })) as Times) {
      lastMs.set(key, Math.max(atMs, lastMs.get(key) ?? 0));
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return calls.map(([key, calledMs]) => {
    if ((counts.get(key) ?? 0) < children.length - 1) throw new Error("A write was lost");
    return (lastMs.get(key) as number) - calledMs;
  });
}

/** What a write of one allocation takes on a link, in bytes. */
function bytesOfWrite(): number {
  const entries = createEntries(1, () => "shard-100");
  return encodeFrame([{ type: "delta", maps: [{ map: ALLOCATIONS, entries }] }]).length;
}
