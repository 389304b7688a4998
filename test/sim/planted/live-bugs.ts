/**
 * Planted bugs of live queries and of the rows behind them.
 */
import type { PlantedBug } from "./bug.ts";

/** Few peers whose shards move while rows are written and queries followed all the time. */
const FOLLOWING = {
  peers: 3,
  shards: 3,
  hosts: true,
  workload: ["allocate", "live"],
  operationEveryMs: 10,
  durationMs: 6000,
  diskMs: 0,
  isCoreHealed: false,
} as const;

export const LIVE_BUGS: readonly PlantedBug[] = [
  {
    rule: "V2",
    does: "forgets that a row leaves when another one pushes it out",
    edits: [
      {
        file: "src/live/window.ts",
        line: 'deltas.push({ type: "leave", index, id: (this.#rows[index] as Row).id });',
        bug: "",
      },
    ],
    by: ["V2", "V3"],
    request: { ...FOLLOWING, faults: "none" },
    seeds: 10,
  },
  {
    rule: "V2",
    does: "takes what comes in behind the edge of a window for the next row",
    edits: [
      {
        file: "src/live/window.ts",
        line: "this.#isComplete || (last !== undefined && this.#compare(row, last) <= 0);",
        bug: "this.#isComplete || this.#rows.length < 50;",
      },
    ],
    by: ["V2", "V10"],
    request: { ...FOLLOWING, faults: "none" },
    seeds: 20,
  },
  {
    rule: "V7",
    does: "says nothing to who subscribes where the shard is not, and asks once",
    edits: [
      {
        file: "src/live/region.ts",
        line: 'this.#say(gateway, { type: "moved", sub });',
        bug: "",
      },
      {
        file: "src/live/gateway.ts",
        line: "for (const upstream of [...asked]) if (upstream.dueAt <= now) this.#begin(upstream);",
        bug: "for (const _ of asked) void now;",
      },
    ],
    by: ["V10"],
    request: { ...FOLLOWING, faults: ["crash"], faultEveryMs: 2000 },
    seeds: 20,
  },
  {
    rule: "V10",
    does: "does not ask anew when the region of a query is gone",
    edits: [
      {
        file: "src/live/gateway.ts",
        line: "      upstream.sub = undefined;\n      this.#begin(upstream);",
        bug: "",
      },
    ],
    by: ["V10"],
    request: { ...FOLLOWING, workload: ["live"], faults: ["reset"], faultEveryMs: 500 },
    seeds: 20,
  },
  {
    rule: "V13",
    does: "serves a shard without what is kept of it here",
    edits: [
      {
        file: "src/live/replicated-rows.ts",
        line: "for (const item of this.#items.store.items(shard).keys()) {",
        bug: "for (const item of [] as string[]) {",
      },
    ],
    by: ["V13"],
    request: { ...FOLLOWING, faults: ["crash"], faultEveryMs: 2000 },
    seeds: 20,
  },
];
