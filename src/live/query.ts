/**
 * Queries: what a user asks for, judged against the declared columns and brought into one shape.
 *
 *   { tenant: "acme", entity: "task",
 *     where: [{ column: "done", op: "eq", value: false },
 *             { or: [{ column: "priority", op: "gte", value: 3 },
 *                    [{ column: "owner", op: "eq", value: "ann" }, { column: "title", op: "ilike", value: "%now%" }]] }],
 *     sort: [{ column: "priority", descending: true }], limit: 50 }
 *
 * All clauses of `where` must hold; of an or-group one alternative, which is a condition or a list of
 * them that must all hold. Comparisons with null are never true, `ne` and `notin` included: that is what
 * `isnull` is for. Null sorts below every value, and equal rows are in the order of their ids.
 *
 * A *streamed* query is the whole set of matching rows without order. A *maintained* one is the first
 * `limit` of them behind `cursor`.
 *
 * Two queries that differ in nothing but the order of clauses, repetition, or ways to say the same have one
 * *shape*: they are answered by one view. Whatever a stranger sends becomes a query or a refusal, in time
 * linear in its length.
 *
 * Deliberately absent: joins, aggregates, offsets. Pages follow each other by cursor.
 *
 * Rules: SPEC.md, section V.
 */
import type { Refusal } from "../core/error.ts";
import { compareText } from "../core/units.ts";
import {
  CONDITIONS_MAX,
  LIMIT_DEFAULT,
  LIMIT_MAX,
  NAME_LENGTH_MAX,
  SORT_COLUMNS_MAX,
  STREAMED_ROWS_MAX,
  VALUE_LENGTH_MAX,
  VALUES_MAX,
} from "./bounds.ts";
import { readCursor } from "./cursor.ts";
import { compileLike } from "./like.ts";
import type { SortKey } from "./order.ts";
import { ID_COLUMN, isName, isRecord, type Scalar, type Table } from "./row.ts";

const OPERATORS = [
  ...["eq", "ne", "gt", "gte", "lt", "lte", "in", "notin"],
  ...["like", "ilike", "isnull", "isnotnull"],
] as const;

export type Operator =
  | ("eq" | "ne" | "gt" | "gte" | "lt" | "lte" | "in" | "notin")
  | ("like" | "ilike" | "isnull" | "isnotnull");

export interface Condition {
  readonly column: string;
  readonly op: Operator;
  /** A list with `in` and `notin`, nothing with `isnull` and `isnotnull`. */
  readonly value?: Scalar | readonly Scalar[];
}

export type Clause = Condition | { readonly or: readonly (Condition | readonly Condition[])[] };

export interface SortColumn {
  readonly column: string;
  /** Default false. */
  readonly descending?: boolean;
}

export interface LiveQuery {
  readonly tenant: string;
  readonly entity: string;
  readonly where?: readonly Clause[];
  readonly sort?: readonly SortColumn[];
  /** Rows of the window, 1 to 1000. Default 100. */
  readonly limit?: number;
  /** Where the window begins: behind the row that this was made from. */
  readonly cursor?: string;
  /** Default `maintained`. */
  readonly mode?: "maintained" | "streamed";
}

/** One condition, with its column by number. `values` holds one, several sorted ones, or none. */
export interface Test {
  readonly column: number;
  readonly op: Operator;
  readonly values: readonly Scalar[];
}

/** A query that was judged. Equal shapes mean equal answers. */
export interface Query {
  readonly tenant: string;
  readonly table: Table;
  readonly mode: "maintained" | "streamed";
  /** All clauses hold; of a clause one alternative; of an alternative all tests. */
  readonly clauses: readonly (readonly (readonly Test[])[])[];
  /** The last one is the id. */
  readonly sort: readonly SortKey[];
  readonly limit: number;
  /** The values of the sort columns of the last row that does not belong to the window. */
  readonly cursor: readonly Scalar[] | undefined;
  readonly shape: string;
  /** The same as a user's query, and nothing else in it: what travels. */
  readonly spec: LiveQuery;
}

export type QueryResult = { readonly ok: true; readonly query: Query } | Refusal;

const FIELDS = new Set(["tenant", "entity", "where", "sort", "limit", "cursor", "mode"]);
const ORDERED: ReadonlySet<Operator> = new Set<Operator>(["gt", "gte", "lt", "lte"]);
const LISTS: ReadonlySet<Operator> = new Set<Operator>(["in", "notin"]);
const PATTERNS: ReadonlySet<Operator> = new Set<Operator>(["like", "ilike"]);
const WITHOUT_VALUE: ReadonlySet<Operator> = new Set<Operator>(["isnull", "isnotnull"]);

/** Says what is wrong with a query; nothing of it leaves this module. */
class Wrong extends Error {}

/** Judges a query of a stranger. `tables` are the declared entities. Never throws. */
export function readQuery(asked: unknown, tables: ReadonlyMap<string, Table>): QueryResult {
  try {
    return { ok: true, query: read(asked, tables) };
  } catch (error) {
    // Whatever else a stranger's getter may throw is no business of ours.
    const reason = error instanceof Wrong ? error.message : "the query cannot be read";
    return { ok: false, code: "BAD_REQUEST", message: `Cannot subscribe: ${reason}` };
  }
}

function read(asked: unknown, tables: ReadonlyMap<string, Table>): Query {
  if (!isRecord(asked)) throw new Wrong("a query is an object");
  if (Object.keys(asked).some((field) => !FIELDS.has(field))) {
    throw new Wrong(`a query has no fields but ${[...FIELDS].join(", ")}`);
  }
  const { tenant, entity, where = [], sort = [], mode = "maintained" } = asked;
  if (!isName(tenant)) throw new Wrong(`a tenant has 1 to ${NAME_LENGTH_MAX} characters`);
  if (!isName(entity)) throw new Wrong(`an entity has 1 to ${NAME_LENGTH_MAX} characters`);
  const table = tables.get(entity);
  if (table === undefined) throw new Wrong("no such entity is declared");
  if (mode !== "maintained" && mode !== "streamed") {
    throw new Wrong("mode is maintained or streamed");
  }
  const clauses = readWhere(where, table);
  const keys = readSort(sort, table);
  const isStreamed = mode === "streamed";
  if (isStreamed && [asked.limit, asked.cursor].some((given) => given !== undefined)) {
    throw new Wrong("a streamed query has neither limit nor cursor");
  }
  if (isStreamed && keys.length > 1) throw new Wrong("a streamed query has no order");
  const limit = isStreamed ? STREAMED_ROWS_MAX : readLimit(asked.limit);
  const cursor = asked.cursor === undefined ? undefined : readCursor(asked.cursor, keys, table);
  if (cursor === "forged") throw new Wrong("the cursor is none of this entity and order");
  const shape = JSON.stringify([
    ...[tenant, entity, table.fingerprint, mode, limit],
    ...[clauses.map(wordsOf), keys.map(({ column, descending }) => [column, descending])],
    cursor ?? null,
  ]);
  const spec = specOf(asked, { tenant, entity, clauses, keys, limit, mode, table });
  return { tenant, table, mode, clauses, sort: keys, limit, cursor, shape, spec };
}

function readLimit(limit: unknown = LIMIT_DEFAULT): number {
  if (Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= LIMIT_MAX) {
    return limit as number;
  }
  throw new Wrong(`limit is an integer of 1 to ${LIMIT_MAX}`);
}

function readSort(sort: unknown, table: Table): SortKey[] {
  if (!Array.isArray(sort)) throw new Wrong("sort is a list");
  if (sort.length > SORT_COLUMNS_MAX) throw new Wrong(`sort has over ${SORT_COLUMNS_MAX} columns`);
  const keys: SortKey[] = [];
  for (const each of sort as readonly unknown[]) {
    if (!isRecord(each)) throw new Wrong("sort is a list of objects with column and descending");
    const { column, descending = false, ...rest } = each;
    const index = table.indexOf(column);
    if (index === undefined) throw new Wrong("sort names a column that is not declared");
    if (typeof descending !== "boolean" || Object.keys(rest).length > 0) {
      throw new Wrong("sort is a list of objects with column and descending");
    }
    // Behind the id nothing is left to be told apart, and a column decides once.
    if (keys.some((key) => key.column === index || key.column === ID_COLUMN)) continue;
    keys.push({ column: index, descending });
  }
  // [V2] The implicit end of every order.
  if (!keys.some(({ column }) => column === ID_COLUMN)) {
    keys.push({ column: ID_COLUMN, descending: false });
  }
  return keys;
}

function readWhere(where: unknown, table: Table): Test[][][] {
  if (!Array.isArray(where)) throw new Wrong("where is a list of clauses");
  const left = { conditions: CONDITIONS_MAX };
  const clauses: Test[][][] = [];
  for (const clause of where as readonly unknown[]) {
    if (!isRecord(clause) || !("or" in clause)) {
      clauses.push([[readCondition(clause, table, left)]]);
      continue;
    }
    const alternatives = readGroup(clause, table, left);
    // A choice of one is no choice.
    if (alternatives.length > 1) clauses.push(alternatives);
    else for (const test of alternatives[0] ?? []) clauses.push([[test]]);
  }
  return sortedOnce(clauses);
}

function readGroup(
  group: Record<string, unknown>,
  table: Table,
  left: { conditions: number },
): Test[][] {
  const { or, ...rest } = group;
  if (!Array.isArray(or) || or.length === 0 || Object.keys(rest).length > 0) {
    throw new Wrong("or is a list of one or more alternatives, and stands alone");
  }
  const alternatives = (or as readonly unknown[]).map((alternative) => {
    const conditions: readonly unknown[] = Array.isArray(alternative) ? alternative : [alternative];
    if (conditions.length === 0) throw new Wrong("an alternative has one or more conditions");
    return sortedOnce(conditions.map((condition) => readCondition(condition, table, left)));
  });
  return sortedOnce(alternatives);
}

function readCondition(condition: unknown, table: Table, left: { conditions: number }): Test {
  left.conditions -= 1;
  if (left.conditions < 0) throw new Wrong(`there are over ${CONDITIONS_MAX} conditions`);
  if (!isRecord(condition)) throw new Wrong("a condition is an object with column, op and value");
  const { column, op, value, ...rest } = condition;
  if (Object.keys(rest).length > 0) throw new Wrong("a condition has column, op and value");
  const index = table.indexOf(column);
  if (index === undefined) throw new Wrong("a condition names a column that is not declared");
  if (!(OPERATORS as readonly unknown[]).includes(op)) throw new Wrong("there is no such operator");
  return testOf(index, op as Operator, value, table);
}

function testOf(column: number, op: Operator, value: unknown, table: Table): Test {
  const type = table.types[column];
  if (WITHOUT_VALUE.has(op)) {
    if (value !== undefined) throw new Wrong(`${op} has no value`);
    return { column, op, values: [] };
  }
  const check = (each: unknown): Scalar => {
    if (typeof each !== type) throw new Wrong(`${table.names[column]} is compared with a ${type}`);
    if (typeof each === "number" && !Number.isFinite(each)) throw new Wrong("numbers are finite");
    if (typeof each === "string" && each.length > VALUE_LENGTH_MAX) {
      throw new Wrong(`a value has over ${VALUE_LENGTH_MAX} characters`);
    }
    return (each === 0 ? 0 : each) as Scalar; // -0 is 0, and would be another shape.
  };
  if (LISTS.has(op)) {
    if (!Array.isArray(value)) throw new Wrong(`${op} has a list of values`);
    if (value.length > VALUES_MAX) throw new Wrong(`${op} has over ${VALUES_MAX} values`);
    const values = sortedOnce((value as readonly unknown[]).map(check));
    if (values.length === 1) return { column, op: op === "in" ? "eq" : "ne", values };
    return { column, op, values };
  }
  const values = [check(value)];
  if (ORDERED.has(op) && type === "boolean") throw new Wrong(`${op} is not for a boolean`);
  if (PATTERNS.has(op)) {
    if (type !== "string") throw new Wrong(`${op} is for text`);
    if (compileLike(values[0] as string, false) === undefined) {
      throw new Wrong(`${op} has no such pattern: it is too long, or ends in a backslash`);
    }
  }
  return { column, op, values };
}

/** Each once, in the order of what they say. */
function sortedOnce<T>(items: readonly T[]): T[] {
  const byText = new Map(items.map((item) => [JSON.stringify(item), item]));
  return [...byText].sort(([a], [b]) => compareText(a, b)).map(([, item]) => item);
}

function wordsOf(clause: readonly (readonly Test[])[]): unknown {
  return clause.map((tests) => tests.map(({ column, op, values }) => [column, op, values]));
}

interface SpecParts {
  readonly tenant: string;
  readonly entity: string;
  readonly clauses: Test[][][];
  readonly keys: readonly SortKey[];
  readonly limit: number;
  readonly mode: "maintained" | "streamed";
  readonly table: Table;
}

/** What travels is made of what was understood, never of what was sent. */
function specOf(asked: Record<string, unknown>, parts: SpecParts): LiveQuery {
  const { tenant, entity, clauses, keys, limit, mode, table } = parts;
  const nameOf = (column: number): string => table.names[column] as string;
  const conditionOf = ({ column, op, values }: Test): Condition => {
    const named = { column: nameOf(column), op };
    if (WITHOUT_VALUE.has(op)) return named;
    return { ...named, value: LISTS.has(op) ? values : (values[0] as Scalar) };
  };
  const where = clauses.map((alternatives): Clause => {
    const [only] = alternatives;
    if (alternatives.length === 1 && only?.length === 1) return conditionOf(only[0] as Test);
    return { or: alternatives.map((tests) => tests.map(conditionOf)) };
  });
  if (mode === "streamed") return { tenant, entity, where, mode };
  const sort = keys.map(({ column, descending }) => ({ column: nameOf(column), descending }));
  const cursor = asked.cursor === undefined ? {} : { cursor: asked.cursor as string };
  return { tenant, entity, where, sort, limit, ...cursor, mode };
}
