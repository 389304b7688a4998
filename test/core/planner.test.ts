import { expect, test } from "vitest";
import type { Move } from "../../src/core/allocation.ts";
import { EMPTY_IMAGE } from "../../src/core/disk-image.ts";
import { SETTINGS } from "../../src/core/founding.ts";
import {
  encodeRow,
  encodeVerdict,
  MEMBERS,
  VERDICTS,
  type VerdictKind,
} from "../../src/core/membership.ts";
import type { MapEntries, Value } from "../../src/core/message.ts";
import { PeerState } from "../../src/core/peer-state.ts";
import { encodePin, encodePlan, PINS, PLAN_KEY } from "../../src/core/plan-settings.ts";
import { Planner, planOf } from "../../src/core/planner.ts";
import { Random } from "../../src/core/random.ts";
import type { Strategy } from "../../src/core/strategy.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { ALLOCATIONS, encodeAllocation } from "../../src/core/view.ts";
import { member } from "./members.ts";

const WALL_MS = Date.UTC(2026, 0, 1);
const SETTLE_MS = TIMINGS.lan.planSettleMs;

/** The state of peer `a` and its planner, run at moments as a machine does. */
class Region {
  readonly state: PeerState;
  readonly planner: Planner;
  #time = 1;

  constructor(name = "a", shardCount = 6, strategies: Readonly<Record<string, Strategy>> = {}) {
    const options = {
      ...{ name, cluster: "x", incarnation: `${name}1`, address: `${name}:1`, shardCount },
      ...{ zone: null, weight: 1, join: [], downing: "off" as const, timings: TIMINGS.lan },
      ...{ random: new Random(1), image: EMPTY_IMAGE },
      strategies: new Map(Object.entries(strategies)),
    };
    this.state = new PeerState(options, 0, WALL_MS);
    this.state.joined = true;
    this.planner = new Planner(this.state);
  }

  /** An entry from elsewhere, under a stamp above all before it. */
  put(map: string, key: string, value: Value | undefined, writer = "z1"): void {
    this.#time = Math.max(this.#time, this.state.clock.last) + 1;
    this.state.clock.observe(this.#time, this.state.wallMs);
    const entries = [{ key, value, time: this.#time, writer }];
    this.state.won(this.state.replica.merge([{ map, entries }]), "nobody");
  }

  row(name: string, fields: { weight?: number; draining?: boolean; status?: "left" } = {}): void {
    this.put(MEMBERS, name, encodeRow({ ...member(name).row, ...fields }), `${name}1`);
  }

  verdict(subject: string, kind: VerdictKind): void {
    const about = this.state.view.membership.get(subject)?.stamp ?? { time: 0, writer: "" };
    const verdict = { kind, about, accuser: "z1", why: "" };
    this.put(VERDICTS, `${subject}/z`, encodeVerdict(verdict));
  }

  hold(regions: string): void {
    [...regions].forEach((region, number) => {
      this.put(ALLOCATIONS, `shard-${number}`, encodeAllocation(region));
    });
  }

  /** What the whole cluster has to do. */
  plan(): readonly Move[] {
    const plan = planOf(this.state);
    if (!plan.ok) throw new Error(plan.why);
    return plan.moves;
  }

  /** Warnings since the last time. */
  readonly warnings: string[] = [];

  /** Runs the planner at a moment, and returns what it wrote: `shard-0 a`. */
  settle(now: number): string[] {
    this.state.now = now;
    this.state.wallMs = WALL_MS + now;
    this.planner.settle();
    this.state.membersChanged = false;
    const own: MapEntries[] = [];
    for (const effect of this.state.finish({ push: (maps) => void own.push(...maps) })) {
      if (effect.type !== "notify" || effect.change.type !== "warning") continue;
      this.warnings.push(effect.change.message);
    }
    return own.flatMap(({ entries }) =>
      entries.map(({ key, value }) => `${key} ${(value as readonly Value[])[0]}`),
    );
  }

  get table(): string {
    return this.state.view
      .shards()
      .map((shard) => this.state.view.regionFor(shard) ?? "-")
      .join("");
  }
}

test("[A2] a region that is alone claims every shard at once", () => {
  const region = new Region();
  region.row("a");
  expect(region.settle(0)).toHaveLength(6);
  expect(region.table).toBe("aaaaaa");
  expect(region.settle(SETTLE_MS)).toEqual([]);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("[A0] nothing is planned before this peer is ready", () => {
  const region = new Region();
  region.state.joined = false;
  region.row("a");
  expect([region.settle(0), region.settle(1e6)]).toEqual([[], []]);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("[A3] a region claims its own share of the unassigned shards, and leaves the rest", () => {
  const region = new Region();
  for (const name of ["a", "b", "c"]) region.row(name);
  expect(region.settle(0)).toHaveLength(2);
  const other = new Region("b");
  for (const name of ["a", "b", "c"]) other.row(name);
  other.settle(0);
  expect([...region.table].filter((name, at) => name !== "-" && other.table[at] !== "-")).toEqual(
    [],
  );
});

test("[A2] a shard that another region should have claimed is looked after again", () => {
  const region = new Region();
  for (const name of ["a", "b"]) region.row(name);
  region.hold("aaabbb");
  region.settle(0);
  region.settle(SETTLE_MS);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
  region.put(ALLOCATIONS, "shard-5", undefined);
  expect(region.settle(5000)).toEqual([]); // The plan gives it to b.
  region.put(ALLOCATIONS, "shard-2", encodeAllocation("b"));
  expect(region.settle(5001)).toEqual([]);
  const deadline = region.planner.deadline();
  expect(deadline).toBeLessThanOrEqual(5000 + SETTLE_MS);
  expect(region.settle(deadline)).toEqual(["shard-5 a"]);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("[A3] a region gives shards away once the members have stood still for planSettleMs", () => {
  const region = new Region();
  region.row("a");
  region.settle(0);
  region.row("b");
  expect(region.settle(1000)).toEqual([]);
  expect(region.planner.deadline()).toBe(1000 + SETTLE_MS);
  region.row("c");
  expect(region.settle(1000 + SETTLE_MS - 1)).toEqual([]);
  expect(region.settle(1000 + SETTLE_MS)).toEqual([]);
  const moves = region.settle(1000 + 2 * SETTLE_MS - 1);
  expect(moves).toHaveLength(4);
  expect([...region.table].sort().join("")).toBe("aabbcc");
});

test("[A3] a region moves only what it holds itself", () => {
  const region = new Region();
  for (const name of ["a", "b", "c"]) region.row(name);
  region.hold("bbbbba");
  region.settle(0);
  expect(region.settle(SETTLE_MS)).toEqual([]);
  expect(region.table).toBe("bbbbba");
});

test("[A3] two regions with equal replicas make the same plan", () => {
  const regions = ["a", "b", "c"].map((name) => {
    const region = new Region(name, 20);
    for (const each of ["a", "b", "c"]) region.row(each, { weight: each === "b" ? 2 : 1 });
    region.hold("aaaaaaaaaaaabc");
    return region;
  });
  const [first, ...others] = regions.map((region) => region.plan());
  expect(first?.length).toBeGreaterThan(5);
  for (const other of others) expect(other).toEqual(first);
});

test.each(["suspect", "dead"] as const)(
  "[F1] while a member is %s it keeps its shards, and nothing moves between regions",
  (kind) => {
    const region = new Region();
    for (const name of ["a", "b", "c"]) region.row(name);
    region.hold("aaaabb");
    region.verdict("b", kind);
    for (let now = 0; now < 10_000; now += SETTLE_MS) expect(region.settle(now)).toEqual([]);
    expect(region.table).toBe("aaaabb");
  },
);

test("[F1] a suspect region gets no new shards", () => {
  const region = new Region();
  for (const name of ["a", "b"]) region.row(name);
  region.hold("aaaaaa");
  region.verdict("b", "suspect");
  for (let now = 0; now < 10_000; now += SETTLE_MS) region.settle(now);
  expect(region.table).toBe("aaaaaa");
});

test.each(["removed", "left"] as const)(
  "[A2] the shards of a member that is %s are claimed in the same step",
  (how) => {
    const region = new Region();
    for (const name of ["a", "b"]) region.row(name);
    region.hold("aaabbb");
    region.settle(0);
    region.settle(SETTLE_MS);
    if (how === "removed") region.verdict("b", "removed");
    else region.row("b", { status: "left" });
    expect(region.settle(5000)).toHaveLength(3);
    expect(region.table).toBe("aaaaaa");
  },
);

test("[A3] the shards of an unknown region are waited for, since its row may be on its way", () => {
  const region = new Region();
  region.row("a");
  region.hold("aaaxxx");
  expect(region.settle(0)).toEqual([]);
  expect(region.settle(SETTLE_MS - 1)).toEqual([]);
  region.settle(SETTLE_MS);
  expect(region.table).toBe("aaaaaa");
});

test("[A3] a row that comes in time keeps the shards where they are", () => {
  const region = new Region();
  region.row("a");
  region.hold("aaaxxx");
  region.settle(0);
  region.row("x");
  for (let now = 100; now < 5000; now += 100) expect(region.settle(now)).toEqual([]);
  expect(region.table).toBe("aaaxxx");
});

test("[A2] a shard that is released is claimed in the same step", () => {
  const region = new Region();
  region.row("a");
  region.settle(0);
  region.settle(SETTLE_MS);
  region.put(ALLOCATIONS, "shard-3", undefined);
  expect(region.settle(9000)).toEqual(["shard-3 a"]);
});

test("[A3] what people allocate by hand is left alone until members change or somebody asks", () => {
  const region = new Region();
  for (const name of ["a", "b"]) region.row(name);
  region.hold("aaabbb");
  region.settle(0);
  region.settle(SETTLE_MS);
  region.hold("aaaaab");
  for (let now = 5000; now < 20_000; now += 500) expect(region.settle(now)).toEqual([]);
  expect(region.table).toBe("aaaaab");
  region.planner.wake();
  expect(region.plan()).toHaveLength(2);
  region.settle(20_000 + SETTLE_MS);
  expect([...region.table].sort().join("")).toBe("aaabbb");
});

test("[A5] the plan of a balanced table is empty, and the planner rests", () => {
  const region = new Region();
  for (const name of ["a", "b", "c"]) region.row(name);
  region.hold("abcabc");
  expect(region.plan()).toEqual([]);
  region.settle(0);
  region.settle(SETTLE_MS);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("[A4] a pin takes its shard along, and lets it go when it is taken off", () => {
  const region = new Region();
  for (const name of ["a", "b"]) region.row(name);
  region.hold("aaabbb");
  region.settle(0);
  region.settle(SETTLE_MS);
  region.put(PINS, "shard-0", encodePin("b"));
  expect(region.settle(1000)).toEqual([]);
  expect(region.settle(1000 + SETTLE_MS)).toContain("shard-0 b");
  expect(region.table[0]).toBe("b");
  region.put(PINS, "shard-0", undefined);
  expect(region.state.view.pins()).toEqual([]);
});

test("[A4] what all plan by is replicated, and taken up at once", () => {
  const region = new Region();
  for (const name of ["a", "b", "c"]) region.row(name);
  region.hold("aaaaaa");
  region.put(SETTINGS, PLAN_KEY, encodePlan({ strategy: "balanced", movesMax: 1 }));
  region.settle(0);
  expect(region.settle(SETTLE_MS)).toHaveLength(1);
  expect(region.settle(2 * SETTLE_MS)).toHaveLength(1);
  region.put(SETTINGS, PLAN_KEY, encodePlan({ strategy: "pinned", movesMax: null }));
  region.settle(3000);
  expect(region.settle(3000 + SETTLE_MS)).toEqual([]);
});

test("[A4] who cannot run the strategy gives nothing away, says so once, and claims orphans", () => {
  const region = new Region();
  for (const name of ["a", "b"]) region.row(name);
  region.hold("aaaaab");
  region.put(SETTINGS, PLAN_KEY, encodePlan({ strategy: "by-tenant", movesMax: null }));
  region.settle(0);
  expect(region.settle(SETTLE_MS)).toEqual([]);
  region.put(ALLOCATIONS, "shard-5", undefined);
  region.verdict("b", "removed");
  expect(region.settle(1000)).toEqual(["shard-5 a"]);
  region.settle(1000 + SETTLE_MS);
  expect(region.warnings).toEqual(["Moving no shards: this peer does not know the strategy"]);
});

test("[A4] settings that make no sense are no plan, and end nothing", () => {
  const senseless = [
    null,
    [],
    ["balanced"],
    ["balanced", -1],
    ["balanced", 0.5],
    [7, null],
    ["", 1],
  ];
  for (const value of senseless) {
    const region = new Region();
    for (const name of ["a", "b"]) region.row(name);
    region.hold("aaaaaa");
    region.put(SETTINGS, PLAN_KEY, value as Value);
    region.put(PINS, "shard-0", value as Value);
    region.settle(0);
    expect(region.settle(SETTLE_MS), JSON.stringify(value)).toEqual([]);
  }
});

test("[L4] a strategy that wants a shard back and forth moves it a few times, and then nothing", () => {
  const swap: Strategy = ({ allocations, regions }) =>
    allocations.map(({ shard, region }) => {
      const other = regions.find(({ name }) => name !== region);
      return [shard, other?.name ?? region] as const;
    });
  const region = new Region("a", 2, { swap });
  for (const name of ["a", "b"]) region.row(name);
  region.hold("aa");
  region.put(SETTINGS, PLAN_KEY, encodePlan({ strategy: "swap", movesMax: null }));
  region.settle(0);
  for (let round = 1; round <= 4; round += 1) {
    expect(region.settle(round * SETTLE_MS)).toHaveLength(2);
    region.hold("aa"); // The other region does as it is told.
  }
  expect(region.settle(5 * SETTLE_MS)).toEqual([]);
  expect(region.warnings).toEqual(["Moving no shards: the strategy moves shards back and forth"]);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
  region.row("c"); // Another reason, another chance.
  region.settle(10_000);
  expect(region.settle(10_000 + SETTLE_MS)).toHaveLength(2);
});

test("[A3, H4] a shard that the plan gave away and that stayed after all is planned anew, a few times", () => {
  const region = new Region("a", 2);
  for (const name of ["a", "b"]) region.row(name);
  region.hold("aa");
  region.settle(0);
  let now = 0;
  for (let round = 1; round <= 4; round += 1) {
    now += TIMINGS.lan.handoffMs;
    expect(region.settle(now)).toHaveLength(1);
    region.settle(now + SETTLE_MS); // Nothing is left to do, and the planner rests.
    expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
    region.hold("aa");
    region.state.returned.push("shard-0", "shard-1");
    now += 10_000;
    region.settle(now);
  }
  expect(region.settle(now + TIMINGS.lan.handoffMs)).toEqual([]);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("[A3, H4] that the members change meanwhile does not make a shard that stayed one that people moved", () => {
  const region = new Region("a", 2);
  for (const name of ["a", "b"]) region.row(name);
  region.hold("aa");
  region.settle(0);
  expect(region.settle(SETTLE_MS)).toHaveLength(1);
  region.state.membersChanged = true;
  region.settle(2 * SETTLE_MS);
  region.settle(3 * SETTLE_MS); // Nothing is left to do, and the planner rests.
  region.hold("aa");
  region.state.returned.push("shard-0", "shard-1");
  region.settle(10_000);
  expect(region.settle(10_000 + SETTLE_MS)).toEqual([]); // Its messages are served for a while.
  expect(region.settle(10_000 + TIMINGS.lan.handoffMs)).toHaveLength(1);
});

test("[A3] a shard that people gave away and that stayed after all wakes no planner", () => {
  const region = new Region("a", 2);
  for (const name of ["a", "b"]) region.row(name);
  region.hold("ab");
  region.settle(0);
  region.settle(SETTLE_MS);
  region.hold("aa"); // Somebody wants both here.
  region.state.returned.push("shard-0");
  region.settle(10_000);
  expect(region.state.returned).toEqual([]);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("[A5] who sees that a region rests with more than the plan gives it asks all to plan anew, once", () => {
  const region = new Region("a", 2);
  for (const name of ["a", "b"]) region.row(name);
  region.hold("bb"); // Both are at b, which rests.
  const asked = () => region.state.replica.map("settings").entry("rebalance")?.writer;
  region.settle(0);
  for (let look = 1; look <= 3; look += 1) region.settle(look * SETTLE_MS);
  expect(asked()).toBeUndefined();
  region.settle(4 * SETTLE_MS);
  expect(asked()).toBe("a1");
  region.put("settings", "rebalance", ["b"], "b1");
  for (let look = 5; look <= 40; look += 1) region.settle(look * SETTLE_MS);
  expect(asked()).toBe("b1");
  region.hold("ab");
  region.settle(41 * SETTLE_MS);
  expect(region.planner.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("[A3] who rests asks nobody for what people move by hand", () => {
  const region = new Region("a", 2);
  for (const name of ["a", "b"]) region.row(name);
  region.hold("ab");
  region.settle(0);
  region.settle(SETTLE_MS);
  region.hold("bb");
  for (let look = 2; look <= 40; look += 1) region.settle(look * SETTLE_MS);
  expect(region.state.replica.map("settings").entry("rebalance")).toBeUndefined();
});
