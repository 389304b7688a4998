/**
 * How long a process that hangs lives on in the views of the others, and how soon it is back.
 *
 * One process is sent SIGSTOP, and each of the others notes when it sees it dead. Then it is sent SIGCONT,
 * and each notes when it sees it alive, which must be in the same incarnation: it was never gone. Both
 * times go from the signal to the last of the others. A dead connection says nothing here: the system
 * keeps the sockets of a stopped process open, so silence is all that there is.
 *
 * `HEARSAY_BENCH_ROUNDS` is the number of hangs for each size and preset, 10 by default.
 */
import { DetectionCluster } from "./detection-cluster.ts";
import { percentile } from "./measure.ts";
import type { Bench, Section } from "./report.ts";

const CASES = [
  { timings: "lan", size: 3, deadMsMax: 2500 },
  { timings: "lan", size: 12, deadMsMax: 2500 },
  { timings: "fast", size: 3, deadMsMax: 1000 },
  { timings: "fast", size: 12, deadMsMax: 1000 },
] as const;
const HANGS = Number(process.env.HEARSAY_BENCH_ROUNDS ?? 10);

export const bench: Bench = {
  summary: "a process stopped by SIGSTOP, until it is dead to all, and alive again after SIGCONT",
  run: async (progress) => {
    const sections: Section[] = [];
    for (const one of CASES) sections.push(await measureCase(one, progress));
    return sections;
  },
};

async function measureCase(
  { timings, size, deadMsMax }: (typeof CASES)[number],
  progress: (text: string) => void,
): Promise<Section> {
  const cluster = new DetectionCluster(timings);
  const deadMs: number[] = [];
  const backMs: number[] = [];
  try {
    progress(`starting ${size} peers with ${timings}`);
    for (let number = 0; number < size; number += 1) await cluster.start(`peer-${number}`);
    for (let hang = 0; hang < HANGS; hang += 1) {
      await cluster.settle();
      const victim = `peer-${hang % size}`;
      const stoppedMs = cluster.signal(victim, "SIGSTOP");
      const dead = await cluster.sightings(victim, "dead", stoppedMs);
      const goesOnMs = cluster.signal(victim, "SIGCONT");
      const back = await cluster.sightings(victim, "alive", goesOnMs);
      deadMs.push(Math.max(...dead.values()));
      backMs.push(Math.max(...back.values()));
      const times = `dead after ${deadMs.at(-1)?.toFixed(0)}, back after ${backMs.at(-1)?.toFixed(0)}`;
      progress(`hang ${hang + 1} of ${HANGS}: ${times} ms`);
    }
  } finally {
    await cluster.end();
  }
  return {
    title: `${size} processes, ${timings}, ${HANGS} hangs`,
    figures: [
      { name: "dead to all, p50", value: percentile(deadMs, 0.5), unit: "ms" },
      {
        ...{ name: "dead to all, worst", value: Math.max(...deadMs), unit: "ms" },
        target: { atMost: deadMsMax },
      },
      {
        ...{ name: "alive to all again, worst", value: Math.max(...backMs), unit: "ms" },
        target: { atMost: 2000 },
      },
    ],
  };
}
