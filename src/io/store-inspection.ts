/**
 * Looks at all of a database that no peer has open: whether it can be read, and whether every record is what was
 * written. A peer does so when it opens one, but for the contents of documents and rows, which it reads when it
 * needs them.
 */
import { decodeRecord } from "./store-records.ts";
import { type Obstacle, refresh } from "./store-refresh.ts";

/** What is wrong with the database in the directory `path`, or who has it open; undefined when it is sound. */
export async function inspect(path: string): Promise<Obstacle | undefined> {
  const obstacle = await refresh(path);
  if (obstacle !== undefined) return obstacle;
  const { open } = await import("lmdb");
  const database = open<Uint8Array, Uint8Array>({
    ...{ path, keyEncoding: "binary", encoding: "binary", readOnly: true },
  });
  try {
    let count = 0;
    for (const { key, value } of database.getRange({})) {
      if (decodeRecord(key, value, Number.MAX_SAFE_INTEGER) === undefined) count += 1;
    }
    if (count === 0) return undefined;
    return { damage: count === 1 ? "a record is damaged" : `${count} records are damaged` };
  } finally {
    await database.close();
  }
}
