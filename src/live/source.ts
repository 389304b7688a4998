/**
 * Rows that live in a database of the user's: what it is asked, and what is believed of its answers.
 *
 * A source answers two questions, and a number holds the two together. `read` says up to which *position* of
 * its changes the rows go that it gives; `changes` tells of those behind a position. So between what was read
 * and what is told nothing is missing, whatever was written meanwhile. Positions grow with each change, for
 * example the numbers of an outbox table that is written in the same transaction as the rows.
 *
 * A source is trusted with the content of rows, and with nothing else: every row is checked for its tenant,
 * its columns, its place in the order and its version. What contradicts itself is a reason and never a row.
 *
 * Rules: SPEC.md, V15.
 */
import type { ShardId } from "../core/units.ts";
import { compileOrder } from "./order.ts";
import { compilePredicate } from "./predicate.ts";
import type { Clause, SortColumn } from "./query.ts";
import type { RowChange } from "./row.ts";
import { isRecord, isVersion, type Row, type Scalar, type Table } from "./row.ts";
import type { ReadRequest, ReadResult } from "./view.ts";

/** Rows of one answer, when they are all that match and are to be put in order here. */
const SOURCE_ROWS_MAX = 65_536;

/** Rows of all shards whose last change is remembered. */
const KNOWN_ROWS_MAX = 65_536;

/** What a source is asked for: the first rows of a query. */
export interface SourceQuery {
  /** The shard of the tenant's entity: `shardOf` of both. */
  readonly shard: ShardId;
  readonly tenant: string;
  readonly entity: string;
  /** All of these hold for the rows; as in a query. */
  readonly where: readonly Clause[];
  /** Their order; the last column is the id. Null stands lowest, text goes by UTF-16 code units. */
  readonly sort: readonly SortColumn[];
  /** The values of `sort` of the row behind which they begin; undefined at the start. */
  readonly after: readonly Scalar[] | undefined;
  /** How many are wanted. */
  readonly limit: number;
  /** Aborted when nobody waits for the answer any more: after 4 s, and when the shard goes. */
  readonly signal: AbortSignal;
}

/** A row of a source. */
export interface SourceRow {
  readonly tenant: string;
  readonly entity: string;
  readonly id: string;
  /** 0 to 2^53 - 1, higher with each change of the row. */
  readonly version: number;
  /** By name; those that are left out are null. */
  readonly columns: Readonly<Record<string, Scalar>>;
}

/** Rows that were read. */
export interface SourceRows {
  /**
   * The first `limit` rows, in order. Or, with `isComplete`, at most 65 536 rows in any order with all of the
   * query among them.
   */
  readonly rows: readonly SourceRow[];
  /** Whether no other row belongs to the query. */
  readonly isComplete: boolean;
  /** All changes up to it are in the rows, and none behind it: 0 to 2^53 - 1. */
  readonly position: number;
}

/** One change of a row. */
export interface SourceChange extends Omit<SourceRow, "columns"> {
  /** Higher than that of the change before it in this shard. */
  readonly position: number;
  /** Undefined: the row is gone. */
  readonly columns: SourceRow["columns"] | undefined;
}

export type Believed<T> =
  | ({ readonly ok: true } & T)
  | { readonly ok: false; readonly why: string };

/** What to ask for the rows of a view. */
export function sourceQueryOf(
  shard: ShardId,
  { query, count }: ReadRequest,
  signal: AbortSignal,
): SourceQuery {
  const { tenant, table, sort, spec, cursor } = query;
  const nameOf = (column: number): string => table.names[column] as string;
  return {
    ...{ shard, tenant, entity: table.entity, where: spec.where ?? [], after: cursor },
    sort: sort.map(({ column, descending }) => ({ column: nameOf(column), descending })),
    limit: count,
    signal,
  };
}

/** What a source has answered, if that can be believed by who knows all changes up to `knownTo`. */
export function believeRows(
  answer: unknown,
  { query, count }: ReadRequest,
  knownTo: number,
  known: KnownRows,
): Believed<{ readonly result: ReadResult }> {
  if (!isRecord(answer)) return doubt("answered no object");
  const { rows: given, isComplete, position } = answer;
  if (!Array.isArray(given) || typeof isComplete !== "boolean" || !isVersion(position)) {
    return doubt("answered without rows, isComplete or position");
  }
  if (position < knownTo) return doubt("read rows as they were before changes that it has told of");
  if (given.length > SOURCE_ROWS_MAX) return doubt(`gave over ${SOURCE_ROWS_MAX} rows`);
  const rows: Row[] = [];
  const ids = new Set<string>();
  for (const each of given as readonly unknown[]) {
    const read = believeRow(each, query.table);
    if (!read.ok) return read;
    if (read.tenant !== query.tenant) return doubt("gave a row of another tenant");
    if (known.isOlder(query.tenant, query.table.entity, read.row)) {
      return doubt("gave a row whose version is lower than it was");
    }
    ids.add(read.row.id);
    rows.push(read.row);
  }
  if (ids.size < rows.length) return doubt("gave a row twice");
  const compare = compileOrder(query.sort, query.table);
  const belongs = compilePredicate(query);
  if (isComplete) {
    const all = rows.filter(belongs).sort(compare);
    const first = all.slice(0, count);
    return { ok: true, result: { rows: first, isComplete: all.length <= count, position } };
  }
  if (rows.length < count)
    return doubt("gave fewer rows than were wanted, and says that there are more");
  if (!rows.every(belongs)) return doubt("gave a row that is not of the query");
  if (rows.some((row, at) => at > 0 && compare(rows[at - 1] as Row, row) >= 0)) {
    return doubt("gave rows in another order");
  }
  return { ok: true, result: { rows: rows.slice(0, count), isComplete: false, position } };
}

function believeRow(
  given: unknown,
  table: Table,
): Believed<{ readonly tenant: unknown; readonly row: Row }> {
  if (!isRecord(given)) return doubt("gave a row that is no object");
  const { tenant, entity, id, version, columns } = given;
  if (entity !== table.entity) return doubt("gave a row of another entity");
  const read = table.readRow({ id, version, columns });
  if (!read.ok) return doubt(`gave a row that is none: ${read.message}`);
  if (!isVersion(version)) return doubt("gave a row without a version");
  return { ok: true, tenant, row: { id: read.row.id, version, values: read.row.values } };
}

interface Known {
  readonly position: number;
  readonly version: number;
  readonly row: Row | undefined;
}

/** What a source has told of its rows last: so it is known what they were before. */
export class KnownRows {
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #shardFor: (tenant: string, entity: string) => ShardId;
  readonly #known = new Map<string, Known>();

  constructor(
    tables: ReadonlyMap<string, Table>,
    shardFor: (tenant: string, entity: string) => ShardId,
  ) {
    this.#tables = tables;
    this.#shardFor = shardFor;
  }

  /** What a source tells of a shard, if that can be believed after `since`. */
  believe(
    change: unknown,
    shard: ShardId,
    since: number,
  ): Believed<{ readonly change: RowChange | undefined; readonly position: number }> {
    if (!isRecord(change)) return doubt("told of no object");
    const { tenant, entity, id, version, position, columns } = change;
    if (!isVersion(position)) return doubt("told of a change without a position");
    if (position <= since) return doubt("told of changes with positions that do not grow");
    const table = this.#tables.get(entity as string);
    if (typeof tenant !== "string" || typeof entity !== "string") {
      return doubt("told of a change without tenant or entity");
    }
    if (this.#shardFor(tenant, entity) !== shard) return doubt("told of a row of another shard");
    // Of an entity that nobody can follow.
    if (table === undefined) return { ok: true, change: undefined, position };
    const given = { tenant, entity, id, version, columns: columns ?? {} };
    const read = believeRow(given, table);
    if (!read.ok) return read;
    const { row } = read;
    const after = columns === undefined || columns === null ? undefined : row;
    const key = `${tenant}\0${entity}\0${row.id}`;
    const known = this.#known.get(key);
    if (known !== undefined && known.version > row.version) {
      return doubt("told of a row whose version is lower than it was");
    }
    this.#remember(key, { position, version: row.version, row: after });
    const was = known === undefined ? { isBeforeUnknown: true } : {};
    const what = { tenant, entity, position, id: row.id, before: known?.row, after };
    return { ok: true, change: { ...what, ...was }, position };
  }

  /** Whether a row has been told of with a higher version. */
  isOlder(tenant: string, entity: string, { id, version }: Row): boolean {
    const known = this.#known.get(`${tenant}\0${entity}\0${id}`);
    return known !== undefined && known.version > version;
  }

  /** Changes of a shard are told anew, from a position that may be lower. */
  forget(shard: ShardId): void {
    for (const key of this.#known.keys()) {
      const [tenant = "", entity = ""] = key.split("\0");
      if (this.#shardFor(tenant, entity) === shard) this.#known.delete(key);
    }
  }

  #remember(key: string, known: Known): void {
    this.#known.delete(key);
    this.#known.set(key, known);
    if (this.#known.size <= KNOWN_ROWS_MAX) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

function doubt(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why };
}
