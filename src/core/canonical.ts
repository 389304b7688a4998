/**
 * One sequence of bytes for each value, the last tie-break of the order on entries.
 *
 * Two entries with the same stamp and different values can exist: a virtual machine was cloned, or
 * a peer lies. Peers must still agree which of them wins, so values have an order of their own: that
 * of their canonical bytes. These are also what a sketch hashes. Hence one value, one encoding: a
 * tag, a length where there is one, keys sorted by UTF-16 code units, numbers as eight bytes.
 *
 *   00 null   01 false   02 true   03 number: float64, big-endian
 *   04 string: u32 length, UTF-8        05 bytes: u32 length, bytes
 *   06 array: u32 count, values         07 object: u32 count, (string without tag, value)...
 *
 * What has no such encoding is refused, above all what would not survive a frame: NaN, infinities,
 * -0, undefined, holes, lone surrogates, functions, class instances. Of an object only the own
 * enumerable properties with string keys count, as in JSON.
 *
 * Nothing decodes these bytes and no frame carries them. The scratch buffer is as large as a value
 * may be, so a refusal costs no more than that, however deep, wide or circular the value is.
 *
 * Rules: SPEC.md, section M (M2, M7).
 */
import { VALUE_BYTES_MAX, VALUE_DEPTH_MAX } from "./limits.ts";
import { writeUtf8 } from "./utf8.ts";

const TAG_NULL = 0;
const TAG_FALSE = 1;
const TAG_TRUE = 2;
const TAG_NUMBER = 3;
const TAG_STRING = 4;
const TAG_BYTES = 5;
const TAG_ARRAY = 6;
const TAG_OBJECT = 7;

/** A key without characters and a null behind it: the least that a property takes. */
const PROPERTY_BYTES_MIN = 5;

const REFUSED = -1;

const scratch = new Uint8Array(VALUE_BYTES_MAX);
const scratchView = new DataView(scratch.buffer);

/**
 * The canonical encoding of `value`; undefined when it is none that an entry may hold. Never throws.
 * The result is a view on a shared buffer: it is valid until the next call.
 */
export function canonicalBytes(value: unknown): Uint8Array | undefined {
  try {
    const end = write(value, 0, 0);
    return end === REFUSED ? undefined : scratch.subarray(0, end);
  } catch {
    return undefined; // A getter or a proxy threw: strangers' code, and no value of ours.
  }
}

/** Orders byte sequences by their first difference, then by length. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const difference = (a[index] as number) - (b[index] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Whether `text` has no lone surrogate, so that UTF-8 can say all of it. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text); // With the flag, a pair is one code point and no match.
}

/** Writes a value from `offset` on and returns the offset behind it, or `REFUSED`. */
function write(value: unknown, offset: number, depth: number): number {
  switch (typeof value) {
    case "string":
      return writeText(value, writeByte(TAG_STRING, offset));
    case "number":
      return writeNumber(value, offset);
    case "boolean":
      return writeByte(value ? TAG_TRUE : TAG_FALSE, offset);
    case "object":
      if (value === null) return writeByte(TAG_NULL, offset);
      if (value instanceof Uint8Array) return writeBytes(value, offset);
      if (depth === VALUE_DEPTH_MAX) return REFUSED;
      return Array.isArray(value)
        ? writeArray(value, offset, depth + 1)
        : writeObject(value, offset, depth + 1);
    default:
      return REFUSED;
  }
}

function writeByte(byte: number, offset: number): number {
  if (offset >= VALUE_BYTES_MAX) return REFUSED;
  scratch[offset] = byte;
  return offset + 1;
}

/** Passes a refusal through, so that writes can be nested. */
function writeLength(length: number, offset: number): number {
  if (offset === REFUSED || offset + 4 > VALUE_BYTES_MAX) return REFUSED;
  scratchView.setUint32(offset, length);
  return offset + 4;
}

function writeNumber(value: number, offset: number): number {
  // [M2] NaN has many bit patterns, and 0 and -0 are equal but for theirs.
  if (!Number.isFinite(value) || Object.is(value, -0)) return REFUSED;
  if (offset + 9 > VALUE_BYTES_MAX) return REFUSED;
  scratch[offset] = TAG_NUMBER;
  scratchView.setFloat64(offset + 1, value);
  return offset + 9;
}

/** Writes a length and the text. Passes a refusal through. */
function writeText(text: string, offset: number): number {
  const start = writeLength(0, offset);
  if (start === REFUSED) return REFUSED;
  const end = writeUtf8(text, scratch, start);
  if (end !== REFUSED) scratchView.setUint32(offset, end - start); // Known only now.
  return end;
}

function writeBytes(bytes: Uint8Array, offset: number): number {
  const start = writeLength(bytes.length, writeByte(TAG_BYTES, offset));
  if (start === REFUSED || start + bytes.length > VALUE_BYTES_MAX) return REFUSED;
  scratch.set(bytes, start);
  return start + bytes.length;
}

function writeArray(values: readonly unknown[], offset: number, depth: number): number {
  const count = values.length;
  let end = writeLength(count, writeByte(TAG_ARRAY, offset));
  if (end === REFUSED || count > VALUE_BYTES_MAX - end) return REFUSED;
  for (let index = 0; index < count; index += 1) {
    end = write(values[index], end, depth);
    if (end === REFUSED) return REFUSED;
  }
  return end;
}

function writeObject(value: object, offset: number, depth: number): number {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return REFUSED;
  const keys = Object.keys(value);
  let end = writeLength(keys.length, writeByte(TAG_OBJECT, offset));
  // Checked before the keys are sorted, which would cost more than the buffer is long.
  if (end === REFUSED || keys.length * PROPERTY_BYTES_MIN > VALUE_BYTES_MAX - end) return REFUSED;
  if (keys.length > 1) keys.sort(); // [M2] By UTF-16 code units, the same on every machine.
  for (const key of keys) {
    end = writeText(key, end);
    if (end === REFUSED) return REFUSED;
    end = write((value as Record<string, unknown>)[key], end, depth);
    if (end === REFUSED) return REFUSED;
  }
  return end;
}
