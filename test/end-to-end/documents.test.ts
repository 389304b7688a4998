/**
 * Documents over real processes: the owner of a document is killed while clients type.
 */
import { afterEach, expect, test } from "vitest";
import * as Y from "yjs";
import { soon } from "../documents/clients.ts";
import { RawClient } from "../documents/raw-client.ts";
import { freePorts, type PeerRun, Processes, until } from "./processes.ts";

const DOCUMENTS = 8;
const SHARDS = 16;

let processes = new Processes();

afterEach(async () => {
  await processes.close();
  processes = new Processes();
});

async function startThree(): Promise<PeerRun[]> {
  const ports = await freePorts(3);
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const peers = addresses.map((listen, index) => {
    const join = index === 0 ? [] : ["--join", addresses[0] as string];
    const flags = ["--shards", String(SHARDS), "--timings", "local", "--log-level", "warn"];
    return processes.peer(["--name", `p${index}`, "--listen", listen, ...join, ...flags]);
  });
  await Promise.all(peers.map((peer) => peer.ready()));
  await until("all shards spread", peers, async () => {
    const tables = await Promise.all(peers.map((peer) => peer.allocations()));
    return tables.every(
      (table) => new Set(table.map(({ region }) => region)).size === 3 && table.length === SHARDS,
    );
  });
  return peers;
}

/** A client that types one number after the other, and knows which of them are safe. */
class Typist {
  readonly client: RawClient;
  readonly #doc = new Y.Doc();
  readonly id: string;
  #count = 0;
  /** How many had been typed when each question was asked that has no answer yet. */
  readonly #asked: number[] = [];
  #answers = 0;
  acknowledged = 0;

  constructor(address: string, document: string, id: string) {
    this.id = id;
    this.client = new RawClient(address, document);
    this.#doc.on("update", (update: Uint8Array) => this.client.edit(update));
  }

  type(): void {
    if (this.client.closed !== undefined) return;
    this.#doc.getMap("typed").set(`${this.id}/${this.#count}`, true);
    this.#count += 1;
    this.client.ask();
    this.#asked.push(this.#count);
  }

  /** Counts the answers that have come. */
  look(): void {
    for (; this.#answers < this.client.answers; this.#answers += 1) {
      this.acknowledged = this.#asked.shift() ?? this.acknowledged;
    }
  }
}

test("[Y3, Y5] of three processes the owner of documents is killed under typing clients: edits flow again, and none that was acknowledged is missing", {
  timeout: 120_000,
}, async () => {
  const peers = await startThree();
  const addresses = peers.map(({ address }) => address);
  const typists = Array.from({ length: DOCUMENTS }, (_, document) =>
    addresses.map((address, at) => new Typist(address, `typing/${document}`, `${at}`)),
  ).flat();
  await Promise.all(typists.map(({ client }) => client.open()));
  const typing = setInterval(() => {
    for (const typist of typists) {
      typist.type();
      typist.look();
    }
  }, 20);
  await soon(() => typists.every(({ acknowledged }) => acknowledged > 5));
  const [victim, ...others] = peers as [PeerRun, ...PeerRun[]];
  await victim.end("SIGKILL");
  const left = typists.filter(({ id }) => id !== "0");
  const before = left.map(({ acknowledged }) => acknowledged);
  await soon(() =>
    left.every(({ acknowledged }, at) => acknowledged > (before[at] as number) + 20),
  );
  clearInterval(typing);
  await soon(() => left.every(({ client }) => client.closed === undefined));
  for (const typist of typists) typist.look();
  for (const [at] of others.entries()) {
    for (let document = 0; document < DOCUMENTS; document += 1) {
      const reader = await new RawClient(addresses[at + 1] as string, `typing/${document}`).open();
      reader.ask();
      const typed = reader.doc.getMap("typed");
      const safe = typists
        .slice(document * 3, document * 3 + 3)
        .flatMap(({ id, acknowledged }) =>
          Array.from({ length: acknowledged }, (_, number) => `${id}/${number}`),
        );
      await soon(() => reader.told.includes("step-2") && safe.every((key) => typed.has(key)));
      expect(safe.filter((key) => !typed.has(key))).toEqual([]);
      reader.socket.terminate();
    }
  }
});
