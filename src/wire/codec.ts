/**
 * Frames and messages: the only way from one to the other, and the only code between strangers'
 * bytes and the state machine.
 *
 *   frame     [table?, message, message, ...]
 *   table     [0, newest, writer, ...]          the stamps of all entries in the frame: `entries.ts`
 *   message   [number, field, field, ...]       `message-formats.ts`
 *
 * A frame passes three gates: its bytes (`byte-check.ts`), the form of its messages and that of its
 * entries. The first two refuse the frame, and its link closes; the third leaves out single entries.
 * Decoding never throws. Encoding asserts: what it cannot say is a bug of ours.
 *
 * A snapshot is the same without messages, for `AllocationTable` alone: a version byte, then a table
 * and maps. It is stored and copied by users, so it has a larger limit and may outlive a version.
 *
 * Rules: SPEC.md, M7, S4, S5 and S8.
 */
import { assert } from "../core/assert.ts";
import type { ErrorCode } from "../core/error.ts";
import { FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, REPLICA_ENTRIES_MAX } from "../core/limits.ts";
import type { MapEntries, Message } from "../core/message.ts";
import { type ByteLimits, FRAME_LIMITS, TOO_LARGE } from "./byte-check.ts";
import { ENTRY_ELEMENTS, StampReader, StampWriter } from "./entries.ts";
import { readMessage, writeMessage } from "./message-formats.ts";
import { pack, unpack } from "./msgpack.ts";

/** Size of a stand-alone snapshot, in bytes: 256 for each entry of the largest replica. */
export const SNAPSHOT_BYTES_MAX = 67_108_864;

/** Version of the stand-alone snapshot, its first byte. */
const SNAPSHOT_VERSION = 1;

const SNAPSHOT_LIMITS: ByteLimits = {
  bytesMax: SNAPSHOT_BYTES_MAX - 1, // The version byte stands before.
  elementsMax: REPLICA_ENTRIES_MAX * ENTRY_ELEMENTS,
};

/** What a table of stamps begins with, where a message has its number. */
const STAMP_TABLE = 0;

/** Those of a frame without entries, as most are. Nothing is added to it. */
const NO_STAMPS = new StampWriter();

export interface DecodeRefusal {
  readonly ok: false;
  readonly code: Extract<ErrorCode, "MALFORMED_FRAME" | "FRAME_TOO_LARGE">;
  /** For people, and nothing of the bytes is in it. */
  readonly message: string;
}

/** The messages of a frame, and how many malformed entries were left out of them. */
export type DecodedFrame =
  | { readonly ok: true; readonly messages: Message[]; readonly refused: number }
  | DecodeRefusal;

/** The maps of a snapshot, and how many malformed entries were left out of them. */
export type DecodedSnapshot =
  | { readonly ok: true; readonly maps: MapEntries[]; readonly refused: number }
  | DecodeRefusal;

/**
 * Encodes messages as one frame. The caller keeps it below `FRAME_BYTES_MAX`, and values free of
 * objects: both are asserted. The result may share memory with other frames and is read-only.
 */
export function encodeFrame(messages: readonly Message[]): Uint8Array {
  assert(messages.length <= FRAME_MESSAGES_MAX, "a frame has a limited number of messages");
  const stamps = stampsOf(messages);
  const elements: unknown[] = messages.map((message) => writeMessage(message, stamps));
  if (!stamps.isEmpty) elements.unshift([STAMP_TABLE, ...stamps.table()]);
  const bytes = pack(elements);
  assert(bytes.length <= FRAME_BYTES_MAX, "a frame is no larger than its receiver allows");
  return bytes;
}

function stampsOf(messages: readonly Message[]): StampWriter {
  let stamps: StampWriter | undefined;
  for (const message of messages) {
    if (!("maps" in message)) continue;
    stamps ??= new StampWriter();
    stamps.add(message.maps);
  }
  return stamps ?? NO_STAMPS;
}

/** Decodes a frame of protocol version 1. Never throws, whatever the bytes; keeps none of them. */
export function decodeFrame(bytes: Uint8Array): DecodedFrame {
  const unpacked = unpack(bytes, FRAME_LIMITS);
  if ("reason" in unpacked) return refusal("frame", unpacked.reason);
  const [first] = unpacked.elements;
  const hasTable = Array.isArray(first) && first[0] === STAMP_TABLE;
  const stamps = StampReader.of(hasTable ? first.slice(1) : [0]);
  if (stamps === undefined) return refusal("frame", "has a malformed table of stamps");
  const bodies = hasTable ? unpacked.elements.slice(1) : unpacked.elements;
  if (bodies.length > FRAME_MESSAGES_MAX) return refusal("frame", "has too many messages"); // [S4]
  const messages: Message[] = [];
  for (const body of bodies) {
    const message = readMessage(body, stamps);
    if (message === undefined) return refusal("frame", "has a malformed message");
    messages.push(message);
  }
  return { ok: true, messages, refused: stamps.refused };
}

/** Encodes maps as a stand-alone snapshot of at most `SNAPSHOT_BYTES_MAX`, which is asserted. */
export function encodeSnapshot(maps: readonly MapEntries[]): Uint8Array {
  const stamps = new StampWriter();
  stamps.add(maps);
  const body = pack([stamps.table(), stamps.encode(maps)]);
  assert(body.length <= SNAPSHOT_LIMITS.bytesMax, "a snapshot is no larger than its limit");
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = SNAPSHOT_VERSION;
  bytes.set(body, 1);
  return bytes;
}

/** Decodes a stand-alone snapshot. Never throws, whatever the bytes; keeps none of them. */
export function decodeSnapshot(bytes: Uint8Array): DecodedSnapshot {
  if (bytes[0] !== SNAPSHOT_VERSION) return refusal("snapshot", "is not of version 1");
  const unpacked = unpack(bytes.subarray(1), SNAPSHOT_LIMITS);
  if ("reason" in unpacked) return refusal("snapshot", unpacked.reason);
  const [table, elements, ...rest] = unpacked.elements;
  const stamps = Array.isArray(table) ? StampReader.of(table) : undefined;
  const maps = rest.length === 0 ? stamps?.decode(elements) : undefined;
  if (stamps === undefined || maps === undefined) return refusal("snapshot", "is malformed");
  return { ok: true, maps, refused: stamps.refused };
}

function refusal(what: string, reason: string): DecodeRefusal {
  const code = reason === TOO_LARGE ? "FRAME_TOO_LARGE" : "MALFORMED_FRAME";
  return { ok: false, code, message: `Cannot read a ${what} that ${reason}` };
}
