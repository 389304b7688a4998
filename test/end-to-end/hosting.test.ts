/**
 * Real processes with hosts: one is killed while it is asked, and all are restarted one after another.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { Child } from "../bench/child.ts";
import type { Command, Ended } from "../bench/host-child.ts";
import { nowMs } from "../bench/measure.ts";

const SHARDS = 24;
const PATIENCE_MS = 120_000;

let children: Child[] = [];

afterEach(async () => {
  await Promise.all(children.map((child) => child.end().catch(() => {})));
  children = [];
});

const tell = (child: Child, command: Command): Promise<unknown> => child.ask(command);

async function open(name: string, join: readonly string[]): Promise<[Child, string]> {
  const child = new Child(
    new URL("../bench/host-child.ts", import.meta.url),
    [],
    ["--import", "tsx"],
  );
  children.push(child);
  const listen = "127.0.0.1:0";
  const address = await tell(child, { type: "open", name, listen, join, shards: SHARDS });
  return [child, address as string];
}

async function settled(child: Child, count: number): Promise<void> {
  for (;;) if ((await tell(child, { type: "isSettled", count })) === true) return;
}

/** What came more than once, to whomever. */
async function repeated(of: readonly Child[]): Promise<string[]> {
  const all = (await Promise.all(
    of.map((child) => tell(child, { type: "handled" })),
  )) as string[][];
  const seen = new Set<string>();
  return all.flat().filter((ask) => seen.size === seen.add(ask).size);
}

test("[I11, H3] of three processes one is killed under asks: nothing is handled twice, and failures say so", {
  timeout: PATIENCE_MS,
}, async () => {
  const [a, address] = await open("a", []);
  const [b] = await open("b", [address]);
  const [c] = await open("c", [address]);
  await settled(a, 3);
  const asking = tell(a, { type: "askAtRate", everyMs: 3, untilMs: nowMs() + 6000 });
  await sleep(1500);
  await b.kill("SIGKILL");
  const ended = (await asking) as Ended[];
  await settled(a, 2);
  const failed = ended.filter(([, , , , code]) => code !== null);
  expect(failed.every(([, , , , code]) => code === "TIMEOUT")).toBe(true);
  expect(failed.length).toBeLessThan(ended.length / 10);
  expect(await repeated([a, c])).toEqual([]);
});

test("[F6, H4] three processes are told to leave, and started again, one by one: no ask fails", {
  timeout: PATIENCE_MS,
}, async () => {
  const [a, address] = await open("a", []);
  const others = [(await open("b", [address]))[0], (await open("c", [address]))[0]];
  await settled(a, 3);
  const stop = new AbortController();
  const asking = (async () => {
    const ended: Ended[] = [];
    while (!stop.signal.aborted) {
      const untilMs = nowMs() + 500;
      ended.push(...((await tell(a, { type: "askAtRate", everyMs: 3, untilMs })) as Ended[]));
    }
    return ended;
  })();
  for (const [index, name] of ["b", "c"].entries()) {
    await others[index]?.kill("SIGTERM");
    const [child] = await open(name, [address]);
    others[index] = child;
    await settled(child, 3);
  }
  stop.abort();
  const ended = await asking;
  expect(ended.filter(([, , , , code]) => code !== null)).toEqual([]);
  expect(await repeated([a, ...others])).toEqual([]);
});
