/**
 * Clients of documents for tests: the stock provider, and sockets that say whatever they want.
 */
import { afterEach } from "vitest";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import type { Peer } from "../../src/peer.ts";
import type { PeerOptions } from "../../src/peer-options.ts";
import { isSettled, start, until } from "../peers.ts";
import { RawClient } from "./raw-client.ts";

/** What is waited for longer than this will never happen, in ms. */
const WAIT_MS_MAX = 20_000;

const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
  RawClient.endAll();
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
