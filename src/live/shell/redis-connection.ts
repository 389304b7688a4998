/**
 * A connection to Redis that is dialled for ever, and given up when it does not answer in time.
 *
 * The client library is loaded when a peer was told to use Redis, and not before: it is an optional peer
 * dependency. Its own ways of reconnecting and of queueing are switched off, since what is to be said again,
 * and from where reading goes on, is known here and not there.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { RedisArgument, RedisClientType } from "@redis/client";
import { HearsayError } from "../../core/error.ts";

/** How long Redis may take with a connection, and with an answer beyond what it was told to wait, in ms. */
const ANSWER_MS = 3000;

/** Wait before Redis is dialled again, in ms: twice as long each time. */
const RETRY_MS = 50;
const RETRY_MS_MAX = 1000;

type Library = typeof import("@redis/client");
type Client = RedisClientType<Record<never, never>, Record<never, never>, Record<never, never>, 2>;

/** What Redis answers: bulk strings are bytes. */
export type Reply = null | number | string | Buffer | Error | readonly Reply[];

/** Redis has understood the command, and says no. */
export class RedisRefusal extends Error {}

/** Where a Redis is, for messages: without a password. */
export function hostOf(url: string): string {
  return new URL(url).host;
}

/** Loads the client library. Rejects with `BAD_REQUEST` where it is not installed. */
export async function loadRedis(): Promise<Library> {
  try {
    return await import("@redis/client");
  } catch (cause) {
    const message = "Cannot use Redis: its client is not there, npm install @redis/client";
    throw new HearsayError("BAD_REQUEST", message, { cause });
  }
}

export class RedisConnection {
  readonly #library: Library;
  readonly #client: Client;

  private constructor(library: Library, client: Client) {
    this.#library = library;
    this.#client = client;
  }

  /** Rejects when Redis does not let this process in, or takes too long. */
  static async open(library: Library, url: string): Promise<RedisConnection> {
    const client = library.createClient({
      ...{ url, RESP: 2 as const, disableOfflineQueue: true },
      socket: { reconnectStrategy: false, connectTimeout: ANSWER_MS },
    });
    client.on("error", () => {}); // Whoever asks hears of it.
    const connection = new RedisConnection(library, client);
    await connection.#within(client.connect(), ANSWER_MS);
    return connection;
  }

  /** Asks; Redis may block for so many ms. Rejects with a `RedisRefusal` when it says no. */
  async ask(command: readonly RedisArgument[], blockMs = 0): Promise<Reply> {
    const { RESP_TYPES, ErrorReply } = this.#library;
    const options = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
    try {
      const answered = this.#client.sendCommand<Reply>(command, options);
      return await this.#within(answered, blockMs + ANSWER_MS);
    } catch (error) {
      if (error instanceof ErrorReply) throw new RedisRefusal(error.message);
      throw error;
    }
  }

  close(): void {
    if (this.#client.isOpen) this.#client.destroy();
  }

  async #within<T>(answered: Promise<T>, ms: number): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`no answer in ${ms} ms`));
        this.close();
      }, ms);
    });
    try {
      return await Promise.race([answered, late]);
    } finally {
      clearTimeout(timer);
      answered.catch(() => {}); // Nobody waits any more, where it was late.
    }
  }
}

export interface KeptOptions {
  readonly library: Library;
  readonly url: string;
  /** Uses a connection until it fails or `signal` aborts; rejects when another one is needed. */
  readonly use: (connection: RedisConnection, signal: AbortSignal) => Promise<void>;
  /** A connection could not be had, or has failed. */
  readonly onDown: (error: Error) => void;
}

/** Keeps a connection in use, and begins anew whenever it fails. Ends with `close`. */
export class KeptConnection {
  readonly #options: KeptOptions;
  readonly #closing = new AbortController();
  #current: RedisConnection | undefined;

  constructor(options: KeptOptions) {
    this.#options = options;
    void this.#run(this.#closing.signal);
  }

  close(): void {
    this.#closing.abort();
    this.#current?.close();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { library, url, use, onDown } = this.#options;
    let retryMs = RETRY_MS;
    while (!signal.aborted) {
      try {
        this.#current = await RedisConnection.open(library, url);
        if (signal.aborted) break;
        retryMs = RETRY_MS;
        await use(this.#current, signal);
      } catch (error) {
        if (!signal.aborted) onDown(error as Error);
      }
      this.#current?.close();
      await pause(retryMs, undefined, { signal }).catch(() => {}); // It was closed meanwhile.
      retryMs = Math.min(2 * retryMs, RETRY_MS_MAX);
    }
    this.#current?.close();
  }
}
