/**
 * Live queries over plain HTTP: `POST /v1/live` streams deltas as server-sent events, `PUT` and `DELETE`
 * of `/v1/live/rows` write.
 *
 *   event: enter
 *   data: {"type":"enter","index":0,"row":{...}}
 *   id: 17.2981.mbq3-...
 *
 * An id ends the deltas that belong together, and is what `Last-Event-ID` of a later request resumes from.
 * A client that reads slowly is waited for, while what it misses waits in a bounded queue; one that stops
 * reading is cut off.
 *
 * Source: HTML Standard, section 9.2, "Server-sent events". Rules: SPEC.md, V9, V11 and V12.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HearsayError } from "../../core/error.ts";
import { type LiveDelta, liveDeltas } from "../live-delta.ts";
import type { LiveDoor } from "./live-door.ts";
import type { DeleteRow, Feed, LiveService, PutRow } from "./live-service.ts";

/** Streams at once. */
const STREAMS_MAX = 1024;

/** Size of a query, in bytes: 32 conditions with all the values they may have are seldom so long. */
const QUERY_BYTES_MAX = 262_144;

/** Size of a row, in bytes: the longest, each character of it escaped twice. */
const ROW_BYTES_MAX = 524_288;

/** Time between two comments, in ms: below the idle timeouts of common proxies. */
const COMMENT_INTERVAL_MS = 15_000;

/** How long a client may leave what it was sent unread, in ms. */
const STALL_MS = 15_000;

const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  connection: "close",
  "x-accel-buffering": "no", // nginx would hold events back otherwise.
};

export interface LiveRoutesOptions {
  readonly service: LiveService;
  readonly door: LiveDoor;
}

/** Adds the routes to an API. */
export function addLiveRoutes(app: FastifyInstance, { service, door }: LiveRoutesOptions): void {
  let streams = 0;
  const counted = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      if (error instanceof HearsayError) service.countRefusal(error.code);
      throw error;
    }
  };
  const stream = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const query = await door.query(request.raw, request.body); // [V11]
    if (streams >= STREAMS_MAX) {
      throw new HearsayError("RATE_LIMITED", `Cannot stream: ${STREAMS_MAX} clients are here`); // [S4]
    }
    const seen = request.headers["last-event-id"];
    const events = new EventStream(reply.raw);
    const resume = typeof seen === "string" && seen !== "" ? seen : undefined;
    const feed = door.follow(request.raw, query, () => events.wake(), resume);
    reply.hijack();
    streams += 1;
    reply.raw.once("close", () => {
      streams -= 1;
      feed.close();
    });
    void events.run(feed);
  };
  app.post("/v1/live", { bodyLimit: QUERY_BYTES_MAX }, (request, reply) =>
    counted(() => stream(request, reply)),
  );
  const rows = { bodyLimit: ROW_BYTES_MAX };
  app.put("/v1/live/rows", rows, ({ raw, body }) =>
    counted(async () => {
      await door.write(raw, "put", body);
      return service.put(body as PutRow);
    }),
  );
  app.delete("/v1/live/rows", rows, ({ raw, body }) =>
    counted(async () => {
      await door.write(raw, "delete", body);
      return service.delete(body as DeleteRow);
    }),
  );
}

class EventStream {
  readonly #response: ServerResponse;
  readonly #gone = new AbortController();
  #wake: () => void = () => {};

  constructor(response: ServerResponse) {
    this.#response = response;
    response.on("error", () => {});
    response.once("close", () => {
      this.#gone.abort();
      this.#wake();
    });
  }

  /** There is something to be sent. */
  wake(): void {
    this.#wake();
  }

  async run(feed: Feed): Promise<void> {
    const response = this.#response;
    const comments = setInterval(() => {
      if (!response.writableNeedDrain) response.write(":\n\n");
    }, COMMENT_INTERVAL_MS);
    response.writeHead(200, HEADERS).write(": deltas follow\n\n");
    try {
      while (!this.#gone.signal.aborted) {
        const news = feed.take();
        if (news === undefined) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        } else if (news === "lagged") await this.#write(eventOf({ type: "lagged" }));
        else if (news.type === "ended") {
          const { code, message } = news.refusal;
          response.write(
            `event: ended\ndata: ${JSON.stringify({ type: "ended", code, message })}\n\n`,
          );
          break;
        } else {
          // One write for what belongs together: a connection that is cut leaves all of it, or no id.
          await this.#write(liveDeltas(news, feed.query).map(eventOf).join(""));
        }
      }
    } catch {
      response.destroy(); // It does not read on.
    } finally {
      clearInterval(comments);
      response.end();
    }
  }

  async #write(text: string): Promise<void> {
    if (this.#response.write(text)) return;
    const signal = AbortSignal.any([this.#gone.signal, AbortSignal.timeout(STALL_MS)]);
    await once(this.#response, "drain", { signal }); // [V9]
  }
}

function eventOf({ at, ...delta }: LiveDelta): string {
  const id = at === undefined ? "" : `id: ${at}\n`;
  return `event: ${delta.type}\ndata: ${JSON.stringify(delta)}\n${id}\n`;
}
