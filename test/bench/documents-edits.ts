/**
 * How long one edit takes from client to client, one by one and as many as there can be.
 *
 * One client types at one peer and another one reads at the second, while the third has the document; then both
 * are where the document is; then both are at a plain server of the y-websocket protocol, which does nothing else.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Doc } from "yjs";
import { RawClient } from "../documents/raw-client.ts";
import type { Child } from "./child.ts";
import { childOf, documentsAt, endAll, startCluster, tell, until } from "./documents-cluster.ts";
import { median, nowMs, percentile } from "./measure.ts";
import type { Figure, Section } from "./report.ts";

const EDITS = 600;
/** Time between edits that are made one by one: a dozen people who type. */
const EDIT_MS = 4;
const BURST = 6000;
/** Edits of a burst that are made at a stretch. */
const STRETCH = 50;

interface Times {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

async function measure(from: string, to: string, document: string): Promise<Times> {
  const writer = await new RawClient(from, document).open();
  const reader = await new RawClient(to, document).open();
  writer.ask();
  reader.ask();
  await until(() => writer.answers > 0 && reader.answers > 0, "both have the document");
  const doc = new Doc();
  doc.on("update", (update: Uint8Array) => writer.edit(update));
  const text = doc.getText("text");
  const seen = reader.doc.getText("text");
  const sent: number[] = [];
  const tookMs: number[] = [];
  reader.onUpdate = () => {
    // An update may hold several edits.
    const now = nowMs();
    while (tookMs.length < seen.length) tookMs.push(now - (sent[tookMs.length] as number));
  };
  for (let edit = 0; edit < EDITS; edit += 1) {
    sent.push(nowMs());
    text.insert(text.length, "x");
    await sleep(EDIT_MS);
  }
  await until(() => tookMs.length >= EDITS, "all edits are seen");
  const start = nowMs();
  for (let edit = 0; edit < BURST; edit += 1) {
    sent.push(nowMs());
    text.insert(text.length, "x");
    if (edit % STRETCH === 0) await sleep(0);
  }
  await until(() => tookMs.length >= EDITS + BURST, "the burst is seen");
  const perSecond = (BURST * 1000) / (nowMs() - start);
  const single = tookMs.slice(EDITS / 4, EDITS);
  writer.socket.close();
  reader.socket.close();
  return { p50: median(single), p99: percentile(single, 0.99), perSecond };
}

export async function measureEdits(progress: (text: string) => void): Promise<Section[]> {
  progress("one edit, over three processes");
  const { children, addresses } = await startCluster(3);
  const [a = "", b = "", c = ""] = addresses;
  const [one = "", other = ""] = await documentsAt(children[0] as Child, "p2", "edit", 2);
  const away = await measure(a, b, one);
  const local = await measure(c, c, other);
  await endAll(children);
  progress("one edit, at a plain server");
  const server = childOf();
  const address = (await tell(server, { type: "plain" })) as string;
  const plain = await measure(address, address, "x");
  await server.end();
  const times = (name: string, { p50, p99, perSecond }: Times): Figure[] => [
    { name: `${name}, p50`, value: p50, unit: "ms" },
    { name: `${name}, p99`, value: p99, unit: "ms" },
    { name: `${name}, in one burst`, value: perSecond, unit: "edits/s" },
  ];
  const [first, second, ...rest] = times("another peer, a third has it", away);
  return [
    {
      title: "one edit, from client to client",
      figures: [
        { ...(first as Figure), target: { atMost: 3 } },
        { ...(second as Figure), target: { atMost: 20 } },
        ...rest,
        ...times("one peer for both", local),
        ...times("a plain server", plain),
        {
          name: "burst at one peer by the plain one",
          value: local.perSecond / plain.perSecond,
          unit: "x",
          target: { atLeast: 0.7 },
        },
      ],
    },
  ];
}
