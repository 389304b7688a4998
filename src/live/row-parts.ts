/**
 * Rows as parts of items: how they are stored and copied.
 *
 * An item holds rows of one entity of one tenant, a share of them by the hash of their ids, so that no item
 * gets too long for one message. A part says the columns that its rows have, by name, since who reads it may
 * have declared them otherwise: what it does not know is left out, and what it lacks is null.
 *
 * Parts can be merged: of what all of them say of a row the highest version counts.
 *
 * Rules: SPEC.md, V6 and Y3.
 */
import { hash32 } from "../core/hash.ts";
import { shardOf } from "../core/shard-of.ts";
import type { ShardId } from "../core/units.ts";
import { decodeMessage, encodeMessage } from "../items/item-messages.ts";
import { ID_COLUMN, isRowId, isVersion, type Scalar, type Table } from "./row.ts";
import type { RowRecord } from "./row-table.ts";

/** Items that the rows of one entity of one tenant are spread over. */
const SHARES = 16;

const FORMAT = 1;

/** Length of a part of many rows, about, in UTF-16 code units. */
const PART_LENGTH = 65_536;

/** The item of a row. */
export function itemOf(tenant: string, entity: string, id: string): string {
  return `${tenant}\0${entity}\0${(hash32(id) % SHARES).toString(16)}`;
}

/** Whose rows an item holds. */
export function ownerOf(item: string): { readonly tenant: string; readonly entity: string } {
  const [tenant = "", entity = ""] = item.split("\0");
  return { tenant, entity };
}

/** The shard of an item, where there are so many. */
export function shardOfItem(item: string, shardCount: number): ShardId {
  const { tenant, entity } = ownerOf(item);
  return `shard-${shardOf(tenant, entity, shardCount)}`;
}

/** The parts that say all of these rows. */
export function* partsOf(records: Iterable<RowRecord>, { names }: Table): Generator<Uint8Array> {
  let rows: (readonly (Scalar | readonly Scalar[])[])[] = [];
  let length = 0;
  const part = (): Uint8Array => encodeMessage([FORMAT, [...names], rows]);
  for (const { id, version, values = null } of records) {
    rows.push([version, id, values === null ? null : [...values]]);
    length += (values ?? []).reduce<number>((sum, each) => sum + String(each).length + 8, 32);
    if (length < PART_LENGTH) continue;
    yield part();
    rows = [];
    length = 0;
  }
  if (rows.length > 0) yield part();
}

/** What a part says, in the columns of `table`. What makes no sense in it is left out. */
export function* recordsIn(part: Uint8Array, table: Table): Generator<RowRecord> {
  const [format, names, rows] = decodeMessage(part) ?? [];
  if (format !== FORMAT || !Array.isArray(names) || !Array.isArray(rows)) return;
  const columns = table.names.map((name) => names.indexOf(name));
  for (const each of rows as readonly unknown[]) {
    const [version, id, stored] = Array.isArray(each) ? (each as readonly unknown[]) : [];
    if (!isVersion(version) || !isRowId(id)) continue;
    if (stored === null) yield { id, version, values: undefined };
    if (!Array.isArray(stored)) continue;
    const values = columns.map((column) => (stored as readonly unknown[])[column] ?? null);
    if (values[ID_COLUMN] === id && table.holds(values)) yield { id, version, values };
  }
}
