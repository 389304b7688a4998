/**
 * Planted bugs of the clock, the map, and what spreads entries.
 */
import { BUSY, type PlantedBug } from "./bug.ts";

const CLOCK = "src/core/clock.ts";
const GOSSIP = "src/core/gossip.ts";
const MAP = "src/core/lww-map.ts";
const PEER_STATE = "src/core/peer-state.ts";
const RECONCILIATION = "src/core/reconciliation.ts";

export const CLOCK_BUGS: readonly PlantedBug[] = [
  {
    rule: "C3",
    does: "does not push its clock on receive",
    edits: [{ file: CLOCK, line: "if (remote > this.#last) this.#last = remote;", bug: "" }],
    by: ["I1", "I5"],
    request: { ...BUSY, faults: ["skew"] },
    seeds: 20,
  },
  {
    rule: "C4",
    does: "takes entries from the far future",
    edits: [
      {
        file: CLOCK,
        line: "if (!(timestampMs(remote) - wallMs <= this.#maxDriftMs)) return false;",
        bug: "",
      },
    ],
    by: ["I4"],
    request: { peers: 3, durationMs: 15_000, faults: ["hostile"], faultEveryMs: 2000 },
    seeds: 40,
  },
  {
    rule: "C6",
    does: "forgets its clock when it restarts",
    edits: [
      {
        file: PEER_STATE,
        line: "new HybridClock({ maxDriftMs: 2 * options.timings.maxDriftMs, last })",
        bug: "new HybridClock({ maxDriftMs: 2 * options.timings.maxDriftMs })",
      },
    ],
    by: ["I2"],
    request: { peers: 3, durationMs: 20_000, faults: ["crash", "hour"], faultEveryMs: 2500 },
    seeds: 60,
  },
];

export const MAP_BUGS: readonly PlantedBug[] = [
  {
    rule: "M2",
    does: "keeps what it has when two times are equal",
    edits: [
      {
        file: MAP,
        line: "return compareText(entry.writer, this.#writers[slot] as string);",
        bug: "return entry.writer === this.#writers[slot] ? 0 : -1;",
      },
    ],
    by: ["G4", "L1"],
    request: { ...BUSY, shards: 1, operationEveryMs: 2, durationMs: 5000, faults: "none" },
    seeds: 200,
  },
  {
    rule: "M3",
    does: "takes an entry anew that it has",
    edits: [
      {
        file: MAP,
        line: "return compareBytes(challenger, canonicalBytes(held) as Uint8Array) > 0;",
        bug: "return true;",
      },
    ],
    by: ["I2"],
    request: { peers: 3, durationMs: 8000, faults: ["duplicate"] },
    seeds: 30,
  },
  {
    rule: "M4",
    does: "does not merge deletions",
    edits: [
      {
        file: MAP,
        line: "if (read !== undefined && this.#apply(read)",
        bug: "if (read?.value !== undefined && this.#apply(read)",
      },
    ],
    by: ["G4", "L1"],
    request: { ...BUSY, shards: 20, workload: ["release"], faults: ["reset"] },
    seeds: 20,
  },
  {
    rule: "M4",
    does: "lets an older write bring a deleted key back",
    edits: [
      {
        file: MAP,
        line: "const lead = entry.time - (this.#times[slot] as number);",
        bug: `if (this.#values[slot] === undefined && entry.value !== undefined) return 1;
              const lead = entry.time - (this.#times[slot] as number);`,
      },
    ],
    by: ["I1"],
    request: { ...BUSY, faults: ["delay", "partition"], faultEveryMs: 2000 },
    seeds: 40,
  },
];

export const GOSSIP_BUGS: readonly PlantedBug[] = [
  {
    rule: "G1",
    does: "tells others of what is not durable",
    edits: [
      {
        file: PEER_STATE,
        line: "return [all, ...pushes, ...replies];",
        bug: "return [...pushes, all, ...replies];",
      },
    ],
    by: ["G1"],
    request: { ...BUSY, diskMs: 8, faults: "none" },
    seeds: 10,
  },
  {
    rule: "I17",
    does: "acknowledges what is not durable",
    edits: [
      {
        file: PEER_STATE,
        line: "return [all, ...pushes, ...replies];",
        bug: "return [...replies, all, ...pushes];",
      },
    ],
    by: ["I17"],
    request: { ...BUSY, diskMs: 8, faults: ["torn"] },
    seeds: 10,
  },
  {
    rule: "G1",
    does: "passes on what its writer has told everybody",
    edits: [
      {
        file: GOSSIP,
        line: 'this.#takeDelta(link, message.maps, message.arc ?? "nobody");',
        bug: 'this.#takeDelta(link, message.maps, message.arc ?? "all");',
      },
    ],
    by: ["U2"],
    request: { peers: 5, durationMs: 5000, faults: "none" },
    seeds: 20,
  },
  {
    rule: "G2",
    does: "sends losers back",
    edits: [
      {
        file: GOSSIP,
        line: "state.won(state.replica.merge(admitted), audience, link.id);",
        bug: `const won = state.replica.merge(admitted);
              state.won(won, audience, link.id);
              if (won.length === 0 && state.joined) state.send(link, { type: "delta", maps });`,
      },
    ],
    by: ["U1"],
    request: {
      peers: 2,
      durationMs: 6000,
      delayMsMean: 90,
      operationEveryMs: 100,
      duplicateProbability: 0.5,
      faults: ["duplicate"],
    },
    seeds: 40,
  },
  {
    rule: "G3",
    does: "does not synchronise now and then",
    edits: [{ file: GOSSIP, line: "if (neighbour !== undefined)", bug: "if (false)" }],
    by: ["L3"],
    request: {
      peers: 6,
      durationMs: 8000,
      operationEveryMs: 100,
      faults: ["oneway"],
      isCoreHealed: true,
    },
    seeds: 120,
  },
  {
    rule: "G3",
    does: "compares replicas by the number of their entries",
    edits: [
      {
        file: RECONCILIATION,
        line: "if (isSameSet(summary, head.summary)) {",
        bug: "if (sketch.idCount === head.entryCount) {",
      },
    ],
    by: ["G4", "L1"],
    request: {
      ...BUSY,
      shards: 20,
      operationEveryMs: 100,
      faults: ["partition"],
      faultEveryMs: 3000,
    },
    seeds: 50,
  },
  {
    rule: "G4",
    does: "does not send what an exchange asked for",
    edits: [
      {
        file: RECONCILIATION,
        line: 'replies: [...repairs, { type: "done", exchange }]',
        bug: 'replies: [{ type: "done", exchange }]',
      },
    ],
    by: ["G4"],
    request: { peers: 3, durationMs: 30_000, faults: ["wipe"], faultEveryMs: 5000 },
    seeds: 40,
  },
  {
    rule: "G4",
    does: "does not send what only it has when it ends an exchange",
    edits: [
      {
        file: RECONCILIATION,
        line: 'replies: [...repairs, { type: "want", exchange, ids: want }]',
        bug: 'replies: [{ type: "want", exchange, ids: want }]',
      },
    ],
    by: ["G4"],
    request: { peers: 3, durationMs: 30_000, faults: ["wipe"], faultEveryMs: 5000 },
    seeds: 50,
  },
  {
    rule: "G4",
    does: "leaves the last map out of a repair",
    edits: [
      {
        file: RECONCILIATION,
        line: "splitEntries(maps, FRAME_BYTES_TARGET)",
        bug: "splitEntries(maps.slice(0, -1), FRAME_BYTES_TARGET)",
      },
    ],
    by: ["G4", "L1"],
    request: {
      ...BUSY,
      shards: 20,
      operationEveryMs: 100,
      faults: ["partition"],
      faultEveryMs: 3000,
    },
    seeds: 30,
  },
  {
    rule: "G7",
    does: "keeps both links of a pair",
    edits: [
      {
        file: "src/core/connections.ts",
        line: 'for (const loser of state.links.add(link)) this.#close(loser, "DUPLICATE");',
        bug: "for (const loser of state.links.add(link)) loser.isClosing = false;",
      },
    ],
    by: ["G7"],
    request: {
      peers: 4,
      durationMs: 8000,
      delayMsMean: 60,
      faults: ["reset"],
      isCoreHealed: false,
    },
    seeds: 10,
  },
];
