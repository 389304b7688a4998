import fc from "fast-check";
import { expect, test } from "vitest";
import {
  FAULT_KINDS,
  type FaultKind,
  isStanding,
  type RunRequest,
  type StrikeKind,
} from "../../sim/options.ts";
import { createSimulation } from "../../sim/simulation.ts";
import type { Operation } from "../../sim/workload.ts";
import type { Downing } from "../../src/core/downing.ts";

const PEERS_MAX = 5;
const SHARDS_MAX = 6;
const DURATION_MS_MAX = 12_000;
/** Most runs are founded by then, so that what is planned finds something to disturb. */
const FOUNDED_MS = 3000;

const isStrike = (kind: FaultKind): kind is StrikeKind => !isStanding(kind);

/** Small worlds with nothing drawn in them but the ways of the network. */
const worlds = fc.record({
  seed: fc.nat(0xffff),
  peers: fc.integer({ min: 1, max: PEERS_MAX }),
  shards: fc.integer({ min: 1, max: SHARDS_MAX }),
  durationMs: fc.integer({ min: FOUNDED_MS, max: DURATION_MS_MAX }),
  faults: fc.subarray(FAULT_KINDS.filter(isStanding)),
  workload: fc.constant([]),
  downing: fc.constantFrom<Downing[]>("majority", "off", "oldest", "static-quorum=2"),
  eraMs: fc.constantFrom(8000, 86_400_000),
  diskMs: fc.constantFrom(0, 0.3, 8),
  startSpreadMs: fc.constantFrom(0, 50, 6000),
  isCoreHealed: fc.boolean(),
  hosts: fc.boolean(),
});

/** One peer is no quorum of two. */
const requests: fc.Arbitrary<RunRequest> = worlds.map((world) =>
  world.peers === 1 && world.downing === "static-quorum=2"
    ? { ...world, downing: "majority" as const }
    : world,
);

const atMs = fc.integer({ min: 0, max: DURATION_MS_MAX });
// More than some runs have; what such a run does not have is left out. A region may be unknown.
const shard = fc.nat(SHARDS_MAX - 1).map((number) => `shard-${number}`);
const region = fc.nat(PEERS_MAX - 1).map((number) => `peer-${number}`);

const operations = fc.array(
  fc.record({
    atMs,
    peer: fc.nat(PEERS_MAX - 1),
    operation: fc.oneof(
      fc.record({ type: fc.constant("allocate" as const), shard, region }),
      fc.record({ type: fc.constant("release" as const), shard }),
      fc.record({ type: fc.constant("route" as const), document: fc.string() }),
    ) satisfies fc.Arbitrary<Operation>,
  }),
  { maxLength: 20 },
);

const strikes = fc.array(
  fc.record({ atMs, kind: fc.constantFrom(...FAULT_KINDS.filter(isStrike)) }),
  {
    maxLength: 8,
  },
);

test("[G9, L1, L3] nothing breaks, whatever is asked for and whatever strikes at which moment", () => {
  fc.assert(
    fc.property(requests, operations, strikes, (request, asked, struck) => {
      const simulation = createSimulation(request);
      const { durationMs, shards } = simulation.options;
      for (const { atMs, peer, operation } of asked) {
        const isKnown = !("shard" in operation) || Number(operation.shard.slice(6)) < shards;
        if (isKnown && atMs < durationMs) simulation.planOperation(atMs, peer, operation);
      }
      for (const { atMs, kind } of struck) {
        if (atMs < durationMs) simulation.planFault(atMs, kind);
      }
      expect(simulation.run().violations).toEqual([]);
    }),
    { numRuns: 40, seed: 1 },
  );
});

test("an operation that is planned is done at its moment and at its peer", () => {
  const simulation = createSimulation({
    ...{ seed: 1, peers: 2, shards: 2, faults: "none", workload: [], durationMs: 8000 },
    ...{ isCoreHealed: false, delayMsMean: 1, diskMs: 0, startSpreadMs: 0 },
  });
  const operation = { type: "allocate", shard: "shard-1", region: "peer-1" } as const;
  simulation.planOperation(6000, 0, operation);
  simulation.planFault(7000, "pause");
  const { course, operations: done, passed } = simulation.run();
  expect(passed).toBe(true);
  expect(done).toBe(1);
  expect(course.strikes).toEqual([{ atMs: 7000, kind: "pause" }]);
  const writes = course.history.filter(
    ({ atMs, peer, text }) =>
      atMs === 6000 && peer === "peer-0" && text.startsWith("sees shard-1 at peer-1"),
  );
  expect(writes).toHaveLength(1);
});
