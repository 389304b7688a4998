/**
 * Sums by term: an open-addressing table in typed arrays.
 *
 * A vocabulary of a hundred thousand terms in a `Map` of strings takes 80 bytes for each and a garbage
 * collector's attention for all. Here a term is a number: its characters lie in one array of UTF-8, its
 * sum, its hash and where it begins in three others, and a slot of the table holds the number. A look
 * takes one hash and, as a rule, one comparison.
 *
 * A term whose sum has fallen to zero keeps its number until the table is built anew, without it: that
 * is when the arrays are full, or when most of what is in them is such terms.
 *
 * Where a term's slot is depends on a key that nobody else knows, so that nobody can publish terms that
 * all want the same one: multiplying the hash by a random odd number and taking the upper bits. Terms with
 * equal hashes are few, since each chunk holds few.
 *
 * Deliberately absent: deletion of single slots, and listing: nobody asks for all terms.
 *
 * Source: Dietzfelbinger et al., "A reliable randomized algorithm for the closest-pair problem", 1997,
 * for the multiplication.
 */
import { assert } from "./assert.ts";
import { TERM_LENGTH_MAX } from "./limits.ts";
import { writeUtf8 } from "./utf8.ts";

/** Terms that a new table has room for. A power of two. */
const TERMS_INITIAL = 64;

/** What is allowed for a term's characters before the arrays grow, in bytes. */
const TERM_BYTES_USUAL = 12;

/** A code unit takes three bytes at most. */
const scratch = new Uint8Array(3 * TERM_LENGTH_MAX);

export class TermTable {
  /** Number of a term plus one; 0 in an empty slot. Twice as many as there may be terms. */
  #slots = new Uint32Array(2 * TERMS_INITIAL);
  /** By number; where the term after it begins is where it ends. */
  #starts = new Uint32Array(TERMS_INITIAL + 1);
  #hashes = new Uint32Array(TERMS_INITIAL);
  #sums = new Float64Array(TERMS_INITIAL);
  #bytes = new Uint8Array(TERMS_INITIAL * TERM_BYTES_USUAL);
  /** Terms that have a number, and those of them whose sum is zero. */
  #count = 0;
  #unused = 0;
  /** Odd. */
  readonly #factor: number;
  /** How many bits of a product are not part of a slot. */
  #shift = 32 - Math.log2(2 * TERMS_INITIAL);

  /** `key` is any integer that others cannot guess. */
  constructor(key: number) {
    this.#factor = key | 1;
  }

  /** Terms whose sum is not zero. */
  get size(): number {
    return this.#count - this.#unused;
  }

  /** Bytes that the table takes. */
  get byteLength(): number {
    const { byteLength } = this.#slots;
    const { starts, sums } = { starts: this.#starts.byteLength, sums: this.#sums.byteLength };
    return byteLength + starts + sums + this.#hashes.byteLength + this.#bytes.byteLength;
  }

  /** The sum of `term`, whose hash is `hash`; 0 for one that is not here. */
  sumOf(term: string, hash: number): number {
    const length = writeUtf8(term, scratch, 0);
    if (length < 0) return 0; // Too long, or no text: nobody can have added it.
    const slot = this.#slotOf(hash, length);
    const number = this.#slots[slot] as number;
    return number === 0 ? 0 : (this.#sums[number - 1] as number);
  }

  /** Adds `amount`, which may be negative, to the sum of `term`. */
  add(term: string, hash: number, amount: number): void {
    const length = writeUtf8(term, scratch, 0);
    assert(length > 0, "a term is well-formed text of limited length");
    let slot = this.#slotOf(hash, length);
    if (this.#slots[slot] === 0) {
      if (this.#makeRoom(length)) slot = this.#slotOf(hash, length);
      this.#insert(slot, hash, length);
    }
    const index = (this.#slots[slot] as number) - 1;
    const before = this.#sums[index] as number;
    const after = before + amount;
    assert(after >= 0, "nothing is taken out that was not added");
    this.#sums[index] = after;
    if (before === 0 && after > 0) this.#unused -= 1;
    if (before > 0 && after === 0) {
      this.#unused += 1;
      if (this.#unused > TERMS_INITIAL && 4 * this.#unused > 3 * this.#count) this.#rebuild();
    }
  }

  /** The slot of the term in `scratch`, or the empty one where it would be. */
  #slotOf(hash: number, length: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#homeOf(hash); ; slot = (slot + 1) & mask) {
      const number = this.#slots[slot] as number;
      if (number === 0) return slot;
      if (this.#hashes[number - 1] === hash && this.#isAt(number - 1, length)) return slot;
    }
  }

  #homeOf(hash: number): number {
    return Math.imul(hash, this.#factor) >>> this.#shift;
  }

  #isAt(index: number, length: number): boolean {
    const start = this.#starts[index] as number;
    if ((this.#starts[index + 1] as number) - start !== length) return false;
    for (let at = 0; at < length; at += 1) {
      if (this.#bytes[start + at] !== scratch[at]) return false;
    }
    return true;
  }

  /** Gives the term in `scratch` a number, with a sum of zero. */
  #insert(slot: number, hash: number, length: number): void {
    const index = this.#count;
    const start = this.#starts[index] as number;
    this.#bytes.set(scratch.subarray(0, length), start);
    this.#starts[index + 1] = start + length;
    this.#hashes[index] = hash;
    this.#sums[index] = 0;
    this.#slots[slot] = index + 1;
    this.#count += 1;
    this.#unused += 1;
  }

  /** Makes room for one more term of that length; true when slots may have changed. */
  #makeRoom(length: number): boolean {
    const end = (this.#starts[this.#count] as number) + length;
    if (end > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(end, Math.ceil(1.5 * this.#bytes.length)));
      bytes.set(this.#bytes);
      this.#bytes = bytes;
    }
    if (this.#count < this.#hashes.length) return false;
    const kept = scratch.slice(0, length);
    this.#rebuild();
    scratch.set(kept);
    return true;
  }

  /** Leaves out what has no sum, with room for half as many terms again. */
  #rebuild(): void {
    const { size } = this;
    const [starts, hashes, sums, bytes] = [this.#starts, this.#hashes, this.#sums, this.#bytes];
    const before = this.#count;
    const room = Math.max(TERMS_INITIAL, Math.ceil(1.5 * size));
    let slotCount = 2 * TERMS_INITIAL;
    while (slotCount < 1.4 * room) slotCount *= 2;
    let byteCount = 0;
    for (let index = 0; index < before; index += 1) {
      if (sums[index] === 0) continue;
      byteCount += (starts[index + 1] as number) - (starts[index] as number);
    }
    this.#slots = new Uint32Array(slotCount);
    this.#shift = 32 - Math.log2(slotCount);
    this.#starts = new Uint32Array(room + 1);
    this.#hashes = new Uint32Array(room);
    this.#sums = new Float64Array(room);
    this.#bytes = new Uint8Array(Math.ceil(1.25 * byteCount) + room * 4);
    this.#count = 0;
    this.#unused = 0;
    const mask = slotCount - 1;
    for (let index = 0; index < before; index += 1) {
      if (sums[index] === 0) continue;
      const start = starts[index] as number;
      const length = (starts[index + 1] as number) - start;
      for (let at = 0; at < length; at += 1) scratch[at] = bytes[start + at] as number;
      let slot = this.#homeOf(hashes[index] as number);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask; // All terms are different.
      this.#insert(slot, hashes[index] as number, length);
      this.#sums[this.#count - 1] = sums[index] as number;
      this.#unused -= 1;
    }
  }
}
