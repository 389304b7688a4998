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
  | { readonly type: "peer"; readonly name: string; readonly join: readonly string[] }
  | { readonly type: "plain" }
  | { readonly type: "region"; readonly documents: readonly string[] }
  | { readonly type: "members" }
  | { readonly type: "load"; readonly documents: readonly string[] }
  /** Writes texts into documents, those that the peer hosts. */
  | { readonly type: "write"; readonly texts: readonly (readonly [string, string])[] }
  | { readonly type: "count" }
  /** Searches for each of these, and says what it found and how long each took, in ms. */
  | { readonly type: "search"; readonly queries: readonly string[] };

let peer: Peer | undefined;

async function open(name: string, join: readonly string[]): Promise<string> {
  const listen = "127.0.0.1:0";
  peer = await startPeer({
    name,
    listen,
    join: [...join],
    shards: 64,
    timings: "local",
    documents: true,
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

/** Writes a line into each of many documents, and lets go of them. */
async function load(documents: readonly string[]): Promise<number> {
  if (peer === undefined) throw new Error("There is no peer");
  const own = documents.filter((document) => peer?.routeDocument(document).region === peer?.name);
  for (const document of own) {
    const handle = await peer.documents.open(document);
    handle.doc.getText("text").insert(0, `This is ${document}`);
    await handle.flush();
    handle.close();
  }
  return own.length;
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
      return open(question.name, question.join);
    case "plain":
      return plain();
    case "region":
      return question.documents.map((document) => peer?.routeDocument(document).region);
    case "members":
      return new Set(peer?.allocations().map(({ region }) => region)).size;
    case "load":
      return load(question.documents);
    case "write":
      return write(question.texts);
    case "count":
      return peer?.globalDf([]).documents;
    case "search":
      return search(question.queries);
  }
});
