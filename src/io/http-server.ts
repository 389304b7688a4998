/**
 * The one port of a peer: HTTP for people and programs, WebSocket for other peers and for clients.
 *
 * Links must be there at once and for ever; the HTTP API is there for whoever asks. So the port is a
 * plain server of Node, and the framework behind it is loaded with the first request: a peer that
 * nobody asks spares the time at start and the memory.
 *
 * A connection is a stranger's until proven otherwise: it has seconds to say what it wants, in a few
 * kilobytes, and an error on its socket ends that socket only [S4, S5].
 *
 * Clients are let in by `client-access.ts`, before anything else is done for them; peers by the
 * handshake of their link [S2]. Both come over TLS where this peer has a certificate [S3].
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { HearsayError } from "../core/error.ts";
import { HANDSHAKE_TIMEOUT_MS, LINKS_MAX } from "../core/limits.ts";
import { formatAddress, type HostAndPort } from "./addresses.ts";
import type { ClientAccess } from "./client-access.ts";
import { answerOn, answerTo, answerWith, type ErrorAnswer, FAULT } from "./http-errors.ts";
import { IdleConnections } from "./idle-connections.ts";
import type { Origins } from "./origin.ts";
import { RPC_PATH } from "./rpc-channel.ts";
import type { ServedPeer } from "./served-peer.ts";
import type { Credentials } from "./tls.ts";
import { PEER_PATH } from "./websocket-transport.ts";

/** Size of a request's headers, its path and query included, in bytes: hundreds of document names. */
const HEADER_BYTES_MAX = 16_384;

/** Time until the headers of a request must have arrived, in ms; of an idle connection, too. */
const HEADERS_TIMEOUT_MS = 5000;

/** Time until all of a request must have arrived, in ms. */
const REQUEST_TIMEOUT_MS = 10_000;

/** How often those two are looked at, in ms. */
const TIMEOUT_CHECK_MS = 1000;

/** Connections at once: all links there may be, and as many clients. Others are closed at once. */
const CONNECTIONS_MAX = 2 * LINKS_MAX;

/**
 * Connections at once that ask for nothing; one more closes the one that has been silent for longest. Half
 * of what there may be beside links.
 */
const IDLE_CONNECTIONS_MAX = LINKS_MAX / 2;

/** How long answers under way may take once the server closes, in ms. */
const CLOSE_TIMEOUT_MS = 250;

/** Where documents are, before their names. */
export const DOCUMENTS_PATH = "/documents/";

export type AcceptUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface HttpServerOptions {
  readonly served: ServedPeer;
  /** Decides what clients may do. Peers do not come by here. */
  readonly access: ClientAccess;
  /** The certificate of this peer. Undefined: nothing is encrypted. */
  readonly credentials?: Credentials | undefined;
  /** Takes over a socket that asks for an upgrade at `PEER_PATH`. */
  readonly onPeerUpgrade: AcceptUpgrade;
  /** The same at `RPC_PATH`, for clients. */
  readonly onClientUpgrade: AcceptUpgrade;
  /** Who takes over sockets at another path; undefined where nobody does. */
  readonly upgradeAt: (path: string) => AcceptUpgrade | undefined;
  /** Pages that may do more than read. */
  readonly origins: Origins;
  /** A request failed by a fault of this peer. */
  readonly onFault: (error: unknown) => void;
}

const SERVER_OPTIONS = {
  maxHeaderSize: HEADER_BYTES_MAX,
  headersTimeout: HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  noDelay: true,
};

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #idle = new IdleConnections(IDLE_CONNECTIONS_MAX);
  /** The API, from the first request on. */
  #api: Promise<Answer> | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createPort(options.credentials);
    this.#server.maxConnections = CONNECTIONS_MAX; // [S4]
    // [S5] Also after an upgrade, whoever holds the socket then: without it the process would end.
    this.#server.on("connection", (socket) => socket.on("error", ignore));
    this.#server.on("secureConnection", (socket) => socket.on("error", ignore));
    this.#idle.watch(this.#server);
    this.#server.on("request", (request, response) => this.#answer(request, response));
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on("clientError", (error, socket) => refuseClient(error, socket));
  }

  /** Listens; resolves to where. Throws `ADDRESS_IN_USE`, or `BAD_REQUEST` for what is no place here. */
  async listen({ host, port }: HostAndPort): Promise<HostAndPort> {
    this.#server.listen(port, host);
    try {
      await once(this.#server, "listening");
    } catch (error) {
      throw listenError(formatAddress({ host, port }), error);
    }
    return { host, port: (this.#server.address() as AddressInfo).port };
  }

  /**
   * Takes no new connection from now on, and resolves when all are gone, those of links included: they
   * are closed by their owner. Answers under way have a moment. Idempotent.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    const stragglers = setTimeout(() => this.#server.closeAllConnections(), CLOSE_TIMEOUT_MS);
    await closed;
    clearTimeout(stragglers);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = refusalOf(() => this.#options.access.check(request));
    if (refusal !== undefined) {
      request.resume();
      respond(response, refusal); // [S2] Before the API is even loaded.
      return;
    }
    try {
      this.#api ??= this.#load();
      (await this.#api)(request, response);
    } catch (error) {
      this.#options.onFault(error);
      answerOn(request.socket, FAULT);
    }
  }

  async #load(): Promise<Answer> {
    const { createHttpApi } = await import("./http-api.ts");
    const { served, origins, onFault } = this.#options;
    return createHttpApi({ served, origins, onFault });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#idle.release(socket);
    const [path = ""] = (request.url ?? "").split("?");
    const { onPeerUpgrade, onClientUpgrade, upgradeAt } = this.#options;
    // [S2] Other doors, and nothing behind them is shared.
    const doors = new Map([
      [PEER_PATH, onPeerUpgrade],
      [RPC_PATH, onClientUpgrade],
    ]);
    const accept = doors.get(path) ?? upgradeAt(path);
    if (accept === undefined) answerOn(socket, answerWith(404));
    else if (request.headers.upgrade?.toLowerCase() !== "websocket") {
      answerOn(socket, answerWith(426));
    } else accept(request, socket, head);
  }
}

/**
 * A server that speaks TLS where there are credentials. [S3] A certificate is asked of everybody and needed
 * by peers only, whose handshake sees to that: clients have tokens.
 */
export function createPort(credentials: Credentials | undefined): Server {
  if (credentials === undefined) return createServer(SERVER_OPTIONS);
  let contents = credentials.contents;
  const server = createTlsServer({
    ...SERVER_OPTIONS,
    ...contents,
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS, // [S9]
  });
  server.prependListener("connection", () => {
    if (credentials.contents === contents) return;
    contents = credentials.contents;
    server.setSecureContext(contents); // For this connection already.
  });
  // What goes wrong before a connection is encrypted is a stranger's affair, and closed already.
  server.on("tlsClientError", ignore);
  return server;
}

/** The answer to a request that may not be made; undefined when it may. */
function refusalOf(check: () => void): ErrorAnswer | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return answerTo(error) ?? FAULT;
  }
}

function respond(response: ServerResponse, { status, body }: ErrorAnswer): void {
  const type = "application/json; charset=utf-8";
  const challenge = status === 401 ? { "www-authenticate": "Bearer" } : {};
  response.writeHead(status, { "content-type": type, ...challenge }).end(JSON.stringify(body));
}

/** Answers what could not even be read as a request. */
function refuseClient(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const isTooLarge = error.code === "HPE_HEADER_OVERFLOW";
  const isTooLate = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
  answerOn(socket, answerWith(isTooLarge ? 431 : isTooLate ? 408 : 400));
}

function listenError(address: string, error: unknown): HearsayError {
  const reason = error instanceof Error && "code" in error ? error.code : undefined;
  return reason === "EADDRINUSE"
    ? new HearsayError("ADDRESS_IN_USE", `Cannot listen on ${address}: it is in use`)
    : new HearsayError("BAD_REQUEST", `Cannot listen on ${address}: ${reason ?? "it failed"}`, {
        cause: error,
      });
}

function ignore(): void {}
