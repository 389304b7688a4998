/**
 * `ws /live`: clients that follow queries and write rows, each over one WebSocket, in JSON.
 *
 *   {"op":"subscribe","sub":1,"query":{...},"resume":"..."}    {"sub":1,"subscribed":true}
 *                                                              {"sub":1,"deltas":[...]}, again and again
 *                                                              {"sub":1,"ended":{"code","message"}}
 *   {"op":"reanchor","sub":1,"query":{...}}                    {"sub":1,"subscribed":true}, then a reset
 *   {"op":"unsubscribe","sub":1}                               {"sub":1,"ended":null}
 *   {"op":"put","call":7,"row":{...}}                          {"call":7,"result":{"applied","version"}}
 *   {"op":"delete","call":8,"row":{...}}                       {"call":8,"error":{"code","message"}}
 *
 * `sub` and `call` are numbers of the client's own. Deltas of one message belong together.
 *
 * A client that does not read is sent nothing more: what it misses waits in bounded queues, and then it has
 * lagged (`client-queue.ts`). If it does not read on, it is cut off. One that sends what makes no sense is
 * told so, or closed where there is nobody to be told.
 *
 * Rules: SPEC.md, V7, V9, V11, S4 and S5.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { type ErrorCode, HearsayError } from "../../core/error.ts";
import { FRAME_FRAGMENTS_MAX } from "../../core/limits.ts";
import { answerOn, answerTo, FAULT } from "../../io/http-errors.ts";
import { isAllowedOrigin, type Origins } from "../../io/origin.ts";
import { liveDeltas } from "../live-delta.ts";
import type { LiveQuery } from "../query.ts";
import { isRecord } from "../row.ts";
import type { LiveDoor } from "./live-door.ts";
import type { DeleteRow, Feed, LiveService, PutRow } from "./live-service.ts";

/** Size of a message from a client, in bytes: the largest row, each character of it escaped twice. */
const MESSAGE_BYTES_MAX = 524_288;

/** Clients at once. */
const SOCKETS_MAX = 1024;

/** Queries that one client follows. */
const SUBSCRIPTIONS_MAX = 1000;

/** Calls of one client that have no answer yet. */
const CALLS_MAX = 256;

/** Refusals of one client between two looks at it: beyond it nothing more is looked at, and it is closed. */
const REFUSALS_MAX = 1000;

/** How long a client has to take a close frame, in ms. */
const CLOSE_MS = 250;

/** Bytes on the way to a client above which it is sent no more. */
const BUFFERED_BYTES_HIGH = 262_144;

/** How often clients are looked at: whether they live, read, and may still be here, in ms. */
const LOOK_MS = 10_000;

/** Close codes, as RFC 6455 has them. */
const GOING_AWAY = 1001;
const UNSUPPORTED = 1003;
const POLICY_VIOLATION = 1008;

export interface LiveSocketsOptions {
  readonly service: LiveService;
  readonly door: LiveDoor;
  readonly origins: Origins;
  /** A request failed by a fault of this peer. */
  readonly onFault: (error: unknown) => void;
}

interface Client {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  /** By the client's numbers; undefined while it is asked whether it may. */
  readonly feeds: Map<number, Feed | undefined>;
  /** Subscriptions that have something to say, and have to wait. */
  readonly waiting: Set<number>;
  calls: number;
  refusals: number;
  /** What it had not read when it was looked at last, while it is sent nothing. */
  stalledAt: number | undefined;
  isAlive: boolean;
}

export class LiveSockets {
  readonly #options: LiveSocketsOptions;
  readonly #server = new WebSocketServer({
    ...{ noServer: true, clientTracking: false, perMessageDeflate: false }, // [S4]
    ...{ maxPayload: MESSAGE_BYTES_MAX, maxFragments: FRAME_FRAGMENTS_MAX },
  });
  readonly #clients = new Set<Client>();
  #look: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: LiveSocketsOptions) {
    this.#options = options;
  }

  /** Takes over a socket whose request asks for an upgrade. */
  acceptUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => {});
    try {
      const { door, origins } = this.#options;
      if (this.#isClosed) throw new HearsayError("CLOSED", "Cannot connect: the peer is closing");
      if (!isAllowedOrigin(request.headers, origins)) {
        throw new HearsayError("FORBIDDEN", "Cannot connect from a page of another origin"); // [S2]
      }
      door.check(request);
      if (this.#clients.size >= SOCKETS_MAX) {
        throw new HearsayError("RATE_LIMITED", `Cannot connect: ${SOCKETS_MAX} clients are here`);
      }
      this.#server.handleUpgrade(request, socket, head, (ws) => this.#accept(ws, request));
    } catch (error) {
      answerOn(socket, answerTo(error) ?? FAULT);
    }
  }

  /** Tells all clients that the peer goes. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#look);
    for (const client of [...this.#clients]) {
      this.#end(client, GOING_AWAY, "CLOSED");
    }
  }

  #accept(socket: WebSocket, request: IncomingMessage): void {
    const client: Client = {
      ...{ socket, request, feeds: new Map(), waiting: new Set(), calls: 0, refusals: 0 },
      ...{ stalledAt: undefined, isAlive: true },
    };
    this.#clients.add(client);
    this.#look ??= setInterval(() => this.#lookAtAll(), LOOK_MS).unref();
    socket.on("error", () => {});
    socket.on("pong", () => {
      client.isAlive = true;
    });
    socket.on("close", () => this.#forget(client));
    socket.on("message", (bytes: Buffer, isBinary) => {
      if (!this.#clients.has(client)) return; // It has been closed, and floods on.
      client.isAlive = true;
      const message = isBinary ? undefined : parse(bytes);
      if (message === undefined) socket.close(UNSUPPORTED, "BAD_REQUEST");
      else void this.#handle(client, message);
    });
  }

  async #handle(client: Client, message: Record<string, unknown>): Promise<void> {
    const { op, sub, call } = message;
    try {
      if (op === "put" || op === "delete") await this.#write(client, op, call, message.row);
      else if (!isNumber(sub)) client.socket.close(POLICY_VIOLATION, "BAD_REQUEST");
      else if (op === "subscribe") await this.#subscribe(client, sub, message);
      else if (op === "reanchor") await this.#reanchor(client, sub, message.query);
      else if (op === "unsubscribe") {
        client.feeds.get(sub)?.close();
        client.feeds.delete(sub);
        this.#say(client, { sub, ended: null });
      } else throw new HearsayError("BAD_REQUEST", "Cannot do this: there is no such op");
    } catch (error) {
      const { code, message: text } = this.#refusalOf(error);
      this.#options.service.countRefusal(code);
      client.refusals += 1;
      if (client.refusals > REFUSALS_MAX) {
        this.#end(client, POLICY_VIOLATION, "RATE_LIMITED"); // [S4]
        return;
      }
      if (isNumber(call)) this.#say(client, { call, error: { code, message: text } });
      else {
        client.feeds.get(sub as number)?.close();
        client.feeds.delete(sub as number);
        this.#say(client, { sub, ended: { code, message: text } });
      }
    }
  }

  async #subscribe(client: Client, sub: number, message: Record<string, unknown>): Promise<void> {
    const { door } = this.#options;
    if (client.feeds.has(sub)) {
      throw new HearsayError("BAD_REQUEST", "Cannot subscribe: that number is in use");
    }
    if (client.feeds.size >= SUBSCRIPTIONS_MAX) {
      const text = `Cannot subscribe: a client follows ${SUBSCRIPTIONS_MAX} queries at most`;
      throw new HearsayError("RATE_LIMITED", text); // [S4]
    }
    client.feeds.set(sub, undefined);
    const query = await door.query(client.request, message.query); // [V11]
    if (!client.feeds.has(sub) || !this.#clients.has(client)) return; // Given up meanwhile.
    const wake = (): void => this.#serve(client, sub);
    client.feeds.set(sub, door.follow(client.request, query, wake, resumeOf(message.resume)));
    this.#say(client, { sub, subscribed: true });
    this.#serve(client, sub);
  }

  async #reanchor(client: Client, sub: number, asked: unknown): Promise<void> {
    const feed = client.feeds.get(sub);
    if (feed === undefined) throw new HearsayError("BAD_REQUEST", "Cannot reanchor: no such sub");
    await this.#options.door.query(client.request, asked);
    if (client.feeds.get(sub) !== feed) return;
    this.#say(client, { sub, subscribed: true });
    feed.reanchor(asked as LiveQuery);
    this.#serve(client, sub);
  }

  async #write(client: Client, op: "put" | "delete", call: unknown, row: unknown): Promise<void> {
    const { service, door } = this.#options;
    if (!isNumber(call)) {
      client.socket.close(POLICY_VIOLATION, "BAD_REQUEST");
      return;
    }
    if (client.calls >= CALLS_MAX) {
      throw new HearsayError("BUFFER_FULL", `Cannot write: ${CALLS_MAX} calls wait`); // [S4]
    }
    client.calls += 1;
    try {
      await door.write(client.request, op, row);
      const result =
        op === "put" ? await service.put(row as PutRow) : await service.delete(row as DeleteRow);
      this.#say(client, { call, result });
    } finally {
      client.calls -= 1;
    }
  }

  /** Sends what a subscription has to say, as long as the client reads. */
  #serve(client: Client, sub: number): void {
    const feed = client.feeds.get(sub);
    while (feed !== undefined) {
      if (client.socket.bufferedAmount > BUFFERED_BYTES_HIGH) {
        client.waiting.add(sub); // [V9]
        return;
      }
      const news = feed.take();
      if (news === undefined) return;
      if (news === "lagged") this.#say(client, { sub, deltas: [{ type: "lagged" }] });
      else if (news.type === "ended") {
        const { code, message } = news.refusal;
        feed.close();
        client.feeds.delete(sub);
        this.#say(client, { sub, ended: { code, message } });
        return;
      } else this.#say(client, { sub, deltas: liveDeltas(news, feed.query) });
    }
  }

  #say(client: Client, message: object): void {
    const { socket, waiting } = client;
    if (socket.readyState !== socket.OPEN) return;
    socket.send(JSON.stringify(message), () => {
      if (socket.bufferedAmount > BUFFERED_BYTES_HIGH / 2) return;
      if (socket.isPaused) socket.resume();
      const subs = [...waiting];
      waiting.clear();
      for (const sub of subs) this.#serve(client, sub);
    });
    // [S4] Who does not read what it is answered is not listened to, either.
    if (socket.bufferedAmount > BUFFERED_BYTES_HIGH) socket.pause();
  }

  #lookAtAll(): void {
    for (const client of [...this.#clients]) {
      const { socket, request } = client;
      const buffered = socket.bufferedAmount;
      const isStalled = client.stalledAt !== undefined && buffered >= client.stalledAt;
      client.stalledAt = buffered > BUFFERED_BYTES_HIGH ? buffered : undefined;
      if (!client.isAlive || isStalled) {
        socket.terminate(); // [V9] It is gone, or does not read on.
        continue;
      }
      client.isAlive = false;
      client.refusals = 0;
      socket.ping();
      try {
        this.#options.door.check(request);
      } catch {
        socket.close(POLICY_VIOLATION, "AUTH_FAILED"); // [S2] The token has been withdrawn.
      }
    }
  }

  /** Closes a client, and what it says from now on is not heard. */
  #end(client: Client, status: number, reason: string): void {
    const { socket } = client;
    socket.close(status, reason);
    socket.pause();
    setTimeout(() => socket.terminate(), CLOSE_MS).unref();
    this.#forget(client);
  }

  #forget(client: Client): void {
    if (!this.#clients.delete(client)) return;
    for (const feed of client.feeds.values()) feed?.close();
    client.feeds.clear();
    client.waiting.clear();
  }

  #refusalOf(error: unknown): { readonly code: ErrorCode; readonly message: string } {
    if (error instanceof HearsayError) return error;
    this.#options.onFault(error);
    return { code: "HANDLER_FAILED", message: "Cannot answer: the peer has failed" };
  }
}

function resumeOf(resume: unknown): string | undefined {
  if (resume === undefined || typeof resume === "string") return resume;
  throw new HearsayError("BAD_REQUEST", "Cannot subscribe: resume is no text");
}

function parse(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const message: unknown = JSON.parse(bytes.toString("utf8"));
    return isRecord(message) ? message : undefined;
  } catch {
    return undefined;
  }
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
