/**
 * The hash functions that peers must agree on, and one that only needs to be fast.
 *
 * `hash32` places documents and shards on the ring. It is MurmurHash3_x86_32 over UTF-8, since every
 * bit of its result depends on every bit of the text; bare FNV-1a on "shard-1", "shard-2", ... leaves
 * a ring with a max/mean load of 1.85. `fnv1a64` numbers shards by tenant and entity the way that
 * existing systems do. Both are part of the protocol: a document must have one shard on every machine
 * and in every release [R4]. A lone surrogate counts as U+FFFD.
 *
 * `Hash64` names entries in a sketch. Peers compare its results too, but it is versioned with the
 * protocol and may change with it, so it reads UTF-16 code units as they lie.
 *
 * None of them withstands somebody who looks for collisions; nothing here authenticates anything.
 *
 * Source: Austin Appleby, MurmurHash3 (x86_32; the lanes of `Hash64` follow x86_128);
 * Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm", IETF draft.
 * Rules: SPEC.md, section R.
 */
import { packUtf8, utf8Length } from "./utf8.ts";

/** The MurmurHash3_x86_32 of the UTF-8 bytes of `text`, in [0, 2^32). Allocates nothing. */
export function hash32(text: string, seed = 0): number {
  const wholeWords = text.length & ~3;
  let state = seed | 0;
  let index = 0;
  for (; index < wholeWords; index += 4) {
    const a = text.charCodeAt(index);
    const b = text.charCodeAt(index + 1);
    const c = text.charCodeAt(index + 2);
    const d = text.charCodeAt(index + 3);
    if ((a | b | c | d) > 0x7f) return hash32Encoding(text, index, state);
    state = mixWord(state, a | (b << 8) | (c << 16) | (d << 24));
  }
  let tail = 0;
  for (let shift = 0; index < text.length; index += 1, shift += 8) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) return hash32Encoding(text, wholeWords, state);
    tail |= unit << shift;
  }
  return finishWords(state, tail, text.length);
}

/** Goes on from `start`, a multiple of 4 behind nothing but ASCII, encoding as it goes. */
function hash32Encoding(text: string, start: number, startState: number): number {
  let state = startState;
  let byteLength = start;
  let word = 0;
  for (let index = start; index < text.length; index += 1) {
    const codePoint = text.codePointAt(index) as number;
    if (codePoint > 0xffff) index += 1; // Its second half.
    let packed = packUtf8(codePoint);
    for (let left = utf8Length(codePoint); left > 0; left -= 1) {
      word |= (packed & 0xff) << ((byteLength & 3) << 3);
      packed >>>= 8;
      byteLength += 1;
      if ((byteLength & 3) !== 0) continue;
      state = mixWord(state, word);
      word = 0;
    }
  }
  return finishWords(state, word, byteLength);
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function scramble(word: number): number {
  return Math.imul(rotateLeft(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
}

function mixWord(state: number, word: number): number {
  return (Math.imul(rotateLeft(state ^ scramble(word), 13), 5) + 0xe6546b64) | 0;
}

/** An empty tail is 0, which scrambles to 0 and changes nothing, as the original has it. */
function finishWords(state: number, tail: number, byteLength: number): number {
  return avalanche(state ^ scramble(tail) ^ byteLength) >>> 0;
}

/** Lets every bit of an int32 change every other with a probability of one half. A bijection. */
function avalanche(word: number): number {
  let mixed = word;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/**
 * A 64-bit hash of a sequence of words, texts and bytes, to be reused.
 *
 * Two lanes of 32 bits read every word with different multipliers and rotations, each adds the
 * other in, and the end mixes both. Texts and bytes are preceded by their length, so that moving a
 * character from one part to the next changes the hash.
 */
export class Hash64 {
  /** The lower half after `finish`, in [0, 2^32). */
  low = 0;
  /** The upper half after `finish`, in [0, 2^32). */
  high = 0;
  #low = 0;
  #high = 0;
  #wordCount = 0;

  /** Begins anew, with a key of two words. */
  reset(seedLow: number, seedHigh: number): void {
    this.#low = seedLow | 0;
    this.#high = seedHigh | 0;
    this.#wordCount = 0;
  }

  /** Adds the lower 32 bits of an integer. */
  word(value: number): void {
    const word = value | 0;
    this.#low = mixLow(this.#low, this.#high, word);
    this.#high = mixHigh(this.#low, this.#high, word);
    this.#wordCount += 1;
  }

  /** Adds a text, two UTF-16 code units to a word. */
  text(text: string): void {
    const length = text.length;
    this.word(length);
    let low = this.#low;
    let high = this.#high;
    let index = 0;
    for (; index + 1 < length; index += 2) {
      const word = text.charCodeAt(index) | (text.charCodeAt(index + 1) << 16);
      low = mixLow(low, high, word);
      high = mixHigh(low, high, word);
    }
    this.#low = low;
    this.#high = high;
    this.#wordCount += index >> 1;
    if (index < length) this.word(text.charCodeAt(index));
  }

  /** Adds the bytes from `start` to before `end`, four to a word. */
  bytes(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.word(end - start);
    for (let index = start; index < end; index += 4) {
      let word = bytes[index] as number;
      if (index + 1 < end) word |= (bytes[index + 1] as number) << 8;
      if (index + 2 < end) word |= (bytes[index + 2] as number) << 16;
      if (index + 3 < end) word |= (bytes[index + 3] as number) << 24;
      this.word(word);
    }
  }

  /** Puts the result into `low` and `high`. More may be added afterwards. */
  finish(): void {
    let low = this.#low ^ this.#wordCount;
    let high = this.#high ^ this.#wordCount;
    low = (low + high) | 0;
    high = (high + low) | 0;
    low = avalanche(low);
    high = avalanche(high);
    low = (low + high) | 0;
    high = (high + low) | 0;
    this.low = low >>> 0;
    this.high = high >>> 0;
  }
}

function mixLow(low: number, high: number, word: number): number {
  const mixed = low ^ Math.imul(rotateLeft(Math.imul(word, 0x239b961b), 15), 0xab0e9789);
  return (Math.imul(rotateLeft(mixed, 19) + high, 5) + 0x561ccd1b) | 0;
}

function mixHigh(low: number, high: number, word: number): number {
  const mixed = high ^ Math.imul(rotateLeft(Math.imul(word, 0x38b34ae5), 17), 0xa1e38b93);
  return (Math.imul(rotateLeft(mixed, 13) + low, 5) + 0x32ac3b17) | 0;
}

/** An unsigned word as people and names show it: 8 hex digits. */
export function hexOf(word: number): string {
  return word.toString(16).padStart(8, "0");
}

/** 64 bits as two unsigned halves. */
export interface Halves {
  readonly high: number;
  readonly low: number;
}

/** The FNV-1a hash with 64 bits of the UTF-8 bytes of `text`. */
export function fnv1a64(text: string): Halves {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (let index = 0; index < text.length; index += 1) {
    const codePoint = text.codePointAt(index) as number;
    if (codePoint > 0xffff) index += 1; // Its second half.
    let packed = packUtf8(codePoint);
    for (let left = utf8Length(codePoint); left > 0; left -= 1) {
      low = (low ^ (packed & 0xff)) >>> 0;
      packed >>>= 8;
      // Times the prime 2^40 + 0x1b3. The product of the lower half stays below 2^41, so exact.
      const product = low * 0x1b3;
      const carry = Math.floor(product / 0x1_0000_0000);
      high = (Math.imul(high, 0x1b3) + carry + (low << 8)) >>> 0;
      low = product >>> 0;
    }
  }
  return { high, low };
}
