/**
 * Planted bugs of hosting, handoff and routing.
 */
import type { PlantedBug } from "./bug.ts";

/** Few peers whose one or two shards are moved and asked all the time. */
const MOVING = {
  peers: 3,
  shards: 2,
  hosts: true,
  workload: ["allocate", "release", "route", "ask"],
  operationEveryMs: 15,
  durationMs: 15_000,
  diskMs: 0,
  isCoreHealed: false,
} as const;

export const HOSTING_BUGS: readonly PlantedBug[] = [
  {
    rule: "A7",
    does: "serves on when the table gives its shard to another region",
    edits: [
      {
        file: "src/core/hosting.ts",
        line: "else if (record !== undefined) this.#lose(record, region);",
        bug: "",
      },
    ],
    by: ["A7", "H4", "crash"],
    request: { ...MOVING, faults: ["partition", "isolate"], faultEveryMs: 3000 },
    seeds: 40,
  },
  {
    rule: "H7",
    does: "never tells its host of a new token",
    edits: [
      {
        file: "src/core/hosted-shards.ts",
        line: 'this.task({ type: "renew", shard: record.shard, token, writer });',
        bug: "",
      },
    ],
    by: ["H7"],
    request: {
      ...MOVING,
      ...{ shards: 12, downing: "off", faults: ["reject"], faultEveryMs: 1000 },
      ...{ durationMs: 30_000, workload: ["allocate"], operationEveryMs: 500 },
    },
    seeds: 10,
  },
  {
    rule: "H4",
    does: "waits for a host that hangs as long as that takes",
    edits: [
      {
        file: "src/core/giving.ts",
        line: 'if (before !== "draining") this.#shards.wait(record, state.timings.drainMs);',
        bug: "",
      },
    ],
    by: ["H4"],
    request: {
      ...MOVING,
      ...{ shards: 24, operationEveryMs: 100, durationMs: 60_000 },
      ...{ faults: "none", workload: ["ask", "allocate"] },
    },
    seeds: 30,
  },
  {
    rule: "H3",
    does: "drops what it holds back while a shard moves",
    edits: [
      {
        file: "src/core/router.ts",
        line: "if (at === -1) lane.waiting.push(pending);",
        bug: "if (at === -1) return;",
      },
    ],
    by: ["H3"],
    request: { ...MOVING, durationMs: 3000, faults: "none", workload: ["ask", "allocate"] },
    seeds: 20,
  },
  {
    rule: "H3",
    does: "sends again what may have been handled",
    edits: [
      {
        file: "src/core/router.ts",
        line: "if (isFarewell)",
        bug: "if (isFarewell || true)",
      },
    ],
    by: ["I11"],
    request: { ...MOVING, faults: ["reset"], faultEveryMs: 300, operationEveryMs: 3 },
    seeds: 60,
  },
  {
    rule: "H3",
    does: "handles a message before an earlier one that was refused",
    edits: [
      {
        file: "src/core/reception.ts",
        line: "const isLate = ask.since <= (this.#refused.get(item.link)?.get(shard) ?? -1);",
        bug: "const isLate = false;",
      },
    ],
    by: ["H3"],
    request: { ...MOVING, faults: ["slow", "delay"], operationEveryMs: 1, durationMs: 10_000 },
    seeds: 200,
  },
  {
    rule: "H7",
    does: "serves under an entry that another peer wrote",
    edits: [
      {
        file: "src/core/hosting.ts",
        line: "record.token = isFresh ? token : this.#shards.confirm(shard);",
        bug: "record.token = token;",
      },
    ],
    by: ["I9"],
    request: { ...MOVING, faults: ["crash"], faultEveryMs: 1500 },
    seeds: 40,
  },
  {
    rule: "A9",
    does: "serves on at once after it was paused",
    edits: [
      { file: "src/core/service.ts", line: "this.#state.isStale = true;", bug: "" },
      { file: "src/core/service.ts", line: "this.#reception.work.isHeld = true;", bug: "" },
    ],
    by: ["A9"],
    request: { ...MOVING, faults: ["pause"], faultEveryMs: 2000, durationMs: 25_000 },
    seeds: 60,
  },
  {
    rule: "A5",
    does: "does not plan anew when members come and go",
    edits: [
      {
        file: "src/core/planner.ts",
        line: "this.wake();\n      this.#given.clear();",
        bug: "this.#given.clear();",
      },
    ],
    by: ["A5"],
    request: { peers: 4, shards: 12, faults: "none", workload: ["route"], startSpreadMs: 6000 },
    seeds: 5,
  },
];
