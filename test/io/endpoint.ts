/**
 * A real transport behind a real HTTP server on port 0, for tests.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { LINKS_MAX } from "../../src/core/limits.ts";
import { createPort } from "../../src/io/http-server.ts";
import {
  type TransportEvent,
  WebSocketTransport,
  type WebSocketTransportOptions,
} from "../../src/io/websocket-transport.ts";
import type { Identity } from "../../src/wire/handshake.ts";
import type { Endpoint } from "../contract/transport-contract.ts";

/** A wait that takes longer than this will never end, in ms. */
const WAIT_MS_MAX = 20_000;

/** Events in the order they were told, for one reader that may wait for the next. */
class Inbox {
  readonly events: TransportEvent[] = [];
  #wake: () => void = () => {};

  put(event: TransportEvent): void {
    this.events.push(event);
    this.#wake();
  }

  async next(): Promise<TransportEvent> {
    const event = this.events.shift();
    if (event !== undefined) return event;
    await new Promise<void>((resolve, reject) => {
      const deadline = setTimeout(() => reject(new Error("No event came")), WAIT_MS_MAX);
      this.#wake = () => {
        clearTimeout(deadline);
        this.#wake = () => {};
        resolve();
      };
    });
    return this.next();
  }
}

/** Starts a transport that listens on 127.0.0.1. `options` shorten limits, so that tests need not. */
export async function startEndpoint(
  name: string,
  differences: Partial<Identity> = {},
  options: Partial<WebSocketTransportOptions> = {},
): Promise<Endpoint & { readonly port: number }> {
  const inbox = new Inbox();
  const sockets = new Set<Duplex>();
  const server = createPort(options.credentials);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const identity: Identity = {
    versionLow: 1,
    versionHigh: 1,
    cluster: "hearsay",
    name,
    incarnation: `m0-${name}-${port}`,
    address: `127.0.0.1:${port}`,
    shardCount: 256,
    wallMs: 1_800_000_000_000,
    founding: undefined,
    ...differences,
  };
  const transport = new WebSocketTransport({
    identity: () => identity,
    sink: (event) => inbox.put(event),
    dialTimeoutMs: WAIT_MS_MAX,
    handshakeTimeoutMs: WAIT_MS_MAX,
    linksMax: LINKS_MAX,
    ...options,
  });
  server.on("upgrade", (request, socket, head) => {
    sockets.add(socket);
    transport.acceptUpgrade(request, socket, head);
  });
  const stopListening = async (): Promise<void> => {
    if (!server.listening) return;
    server.closeAllConnections();
    const closed = once(server, "close");
    server.close();
    await closed;
  };

  return {
    identity,
    port,
    events: inbox.events,
    perform: (effect) => transport.perform(effect),
    next: () => inbox.next(),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    stall() {
      for (const socket of sockets) socket.pause();
    },
    unstall() {
      for (const socket of sockets) socket.resume();
    },
    async kill() {
      for (const socket of sockets) socket.destroy();
      await stopListening();
    },
    async close() {
      await transport.close();
      await stopListening();
    },
  };
}
