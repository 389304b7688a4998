/**
 * A rateless sketch of a set of 64-bit ids: from two sketches, which ids the sets do not share.
 *
 * Theory of operation
 *
 * The sketch is a sequence of coded symbols. Each id is added (by XOR and by counting) to symbol 0
 * and to a pseudo-random, ever thinner selection of the later ones: symbol i holds an id with
 * probability 1 / (1 + i / 2). Subtracting two sketches symbol by symbol leaves a sketch of the
 * difference alone, however large the sets are. A symbol that then holds a single id is `pure`: the id
 * can be read from it and taken out of all its other symbols, which makes more of them pure, and so on
 * until nothing is left. About 1.4 to 1.7 symbols for each differing id suffice, and since the
 * sequence has no end, one need not know in advance how many: the reader asks for more.
 *
 * A symbol is pure when its count is 1 or -1, its check is that of its id, and the id's own selection
 * contains the symbol. On the wire it takes 12 bytes: the id, 24 bits of check, and the lowest 8 of
 * the count, which suffice to see 1 and -1.
 *
 * Only the first `SYMBOLS_MAX` symbols are kept up to date on every write; larger differences are
 * cheaper to settle by a snapshot. What to send when is decided in `reconciliation.ts`.
 *
 * Source: Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation", SIGCOMM 2024, section 4;
 * the selection is theirs with 32-bit arithmetic. Rules: SPEC.md, G4.
 */
import { assert } from "./assert.ts";
import { hexOf } from "./hash.ts";
import type { IdSink } from "./lww-map.ts";

/** Symbols that a sketch holds. They decode about 2900 differing ids. */
export const SYMBOLS_MAX = 4096;

/** Bytes of one symbol on the wire. */
export const SYMBOL_BYTES = 12;

/** Bytes of the head: fingerprint, then the low bytes of the counts of symbols 1 to 23. */
export const SUMMARY_BYTES = 31;

const FINGERPRINT_BYTES = 8;
const CHECK_MASK = 0xff_ffff;
/** Words of a symbol in memory: low and high half of the XOR of the ids, XOR of checks, count. */
const WORDS = 4;

/** Ids of 64 bits, two words each: the low half, then the high half. */
export type Ids = number[];

/** Symbols of copies that were given back, for later ones: 64 kB each. */
const spares: Uint32Array<ArrayBuffer>[] = [];
const SPARES_MAX = 8;

export class Sketch implements IdSink {
  readonly #words: Uint32Array<ArrayBuffer>;
  /** How many ids are in it. */
  #idCount: number;
  /** A copy as long as it is one: nothing was written since it was made. */
  #copied: Sketch | undefined;
  /** Of a copy: how many use it, and whether its original has been written to since. */
  #users = 0;
  #isOutdated = false;

  constructor(words = new Uint32Array(SYMBOLS_MAX * WORDS), idCount = 0) {
    this.#words = words;
    this.#idCount = idCount;
  }

  get idCount(): number {
    return this.#idCount;
  }

  add(idLow: number, idHigh: number): void {
    this.#idCount += 1;
    this.#toggle(idLow, idHigh, 1);
  }

  remove(idLow: number, idHigh: number): void {
    this.#idCount -= 1;
    this.#toggle(idLow, idHigh, -1);
  }

  /**
   * A copy that later writes do not change; itself not to be written to. Until the next write all
   * exchanges get the same one. To be given back with `release`, once for each call, when it has served.
   */
  copy(): Sketch {
    if (this.#copied === undefined) {
      const words = spares.pop() ?? new Uint32Array(SYMBOLS_MAX * WORDS);
      words.set(this.#words);
      this.#copied = new Sketch(words, this.#idCount);
    }
    this.#copied.#users += 1;
    return this.#copied;
  }

  /** Gives up a copy: who does so must not use it any more. */
  release(): void {
    assert(this.#users > 0, "a copy is given back once by each user");
    this.#users -= 1;
    this.#recycle();
  }

  /** Symbols `from` to before `to` as they travel. */
  symbols(from: number, to: number): Uint8Array {
    assert(from >= 0 && from <= to && to <= SYMBOLS_MAX, "a sketch is asked for symbols it holds");
    const bytes = new Uint8Array((to - from) * SYMBOL_BYTES);
    const view = new DataView(bytes.buffer);
    for (let index = from; index < to; index += 1) {
      const word = index * WORDS;
      const offset = (index - from) * SYMBOL_BYTES;
      view.setUint32(offset, this.#words[word] as number);
      view.setUint32(offset + 4, this.#words[word + 1] as number);
      const check = (this.#words[word + 2] as number) & CHECK_MASK;
      view.setUint32(offset + 8, (check << 8) | ((this.#words[word + 3] as number) & 0xff));
    }
    return bytes;
  }

  /** The constant-size summary that a head carries. Equal sets have equal summaries. */
  summary(): Uint8Array {
    const bytes = new Uint8Array(SUMMARY_BYTES);
    for (let index = 0; index < FINGERPRINT_BYTES; index += 1) {
      bytes[index] = (this.#words[index >> 2] as number) >>> (24 - 8 * (index & 3));
    }
    for (let index = FINGERPRINT_BYTES; index < SUMMARY_BYTES; index += 1) {
      bytes[index] = this.#words[(index - FINGERPRINT_BYTES + 1) * WORDS + 3] as number;
    }
    return bytes;
  }

  /** Names the set, as a summary does: 16 hex digits. */
  fingerprint(): string {
    return hexOf(this.#words[0] as number) + hexOf(this.#words[1] as number);
  }

  /** Symbol `index` minus the same symbol of another sketch, as it came over the wire. */
  difference(index: number, theirs: DataView, offset: number): CodedSymbol {
    const word = index * WORDS;
    const checkAndCount = theirs.getUint32(offset + 8);
    return {
      low: (this.#words[word] as number) ^ theirs.getUint32(offset),
      high: (this.#words[word + 1] as number) ^ theirs.getUint32(offset + 4),
      check: ((this.#words[word + 2] as number) & CHECK_MASK) ^ (checkAndCount >>> 8),
      count: (((this.#words[word + 3] as number) - checkAndCount) << 24) >> 24,
    };
  }

  #recycle(): void {
    const isFree = this.#isOutdated && this.#users === 0;
    if (isFree && spares.length < SPARES_MAX) spares.push(this.#words);
  }

  #outdateCopy(copied: Sketch): void {
    this.#copied = undefined;
    copied.#isOutdated = true;
    copied.#recycle();
  }

  #toggle(idLow: number, idHigh: number, sign: number): void {
    if (this.#copied !== undefined) this.#outdateCopy(this.#copied);
    const words = this.#words;
    const check = checkOf(idLow, idHigh);
    const stride = strideOf(idLow, idHigh);
    let state = seedOf(idLow, idHigh);
    let index = 0;
    while (index < SYMBOLS_MAX) {
      const word = index * WORDS;
      words[word] = (words[word] as number) ^ idLow;
      words[word + 1] = (words[word + 1] as number) ^ idHigh;
      words[word + 2] = (words[word + 2] as number) ^ check;
      words[word + 3] = (words[word + 3] as number) + sign;
      state = (state + stride) | 0;
      index += gapAfter(index, state);
    }
  }
}

interface CodedSymbol {
  low: number;
  high: number;
  check: number;
  /** Modulo 256, -128 to 127. */
  count: number;
}

/** An id that was read, and the next symbol of its selection that has not arrived yet. */
interface Recovered {
  readonly low: number;
  readonly high: number;
  readonly check: number;
  readonly sign: number;
  readonly stride: number;
  state: number;
  next: number;
}

/**
 * Reads the difference between an own sketch and one that arrives in pieces.
 *
 * The own sketch must not change while it is being compared: hand in a copy.
 */
export class SketchDecoder {
  readonly #own: Sketch;
  readonly #symbols: CodedSymbol[] = [];
  readonly #recovered: Recovered[] = [];
  readonly #pure: number[] = [];

  constructor(own: Sketch) {
    this.#own = own;
  }

  /** Gives up the own sketch: nothing more is pushed. */
  release(): void {
    this.#own.release();
  }

  /** How many symbols have arrived. */
  get symbolCount(): number {
    return this.#symbols.length;
  }

  /** Adds the symbols that follow those that came, and reads what can be read. */
  push(cells: Uint8Array): void {
    const from = this.#symbols.length;
    const count = Math.min(cells.length / SYMBOL_BYTES, SYMBOLS_MAX - from);
    const view = new DataView(cells.buffer, cells.byteOffset, cells.byteLength);
    for (let index = 0; index < count; index += 1) {
      this.#symbols.push(this.#own.difference(from + index, view, index * SYMBOL_BYTES));
    }
    for (const id of this.#recovered) this.#takeOut(id);
    for (let index = from; index < this.#symbols.length; index += 1) this.#pure.push(index);
    this.#peel();
  }

  /** Whether all differing ids are known. Every id is in symbol 0, so it is then empty. */
  get isComplete(): boolean {
    const first = this.#symbols[0];
    return first !== undefined && (first.low | first.high | first.check | first.count) === 0;
  }

  /** Ids that only the own sketch has (`mine`), or only the other (`theirs`). */
  ids(side: "mine" | "theirs"): Ids {
    const sign = side === "mine" ? 1 : -1;
    return this.#recovered.flatMap((id) => (id.sign === sign ? [id.low, id.high] : []));
  }

  #peel(): void {
    for (let index = this.#pure.pop(); index !== undefined; index = this.#pure.pop()) {
      const { low, high, check, count } = this.#symbols[index] as CodedSymbol;
      if (count !== 1 && count !== -1) continue;
      if (check !== checkOf(low, high) || !selects(low, high, index)) continue;
      // A liar's symbols could be "pure" for ever; a sketch never holds more ids than symbols.
      if (this.#recovered.length === SYMBOLS_MAX) return;
      const id: Recovered = {
        low: low >>> 0,
        high: high >>> 0,
        check,
        sign: count,
        stride: strideOf(low, high),
        state: seedOf(low, high),
        next: 0,
      };
      this.#recovered.push(id);
      this.#takeOut(id);
    }
  }

  /** Subtracts an id from the symbols of its selection that have arrived and still contain it. */
  #takeOut(id: Recovered): void {
    while (id.next < this.#symbols.length) {
      const symbol = this.#symbols[id.next] as CodedSymbol;
      symbol.low ^= id.low;
      symbol.high ^= id.high;
      symbol.check ^= id.check;
      symbol.count = ((symbol.count - id.sign) << 24) >> 24;
      if (symbol.count === 1 || symbol.count === -1) this.#pure.push(id.next);
      id.state = (id.state + id.stride) | 0;
      id.next += gapAfter(id.next, id.state);
    }
  }
}

/**
 * Estimates how many ids two sets do not share, from the heads of their sketches.
 *
 * An id that one side lacks shifts the count of symbol i by one with probability p = 1 / (1 + i / 2).
 * The known difference in size explains the mean of these shifts; their variance is p (1 - p) for
 * each differing id, which gives the estimate. Its standard error is about 30 %. Differences above
 * some 6000 ids wrap the counts around and come out as "very many", which is all one needs to know.
 */
export function estimateDifference(
  mine: Uint8Array,
  theirs: Uint8Array,
  countDifference: number,
): number {
  let squares = 0;
  let variance = 0;
  for (let offset = FINGERPRINT_BYTES; offset < SUMMARY_BYTES; offset += 1) {
    const probability = 1 / (1 + (offset - FINGERPRINT_BYTES + 1) / 2);
    const expected = Math.round(countDifference * probability);
    const shift = (mine[offset] as number) - (theirs[offset] as number) - expected;
    const wrapped = (shift << 24) >> 24;
    squares += wrapped * wrapped;
    variance += probability * (1 - probability);
  }
  return Math.max(squares / variance, Math.abs(countDifference), 1);
}

/** Whether two heads name the same set. */
export function isSameSet(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Where the selection of an id starts its pseudo-random walk. */
function seedOf(low: number, high: number): number {
  return (low ^ Math.imul(high, 0x9e3779b1)) | 0;
}

/** 24 bits that depend on every bit of an id, unlike its seed. */
function checkOf(low: number, high: number): number {
  let mixed =
    Math.imul(low ^ (high >>> 15), 0x2c1b3c6d) ^ Math.imul(high ^ (low >>> 13), 0x297a2d39);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) & CHECK_MASK;
}

/**
 * The step of the walk: a Weyl sequence, mixed where it is read. Start and step together depend on all
 * 64 bits of the id. Ids that walk alike are never told apart, and if the start alone decided, two of
 * 2000 ids would do so in one exchange of 2000.
 */
function strideOf(low: number, high: number): number {
  return (high ^ Math.imul(low, 0x6d2b79f5)) | 1;
}

/** The distance from symbol `index` to the next one of the selection (paper, section 4.2). */
function gapAfter(index: number, state: number): number {
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  const uniform = ((mixed ^ (mixed >>> 14)) >>> 0) + 1;
  return Math.max(1, Math.ceil((index + 1.5) * (65_536 / Math.sqrt(uniform) - 1)));
}

/** Whether the selection of an id contains symbol `index`. */
function selects(low: number, high: number, index: number): boolean {
  const stride = strideOf(low, high);
  let state = seedOf(low, high);
  let at = 0;
  while (at < index) {
    state = (state + stride) | 0;
    at += gapAfter(at, state);
  }
  return at === index;
}
