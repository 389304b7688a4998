/**
 * The rows of one shard, in memory: what a region answers reads from, and where changes come from.
 *
 * Each change has a position, one more than the last one. Versions of a row only grow: a write with one
 * that is not higher than the row's, or that of its deletion, changes nothing. Deletions are remembered for
 * that, the last few of them; who writes versions of his own and repeats very old writes may bring a
 * row back.
 *
 * A read looks at every row of the entity: windows are read once, when they are subscribed to, and seldom
 * after that.
 *
 * Rules: SPEC.md, section V (V6).
 */
import type { Refusal } from "../core/error.ts";
import type { RowChange } from "./engine.ts";
import { type Compare, compileOrder } from "./order.ts";
import { compilePredicate } from "./predicate.ts";
import type { Row, RowDraft } from "./row.ts";
import type { ReadRequest, ReadResult } from "./view.ts";

/** Rows of one shard. */
export const SHARD_ROWS_MAX = 1_000_000;

/** Deletions that are remembered in one shard. */
const DELETIONS_MAX = 65_536;

/** What a write came to. */
export interface Written {
  /** False when a row of that version or a later one was there. */
  readonly applied: boolean;
  /** The version of the row, or of its deletion, now. */
  readonly version: number;
}

/** The outcome of a write: `change` is undefined when it changed nothing. */
export type WriteOutcome =
  | { readonly ok: true; readonly written: Written; readonly change: RowChange | undefined }
  | Refusal;

/** A row and where it belongs. */
export interface StoredRow extends Row {
  readonly tenant: string;
  readonly entity: string;
}

const keyOf = (tenant: string, entity: string): string => `${tenant}\0${entity}`;

export class RowTable {
  readonly #entities = new Map<string, Map<string, Row>>();
  /** Versions of deletions, by tenant, entity and id, the oldest first. */
  readonly #deletions = new Map<string, number>();
  #position: number;
  #size = 0;

  /** Begins empty, at a position. */
  constructor(position = 0) {
    this.#position = position;
  }

  /** The position of the last change. */
  get position(): number {
    return this.#position;
  }

  get size(): number {
    return this.#size;
  }

  put(tenant: string, entity: string, draft: RowDraft): WriteOutcome {
    const key = keyOf(tenant, entity);
    const rows = this.#entities.get(key) ?? new Map<string, Row>();
    const before = rows.get(draft.id);
    const deletion = `${key}\0${draft.id}`;
    const known = before?.version ?? this.#deletions.get(deletion);
    const version = draft.version ?? (known ?? 0) + 1;
    if (known !== undefined && version <= known) return unchanged(known);
    if (before === undefined && this.#size >= SHARD_ROWS_MAX) {
      const message = `Cannot put a row: its shard has ${SHARD_ROWS_MAX} of them`;
      return { ok: false, code: "BUFFER_FULL", message }; // [S4]
    }
    const after: Row = { id: draft.id, version, values: draft.values };
    this.#entities.set(key, rows);
    rows.set(after.id, after);
    this.#deletions.delete(deletion);
    if (before === undefined) this.#size += 1;
    return this.#changed({ tenant, entity, id: after.id, before, after }, version);
  }

  /** `version` as with a row: by default one more than that of the row. */
  delete(tenant: string, entity: string, id: string, wanted: number | undefined): WriteOutcome {
    const key = keyOf(tenant, entity);
    const rows = this.#entities.get(key);
    const before = rows?.get(id);
    const deletion = `${key}\0${id}`;
    const known = before?.version ?? this.#deletions.get(deletion);
    const version = wanted ?? (known ?? 0) + 1;
    if (known !== undefined && version <= known) return unchanged(known);
    if (before === undefined && wanted === undefined) return unchanged(known ?? 0);
    this.#remember(deletion, version);
    if (before === undefined) {
      return { ok: true, written: { applied: true, version }, change: undefined };
    }
    rows?.delete(id);
    if (rows?.size === 0) this.#entities.delete(key);
    this.#size -= 1;
    return this.#changed({ tenant, entity, id, before, after: undefined }, version);
  }

  /** The first rows of a query, in order. */
  read({ query, count }: ReadRequest): ReadResult {
    const rows = this.#entities.get(keyOf(query.tenant, query.table.entity));
    const belongs = compilePredicate(query);
    const compare = compileOrder(query.sort, query.table);
    const first: Row[] = [];
    let matching = 0;
    for (const row of rows?.values() ?? []) {
      if (!belongs(row)) continue;
      matching += 1;
      // Most rows stand behind the last one that is wanted, and cost one comparison.
      const last = first[count - 1];
      if (last === undefined || compare(row, last) < 0) insert(row, first, count, compare);
    }
    return { rows: first, isComplete: matching <= count, position: this.#position };
  }

  /** All rows, for who takes them over. */
  *all(): Generator<StoredRow> {
    for (const [key, rows] of this.#entities) {
      const [tenant = "", entity = ""] = key.split("\0");
      for (const row of rows.values()) yield { tenant, entity, ...row };
    }
  }

  /** The deletions that are remembered, the oldest first: `key` is of this module alone. */
  deletions(): IterableIterator<[key: string, version: number]> {
    return this.#deletions.entries();
  }

  /** Takes over what another table has: the higher version of each row counts. */
  takeOver(rows: Iterable<StoredRow>, deletions: Iterable<readonly [string, number]>): void {
    for (const { tenant, entity, ...row } of rows) this.put(tenant, entity, row);
    for (const [key, version] of deletions) {
      const [tenant = "", entity = "", ...id] = key.split("\0");
      this.delete(tenant, entity, id.join("\0"), version);
    }
  }

  #remember(deletion: string, version: number): void {
    this.#deletions.delete(deletion);
    this.#deletions.set(deletion, version);
    if (this.#deletions.size <= DELETIONS_MAX) return;
    const [oldest] = this.#deletions.keys();
    if (oldest !== undefined) this.#deletions.delete(oldest);
  }

  #changed(change: Omit<RowChange, "position">, version: number): WriteOutcome {
    this.#position += 1;
    const at = { ...change, position: this.#position };
    return { ok: true, written: { applied: true, version }, change: at };
  }
}

/** Puts a row into its place among the first `count`. */
function insert(row: Row, first: Row[], count: number, compare: Compare): void {
  let low = 0;
  let high = first.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(first[middle] as Row, row) < 0) low = middle + 1;
    else high = middle;
  }
  first.splice(low, 0, row);
  if (first.length > count) first.pop();
}

/** [V6] What is there is newer. */
function unchanged(version: number): WriteOutcome {
  return { ok: true, written: { applied: false, version }, change: undefined };
}
