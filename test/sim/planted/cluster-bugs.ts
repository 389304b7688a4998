/**
 * Planted bugs of membership and allocation.
 */
import { BUSY, type PlantedBug } from "./bug.ts";

const FOUNDING = "src/core/founding.ts";
const PEER_STATE = "src/core/peer-state.ts";
const STANDING = "src/core/standing.ts";

export const MEMBERSHIP_BUGS: readonly PlantedBug[] = [
  {
    rule: "F1",
    does: "does not refute a verdict about itself",
    edits: [
      { file: STANDING, line: 'if (self.status !== "alive" || !isTrue)', bug: "if (!isTrue)" },
    ],
    by: ["L1"],
    request: { peers: 3, durationMs: 15_000, faults: ["partition"], isCoreHealed: false },
    seeds: 20,
  },
  {
    rule: "F1",
    does: "holds a verdict about an earlier row against a member",
    edits: [
      { file: "src/core/membership.ts", line: "if (!isAbout(verdict, stamp)) continue;", bug: "" },
    ],
    by: ["L1"],
    request: {
      peers: 2,
      delayMsMean: 90,
      durationMs: 12_000,
      faults: ["isolate"],
      isCoreHealed: false,
    },
    seeds: 80,
  },
  {
    rule: "F2",
    does: "blames others for its own lateness",
    edits: [
      {
        file: "src/core/machine.ts",
        line: "if (lateMs > this.#pulseMs) this.#surveillance.forgive(lateMs);",
        bug: "",
      },
    ],
    by: ["F2"],
    request: { peers: 3, durationMs: 15_000, diskMs: 0, faults: ["pause"], faultEveryMs: 3000 },
    seeds: 20,
  },
  {
    rule: "F5",
    does: "is as impatient as before with a member that it accused wrongly",
    edits: [
      {
        file: "src/core/liveness.ts",
        line: "Math.min(2 * worn(watch, now),",
        bug: "Math.min(worn(watch, now),",
      },
    ],
    by: ["F5"],
    request: { peers: 4, durationMs: 30_000, diskMs: 0, faults: ["clog"], faultEveryMs: 2000 },
    seeds: 10,
  },
  {
    rule: "F2",
    does: "is as impatient as ever after it was late itself",
    edits: [
      {
        file: "src/core/surveillance.ts",
        line: "return health.multiplier(now) * liveness.patience(name, now);",
        bug: "return liveness.patience(name, now);",
      },
    ],
    by: ["F2"],
    request: {
      ...{ peers: 4, durationMs: 30_000, diskMs: 0, faultEveryMs: 1500 },
      faults: ["pause", "dark", "isolate"],
    },
    seeds: 60,
  },
  {
    rule: "F3",
    does: "suspects whom it does not hear without asking others",
    edits: [
      {
        file: "src/core/inquiries.ts",
        line: "while (witnesses.length < WITNESSES_MAX && others.length > 0)",
        bug: "while (witnesses.length < 0)",
      },
    ],
    by: ["F3"],
    request: { peers: 4, durationMs: 20_000, diskMs: 0, faults: ["oneway"], faultEveryMs: 2000 },
    seeds: 10,
  },
  {
    rule: "F3",
    does: "suspects somebody although another one says that it hears it",
    edits: [
      {
        file: "src/core/inquiries.ts",
        line: "own.isHeardElsewhere = true;",
        bug: "own.denials += 1;",
      },
    ],
    by: ["F3"],
    request: { peers: 4, durationMs: 20_000, diskMs: 0, faults: ["oneway"], faultEveryMs: 2000 },
    seeds: 10,
  },
  {
    rule: "F4",
    does: "never calls a suspect dead",
    edits: [
      {
        file: "src/core/liveness.ts",
        line: "if (watch.suspectedAt === undefined || now - watch.suspectedAt < suspicionMs) return undefined;",
        bug: "if (watch) return undefined;",
      },
    ],
    by: ["L8"],
    request: { peers: 4, durationMs: 60_000, faults: ["dark"], faultEveryMs: 4000 },
    seeds: 20,
  },
  {
    rule: "F5",
    does: "takes a network that rejects for the death of all behind it",
    edits: [
      {
        file: "src/core/inquests.ts",
        line: "if (near.length <= 2) return true;",
        bug: "return true;",
      },
    ],
    by: ["F5"],
    request: {
      ...{ peers: 5, durationMs: 20_000, diskMs: 0, downing: "majority" },
      ...{ faults: ["reject"], faultEveryMs: 5000 },
    },
    seeds: 20,
  },
  {
    rule: "S8",
    does: "leaves a row that another life of its name seems to have written",
    edits: [{ file: STANDING, line: 'this.#writeRow("alive"); // [S8]', bug: "" }],
    by: ["S8", "L1"],
    request: {
      peers: 3,
      durationMs: 12_000,
      faults: ["hostile"],
      faultEveryMs: 1000,
      isCoreHealed: false,
    },
    seeds: 30,
  },
  {
    rule: "S8",
    does: "leaves a row that it seems to have written itself",
    edits: [
      {
        file: STANDING,
        line: 'const isTrue = isSameRow(self.row, this.#row("alive")) && self.row.status === "alive";',
        bug: "const isTrue = true;",
      },
    ],
    by: ["S8"],
    request: {
      peers: 3,
      durationMs: 12_000,
      faults: ["hostile"],
      faultEveryMs: 1000,
      isCoreHealed: false,
    },
    seeds: 50,
  },
  {
    rule: "S8",
    does: "takes rows of a member from anybody",
    edits: [
      {
        file: "src/wire/entries.ts",
        line: "return Array.isArray(entry.value) && entry.value[authorIndex] === entry.writer;",
        bug: "return true;",
      },
    ],
    by: ["I15"],
    request: { peers: 3, durationMs: 12_000, faults: ["hostile"], faultEveryMs: 1000 },
    seeds: 20,
  },
  {
    rule: "I16",
    does: "does not ask to which cluster a peer belongs",
    edits: [
      {
        file: "src/wire/handshake.ts",
        line: "if (cluster !== own.cluster) {",
        bug: "if (false) {",
      },
    ],
    by: ["I16"],
    request: { peers: 3, durationMs: 10_000, faults: ["stranger"], faultEveryMs: 2000 },
    seeds: 10,
  },
];

export const ALLOCATION_BUGS: readonly PlantedBug[] = [
  {
    rule: "A0",
    does: "founds without waiting",
    edits: [
      {
        file: FOUNDING,
        line: "if (now - this.#companySince < foundAfterMs) return undefined;",
        bug: "",
      },
    ],
    by: ["A0"],
    request: { peers: 3, durationMs: 5000, faults: "none" },
    seeds: 10,
  },
  {
    rule: "A0",
    does: "founds although a lower name is there",
    edits: [
      {
        file: FOUNDING,
        line: 'if (lower === 0) return "lowest";',
        bug: 'if (lower >= 0) return "lowest";',
      },
    ],
    by: ["A0"],
    request: { peers: 3, durationMs: 5000, faults: "none" },
    seeds: 30,
  },
  {
    rule: "A2",
    does: "does not claim a shard that was released",
    edits: [
      {
        file: PEER_STATE,
        line: "if (region === undefined) this.orphaned = true;",
        bug: "if (region === undefined) return;",
      },
    ],
    by: ["L1"],
    request: { ...BUSY, shards: 20, workload: ["release"], faults: "none" },
    seeds: 40,
  },
  {
    rule: "A3",
    does: "takes shards from regions that live",
    edits: [
      {
        file: "src/core/planner.ts",
        line: "return member === undefined ? !isSettled : !member.removed;",
        bug: "return member === undefined ? !isSettled : false;",
      },
    ],
    by: ["A3"],
    request: { peers: 3, durationMs: 8000, diskMs: 0, faults: ["crash"] },
    seeds: 40,
  },
  {
    rule: "A2",
    does: "gives shards away while it is not clear who lives",
    edits: [{ file: "src/core/planner.ts", line: "if (isUnclear) return true;", bug: "" }],
    by: ["A2"],
    request: { peers: 4, durationMs: 20_000, diskMs: 0, faults: ["isolate", "crash"] },
    seeds: 40,
  },
  {
    rule: "L4",
    does: "rounds down who holds most, and bounds no back and forth",
    edits: [
      {
        file: "src/core/allocation.ts",
        line: "Number(b.keeps) - Number(a.keeps) ||",
        bug: "Number(a.keeps) - Number(b.keeps) ||",
      },
      {
        file: "src/core/planner.ts",
        line: "(this.#given.get(shard) ?? 0) >= GIVES_MAX)",
        bug: "(this.#given.get(shard) ?? 0) < 0)",
      },
    ],
    by: ["L4"],
    request: {
      ...{ peers: 2, shards: 3, durationMs: 20_000, diskMs: 0, faults: "none" },
      ...{ workload: [], isCoreHealed: false },
    },
    seeds: 5,
  },
  {
    rule: "F9",
    does: "goes on without a majority",
    edits: [
      {
        file: "src/core/downing.ts",
        line: 'if (downing === "off") return true;',
        bug: "if (downing) return true;",
      },
    ],
    by: ["F9"],
    request: {
      ...{ peers: 4, shards: 4, operationEveryMs: 100, durationMs: 25_000, diskMs: 0 },
      ...{ downing: "majority", faults: ["isolate"], faultEveryMs: 6000 },
    },
    seeds: 40,
  },
  {
    rule: "A3",
    does: "does not claim the shards of the dead",
    edits: [
      {
        file: "src/core/planner.ts",
        line: "else if (to === name)",
        bug: "else if (to === name && from === undefined)",
      },
    ],
    by: ["L3"],
    request: { peers: 4, durationMs: 8000, faults: ["crash"], isCoreHealed: true },
    seeds: 40,
  },
];
