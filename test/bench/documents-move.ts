/**
 * A shard of 1000 documents moves while clients type in some of them: how long each has to wait, and what it takes.
 *
 * Each document has one copy besides the one at its region, and there are four processes: so the next region lacks
 * most of what it is to serve, as in a large cluster, and fetches it. Once the region from which the shard moves is
 * killed on the way. Beside it stands a shard of few documents.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { RawClient } from "../documents/raw-client.ts";
import type { Child } from "./child.ts";
import { type Cluster, endAll, startCluster, tell, until } from "./documents-cluster.ts";
import { Typist, typing } from "./documents-typist.ts";
import { median, nowMs } from "./measure.ts";
import type { Figure, Section } from "./report.ts";

const MANY = 1000;
const FEW = 20;
/** As they are stored. */
const BYTES = 8192;
const TYPISTS = 20;
const TYPE_MS = 5;
const EDITS = 4000;
/** Edits of each client before the move, and after it until that counts as over. */
const AROUND = 40;
const PROCESSES = 4;
/** Where clients are: a process that is neither the region before the move nor the one after it. */
const CLIENTS_AT = 3;

interface Found {
  /** The longest time between two acknowledgements, of each client. */
  readonly pausesMs: readonly number[];
  readonly lost: number;
  /** Processor time of all processes, but for the one that was killed. */
  readonly cpuMs: number;
}

/** Documents of one shard that the first peer has. */
async function documentsOfShard(child: Child, count: number): Promise<[string, string[]]> {
  const documents = Array.from({ length: count * 100 + 2000 }, (_, index) => `move/${index}`);
  const regions = (await tell(child, { type: "region", documents })) as string[];
  const shards = (await tell(child, { type: "shard", documents })) as string[];
  const shard = shards[regions.indexOf("p0")] as string;
  const own = documents.filter((_, index) => shards[index] === shard).slice(0, count);
  return [shard, own];
}

/** Types until it is told to stop; the longest time that an edit took. */
async function typeOn(typist: Typist, state: { isOver: boolean }): Promise<number> {
  let longest = 0;
  while (!state.isOver) {
    const sent = nowMs();
    typist.type(1);
    await typist.ask();
    longest = Math.max(longest, nowMs() - sent);
    await sleep(TYPE_MS);
  }
  return longest;
}

async function move(
  { children, addresses }: Cluster,
  count: number,
  isKilled: boolean,
): Promise<Found> {
  const [before, next] = children as [Child, Child];
  const [shard, documents] = await documentsOfShard(before, count);
  await tell(before, { type: "load", documents, bytes: BYTES });
  const address = addresses[CLIENTS_AT] as string;
  const frames = typing(EDITS);
  const typists = await Promise.all(
    documents.slice(0, TYPISTS).map((document) => new Typist(address, document, frames).open()),
  );
  const state = { isOver: false };
  const left = isKilled ? children.slice(1) : children;
  const cpu = async (): Promise<number> => {
    const times = await Promise.all(left.map((child) => tell(child, { type: "cpu" })));
    return (times as number[]).reduce((sum, each) => sum + each, 0);
  };
  const loops = typists.map((typist) => typeOn(typist, state));
  await until(() => typists.every(({ acknowledged }) => acknowledged > AROUND), "clients type");
  const spent = await cpu();
  const moved = tell(next, { type: "move", shard, region: "p1" });
  if (isKilled) before.signal("SIGKILL");
  await moved;
  const from = typists.map(({ acknowledged }) => acknowledged);
  await until(
    () => typists.every(({ acknowledged }, index) => acknowledged > (from[index] ?? 0) + AROUND),
    "clients type after the move",
  );
  const cpuMs = (await cpu()) - spent;
  state.isOver = true;
  const pausesMs = await Promise.all(loops);
  let lost = 0;
  for (const [index, { acknowledged, socket }] of typists.entries()) {
    const reader = await new RawClient(addresses[1] as string, documents[index] as string).open();
    reader.ask();
    await until(() => reader.answers > 0, "documents can be read");
    const typed = reader.doc.getText("text").toString().split("x").length - 1;
    lost += Math.max(0, acknowledged - typed);
    reader.socket.close();
    socket.close();
  }
  return { pausesMs, lost, cpuMs };
}

export async function measureMove(progress: (text: string) => void): Promise<Section[]> {
  const run = async (count: number, isKilled: boolean): Promise<Found> => {
    progress(`a shard of ${count} documents moves${isKilled ? ", and its region is killed" : ""}`);
    const cluster = await startCluster(PROCESSES, { replicas: 1 });
    const found = await move(cluster, count, isKilled);
    await endAll(cluster.children);
    return found;
  };
  const figures = (name: string, { pausesMs, lost, cpuMs }: Found): Figure[] => [
    { name: `${name}: pause of a document, median`, value: median(pausesMs), unit: "ms" },
    { name: `${name}: longest pause`, value: Math.max(...pausesMs), unit: "ms" },
    { name: `${name}: processor time meanwhile`, value: cpuMs, unit: "ms" },
    { name: `${name}: lost edits`, value: lost, unit: "", target: { atMost: 0 } },
  ];
  const few = await run(FEW, false);
  const many = await run(MANY, false);
  const killed = await run(MANY, true);
  return [
    {
      title: `a shard moves, whose documents have ${BYTES} B and one other copy, with ${TYPISTS} clients`,
      figures: [
        ...figures(`${FEW} documents`, few),
        ...figures(`${MANY} documents`, many),
        ...figures(`${MANY}, killed on the way`, killed),
      ],
    },
  ];
}
