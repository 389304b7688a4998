/**
 * Planted bugs of documents and of the items that they are.
 */
import type { PlantedBug } from "./bug.ts";

/** Few peers that edit a few documents all the time, while these move. */
const EDITING = {
  peers: 3,
  shards: 3,
  hosts: true,
  workload: ["documents", "allocate", "route", "ask"],
  operationEveryMs: 20,
  durationMs: 15_000,
  isCoreHealed: false,
} as const;

export const DOCUMENT_BUGS: readonly PlantedBug[] = [
  {
    rule: "Y6",
    does: "puts its own in the place of a copy without looking what is in it",
    edits: [
      {
        file: "src/items/leading.ts",
        line: "if (own === undefined || !isBeginning(version, own)) follower.wanted.add(item);",
        bug: "if (own === undefined) follower.wanted.add(item);",
      },
    ],
    by: ["I14"],
    request: { ...EDITING, downing: "off", faults: ["partition", "isolate"], faultEveryMs: 2500 },
    seeds: 60,
  },
  {
    rule: "Y2",
    does: "forgets what its clients have edited when a document moves to its own region",
    edits: [
      {
        file: "src/documents/room.ts",
        line: "if (own !== undefined) applyUpdate(doc, own, ELSEWHERE);",
        bug: "",
      },
    ],
    by: ["I14"],
    request: { ...EDITING, faults: ["crash", "isolate"], faultEveryMs: 1500 },
    seeds: 60,
  },
  {
    rule: "Y5",
    does: "serves before it has heard what others have kept, and never asks them later",
    edits: [
      {
        file: "src/items/leading.ts",
        line: "if (!offer.isLast) return;",
        bug: "if (!offer.isLast || this.isReady) return;",
      },
    ],
    by: ["I14"],
    request: { ...EDITING, faults: ["partition", "isolate", "reset"], faultEveryMs: 1500 },
    seeds: 60,
  },
];
