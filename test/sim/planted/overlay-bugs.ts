/**
 * Planted bugs of the overlay, and of push by arcs of it.
 */
import type { PlantedBug } from "./bug.ts";

const ARC = "src/core/arc.ts";
const OVERLAY = "src/core/overlay.ts";

/** A dozen peers are beyond a full mesh when they are told so. */
const SPARSE = { peers: 12, meshMax: 3, durationMs: 6000, delayMsMean: 1, diskMs: 0 } as const;

export const OVERLAY_BUGS: readonly PlantedBug[] = [
  {
    rule: "G1",
    does: "loses the part of an arc that lies before it",
    edits: [
      {
        file: ARC,
        line: "return [...share(right, links), ...share({ from: arc.from, until: self }, links)];",
        bug: "return share(right, links);",
      },
    ],
    by: ["G1"],
    request: { ...SPARSE, faults: "none", isCoreHealed: false },
    seeds: 10,
  },
  {
    rule: "G1",
    does: "does not divide its arc, but leaves all of it to the first link",
    edits: [
      {
        file: ARC,
        line: "return inside.map(({ link, at }, index) => {",
        bug: "return inside.slice(0, 1).map(({ link, at }, index) => {",
      },
    ],
    by: ["G1"],
    request: { ...SPARSE, faults: "none", isCoreHealed: false },
    seeds: 10,
  },
  {
    rule: "G1",
    does: "tells nobody what it was asked to pass on",
    edits: [
      {
        file: "src/core/gossip.ts",
        line: 'this.#takeDelta(link, message.maps, message.arc ?? "nobody");',
        bug: 'this.#takeDelta(link, message.maps, "nobody");',
      },
    ],
    by: ["G1"],
    request: { ...SPARSE, faults: "none", isCoreHealed: false },
    seeds: 10,
  },
  {
    rule: "G7",
    does: "has nobody stand in for a neighbour that it cannot link with",
    edits: [{ file: OVERLAY, line: "if (canLink(neighbour)) continue;", bug: "continue;" }],
    by: ["G7"],
    // Long enough for the links of the start, which lead everywhere, to be given up.
    request: { ...SPARSE, durationMs: 22_000, faults: "none", downing: "off", isCoreHealed: true },
    seeds: 60,
  },
];
