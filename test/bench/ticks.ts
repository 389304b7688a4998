/**
 * Ticks: how many a second in one process, and how fast a phase is released across processes.
 *
 * In one process: `TickBarrier` alone, with ticks of 4 phases and 3 shards, each phase completed by each
 * shard; and the same through one peer of 3 shards, where each completion is a call and each phase is
 * waited for.
 *
 * Across 3 and 8 processes with 256 shards: every process completes the phase for its own shards at the
 * same moment, by the clock that all processes of a machine share, and waits for it. A phase's time goes
 * from that moment to the last process whose wait has ended.
 */
import { PHASES_DEFAULT, TickBarrier } from "../../src/core/barrier.ts";
import { type Peer, startPeer } from "../../src/peer.ts";
import { Child } from "./child.ts";
import { elapsedMs, medianOfRounds, nowMs, percentile } from "./measure.ts";
import type { Bench, Figure, Section } from "./report.ts";
import type { TickCommand } from "./ticks-child.ts";

const SHARDS = ["shard-0", "shard-1", "shard-2"];
const ROUNDS = { rounds: 9, warmUps: 3 };
const TICKS_ALONE = 20_000;
const TICKS_OF_PEER = 200;

/** Processes, and how long a phase may take there at p50, in ms. */
const SIZES = [
  [3, 3],
  [8, 8],
] as const;
const SHARDS_OF_CLUSTER = 256;
const TICKS_OF_CLUSTER = { warmUps: 25, measured: 50 };
/** Between two phases, and until the first, so that every process has understood, in ms. */
const EVERY_MS = 40;
const LEAD_MS = 500;

export const bench: Bench = {
  summary: "ticks a second in one process, and phases over 3 and 8 processes",
  run: async (progress) => {
    progress("ticking alone and through one peer");
    const sections: Section[] = [await measureOneProcess()];
    for (const [size, atMost] of SIZES) sections.push(await measureCluster(size, atMost, progress));
    return sections;
  },
};

async function measureOneProcess(): Promise<Section> {
  const { alone } = medianOfRounds<"alone">(
    { alone: () => rateOf(TICKS_ALONE, () => tickAlone(TICKS_ALONE)) },
    ROUNDS,
  );
  const options = { name: "bench", listen: "127.0.0.1:0", shards: SHARDS.length };
  const peer = await startPeer(options);
  try {
    await tickThrough(peer, TICKS_OF_PEER);
    const startMs = nowMs();
    await tickThrough(peer, TICKS_OF_PEER);
    const rate = (TICKS_OF_PEER * 1000) / (nowMs() - startMs);
    const unit = "ticks/s";
    return {
      title: "4 phases, 3 shards, one process",
      figures: [
        { name: "TickBarrier alone", value: alone, unit, target: { atLeast: 40_000 } },
        { name: "through one peer", value: rate, unit },
      ],
    };
  } finally {
    await peer.close();
  }
}

function rateOf(count: number, run: () => void): number {
  return (count * 1000) / elapsedMs(run);
}

function tickAlone(count: number): void {
  const barrier = new TickBarrier();
  for (let number = 0; number < count; number += 1) {
    const tick = barrier.start(SHARDS);
    for (const phase of PHASES_DEFAULT) {
      for (const shard of SHARDS) barrier.complete(shard, phase, tick);
      if (!barrier.isReady(phase, tick)) throw new Error("A phase is not over");
    }
  }
}

async function tickThrough(peer: Peer, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    const tick = await peer.startTick();
    for (const phase of PHASES_DEFAULT) {
      const wait = peer.waitForPhase(phase, tick);
      await Promise.all(SHARDS.map((shard) => peer.phaseComplete(shard, phase, tick)));
      await wait;
    }
  }
}

async function measureCluster(
  size: number,
  atMost: number,
  progress: (text: string) => void,
): Promise<Section> {
  progress(`starting ${size} peers`);
  const children = Array.from(
    { length: size },
    () => new Child(new URL("./ticks-child.ts", import.meta.url), []),
  );
  const ask = (child: Child, command: TickCommand): Promise<unknown> => child.ask(command);
  try {
    const join: string[] = [];
    for (const [index, child] of children.entries()) {
      const name = `peer-${index}`;
      const open: TickCommand = { type: "open", name, join: [...join], shards: SHARDS_OF_CLUSTER };
      join.push((await ask(child, open)) as string);
    }
    await Promise.all(children.map((child) => ask(child, { type: "settle", count: size })));
    progress("warming up, and ticking");
    await phasesOf(children, TICKS_OF_CLUSTER.warmUps);
    const times = await phasesOf(children, TICKS_OF_CLUSTER.measured);
    const figure = (name: string, share: number): Figure => {
      return { name, value: percentile(times, share), unit: "ms" };
    };
    return {
      title: `4 phases over ${size} processes, ${SHARDS_OF_CLUSTER} shards`,
      figures: [
        { ...figure("a phase is released, p50", 0.5), target: { atMost } },
        figure("a phase is released, p99", 0.99),
      ],
    };
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

/** The time of each phase of so many ticks, from its moment to the last process that was released, in ms. */
async function phasesOf(children: readonly Child[], ticks: number): Promise<number[]> {
  const times: number[] = [];
  const [starter] = children as [Child];
  for (let number = 0; number < ticks; number += 1) {
    const tick = (await starter.ask({ type: "start" } satisfies TickCommand)) as number;
    const startMs = nowMs() + (number === 0 ? LEAD_MS : EVERY_MS);
    const command: TickCommand = { type: "tick", tick, startMs, everyMs: EVERY_MS };
    const released = (await Promise.all(children.map((child) => child.ask(command)))) as number[][];
    for (const index of PHASES_DEFAULT.keys()) {
      times.push(Math.max(...released.map((list) => list[index] ?? Number.NaN)));
    }
  }
  return times;
}
