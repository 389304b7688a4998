/**
 * What moving shards costs: the plan, a move of all shards, a kill and a rolling restart under asks.
 *
 * Six processes are asked 1000 times a second, from all of them, while one is killed with SIGKILL or while
 * each is told to leave and started again. An ask that fails says so; the hosts say what came twice.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { type Move, type PlanView, planMoves } from "../../src/core/allocation.ts";
import { Child } from "./child.ts";
import type { Command, Ended } from "./host-child.ts";
import { nowMs, percentile } from "./measure.ts";
import type { Bench, Figure, Section } from "./report.ts";

const PROCESSES = 6;
const SHARDS = 96;
/** Between two asks of one process: 1000 in a second of all. */
const EVERY_MS = PROCESSES;
const REST_MS = 2000;

export const bench: Bench = {
  summary: "plans of 1000 shards, moves, a kill and a rolling restart of 6 processes under asks",
  run: async (progress) => {
    progress("planning");
    const sections = [measurePlans()];
    progress("moving 1000 idle shards");
    sections.push(await measureMoves());
    progress("killing one of six");
    sections.push(await measureKill());
    progress("restarting six, one after another");
    sections.push(await measureRestart());
    return sections;
  },
};

function measurePlans(): Section {
  const regionsOf = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ name: `region-${index}`, alive: true }));
  const shards = Array.from({ length: 1000 }, (_, index) => `shard-${index}`);
  const applied = (view: PlanView, moves: readonly Move[]): PlanView => {
    const at = new Map(view.allocations.map((each) => [each.shard, each.region]));
    for (const { shard, to } of moves) at.set(shard, to);
    const allocations = [...at].map(([shard, region]) => ({
      shard,
      region,
      token: 1,
      writer: "w",
    }));
    return { ...view, allocations };
  };
  const empty: PlanView = { regions: regionsOf(100), shards, allocations: [] };
  planMoves(empty);
  const started = performance.now();
  const first = planMoves(empty);
  const plannedMs = performance.now() - started;
  const table = applied(empty, first);
  const joined = planMoves({ ...table, regions: regionsOf(101) });
  const loads = new Map<string, number>();
  for (const { region } of table.allocations) loads.set(region, (loads.get(region) ?? 0) + 1);
  const counts = [...loads.values()];
  return {
    title: "100 regions, 1000 shards",
    figures: [
      { name: "plan", value: plannedMs, unit: "ms", target: { atMost: 10 } },
      {
        name: "max - min",
        value: Math.max(...counts) - Math.min(...counts),
        unit: "",
        target: { atMost: 1 },
      },
      { name: "moves of a join", value: joined.length, unit: "", target: { atMost: 10 } },
      {
        name: "moves of a balanced table",
        value: planMoves(table).length,
        unit: "",
        target: { atMost: 0 },
      },
    ],
  };
}

/** Starts so many processes; all shards are spread when it resolves. */
async function startAll(
  count: number,
  shards: number,
): Promise<{ children: Child[]; addresses: string[] }> {
  const children: Child[] = [];
  const addresses: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const child = new Child(new URL("./host-child.ts", import.meta.url));
    children.push(child);
    const join = addresses.slice(0, 1);
    const listen = "127.0.0.1:0";
    const open: Command = { type: "open", name: `peer-${index}`, listen, join, shards };
    addresses.push((await child.ask(open)) as string);
  }
  await settled(children[0] as Child, count);
  return { children, addresses };
}

async function settled(child: Child, count: number): Promise<void> {
  while ((await child.ask({ type: "isSettled", count } satisfies Command)) !== true)
    await sleep(50);
  await sleep(500); // Hosts take what the table says.
}

async function measureMoves(): Promise<Section> {
  const { children } = await startAll(2, 2000);
  try {
    const [a] = children as [Child];
    const tookMs = (await a.ask({ type: "moveAll", to: "peer-1" } satisfies Command)) as number;
    return {
      title: "1000 idle shards from one process to another",
      figures: [{ name: "all of them", value: tookMs, unit: "ms", target: { atMost: 1000 } }],
    };
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

async function measureKill(): Promise<Section> {
  const { children } = await startAll(PROCESSES, SHARDS);
  const [victim, ...others] = children as [Child, ...Child[]];
  try {
    const untilMs = nowMs() + 3 * REST_MS;
    const command: Command = { type: "askAtRate", everyMs: EVERY_MS, untilMs };
    const asking = others.map((child) => child.ask(command) as Promise<Ended[]>);
    await sleep(REST_MS);
    const killedMs = nowMs();
    await victim.kill("SIGKILL");
    const ended = (await Promise.all(asking)).flat();
    const twice = await repeated(others);
    const waits = ended
      .filter(([, , askedMs, , code]) => askedMs >= killedMs && code === null)
      .map(([, , askedMs, endedMs]) => endedMs - askedMs);
    const failed = ended.filter(([, , , , code]) => code !== null);
    return {
      title: "kill -9 of one of 6 at 1000 asks/s",
      figures: [
        {
          name: "longest wait of a later ask",
          value: Math.max(...waits),
          unit: "ms",
          target: { atMost: 1000 },
        },
        { name: "handled twice", value: twice, unit: "", target: { atMost: 0 } },
        { name: "failed, outcome unknown", value: failed.length, unit: "" },
        { name: "asked", value: ended.length, unit: "" },
      ],
    };
  } finally {
    await Promise.all(children.map((child) => child.end().catch(() => {})));
  }
}

async function measureRestart(): Promise<Section> {
  const { children, addresses } = await startAll(PROCESSES + 1, SHARDS);
  const asker = children[PROCESSES] as Child; // Asks all along, and is not restarted itself.
  const join = [addresses[PROCESSES] as string];
  try {
    const command = (untilMs: number): Command => ({ type: "askAtRate", everyMs: 1, untilMs });
    const started = nowMs();
    let isOver = false;
    const askAll = (async () => {
      const ended: Ended[] = [];
      while (!isOver) ended.push(...((await asker.ask(command(nowMs() + 1000))) as Ended[]));
      return ended;
    })();
    for (let index = 0; index < PROCESSES; index += 1) {
      await (children[index] as Child).kill("SIGTERM");
      const child = new Child(new URL("./host-child.ts", import.meta.url));
      children[index] = child;
      const open = { type: "open", name: `peer-${index}`, listen: "127.0.0.1:0", join } as const;
      await child.ask({ ...open, shards: SHARDS } satisfies Command);
      await settled(child, PROCESSES + 1);
    }
    isOver = true;
    const ended = await askAll;
    const waits = ended.map(([, , askedMs, endedMs]) => endedMs - askedMs);
    const figures: Figure[] = [
      {
        name: "asks that failed",
        value: ended.filter((each) => each[4] !== null).length,
        unit: "",
        target: { atMost: 0 },
      },
      { name: "handled twice", value: await repeated(children), unit: "", target: { atMost: 0 } },
      { name: "longest wait", value: Math.max(...waits), unit: "ms", target: { atMost: 250 } },
      { name: "wait, p99", value: percentile(waits, 0.99), unit: "ms" },
      { name: "asked", value: ended.length, unit: "" },
      { name: "all restarts", value: (nowMs() - started) / 1000, unit: "s" },
    ];
    return { title: "rolling restart of 6 processes at 1000 asks/s", figures };
  } finally {
    await Promise.all(children.map((child) => child.end().catch(() => {})));
  }
}

/** How many messages were handled more than once, by whomever. */
async function repeated(children: readonly Child[]): Promise<number> {
  const times = new Map<string, number>();
  for (const child of children) {
    for (const ask of (await child.ask({ type: "handled" } satisfies Command)) as string[]) {
      times.set(ask, (times.get(ask) ?? 0) + 1);
    }
  }
  return [...times.values()].filter((count) => count > 1).length;
}
