/**
 * What a store writes: records of bytes under keys of bytes, each with a checksum of both.
 *
 *   entry    key  map 0xFF key        value  checksum, msgpack of [time, writer, isTombstone, value]
 *   label    key  0x00                value  checksum, msgpack of [format, name, cluster]
 *   clock    key  0x01                value  checksum, msgpack of [clock bound]
 *   start    key  0x02                value  checksum, msgpack of [start of the last life, Unix ms]
 *
 * The byte 0xFF occurs in no UTF-8, so every key of an entry reads in one way, and is none of the
 * others. A checksum is CRC-32 over key and value: it finds a disk that returns what was not written.
 * It is no protection against somebody who can write to the disk; nothing is.
 *
 * Rules: SPEC.md, C6 and I17.
 */
import { crc32 } from "node:zlib";
import { assert } from "../core/assert.ts";
import { VALUE_BYTES_MAX } from "../core/limits.ts";
import type { Entry, Value } from "../core/message.ts";
import { pack, unpack } from "../wire/msgpack.ts";

/** Version of the format, in the label. */
export const STORE_FORMAT = 1;

export const LABEL_KEY = Uint8Array.of(0);
export const CLOCK_KEY = Uint8Array.of(1);
export const START_KEY = Uint8Array.of(2);

const SEPARATOR = 0xff;
const CHECKSUM_BYTES = 4;

/** Twice the canonical size of the largest value, and its stamp, whatever msgpack makes of them. */
const RECORD_LIMITS = { bytesMax: 2 * VALUE_BYTES_MAX + 4096, elementsMax: VALUE_BYTES_MAX };

/** The key that an entry of `map` is stored under. */
export function entryKey(map: string, key: string): Buffer {
  return Buffer.concat([Buffer.from(map), Uint8Array.of(SEPARATOR), Buffer.from(key)]);
}

/**
 * The map and the key that a stored key stands for; undefined when it is none of an entry. Whether the
 * bytes are those that were written is for the checksum to say.
 */
export function readEntryKey(bytes: Uint8Array): { map: string; key: string } | undefined {
  const end = bytes.indexOf(SEPARATOR);
  if (end < 0) return undefined;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return { map: text.toString("utf8", 0, end), key: text.toString("utf8", end + 1) };
}

/** A record of these fields under `key`. */
export function encodeRecord(key: Uint8Array, fields: readonly unknown[]): Uint8Array {
  const body = pack(fields);
  const record = new Uint8Array(CHECKSUM_BYTES + body.length);
  record.set(body, CHECKSUM_BYTES);
  new DataView(record.buffer).setUint32(0, crc32(body, crc32(key)));
  return record;
}

/**
 * The fields of a record of at most `bytesMax`; undefined when it is not what was written under `key`.
 */
export function decodeRecord(
  key: Uint8Array,
  record: Uint8Array,
  bytesMax = RECORD_LIMITS.bytesMax,
): readonly unknown[] | undefined {
  if (record.length <= CHECKSUM_BYTES) return undefined;
  const { buffer, byteOffset, length } = record;
  // A plain view costs a third of what a part of a Buffer does.
  const body = new Uint8Array(buffer, byteOffset + CHECKSUM_BYTES, length - CHECKSUM_BYTES);
  const sum = new DataView(buffer, byteOffset).getUint32(0);
  if (crc32(body, crc32(key)) !== sum) return undefined;
  const unpacked = unpack(body, { ...RECORD_LIMITS, bytesMax });
  return "elements" in unpacked ? unpacked.elements : undefined;
}

/** The record of an entry. */
export function encodeEntry(key: Uint8Array, { time, writer, value }: Entry): Uint8Array {
  assert(time >= 0, "an entry that won has a time");
  return encodeRecord(key, [time, writer, value === undefined, value ?? null]);
}

/** The entry in a record; undefined when it holds none. */
export function decodeEntry(
  stored: Uint8Array,
  key: string,
  record: Uint8Array,
): Entry | undefined {
  const fields = decodeRecord(stored, record);
  if (fields === undefined) return undefined;
  const [time, writer, isTombstone, value] = fields;
  if (!Number.isSafeInteger(time) || typeof writer !== "string") return undefined;
  return {
    key,
    value: isTombstone === true ? undefined : (value as Value),
    time: time as number,
    writer,
  };
}
