/**
 * `hearsay repair`: sets damaged stores of a data directory aside, so that their peer can start again.
 *
 * A peer has up to three: its replica of the cluster's table, its copies of documents, and of rows. Each is looked
 * at as a whole, and only those that are damaged are set aside: a sound one may have the last copy of something.
 *
 * Nothing is deleted and nothing is mended. The peer starts with an empty store and refills it from its
 * cluster; what only this disk had is in the folder that was set aside, for whoever can read it.
 */
import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { HearsayError } from "../core/error.ts";
import { DOCUMENTS_FOLDER } from "../documents/shell/lmdb-item-store.ts";
import { REPLICA_FOLDER } from "../io/lmdb-store.ts";
import { inspect } from "../io/store-inspection.ts";
import { ROWS_FOLDER } from "../live-queries.ts";
import { defineCommand } from "./command.ts";
import { wrongUsage } from "./failure.ts";

/** What stores hold, by their folders. */
const STORES: ReadonlyMap<string, string> = new Map([
  [REPLICA_FOLDER, "the table"],
  [DOCUMENTS_FOLDER, "documents"],
  [ROWS_FOLDER, "rows"],
]);

/** A store that was set aside. */
interface Damaged {
  readonly store: string;
  readonly damage: string;
  /** Where it is now. */
  readonly aside: string;
}

export const repair = defineCommand({
  usage: "repair",
  summary: "set damaged stores aside; their peer refills empty ones from the others",
  settings: ["data"],
  example: "hearsay repair --data ./data",
  async run({ settings: { data }, json, output }) {
    if (data === undefined) throw wrongUsage("Cannot repair: --data names no folder");
    try {
      const present = new Set(await readdir(data));
      const stores = [...STORES.keys()].filter((store) => present.has(store));
      if (stores.length === 0) throw new Error("there is no store in it");
      const damaged = await damagedOf(data, stores, present);
      for (const { store, aside } of damaged) await rename(join(data, store), aside);
      const lines = damaged.map(
        ({ store, damage, aside }) =>
          `The store of ${STORES.get(store)} (${damage}) is now in ${aside}`,
      );
      const sound = `Nothing is damaged in ${stores.join(", ")}`;
      const text = (lines.length === 0 ? [sound] : lines).join("\n");
      output.out(json ? `${JSON.stringify({ damaged })}\n` : `${text}\n`);
    } catch (error) {
      if (error instanceof HearsayError) throw error;
      const why = (error as Error).message;
      throw new HearsayError("STORE_FAILED", `Cannot repair ${data}: ${why}`, { cause: error });
    }
  },
});

/** Looks at all of them before anything is moved. */
async function damagedOf(
  data: string,
  stores: readonly string[],
  present: ReadonlySet<string>,
): Promise<Damaged[]> {
  const damaged: Damaged[] = [];
  for (const store of stores) {
    const obstacle = await inspect(join(data, store));
    if (obstacle === undefined) continue;
    if ("pid" in obstacle) {
      const message = `Cannot repair ${data}: process ${obstacle.pid} has it open`;
      throw new HearsayError("STORE_LOCKED", message);
    }
    let number = 1;
    while (present.has(`${store}-damaged-${number}`)) number += 1;
    damaged.push({
      store,
      damage: obstacle.damage,
      aside: join(data, `${store}-damaged-${number}`),
    });
  }
  return damaged;
}
