/**
 * The clients of a peer: lets them in at `/rpc`, and closes them with the peer.
 *
 * Whoever is not let in hears it as the answer to the upgrade, with a status: a page of a foreign origin
 * 403, a wrong token 401, one client too many 429.
 *
 * A session may outlive the token that opened it. So what the token allows is looked up again from time to
 * time, and a client whose token has been withdrawn is closed. A token that nobody asked for is refused and
 * not ignored: whoever sends one believes that strangers are kept out here, and they are not.
 *
 * Deliberately absent: peers. No frame of a client reaches what opens or keeps links [S2].
 *
 * Rules: SPEC.md, S2, S4, S5 and section Q.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { HearsayError } from "../core/error.ts";
import { RPC_FRAME_BYTES_MAX, RPC_SESSIONS_MAX } from "../core/limits.ts";
import type { LinkCloseCode } from "../wire/close-code.ts";
import type { PeerIdentity } from "../wire/rpc-codec.ts";
import type { ClientAccess, Scope } from "./client-access.ts";
import type { Clock } from "./clock.ts";
import { Deadlines } from "./deadlines.ts";
import { answerOn, answerTo, FAULT } from "./http-errors.ts";
import { isAllowedOrigin, type Origins } from "./origin.ts";
import { RPC_SOCKET_OPTIONS, WebSocketChannel } from "./rpc-channel.ts";
import type { RpcTarget } from "./rpc-methods.ts";
import { RpcSession } from "./rpc-session.ts";

/** How often a client's token is looked up again, in ms. */
const ACCESS_CHECK_MS = 10_000;

/** How long clients may take to answer a goodbye when all are closed, in ms. */
const CLOSE_TIMEOUT_MS = 250;

export interface RpcServerOptions {
  readonly target: RpcTarget;
  /** Who this peer is; asked again for every client. */
  readonly identity: () => PeerIdentity;
  /** Decides what clients may do. */
  readonly access: ClientAccess;
  readonly origins: Origins;
  readonly clock: Clock;
  /** A call failed by a fault of this peer. */
  readonly onFault: (error: unknown) => void;
  /** Clients at once. Default RPC_SESSIONS_MAX. */
  readonly sessionsMax?: number;
}

interface Client {
  readonly request: IncomingMessage;
  readonly channel: WebSocketChannel;
  readonly session: RpcSession;
  scope: Scope;
}

export class RpcServer {
  readonly #options: Required<RpcServerOptions>;
  readonly #server = new WebSocketServer({
    ...RPC_SOCKET_OPTIONS,
    maxPayload: RPC_FRAME_BYTES_MAX,
    noServer: true,
    clientTracking: false,
  });
  readonly #clients = new Set<Client>();
  readonly #deadlines: Deadlines;
  #closed: Promise<void> | undefined;
  #onEmpty: () => void = () => {};

  constructor(options: RpcServerOptions) {
    this.#options = { sessionsMax: RPC_SESSIONS_MAX, ...options };
    this.#deadlines = new Deadlines(options.clock);
  }

  /** Clients that are connected. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** Takes over a socket whose HTTP request asks for an upgrade at `RPC_PATH`. */
  acceptUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => {}); // From here until `ws` listens, and after it has stopped.
    try {
      const scope = this.#judge(request);
      this.#server.handleUpgrade(request, socket, head, (accepted) =>
        this.#accept(accepted, request, scope),
      );
    } catch (error) {
      answerOn(socket, answerTo(error) ?? FAULT);
    }
  }

  /** Closes every client, and resolves when all are gone. Idempotent. */
  close(code: LinkCloseCode): Promise<void> {
    this.#closed ??= this.#close(code);
    return this.#closed;
  }

  /** What the client may do. Throws the reason why it is not let in. */
  #judge(request: IncomingMessage): Scope {
    const { access, origins, sessionsMax } = this.#options;
    const { headers } = request;
    if (this.#closed !== undefined) {
      throw new HearsayError("CLOSED", "Cannot connect: the peer is closing");
    }
    if (!isAllowedOrigin(headers, origins)) {
      throw new HearsayError("FORBIDDEN", "Cannot connect from a page of another origin"); // [S2]
    }
    if (headers.authorization !== undefined && !access.knowsTokens) {
      throw new HearsayError("AUTH_FAILED", "Cannot connect with a token: this peer knows none");
    }
    const scope = access.scopeOf(request);
    if (this.#clients.size < sessionsMax) return scope;
    throw new HearsayError("RATE_LIMITED", `Cannot connect: ${sessionsMax} clients are here`); // [S4]
  }

  #accept(socket: WebSocket, request: IncomingMessage, scope: Scope): void {
    const { target, identity, clock, onFault } = this.#options;
    const channel = new WebSocketChannel(socket, {
      onFrame: (bytes) => session.receive(bytes),
      onWritten: () => session.noticeWritten(),
      onClosed: () => {
        this.#clients.delete(client);
        session.dispose();
        if (this.#clients.size === 0) this.#onEmpty();
      },
    });
    const session = new RpcSession({
      ...{ channel, target, clock, onFault },
      welcome: { type: "welcome", ...identity() },
      scope: () => client.scope,
    });
    const client: Client = { request, channel, session, scope };
    this.#clients.add(client);
    this.#watchAccess(client);
  }

  #watchAccess(client: Client): void {
    const { clock, access } = this.#options;
    this.#deadlines.set(clock.now() + ACCESS_CHECK_MS, () => {
      if (!this.#clients.has(client)) return;
      try {
        client.scope = access.scopeOf(client.request);
        this.#watchAccess(client);
      } catch {
        client.session.end("AUTH_FAILED"); // [S2] It has been withdrawn.
      }
    });
  }

  async #close(code: LinkCloseCode): Promise<void> {
    this.#deadlines.clearAll();
    if (this.#clients.size === 0) return;
    for (const { session } of this.#clients) session.end(code);
    const stragglers = setTimeout(() => {
      for (const { channel } of this.#clients) channel.terminate();
    }, CLOSE_TIMEOUT_MS);
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    clearTimeout(stragglers);
  }
}
