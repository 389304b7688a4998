/**
 * One client of a peer: its calls, what became of them, and what is too much.
 *
 *   frame -> calls that wait -> calls under way -> answers -> frame
 *
 * Calls are carried out in the order in which they came, when the turn of the event loop that brought them
 * is over, and their answers leave in one frame. Most are answered from memory at once. What takes longer
 * is under way until its answer, its deadline or its cancellation, and then nobody waits for it: a
 * method that waits is told so by a signal, and the answer of one that writes is dropped.
 *
 * A client is a stranger. What it sends is judged before it is done: a malformed frame ends the session, a
 * call that makes no sense is refused and the session goes on. It may have so many calls at once and no
 * more. Calls are carried out for a few milliseconds a turn, so that one client's flood delays its
 * own calls and nobody else's. While more is on the way to a client than it reads, nothing is done for
 * it and nothing read from it; if it does not read on, it is closed [Q4].
 *
 * Rules: SPEC.md, S4, S5 and section Q.
 */
import { HearsayError } from "../core/error.ts";
import {
  RPC_BUFFERED_BYTES_HIGH,
  RPC_BUFFERED_BYTES_MAX,
  RPC_CALLS_MAX,
  RPC_SILENCE_MS,
  RPC_STALL_BYTES,
  RPC_STALL_MS,
  RPC_STREAMS_MAX,
} from "../core/limits.ts";
import type { LinkCloseCode } from "../wire/close-code.ts";
import {
  ANSWER_BYTES_MAX,
  type ClientMessage,
  decodeRpcFrame,
  encodeRpcMessage,
  type ServerMessage,
  TO_PEER,
} from "../wire/rpc-codec.ts";
import { ownText } from "../wire/sharing.ts";
import { includesScope, type Scope } from "./client-access.ts";
import type { Clock } from "./clock.ts";
import { type Deadline, Deadlines } from "./deadlines.ts";
import type { Channel } from "./rpc-channel.ts";
import { type Method, methodNamed, problemOf, type RpcTarget } from "./rpc-methods.ts";
import { RpcOutbox } from "./rpc-outbox.ts";

/** How long calls of one client are carried out in one turn of the event loop, in ms. */
const TURN_MS = 5;

export interface RpcSessionOptions {
  readonly channel: Channel;
  readonly target: RpcTarget;
  readonly welcome: Extract<ServerMessage, { type: "welcome" }>;
  readonly clock: Clock;
  /** What the client may do; asked again for every call. */
  readonly scope: () => Scope;
  /** A call failed by a fault of this peer. */
  readonly onFault: (error: unknown) => void;
}

type CallMessage = Extract<ClientMessage, { type: "call" }>;

type AnyMethod = (...args: readonly unknown[]) => unknown;

/** A call that could not be answered at once. */
interface Running {
  /** Aborts when nobody waits any more; undefined of a method that takes no signal. */
  readonly abort: AbortController | undefined;
  readonly isStream: boolean;
  deadline: Deadline | undefined;
}

export class RpcSession {
  readonly #options: RpcSessionOptions;
  readonly #deadlines: Deadlines;
  readonly #outbox: RpcOutbox;
  /** Calls that have not been looked at, in order. */
  #waiting = new Map<string, CallMessage>();
  readonly #running = new Map<string, Running>();
  #streamCount = 0;
  #work: NodeJS.Immediate | undefined;
  #hasEnded = false;
  #heardAt: number;
  /** Too much is on the way to the client. */
  #isPaused = false;
  #stall: Deadline | undefined;
  #onResume: (() => void)[] = [];

  constructor(options: RpcSessionOptions) {
    this.#options = options;
    const { channel, clock } = options;
    this.#deadlines = new Deadlines(clock);
    this.#outbox = new RpcOutbox((frame) => channel.send(frame));
    this.#heardAt = clock.now();
    this.#watchSilence();
    this.#say(options.welcome);
  }

  /** Takes a frame. */
  receive(bytes: Uint8Array): void {
    if (this.#hasEnded) return;
    this.#heardAt = this.#options.clock.now();
    const frame = decodeRpcFrame(bytes, TO_PEER);
    if (!frame.ok) {
      this.end(frame.code); // [S5] This client only.
      return;
    }
    for (const message of frame.messages) {
      if (message.type === "call") this.#queue(message);
      else if (message.type === "cancel") this.#cancel(message.id);
      else this.#say({ type: "pong" });
    }
  }

  /** Some of what was sent has left. */
  noticeWritten(): void {
    if (this.#hasEnded || !this.#isPaused) return;
    if (this.#bufferedBytes > RPC_BUFFERED_BYTES_HIGH / 2) return;
    this.#isPaused = false;
    this.#deadlines.clear(this.#stall);
    this.#options.channel.resume();
    this.#resumeStreams();
    this.#planWork();
  }

  /** Says why the session is over, and ends it. */
  end(code: LinkCloseCode): void {
    this.#outbox.flush();
    this.#options.channel.end(code);
    this.dispose();
  }

  /** Forgets everything: the channel has ended. Idempotent. */
  dispose(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (this.#work !== undefined) clearImmediate(this.#work);
    this.#waiting.clear();
    for (const { abort } of this.#running.values()) abort?.abort(); // [Q3]
    this.#running.clear();
    this.#deadlines.clearAll();
    this.#outbox.discard();
    this.#resumeStreams();
  }

  get #bufferedBytes(): number {
    return this.#outbox.pendingBytes + this.#options.channel.bufferedBytes;
  }

  #queue(call: CallMessage): void {
    const { id } = call;
    if (this.#waiting.has(id) || this.#running.has(id)) {
      this.end("MALFORMED_FRAME"); // Nobody could tell the answers apart.
    } else if (this.#waiting.size + this.#running.size >= RPC_CALLS_MAX) {
      this.#refuse(id, "BUFFER_FULL", `Cannot call: ${RPC_CALLS_MAX} calls wait for an answer`); // [Q4]
    } else if (!this.#hasEnded) {
      this.#waiting.set(id, call);
      this.#planWork();
    }
  }

  #planWork(): void {
    this.#work ??= setImmediate(() => {
      this.#work = undefined;
      this.#carryOut();
      this.#outbox.flush();
    });
  }

  #carryOut(): void {
    const { clock } = this.#options;
    const until = clock.now() + TURN_MS;
    for (const [id, call] of this.#waiting) {
      if (this.#isPaused || this.#hasEnded) return;
      if (clock.now() >= until) {
        this.#planWork();
        return;
      }
      this.#waiting.delete(id);
      this.#call(call);
    }
  }

  #call(call: CallMessage): void {
    const { id, args } = call;
    const method = methodNamed(call.method);
    if (method === undefined) {
      this.#refuse(id, "BAD_REQUEST", "Cannot call: there is no such method");
      return;
    }
    if (!includesScope(this.#options.scope(), method.scope)) {
      const message = `Cannot call ${call.method}: the token has no scope "${method.scope}"`;
      this.#refuse(id, "FORBIDDEN", message); // [S2]
      return;
    }
    const problem = problemOf(method, args);
    if (problem !== undefined) {
      this.#refuse(id, "BAD_REQUEST", `Cannot call ${call.method}: ${problem}`);
      return;
    }
    if (method.kind === "stream") {
      void this.#stream(call, method);
      return;
    }
    // Most are answered at once, and making one takes longer than answering.
    const abort = method.kind === "wait" ? new AbortController() : undefined;
    try {
      const result = this.#invoke(call, method, abort?.signal);
      if (result instanceof Promise) this.#await(call, result, abort);
      else this.#answer(id, result);
    } catch (error) {
      this.#fail(id, error);
    }
  }

  /** Calls the peer. Throws what the method throws. */
  #invoke(
    { method: name, args }: CallMessage,
    { parameters }: Method,
    signal: AbortSignal | undefined,
  ): unknown {
    const given = [...args];
    if (signal !== undefined) {
      const last = parameters.length - 1;
      given[last] = { ...(given[last] as object | undefined), signal };
    }
    const target = this.#options.target as unknown as Record<string, AnyMethod>;
    return target[name]?.(...given);
  }

  #await(call: CallMessage, result: Promise<unknown>, abort: AbortController | undefined): void {
    const id = ownText(call.id);
    const running = this.#begin(id, abort, false);
    const { timeoutMs } = call;
    if (timeoutMs > 0) {
      const at = this.#options.clock.now() + timeoutMs;
      running.deadline = this.#deadlines.set(at, () => {
        if (!this.#cancel(id)) return;
        this.#refuse(id, "TIMEOUT", `Cannot call ${call.method}: no answer within ${timeoutMs} ms`); // [Q3]
      });
    }
    result.then(
      (value) => {
        if (this.#finish(id, running)) this.#answer(id, value);
      },
      (error) => {
        if (this.#finish(id, running)) this.#fail(id, error);
      },
    );
  }

  async #stream(call: CallMessage, method: Method): Promise<void> {
    const id = ownText(call.id);
    if (this.#streamCount >= RPC_STREAMS_MAX) {
      const message = `Cannot call ${call.method}: ${RPC_STREAMS_MAX} streams are open`;
      this.#refuse(id, "RATE_LIMITED", message); // [S4]
      return;
    }
    const abort = new AbortController();
    const running = this.#begin(id, abort, true);
    try {
      const items = this.#invoke(call, method, abort.signal) as AsyncIterable<unknown>;
      this.#say({ type: "answer", id, value: undefined });
      for await (const value of items) {
        if (abort.signal.aborted) return;
        this.#say({ type: "item", id, value });
        if (this.#isPaused) await new Promise<void>((resolve) => this.#onResume.push(resolve));
      }
      if (this.#finish(id, running)) this.#say({ type: "end", id });
    } catch (error) {
      if (this.#finish(id, running)) this.#fail(id, error);
    }
  }

  #begin(id: string, abort: AbortController | undefined, isStream: boolean): Running {
    const running: Running = { abort, isStream, deadline: undefined };
    this.#running.set(id, running);
    if (isStream) this.#streamCount += 1;
    return running;
  }

  /** Whether somebody still waited for it. */
  #finish(id: string, running: Running): boolean {
    if (this.#running.get(id) !== running) return false;
    this.#running.delete(id);
    if (running.isStream) this.#streamCount -= 1;
    this.#deadlines.clear(running.deadline);
    return true;
  }

  /** Nobody waits for it any more. False when nobody did. */
  #cancel(id: string): boolean {
    const running = this.#running.get(id);
    if (running === undefined) return this.#waiting.delete(id);
    this.#finish(id, running);
    running.abort?.abort(); // [Q3]
    return true;
  }

  #answer(id: string, value: unknown): void {
    try {
      this.#say({ type: "answer", id, value });
    } catch (error) {
      this.#fail(id, error);
    }
  }

  #fail(id: string, error: unknown): void {
    if (error instanceof HearsayError) {
      this.#refuse(id, error.code, error.message, error.stragglers);
    } else {
      this.#options.onFault(error);
      this.#refuse(id, "HANDLER_FAILED", "Cannot answer: the peer has failed");
    }
  }

  #refuse(
    id: string,
    code: HearsayError["code"],
    message: string,
    stragglers?: readonly string[],
  ): void {
    this.#say({ type: "refusal", id, code, message, ...(stragglers && { stragglers }) });
  }

  /** Throws a TypeError for a value that cannot travel: a fault of this peer. */
  #say(message: ServerMessage): void {
    if (this.#hasEnded) return;
    const bytes = encodeRpcMessage(message);
    if (bytes.length <= ANSWER_BYTES_MAX) this.#outbox.add(bytes);
    else if ("id" in message) {
      const reason = "Cannot answer: the result is larger than a frame may be";
      this.#refuse(message.id, "FRAME_TOO_LARGE", reason); // [S4]
    }
    const buffered = this.#bufferedBytes;
    if (buffered > RPC_BUFFERED_BYTES_MAX) {
      this.#giveUp("BUFFER_FULL"); // [Q4] What was under way has become too much.
    } else if (buffered > RPC_BUFFERED_BYTES_HIGH && !this.#isPaused) {
      this.#isPaused = true;
      this.#options.channel.pause();
      this.#watchStall(buffered);
    }
  }

  /** [Q4] A client that does not read is closed, and a slow one is not. */
  #watchStall(before: number): void {
    const at = this.#options.clock.now() + RPC_STALL_MS;
    this.#stall = this.#deadlines.set(at, () => {
      const buffered = this.#bufferedBytes;
      if (buffered > before - RPC_STALL_BYTES) this.#giveUp("BUFFER_FULL");
      else this.#watchStall(buffered);
    });
  }

  /** A client that is gone, or never says anything, keeps no session. */
  #watchSilence(): void {
    this.#deadlines.set(this.#heardAt + RPC_SILENCE_MS, () => {
      const isSilent = this.#options.clock.now() - this.#heardAt >= RPC_SILENCE_MS;
      // One that is not read from cannot be heard.
      if (isSilent && !this.#isPaused) this.#giveUp("TIMEOUT");
      else this.#watchSilence();
    });
  }

  /** A close frame might never be read, and is not waited for. */
  #giveUp(code: LinkCloseCode): void {
    this.#options.channel.end(code);
    this.#options.channel.terminate();
    this.dispose();
  }

  #resumeStreams(): void {
    const resume = this.#onResume;
    this.#onResume = [];
    for (const each of resume) each();
  }
}
