/**
 * UTF-8 by hand, for hashes and canonical bytes.
 *
 * `TextEncoder` would allocate for every text and belongs to the host; the core needs neither. A
 * code point's bytes are handed out as one number, the first byte lowest, so that a caller takes
 * them off with shifts and nothing is allocated.
 *
 * Source: RFC 3629.
 */

/** What stands for a lone surrogate, as in the WHATWG encoding standard. */
const REPLACEMENT = 0xfffd;

const isSurrogate = (codePoint: number): boolean => codePoint >= 0xd800 && codePoint <= 0xdfff;

/** How many bytes a code point takes: 1 to 4. */
export function utf8Length(codePoint: number): number {
  if (codePoint < 0x80) return 1;
  if (codePoint < 0x800) return 2;
  return codePoint < 0x1_0000 ? 3 : 4;
}

/** The bytes of a code point as an int32, the first byte lowest. A surrogate counts as U+FFFD. */
export function packUtf8(codePoint: number): number {
  if (codePoint < 0x80) return codePoint;
  const last = 0x80 | (codePoint & 0x3f);
  if (codePoint < 0x800) return 0xc0 | (codePoint >> 6) | (last << 8);
  if (isSurrogate(codePoint)) return packUtf8(REPLACEMENT);
  const middle = 0x80 | ((codePoint >> 6) & 0x3f);
  if (codePoint < 0x1_0000) return 0xe0 | (codePoint >> 12) | (middle << 8) | (last << 16);
  const second = 0x80 | ((codePoint >> 12) & 0x3f);
  return 0xf0 | (codePoint >> 18) | (second << 8) | (middle << 16) | (last << 24);
}

/**
 * Writes `text` to `target` from `offset` on and returns the offset behind it; -1 when it does not
 * fit or has a lone surrogate, and then what was written is void.
 */
export function writeUtf8(text: string, target: Uint8Array, offset: number): number {
  if (text.length > target.length - offset) return -1; // A code unit takes at least one byte.
  let end = offset;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) {
      // Beyond the end the write is lost, and the check below reports it.
      target[end] = unit;
      end += 1;
      continue;
    }
    const codePoint = text.codePointAt(index) as number;
    if (isSurrogate(codePoint)) return -1;
    if (codePoint > 0xffff) index += 1; // Its second half.
    let packed = packUtf8(codePoint);
    for (let left = utf8Length(codePoint); left > 0; left -= 1) {
      target[end] = packed & 0xff;
      packed >>>= 8;
      end += 1;
    }
  }
  return end <= target.length ? end : -1;
}
