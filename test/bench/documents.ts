/**
 * Documents over three processes: how soon an edit is seen elsewhere, and how many get through.
 *
 * One client edits at one peer, another one reads at the second, and the third has the document. Beside
 * it, over the same sockets, a plain server of the y-websocket protocol that does nothing else. Then the
 * process that has many documents is killed while clients type, and it is counted how long it takes until
 * edits of these documents get through again, and how many acknowledged ones are missing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Doc, encodeStateVector } from "yjs";
import { RawClient } from "../documents/raw-client.ts";
import { Child } from "./child.ts";
import type { Question } from "./documents-child.ts";
import { median, nowMs, percentile } from "./measure.ts";
import type { Bench, Figure, Section } from "./report.ts";

const EDITS = 600;
const EDIT_MS = 4;
const BURST = 6000;
const KILL_DOCUMENTS = 300;
const TYPISTS = 20;
const KILLS = 5;

const childOf = () => new Child(new URL("./documents-child.ts", import.meta.url));
const tell = (child: Child, question: Question) => child.ask(question);

async function cluster(): Promise<{ children: Child[]; addresses: string[] }> {
  const children = [childOf(), childOf(), childOf()];
  const addresses: string[] = [];
  for (const [index, child] of children.entries()) {
    const join = addresses.slice(0, 1);
    addresses.push((await tell(child, { type: "peer", name: `p${index}`, join })) as string);
  }
  for (const child of children) {
    while ((await tell(child, { type: "members" })) !== 3) await sleep(20);
  }
  return { children, addresses };
}

/** A document that the third peer has. */
async function documentAt(child: Child, region: string, from = 0): Promise<string> {
  const documents = Array.from({ length: 200 }, (_, index) => `bench/${from + index}`);
  const regions = (await tell(child, { type: "region", documents })) as string[];
  return documents[regions.indexOf(region)] as string;
}

interface Times {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

/** How long edits take from one client to another, one by one and as many as there can be. */
async function measure(from: string, to: string, document: string): Promise<Times> {
  const writer = await new RawClient(from, document).open();
  const reader = await new RawClient(to, document).open();
  writer.ask();
  reader.ask();
  while (writer.answers === 0 || reader.answers === 0) await sleep(5);
  const doc = new Doc();
  doc.on("update", (update: Uint8Array) => writer.edit(update));
  const text = doc.getText("text");
  const sent: number[] = [];
  const tookMs: number[] = [];
  reader.onUpdate = () => {
    tookMs.push(nowMs() - (sent[tookMs.length] as number));
  };
  for (let edit = 0; edit < EDITS; edit += 1) {
    sent.push(nowMs());
    text.insert(text.length, "x");
    await sleep(EDIT_MS);
  }
  while (tookMs.length < EDITS) await sleep(5);
  const start = nowMs();
  for (let edit = 0; edit < BURST; edit += 1) {
    sent.push(nowMs());
    text.insert(text.length, "x");
    if (edit % 50 === 0) await sleep(0);
  }
  while (tookMs.length < EDITS + BURST) await sleep(1);
  const perSecond = (BURST * 1000) / (nowMs() - start);
  const single = tookMs.slice(EDITS / 4, EDITS);
  writer.socket.close();
  reader.socket.close();
  return { p50: median(single), p99: percentile(single, 0.99), perSecond };
}

/** Kills the process of one region under typing clients; the time until all can go on, and what is lost. */
async function kill(): Promise<{ pauseMs: number; lost: number }> {
  const { children, addresses } = await cluster();
  const documents = Array.from({ length: KILL_DOCUMENTS }, (_, index) => `kill/${index}`);
  for (const child of children) await tell(child, { type: "load", documents });
  const regions = (await tell(children[0] as Child, { type: "region", documents })) as string[];
  const victims = documents.filter((_, index) => regions[index] === "p2").slice(0, TYPISTS);
  const typists = await Promise.all(
    victims.map(async (document, index) => {
      const address = addresses[index % 2] as string;
      const client = await new RawClient(address, document).open();
      const doc = new Doc();
      doc.on("update", (update: Uint8Array) => client.edit(update));
      return { client, doc, document, asked: 0, safe: 0 };
    }),
  );
  const timer = setInterval(() => {
    for (const typist of typists) {
      typist.safe = Math.max(typist.safe, typist.client.answers);
      if (typist.asked > typist.client.answers + 50) continue;
      typist.doc.getMap("typed").set(`${typist.asked}`, true);
      typist.client.send(questionOf(typist.client.doc));
      typist.asked += 1;
    }
  }, 10);
  await sleep(1000);
  const before = typists.map(({ client }) => client.answers);
  (children[2] as Child).signal("SIGKILL");
  const killedAt = nowMs();
  const hasGoneOn = () =>
    typists.every(({ client }, index) => client.answers > (before[index] as number) + 60);
  let firstAt = 0;
  while (!hasGoneOn() && nowMs() - killedAt < 20_000) {
    await sleep(5);
    const isFlowing = typists.every(
      ({ client }, index) => client.answers > (before[index] as number) + 2,
    );
    if (isFlowing && firstAt === 0) firstAt = nowMs();
  }
  clearInterval(timer);
  let lost = 0;
  for (const { document, client } of typists) {
    const safe = client.answers;
    const reader = await new RawClient(addresses[1] as string, document).open();
    reader.ask();
    while (reader.answers === 0) await sleep(5);
    const typed = reader.doc.getMap("typed");
    for (let edit = 0; edit < safe; edit += 1) if (!typed.has(`${edit}`)) lost += 1;
    reader.socket.close();
    client.socket.close();
  }
  await Promise.all(children.map((child) => child.end().catch(() => {})));
  return { pauseMs: (firstAt || nowMs()) - killedAt, lost };
}

/** SyncStep1: what does this document lack? */
function questionOf(doc: Doc): Uint8Array {
  const state = encodeStateVector(doc);
  return Uint8Array.from([0, 0, ...lengthOf(state.length), ...state]);
}

function lengthOf(length: number): number[] {
  return length < 128 ? [length] : [128 | (length & 127), length >> 7];
}

export const bench: Bench = {
  summary: "edits of documents over three processes, beside a plain y-websocket server; a kill",
  async run(progress): Promise<readonly Section[]> {
    progress("three processes");
    const { children, addresses } = await cluster();
    const [a = "", b = "", c = ""] = addresses;
    const document = await documentAt(children[0] as Child, "p2");
    const away = await measure(a, b, document);
    const local = await measure(c, c, await documentAt(children[0] as Child, "p2", 200));
    await Promise.all(children.map((child) => child.end()));
    progress("one plain server");
    const server = childOf();
    const address = (await tell(server, { type: "plain" })) as string;
    const plain = await measure(address, address, "x");
    await server.end();
    const kills: { pauseMs: number; lost: number }[] = [];
    for (let round = 0; round < KILLS; round += 1) {
      progress(`kill ${round + 1} of ${KILLS}`);
      kills.push(await kill());
    }
    const times = (name: string, { p50, p99, perSecond }: Times): Figure[] => [
      { name: `${name}, p50`, value: p50, unit: "ms" },
      { name: `${name}, p99`, value: p99, unit: "ms" },
      { name: `${name}, in one burst`, value: perSecond, unit: "edits/s" },
    ];
    const [first, second, ...rest] = times("another peer, a third has it", away);
    const pause = Math.max(...kills.map(({ pauseMs }) => pauseMs));
    const lost = kills.reduce((sum, each) => sum + each.lost, 0);
    const ratio = local.perSecond / plain.perSecond;
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
            value: ratio,
            unit: "x",
            target: { atLeast: 0.7 },
          },
        ],
      },
      {
        title: `kill -9 of the region of documents that ${TYPISTS} clients type in`,
        figures: [
          {
            name: "until all edits flow again, slowest",
            value: pause,
            unit: "ms",
            target: { atMost: 3000 },
          },
          {
            name: "acknowledged edits that are lost",
            value: lost,
            unit: "",
            target: { atMost: 0 },
          },
          { name: "repetitions", value: KILLS, unit: "" },
        ],
      },
    ];
  },
};
