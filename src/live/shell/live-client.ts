/**
 * Live queries from another process: what `Client.live` and `hearsay live` speak to a peer's `ws /live`.
 *
 * The connection is made when it is first needed, to the first address that answers, and again whenever it
 * is lost. Then every query is followed anew from the position that was seen last: its iteration goes on with
 * what was missed, or with a reset, and nobody has to notice. A write whose answer is lost with its
 * connection fails with `TIMEOUT`: whether it was done is not known.
 *
 * A reader who leaves too much unread gets `lagged` and then a reset, as at a peer.
 *
 * Rules: SPEC.md, V7, V9 and V12.
 */
import { WebSocket } from "ws";
import { type ErrorCode, HearsayError, isErrorCode } from "../../core/error.ts";
import type { DialOptions } from "../../io/rpc-channel.ts";
import { isTlsRefusal, TLS_VERSION } from "../../io/tls.ts";
import { Watcher } from "../../io/watcher.ts";
import type { LiveDelta } from "../live-delta.ts";
import type { LiveQuery } from "../query.ts";
import { isRecord } from "../row.ts";
import type { Written } from "../row-table.ts";
import type { DeleteRow, PutRow } from "./live-service.ts";

/** Size of a message of a peer, in bytes: a window of the most rows, each of a few kilobytes. */
const MESSAGE_BYTES_MAX = 268_435_456;

/** Deltas that one reader may leave unread. */
const UNREAD_MAX = 16_384;

/** How long one address may take to let this client in, in ms. */
const CONNECT_TIMEOUT_MS = 3000;

/** Wait before the addresses are tried again, in ms: twice as long each time. */
const RETRY_MS = 50;
const RETRY_MS_MAX = 1000;

/** How long a write waits for its answer, in ms. */
const WRITE_TIMEOUT_MS = 10_000;

/** Writes that have no answer. */
const CALLS_MAX = 256;

export interface FollowOptions {
  /** What was seen last: `at` of a delta. Default: a reset comes first. */
  readonly resume?: string;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}

interface Subscription {
  readonly query: LiveQuery;
  readonly items: Watcher<LiveDelta>;
  at: string | undefined;
  /** Deltas that the reader has not taken. */
  unread: number;
  /** Whether deltas mean nothing until a reset comes. */
  isLagging: boolean;
}

interface Call {
  readonly resolve: (written: Written) => void;
  readonly reject: (error: unknown) => void;
  readonly timeout: NodeJS.Timeout;
}

/** Rows of a cluster and queries over them, from another process. */
export class LiveClient {
  readonly #addresses: readonly string[];
  readonly #dial: DialOptions;
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #calls = new Map<number, Call>();
  /** What is to be said once the connection is open. */
  #unsaid: object[] = [];
  #socket: WebSocket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS;
  #attempts = 0;
  #hasConnected = false;
  #last = 0;
  #isClosed = false;

  constructor(addresses: readonly string[], dial: DialOptions) {
    this.#addresses = addresses;
    this.#dial = dial;
  }

  /** Writes a row; resolves to whether that changed anything. Rejects with the code of the peer, or `TIMEOUT`. */
  put(row: PutRow): Promise<Written> {
    return this.#write("put", row);
  }

  /** Deletes a row; that there is none is no error. Rejects like `put`. */
  delete(row: DeleteRow): Promise<Written> {
    return this.#write("delete", row);
  }

  /**
   * Follows a query, through losses of the connection. Ends with `signal`, with the iteration and when this
   * client is closed; rejects with the code by which a peer refuses it, with `AUTH_FAILED` for a certificate
   * that is not trusted, and with `UNREACHABLE` when no address has answered even once.
   */
  subscribe(
    query: LiveQuery,
    { resume, signal }: FollowOptions = {},
  ): AsyncIterableIterator<LiveDelta> {
    this.#last += 1;
    const sub = this.#last;
    const stop = (): void => items.end();
    const items = new Watcher<LiveDelta>(UNREAD_MAX * 2, () => {
      signal?.removeEventListener("abort", stop);
      this.#subscriptions.delete(sub);
      this.#say({ op: "unsubscribe", sub });
    });
    const subscription: Subscription = { query, items, at: resume, unread: 0, isLagging: false };
    if (this.#isClosed || signal?.aborted) {
      items.end();
      return items;
    }
    signal?.addEventListener("abort", stop);
    this.#subscriptions.set(sub, subscription);
    this.#say(subscribeMessage(sub, subscription));
    const next = items.next.bind(items);
    items.next = () => {
      subscription.unread = Math.max(0, subscription.unread - 1);
      return next();
    };
    return items;
  }

  /** Ends everything. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#retry);
    for (const { items } of [...this.#subscriptions.values()]) items.end();
    this.#failCalls(new HearsayError("CLOSED", "Cannot write: this client is closed"));
    this.#socket?.close();
    this.#socket?.terminate();
  }

  #write(op: "put" | "delete", row: object): Promise<Written> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new HearsayError("CLOSED", "Cannot write: this client is closed");
      if (this.#calls.size >= CALLS_MAX) {
        throw new HearsayError("BUFFER_FULL", `Cannot write: ${CALLS_MAX} calls wait`); // [S4]
      }
      this.#last += 1;
      const call = this.#last;
      const timeout = setTimeout(() => {
        this.#calls.delete(call);
        reject(new HearsayError("TIMEOUT", "Cannot tell whether the row was written"));
      }, WRITE_TIMEOUT_MS);
      this.#calls.set(call, { resolve, reject, timeout });
      this.#say({ op, call, row });
    });
  }

  #say(message: object): void {
    if (this.#isClosed) return;
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(message));
      return;
    }
    // What is followed is said anew by itself.
    if ("call" in message) this.#unsaid.push(message);
    if (this.#socket === undefined && this.#retry === undefined) this.#connect();
  }

  #connect(): void {
    const address = this.#addresses[this.#attempts % this.#addresses.length];
    this.#attempts += 1;
    const { token, tls } = this.#dial;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const trust = tls?.ca === undefined ? {} : { ca: tls.ca };
    const socket = new WebSocket(`${tls ? "wss" : "ws"}://${address}/live`, {
      ...(tls && { ...TLS_VERSION, ...trust }),
      ...{ headers, perMessageDeflate: false, maxPayload: MESSAGE_BYTES_MAX },
      handshakeTimeout: CONNECT_TIMEOUT_MS,
    });
    this.#socket = socket;
    let refusal: HearsayError | undefined;
    let reason = "it does not answer";
    socket.on("unexpected-response", (_request, response) => {
      refusal = refusalOf(response.statusCode ?? 500);
      response.resume();
      socket.terminate();
    });
    socket.on("error", (error: Error & { code?: string }) => {
      reason = error.code ?? error.message;
      if (!isTlsRefusal(error)) return; // `close` follows.
      refusal ??= new HearsayError("AUTH_FAILED", `Its certificate is refused: ${reason}`);
    });
    socket.on("open", () => this.#opened(socket));
    socket.on("message", (bytes: Buffer) => this.#received(bytes));
    socket.on("close", () => this.#closed(refusal ?? this.#unreachable(address, reason)));
  }

  /** Who has never been reached at any address is not waited for. */
  #unreachable(address: string | undefined, reason: string): HearsayError | undefined {
    if (this.#hasConnected || this.#attempts % this.#addresses.length !== 0) return undefined;
    return new HearsayError("UNREACHABLE", `Cannot reach ${address}: ${reason}`);
  }

  #opened(socket: WebSocket): void {
    this.#hasConnected = true;
    this.#retryMs = RETRY_MS;
    this.#attempts -= 1; // The address that answers is the first to be tried again.
    for (const [sub, each] of this.#subscriptions) {
      socket.send(JSON.stringify(subscribeMessage(sub, each)));
    }
    for (const message of this.#unsaid.splice(0)) socket.send(JSON.stringify(message));
  }

  #closed(refusal: HearsayError | undefined): void {
    this.#socket = undefined;
    if (this.#isClosed) return;
    if (refusal !== undefined) {
      this.#failAll(refusal); // It will be refused the next time, too.
      return;
    }
    const sent = new HearsayError("TIMEOUT", "The connection was lost: the write may be done");
    const isSaid = (call: number): boolean =>
      !this.#unsaid.some((message) => "call" in message && message.call === call);
    this.#failCalls(sent, isSaid);
    if (this.#subscriptions.size + this.#unsaid.length === 0) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#connect();
    }, this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX);
  }

  #received(bytes: Buffer): void {
    const message: unknown = JSON.parse(bytes.toString("utf8"));
    if (!isRecord(message)) return;
    const { sub, call, deltas, ended, result, error } = message;
    if (typeof call === "number") {
      const waiting = this.#calls.get(call);
      if (waiting === undefined) return;
      this.#calls.delete(call);
      clearTimeout(waiting.timeout);
      if (isRecord(error)) waiting.reject(errorOf(error));
      else waiting.resolve(result as Written);
      return;
    }
    const subscription = this.#subscriptions.get(sub as number);
    if (subscription === undefined) return;
    if (Array.isArray(deltas)) this.#take(sub as number, subscription, deltas as LiveDelta[]);
    else if (isRecord(ended)) subscription.items.end(errorOf(ended));
  }

  #take(sub: number, subscription: Subscription, deltas: readonly LiveDelta[]): void {
    const isReset = deltas.some(({ type }) => type === "reset");
    if (isReset) subscription.isLagging = false;
    if (subscription.isLagging) return; // Of what it has given up.
    if (subscription.unread > UNREAD_MAX && !isReset) {
      subscription.isLagging = true;
      subscription.at = undefined;
      subscription.unread += 1;
      subscription.items.put({ type: "lagged" }); // [V9]
      this.#say({ op: "unsubscribe", sub });
      this.#say(subscribeMessage(sub, subscription));
      return;
    }
    for (const delta of deltas) {
      subscription.unread += 1;
      subscription.items.put(delta);
      if (delta.at !== undefined) subscription.at = delta.at;
    }
  }

  #failCalls(error: HearsayError, which: (call: number) => boolean = () => true): void {
    for (const [call, { reject, timeout }] of [...this.#calls]) {
      if (!which(call)) continue;
      this.#calls.delete(call);
      clearTimeout(timeout);
      reject(error);
    }
  }

  #failAll(error: HearsayError): void {
    this.#unsaid = [];
    this.#failCalls(error);
    for (const { items } of [...this.#subscriptions.values()]) items.end(error);
  }
}

function subscribeMessage(sub: number, { query, at }: Subscription): object {
  return { op: "subscribe", sub, query, ...(at === undefined ? {} : { resume: at }) };
}

function errorOf({ code, message }: Record<string, unknown>): HearsayError {
  const known: ErrorCode = isErrorCode(code) ? code : "HANDLER_FAILED";
  return new HearsayError(known, String(message));
}

/** Of a peer that will not let this client in, whatever it tries; undefined of one that may later. */
function refusalOf(status: number): HearsayError | undefined {
  if (status === 401) return new HearsayError("AUTH_FAILED", "The peer knows no such token");
  if (status === 403) return new HearsayError("FORBIDDEN", "The peer does not let this client in");
  if (status === 404) {
    return new HearsayError("BAD_REQUEST", "The peer was started without live entities");
  }
  return undefined;
}
