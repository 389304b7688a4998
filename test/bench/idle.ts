/**
 * What an idle cluster of 12 processes sends and computes, over a minute, with default settings.
 *
 * Bytes are those of the frames, counted by the transport and read from `/metrics`; beside them stand the
 * bytes that the loopback interface carried meanwhile, with all headers and acknowledgements, whoever
 * else used it. Processor time is that of the whole process, as the system counts it.
 *
 * `HEARSAY_BENCH_SECONDS` is the length of the measurement, 60 by default. Linux only.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DetectionCluster } from "./detection-cluster.ts";
import { nowMs } from "./measure.ts";
import type { Bench } from "./report.ts";

const SIZE = 12;
const SECONDS = Number(process.env.HEARSAY_BENCH_SECONDS ?? 60);
/** Until what starting up brings along is over. */
const CALM_MS = 5000;

export const bench: Bench = {
  summary: "what each of 12 idle processes sends, and the processor time that it takes",
  run: async (progress) => {
    const cluster = new DetectionCluster("lan");
    try {
      progress(`starting ${SIZE} peers`);
      for (let number = 0; number < SIZE; number += 1) await cluster.start(`peer-${number}`);
      await cluster.settle();
      await sleep(CALM_MS);
      progress(`watching them for ${SECONDS} s`);
      const before = await cluster.usage();
      const [startMs, wireBefore] = [nowMs(), loopbackBytes()];
      await sleep(SECONDS * 1000);
      const [wireAfter, seconds] = [loopbackBytes(), (nowMs() - startMs) / 1000];
      const after = await cluster.usage();
      const rates = (field: "frames" | "bytes" | "cpuMs"): number[] =>
        after.map((usage, index) => (usage[field] - (before[index]?.[field] ?? 0)) / seconds);
      const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / SIZE;
      return [
        {
          title: `${SIZE} idle processes, ${SECONDS} s`,
          figures: [
            { name: "frames sent per peer, mean", value: mean(rates("frames")), unit: "/s" },
            { name: "bytes sent per peer, mean", value: mean(rates("bytes")), unit: "B/s" },
            {
              ...{ name: "bytes sent per peer, most", value: Math.max(...rates("bytes")) },
              ...{ unit: "B/s", target: { atMost: 600 } },
            },
            {
              ...{ name: "on the wire per peer, mean", unit: "B/s" },
              value: (wireAfter - wireBefore) / seconds / SIZE,
            },
            { name: "processor, mean", value: mean(rates("cpuMs")) / 10, unit: "%" },
            {
              ...{ name: "processor, most", value: Math.max(...rates("cpuMs")) / 10, unit: "%" },
              target: { atMost: 1.5 },
            },
          ],
        },
      ];
    } finally {
      await cluster.end();
    }
  },
};

/** Bytes that the loopback interface has sent since the machine started. */
function loopbackBytes(): number {
  const line = /^\s*lo:(.*)$/m.exec(readFileSync("/proc/net/dev", "utf8"))?.[1] ?? "";
  return Number(line.trim().split(/\s+/)[8] ?? Number.NaN);
}
