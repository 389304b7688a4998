/**
 * One life of a peer: a state machine, what runs it, its links and its store.
 *
 * A peer has one life from start to end, unless it has to give way to an older cluster: then it begins
 * again, under a new incarnation and with nothing in hand. So everything that must not outlive an
 * incarnation is in here, and what survives it (the port, listeners, the search for addresses) is not.
 *
 * Of the effects that the machine asks for, this file carries out those that are somebody's here, and
 * tells the owner of the others.
 */
import { randomInt } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Delivery } from "../core/delivery.ts";
import type { Change, Effect } from "../core/effect.ts";
import { HearsayError } from "../core/error.ts";
import type { CallRequest, MachineEvent } from "../core/event.ts";
import type { HostTraits } from "../core/host-task.ts";
import { CALLS_MAX } from "../core/limits.ts";
import { Machine, type MachineOptions } from "../core/machine.ts";
import { Random } from "../core/random.ts";
import type { PeerName, ShardId } from "../core/units.ts";
import type { KeyRing } from "../wire/proof.ts";
import type { Clock } from "./clock.ts";
import { HostParts } from "./host-parts.ts";
import { HostRunner, type RunnableHost } from "./host-runner.ts";
import { createIncarnation } from "./incarnation.ts";
import { Runtime } from "./runtime.ts";
import type { Opened, Store } from "./store.ts";
import type { Credentials } from "./tls.ts";
import { type Traffic, WebSocketTransport } from "./websocket-transport.ts";

/** The protocol versions that this code speaks: the first one only. */
const PROTOCOL_VERSIONS = { versionLow: 1, versionHigh: 1 } as const;

/** Seeds are safe integers; this is as many of them as `randomInt` draws from. */
const SEED_MAX = 2 ** 48 - 1;

/** How a life begins after one that had to end [A0]. */
export type NextLife = Pick<MachineOptions, "join" | "older">;

export interface LifeOptions {
  readonly machine: Omit<MachineOptions, "incarnation" | "random" | "image">;
  /** Open, and `opened` is what was in it. This life closes it. */
  readonly store: Store;
  readonly opened: Opened;
  readonly clock: Clock;
  /** The secrets of this peer, as they are now. */
  readonly keys: () => KeyRing;
  /** Its certificate, where links are encrypted. */
  readonly credentials: Credentials | undefined;
  readonly onChange: (change: Change) => void;
  /** Something for the services of this peer. It must not throw. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Whether this peer serves has changed, and others have been told what that takes. */
  readonly onReadiness: (isReady: boolean) => void;
  /** This life is over, and another is to begin. */
  readonly onReset: (next: NextLife, message: string) => void;
  /** This life is over, and there must be no other. */
  readonly onStop: (error: HearsayError) => void;
  /** A bug, or a disk that failed: nothing runs any more. */
  readonly onFatal: (error: unknown) => void;
}

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: HearsayError) => void;
}

/** A message of a user for a shard, encoded. */
export interface AskRequest {
  readonly shard: ShardId;
  readonly entity: string;
  readonly timeoutMs: number;
  readonly body: Uint8Array;
}

/** Who waits for the answer of an ask. */
export interface Asker {
  answered(body: Uint8Array): void;
  failed(error: HearsayError): void;
}

export class Life {
  readonly machine: Machine;
  readonly incarnation: string;
  readonly #options: LifeOptions;
  readonly #runtime: Runtime;
  readonly #transport: WebSocketTransport;
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;
  readonly #asks = new Map<number, Asker>();
  #lastAsk = 0;
  readonly #parts: HostParts;
  #runner: HostRunner | undefined;
  #wasReady = false;
  /** Why calls are refused from now on. */
  #over: HearsayError | undefined;

  /** Does nothing yet: `start` does. */
  constructor(options: LifeOptions) {
    this.#options = options;
    const { clock, opened } = options;
    const { image, startedMs } = opened;
    const wallMs = clock.wallMs();
    this.incarnation = createIncarnation(startedMs);
    const random = new Random(randomInt(SEED_MAX));
    const machineOptions = { ...options.machine, incarnation: this.incarnation, random, image };
    this.#parts = new HostParts((shard, error) => {
      const message = `A host could not take "${shard}": ${String(error)}`;
      options.onChange({ type: "warning", code: "HANDLER_FAILED", message });
    });
    this.machine = new Machine(machineOptions, clock.now(), wallMs);
    this.#runtime = new Runtime({
      machine: {
        step: (event, now, wall) => this.#step(event, now, wall),
        deadline: () => this.machine.deadline(),
      },
      clock,
      perform: (effect) => this.#perform(effect),
      onFatal: (error) => options.onFatal(error),
    });
    this.#transport = new WebSocketTransport({
      identity: () => ({
        ...PROTOCOL_VERSIONS,
        ...this.machine.identity(clock.now(), clock.wallMs()),
      }),
      keys: options.keys,
      credentials: options.credentials,
      sink: (event) => this.deliver(event),
      dialTimeoutMs: options.machine.timings.dialTimeoutMs,
      flushMs: options.machine.timings.flushMs,
    });
  }

  start(): void {
    this.deliver({ type: "started" });
  }

  deliver(event: MachineEvent): void {
    this.#runtime.deliver(event);
  }

  acceptUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#transport.acceptUpgrade(request, socket, head);
  }

  /** What this life has sent to other peers. */
  get sent(): Traffic {
    return this.#transport.sent;
  }

  /** Asks the machine; resolves to its answer, once what it wrote is durable. */
  call(request: CallRequest, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) {
        reject(this.#over);
      } else if (signal?.aborted) {
        reject(signal.reason);
      } else if (this.#calls.size >= CALLS_MAX) {
        const message = `Cannot ${request.type}: ${CALLS_MAX} calls wait for an answer`;
        reject(new HearsayError("BUFFER_FULL", message)); // [S4]
      } else {
        this.#lastCall += 1;
        const call = this.#lastCall;
        this.#calls.set(
          call,
          signal === undefined ? { resolve, reject } : this.#given(call, signal, resolve, reject),
        );
        this.deliver({ type: "called", call, request });
      }
    });
  }

  /** A call that is given up when the signal aborts. */
  #given(
    call: number,
    signal: AbortSignal,
    resolve: Call["resolve"],
    reject: (reason: unknown) => void,
  ): Call {
    const abort = (): void => {
      this.#calls.delete(call);
      this.deliver({ type: "abandoned", call });
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    const forget = (): void => signal.removeEventListener("abort", abort);
    return {
      resolve: (value) => {
        forget();
        resolve(value);
      },
      reject: (error) => {
        forget();
        reject(error);
      },
    };
  }

  /** Has the shards of this region served by a host, too, from now on: a service's, or the user's. */
  host(host: RunnableHost, traits: HostTraits, service?: string): void {
    this.#parts.add(host, traits, service);
    this.#runner ??= new HostRunner(this.#parts, (report) =>
      this.deliver({ type: "hosted", report }),
    );
    this.deliver({ type: "host-registered", traits: this.#parts.traits });
  }

  /** Posts to a service of another peer; false when it was not taken [N1]. */
  post(to: PeerName, service: string, body: Uint8Array): boolean {
    if (this.#over !== undefined || !this.machine.canPost(to)) return false;
    this.deliver({ type: "posted", to, service, body });
    return true;
  }

  /** Asks a shard; returns what gives the ask up. `asker` is called later, and once, unless given up. */
  ask(request: AskRequest, asker: Asker): () => void {
    this.#lastAsk += 1;
    const ask = this.#lastAsk;
    if (this.#over !== undefined) {
      const { code, message } = this.#over;
      const error = new HearsayError(code, `Cannot ask: ${message}`);
      queueMicrotask(() => asker.failed(error));
      return () => {};
    }
    this.#asks.set(ask, asker);
    this.deliver({ type: "asked", ask, ...request });
    return () => {
      if (this.#asks.delete(ask)) this.deliver({ type: "ask-given-up", ask });
    };
  }

  /** Resolves when the host has let go of all that it was told to let go of, or when that takes too long. */
  async hostIdle(timeoutMs: number): Promise<void> {
    if (this.#runner === undefined) return;
    const timeout = new AbortController();
    const late = sleep(timeoutMs, undefined, { signal: timeout.signal }).catch(() => {});
    await Promise.race([this.#runner.idle(), late]);
    timeout.abort();
  }

  /**
   * Ends it: no event is taken any more, calls are refused with `error`, links are closed with `code`.
   * Resolves when sockets and store are closed.
   */
  async end(code: "LEAVING" | "CLOSED", error: HearsayError): Promise<void> {
    this.#refuseCalls(error);
    this.#runner?.close();
    await Promise.resolve(); // A listener may have asked for this in the middle of a step.
    await Promise.all([this.#runtime.close(), this.#transport.close(code)]);
    await this.#options.store.close();
  }

  #step(event: MachineEvent, now: number, wallMs: number): readonly Effect[] {
    const effects = this.machine.step(event, now, wallMs);
    const { isReady } = this.machine;
    if (isReady !== this.#wasReady) {
      this.#wasReady = isReady;
      // After this step's effects, and after others were told of them.
      setImmediate(() => {
        this.#transport.afterFlush(() => this.#options.onReadiness(this.#wasReady));
      });
    }
    return effects;
  }

  #perform(effect: Effect): Promise<void> | undefined {
    switch (effect.type) {
      case "persist":
        return this.#options.store.persist(effect.maps, effect.clockBound, effect.dropped);
      case "send":
      case "dial":
      case "close":
        this.#transport.perform(effect);
        return;
      case "notify":
        this.#options.onChange(effect.change);
        return;
      case "answer":
        this.#answer(effect);
        return;
      case "host":
        this.#runner?.perform(effect.task);
        return;
      case "deliver":
        this.#options.onDelivery(effect.delivery);
        return;
      case "settle-ask":
        this.#settleAsk(effect);
        return;
      case "reset":
        this.#options.onReset(effect, effect.message);
        return;
      case "stop":
        this.#options.onStop(new HearsayError(effect.code, effect.message));
    }
  }

  #answer({ call, outcome }: Extract<Effect, { type: "answer" }>): void {
    // Told before it is acknowledged: who hears of a write may end this process at once.
    this.#transport.afterFlush(() => {
      const waiting = this.#calls.get(call);
      this.#calls.delete(call);
      if (outcome.ok) waiting?.resolve(outcome.value);
      else {
        const { code, message, stragglers } = outcome;
        waiting?.reject(new HearsayError(code, message, { stragglers }));
      }
    });
  }

  #settleAsk({ ask, outcome }: Extract<Effect, { type: "settle-ask" }>): void {
    const asker = this.#asks.get(ask);
    if (asker === undefined) return;
    this.#asks.delete(ask);
    if (outcome.ok) asker.answered(outcome.body);
    else asker.failed(new HearsayError(outcome.code, outcome.message));
  }

  #refuseCalls(error: HearsayError): void {
    this.#over ??= error;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { reject } of calls) reject(error);
    const asks = [...this.#asks.values()];
    this.#asks.clear();
    for (const asker of asks) asker.failed(error);
  }
}
