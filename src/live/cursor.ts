/**
 * Cursors: where the next page begins.
 *
 * A cursor is the values by which a row is sorted, its id last, and a mark of the order that they belong
 * to. Who makes one up gets what he could as well have asked for with a condition, of his own tenant; so it
 * is checked for what it is and not for where it came from.
 *
 * Rules: SPEC.md, section V.
 */
import { isWellFormed } from "../core/canonical.ts";
import { hash32 } from "../core/hash.ts";
import { CURSOR_LENGTH_MAX } from "./bounds.ts";
import type { SortKey } from "./order.ts";
import type { Row, Scalar, Table } from "./row.ts";

/** The cursor behind `row`; undefined when its values are too long for one. */
export function cursorOf(row: Row, sort: readonly SortKey[], table: Table): string | undefined {
  const values = sort.map(({ column }) => row.values[column] as Scalar);
  const cursor = JSON.stringify([markOf(sort, table), ...values]);
  return cursor.length <= CURSOR_LENGTH_MAX ? cursor : undefined;
}

/** The values in a cursor, in the order of `sort`. */
export function readCursor(
  cursor: unknown,
  sort: readonly SortKey[],
  table: Table,
): readonly Scalar[] | "forged" {
  if (typeof cursor !== "string" || cursor.length > CURSOR_LENGTH_MAX) return "forged";
  let parsed: unknown;
  try {
    parsed = JSON.parse(cursor);
  } catch {
    return "forged";
  }
  if (!Array.isArray(parsed) || parsed.length !== sort.length + 1) return "forged";
  const [mark, ...values] = parsed as readonly unknown[];
  const fits = sort.every(({ column }, index) => {
    const value = values[index];
    if (value === null) return column !== 0;
    if (typeof value === "number" && !Number.isFinite(value)) return false;
    if (typeof value === "string" && !isWellFormed(value)) return false;
    return typeof value === table.types[column];
  });
  if (mark !== markOf(sort, table) || !fits) return "forged";
  return values.map((value) => (value === 0 ? 0 : value)) as readonly Scalar[];
}

/** Tells apart the orders of one entity: values of another one would mean something else. */
function markOf(sort: readonly SortKey[], table: Table): number {
  return hash32(
    sort.map(({ column, descending }) => `${table.names[column]} ${descending}`).join(),
    table.fingerprint,
  );
}
