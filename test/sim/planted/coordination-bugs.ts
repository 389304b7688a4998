/**
 * Planted bugs of calls that are passed on, of the registry and of ticks.
 */
import type { RunRequest } from "../../../sim/options.ts";
import type { PlantedBug } from "./bug.ts";

const TICK_VIEW = "src/core/tick-view.ts";

/** Few peers that do nothing but tick. */
const TICKING: Omit<RunRequest, "seed"> = {
  ...{ peers: 3, shards: 6, operationEveryMs: 20, durationMs: 10_000, diskMs: 0 },
  ...{ workload: ["ticks"], faults: "none", startSpreadMs: 0, isCoreHealed: false },
};

export const COORDINATION_BUGS: readonly PlantedBug[] = [
  {
    rule: "P2",
    does: "waits for an answer for ever",
    edits: [
      {
        file: "src/core/forwarding.ts",
        line: "const passed: Passed = { caller, call, carrier, deadlineAt,",
        bug: "const passed: Passed = { caller, call, carrier, deadlineAt: deadlineAt + 1e9,",
      },
      {
        file: "src/core/forwarding.ts",
        line: "this.#state.links.to(sentTo) !== undefined) continue;",
        bug: "true) continue;",
      },
    ],
    by: ["P2"],
    request: {
      ...{ ...TICKING, faults: ["isolate"], faultEveryMs: 3000 },
      ...{ durationMs: 20_000, shards: 12 },
    },
    seeds: 20,
  },
  {
    rule: "R6",
    does: "takes a shard that was removed for one that is registered again",
    edits: [
      {
        file: "src/core/registry.ts",
        line: "    if (weight === undefined) this.#known.delete(shard);",
        bug: "    this.#removed.delete(shard);\n    if (weight === undefined) this.#known.delete(shard);",
      },
    ],
    by: ["R6"],
    request: {
      ...{ ...TICKING, workload: ["registry"], shards: 1, operationEveryMs: 10 },
      delayMsMean: 90,
    },
    seeds: 20,
  },
  {
    rule: "B2",
    does: "counts completions instead of those who have completed",
    edits: [
      {
        file: "src/core/barrier.ts",
        line: "const news = mask & this.#all & ~before;",
        bug: "const news = mask & this.#all;",
      },
    ],
    by: ["I12"],
    request: TICKING,
    seeds: 10,
  },
  {
    rule: "B3",
    does: "loses what came before the definition of its tick",
    edits: [{ file: TICK_VIEW, line: "if (entry !== undefined) this.#mark(entry);", bug: "" }],
    by: ["B2"],
    request: { ...TICKING, delayMsMean: 60 },
    seeds: 20,
  },
  {
    rule: "B6",
    does: "takes the rows of another definition for those of its own",
    edits: [
      {
        file: TICK_VIEW,
        line: "const isPresent = time === identity.time && writer === identity.writer;",
        bug: "const isPresent = time !== undefined && writer !== undefined;",
      },
    ],
    by: ["I12", "B2"],
    request: TICKING,
    seeds: 10,
  },
];
