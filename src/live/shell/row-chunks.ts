/**
 * The rows of a shard in chunks, for its next region.
 *
 * Columns travel by name: two regions may have declared them differently, and what one does not know is
 * left out.
 *
 * Rules: SPEC.md, H2.
 */
import type { Body } from "../../wire/body.ts";
import { isRecord, isVersion, type Table } from "../row.ts";
import type { StoredRow } from "../row-table.ts";

/** Length of a chunk, about, in UTF-16 code units: with one more row below the size of a message. */
const CHUNK_LENGTH = 131_072;

/** Deletions in one chunk. */
const DELETIONS = 2048;

export interface ShardRows {
  readonly rows: Iterable<StoredRow>;
  readonly deletions: Iterable<readonly [key: string, version: number]>;
}

export function* exportRows(
  { rows, deletions }: ShardRows,
  tables: ReadonlyMap<string, Table>,
): Generator<Body> {
  let chunk: Body[] = [];
  let length = 0;
  for (const { tenant, entity, version, values } of rows) {
    const names = tables.get(entity)?.names ?? [];
    chunk.push([tenant, entity, version, [...names], [...values]]);
    length += values.reduce<number>((sum, each) => sum + String(each).length + 8, 64);
    if (length < CHUNK_LENGTH) continue;
    yield { rows: chunk };
    chunk = [];
    length = 0;
  }
  if (chunk.length > 0) yield { rows: chunk };
  const gone = [...deletions];
  for (let at = 0; at < gone.length; at += DELETIONS) {
    yield { deletions: gone.slice(at, at + DELETIONS).map(([key, version]) => [key, version]) };
  }
}

export async function importRows(
  chunks: AsyncIterable<Body>,
  tables: ReadonlyMap<string, Table>,
): Promise<{ readonly rows: StoredRow[]; readonly deletions: [string, number][] }> {
  const rows: StoredRow[] = [];
  const deletions: [string, number][] = [];
  for await (const chunk of chunks) {
    if (!isRecord(chunk)) continue;
    for (const each of Array.isArray(chunk.rows) ? chunk.rows : []) {
      const row = readStored(each, tables);
      if (row !== undefined) rows.push(row);
    }
    for (const each of Array.isArray(chunk.deletions) ? chunk.deletions : []) {
      const [key, version] = Array.isArray(each) ? each : [];
      if (typeof key === "string" && isVersion(version)) deletions.push([key, version]);
    }
  }
  return { rows, deletions };
}

function readStored(each: unknown, tables: ReadonlyMap<string, Table>): StoredRow | undefined {
  if (!Array.isArray(each)) return undefined;
  const [tenant, entity, version, names, values] = each as unknown[];
  const table = tables.get(entity as string);
  if (table === undefined || typeof tenant !== "string" || !isVersion(version)) return undefined;
  if (!Array.isArray(names) || !Array.isArray(values)) return undefined;
  const byName = new Map(names.map((name, index) => [name as unknown, values[index] as unknown]));
  const own = table.names.map((name) => byName.get(name) ?? null);
  if (!table.holds(own)) return undefined;
  return { tenant, entity: table.entity, id: own[0] as string, version, values: own };
}
