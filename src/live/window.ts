/**
 * The first N rows of a query, kept as rows come, change and go.
 *
 * A window holds more rows than it shows: behind the N there is a *cushion*, so that a row that goes has
 * one to take its place. What is held is always a *prefix*: the first rows of all that match, none
 * missing. So whatever sorts at or before the last row that is held has its place among them; of what
 * sorts behind it nothing is known, unless the window is *complete*, which means that there is nothing.
 * A row that comes in behind the edge of an incomplete window is not held, though there be room: rows
 * that nobody has told of may stand between.
 *
 * Hence the window is exact while it holds N rows or is complete. When too many have gone it is neither,
 * and shows nothing that can be trusted until it has been loaded anew: `view.ts` sees to that, and asks for
 * it early.
 *
 * A row is found by its place in the order, which is a matter of ten comparisons among a thousand.
 *
 * Rules: SPEC.md, section V (V2).
 */
import { changedColumns, type Delta } from "./delta.ts";
import type { Compare } from "./order.ts";
import type { Row } from "./row.ts";

export class Window {
  readonly limit: number;
  /** Rows that are held at most. */
  readonly #heldMax: number;
  readonly #compare: Compare;
  #rows: Row[] = [];
  readonly #byId = new Map<string, Row>();
  #isComplete = true;

  /** `heldMax` is at least `limit`. Begins complete and empty. */
  constructor(compare: Compare, limit: number, heldMax: number) {
    this.#compare = compare;
    this.limit = limit;
    this.#heldMax = heldMax;
  }

  /** How many rows are held. */
  get held(): number {
    return this.#rows.length;
  }

  /** Whether no row that matches is missing. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** [V2] Whether what is shown are the first rows of all, in order. */
  get isExact(): boolean {
    return this.#isComplete || this.#rows.length >= this.limit;
  }

  /** The rows that are shown, in order: a copy. */
  shown(): Row[] {
    return this.#rows.slice(0, this.limit);
  }

  /** Holds these rows instead: the first of all, in order. `isComplete` says that there are no others. */
  load(rows: readonly Row[], isComplete: boolean): void {
    this.#rows = rows.slice(0, this.#heldMax);
    this.#isComplete = isComplete && rows.length <= this.#heldMax;
    this.#byId.clear();
    for (const row of this.#rows) this.#byId.set(row.id, row);
  }

  /** A row that belongs to the query came, or changed. What that does to the window is added to `deltas`. */
  put(row: Row, deltas: Delta[]): void {
    const known = this.#byId.get(row.id);
    const last = this.#rows[this.#rows.length - 1];
    const isWithin = this.#isComplete || (last !== undefined && this.#compare(row, last) <= 0);
    if (known === undefined) {
      if (isWithin) this.#insert(row, deltas);
    } else if (isWithin) this.#replace(known, row, deltas);
    else this.#remove(known, deltas); // Nobody knows what stands between the edge and its place.
  }

  /** A row went, or belongs to the query no longer. */
  remove(id: string, deltas: Delta[]): void {
    const known = this.#byId.get(id);
    if (known !== undefined) this.#remove(known, deltas);
  }

  #insert(row: Row, deltas: Delta[]): void {
    const rows = this.#rows;
    const index = this.#placeOf(row);
    if (index < this.limit) {
      this.#pushOut(rows.length, deltas);
      deltas.push({ type: "enter", index, row });
    }
    rows.splice(index, 0, row);
    this.#byId.set(row.id, row);
    if (rows.length <= this.#heldMax) return;
    const dropped = rows.pop() as Row;
    this.#byId.delete(dropped.id);
    this.#isComplete = false;
  }

  /** [V2] The last row that is shown makes room, where `shown` rows leave none. */
  #pushOut(held: number, deltas: Delta[]): void {
    if (held < this.limit) return;
    const index = this.limit - 1;
    deltas.push({ type: "leave", index, id: (this.#rows[index] as Row).id });
  }

  #replace(known: Row, row: Row, deltas: Delta[]): void {
    const rows = this.#rows;
    const from = this.#placeOf(known);
    // Where it would stand with its former self still there; behind that, one place less.
    let index = this.#placeOf(row);
    if (index > from) index -= 1;
    this.#byId.set(row.id, row);
    const isShown = index < this.limit;
    const wasShown = from < this.limit;
    if (wasShown && !isShown) {
      this.#shift(from, index, row);
      this.#left(from, known.id, deltas);
      return;
    }
    if (!wasShown && isShown) {
      this.#pushOut(rows.length, deltas);
      deltas.push({ type: "enter", index, row });
    } else if (wasShown) {
      const changed = changedColumns(known, row);
      if (from !== index) deltas.push({ type: "move", from, index, row, changed });
      else if (changed.length > 0 || known.version !== row.version) {
        deltas.push({ type: "update", index, row, changed });
      }
    }
    this.#shift(from, index, row);
  }

  /** Puts `row` at `index`, and what stood from there to `from` one place along. */
  #shift(from: number, index: number, row: Row): void {
    const rows = this.#rows;
    // By hand: `copyWithin` of an array takes twenty times as long.
    for (let at = from; at > index; at -= 1) rows[at] = rows[at - 1] as Row;
    for (let at = from; at < index; at += 1) rows[at] = rows[at + 1] as Row;
    rows[index] = row;
  }

  #remove(known: Row, deltas: Delta[]): void {
    const index = this.#placeOf(known);
    this.#rows.splice(index, 1);
    this.#byId.delete(known.id);
    if (index < this.limit) this.#left(index, known.id, deltas);
  }

  /** A row that was shown is not any more; another one takes the last place, if there is one. */
  #left(index: number, id: string, deltas: Delta[]): void {
    deltas.push({ type: "leave", index, id });
    const last = this.#rows[this.limit - 1];
    if (last !== undefined) deltas.push({ type: "enter", index: this.limit - 1, row: last });
  }

  /** Where `row` stands, or would stand. */
  #placeOf(row: Row): number {
    const rows = this.#rows;
    const compare = this.#compare;
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(rows[middle] as Row, row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
