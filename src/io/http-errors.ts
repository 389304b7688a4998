/**
 * Errors as answers of the HTTP server: one body for all of them, and which code has which status.
 *
 *   {"error": {"code": "SHARD_NOT_FOUND", "message": "Cannot ..."}}
 *
 * What the framework and Node refuse takes the same form. Their own messages are not passed on: some
 * quote what the client sent.
 */
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type ErrorCode, HearsayError } from "../core/error.ts";

/** The status of each code. */
const HTTP_STATUSES: Readonly<Record<ErrorCode, number>> = {
  BAD_REQUEST: 400,
  MALFORMED_FRAME: 400,
  AUTH_FAILED: 401,
  FORBIDDEN: 403,
  SHARD_NOT_FOUND: 404,
  REGION_NOT_FOUND: 404,
  NOT_OWNER: 409,
  REGION_NOT_ALIVE: 409,
  TICK_IN_PROGRESS: 409,
  TICK_NOT_FOUND: 404,
  TICK_ABORTED: 409,
  STALE_TICK: 409,
  NOT_A_PARTICIPANT: 409,
  CLOCK_DRIFT: 409,
  NAME_TAKEN: 409,
  CLUSTER_MISMATCH: 409,
  VERSION_MISMATCH: 409,
  FRAME_TOO_LARGE: 413,
  BUFFER_FULL: 429,
  RATE_LIMITED: 429,
  ADDRESS_IN_USE: 500,
  INSECURE_LISTEN: 500,
  STORE_CORRUPT: 500,
  STORE_LOCKED: 500,
  STORE_FAILED: 500,
  HANDLER_FAILED: 502,
  NO_SHARDS: 503,
  NO_REGION: 503,
  UNREACHABLE: 503,
  NOT_READY: 503,
  CLOSED: 503,
  HANDOFF_TIMEOUT: 504,
  TIMEOUT: 504,
  PHASE_TIMEOUT: 504,
};

/** An answer that says what went wrong. */
export interface ErrorAnswer {
  readonly status: number;
  readonly body: { readonly error: { readonly code: string; readonly message: string } };
}

/** The refusals that have a status of their own, which no code has. */
const BY_STATUS: ReadonlyMap<number, readonly [code: ErrorCode, message: string]> = new Map([
  [404, ["BAD_REQUEST", "Cannot answer: there is no such path, or not with this method"]],
  [408, ["TIMEOUT", "Cannot answer: the request took too long to arrive"]],
  [413, ["FRAME_TOO_LARGE", "Cannot answer: the body of the request is too large"]],
  [414, ["FRAME_TOO_LARGE", "Cannot answer: a name in the path is too long"]],
  [415, ["BAD_REQUEST", "Cannot answer: the body of the request is not application/json"]],
  [
    426,
    ["BAD_REQUEST", "Cannot answer: peers and clients connect here, by an upgrade to WebSocket"],
  ],
  [431, ["FRAME_TOO_LARGE", "Cannot answer: the headers of the request are too large"]],
] as const);

/** What every other refusal of the framework or of Node becomes. */
const UNREADABLE = ["BAD_REQUEST", "Cannot answer: the request is malformed"] as const;

/** The answer to a request that failed with `error`; undefined when that is a fault of this peer. */
export function answerTo(error: unknown): ErrorAnswer | undefined {
  if (error instanceof HearsayError) {
    return answer(HTTP_STATUSES[error.code], error.code, error.message);
  }
  const status =
    typeof error === "object" && error !== null && "statusCode" in error ? error.statusCode : 500;
  return typeof status === "number" && status < 500 ? answerWith(status) : undefined;
}

/** The answer that has this status, 400 to 499. */
export function answerWith(status: number): ErrorAnswer {
  return answer(status, ...(BY_STATUS.get(status) ?? UNREADABLE));
}

/** The answer when this peer is at fault. Says nothing: what went wrong is in the log. */
export const FAULT: ErrorAnswer = answer(500, "INTERNAL", "Cannot answer: the peer has failed");

/** Answers on a bare socket, where there is no response to do it with, and closes it. */
export function answerOn(socket: Duplex, { status, body }: ErrorAnswer): void {
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(text)}`,
    "connection: close",
    ...(status === 426 ? ["upgrade: websocket"] : []),
  ];
  socket.once("finish", () => socket.destroy());
  socket.end(`${head.join("\r\n")}\r\n\r\n${text}`);
}

function answer(status: number, code: string, message: string): ErrorAnswer {
  return { status, body: { error: { code, message } } };
}
