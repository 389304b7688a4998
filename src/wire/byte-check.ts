/**
 * One pass over a stranger's msgpack bytes, before anything is built from them.
 *
 * msgpackr reads more than we speak and has no option to refuse it: maps (it renames `__proto__`),
 * extensions, records, 64-bit integers as BigInt; the byte 0xC1 becomes an object and bad UTF-8
 * becomes U+FFFD. It also recurses as deep as a frame says. So frames are judged by their bytes first,
 * and what is left for msgpackr is arrays of null, booleans, finite numbers, well-formed text and byte
 * strings, no deeper and no longer than the limits: it cannot fail on them.
 *
 * The table below is the whole language; what it does not list is refused. The pass is a loop with a
 * stack of fixed size. Every element takes at least one byte, so the count of elements announced and
 * not yet read may never exceed the bytes that are left: a length that lies is found where it stands,
 * and no byte is visited twice.
 *
 * Deliberately absent: what the elements mean. That is for `codec.ts` and `handshake.ts`.
 *
 * Source: the MessagePack specification; Unicode 16.0, table 3-7. Rules: SPEC.md, S4 and S5.
 */
import { FRAME_BYTES_MAX, FRAME_DEPTH_MAX, FRAME_ELEMENTS_MAX } from "../core/limits.ts";

export interface ByteLimits {
  /** Size of the whole, in bytes. */
  readonly bytesMax: number;
  /** Elements of one array. */
  readonly elementsMax: number;
}

/** The limits of a frame between peers. */
export const FRAME_LIMITS: ByteLimits = {
  bytesMax: FRAME_BYTES_MAX,
  elementsMax: FRAME_ELEMENTS_MAX,
};

/** The one reason that has a code of its own. */
export const TOO_LARGE = "is larger than its limit";

/** Null, a boolean or an integer that a number holds exactly. */
const PLAIN = 1;
const FLOAT = 2;
/** An integer of 64 bits, which a number may not hold exactly. */
const WIDE = 3;
const TEXT = 4;
const BYTES = 5;
const ARRAY = 6;

/** First and last lead byte, what it begins, and the bytes of its number or length. */
const FORMATS: readonly (readonly [first: number, last: number, kind: number, width: number])[] = [
  [0x00, 0x7f, PLAIN, 0],
  [0x90, 0x9f, ARRAY, 0],
  [0xa0, 0xbf, TEXT, 0],
  [0xc0, 0xc0, PLAIN, 0],
  [0xc2, 0xc3, PLAIN, 0],
  [0xc4, 0xc4, BYTES, 1],
  [0xc5, 0xc5, BYTES, 2],
  [0xc6, 0xc6, BYTES, 4],
  [0xca, 0xca, FLOAT, 4],
  [0xcb, 0xcb, FLOAT, 8],
  [0xcc, 0xcc, PLAIN, 1],
  [0xcd, 0xcd, PLAIN, 2],
  [0xce, 0xce, PLAIN, 4],
  [0xcf, 0xcf, WIDE, 8],
  [0xd0, 0xd0, PLAIN, 1],
  [0xd1, 0xd1, PLAIN, 2],
  [0xd2, 0xd2, PLAIN, 4],
  [0xd3, 0xd3, WIDE, 8],
  [0xd9, 0xd9, TEXT, 1],
  [0xda, 0xda, TEXT, 2],
  [0xdb, 0xdb, TEXT, 4],
  [0xdc, 0xdc, ARRAY, 2],
  [0xdd, 0xdd, ARRAY, 4],
  [0xe0, 0xff, PLAIN, 0],
];

const KINDS = new Uint8Array(256);
const WIDTHS = new Uint8Array(256);
for (const [first, last, kind, width] of FORMATS) {
  KINDS.fill(kind, first, last + 1);
  WIDTHS.fill(width, first, last + 1);
}

/** Elements still to come in each open array. Slot 0 stands for the one value that a frame is. */
const pending = new Uint32Array(FRAME_DEPTH_MAX + 1);

/**
 * Says why `bytes` are not one msgpack value within the limits that `codec.ts` could have written;
 * undefined when they are. The reason completes "a frame that ..." and never quotes them. Never throws;
 * linear in the length.
 */
export function checkBytes(
  bytes: Uint8Array,
  limits: ByteLimits = FRAME_LIMITS,
): string | undefined {
  const length = bytes.length;
  if (length > limits.bytesMax) return TOO_LARGE; // [S4] Before a single byte is read.
  let position = 0;
  let depth = 0;
  let owed = 1; // Elements announced and not yet read, at every depth.
  pending[0] = 1;
  while (owed > 0) {
    if (owed > length - position) return "announces more elements than it holds";
    while (pending[depth] === 0) depth -= 1;
    pending[depth] = (pending[depth] as number) - 1;
    owed -= 1;
    const lead = bytes[position] as number;
    const kind = KINDS[lead] as number;
    const width = WIDTHS[lead] as number;
    const start = position + 1;
    position = start + width;
    if (position > length) return "ends within an element";
    switch (kind) {
      case PLAIN:
        break;
      case FLOAT:
        if (!isOrdinaryFloat(bytes, start, width)) return "holds a number that is not finite or -0";
        break;
      case WIDE:
        if (!isSafeInteger(bytes, start, lead)) return "holds an integer beyond 53 bits";
        break;
      case TEXT:
      case BYTES: {
        const size = width === 0 ? lead & 0x1f : unsigned(bytes, start, width);
        if (size > length - position) return "announces more bytes than it holds";
        position += size;
        if (kind === TEXT && !isUtf8(bytes, position - size, position)) {
          return "holds text that is not UTF-8";
        }
        break;
      }
      case ARRAY: {
        const count = width === 0 ? lead & 0x0f : unsigned(bytes, start, width);
        if (count > limits.elementsMax) return "holds an array that is too long"; // [S4]
        if (depth === FRAME_DEPTH_MAX) return "is nested too deep"; // [S5]
        depth += 1;
        pending[depth] = count;
        owed += count;
        break;
      }
      default:
        return "holds a map, an extension or a reserved byte";
    }
  }
  return position === length ? undefined : "goes on behind its end";
}

/** Reads a big-endian number of `width` bytes, 4 at most. */
function unsigned(bytes: Uint8Array, start: number, width: number): number {
  let value = 0;
  for (let index = start; index < start + width; index += 1) {
    value = value * 256 + (bytes[index] as number);
  }
  return value;
}

/** Whether a big-endian IEEE 754 number is finite and not -0. */
function isOrdinaryFloat(bytes: Uint8Array, start: number, width: number): boolean {
  const first = bytes[start] as number;
  if ((first & 0x7f) === 0x7f) {
    // An exponent of ones only: 8 bits of it in a float32, 11 in a float64.
    const exponentEnd = width === 4 ? 0x80 : 0xf0;
    return ((bytes[start + 1] as number) & exponentEnd) !== exponentEnd;
  }
  if (first !== 0x80) return true;
  for (let index = start + 1; index < start + width; index += 1) {
    if (bytes[index] !== 0) return true;
  }
  return false;
}

/** Whether a 64-bit integer is within the 53 bits of a safe one. */
function isSafeInteger(bytes: Uint8Array, start: number, lead: number): boolean {
  const high = unsigned(bytes, start, 4);
  if (high <= 0x1f_ffff) return true;
  if (lead === 0xcf || high < 0xffe0_0000) return false;
  return high > 0xffe0_0000 || unsigned(bytes, start + 4, 4) > 0; // -2^53 itself is not safe.
}

/** Whether a range holds UTF-8: no overlong form, no surrogate, nothing above U+10FFFF. */
function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let position = start;
  while (position < end) {
    const lead = bytes[position] as number;
    position += 1;
    if (lead < 0x80) continue;
    if (lead < 0xc2 || lead > 0xf4) return false;
    const following = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (following > end - position) return false;
    // Only the second byte is restricted further, and only behind these four.
    const second = bytes[position] as number;
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return false;
    for (let index = position + 1; index < position + following; index += 1) {
      if (((bytes[index] as number) & 0xc0) !== 0x80) return false;
    }
    position += following;
  }
  return true;
}
