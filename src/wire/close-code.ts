/**
 * Why a link is closed, as the status of a WebSocket close frame.
 *
 * A status is a number from the range that RFC 6455 leaves to applications, 4000 to 4999, and the
 * reason beside it is the code itself, for people who read a capture. Only the number is read: the
 * reason is a stranger's text.
 *
 * The numbers are part of the protocol, so they are written down and not counted: a code that is
 * added takes the next free one, wherever it stands in the list.
 *
 * Source: RFC 6455, section 7.4.2. Rules: SPEC.md, S1.
 */
import type { CloseCode } from "../core/effect.ts";

/** `SELF` is what a peer says that has dialled itself. */
export type LinkCloseCode = CloseCode | "SELF";

const STATUSES: Readonly<Record<LinkCloseCode, number>> = {
  LEAVING: 4000,
  DUPLICATE: 4001,
  SELF: 4002,
  CLOSED: 4003,
  UNUSED: 4004,
  MALFORMED_FRAME: 4010,
  FRAME_TOO_LARGE: 4011,
  VERSION_MISMATCH: 4012,
  CLUSTER_MISMATCH: 4013,
  NAME_TAKEN: 4014,
  AUTH_FAILED: 4015,
  FORBIDDEN: 4016,
  RATE_LIMITED: 4017,
  CLOCK_DRIFT: 4018,
  TIMEOUT: 4019,
  BUFFER_FULL: 4020,
  NOT_READY: 4021,
  BAD_REQUEST: 4022,
  UNREACHABLE: 4023,
  ADDRESS_IN_USE: 4030,
  INSECURE_LISTEN: 4031,
  STORE_CORRUPT: 4032,
  STORE_LOCKED: 4033,
  STORE_FAILED: 4034,
  NO_SHARDS: 4040,
  NO_REGION: 4041,
  NOT_OWNER: 4042,
  SHARD_NOT_FOUND: 4043,
  REGION_NOT_FOUND: 4044,
  REGION_NOT_ALIVE: 4045,
  HANDOFF_TIMEOUT: 4046,
  TICK_IN_PROGRESS: 4050,
  TICK_NOT_FOUND: 4051,
  TICK_ABORTED: 4052,
  STALE_TICK: 4053,
  NOT_A_PARTICIPANT: 4054,
  PHASE_TIMEOUT: 4055,
  HANDLER_FAILED: 4056,
};

const CODES: ReadonlyMap<number, LinkCloseCode> = new Map(
  Object.entries(STATUSES).map(([code, status]) => [status, code as LinkCloseCode]),
);

/** Statuses with which WebSocket itself closes on what it may not let through: RFC 6455, 7.4.1. */
const PROTOCOL_STATUSES: ReadonlyMap<number, LinkCloseCode> = new Map([
  [1002, "MALFORMED_FRAME"],
  [1003, "MALFORMED_FRAME"],
  [1007, "MALFORMED_FRAME"],
  [1008, "MALFORMED_FRAME"],
  [1009, "FRAME_TOO_LARGE"],
]);

/** The close frame that says `code`: its status, and its reason of at most 123 bytes. */
export function closeStatus(code: LinkCloseCode): {
  readonly status: number;
  readonly reason: string;
} {
  return { status: STATUSES[code], reason: code };
}

/** What a close frame's status says, ours or that of WebSocket; undefined for others, such as 1006. */
export function codeOfStatus(status: number): LinkCloseCode | undefined {
  return CODES.get(status) ?? PROTOCOL_STATUSES.get(status);
}
