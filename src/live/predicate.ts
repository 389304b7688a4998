/**
 * Whether a row belongs to a query: its clauses as one function.
 *
 * Each test becomes a closure that knows its column, operator and value, so that nothing is looked up or
 * decided again for each row. A query has its cursor in here, too: what stands before it does not belong.
 *
 * Rules: SPEC.md, section V (V1).
 */
import { compileLike } from "./like.ts";
import { isBehind } from "./order.ts";
import type { Query, Test } from "./query.ts";
import type { Row, Scalar } from "./row.ts";

export type Predicate = (row: Row) => boolean;

type ValuesTest = (values: readonly Scalar[]) => boolean;

/** The rows that belong to a query, its cursor included. */
export function compilePredicate({ clauses, cursor, sort }: Query): Predicate {
  const holds = both(clauses.map((alternatives) => either(alternatives.map(allOf))));
  if (cursor === undefined) return ({ values }) => holds(values);
  return (row) => holds(row.values) && isBehind(row, cursor, sort);
}

function allOf(tests: readonly Test[]): ValuesTest {
  return both(tests.map(compileTest));
}

function both(tests: readonly ValuesTest[]): ValuesTest {
  const [a, b, c] = tests;
  if (a === undefined) return () => true;
  if (b === undefined) return a;
  if (c === undefined) return (values) => a(values) && b(values);
  if (tests.length === 3) return (values) => a(values) && b(values) && c(values);
  return (values) => {
    for (const test of tests) if (!test(values)) return false;
    return true;
  };
}

function either(tests: readonly ValuesTest[]): ValuesTest {
  const [a, b] = tests;
  if (a !== undefined && b === undefined) return a;
  return (values) => {
    for (const test of tests) if (test(values)) return true;
    return false;
  };
}

/** [V1] Comparisons with null are not true, whatever they are. */
function compileTest({ column, op, values: wanted }: Test): ValuesTest {
  const [value = null] = wanted;
  switch (op) {
    case "eq":
      return (values) => values[column] === value;
    case "ne":
      return (values) => values[column] !== value && values[column] !== null;
    case "in": {
      const set = new Set(wanted);
      return (values) => set.has(values[column] as Scalar);
    }
    case "notin": {
      const set = new Set(wanted);
      return (values) => values[column] !== null && !set.has(values[column] as Scalar);
    }
    case "isnull":
      return (values) => values[column] === null;
    case "isnotnull":
      return (values) => values[column] !== null;
    case "like":
    case "ilike": {
      const matches = compileLike(value as string, op === "ilike") ?? (() => false);
      return (values) => values[column] !== null && matches(values[column] as string);
    }
    default:
      return typeof value === "number"
        ? compareNumbers(column, op, value)
        : compareTexts(column, op, value as string);
  }
}

type Ordering = "gt" | "gte" | "lt" | "lte";

function compareNumbers(column: number, op: Ordering, value: number): ValuesTest {
  // Null would be compared as 0.
  switch (op) {
    case "gt":
      return (values) => values[column] !== null && (values[column] as number) > value;
    case "gte":
      return (values) => values[column] !== null && (values[column] as number) >= value;
    case "lt":
      return (values) => values[column] !== null && (values[column] as number) < value;
    case "lte":
      return (values) => values[column] !== null && (values[column] as number) <= value;
  }
}

function compareTexts(column: number, op: Ordering, value: string): ValuesTest {
  switch (op) {
    case "gt":
      return (values) => values[column] !== null && (values[column] as string) > value;
    case "gte":
      return (values) => values[column] !== null && (values[column] as string) >= value;
    case "lt":
      return (values) => values[column] !== null && (values[column] as string) < value;
    case "lte":
      return (values) => values[column] !== null && (values[column] as string) <= value;
  }
}
