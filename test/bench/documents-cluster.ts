/**
 * What the parts of the `documents` bench share: processes that host documents, and waiting for them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "./child.ts";
import type { Question } from "./documents-child.ts";
import { nowMs } from "./measure.ts";

/** What takes longer than this never happens, in ms. */
const WAIT_MS_MAX = 60_000;

const LOOK_MS = 2;

export const childOf = (): Child => new Child(new URL("./documents-child.ts", import.meta.url));

export const tell = (child: Child, question: Question): Promise<unknown> => child.ask(question);

export interface Cluster {
  readonly children: readonly Child[];
  /** Of the peers p0, p1, ... in turn. */
  readonly addresses: readonly string[];
}

/** Resolves when `isSo` says so, which is looked at every few ms. Rejects when it never does. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string,
  waitMs = WAIT_MS_MAX,
): Promise<void> {
  const deadline = nowMs() + waitMs;
  while (!(await isSo())) {
    if (nowMs() > deadline) throw new Error(`It never came about that ${what}`);
    await sleep(LOOK_MS);
  }
}

/** Starts peers, each with a data directory of its own below `data`, or in memory: the first, then the others. */
export async function startCluster(
  size: number,
  options: { readonly data?: string; readonly replicas?: number } = {},
): Promise<Cluster> {
  const { data, ...copies } = options;
  const children = Array.from({ length: size }, childOf);
  const start = async (index: number, join: readonly string[]): Promise<string> => {
    const name = `p${index}`;
    const folder = data === undefined ? {} : { data: `${data}/${name}` };
    const question = { type: "peer" as const, name, join, ...folder, ...copies };
    return (await tell(children[index] as Child, question)) as string;
  };
  const first = await start(0, []);
  const others = children.slice(1).map((_, index) => start(index + 1, [first]));
  const addresses = [first, ...(await Promise.all(others))];
  await isSpread(children);
  return { children, addresses };
}

/** Resolves when every process has some of the shards. */
async function isSpread(children: readonly Child[]): Promise<void> {
  for (const child of children) {
    const count = () => tell(child, { type: "members" });
    await until(async () => (await count()) === children.length, "all peers have shards");
  }
}

export async function endAll(children: readonly Child[]): Promise<void> {
  await Promise.all(children.map((child) => child.end().catch(() => {})));
}

/** Documents `prefix/<number>` that this region has by the table, at most `count`. */
export async function documentsAt(
  child: Child,
  region: string,
  prefix: string,
  count: number,
): Promise<string[]> {
  const documents = Array.from({ length: count * 8 + 100 }, (_, index) => `${prefix}/${index}`);
  const regions = (await tell(child, { type: "region", documents })) as string[];
  return documents.filter((_, index) => regions[index] === region).slice(0, count);
}
