/**
 * Live queries: what the engine costs, how long a change takes through three processes, and how soon windows
 * are right again when the owner of their shard is killed.
 *
 * In the second part one process writes, another one owns the shard, and a third one follows. In the last one
 * 10 000 subscriptions of 1000 shapes are followed at one process, and the owner is killed with SIGKILL: each
 * window is compared with a model whenever it is whole.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { shardOf } from "../../src/core/shard-of.ts";
import { Child } from "./child.ts";
import type { Command } from "./live-child.ts";
import { measureEngine } from "./live-engine.ts";
import { nowMs, percentile } from "./measure.ts";
import type { Bench, Section } from "./report.ts";

const SHARDS = 64;
const SHARD = `shard-${shardOf("bench", "task", SHARDS)}`;
const ROWS = 5000;
const CHANGES = 1000;
const EVERY_MS = 3;
const SUBSCRIPTIONS = 10_000;
const SHAPES = 1000;
const SETTLE_MS_MAX = 60_000;

export const bench: Bench = {
  summary: "live queries: predicates, windows, fan-out; through three processes; a killed owner",
  run: async (progress) => {
    progress("measuring predicates, windows and one change against many subscriptions");
    const sections = measureEngine();
    return [...sections, ...(await measureProcesses(progress))];
  },
};

async function measureProcesses(progress: (text: string) => void): Promise<Section[]> {
  const children = [0, 1, 2].map(() => new Child(new URL("./live-child.ts", import.meta.url)));
  const [a, b, c] = children as [Child, Child, Child];
  const ask = (child: Child, command: Command): Promise<unknown> => child.ask(command);
  try {
    progress("starting three peers");
    const common = { type: "open", listen: "127.0.0.1:0", shards: SHARDS } as const;
    const address = (await ask(a, { ...common, name: "a", join: [] })) as string;
    for (const [child, name] of [
      [b, "b"],
      [c, "c"],
    ] as const) {
      await ask(child, { ...common, name, join: [address] });
    }
    await isAt(children, undefined);
    await ask(a, { type: "give", shard: SHARD, region: "b" });
    await isAt(children, "b");
    progress(`writing ${ROWS} rows, and one of them ${CHANGES} times`);
    await ask(a, { type: "fill", from: 0, to: ROWS });
    await ask(c, { type: "seeTimes", count: CHANGES });
    await ask(a, { type: "putTimes", count: CHANGES, everyMs: EVERY_MS });
    const times = ((await ask(c, { type: "seeTimes", count: CHANGES })) as number[]).slice(100);
    progress(`following ${SUBSCRIPTIONS} queries, and killing the owner`);
    const followMs = nowMs();
    const rows = ROWS;
    await ask(c, { type: "follow", count: SUBSCRIPTIONS, shapes: SHAPES, rows });
    const followedMs = nowMs() - followMs;
    const killedAt = nowMs();
    await b.kill("SIGKILL");
    const after = await resetsOf(c, 2 * SUBSCRIPTIONS);
    return [
      {
        title: "a change at one process, its owner a second, its subscriber a third",
        figures: [
          { name: "p50", value: percentile(times, 0.5), unit: "ms", target: { atMost: 2 } },
          { name: "p99", value: percentile(times, 0.99), unit: "ms" },
        ],
      },
      {
        title: `the owner of ${SUBSCRIPTIONS} subscriptions of ${SHAPES} shapes, killed`,
        figures: [
          { name: "all windows at first", value: followedMs / 1000, unit: "s" },
          {
            ...{
              name: "all windows right again",
              value: (after.lastMs - killedAt) / 1000,
              unit: "s",
            },
            target: { atMost: 3 },
          },
          {
            name: "windows that had a wrong row",
            value: after.wrong,
            unit: "",
            target: { atMost: 0 },
          },
        ],
      },
    ];
  } finally {
    await Promise.all([a, c].map((child) => child.end()));
    await b.end().catch(() => {});
  }
}

/** Resolves when every process says that the shard is at `region`, or anywhere. */
async function isAt(children: readonly Child[], region: string | undefined): Promise<void> {
  const until = nowMs() + SETTLE_MS_MAX;
  for (const child of children) {
    for (;;) {
      const at = await child.ask({ type: "regionOf", count: children.length, shard: SHARD });
      if (region === undefined ? typeof at === "string" : at === region) break;
      if (nowMs() > until) throw new Error("The peers did not settle");
      await sleep(50);
    }
  }
}

interface Resets {
  readonly resets: number;
  readonly wrong: number;
  readonly lastMs: number;
}

async function resetsOf(child: Child, count: number): Promise<Resets> {
  const until = nowMs() + SETTLE_MS_MAX;
  for (;;) {
    const seen = (await child.ask({ type: "resets" })) as Resets;
    if (seen.resets >= count) return seen;
    if (nowMs() > until) throw new Error(`Only ${seen.resets} of ${count} windows came`);
    await sleep(100);
  }
}
