/**
 * `hearsay repair`: sets a damaged store aside, so that its peer can start again.
 *
 * Nothing is deleted and nothing is mended. The peer starts with an empty store and refills it from its
 * cluster; what only this disk had is in the folder that was set aside, for whoever can read it.
 */
import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { HearsayError } from "../core/error.ts";
import { REPLICA_FOLDER } from "../io/lmdb-store.ts";
import { refresh } from "../io/store-refresh.ts";
import { defineCommand } from "./command.ts";
import { wrongUsage } from "./failure.ts";

export const repair = defineCommand({
  usage: "repair",
  summary: "set a damaged store aside; its peer refills an empty one from the others",
  settings: ["data"],
  example: "hearsay repair --data ./data",
  async run({ settings: { data }, json, output }) {
    if (data === undefined) throw wrongUsage("Cannot repair: --data names no folder");
    const asideOf = (number: number): string => `${REPLICA_FOLDER}-damaged-${number}`;
    try {
      const present = new Set(await readdir(data));
      if (!present.has(REPLICA_FOLDER)) throw new Error("there is no store in it");
      const obstacle = await refresh(join(data, REPLICA_FOLDER));
      if (obstacle !== undefined && "pid" in obstacle) {
        const message = `Cannot repair ${data}: process ${obstacle.pid} has it open`;
        throw new HearsayError("STORE_LOCKED", message);
      }
      let number = 1;
      while (present.has(asideOf(number))) number += 1;
      const aside = join(data, asideOf(number));
      await rename(join(data, REPLICA_FOLDER), aside);
      output.out(json ? `${JSON.stringify({ aside })}\n` : `The store is now in ${aside}\n`);
    } catch (error) {
      if (error instanceof HearsayError) throw error;
      const why = (error as Error).message;
      throw new HearsayError("STORE_FAILED", `Cannot repair ${data}: ${why}`, { cause: error });
    }
  },
});
