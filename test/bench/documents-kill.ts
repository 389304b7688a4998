/**
 * A process that has many documents is killed while clients type at the others.
 *
 * It is counted how long it takes until edits of all of them get through again, and how many of those that were
 * acknowledged are missing afterwards.
 */
import { Doc, encodeStateVector } from "yjs";
import { RawClient, say } from "../documents/raw-client.ts";
import type { Child } from "./child.ts";
import { endAll, startCluster, tell, until } from "./documents-cluster.ts";
import { nowMs } from "./measure.ts";
import type { Section } from "./report.ts";

/** Documents that the one that is killed has, and clients that type in as many of them. */
const DOCUMENTS = 300;
const TYPISTS = 20;
const TYPE_MS = 10;
/** Edits of each client that may be unacknowledged: it types on while nobody answers. */
const UNANSWERED_MAX = 50;
/** Edits of each that are acknowledged before the kill, and after it until it counts as over. */
const BEFORE = 80;
const AFTER = 60;
/** Edits that may have been acknowledged on their way while the process died. */
const ON_THEIR_WAY = 2;

interface Typist {
  readonly client: RawClient;
  readonly doc: Doc;
  readonly document: string;
  asked: number;
}

async function typistAt(address: string, document: string): Promise<Typist> {
  const client = await new RawClient(address, document).open();
  const doc = new Doc();
  doc.on("update", (update: Uint8Array) => client.edit(update));
  return { client, doc, document, asked: 0 };
}

/** One more edit, and a question that is answered when it is safe. */
function type(typist: Typist): void {
  const { client, doc } = typist;
  if (typist.asked > client.answers + UNANSWERED_MAX) return;
  doc.getMap("typed").set(`${typist.asked}`, true);
  client.send(say(0, 0, encodeStateVector(client.doc)));
  typist.asked += 1;
}

async function kill(): Promise<{ pauseMs: number; lost: number; safe: number }> {
  const { children, addresses } = await startCluster(3);
  const all = Array.from({ length: DOCUMENTS * 6 }, (_, index) => `kill/${index}`);
  const regions = (await tell(children[0] as Child, {
    type: "region",
    documents: all,
  })) as string[];
  const documents = all.filter((_, index) => regions[index] === "p2").slice(0, DOCUMENTS);
  await tell(children[2] as Child, { type: "load", documents });
  const typists = await Promise.all(
    documents
      .slice(0, TYPISTS)
      .map((document, index) => typistAt(addresses[index % 2] as string, document)),
  );
  const timer = setInterval(() => typists.forEach(type), TYPE_MS);
  const haveGot = (from: readonly number[], more: number): boolean =>
    typists.every(({ client }, index) => client.answers > (from[index] ?? 0) + more);
  await until(() => haveGot([], BEFORE), "edits are acknowledged before the kill");
  const before = typists.map(({ client }) => client.answers);
  (children[2] as Child).signal("SIGKILL");
  const killedAt = nowMs();
  await until(() => haveGot(before, ON_THEIR_WAY), "edits flow again");
  const pauseMs = nowMs() - killedAt;
  await until(() => haveGot(before, AFTER), "edits go on");
  clearInterval(timer);
  let [lost, safe] = [0, 0];
  for (const { document, client } of typists) {
    const acknowledged = client.answers;
    const reader = await new RawClient(addresses[1] as string, document).open();
    reader.ask();
    await until(() => reader.answers > 0, "documents can be read");
    const typed = reader.doc.getMap("typed");
    for (let edit = 0; edit < acknowledged; edit += 1) if (!typed.has(`${edit}`)) lost += 1;
    safe += acknowledged;
    reader.socket.close();
    client.socket.close();
  }
  await endAll(children);
  return { pauseMs, lost, safe };
}

export async function measureKills(
  progress: (text: string) => void,
  repeat: number,
): Promise<Section[]> {
  const kills: Awaited<ReturnType<typeof kill>>[] = [];
  for (let round = 0; round < repeat; round += 1) {
    progress(`kill ${round + 1} of ${repeat}`);
    const found = await kill();
    if (found.lost > 0) progress(`lost ${found.lost} of ${found.safe}`);
    kills.push(found);
  }
  const sum = (of: (each: (typeof kills)[number]) => number): number =>
    kills.reduce((total, each) => total + of(each), 0);
  const pause = Math.max(...kills.map(({ pauseMs }) => pauseMs));
  return [
    {
      title: `kill -9 of the region of ${DOCUMENTS} documents, in ${TYPISTS} of which clients type`,
      figures: [
        {
          ...{ name: "until all edits flow again, slowest", value: pause, unit: "ms" },
          target: { atMost: 3000 },
        },
        { name: "the same, mean", value: sum(({ pauseMs }) => pauseMs) / kills.length, unit: "ms" },
        {
          ...{ name: "acknowledged edits that are lost", value: sum(({ lost }) => lost), unit: "" },
          target: { atMost: 0 },
        },
        { name: "of so many", value: sum(({ safe }) => safe), unit: "" },
        { name: "repetitions", value: repeat, unit: "" },
      ],
    },
  ];
}
