import fc from "fast-check";
import { expect, test } from "vitest";
import { type Move, type PlanView, planMoves, tryPlan } from "../../src/core/allocation.ts";
import { rendezvousOwner } from "../../src/core/rendezvous.ts";
import type { Strategy } from "../../src/core/strategy.ts";

const names = (count: number): string[] =>
  Array.from({ length: count }, (_, number) => `region-${number}`);

/** Alive regions and shards that nobody holds yet. */
function emptyView(regions: readonly string[], shardCount: number): PlanView {
  return {
    regions: regions.map((name) => ({ name, alive: true })),
    shards: Array.from({ length: shardCount }, (_, number) => `shard-${number}`),
    allocations: [],
  };
}

/** The view after all of the moves. */
function afterMoves(view: PlanView, moves: readonly Move[]): PlanView {
  const regions = new Map(view.allocations.map(({ shard, region }) => [shard, region]));
  for (const { shard, to } of moves) regions.set(shard, to);
  const allocations = [...regions].map(([shard, region]) => ({
    ...{ shard, region, token: 1, writer: "w" },
  }));
  return { ...view, allocations };
}

const regionsOf = ({ allocations }: PlanView): Map<string, string> =>
  new Map(allocations.map(({ shard, region }) => [shard, region]));

const HASHING = ["rendezvous", "ring"] as const;

test.each(HASHING)(
  "[A4] by %s a region that comes takes shards, and no other gets any",
  (strategy) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), (count) => {
        const view = emptyView(names(count), 64);
        const before = afterMoves(view, planMoves(view, { strategy }));
        const more = { ...before, regions: emptyView(names(count + 1), 0).regions };
        const moves = planMoves(more, { strategy });
        for (const { to } of moves) expect(to).toBe(`region-${count}`);
        expect(planMoves(afterMoves(more, moves), { strategy })).toEqual([]);
        // When it goes, its shards go back to where they were.
        const gone = planMoves({ ...afterMoves(more, moves), regions: view.regions }, { strategy });
        const after = afterMoves(
          { ...before, allocations: afterMoves(more, moves).allocations },
          gone,
        );
        expect(regionsOf(after)).toEqual(regionsOf(before));
      }),
    );
  },
);

test("[A4] by rendezvous a shard is where anybody who knows the regions says", () => {
  const view = emptyView(names(7), 500);
  for (const { shard, to } of planMoves(view, { strategy: "rendezvous" })) {
    expect(to).toBe(rendezvousOwner(shard, names(7)));
  }
});

test.each(HASHING)("[A4] by %s a region of three times the weight gets about that", (strategy) => {
  const view = emptyView([], 4000);
  const regions = [
    { name: "a", alive: true, weight: 3 },
    { name: "b", alive: true, weight: 1 },
    { name: "none", alive: true, weight: 0 },
    { name: "less", alive: true, weight: -1 },
  ];
  const moves = planMoves({ ...view, regions }, { strategy });
  const shareOf = (name: string) => moves.filter(({ to }) => to === name).length / moves.length;
  expect(Math.abs(shareOf("a") - 0.75)).toBeLessThan(0.08);
  expect(shareOf("none") + shareOf("less")).toBe(0);
});

test("[A4] a pin comes before any strategy, and one to no living region does not count", () => {
  const view = emptyView(["a", "b"], 20);
  const pins = [
    { shard: "shard-0", region: "b" },
    { shard: "shard-1", region: "dead" },
  ];
  const toA: Strategy = ({ shards }) => shards.map((shard) => [shard, "a"] as const);
  const placed = regionsOf(afterMoves(view, planMoves({ ...view, pins }, { strategy: toA })));
  expect(placed.get("shard-0")).toBe("b");
  expect(placed.get("shard-1")).toBe("a");
});

test("[A4] by pins alone nothing moves but what is pinned, drains, or has nobody", () => {
  const view = afterMoves(emptyView(["a", "b", "c"], 6), [
    ...["0", "1", "2", "3"].map((number) => ({ shard: `shard-${number}`, to: "a" })),
    { shard: "shard-4", to: "b" },
  ]);
  const pins = [{ shard: "shard-0", region: "c" }];
  expect(planMoves(view, { strategy: "pinned" })).toEqual([{ shard: "shard-5", to: "c" }]);
  expect(planMoves({ ...view, pins }, { strategy: "pinned" })).toContainEqual({
    ...{ shard: "shard-0", from: "a", to: "c" },
  });
  const regions = view.regions.map((each) => ({ ...each, draining: each.name === "b" }));
  expect(planMoves({ ...view, regions }, { strategy: "pinned" })).toContainEqual(
    expect.objectContaining({ shard: "shard-4", from: "b" }),
  );
});

test("[A4] a function sees only regions that take shards, in order, and cannot change them", () => {
  const view = emptyView(["b", "a"], 3);
  const regions = [
    ...view.regions,
    { name: "drains", alive: true, draining: true },
    { name: "dead", alive: false },
  ];
  const strategy: Strategy = (shown) => {
    expect(shown.regions.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(shown.shards).toEqual(["shard-0", "shard-1", "shard-2"]);
    for (const part of [shown, shown.regions, shown.regions[0], shown.shards, shown.allocations]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    return [["shard-1", "b"]];
  };
  const moves = planMoves({ ...view, regions }, { strategy });
  expect(moves).toContainEqual({ shard: "shard-1", to: "b" });
  expect(moves).toHaveLength(3); // What it leaves open is balanced.
});

test("[A4] a strategy that answers nonsense makes no plan, and is said to", () => {
  const view = emptyView(["a", "b"], 3);
  const endless = function* (): Generator<readonly [string, string]> {
    for (let number = 0; ; number += 1) yield [`shard-${number % 3}`, "a"];
  };
  const nonsense: unknown[] = [
    () => {
      throw new Error("No tenants");
    },
    ...[undefined, null, 7, {}, [7], [null], [["shard-0"]], [["shard-0", 7]], "ab"].map(
      (answer) => () => answer,
    ),
    () => [["shard-9", "a"]],
    () => [["shard-0", "nobody"]],
    () => [
      ["shard-0", "a"],
      ["shard-0", "b"],
    ],
    endless,
    async () => [["shard-0", "a"]],
  ];
  for (const strategy of nonsense) {
    expect(() => planMoves(view, { strategy: strategy as Strategy })).toThrow(RangeError);
    expect(tryPlan(view, { strategy: strategy as Strategy })).toMatchObject({ ok: false });
  }
});
