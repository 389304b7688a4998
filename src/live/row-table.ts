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
import { type Compare, compileOrder } from "./order.ts";
import { compilePredicate } from "./predicate.ts";
import type { Row, RowChange, RowDraft, Scalar } from "./row.ts";
import type { ReadRequest, ReadResult } from "./view.ts";

/** Rows of one shard. */
const SHARD_ROWS_MAX = 1_000_000;

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

/** What is known of a row: its values, or that it was deleted. */
export interface RowRecord {
  readonly id: string;
  readonly version: number;
  readonly values: readonly Scalar[] | undefined;
}

export interface MergeOutcome {
  /** Whether anything of it was new here. */
  readonly isNews: boolean;
  /** What that changed for readers. */
  readonly change: RowChange | undefined;
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

  put(tenant: string, entity: string, { id, version: wanted, values }: RowDraft): WriteOutcome {
    const known = this.versionOf(tenant, entity, id);
    const version = wanted ?? (known ?? 0) + 1;
    if (known !== undefined && version <= known) return unchanged(known); // [V6]
    if (this.#size >= SHARD_ROWS_MAX && this.#rowOf(tenant, entity, id) === undefined) {
      const message = `Cannot put a row: its shard has ${SHARD_ROWS_MAX} of them`;
      return { ok: false, code: "BUFFER_FULL", message }; // [S4]
    }
    const change = this.#set(tenant, entity, { id, version, values });
    return { ok: true, written: { applied: true, version }, change };
  }

  /** `version` as with a row: by default one more than that of the row. */
  delete(tenant: string, entity: string, id: string, wanted: number | undefined): WriteOutcome {
    const known = this.versionOf(tenant, entity, id);
    const version = wanted ?? (known ?? 0) + 1;
    if (known !== undefined && version <= known) return unchanged(known); // [V6]
    if (wanted === undefined && this.#rowOf(tenant, entity, id) === undefined) {
      return unchanged(known ?? 0);
    }
    const change = this.#set(tenant, entity, { id, version, values: undefined });
    return { ok: true, written: { applied: true, version }, change };
  }

  /**
   * Takes over what another table says of a row: the higher version counts, of equal ones the deletion, and
   * then the values that are higher as text. So tables that have heard the same are equal.
   */
  merge(tenant: string, entity: string, record: RowRecord): MergeOutcome {
    const known = this.versionOf(tenant, entity, record.id);
    if (known !== undefined && record.version <= known) {
      if (record.version < known) return { isNews: false, change: undefined };
      const own = this.#rowOf(tenant, entity, record.id)?.values;
      if (own === undefined || (record.values !== undefined && !isHigher(record.values, own))) {
        return { isNews: false, change: undefined };
      }
    }
    return { isNews: true, change: this.#set(tenant, entity, record) };
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

  /** All that is known of an entity: its rows, and the deletions that are remembered. */
  *records(tenant: string, entity: string): Generator<RowRecord> {
    const key = keyOf(tenant, entity);
    yield* this.#entities.get(key)?.values() ?? [];
    for (const [deleted, version] of this.#deletions) {
      if (!deleted.startsWith(`${key}\0`)) continue;
      yield { id: deleted.slice(key.length + 1), version, values: undefined };
    }
  }

  #rowOf(tenant: string, entity: string, id: string): Row | undefined {
    return this.#entities.get(keyOf(tenant, entity))?.get(id);
  }

  /** The version of a row or of its deletion; undefined when neither is known. */
  versionOf(tenant: string, entity: string, id: string): number | undefined {
    const key = keyOf(tenant, entity);
    return this.#entities.get(key)?.get(id)?.version ?? this.#deletions.get(`${key}\0${id}`);
  }

  /** Puts or deletes a row; undefined when there was none, and is none. */
  #set(tenant: string, entity: string, { id, version, values }: RowRecord): RowChange | undefined {
    const key = keyOf(tenant, entity);
    const rows = this.#entities.get(key) ?? new Map<string, Row>();
    const before = rows.get(id);
    const after = values && { id, version, values };
    if (after === undefined) {
      rows.delete(id);
      this.#remember(`${key}\0${id}`, version);
    } else {
      rows.set(id, after);
      this.#deletions.delete(`${key}\0${id}`);
    }
    if (rows.size === 0) this.#entities.delete(key);
    else this.#entities.set(key, rows);
    this.#size += Number(after !== undefined) - Number(before !== undefined);
    if (before === undefined && after === undefined) return undefined;
    this.#position += 1;
    return { tenant, entity, position: this.#position, id, before, after };
  }

  #remember(deletion: string, version: number): void {
    this.#deletions.delete(deletion);
    this.#deletions.set(deletion, version);
    if (this.#deletions.size <= DELETIONS_MAX) return;
    const [oldest] = this.#deletions.keys();
    if (oldest !== undefined) this.#deletions.delete(oldest);
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

/** Any order will do, as long as it is everybody's. */
function isHigher(a: readonly Scalar[], b: readonly Scalar[]): boolean {
  return JSON.stringify(a) > JSON.stringify(b);
}

/** [V6] What is there is newer. */
function unchanged(version: number): WriteOutcome {
  return { ok: true, written: { applied: false, version }, change: undefined };
}
