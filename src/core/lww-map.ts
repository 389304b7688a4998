/**
 * The last-writer-wins map: for each key, the entry with the highest stamp.
 *
 * Theory of operation
 *
 * A state-based CRDT. The entries of one key are totally ordered [M2], and merge keeps the highest;
 * the maximum of a total order is commutative, associative and idempotent, so replicas that have
 * seen the same entries are equal, whatever the order, repetition or loss on the way [M1]. The order
 * ends in the bytes of the value, so that even two different values under one stamp (a cloned VM)
 * end up the same everywhere. A deletion is an entry too [M4].
 *
 * Every entry has a 64-bit id, a hash over key, stamp and content. The ids are what replicas
 * compare: their XOR is the fingerprint, and `sketch.ts` finds out which of them differ.
 *
 * Entries live in columns, not in objects: 100 000 of them are a few typed arrays and three arrays
 * of references, which is a third of the memory and leaves little to the garbage collector. No entry
 * ever moves to another slot, so that a position in the columns is a valid cursor for as long as the
 * map lives. An entry that is dropped leaves a hole, which a new key fills: to whoever reads with a
 * cursor it looks like any key that was written behind it.
 *
 * Deliberately absent: a clock (the caller stamps), events (merge returns what won) and a log (the
 * newest entry is all there is to know; an entry costs the same whatever its history [M6]).
 *
 * Source: Shapiro et al., "A comprehensive study of convergent and commutative replicated data
 * types", 2011, section 3.2.1. Rules: SPEC.md, section M.
 */
import { canonicalBytes, compareBytes, isWellFormed } from "./canonical.ts";
import { Hash64, hexOf } from "./hash.ts";
import { KEY_LENGTH_MAX, WRITER_LENGTH_MAX } from "./limits.ts";
import type { Entry } from "./message.ts";
import { compareText, type Stamp, type Timestamp } from "./units.ts";

/** Hears of every id that enters or leaves a map. */
export interface IdSink {
  add(idLow: number, idHigh: number): void;
  remove(idLow: number, idHigh: number): void;
}

export interface LwwMapOptions {
  /** Keys the ids, so that those of two maps or clusters have nothing in common. Default 0, 0. */
  readonly seed?: { readonly low: number; readonly high: number };
  /** Told of every id that enters or leaves. */
  readonly sink?: IdSink;
}

const SLOTS_INITIAL = 16;
const hash = new Hash64();

export class LwwMap<V> {
  readonly #seedLow: number;
  readonly #seedHigh: number;
  readonly #sink: IdSink | undefined;
  readonly #slots = new Map<string, number>();
  /** Undefined in a hole. */
  readonly #keys: (string | undefined)[] = [];
  /** Slots that were dropped and are to be filled. */
  readonly #holes: number[] = [];
  readonly #writers: string[] = [];
  /** Undefined in a tombstone. */
  readonly #values: (V | undefined)[] = [];
  #times = new Float64Array(SLOTS_INITIAL);
  /** Two words for each slot: the low and the high half of the entry's id. */
  #ids = new Uint32Array(2 * SLOTS_INITIAL);
  #fingerprintLow = 0;
  #fingerprintHigh = 0;
  #tombstones = 0;

  constructor(options: LwwMapOptions = {}) {
    this.#seedLow = options.seed?.low ?? 0;
    this.#seedHigh = options.seed?.high ?? 0;
    this.#sink = options.sink;
  }

  /** Number of live keys. */
  get size(): number {
    return this.#slots.size - this.#tombstones;
  }

  /** Number of slots: live keys, tombstones and holes. Slots are 0 to this minus one. */
  get slotCount(): number {
    return this.#keys.length;
  }

  /** The live value of `key`, or undefined. */
  get(key: string): V | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.#values[slot];
  }

  /** Whether `key` has an entry, live or deleted. */
  has(key: string): boolean {
    return this.#slots.has(key);
  }

  /** The winning entry of `key`, which may be a tombstone. */
  entry(key: string): Entry<V> | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.#entryIn(slot);
  }

  /**
   * Writes `value` under `stamp`; true when it won. The map keeps `value` as it is: the caller must
   * not change it afterwards.
   *
   * Throws TypeError for a key, stamp or value that no map may hold [M7].
   */
  put(key: string, value: V, stamp: Stamp): boolean {
    if (value === undefined) throw new TypeError("Cannot put undefined: use delete");
    return this.#write({ key, value, time: stamp.time, writer: stamp.writer });
  }

  /** Deletes `key` under `stamp`; true when the deletion won. Throws TypeError like `put`. */
  delete(key: string, stamp: Stamp): boolean {
    return this.#write({ key, value: undefined, time: stamp.time, writer: stamp.writer });
  }

  /**
   * Forgets the entry of `key` as if it had never been: not a deletion, which is an entry. Whoever still
   * has it can bring it back, so it is for those who refuse it from then on [M5]. True if there was one.
   */
  drop(key: string): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#takeOut(slot);
    this.#slots.delete(key);
    this.#holes.push(slot);
    this.#keys[slot] = undefined;
    this.#values[slot] = undefined;
    this.#writers[slot] = "";
    return true;
  }

  /**
   * Takes over what is newer and returns exactly the entries that won, one for each key, in the
   * order given [M3]. Malformed entries are left out one by one [M7]; it never throws for them.
   */
  merge(entries: Iterable<Entry<V>>): Entry<V>[] {
    const winners: Entry<V>[] = [];
    const keyCount = this.#slots.size;
    for (const entry of entries) {
      const read = readEntry(entry);
      if (read !== undefined && this.#apply(read) === "won") winners.push(read);
    }
    // As many new keys as winners: none beat another, as when a newcomer takes in a snapshot.
    if (this.#slots.size - keyCount === winners.length) return winners;
    // A winner that a later entry of the same merge beat is not a winner.
    return winners.filter((entry) => this.#holds(entry));
  }

  /** Live entries, by key. Costs O(n log n). */
  entries(): Entry<V>[] {
    return this.all().filter((entry) => entry.value !== undefined);
  }

  /** All entries, tombstones included, by key. Costs O(n log n). */
  all(): Entry<V>[] {
    return [...this.#slots.values()]
      .map((slot) => this.#entryIn(slot))
      .sort((a, b) => compareText(a.key, b.key));
  }

  /** Names the content of `all()`: 16 hex digits, equal exactly when the entries are equal. */
  fingerprint(): string {
    return hexOf(this.#fingerprintHigh) + hexOf(this.#fingerprintLow);
  }

  /** The entry in `slot`, which must be below `slotCount`; undefined in a hole. */
  entryAt(slot: number): Entry<V> | undefined {
    return this.#keys[slot] === undefined ? undefined : this.#entryIn(slot);
  }

  #entryIn(slot: number): Entry<V> {
    return {
      key: this.#keys[slot] as string,
      value: this.#values[slot],
      time: this.#times[slot] as Timestamp,
      writer: this.#writers[slot] as string,
    };
  }

  /** Low half of the id of the entry in `slot`. */
  idLowAt(slot: number): number {
    return this.#ids[2 * slot] as number;
  }

  /** High half of the id of the entry in `slot`. */
  idHighAt(slot: number): number {
    return this.#ids[2 * slot + 1] as number;
  }

  #write(entry: Entry<V>): boolean {
    const read = readEntry(entry);
    const outcome = read === undefined ? "malformed" : this.#apply(read);
    if (outcome === "malformed") {
      throw new TypeError("Cannot write an entry: its key, stamp or value is not allowed in a map");
    }
    return outcome === "won";
  }

  #apply(entry: Entry<V>): "won" | "lost" | "malformed" {
    const { key, value, writer } = entry;
    const slot = this.#slots.get(key);
    const lead = slot === undefined ? 1 : this.#leadOver(slot, entry);
    if (lead < 0) return "lost"; // [G2] Before any hashing: most of what arrives is old news.
    if (slot === undefined && !isWellFormed(key)) return "malformed";
    if (!isWellFormed(writer)) return "malformed";
    let bytes = value === undefined ? undefined : canonicalBytes(value);
    if (value !== undefined && bytes === undefined) return "malformed";
    if (slot !== undefined && lead === 0) {
      if (!this.#winsTie(slot, bytes)) return "lost";
      bytes = value === undefined ? undefined : canonicalBytes(value); // The tie used the buffer.
    }
    if (slot !== undefined) this.#takeOut(slot);
    this.#store(slot ?? this.#newSlot(key), entry, bytes);
    return "won";
  }

  /** [M2] Positive when `entry` has the higher stamp, negative when `slot` has, 0 when equal. */
  #leadOver(slot: number, entry: Entry<V>): number {
    const lead = entry.time - (this.#times[slot] as number);
    if (lead !== 0) return lead;
    return compareText(entry.writer, this.#writers[slot] as string);
  }

  /** [M2] Under equal stamps: deletion over value, then the higher canonical bytes. */
  #winsTie(slot: number, bytes: Uint8Array | undefined): boolean {
    const held = this.#values[slot];
    if (held === undefined) return false;
    if (bytes === undefined) return true;
    const challenger = bytes.slice();
    return compareBytes(challenger, canonicalBytes(held) as Uint8Array) > 0;
  }

  #store(slot: number, entry: Entry<V>, bytes: Uint8Array | undefined): void {
    hash.reset(this.#seedLow, this.#seedHigh);
    hash.text(entry.key);
    hash.word(entry.time % 0x1_0000_0000);
    hash.word(Math.floor(entry.time / 0x1_0000_0000));
    hash.text(entry.writer);
    hash.word(bytes === undefined ? 0 : 1);
    if (bytes !== undefined) hash.bytes(bytes);
    hash.finish();
    const { low, high } = hash;
    if (bytes === undefined) this.#tombstones += 1;
    this.#values[slot] = entry.value;
    this.#writers[slot] = entry.writer;
    this.#times[slot] = entry.time;
    this.#ids[2 * slot] = low;
    this.#ids[2 * slot + 1] = high;
    this.#fingerprintLow = (this.#fingerprintLow ^ low) >>> 0;
    this.#fingerprintHigh = (this.#fingerprintHigh ^ high) >>> 0;
    this.#sink?.add(low, high);
  }

  /** Takes the entry in `slot` out of fingerprint, sink and count. */
  #takeOut(slot: number): void {
    const low = this.idLowAt(slot);
    const high = this.idHighAt(slot);
    this.#fingerprintLow = (this.#fingerprintLow ^ low) >>> 0;
    this.#fingerprintHigh = (this.#fingerprintHigh ^ high) >>> 0;
    if (this.#values[slot] === undefined) this.#tombstones -= 1;
    this.#sink?.remove(low, high);
  }

  #newSlot(key: string): number {
    const hole = this.#holes.pop();
    if (hole !== undefined) {
      this.#keys[hole] = key;
      this.#slots.set(key, hole);
      return hole;
    }
    const slot = this.#keys.length;
    if (slot === this.#times.length) {
      const times = new Float64Array(2 * slot);
      times.set(this.#times);
      this.#times = times;
      const ids = new Uint32Array(4 * slot);
      ids.set(this.#ids);
      this.#ids = ids;
    }
    this.#keys.push(key);
    this.#slots.set(key, slot);
    return slot;
  }

  #holds(entry: Entry<V>): boolean {
    const slot = this.#slots.get(entry.key) as number;
    return this.#values[slot] === entry.value && this.#leadOver(slot, entry) === 0;
  }
}

/** [M2] Orders stamps: time, then writer by UTF-16 code units. */
export function compareStamps(a: Stamp, b: Stamp): number {
  return a.time - b.time || compareText(a.writer, b.writer);
}

/**
 * [M7] An entry whose key and stamp are within limits; undefined for anything else. The value is judged
 * by its canonical encoding. An entry with getters is read once, so that it cannot change its mind.
 */
function readEntry<V>(entry: Entry<V>): Entry<V> | undefined {
  if (typeof entry !== "object" || entry === null) return undefined;
  try {
    const { key, value, time, writer } = entry;
    const isEntry =
      typeof key === "string" &&
      key.length <= KEY_LENGTH_MAX &&
      Number.isSafeInteger(time) &&
      time >= 0 &&
      typeof writer === "string" &&
      writer.length <= WRITER_LENGTH_MAX;
    return isEntry ? { key, value, time, writer } : undefined;
  } catch {
    return undefined; // A getter threw: strangers' code, and no entry of ours.
  }
}
