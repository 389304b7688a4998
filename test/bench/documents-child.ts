/**
 * One process of the `documents` bench: a peer, a plain y-websocket server, or many clients.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createDecoder, readVarUint, readVarUint8Array } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } from "lib0/encoding";
import { type WebSocket, WebSocketServer } from "ws";
import { applyUpdate, Doc, encodeStateAsUpdate } from "yjs";
import { type Peer, startPeer } from "../../src/peer.ts";
import { answerParent } from "./child.ts";
import { nowMs } from "./measure.ts";

export type Question =
  | {
      readonly type: "peer";
      readonly name: string;
      readonly join: readonly string[];
      readonly data?: string;
      /** Copies of a document besides the one at its region. Default 2. */
      readonly replicas?: number;
    }
  | { readonly type: "plain" }
  | { readonly type: "region"; readonly documents: readonly string[] }
  | { readonly type: "members" }
  /** Writes a line into each of these, those that the peer hosts, and dots up to so many bytes. */
  | { readonly type: "load"; readonly documents: readonly string[]; readonly bytes?: number }
  /** The shards that these belong to. */
  | { readonly type: "shard"; readonly documents: readonly string[] }
  /** Moves a shard; answered when the table says so. */
  | { readonly type: "move"; readonly shard: string; readonly region: string }
  /** Has these in memory, those that the peer hosts, with nobody at them; says how many. */
  | { readonly type: "open"; readonly documents: readonly string[] }
  /** Has as many documents in memory as Yjs alone would. */
  | { readonly type: "yjs"; readonly documents: readonly string[] }
  /** Bytes in use on the heap and beside it, and how much processor time there was, in ms. */
  | { readonly type: "memory" }
  /** Documents in memory. */
  | { readonly type: "rooms" }
  | { readonly type: "cpu" }
  /** Writes texts into documents, those that the peer hosts. */
  | { readonly type: "write"; readonly texts: readonly (readonly [string, string])[] }
  | { readonly type: "count" }
  /** Searches for each of these, and says what it found and how long each took, in ms. */
  | { readonly type: "search"; readonly queries: readonly string[] };

let peer: Peer | undefined;
const docs: Doc[] = [];

async function start(question: Extract<Question, { type: "peer" }>): Promise<string> {
  const { name, join, data, replicas = 2 } = question;
  peer = await startPeer({
    ...{ name, listen: "127.0.0.1:0", join: [...join], shards: 64 },
    ...{ timings: "local", documents: { replicas }, ...(data === undefined ? {} : { data }) },
  });
  return peer.address;
}

/** What the server of y-websocket does, and nothing else. */
async function plain(): Promise<string> {
  const rooms = new Map<string, { doc: Doc; clients: Set<WebSocket> }>();
  const server = createServer();
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on("connection", (socket, request) => {
    const name = request.url ?? "";
    const room = rooms.get(name) ?? { doc: new Doc(), clients: new Set<WebSocket>() };
    if (!rooms.has(name)) {
      rooms.set(name, room);
      room.doc.on("update", (update: Uint8Array) => {
        const frame = message(2, update);
        for (const client of room.clients) client.send(frame);
      });
    }
    room.clients.add(socket);
    socket.on("close", () => room.clients.delete(socket));
    socket.on("message", (bytes: Buffer) => {
      const decoder = createDecoder(bytes);
      if (readVarUint(decoder) !== 0) return;
      const step = readVarUint(decoder);
      const content = readVarUint8Array(decoder);
      if (step === 0) socket.send(message(1, encodeStateAsUpdate(room.doc, content)));
      else applyUpdate(room.doc, content, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function message(step: number, content: Uint8Array): Uint8Array {
  const encoder = createEncoder();
  writeVarUint(encoder, 0);
  writeVarUint(encoder, step);
  writeVarUint8Array(encoder, content);
  return toUint8Array(encoder);
}

const lineOf = (document: string): string => `This is ${document}`;

/** Documents that are written or opened at a time. */
const BATCH = 100;

/** Opens those of these documents that this peer hosts, a batch at a time, and lets go of them. */
async function visit(
  documents: readonly string[],
  change: (doc: Doc, document: string) => void,
): Promise<number> {
  if (peer === undefined) throw new Error("There is no peer");
  const { name, documents: all } = peer;
  const own = documents.filter((document) => peer?.routeDocument(document).region === name);
  for (let at = 0; at < own.length; at += BATCH) {
    const batch = own.slice(at, at + BATCH).map(async (document) => {
      const handle = await all.open(document);
      change(handle.doc, document);
      await handle.flush();
      handle.close();
    });
    await Promise.all(batch);
  }
  return own.length;
}

/** Makes the same documents with nothing but Yjs. */
function imitate(documents: readonly string[]): number {
  for (const document of documents) {
    const writer = new Doc();
    writer.getText("text").insert(0, lineOf(document));
    const doc = new Doc();
    applyUpdate(doc, encodeStateAsUpdate(writer));
    docs.push(doc);
  }
  return docs.length;
}

function usedBytes(): number {
  for (let pass = 0; pass < 3; pass += 1) gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function write(texts: readonly (readonly [string, string])[]): Promise<null> {
  for (const [name, text] of texts) {
    if (peer?.routeDocument(name).region !== peer?.name) continue;
    const handle = await peer?.documents.open(name);
    handle?.doc.getText("text").insert(0, text);
    await handle?.flush();
    handle?.close();
  }
  return null;
}

async function search(queries: readonly string[]): Promise<unknown> {
  const found: { hits: readonly (readonly [string, number])[]; ms: number; complete: boolean }[] =
    [];
  for (const query of queries) {
    const start = nowMs();
    const result = await peer?.search(query);
    const ms = nowMs() - start;
    const hits = (result?.documents ?? []).map(({ document, score }) => [document, score] as const);
    found.push({ hits, ms, complete: result?.complete === true });
  }
  return found;
}

answerParent(async (question: Question): Promise<unknown> => {
  switch (question.type) {
    case "peer":
      return start(question);
    case "plain":
      return plain();
    case "region":
      return question.documents.map((document) => peer?.routeDocument(document).region);
    case "members":
      return new Set(peer?.allocations().map(({ region }) => region)).size;
    case "load":
      return visit(question.documents, (doc, document) => {
        const line = lineOf(document);
        doc.getText("text").insert(0, line.padEnd(question.bytes ?? 0, "."));
      });
    case "shard":
      return question.documents.map((document) => peer?.routeDocument(document).shard);
    case "move":
      return peer?.allocate(question.shard, question.region);
    case "open":
      return visit(question.documents, () => {});
    case "yjs":
      return imitate(question.documents);
    case "rooms":
      return peer?.documents.status().loaded;
    case "memory":
      return usedBytes();
    case "cpu":
      return cpuMs();
    case "write":
      return write(question.texts);
    case "count":
      return peer?.globalDf([]).documents;
    case "search":
      return search(question.queries);
  }
});
