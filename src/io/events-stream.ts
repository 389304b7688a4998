/**
 * Changes as server-sent events, for browsers and for `hearsay watch`.
 *
 *   event: allocation
 *   data: {"type":"allocation","atMs":1800000000000,"shard":"shard-7","region":"a",...}
 *
 * A client that reads too slowly is waited for, and meanwhile its changes pile up in the watcher behind
 * it, which has a limit: then a last event says `BUFFER_FULL` and the stream ends. Nothing is left out
 * silently. A comment now and then keeps proxies from closing a quiet stream, and finds out about
 * clients that are gone.
 *
 * Source: HTML Standard, section 9.2, "Server-sent events".
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Change } from "../core/effect.ts";
import { HearsayError } from "../core/error.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import type { ServedPeer } from "./served-peer.ts";

/** Streams at once. Each costs a step of the peer a little. */
const EVENT_STREAMS_MAX = 64;

/** Time between two comments, in ms: below the idle timeouts of common proxies. */
const COMMENT_INTERVAL_MS = 15_000;

const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  connection: "close", // Nothing follows a stream, and a peer that ends should not have to wait.
  "x-accel-buffering": "no", // nginx would hold events back otherwise.
};

/** The event streams of one peer. */
export class EventStreams {
  readonly #streamsMax: number;
  #streamCount = 0;

  constructor(streamsMax = EVENT_STREAMS_MAX) {
    this.#streamsMax = streamsMax;
  }

  /**
   * Streams the changes from now on to `response`, of which `takeOver` takes possession. Throws
   * `RATE_LIMITED` when there are too many streams.
   */
  start(response: ServerResponse, served: ServedPeer, takeOver: () => void): void {
    if (this.#streamCount >= this.#streamsMax) {
      const message = `Cannot stream events: ${this.#streamsMax} clients are listening`;
      throw new HearsayError("RATE_LIMITED", message); // [S4]
    }
    const gone = new AbortController();
    const changes = served.watch(gone.signal);
    takeOver();
    this.#streamCount += 1;
    const comments = setInterval(() => {
      if (!response.writableNeedDrain) response.write(":\n\n");
    }, COMMENT_INTERVAL_MS);
    response.on("error", ignore);
    response.once("close", () => {
      this.#streamCount -= 1;
      clearInterval(comments);
      gone.abort();
    });
    response.writeHead(200, HEADERS).write(": changes follow as they happen\n\n");
    void stream(changes, response, gone.signal);
  }
}

async function stream(
  changes: AsyncIterable<Change>,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const change of changes) {
      if (response.write(eventOf(change))) continue;
      await once(response, "drain", { signal });
    }
  } catch (error) {
    if (error instanceof HearsayError) {
      response.write(eventOf({ type: "warning", code: error.code, message: error.message }));
    }
  }
  response.end();
}

function eventOf(change: Change): string {
  const row = { ...change, atMs: SYSTEM_CLOCK.wallMs() };
  // JSON has no undefined: of a shard that was released, the region is null.
  const text = JSON.stringify(row, (_key, value) => (value === undefined ? null : value));
  return `event: ${change.type}\ndata: ${text}\n\n`;
}

function ignore(): void {}
