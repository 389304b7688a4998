/**
 * How long a killed process lives on in the views of the others: 3, 6 and 12 processes, default settings.
 *
 * One of them is sent SIGKILL, and each survivor notes when it sees it dead. A kill's time goes from the
 * signal to the last of the survivors. Then the peer is started anew, and when nothing moves any more
 * the next one is killed, all in turn.
 *
 * `HEARSAY_BENCH_ROUNDS` is the number of kills for each size, 20 by default.
 */
import { DetectionCluster } from "./detection-cluster.ts";
import { percentile } from "./measure.ts";
import type { Bench, Section } from "./report.ts";

const SIZES = [3, 6, 12];
const KILLS = Number(process.env.HEARSAY_BENCH_ROUNDS ?? 20);

export const bench: Bench = {
  summary: "a process killed by SIGKILL, until it is dead to all of 3, 6 and 12",
  run: async (progress) => {
    const sections: Section[] = [];
    for (const size of SIZES) sections.push(await measureSize(size, progress));
    return sections;
  },
};

async function measureSize(size: number, progress: (text: string) => void): Promise<Section> {
  const cluster = new DetectionCluster("lan");
  const lastMs: number[] = [];
  const allMs: number[] = [];
  try {
    progress(`starting ${size} peers`);
    for (let number = 0; number < size; number += 1) await cluster.start(`peer-${number}`);
    for (let kill = 0; kill < KILLS; kill += 1) {
      await cluster.settle();
      const victim = `peer-${kill % size}`;
      const killedMs = cluster.signal(victim, "SIGKILL");
      const seen = [...(await cluster.sightings(victim, "dead", killedMs)).values()];
      allMs.push(...seen);
      lastMs.push(Math.max(...seen));
      progress(`kill ${kill + 1} of ${KILLS}: dead to all after ${lastMs.at(-1)?.toFixed(1)} ms`);
      await cluster.start(victim);
    }
  } finally {
    await cluster.end();
  }
  return {
    title: `${size} processes, ${KILLS} kills`,
    figures: [
      { name: "dead to one survivor, p50", value: percentile(allMs, 0.5), unit: "ms" },
      { name: "dead to all, p50", value: percentile(lastMs, 0.5), unit: "ms" },
      {
        ...{ name: "dead to all, worst", value: Math.max(...lastMs), unit: "ms" },
        target: { atMost: 60 },
      },
    ],
  };
}
