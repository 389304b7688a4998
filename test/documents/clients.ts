/**
 * Clients of documents for tests: the stock provider, and sockets that say whatever they want.
 */
import { once } from "node:events";
import { createDecoder, readVarString, readVarUint, readVarUint8Array } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } from "lib0/encoding";
import { afterEach } from "vitest";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import type { Peer } from "../../src/peer.ts";
import type { PeerOptions } from "../../src/peer-options.ts";
import { isSettled, start, until } from "../peers.ts";

/** What is waited for longer than this will never happen, in ms. */
const WAIT_MS_MAX = 20_000;

const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** Resolves when `condition` holds, which is looked at every few ms. */
export async function soon(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`This never came true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A cluster that hosts documents. */
export async function documentPeers(
  names: string,
  options: Partial<PeerOptions> = {},
): Promise<Peer[]> {
  const [first = "", ...others] = names.split(" ");
  const founder = await start(first, { documents: true, ...options });
  const join = [founder.address];
  const joined = await Promise.all(
    others.map((name) => start(name, { documents: true, join, ...options })),
  );
  const peers = [founder, ...joined];
  await until(peers, () => peers.every((peer) => isSettled(peer, peers)));
  return peers;
}

export interface StockClient {
  readonly doc: Y.Doc;
  readonly text: Y.Text;
  readonly provider: WebsocketProvider;
}

/** A stock provider, connected to a peer. */
export function connect(
  address: string,
  name: string,
  params: Record<string, string> = {},
): StockClient {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`ws://${address}/documents`, name, doc, {
    WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
    maxBackoffTime: 200,
    params,
  });
  ends.push(() => {
    provider.destroy();
    doc.destroy();
  });
  return { doc, text: doc.getText("text"), provider };
}

/** A message of a raw client, as numbers and then bytes. */
export function say(type: number, ...rest: readonly (number | Uint8Array)[]): Uint8Array {
  const encoder = createEncoder();
  writeVarUint(encoder, type);
  for (const each of rest) {
    if (typeof each === "number") writeVarUint(encoder, each);
    else writeVarUint8Array(encoder, each);
  }
  return toUint8Array(encoder);
}

/** A client that says what it is told to. */
export class RawClient {
  readonly socket: WebSocket;
  /** What it was told: `step-1`, `step-2`, `update`, `awareness`, or `denied: why`. */
  readonly told: string[] = [];
  readonly doc = new Y.Doc();
  closed: number | undefined;
  /** How many of its questions have been answered. */
  answers = 0;

  constructor(address: string, name: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(`ws://${address}/documents/${name}`, { headers });
    ends.push(() => this.socket.terminate());
    this.socket.on("error", () => {});
    this.socket.on("close", (code) => {
      this.closed = code;
    });
    this.socket.on("message", (bytes: Buffer) => this.#heard(bytes));
  }

  async open(): Promise<this> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, "open");
    return this;
  }

  send(bytes: Uint8Array): void {
    this.socket.send(bytes);
  }

  edit(update: Uint8Array): void {
    this.send(say(0, 2, update));
  }

  /** Asks what it lacks. */
  ask(): void {
    this.send(say(0, 0, Y.encodeStateVector(this.doc)));
  }

  #heard(bytes: Buffer): void {
    const decoder = createDecoder(bytes);
    const type = readVarUint(decoder);
    if (type === 0) {
      const step = readVarUint(decoder);
      this.told.push(["step-1", "step-2", "update"][step] ?? "nonsense");
      const content = readVarUint8Array(decoder);
      if (step === 1) this.answers += 1;
      if (step > 0) Y.applyUpdate(this.doc, content);
    } else if (type === 1) this.told.push("awareness");
    else if (type === 2) {
      readVarUint(decoder);
      this.told.push(`denied: ${readVarString(decoder)}`);
    }
  }
}
