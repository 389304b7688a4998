/**
 * Rows, queries and a naive model for the tests of live queries: few values, so that they collide.
 */
import fc from "fast-check";
import type { SortKey } from "../../src/live/order.ts";
import { type Clause, type LiveQuery, type Query, readQuery } from "../../src/live/query.ts";
import {
  type ColumnType,
  type Declarations,
  type Row,
  readDeclarations,
  type Scalar,
} from "../../src/live/row.ts";
import type { RowTable } from "../../src/live/row-table.ts";

export const DECLARATIONS: Declarations = {
  task: {
    title: "string",
    priority: "number",
    done: "boolean",
    constructor: "string" as ColumnType,
  },
};

export const TABLES = (() => {
  const read = readDeclarations(DECLARATIONS);
  if (!read.ok) throw new Error(read.message);
  return read.tables;
})();

export const TASK = (() => {
  const table = TABLES.get("task");
  if (table === undefined) throw new Error("It is declared above");
  return table;
})();

export function queryOf(asked: Partial<LiveQuery>): Query {
  const result = readQuery({ tenant: "t", entity: "task", ...asked }, TABLES);
  if (!result.ok) throw new Error(result.message);
  return result.query;
}

export const ids = (count: number): fc.Arbitrary<string> =>
  fc.integer({ min: 0, max: count - 1 }).map((number) => `r${number}`);

const text = fc.constantFrom("", "a", "ab", "b", "Ab", "%", "é", "\u{1f600}");
const number = fc.constantFrom(-1, 0, 0.5, 1, 2, 1e300);

export const values: fc.Arbitrary<Scalar[]> = fc.tuple(
  fc.option(text, { freq: 4 }),
  fc.option(number, { freq: 4 }),
  fc.option(fc.boolean(), { freq: 4 }),
  fc.option(text, { freq: 1 }),
);

export function rowOf(id: string, version: number, columns: readonly Scalar[]): Row {
  return { id, version, values: [id, ...columns] };
}

const condition = fc.oneof(
  fc.record({
    column: fc.constantFrom("title", "constructor", "id"),
    op: fc.constantFrom("eq", "ne", "gt", "gte", "lt", "lte", "like", "ilike"),
    value: fc.constantFrom("", "a", "ab", "b", "r1", "%b", "_", "a%", "\\%"),
  }),
  fc.record({
    column: fc.constant("priority"),
    op: fc.constantFrom("eq", "ne", "gt", "gte", "lt", "lte"),
    value: number,
  }),
  fc.record({
    column: fc.constant("done"),
    op: fc.constantFrom("eq", "ne"),
    value: fc.boolean(),
  }),
  fc.record({
    column: fc.constantFrom("title", "id"),
    op: fc.constantFrom("in", "notin"),
    value: fc.array(fc.constantFrom("a", "ab", "b", "r1", "r2"), { maxLength: 3 }),
  }),
  fc.record({
    column: fc.constantFrom("title", "priority", "done"),
    op: fc.constantFrom("isnull", "isnotnull"),
  }),
);

const clause = fc.oneof(
  { weight: 3, arbitrary: condition },
  {
    weight: 1,
    arbitrary: fc.record({
      or: fc.array(fc.oneof(condition, fc.array(condition, { minLength: 1, maxLength: 2 })), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
  },
);

export const where = fc.array(clause, { maxLength: 3 }) as fc.Arbitrary<Clause[]>;

export const sort = fc.array(
  fc.record({
    column: fc.constantFrom("title", "priority", "done", "id"),
    descending: fc.boolean(),
  }),
  { maxLength: 3 },
);

/** What each operator means, said once more. */
const MEANS: Readonly<Record<string, (value: Scalar, wanted: never) => boolean>> = {
  eq: (value, wanted) => value === wanted,
  ne: (value, wanted) => value !== wanted,
  gt: (value, wanted) => (value as number) > wanted,
  gte: (value, wanted) => (value as number) >= wanted,
  lt: (value, wanted) => (value as number) < wanted,
  lte: (value, wanted) => (value as number) <= wanted,
  in: (value, wanted: readonly Scalar[]) => wanted.includes(value),
  notin: (value, wanted: readonly Scalar[]) => !wanted.includes(value),
  like: (value, wanted) => likeModel(value as string, wanted),
  ilike: (value, wanted: string) =>
    likeModel((value as string).toLowerCase(), wanted.toLowerCase()),
};

/** `like` by trying everything. */
export function likeModel(text: string, pattern: string): boolean {
  const tried = (t: readonly string[], p: readonly string[]): boolean => {
    const [first, ...rest] = p;
    if (first === undefined) return t.length === 0;
    if (first === "%") return tried(t, rest) || (t.length > 0 && tried(t.slice(1), p));
    if (first === "\\") return t[0] === rest[0] && tried(t.slice(1), rest.slice(1));
    return t.length > 0 && (first === "_" || first === t[0]) && tried(t.slice(1), rest);
  };
  return tried([...text], [...pattern]);
}

/** Whether a row belongs to a query, from what the user asked. */
export function belongs(row: Row, clauses: readonly Clause[]): boolean {
  return clauses.every((each) => {
    if ("or" in each) return each.or.some((some) => belongs(row, [some].flat() as Clause[]));
    const value = row.values[TASK.indexOf(each.column) ?? -1] as Scalar;
    if (each.op === "isnull") return value === null;
    if (each.op === "isnotnull") return value !== null;
    return value !== null && (MEANS[each.op]?.(value, each.value as never) ?? false);
  });
}

/** The first rows of a query, of all there are. */
export function topOf(rows: Iterable<Row>, asked: Partial<LiveQuery>, keys: readonly SortKey[]) {
  const rank = (value: Scalar): number => (value === null ? 0 : 1);
  return [...rows]
    .filter((row) => belongs(row, asked.where ?? []))
    .sort((a, b) => {
      for (const { column, descending } of keys) {
        const [x, y] = [a.values[column] as Scalar, b.values[column] as Scalar];
        const order = rank(x) - rank(y) || (x === y ? 0 : (x ?? 0) < (y ?? 0) ? -1 : 1);
        if (order !== 0) return descending ? -order : order;
      }
      return 0;
    })
    .slice(0, asked.limit ?? 100);
}

/** All rows of a table. */
export function rowsOf(table: RowTable): Row[] {
  return [...table.records("t", "task")].flatMap(({ id, version, values: all }) =>
    all === undefined ? [] : [{ id, version, values: all }],
  );
}
