/**
 * Clients that edit documents by the y-websocket protocol, at `/documents/<name>`.
 *
 * Any stock provider is one. What a client may do is settled before its socket is taken: a token for
 * reading reads, and what it tries to write is answered by a refusal and changes nothing.
 *
 * Whatever happens on a socket ends in that socket: bytes that are no message, a client that does not read
 * or sends more than anybody types, one that has gone without a word.
 *
 * Rules: SPEC.md, Y1, Y7, Y8, S2, S4 and S5.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { HearsayError } from "../../core/error.ts";
import { type ClientAccess, includesScope } from "../../io/client-access.ts";
import { answerOn, answerTo, answerWith, FAULT } from "../../io/http-errors.ts";
import { DOCUMENTS_PATH } from "../../io/http-server.ts";
import { isAllowedOrigin, isPageOf, type Origins } from "../../io/origin.ts";
import {
  CLIENT_MESSAGE_BYTES_MAX,
  CLIENTS_MAX,
  DOCUMENT_NAME_LENGTH_MAX,
  SYSTEM_PREFIX,
} from "../limits.ts";
import { DocumentClient } from "./document-client.ts";
import type { DocumentService } from "./document-service.ts";
import { Trials } from "./trials.ts";

/** How often clients are asked for a sign of life, in ms; who has given none until then is gone. */
const PING_MS = 20_000;

/** How long clients may take to answer a goodbye when all are closed, in ms. */
const CLOSE_TIMEOUT_MS = 250;

/** The peer goes away: clients come back, elsewhere or later. */
const GOING_AWAY = 1001;

export interface DocumentSocketsOptions {
  readonly service: DocumentService;
  readonly access: ClientAccess;
  readonly origins: Origins;
  readonly now: () => number;
  readonly onFault: (error: unknown) => void;
}

export class DocumentSockets {
  readonly #options: DocumentSocketsOptions;
  readonly #server = new WebSocketServer({
    ...{ noServer: true, clientTracking: false, perMessageDeflate: false },
    maxPayload: CLIENT_MESSAGE_BYTES_MAX,
  });
  readonly #sockets = new Map<WebSocket, { isAlive: boolean }>();
  readonly #timer: NodeJS.Timeout;
  readonly #trials = new Trials();
  #isClosed = false;
  #onEmpty: () => void = () => {};

  constructor(options: DocumentSocketsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#ping(), PING_MS);
    this.#timer.unref();
  }

  get clientCount(): number {
    return this.#sockets.size;
  }

  /** Takes over a socket whose request asks for an upgrade below `DOCUMENTS_PATH`. */
  acceptUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => {});
    let name: string | undefined;
    let mayWrite = false;
    try {
      name = nameIn(request);
      mayWrite = this.#judge(request) && !name?.startsWith(SYSTEM_PREFIX);
    } catch (error) {
      answerOn(socket, answerTo(error) ?? FAULT);
      return;
    }
    if (name === undefined) answerOn(socket, answerWith(404));
    else {
      const document = name;
      this.#server.handleUpgrade(request, socket, head, (accepted) =>
        this.#accept(accepted, document, mayWrite),
      );
    }
  }

  /** Closes every client; resolves when all are gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#trials.close();
    if (this.#sockets.size === 0) return;
    for (const socket of this.#sockets.keys()) socket.close(GOING_AWAY);
    const stragglers = setTimeout(() => {
      for (const socket of this.#sockets.keys()) socket.terminate();
    }, CLOSE_TIMEOUT_MS);
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    clearTimeout(stragglers);
  }

  /** Whether the client may write. Throws why it is not let in. */
  #judge(request: IncomingMessage): boolean {
    const { access, origins } = this.#options;
    if (this.#isClosed) throw new HearsayError("CLOSED", "Cannot connect: the peer is closing");
    const { headers } = request;
    if (!isAllowedOrigin(headers, origins) && !this.#isPageOfPeer(request)) {
      throw new HearsayError("FORBIDDEN", "Cannot connect from a page of another origin"); // [S2]
    }
    if (this.#sockets.size >= CLIENTS_MAX) {
      throw new HearsayError("RATE_LIMITED", `Cannot connect: there are ${CLIENTS_MAX} clients`);
    }
    return includesScope(access.scopeOf(request), "write");
  }

  /** The page that edits documents goes on at other peers than the one that it came from. */
  #isPageOfPeer({ headers, socket }: IncomingMessage): boolean {
    const { origins, service } = this.#options;
    const scheme = "encrypted" in socket ? "https:" : "http:";
    return origins === "same-host" && isPageOf(headers, scheme, service.pageAddresses());
  }

  #accept(socket: WebSocket, name: string, mayWrite: boolean): void {
    const { service, now, onFault } = this.#options;
    const life = { isAlive: true };
    this.#sockets.set(socket, life);
    const client = new DocumentClient(socket, { mayWrite, now, trials: this.#trials });
    socket.on("error", () => {}); // `close` follows.
    socket.on("pong", () => {
      life.isAlive = true;
    });
    socket.on("message", (bytes: Buffer, isBinary) => {
      life.isAlive = true;
      try {
        client.received(bytes, isBinary);
      } catch (error) {
        onFault(error);
      }
    });
    socket.on("close", () => {
      this.#sockets.delete(socket);
      client.closed();
      if (this.#sockets.size === 0) this.#onEmpty();
    });
    service.whenLoaded((documents) => {
      if (socket.readyState !== socket.OPEN) return;
      const room = documents.open(name);
      if (room === undefined) client.refuse();
      else client.enter(room);
    });
  }

  #ping(): void {
    for (const [socket, life] of this.#sockets) {
      if (!life.isAlive) socket.terminate();
      else {
        life.isAlive = false;
        socket.ping();
      }
    }
  }
}

/** The name of a document in a request: the rest of the path, decoded. Undefined where it is none. */
function nameIn(request: IncomingMessage): string | undefined {
  const [path = ""] = (request.url ?? "").split("?");
  try {
    const name = decodeURIComponent(path.slice(DOCUMENTS_PATH.length));
    return name.length > 0 && name.length <= DOCUMENT_NAME_LENGTH_MAX ? name : undefined;
  } catch {
    return undefined;
  }
}
