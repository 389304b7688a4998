import fc from "fast-check";
import { expect, test } from "vitest";
import type { Checker, Report } from "../../sim/checker.ts";
import {
  drawOptions,
  FAULT_KINDS,
  type FaultKind,
  type RunOptions,
  type RunRequest,
  WORKLOAD_KINDS,
} from "../../sim/options.ts";
import { Shrinker, shrink } from "../../sim/shrink.ts";
import { createSimulation } from "../../sim/simulation.ts";

/** Everything at once: the search has most to take away. */
const LARGE: RunRequest = {
  ...{ seed: 1, peers: 7, shards: 24, durationMs: 60_000, faults: FAULT_KINDS },
  ...{ isCoreHealed: true, diskMs: 8, startSpreadMs: 6000, operationEveryMs: 100 },
  workload: WORKLOAD_KINDS,
};

/** Shrinks with an artificial failure; returns what is left of it, and what was tried. */
function shrunk(fails: (options: RunOptions) => boolean, triesMax?: number) {
  const tried: RunOptions[] = [];
  const judge = (request: RunRequest): boolean => {
    const options = drawOptions(request);
    tried.push(options);
    return fails(options);
  };
  const { request, tries } = shrink(LARGE, judge, triesMax);
  return { options: drawOptions(request), tries, tried };
}

test("one kind of fault among all is found in few tries", () => {
  for (const culprit of FAULT_KINDS) {
    const { options, tried } = shrunk(({ faults }) => faults.includes(culprit));
    expect(options.faults).toEqual([culprit]);
    const needed = tried.findIndex(({ faults }) => faults.join() === culprit) + 1;
    expect(needed).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(FAULT_KINDS.length)) + 1);
  }
});

test("of several kinds that only fail together, exactly these are left", () => {
  fc.assert(
    fc.property(fc.subarray(FAULT_KINDS, { maxLength: 5 }), (culprits: FaultKind[]) => {
      const { options } = shrunk(({ faults }) => culprits.every((kind) => faults.includes(kind)));
      expect(options.faults).toEqual(culprits);
    }),
    { numRuns: 50 },
  );
});

test("peers, shards, time and calls become as few as still fail", () => {
  const { options } = shrunk(
    ({ peers, shards, durationMs, operationEveryMs, workload }) =>
      peers >= 4 &&
      shards >= 11 &&
      durationMs >= 7100 &&
      operationEveryMs <= 900 &&
      workload.includes("release"),
  );
  expect(options).toMatchObject({
    ...{ peers: 4, shards: 11, durationMs: 7250, faults: [], workload: ["release"] },
    operationEveryMs: 800,
  });
});

test("a failure that needs nothing is left with nothing", () => {
  const { options } = shrunk(() => true);
  expect(options).toMatchObject({
    ...{ faults: [], workload: [], peers: 2, shards: 1, durationMs: 250, isCoreHealed: false },
    ...{ diskMs: 0, startSpreadMs: 0, lossProbability: 0, duplicateProbability: 0, delayMsMean: 1 },
  });
});

test("a network is calm again once what made it otherwise is taken away", () => {
  const { options } = shrunk(({ faults }) => faults.includes("crash"));
  expect(options).toMatchObject({ lossProbability: 0, duplicateProbability: 0, bytesPerMs: 1e5 });
});

test("a failure that nothing smaller shows stays as it was", () => {
  const first = drawOptions(LARGE);
  const { options } = shrunk((tried) => JSON.stringify(tried) === JSON.stringify(first));
  expect(options).toEqual(first);
});

test("the search ends, tries nothing twice, and keeps to its number of tries", () => {
  const fails = ({ peers, faults }: RunOptions) => peers > 2 || faults.length % 3 === 1;
  const { tried, tries } = shrunk(fails);
  expect(tries).toBe(tried.length);
  const passed = tried.filter((options) => !fails(options)).map((one) => JSON.stringify(one));
  expect(new Set(passed).size).toBe(passed.length);
  expect(shrunk(fails, 5).tries).toBe(5);
});

test("what is not tried is not what is left", () => {
  const shrinker = new Shrinker(drawOptions(LARGE), 10);
  shrinker.next();
  expect(shrinker.smallest).toEqual(drawOptions(LARGE));
});

test("a planted failure of real runs is shrunk to the fault that it needs", () => {
  const planted = (report: Report): Checker[] => [
    {
      changed: (peer, change) => {
        if (change.type === "member" && change.status === "dead") {
          report("I1", `${peer.name} sees ${change.name} dead`);
        }
      },
    },
  ];
  const fails = (request: RunRequest): boolean =>
    createSimulation(request, planted)
      .run()
      .violations.some(({ rule }) => rule === "I1");
  const kinds: FaultKind[] = ["duplicate", "reset", "crash", "skew", "stranger"];
  const large: RunRequest = {
    ...{ seed: 5, peers: 5, shards: 12, durationMs: 30_000, faults: kinds, faultEveryMs: 8000 },
  };
  expect(fails(large)).toBe(true);
  const { request, tries } = shrink(large, fails);
  expect(fails(request)).toBe(true);
  const options = drawOptions(request);
  expect(options).toMatchObject({ peers: 2, shards: 1, faults: ["crash"], workload: [] });
  expect(options.durationMs).toBeLessThan(30_000);
  expect(tries).toBeLessThan(60);
});
