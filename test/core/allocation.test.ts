import fc from "fast-check";
import { expect, test } from "vitest";
import { type Move, type PlanRegion, type PlanView, planMoves } from "../../src/core/allocation.ts";
import type { Allocation } from "../../src/core/effect.ts";

const allocation = (shard: string, region: string): Allocation => ({
  shard,
  region,
  token: 1,
  writer: "w",
});

/** A view of alive regions and of what each holds, as `{ a: "s1 s2", b: "" }`. */
function viewOf(held: Readonly<Record<string, string>>, more: Partial<PlanView> = {}): PlanView {
  const allocations = Object.entries(held).flatMap(([region, shards]) =>
    shards
      .split(" ")
      .filter(Boolean)
      .map((shard) => allocation(shard, region)),
  );
  return {
    regions: Object.keys(held).map((name) => ({ name, alive: true })),
    shards: allocations.map(({ shard }) => shard),
    allocations,
    ...more,
  };
}

const numbered = (count: number, prefix: string): string[] =>
  Array.from({ length: count }, (_, number) => `${prefix}${number}`);

/** The view after all of the moves. */
function afterMoves(view: PlanView, moves: readonly Move[]): PlanView {
  const regions = new Map(view.allocations.map(({ shard, region }) => [shard, region]));
  for (const { shard, to } of moves) regions.set(shard, to);
  return { ...view, allocations: [...regions].map(([shard, region]) => allocation(shard, region)) };
}

/** How many registered shards each alive region holds. */
function loadsOf(view: PlanView): Map<string, number> {
  const loads = new Map(view.regions.filter(({ alive }) => alive).map(({ name }) => [name, 0]));
  for (const { shard, region } of view.allocations) {
    const load = loads.get(region);
    if (load !== undefined && view.shards.includes(shard)) loads.set(region, load + 1);
  }
  return loads;
}

/** The regions that shards should be in: those that drain only if nobody else lives. */
function takersOf({ regions }: PlanView): PlanRegion[] {
  const alive = regions.filter((region) => region.alive);
  const staying = alive.filter(({ draining }) => !draining);
  return staying.length > 0 ? staying : alive;
}

const NAMES = ["a", "b", "c", "d", "e"] as const;
const SHARDS = numbered(12, "s");
const region = (weight: fc.Arbitrary<number>): fc.Arbitrary<PlanRegion> =>
  fc.record({
    name: fc.constantFrom(...NAMES),
    alive: fc.boolean(),
    draining: fc.integer({ min: 0, max: 3 }).map((one) => one === 0),
    weight,
  });

/** Any view: dead, draining and unknown regions, unregistered shards, pins to all of them. */
const viewsOf = (weight: fc.Arbitrary<number>): fc.Arbitrary<PlanView> => {
  const place = fc.record({
    shard: fc.constantFrom(...SHARDS, "unregistered"),
    region: fc.constantFrom(...NAMES, "unknown"),
  });
  const places = (maxLength: number) =>
    fc.uniqueArray(place, { selector: ({ shard }) => shard, maxLength });
  return fc.record({
    regions: fc.uniqueArray(region(weight), { selector: ({ name }) => name }),
    shards: fc.subarray(SHARDS),
    allocations: places(13).map((all) =>
      all.map(({ shard, region: name }) => allocation(shard, name)),
    ),
    pins: fc.oneof(fc.constant([]), places(4)),
  });
};
const anyWeight = fc.constantFrom(1, 1, 2, 3, 0.1, 0.3, 0, -1, Number.NaN, Number.MAX_VALUE);
const anyView = viewsOf(anyWeight);

test("[A2] every registered shard gets an alive region as soon as there is one", () => {
  fc.assert(
    fc.property(anyView, (view) => {
      const moves = planMoves(view);
      const takers = new Set(takersOf(view).map(({ name }) => name));
      const placed = new Map(
        afterMoves(view, moves).allocations.map(({ shard, region: name }) => [shard, name]),
      );
      if (takers.size === 0) expect(moves).toEqual([]);
      else for (const shard of view.shards) expect(takers).toContain(placed.get(shard));
    }),
  );
});

test("[A2] nothing moves while no region is alive", () => {
  const regions = [{ name: "a", alive: false }];
  expect(planMoves(viewOf({ a: "s1 s2" }, { regions }))).toEqual([]);
  expect(planMoves(viewOf({ a: "s1 s2" }, { regions: [] }))).toEqual([]);
});

test("[A2] a region that drains gives all away, unless nobody else could take it", () => {
  const draining = (name: string) => ({ name, alive: true, draining: true });
  const held = { a: "s1 s2", b: "s3" };
  expect(planMoves(viewOf(held, { regions: [draining("a"), { name: "b", alive: true }] }))).toEqual(
    [
      { shard: "s2", from: "a", to: "b" },
      { shard: "s1", from: "a", to: "b" },
    ],
  );
  expect(planMoves(viewOf(held, { regions: [draining("a"), draining("b")] }))).toEqual([]);
});

test("[A2] if all that live drain, they still take what nobody holds", () => {
  const view = viewOf(
    { a: "s1 s2 s3", b: "", c: "s4" },
    {
      regions: [
        { name: "a", alive: true, draining: true },
        { name: "b", alive: true, draining: true },
        { name: "c", alive: false },
      ],
    },
  );
  expect(planMoves(view)).toEqual([{ shard: "s4", from: "c", to: "b" }]);
});

test("[A3] each shard moves once at most, from where it is to elsewhere", () => {
  fc.assert(
    fc.property(anyView, (view) => {
      const moves = planMoves(view);
      const places = new Map(view.allocations.map(({ shard, region: name }) => [shard, name]));
      expect(new Set(moves.map(({ shard }) => shard)).size).toBe(moves.length);
      for (const move of moves) {
        expect(view.shards).toContain(move.shard);
        expect(move.from).toBe(places.get(move.shard));
        expect("from" in move).toBe(places.has(move.shard));
        expect(move.to).not.toBe(move.from);
      }
    }),
  );
});

test("[A3] the plan does not depend on the order of what the view lists", () => {
  const shuffled = <T>(items: readonly T[]) =>
    fc.shuffledSubarray([...items], { minLength: items.length });
  const pair = anyView.chain((view) =>
    fc.tuple(
      fc.constant(view),
      fc.record({
        regions: shuffled(view.regions),
        shards: shuffled(view.shards),
        allocations: shuffled(view.allocations),
        pins: shuffled(view.pins ?? []),
      }),
    ),
  );
  fc.assert(
    fc.property(pair, ([view, other]) => {
      expect(planMoves(other)).toEqual(planMoves(view));
    }),
  );
});

test("[A3] planning changes nothing of the view", () => {
  fc.assert(
    fc.property(anyView, (view) => {
      const before = structuredClone(view);
      planMoves(view);
      expect(view).toEqual(before);
    }),
  );
});

test("[A3] a pinned shard goes to its region while that can take it, others are balanced", () => {
  fc.assert(
    fc.property(anyView, (view) => {
      const after = afterMoves(view, planMoves(view));
      const takers = takersOf(view).map(({ name }) => name);
      if (takersOf(view).every(({ draining }) => draining)) return; // Nothing moves between those.
      for (const pin of view.pins ?? []) {
        if (!takers.includes(pin.region) || !view.shards.includes(pin.shard)) continue;
        const placed = after.allocations.find(({ shard }) => shard === pin.shard);
        expect(placed?.region).toBe(pin.region);
      }
    }),
  );
});

test("[A5] pinned shards count: the others go where fewer are pinned", () => {
  const pins = ["s1", "s2", "s3"].map((shard) => ({ shard, region: "a" }));
  const view = viewOf({ a: "s1 s2 s4 s5", b: "s3 s6" }, { pins });
  const after = afterMoves(view, planMoves(view));
  expect(loadsOf(after)).toEqual(
    new Map([
      ["a", 3],
      ["b", 3],
    ]),
  );
});

test("[A5] pins beyond a share leave the rest equal within one", () => {
  const pins = ["s1", "s2", "s3", "s4", "s5"].map((shard) => ({ shard, region: "a" }));
  const view = viewOf({ a: "s1 s2 s3 s4 s5 s6 s7 s8", b: "", c: "" }, { pins });
  const after = afterMoves(view, planMoves(view));
  expect(loadsOf(after)).toEqual(
    new Map([
      ["a", 5],
      ["b", 2],
      ["c", 1],
    ]),
  );
});

test("[A5] a region of twice the weight gets twice the shards", () => {
  const regions = [
    { name: "a", alive: true, weight: 2 },
    { name: "b", alive: true },
    { name: "c", alive: true, weight: 1 },
  ];
  const view = { regions, shards: numbered(40, "s"), allocations: [] };
  const loads = loadsOf(afterMoves(view, planMoves(view)));
  expect(loads).toEqual(
    new Map([
      ["a", 20],
      ["b", 10],
      ["c", 10],
    ]),
  );
});

test("[A5] a weight that is no positive number counts as none", () => {
  for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    const regions = [
      { name: "a", alive: true, weight },
      { name: "b", alive: true },
    ];
    const view = { regions, shards: SHARDS, allocations: [] };
    expect(loadsOf(afterMoves(view, planMoves(view)))).toEqual(
      new Map([
        ["a", 0],
        ["b", 12],
      ]),
    );
    const alone = { ...view, regions: regions.slice(0, 1) };
    expect(planMoves(alone).length).toBe(12);
  }
});

test("[A5] a plan that is carried out needs no further plan", () => {
  fc.assert(
    fc.property(anyView, (view) => {
      const moves = planMoves(view);
      const allDrain = takersOf(view).every(({ draining }) => draining);
      if (!allDrain) expect(planMoves(afterMoves(view, moves))).toEqual([]);
    }),
  );
});

test("[A5] loads are equal within one", () => {
  fc.assert(
    fc.property(viewsOf(fc.constant(1)), (anyPins) => {
      const view = { ...anyPins, pins: [] };
      const takers = takersOf(view).map(({ name }) => name);
      if (takersOf(view).every(({ draining }) => draining)) return;
      const loads = loadsOf(afterMoves(view, planMoves(view)));
      const taken = takers.map((name) => loads.get(name) as number);
      expect(Math.max(...taken) - Math.min(...taken)).toBeLessThanOrEqual(1);
    }),
  );
});

const positive = fc.constantFrom(1, 1, 2, 3, 0.1, 0.3, 0.7);

/** The share by weight of each region that takes shards. */
function sharesOf(view: PlanView): Map<string, number> {
  const takers = takersOf(view);
  const weightSum = takers.reduce((sum, { weight = 1 }) => sum + weight, 0);
  return new Map(
    takers.map(({ name, weight = 1 }) => [name, (view.shards.length * weight) / weightSum]),
  );
}

/** Fewest moves that leave each load its share rounded either way, by trying all roundings. */
function movesModel(view: PlanView): number {
  const takers = new Set(takersOf(view).map(({ name }) => name));
  const places = new Map(view.allocations.map(({ shard, region: name }) => [shard, name]));
  const placed = view.shards.map((shard) => places.get(shard) ?? "");
  const kept = (name: string) => placed.filter((held) => held === name).length;
  const shares = [...sharesOf(view)];
  const homeless = placed.filter((name) => !takers.has(name)).length;
  let fewest = Number.POSITIVE_INFINITY;
  for (let roundings = 0; roundings < 2 ** shares.length; roundings += 1) {
    const targets = shares.map(([name, share], at) => {
      const up = ((roundings >> at) & 1) === 1;
      return { name, target: up ? Math.ceil(share - 1e-9) : Math.floor(share + 1e-9) };
    });
    if (targets.reduce((sum, { target }) => sum + target, 0) !== view.shards.length) continue;
    const given = targets.reduce(
      (sum, { name, target }) => sum + Math.max(0, kept(name) - target),
      0,
    );
    fewest = Math.min(fewest, homeless + given);
  }
  return fewest;
}

test("[A5] no plan with loads within one of their shares has fewer moves", () => {
  fc.assert(
    fc.property(viewsOf(positive), (anyPins) => {
      const view = { ...anyPins, pins: [] };
      if (takersOf(view).every(({ draining }) => draining)) return;
      const moves = planMoves(view);
      const loads = loadsOf(afterMoves(view, moves));
      for (const [name, share] of sharesOf(view)) {
        expect(Math.abs((loads.get(name) as number) - share)).toBeLessThan(1 - 1e-9);
      }
      expect(moves.length).toBe(movesModel(view));
    }),
  );
});

test("[A5] a table in which each load is its share rounded either way is left alone", () => {
  const regions = [
    { name: "a", alive: true, weight: 1 },
    { name: "b", alive: true, weight: 1.5 },
  ];
  for (const held of [
    { a: "s1 s2", b: "s3 s4" },
    { a: "s1", b: "s2 s3 s4" },
  ]) {
    expect(planMoves(viewOf(held, { regions }))).toEqual([]);
  }
});

test("[A5] who is rounded up is who keeps a shard by it, then who has the larger remainder", () => {
  const weighted = (...weights: number[]) =>
    weights.map((weight, at) => ({ name: NAMES[at] as string, alive: true, weight }));
  const loadsAfter = (view: PlanView) => [...loadsOf(afterMoves(view, planMoves(view))).values()];
  // Shares of 1.6 and 2.4.
  const twoRegions = { regions: weighted(1, 1.5), shards: ["s1", "s2", "s3", "s4"] };
  expect(loadsAfter({ ...twoRegions, allocations: [] })).toEqual([2, 2]);
  expect(loadsAfter(viewOf({ b: "s1 s2 s3 s4" }, twoRegions))).toEqual([1, 3]);
  // A share of exactly 3 is not rounded, whatever its region holds; the others' are 1.5.
  const threeRegions = { regions: weighted(2, 1, 1) };
  expect(loadsAfter(viewOf({ a: "s1 s2 s3 s4 s5 s6" }, threeRegions))).toEqual([3, 2, 1]);
});

test("[A5] of equals the lower name is rounded up, whatever it has so far", () => {
  const shards = ["s1", "s2", "s3", "s4", "s5"];
  const fresh = viewOf({ a: "", b: "" }, { shards });
  expect(loadsOf(afterMoves(fresh, planMoves(fresh))).get("a")).toBe(3);
  const more = viewOf({ a: "", b: "s1" }, { shards });
  expect(loadsOf(afterMoves(more, planMoves(more))).get("a")).toBe(3);
});

test("[A5] regions that act one after another, each on a plan of its own, end in one round", () => {
  const order = fc.shuffledSubarray(["a", "b", "c", "d"], { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(fc.integer({ min: 4, max: 300 }), order, (shardCount, names) => {
      const shards = numbered(shardCount, "s");
      const three = viewOf({ a: "", b: "", c: "" }, { shards });
      const balanced = afterMoves(three, planMoves(three));
      const regions = [...balanced.regions, { name: "d", alive: true }];
      let view: PlanView = { ...balanced, regions };
      for (const name of names) {
        const own = planMoves(view).filter(({ from }) => from === name);
        view = afterMoves(view, own);
      }
      expect(planMoves(view)).toEqual([]);
    }),
  );
});

test("[A3] a shard that is listed twice counts once", () => {
  const view = viewOf({ a: "s1 s2", b: "" }, { shards: ["s1", "s2", "s2", "s1"] });
  expect(planMoves(view)).toEqual([{ shard: "s2", from: "a", to: "b" }]);
});

test("[A5] a join or a leave moves at most the ideal number plus one per region", () => {
  const counts = { regions: fc.integer({ min: 1, max: 9 }), shards: fc.nat(60) };
  const weights = fc.array(positive, { minLength: 10, maxLength: 10 });
  fc.assert(
    fc.property(counts.regions, counts.shards, weights, (count, shardCount, weight) => {
      const all = numbered(count + 1, "r").map((name, at) => ({
        name,
        alive: true,
        weight: weight[at] as number,
      }));
      const empty = { shards: numbered(shardCount, "s"), allocations: [] };
      const fewer = { ...empty, regions: all.slice(0, count) };
      const more = { ...empty, regions: all };

      const settledFewer = afterMoves(fewer, planMoves(fewer));
      const joined = planMoves({ ...settledFewer, regions: all });
      const ideal = sharesOf(more).get(`r${count}`) as number;
      expect(joined.length).toBeLessThanOrEqual(ideal + count + 1);

      const settledMore = afterMoves(more, planMoves(more));
      const left = planMoves({ ...settledMore, regions: fewer.regions });
      const held = loadsOf(settledMore).get(`r${count}`) as number;
      expect(left.length).toBeLessThanOrEqual(held + count);
    }),
  );
});

test("[A5] rebalancing two shards against one ends: nothing goes back and forth", () => {
  expect(planMoves(viewOf({ a: "s1 s2", b: "s3" }))).toEqual([]);
  expect(planMoves(viewOf({ a: "s1", b: "s2 s3" }))).toEqual([]);
});

test("[A5] a new empty region gets its share", () => {
  const view = viewOf({ a: "s1 s2 s3", b: "s4 s5 s6", c: "" });
  expect(planMoves(view)).toEqual([
    { shard: "s3", from: "a", to: "c" },
    { shard: "s6", from: "b", to: "c" },
  ]);
});

test("[A5] movesMax bounds the moves between alive regions, and no claim", () => {
  fc.assert(
    fc.property(anyView, fc.nat(4), (view, movesMax) => {
      const alive = new Set(view.regions.filter((each) => each.alive).map(({ name }) => name));
      const isClaim = ({ from }: Move) => from === undefined || !alive.has(from);
      const all = planMoves(view);
      const some = planMoves(view, { movesMax });
      expect(some.filter(isClaim)).toEqual(all.filter(isClaim));
      expect(some).toEqual(all.slice(0, all.filter(isClaim).length + movesMax));
    }),
  );
});

test("[A5] a plan carried out in pieces takes as many moves as in one", () => {
  fc.assert(
    fc.property(anyView, fc.integer({ min: 1, max: 3 }), (view, movesMax) => {
      const atOnce = planMoves(view).length;
      let current = view;
      let moved = 0;
      for (let round = 0; round <= atOnce; round += 1) {
        const moves = planMoves(current, { movesMax });
        moved += moves.length;
        current = afterMoves(current, moves);
      }
      expect(planMoves(current)).toEqual([]);
      expect(moved).toBe(atOnce);
    }),
  );
});

test("[A5] claims go where most is missing, so that few moves are left to do", () => {
  const view = viewOf(
    { a: "s1 s2 s3 s4 s5 s6", b: "", c: "s7" },
    { shards: numbered(11, "s").slice(1) },
  );
  expect(planMoves(view, { movesMax: 1 })).toEqual([
    { shard: "s10", to: "b" },
    { shard: "s8", to: "b" },
    { shard: "s9", to: "c" },
    { shard: "s6", from: "a", to: "b" },
  ]);
});

test("[A3] 65 536 shards and 1000 regions are planned for at one go", () => {
  const regions = numbered(1000, "r").map((name) => ({ name, alive: true }));
  const view = { regions, shards: numbered(65_536, "shard-"), allocations: [] };
  const moves = planMoves(view);
  const loads = new Map<string, number>();
  for (const { to } of moves) loads.set(to, (loads.get(to) ?? 0) + 1);
  expect(moves.length).toBe(65_536);
  expect(new Set(loads.values())).toEqual(new Set([65, 66]));
});

test("[A3] an unknown strategy and a movesMax that is no bound are refused", () => {
  const view = viewOf({ a: "s1" });
  expect(() => planMoves(view, { strategy: "none" as "balanced" })).toThrow(RangeError);
  for (const movesMax of [-1, Number.NaN]) {
    expect(() => planMoves(view, { movesMax })).toThrow(RangeError);
  }
});
