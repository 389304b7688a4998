/**
 * Planted bugs of eras, and of what one name is.
 */
import type { PlantedBug } from "./bug.ts";

const ERAS = "src/core/eras.ts";
const STANDING = "src/core/standing.ts";

/** Users release shards, peers are cut off for longer than an era, and some come back from a disk. */
const SHORT_ERAS: PlantedBug["request"] = {
  ...{ peers: 3, shards: 4, eraMs: 2500, durationMs: 40_000, diskMs: 0, isCoreHealed: false },
  ...{ operationEveryMs: 300, faultEveryMs: 5000 },
  workload: ["release"],
  downing: "majority",
};

export const ERA_BUGS: readonly PlantedBug[] = [
  {
    rule: "M5",
    does: "forgets deletions as soon as there is an era",
    edits: [
      {
        file: ERAS,
        line: "return time < cut && (value === undefined ||",
        bug: "return (cut > 0 || time < cut) && (value === undefined ||",
      },
    ],
    by: ["I1", "I6", "I17", "L1"],
    request: { ...SHORT_ERAS, faults: ["crash", "isolate"] },
    seeds: 20,
  },
  {
    rule: "M5",
    does: "does not begin again when it has missed eras",
    edits: [
      {
        file: ERAS,
        line: "return older.number + 1 === newer.number && compare(older.stamp, newer.previous) === 0;",
        bug: "return true;",
      },
    ],
    by: ["M5"],
    request: { ...SHORT_ERAS, faults: ["isolate", "dark"] },
    seeds: 30,
  },
  {
    rule: "M5",
    does: "keeps what is older than the cut",
    edits: [
      {
        file: ERAS,
        line: "const forgotten = state.collect(era.cut);",
        bug: "const forgotten = [];",
      },
    ],
    by: ["M5"],
    request: { ...SHORT_ERAS, durationMs: 60_000, faults: ["leave"] },
    seeds: 20,
  },
  {
    rule: "F7",
    does: "goes on when it meets another life of its name",
    edits: [
      {
        file: STANDING,
        line: "const isTheirs = remote.isHosting ?? false;",
        bug: "if (remote) return false;",
      },
      {
        file: STANDING,
        line: "return isTheirs === this.isHosting ? this.#isLaterThan(remote) : isTheirs;",
        bug: "return false;",
      },
      {
        file: STANDING,
        line: "if (remote.founding !== undefined || this.#isLaterThan(remote)) this.#stop(remote);",
        bug: "",
      },
      {
        file: STANDING,
        line: "if (!state.joined || this.#givesWayTo(answer)) {",
        bug: "if (this.#givesWayTo(answer)) {",
      },
    ],
    by: ["F7"],
    request: { peers: 3, durationMs: 45_000, diskMs: 0, faults: ["clone"], faultEveryMs: 4000 },
    seeds: 20,
  },
  {
    rule: "F9",
    does: "goes on with fewer members than its quorum",
    edits: [
      { file: "src/core/downing.ts", line: "if (here.length < quorum) return false;", bug: "" },
    ],
    by: ["F9"],
    request: {
      ...{ peers: 5, shards: 6, operationEveryMs: 200, durationMs: 30_000, diskMs: 0 },
      ...{ downing: "static-quorum=4", faults: ["partition"], faultEveryMs: 5000 },
    },
    seeds: 40,
  },
  {
    rule: "F9",
    does: "lets the oldest go on although it is alone",
    edits: [
      {
        file: "src/core/downing.ts",
        line: "return isHere ? here.length > 1 : here.length === counted.length - 1;",
        bug: "return isHere || here.length === counted.length - 1;",
      },
    ],
    by: ["F9"],
    request: {
      ...{ peers: 4, shards: 6, operationEveryMs: 200, durationMs: 60_000, diskMs: 0 },
      ...{ downing: "oldest", faults: ["isolate"], faultEveryMs: 5000 },
    },
    seeds: 60,
  },
];
