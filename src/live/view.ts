/**
 * One query as it stands: a window, and what it takes to keep it right.
 *
 * A view is loaded by a *read* of its source, which takes a while, and changes go on meanwhile. They are
 * kept until the rows are here; those that came behind the position of the read are applied to them. So
 * between what was read and what was told nothing is missing, and nothing counts twice.
 *
 * When rows go, the cushion behind the window gets thin, and it is read anew while the window still stands.
 * Only if it is used up before that, nothing is said until the rows are here: then what subscribers have is
 * compared with what they should have. At no time are they told of a window that is not the first N.
 *
 * A view's *sequence* is the position of the last change that its subscribers were told of. Under one
 * fencing token, equal sequences of equal shapes mean equal windows.
 *
 * Rules: SPEC.md, section V (V2, V4).
 */
import { type Delta, differences } from "./delta.ts";
import { compileOrder } from "./order.ts";
import { compilePredicate, type Predicate } from "./predicate.ts";
import type { Query } from "./query.ts";
import type { Row } from "./row.ts";
import { Window } from "./window.ts";

/** Rows behind a window: a quarter as many as it shows, and no fewer than this. */
const CUSHION_MIN = 16;

/** Changes that are kept while rows are read. Beyond it the read is made anew. */
const PENDING_MAX = 4096;

/** What a source is asked for: the first `count` rows of a query. */
export interface ReadRequest {
  readonly query: Query;
  readonly count: number;
}

/** What it answers. */
export interface ReadResult {
  /** In order. */
  readonly rows: readonly Row[];
  /** Whether there are no others. */
  readonly isComplete: boolean;
  /** The position of the last change that is in `rows`. */
  readonly position: number;
}

/** What subscribers are to be told: `sequence` follows `after`, and nothing lies between. */
export interface Batch {
  readonly after: number;
  readonly sequence: number;
  readonly deltas: readonly Delta[];
}

interface Pending {
  readonly position: number;
  readonly id: string;
  readonly row: Row | undefined;
}

export class View {
  readonly query: Query;
  readonly predicate: Predicate;
  readonly #window: Window;
  readonly #cushion: number;
  #sequence = 0;
  #isLoaded = false;
  /** Changes since the read began that is under way. */
  #pending: Pending[] | undefined;
  #knownTo = 0;
  /** All changes up to it were in the rows that were read last. */
  #readAt = 0;
  #hasOverflown = false;
  /** What subscribers have, while the window is not exact. */
  #told: Row[] | undefined;

  /** `cushion` is how many rows are held behind the window, or twice as many. */
  constructor(query: Query, cushion: number = cushionOf(query)) {
    this.query = query;
    this.predicate = compilePredicate(query);
    this.#cushion = cushion;
    const { limit } = query;
    const compare = compileOrder(query.sort, query.table);
    this.#window = new Window(compare, limit, limit + 2 * this.#cushion);
  }

  /** The position of the last change that subscribers were told of. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether there are rows to be shown. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** Whether more rows match than a streamed query may have. */
  get isOverfull(): boolean {
    return this.query.mode === "streamed" && this.#isLoaded && !this.#window.isComplete;
  }

  /** Whether rows should be read, and are not yet. */
  get isHungry(): boolean {
    if (this.#pending !== undefined) return false;
    const { held, isComplete, limit } = this.#window;
    return !this.#isLoaded || (!isComplete && held < limit + this.#cushion / 2);
  }

  /** What subscribers have at `sequence`: the first rows, in order. */
  rows(): Row[] {
    return this.#told?.slice() ?? this.#window.shown();
  }

  /** What to read now, if anything, by who knows all changes up to `position`: later ones are kept for it. */
  read(position: number): ReadRequest | undefined {
    if (!this.isHungry) return undefined;
    const { limit } = this.#window;
    this.#pending = [];
    this.#knownTo = position;
    this.#hasOverflown = false;
    // A streamed query that has one more than it may have is known to be too large.
    return { query: this.query, count: limit + Math.max(1, this.#cushion) };
  }

  /** The read has come to nothing; `read` asks again. */
  readFailed(): void {
    this.#pending = undefined;
  }

  /**
   * A row changed, or is gone, and the predicate says whether it belongs here. What subscribers are to be
   * told, if anything.
   */
  change(position: number, id: string, row: Row | undefined): Batch | undefined {
    const belongs = row !== undefined && this.predicate(row);
    if (this.#pending !== undefined) {
      if (this.#pending.length < PENDING_MAX) {
        this.#pending.push({ position, id, row: belongs ? row : undefined });
      } else this.#hasOverflown = true; // [S4]
    }
    // [V4] A source may have read what it has not told of yet.
    if (!this.#isLoaded || position <= this.#readAt) return undefined;
    const { held, isComplete, limit } = this.#window;
    const told = !isComplete && held === limit ? this.#window.shown() : undefined;
    const deltas: Delta[] = [];
    if (belongs) this.#window.put(row, deltas);
    else this.#window.remove(id, deltas);
    if (this.#told !== undefined) return undefined; // Until rows have been read.
    if (!this.#window.isExact) {
      this.#told = told; // [V2] Not without the row that takes the place.
      return undefined;
    }
    return this.#batch(position, deltas);
  }

  /**
   * The rows of the read are here. For a view that was loaded before, what subscribers are to be told, if
   * anything.
   */
  loaded({ rows, isComplete, position }: ReadResult): Batch | undefined {
    const pending = this.#pending ?? [];
    this.#pending = undefined;
    // [V4] It misses changes that nobody tells again: `read` asks once more.
    if (this.#hasOverflown || position < this.#knownTo) return undefined;
    const told = this.#isLoaded ? this.rows() : undefined;
    this.#window.load(rows, isComplete);
    this.#readAt = position;
    let at = position;
    for (const change of pending) {
      if (change.position <= position) continue; // [V4] It is in the rows.
      if (change.row === undefined) this.#window.remove(change.id, []);
      else this.#window.put(change.row, []);
      at = change.position;
    }
    if (!this.#window.isExact) {
      this.#told = told;
      return undefined;
    }
    this.#told = undefined;
    if (told !== undefined) return this.#batch(at, differences(told, this.#window.shown()));
    this.#isLoaded = true;
    this.#sequence = at;
    return undefined;
  }

  #batch(position: number, deltas: readonly Delta[]): Batch | undefined {
    if (deltas.length === 0) return undefined;
    const after = this.#sequence;
    this.#sequence = position;
    return { after, sequence: position, deltas };
  }
}

/** How many rows are held behind a window: none where there is no order, and so no next one. */
function cushionOf({ limit, mode }: Query): number {
  return mode === "streamed" ? 0 : Math.max(CUSHION_MIN, Math.ceil(limit / 4));
}
