/**
 * Many documents and many clients: 10 000 documents on the disks of three processes, and 1000 clients at them.
 *
 * What a document costs that is loaded and at which nobody is, is compared with what Yjs alone takes for the
 * same documents, in a process of its own. Then clients come, each to a document of its own at any of the
 * peers, and type; then all three processes end, and start anew on their disks.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "./child.ts";
import { type Cluster, childOf, endAll, startCluster, tell } from "./documents-cluster.ts";
import { Typist, typing } from "./documents-typist.ts";
import { median, nowMs, percentile } from "./measure.ts";
import type { Figure, Section } from "./report.ts";

const DOCUMENTS = 10_000;
const CLIENTS = 1000;
/** Edits of each client, one after the other; all clients begin one of them within this time, in ms. */
const EDITS = 4;
const ROUND_MS = 1000;
/** Clients that connect at a time. */
const BATCH = 100;

const documents = Array.from({ length: DOCUMENTS }, (_, index) => `scale/${index}`);

/** Asks each process in turn, and adds up. */
async function sum(children: readonly Child[], question: Parameters<typeof tell>[1]) {
  let total = 0;
  for (const child of children) total += (await tell(child, question)) as number;
  return total;
}

/** What Yjs takes for one of these documents, in bytes. */
async function yjsBytes(): Promise<number> {
  const child = childOf();
  await tell(child, { type: "yjs", documents: documents.slice(0, 100) }); // Code is no document.
  const before = (await tell(child, { type: "memory" })) as number;
  await tell(child, { type: "yjs", documents });
  const after = (await tell(child, { type: "memory" })) as number;
  await child.end();
  return (after - before) / DOCUMENTS;
}

interface Edits {
  readonly openMs: number;
  readonly tookMs: readonly number[];
}

/** Clients come, and each types now and then: how long until an edit is acknowledged. */
async function visit(addresses: readonly string[]): Promise<Edits> {
  const frames = typing(EDITS);
  const start = nowMs();
  const typists: Typist[] = [];
  for (let at = 0; at < CLIENTS; at += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, index) => {
      const number = at + index;
      const address = addresses[number % addresses.length] as string;
      return new Typist(address, `scale/${number * 10}`, frames).open();
    });
    typists.push(...(await Promise.all(batch)));
  }
  const openMs = nowMs() - start;
  const tookMs: number[] = [];
  for (let edit = 0; edit < EDITS; edit += 1) {
    await Promise.all(
      typists.map(async (typist, index) => {
        await sleep((index * ROUND_MS) / CLIENTS);
        const sent = nowMs();
        typist.type(1);
        await typist.ask();
        tookMs.push(nowMs() - sent);
      }),
    );
  }
  for (const { socket } of typists) socket.close();
  return { openMs, tookMs };
}

/** From nothing to an answer of every document of a sample, in ms. */
async function restart(data: string): Promise<Cluster & { readonly startMs: number }> {
  const start = nowMs();
  const { children, addresses } = await startCluster(3, { data });
  const sample = Array.from({ length: BATCH }, (_, index) => `scale/${index * 97}`);
  const readers = sample.map((name, index) => new Typist(addresses[index % 3] as string, name, []));
  await Promise.all(readers.map((reader) => reader.open()));
  const startMs = nowMs() - start;
  if (readers.some(({ bytes }) => bytes < "This is".length)) throw new Error("A document is empty");
  for (const { socket } of readers) socket.close();
  return { startMs, children, addresses };
}

export async function measureScale(progress: (text: string) => void): Promise<Section[]> {
  const data = await mkdtemp(join(tmpdir(), "hearsay-scale-"));
  try {
    progress(`${DOCUMENTS} documents with Yjs alone`);
    const alone = await yjsBytes();
    progress(`${DOCUMENTS} documents over three processes, on their disks`);
    const first = await startCluster(3, { data });
    await sum(first.children, { type: "load", documents: documents.slice(0, 300) });
    const empty = await sum(first.children, { type: "memory" });
    const start = nowMs();
    await Promise.all(first.children.map((child) => tell(child, { type: "load", documents })));
    const writtenMs = nowMs() - start;
    progress("all three end, and start anew");
    await endAll(first.children);
    const { startMs, children, addresses } = await restart(data);
    const stored = await sum(children, { type: "memory" });
    const few = await sum(children, { type: "rooms" });
    // Rooms that nobody is at stay for a while: they are counted as long as they do.
    await sum(children, { type: "open", documents });
    const loaded = await sum(children, { type: "memory" });
    const rooms = (await sum(children, { type: "rooms" })) - few;
    progress(`${CLIENTS} clients`);
    const { openMs, tookMs } = await visit(addresses);
    await endAll(children);
    const perDocument = (loaded - stored) / rooms;
    const own: Figure = {
      ...{
        name: "of a document that is loaded, beside Yjs",
        value: perDocument - alone,
        unit: "B",
      },
      target: { atMost: 6000 },
    };
    return [
      {
        title: `${DOCUMENTS} documents, three copies of each, in three processes`,
        figures: [
          { name: "documents that are loaded", value: rooms, unit: "" },
          { name: "memory of a document in Yjs alone", value: alone, unit: "B" },
          own,
          { name: "of its three copies on disks", value: (stored - empty) / DOCUMENTS, unit: "B" },
          { name: "until all are written and acknowledged", value: writtenMs, unit: "ms" },
          { name: `until ${CLIENTS} clients have their documents`, value: openMs, unit: "ms" },
          { name: "an edit of theirs, acknowledged, p50", value: median(tookMs), unit: "ms" },
          { name: "an edit, acknowledged, p99", value: percentile(tookMs, 0.99), unit: "ms" },
          {
            ...{ name: "from a start of all to serving", value: startMs, unit: "ms" },
            target: { atMost: 5000 },
          },
        ],
      },
    ];
  } finally {
    await rm(data, { recursive: true, force: true });
  }
}
