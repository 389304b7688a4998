/**
 * The form of what hosts and routers say to each other: part of the table of `message-formats.ts`.
 *
 * Bodies and chunks are opaque bytes here: what they hold is between the users at both ends, and a
 * body that makes no sense costs its own message and not the link.
 *
 * Rules: SPEC.md, S4 and S5.
 */
import { isErrorCode } from "../core/error.ts";
import {
  ASK_TIMEOUT_MS_MAX,
  CHUNK_BYTES_MAX,
  ENTITY_LENGTH_MAX,
  MESSAGE_BYTES_MAX,
  REFUSAL_LENGTH_MAX,
  WRITER_LENGTH_MAX,
} from "../core/limits.ts";
import type { Answer, ChunkTaken, HostMessage } from "../core/message.ts";
import type { Format, MessageOf } from "./format.ts";
import { isBytes, isIntegerWithin, isMsWithin, isName, isText } from "./guards.ts";
import { ownText } from "./sharing.ts";

const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

/** How an answer or a chunk ended travels as its place in these lists. */
const DONE = 0;
const FAILURES = [undefined, "refused", "failed"] as const;
const TAKEN: readonly ChunkTaken["how"][] = ["taken", "unwanted", "failed"];

type HostFormats = {
  readonly [T in HostMessage["type"]]: Format<MessageOf<T>>;
};

export const HOST_FORMATS: HostFormats = {
  ask: {
    number: 20,
    fieldCount: 8,
    write: (m) => [m.ask, m.since, m.shard, m.entity, m.remainingMs, m.token, m.writer, m.body],
    read: ([ask, since, shard, entity, remainingMs, token, writer, body]) =>
      isNumber(ask) &&
      isNumber(since) &&
      isName(shard) &&
      isEntity(entity) &&
      isMsWithin(remainingMs, 0) &&
      remainingMs <= ASK_TIMEOUT_MS_MAX &&
      isNumber(token) &&
      typeof writer === "string" &&
      writer.length <= WRITER_LENGTH_MAX &&
      isBytes(body, 1, MESSAGE_BYTES_MAX)
        ? {
            type: "ask",
            ask,
            since,
            shard: ownText(shard),
            entity: ownText(entity),
            remainingMs,
            token,
            writer: ownText(writer),
            body,
          }
        : undefined,
  },
  answer: {
    number: 21,
    fieldCount: 3,
    write: ({ ask, outcome }) =>
      outcome.how === "done"
        ? [ask, DONE, outcome.body]
        : [ask, FAILURES.indexOf(outcome.how), [outcome.code, outcome.message]],
    read: ([ask, place, result]) => {
      const outcome = readOutcome(place, result);
      return isNumber(ask) && outcome !== undefined ? { type: "answer", ask, outcome } : undefined;
    },
  },
  chunk: {
    number: 22,
    fieldCount: 5,
    write: (m) => [m.shard, m.token, m.number, m.isLast, m.chunk],
    read: ([shard, token, number, isLast, chunk]) =>
      isName(shard) &&
      isNumber(token) &&
      isNumber(number) &&
      typeof isLast === "boolean" &&
      isBytes(chunk, 1, CHUNK_BYTES_MAX)
        ? { type: "chunk", shard: ownText(shard), token, number, isLast, chunk }
        : undefined,
  },
  "chunk-taken": {
    number: 23,
    fieldCount: 4,
    write: (m) => [m.shard, m.token, m.number, TAKEN.indexOf(m.how)],
    read: ([shard, token, number, place]) => {
      const how = typeof place === "number" ? TAKEN[place] : undefined;
      return isName(shard) && isNumber(token) && isNumber(number) && how !== undefined
        ? { type: "chunk-taken", shard: ownText(shard), token, number, how }
        : undefined;
    },
  },
  stop: {
    number: 24,
    fieldCount: 2,
    write: (m) => [m.shard, m.token],
    read: ([shard, token]) =>
      isName(shard) && isNumber(token) ? { type: "stop", shard: ownText(shard), token } : undefined,
  },
  stopped: {
    number: 25,
    fieldCount: 2,
    write: (m) => [m.shard, m.token],
    read: ([shard, token]) =>
      isName(shard) && isNumber(token)
        ? { type: "stopped", shard: ownText(shard), token }
        : undefined,
  },
};

function readOutcome(place: unknown, result: unknown): Answer["outcome"] | undefined {
  if (place === DONE) {
    return isBytes(result, 1, MESSAGE_BYTES_MAX) ? { how: "done", body: result } : undefined;
  }
  const how = typeof place === "number" ? FAILURES[place] : undefined;
  if (how === undefined || !Array.isArray(result) || result.length !== 2) return undefined;
  const [code, message] = result as unknown[];
  if (!isErrorCode(code) || !isText(message, REFUSAL_LENGTH_MAX)) return undefined;
  return { how, code, message: ownText(message) };
}

function isNumber(value: unknown): value is number {
  return isIntegerWithin(value, 0, NUMBER_MAX);
}

/** Whether `value` can be the name of an entity; empty is the shard as a whole. */
function isEntity(value: unknown): value is string {
  return typeof value === "string" && value.length <= ENTITY_LENGTH_MAX;
}
