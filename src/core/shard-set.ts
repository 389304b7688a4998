/**
 * A set of shards as a small value: a tick names its participants, which may be 65 536.
 *
 * The shards of the configuration are numbers, and mostly all of them: they are kept as ranges of first
 * and last number. Ids that were registered are 16 hex digits: they are kept as 8 bytes each.
 *
 *   [[0, 255, 300, 300], bytes]    shard-0 to shard-255, shard-300, and the registered ones
 *
 * Anything that is neither has no such id, and cannot be in a set.
 */
import { SHARDS_MAX } from "./limits.ts";
import type { Value } from "./message.ts";
import { compareText, type ShardId } from "./units.ts";

const CONFIGURED = /^shard-(0|[1-9][0-9]{0,4})$/;
const REGISTERED = /^shard-([0-9a-f]{16})$/;

const ID_BYTES = 8;

/** The value of a set. Every shard must be one of the configuration or a registered one. */
export function encodeShardSet(shards: Iterable<ShardId>): Value {
  const numbers: number[] = [];
  const registered: string[] = [];
  for (const shard of shards) {
    const number = CONFIGURED.exec(shard)?.[1];
    if (number !== undefined) numbers.push(Number(number));
    else registered.push(shard);
  }
  const bytes = new Uint8Array(registered.length * ID_BYTES);
  registered.sort(compareText);
  for (const [index, shard] of registered.entries()) {
    const digits = REGISTERED.exec(shard)?.[1] ?? "";
    for (let byte = 0; byte < ID_BYTES; byte += 1) {
      bytes[index * ID_BYTES + byte] = Number.parseInt(digits.slice(2 * byte, 2 * byte + 2), 16);
    }
  }
  return [rangesOf(numbers), bytes];
}

/** Reads a set; undefined when it is none. The order is that of the numbers, then of the ids. */
export function decodeShardSet(value: Value | undefined): ShardId[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const [ranges, bytes] = value as readonly Value[];
  if (!Array.isArray(ranges) || ranges.length % 2 !== 0) return undefined;
  if (!(bytes instanceof Uint8Array) || bytes.length % ID_BYTES !== 0) return undefined;
  const shards: ShardId[] = [];
  let next = 0;
  for (let index = 0; index < ranges.length; index += 2) {
    const first: unknown = ranges[index];
    const last: unknown = ranges[index + 1];
    if (!isNumber(first) || !isNumber(last) || first < next || last < first) return undefined;
    for (let number = first; number <= last; number += 1) shards.push(`shard-${number}`);
    next = last + 1; // Ascending and apart: no more than there are numbers.
  }
  for (let start = 0; start < bytes.length; start += ID_BYTES) {
    const digits = [...bytes.subarray(start, start + ID_BYTES)].map(twoDigits);
    shards.push(`shard-${digits.join("")}`);
  }
  return shards;
}

function rangesOf(numbers: number[]): number[] {
  const ranges: number[] = [];
  for (const number of numbers.sort((a, b) => a - b)) {
    if (ranges.at(-1) === number - 1) ranges[ranges.length - 1] = number;
    else ranges.push(number, number);
  }
  return ranges;
}

function isNumber(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < SHARDS_MAX;
}

function twoDigits(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
