/**
 * Entries on the wire: their stamps in a table beside them, the rest in flat lists.
 *
 *   table  [newest, writer, writer, ...]
 *   maps   [name, [key, age, writer, value,  key, age, writer, value,  ...], name, [...], ...]
 *
 * Writers are few and 42 characters long, so an entry holds only its writer's place in the table.
 * Times are close together, so it holds only how much older it is than the newest of the frame, which
 * takes 5 bytes instead of 9 for 17 minutes. A tombstone has the complement of its writer's place
 * (-1 for 0, -2 for 1, ...) and null for a value: null itself is a value like any other.
 *
 * An entry does not depend on the one before it. One that is malformed is left out and counted; the
 * good ones stay [M7, S8]. What is wrong with the lists themselves is wrong with the frame.
 *
 * Values are null, booleans, numbers, text, bytes and arrays of them. Objects cannot travel: a map on
 * the wire would need keys that every decoder renames in its own way. Nothing replicated holds any.
 *
 * Which entries are malformed must not differ from what `LwwMap` leaves out of a merge: an entry that
 * one end keeps and the other refuses makes two replicas synchronise for ever [G10].
 *
 * Rules: SPEC.md, M7, S4 and S8.
 */
import { assert } from "../core/assert.ts";
import {
  KEY_LENGTH_MAX,
  MAP_NAME_LENGTH_MAX,
  REPLICA_MAPS_MAX,
  WRITER_LENGTH_MAX,
} from "../core/limits.ts";
import { MEMBERS, VERDICTS } from "../core/membership.ts";
import type { Entry, MapEntries, Value } from "../core/message.ts";
import type { Timestamp } from "../core/units.ts";
import { isText } from "./guards.ts";
import { ownText, ownValue, sharedText } from "./sharing.ts";

/** Elements that one entry takes in a list. */
export const ENTRY_ELEMENTS = 4;

/** Where a row of these maps names the incarnation that alone may write it [S8]. */
const AUTHOR_INDEX: ReadonlyMap<string, number> = new Map([
  [MEMBERS, 1], // The incarnation of the member itself.
  [VERDICTS, 3], // The incarnation of the accuser.
]);

/** The stamps of the entries that leave in one frame. */
export class StampWriter {
  #newest: Timestamp = 0;
  readonly #places = new Map<string, number>();

  /** Takes in the stamps of `maps`. Comes before any `encode`: ages depend on the newest of all. */
  add(maps: readonly MapEntries[]): void {
    for (const { entries } of maps) {
      for (const { time, writer } of entries) {
        if (time > this.#newest) this.#newest = time;
        if (!this.#places.has(writer)) this.#places.set(writer, this.#places.size);
      }
    }
  }

  get isEmpty(): boolean {
    return this.#places.size === 0;
  }

  table(): unknown[] {
    return [this.#newest, ...this.#places.keys()];
  }

  encode(maps: readonly MapEntries[]): unknown[] {
    const elements: unknown[] = [];
    for (const { map, entries } of maps) {
      const list: unknown[] = [];
      for (const { key, value, time, writer } of entries) {
        const place = this.#places.get(writer);
        assert(place !== undefined, "the stamps of a frame are added before it is encoded");
        if (value === undefined) {
          list.push(key, this.#newest - time, ~place, null);
        } else {
          assert(canTravel(value), "a replicated value holds no object");
          list.push(key, this.#newest - time, place, value);
        }
      }
      elements.push(map, list);
    }
    return elements;
  }
}

/** The stamps of the entries that came in one frame, and how many entries were refused so far. */
export class StampReader {
  #refused = 0;
  readonly #newest: Timestamp;
  /** Undefined where the frame has what no writer is called. */
  readonly #writers: readonly (string | undefined)[];

  private constructor(newest: Timestamp, writers: readonly (string | undefined)[]) {
    this.#newest = newest;
    this.#writers = writers;
  }

  /** Reads a table; undefined when it is none. A bad writer costs its own entries only. */
  static of(table: readonly unknown[]): StampReader | undefined {
    const [newest, ...writers] = table;
    if (!Number.isSafeInteger(newest) || (newest as number) < 0) return undefined;
    return new StampReader(newest as number, writers.map(toWriter));
  }

  get refused(): number {
    return this.#refused;
  }

  /** Reads maps and their entries; undefined when the lists are malformed. */
  decode(elements: unknown): MapEntries[] | undefined {
    if (!Array.isArray(elements) || elements.length % 2 !== 0) return undefined;
    if (elements.length > 2 * REPLICA_MAPS_MAX) return undefined; // [S4]
    const maps: MapEntries[] = [];
    for (let index = 0; index < elements.length; index += 2) {
      const map: unknown = elements[index];
      const list: unknown = elements[index + 1];
      if (!isText(map, MAP_NAME_LENGTH_MAX) || !Array.isArray(list)) return undefined;
      if (list.length % ENTRY_ELEMENTS !== 0) return undefined;
      maps.push({ map: sharedText(map), entries: this.#entries(map, list) });
    }
    return maps;
  }

  #entries(map: string, list: readonly unknown[]): Entry[] {
    const authorIndex = AUTHOR_INDEX.get(map);
    const entries: Entry[] = [];
    for (let index = 0; index < list.length; index += ENTRY_ELEMENTS) {
      const entry = this.#entry(list[index], list[index + 1], list[index + 2], list[index + 3]);
      if (entry === undefined || !isByItsAuthor(entry, authorIndex)) this.#refused += 1;
      else entries.push(entry);
    }
    return entries;
  }

  #entry(key: unknown, age: unknown, place: unknown, value: unknown): Entry | undefined {
    // [M7] The same limits as in `LwwMap`; well-formed text is `byte-check.ts`'s part.
    if (typeof key !== "string" || key.length > KEY_LENGTH_MAX) return undefined;
    if (!Number.isSafeInteger(age) || !Number.isSafeInteger(place)) return undefined;
    const time = this.#newest - (age as number);
    if ((age as number) < 0 || time < 0) return undefined;
    const isTombstone = (place as number) < 0;
    const writer = this.#writers[isTombstone ? -1 - (place as number) : (place as number)];
    if (writer === undefined) return undefined;
    if (isTombstone) {
      return value === null ? { key: ownText(key), value: undefined, time, writer } : undefined;
    }
    const own = ownValue(value);
    return own === undefined ? undefined : { key: ownText(key), value: own, time, writer };
  }
}

function toWriter(value: unknown): string | undefined {
  return typeof value === "string" && value.length <= WRITER_LENGTH_MAX
    ? sharedText(value)
    : undefined;
}

/** [S8] A row of a map with authors is its author's own, and such rows are never deleted. */
function isByItsAuthor(entry: Entry, authorIndex: number | undefined): boolean {
  if (authorIndex === undefined) return true;
  return Array.isArray(entry.value) && entry.value[authorIndex] === entry.writer;
}

function canTravel(value: Value): boolean {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return true;
  return Array.isArray(value) && value.every(canTravel);
}
