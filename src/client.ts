/**
 * A client: the calls of a peer, from another process.
 *
 * A process that hosts nothing, such as a gateway or a tool, need not be a peer to ask one. It connects to
 * any peer of the cluster, or to the first of several that answers, and has the same methods with the same
 * arguments and results, as promises. Which those are is said once, in the table of `io/rpc-methods.ts`;
 * the types here are derived from it and from `Peer`.
 *
 * Every method takes options after its own arguments: how long to wait, and a signal to stop waiting.
 *
 * Deliberately absent: a cache of the table. Whoever wants routes from memory starts a peer.
 *
 * Rules: SPEC.md, section Q.
 */
import { HearsayError } from "./core/error.ts";
import { JOIN_ADDRESSES_MAX, RPC_TIMEOUT_MS_MAX } from "./core/limits.ts";
import { parseAddress } from "./io/addresses.ts";
import { WATCH_CHANGES_MAX } from "./io/change-feed.ts";
import { SYSTEM_CLOCK } from "./io/clock.ts";
import { type DialOptions, dialWith } from "./io/rpc-channel.ts";
import { type Request, RpcClient } from "./io/rpc-client.ts";
import {
  METHODS,
  type Method,
  type MethodName,
  type MethodOfKind,
  problemOf,
} from "./io/rpc-methods.ts";
import { SecretFile } from "./io/secret-file.ts";
import { Watcher } from "./io/watcher.ts";
import { LiveClient } from "./live/shell/live-client.ts";
import type { Peer } from "./peer.ts";
import type { PeerIdentity } from "./wire/rpc-codec.ts";

export interface ConnectOptions {
  /** Says who this client is, to peers that want to know: 1 to 256 visible ASCII characters. Default none. */
  readonly token?: string;
  /**
   * Connects over TLS 1.3: to hosts that have their certificates from the authorities in the file `ca`, in PEM;
   * with `true`, from those that the system trusts. Default: in the clear.
   */
  readonly tls?: true | { readonly ca: string };
  /** How long a call waits for its answer unless it says otherwise, in ms, 1 to a day. Default 10 000. */
  readonly timeoutMs?: number;
  /** Gives up connecting; has no effect on a client that is connected. Default none. */
  readonly signal?: AbortSignal;
}

/** The options of one call. */
export interface CallOptions {
  /**
   * How long to wait for the answer, in ms, 1 to a day. Default that of the client; of methods that wait
   * for something to happen: without end.
   */
  readonly timeoutMs?: number;
  /** Stops waiting; the call rejects with its reason, and the peer hears of it. Default none. */
  readonly signal?: AbortSignal;
}

/** Some events are missing here: the connection was lost, and has been made again. */
export interface Gap {
  readonly type: "gap";
}

type Remote<M> = M extends (...args: infer Args) => infer Result
  ? (...args: [...Args, options?: CallOptions]) => Promise<Awaited<Result>>
  : never;

type RemoteStream<M> = M extends (...args: infer Args) => AsyncIterable<infer Item>
  ? (...args: Args) => AsyncIterableIterator<Item | Gap>
  : never;

/** The methods of `Peer` that can be called from another process. */
export type RemoteCalls = {
  readonly [Name in Exclude<MethodName, MethodOfKind<"stream">>]: Remote<Peer[Name]>;
} & { readonly [Name in MethodOfKind<"stream">]: RemoteStream<Peer[Name]> };

/** What happens to a client's connection. */
export interface ConnectionEvents {
  readonly connected: { readonly address: string; readonly peer: string };
  /** Other addresses are being tried. `code` is undefined when the connection was cut without a word. */
  readonly disconnected: { readonly code: string | undefined; readonly message: string };
}

type Listener<Event> = (event: Event) => void;

/** A connection to a peer, with the peer's methods. Made by `connect`. */
export type Client = RemotePeer & RemoteCalls;

const TIMEOUT_MS = 10_000;

/** What can stand in a header as it is. */
const TOKEN_PATTERN = /^[\x21-\x7e]{1,256}$/;

/**
 * Connects to the first of the addresses `host:port` that lets this client in, in their order. After a loss
 * it reconnects by itself, for ever. Throws TypeError or RangeError for wrong arguments. Rejects with
 * `UNREACHABLE`, `AUTH_FAILED`, `FORBIDDEN`, `RATE_LIMITED`, `VERSION_MISMATCH` or the reason of `signal`.
 */
export async function connect(
  addresses: string | readonly string[],
  options: ConnectOptions = {},
): Promise<Client> {
  const known: Record<keyof ConnectOptions, true> = {
    ...{ token: true, tls: true, timeoutMs: true, signal: true },
  };
  const unknown = Object.keys(options).find((option) => !Object.hasOwn(known, option));
  if (unknown !== undefined) throw wrong(`there is no option ${JSON.stringify(unknown)}`);
  const { token, timeoutMs = TIMEOUT_MS, signal } = options;
  if (token !== undefined && !(typeof token === "string" && TOKEN_PATTERN.test(token))) {
    throw wrong("the token is not 1 to 256 visible ASCII characters");
  }
  readCallOptions("connect", { timeoutMs, ...(signal && { signal }) });
  const list = typeof addresses === "string" ? [addresses] : [...addresses];
  if (list.length === 0 || list.length > JOIN_ADDRESSES_MAX) {
    throw new RangeError(`Cannot connect: give 1 to ${JOIN_ADDRESSES_MAX} addresses`);
  }
  for (const address of list) parseAddress(address);
  signal?.throwIfAborted();
  const client = new RemotePeer(list, { token, tls: readTls(options.tls) }, timeoutMs);
  const abort = (): void => client.close();
  signal?.addEventListener("abort", abort);
  try {
    await client.open();
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  return client as Client;
}

/** What a client is beside the methods of the table. */
export class RemotePeer {
  /** Rows, and queries over them that are followed: over a connection of their own, when it is needed. */
  readonly live: LiveClient;
  readonly #rpc: RpcClient;
  readonly #timeoutMs: number;
  readonly #listeners = {
    connected: new Set<Listener<ConnectionEvents["connected"]>>(),
    disconnected: new Set<Listener<ConnectionEvents["disconnected"]>>(),
  };

  static {
    for (const [name, method] of Object.entries<Method>(METHODS)) {
      const value =
        method.kind === "stream"
          ? function (this: RemotePeer, ...args: unknown[]) {
              return this.#stream(name, method, args);
            }
          : function (this: RemotePeer, ...args: unknown[]) {
              return this.#call(name, method, args);
            };
      Object.defineProperty(RemotePeer.prototype, name, { value });
    }
  }

  /** @internal */
  constructor(addresses: readonly string[], dial: DialOptions, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.live = new LiveClient(addresses, dial);
    this.#rpc = new RpcClient({
      addresses,
      dial: dialWith(dial),
      clock: SYSTEM_CLOCK,
      random: Math.random,
      onConnected: (address, { name }) => tell(this.#listeners.connected, { address, peer: name }),
      onDisconnected: ({ code, reason }) =>
        tell(this.#listeners.disconnected, { code, message: `The connection ${reason}` }),
    });
  }

  /** @internal */
  open(): Promise<void> {
    return this.#rpc.connect();
  }

  /** The peer that answers now; undefined while none is connected. */
  get peer(): PeerIdentity | undefined {
    return this.#rpc.peer;
  }

  /** Calls `listener` whenever the connection is lost, or made again, from now on. It must not block. */
  on<Type extends keyof ConnectionEvents>(
    type: Type,
    listener: Listener<ConnectionEvents[Type]>,
  ): this {
    this.#listenersOf(type).add(listener);
    return this;
  }

  /** Calls it no longer. */
  off<Type extends keyof ConnectionEvents>(
    type: Type,
    listener: Listener<ConnectionEvents[Type]>,
  ): this {
    this.#listenersOf(type).delete(listener);
    return this;
  }

  /** Disconnects for good. Calls that wait for an answer reject with `CLOSED`; streams end. Idempotent. */
  close(): void {
    this.live.close();
    this.#rpc.close();
  }

  /** Disconnects. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #listenersOf<Type extends keyof ConnectionEvents>(
    type: Type,
  ): Set<Listener<ConnectionEvents[Type]>> {
    if (Object.hasOwn(this.#listeners, type)) {
      return this.#listeners[type] as unknown as Set<Listener<ConnectionEvents[Type]>>;
    }
    throw new TypeError(`Cannot listen: there is no event ${JSON.stringify(type)}`);
  }

  #call(method: string, line: Method, given: unknown[]): Promise<unknown> {
    // What is thrown in here rejects: of a method that is asynchronous here, nobody expects a throw.
    return new Promise((resolve, reject) => {
      const { kind, parameters } = line;
      const { args, signal: inner } = withoutSignal(line, given);
      const options = readCallOptions(method, given[parameters.length]);
      checkArguments(method, line, args, given.length - 1);
      const request: Request = {
        method,
        args,
        isRepeatable: kind !== "write",
        isStream: false,
        timeoutMs: options.timeoutMs ?? (kind === "wait" ? Infinity : this.#timeoutMs),
        signal: bothSignals(inner, options.signal),
      };
      this.#rpc.call(request, { answered: resolve, failed: reject, item: ignore, ended: ignore });
    });
  }

  #stream(method: string, line: Method, given: unknown[]): AsyncIterableIterator<unknown> {
    const { args, signal } = withoutSignal(line, given);
    checkArguments(method, line, args, given.length);
    let hasBegun = false;
    let cancel = (): void => {};
    const stop = (): void => items.end();
    const items = new Watcher<unknown>(WATCH_CHANGES_MAX, () => {
      signal?.removeEventListener("abort", stop);
      cancel();
    });
    if (signal?.aborted) {
      items.end();
      return items;
    }
    signal?.addEventListener("abort", stop);
    cancel = this.#rpc.call(
      {
        ...{ method, args, isRepeatable: true, isStream: true },
        ...{ timeoutMs: Infinity, signal: undefined },
      },
      {
        answered: () => {
          if (hasBegun) items.put({ type: "gap" } satisfies Gap); // [Q5] Before what follows.
          hasBegun = true;
        },
        item: (item) => items.put(item),
        ended: () => items.end(),
        failed: (error) => {
          const isClosed = error instanceof HearsayError && error.code === "CLOSED";
          items.end(isClosed ? undefined : error);
        },
      },
    );
    return items;
  }
}

/** The arguments that travel, and the signal among them that does not. */
function withoutSignal(
  { kind, parameters }: Method,
  given: readonly unknown[],
): { args: unknown[]; signal: AbortSignal | undefined } {
  const args = given.slice(0, parameters.length);
  while (args.length > 0 && args.at(-1) === undefined) args.pop();
  const last = args[parameters.length - 1];
  const takesSignal = kind === "wait" || kind === "stream";
  if (!takesSignal || typeof last !== "object" || last === null || !("signal" in last)) {
    return { args, signal: undefined };
  }
  const { signal, ...rest } = last;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrong("signal is none");
  args[parameters.length - 1] = rest;
  return { args, signal };
}

const NO_OPTIONS: CallOptions = {};

function checkArguments(
  method: string,
  line: Method,
  args: readonly unknown[],
  givenCount: number,
): void {
  const problem =
    givenCount > line.parameters.length ? "there are too many arguments" : problemOf(line, args);
  if (problem !== undefined) throw new TypeError(`Cannot call ${method}: ${problem}`);
}

function readCallOptions(method: string, given: unknown): CallOptions {
  if (given === undefined) return NO_OPTIONS;
  const isObject = typeof given === "object" && given !== null;
  const { timeoutMs, signal, ...rest } = (isObject ? given : { given }) as CallOptions;
  if (Object.keys(rest).length > 0) {
    throw new TypeError(`Cannot call ${method}: its options are timeoutMs and signal`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot call ${method}: signal is none`);
  }
  if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= RPC_TIMEOUT_MS_MAX)) {
    throw new RangeError(`Cannot call ${method}: timeoutMs is not 1 to ${RPC_TIMEOUT_MS_MAX}`);
  }
  return { ...(timeoutMs !== undefined && { timeoutMs }), ...(signal && { signal }) };
}

function readTls(tls: ConnectOptions["tls"]): DialOptions["tls"] {
  if (tls === undefined) return undefined;
  if (tls === true) return { ca: undefined };
  if (typeof tls?.ca !== "string" || Object.keys(tls).length !== 1) {
    throw wrong("tls is neither true nor a file ca");
  }
  return { ca: new SecretFile(tls.ca, "open").text() };
}

function bothSignals(
  a: AbortSignal | undefined,
  b: AbortSignal | undefined,
): AbortSignal | undefined {
  return a !== undefined && b !== undefined ? AbortSignal.any([a, b]) : (a ?? b);
}

function ignore(): void {}

/** A listener that throws must not take the connection with it. */
function tell<Event>(listeners: ReadonlySet<Listener<Event>>, event: Event): void {
  for (const listener of listeners) {
    try {
      listener(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

function wrong(what: string): TypeError {
  return new TypeError(`Cannot connect: ${what}`);
}
