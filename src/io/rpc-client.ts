/**
 * A client's side of calls: which are under way, over which channel, and what becomes of them.
 *
 *   connecting -> open -> connecting -> ... -> closed
 *
 * Theory of operation
 *
 * A client has one channel at a time, to one of the addresses it was given. When that ends it tries the
 * next one at once, and then all of them again and again, with back-off and jitter. Calls do not fail with
 * a channel: one that was not sent waits for the next channel, and one that may be repeated is sent
 * again. Only a call that writes, was sent, and has no answer is given up, with `TIMEOUT`: nobody knows
 * whether it was done, and it must not be done twice [Q2]. A call that was never sent ends with
 * `UNREACHABLE`, and nothing has happened.
 *
 * Every call has a deadline, unless it waits for something, and may be cancelled; either way it ends here
 * at once, and the peer is told that nobody waits any more [Q3].
 *
 * A stream is a call that goes on. Over a new channel it begins again, and its reader is told by a marker
 * that there was a gap. The marker comes before everything that the new channel brings, so whoever looks
 * at the whole table when it reads one has missed nothing [Q5].
 *
 * A channel that is silent is not trusted: a ping goes out, and if nothing comes back it is cut.
 *
 * Rules: SPEC.md, section Q.
 */
import hyperid from "hyperid";
import { type ErrorCode, HearsayError } from "../core/error.ts";
import { RPC_CALLS_MAX } from "../core/limits.ts";
import type { Address, Instant } from "../core/units.ts";
import {
  type ClientMessage,
  decodeRpcFrame,
  encodeRpcMessage,
  type PeerIdentity,
  REQUEST_BYTES_MAX,
  type ServerMessage,
  TO_CLIENT,
} from "../wire/rpc-codec.ts";
import type { Clock } from "./clock.ts";
import { type Deadline, Deadlines } from "./deadlines.ts";
import type { ChannelEnding, Dial } from "./rpc-channel.ts";
import { RpcConnector } from "./rpc-connector.ts";
import { RpcOutbox } from "./rpc-outbox.ts";

const uniqueId = hyperid({ urlSafe: true });

/** A call, as its caller hears of it. One of `failed` and `ended`, or for a call `answered`, is the last. */
export interface Sink {
  /** The result of a call; of a stream, that it has begun, also when it has begun again. */
  answered(value: unknown): void;
  item(value: unknown): void;
  ended(): void;
  failed(error: unknown): void;
}

export interface Request {
  readonly method: string;
  readonly args: readonly unknown[];
  /** Whether doing it twice is doing it once. */
  readonly isRepeatable: boolean;
  readonly isStream: boolean;
  /** How long the answer is waited for, in ms. Infinity: without end. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

interface Call {
  readonly id: string;
  readonly request: Request;
  readonly sink: Sink;
  readonly until: Instant;
  readonly deadline: Deadline | undefined;
  readonly onAbort: (() => void) | undefined;
  /** Whether the peer that is connected now may have got it. */
  isSent: boolean;
}

export interface RpcClientOptions {
  readonly addresses: readonly Address[];
  readonly dial: Dial;
  readonly clock: Clock;
  /** A number from 0 to 1, for jitter. */
  readonly random: () => number;
  readonly onConnected: (address: Address, peer: PeerIdentity) => void;
  /** The channel is gone, and others are tried. */
  readonly onDisconnected: (ending: ChannelEnding) => void;
}

export class RpcClient {
  readonly #connector: RpcConnector;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #outbox: RpcOutbox;
  readonly #calls = new Map<string, Call>();
  /** Why no call is taken any more. */
  #over: HearsayError | undefined;

  /** Does nothing yet: `connect` does. */
  constructor(options: RpcClientOptions) {
    const { clock } = options;
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock);
    this.#outbox = new RpcOutbox((frame) => this.#connector.send(frame));
    this.#connector = new RpcConnector({
      ...options,
      deadlines: this.#deadlines,
      onFrame: (bytes) => this.#receive(bytes),
      onPing: () => this.#outbox.add(encodeRpcMessage({ type: "ping" })),
      onConnected: (address, peer) => {
        options.onConnected(address, peer);
        for (const call of [...this.#calls.values()]) this.#send(call);
      },
      onDisconnected: (ending) => {
        this.#disconnected(ending);
        options.onDisconnected(ending);
      },
    });
  }

  /** Connects to the first address that lets it in. Rejects when none does, and the client is over. */
  async connect(): Promise<void> {
    try {
      await this.#connector.connect();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The peer that is connected now. */
  get peer(): PeerIdentity | undefined {
    return this.#connector.peer;
  }

  /** Begins a call. Returns a function that cancels it without a word to its sink. */
  call(request: Request, sink: Sink): () => void {
    const { method, signal, timeoutMs } = request;
    const refusal = this.#over ?? (signal?.aborted ? signal.reason : undefined);
    if (refusal !== undefined || this.#calls.size >= RPC_CALLS_MAX) {
      const full = `Cannot call ${method}: ${RPC_CALLS_MAX} calls wait for an answer`;
      sink.failed(refusal ?? new HearsayError("BUFFER_FULL", full)); // [Q4]
      return ignore;
    }
    const id = uniqueId();
    const until = this.#clock.now() + timeoutMs;
    const deadline =
      timeoutMs === Number.POSITIVE_INFINITY
        ? undefined
        : this.#deadlines.set(until, () => this.#expire(call));
    const onAbort = signal && (() => this.#cancel(call) && sink.failed(signal.reason));
    const call: Call = { id, request, sink, until, deadline, onAbort, isSent: false };
    if (onAbort !== undefined) signal?.addEventListener("abort", onAbort);
    this.#calls.set(id, call);
    if (this.peer !== undefined) this.#send(call);
    return () => void this.#cancel(call);
  }

  /** Ends everything at once: calls under way fail with `CLOSED`. Idempotent. */
  close(): void {
    if (this.#over !== undefined) return;
    this.#over = new HearsayError("CLOSED", "The client is closed");
    this.#outbox.flush();
    this.#connector.close();
    this.#deadlines.clearAll();
    for (const call of [...this.#calls.values()]) this.#fail(call, this.#over);
  }

  #send(call: Call): void {
    const { request, id, until } = call;
    const { method, args } = request;
    const leftMs = until - this.#clock.now();
    const timeoutMs = leftMs === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.ceil(leftMs));
    const bytes = encodeRpcMessage({ type: "call", id, method, timeoutMs, args });
    if (bytes.length > REQUEST_BYTES_MAX) {
      const message = `Cannot call ${method}: its arguments are larger than a frame may be`;
      this.#fail(call, new HearsayError("FRAME_TOO_LARGE", message));
      return;
    }
    call.isSent = true;
    this.#outbox.add(bytes);
  }

  #receive(bytes: Uint8Array): void {
    const frame = decodeRpcFrame(bytes, TO_CLIENT);
    if (!frame.ok) {
      this.#connector.giveUp(frame.code);
      return;
    }
    for (const message of frame.messages) {
      if (message.type === "welcome") this.#connector.welcomed(message);
      else if (message.type !== "pong") this.#hear(message);
    }
  }

  #hear(message: Exclude<ServerMessage, { type: "welcome" | "pong" }>): void {
    const call = this.#calls.get(message.id);
    if (call === undefined) return; // Nobody waits for it any more.
    const { sink, request } = call;
    switch (message.type) {
      case "answer":
        if (!request.isStream) this.#forget(call);
        sink.answered(message.value);
        break;
      case "item":
        sink.item(message.value);
        break;
      case "end":
        this.#forget(call);
        sink.ended();
        break;
      case "refusal":
        // A peer of a later release may have codes that are unknown here; they are passed on as they are.
        this.#fail(
          call,
          new HearsayError(message.code as ErrorCode, message.message, {
            stragglers: message.stragglers,
          }),
        );
    }
  }

  #disconnected({ reason }: ChannelEnding): void {
    this.#outbox.discard();
    for (const call of [...this.#calls.values()]) {
      const { isRepeatable, method } = call.request;
      if (call.isSent && !isRepeatable) {
        const message = `Cannot call ${method}: the connection ${reason} before an answer came, so whether it was done is unknown`;
        this.#fail(call, new HearsayError("TIMEOUT", message)); // [Q2]
      }
      call.isSent = false;
    }
  }

  #expire(call: Call): void {
    const { isSent, request } = call;
    if (!this.#cancel(call)) return;
    const what = `Cannot call ${request.method}`;
    const error = isSent
      ? new HearsayError("TIMEOUT", `${what}: no answer within ${request.timeoutMs} ms`)
      : new HearsayError("UNREACHABLE", `${what}: no peer was connected in time, nothing was sent`);
    call.sink.failed(error); // [Q2]
  }

  /** Waits for it no more. False when it was over already. */
  #cancel(call: Call): boolean {
    if (!this.#forget(call)) return false;
    if (call.isSent) this.#say({ type: "cancel", id: call.id }); // [Q3]
    return true;
  }

  #fail(call: Call, error: unknown): void {
    if (this.#forget(call)) call.sink.failed(error);
  }

  #forget(call: Call): boolean {
    const { id, deadline, onAbort, request } = call;
    if (!this.#calls.delete(id)) return false;
    this.#deadlines.clear(deadline);
    if (onAbort !== undefined) request.signal?.removeEventListener("abort", onAbort);
    return true;
  }

  #say(message: ClientMessage): void {
    if (this.peer !== undefined) this.#outbox.add(encodeRpcMessage(message));
  }
}

function ignore(): void {}
