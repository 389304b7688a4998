import { expect, test } from "vitest";
import { timestampMs } from "../../src/core/clock.ts";
import type { DiskImage } from "../../src/core/disk-image.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Heartbeat } from "../../src/core/message.ts";
import {
  allocationEntry,
  at,
  effectsOf,
  HandDriven,
  imageOf,
  life,
  persisted,
  rowEntry,
  sentTo,
  WALL_MS,
} from "./machines.ts";

const HOUR_MS = 3_600_000;

function heartbeat(fields: Partial<Heartbeat> = {}): Heartbeat {
  const common = {
    sentAt: 0,
    echo: -1,
    echoDelayMs: 0,
    heardMs: 0,
    stepMs: 0,
    leadMs: 0,
    everyMs: 250,
  };
  return { type: "heartbeat", ...common, wallMs: WALL_MS, ...fields };
}

/** A founded machine with b on link 1 and c on link 2. */
function founded(): HandDriven {
  const driven = new HandDriven("a");
  driven.start();
  driven.open(1, "b");
  driven.open(2, "c");
  return driven;
}

/** Everything that was ever stamped by this life in the effects. */
const stampsBy = (writer: string, effects: readonly Effect[]): number[] =>
  effectsOf(effects, "persist")
    .flatMap(({ maps }) => maps.flatMap(({ entries }) => entries))
    .filter((entry) => entry.writer === writer)
    .map(({ time }) => time);

test("[C4] an entry over twice maxDriftMs ahead is refused and counted, and the others are taken", () => {
  const driven = founded();
  const before = driven.machine.clockTime;
  const effects = driven.delta(
    1,
    "allocations",
    allocationEntry("shard-0", "b", HOUR_MS),
    allocationEntry("shard-1", "b", 10_001),
  );
  expect(effects).toEqual([]);
  expect(driven.machine.status().refused).toEqual({ malformed: 0, drift: 2 });
  expect(driven.machine.clockTime).toBe(before);

  const good = [allocationEntry("shard-0", "b", 10_000), allocationEntry("shard-1", "b", 5)];
  const late = allocationEntry("shard-1", "c", HOUR_MS);
  expect(persisted(driven.delta(1, "allocations", good[0] ?? late, late, good[1] ?? late))).toEqual(
    ["allocations shard-0", "allocations shard-1"],
  );
  expect(driven.machine.status().refused.drift).toBe(3);
});

test("[C3] what is written after a merge supersedes what was merged, with a clock that is behind", () => {
  const driven = founded();
  driven.delta(1, "allocations", allocationEntry("shard-0", "a", 9000, life("b")));
  const { outcome } = driven.call({ type: "allocate", shard: "shard-0", region: "a" });
  expect(outcome).toMatchObject({
    ok: true,
    value: { token: at(9000, 1), superseded: { token: at(9000) } },
  });
});

test("[C4] a link whose clocks differ by more than maxDriftMs carries heartbeats only", () => {
  const driven = founded();
  const effects = driven.open(3, "d", { wallMs: WALL_MS + 5001 }, 7);
  expect(sentTo(effects, 3).map(({ type }) => type)).toEqual(["heartbeat"]);
  expect(driven.delta(3, "allocations", allocationEntry("shard-0", "d", 1))).toEqual([]);
  expect(driven.entry("allocations", "shard-0")?.writer).toBe(life("a"));
  const { effects: own } = driven.call({ type: "allocate", shard: "shard-0", region: "a" });
  expect(sentTo(own, 3)).toEqual([]);
  expect(sentTo(own, 2)).toHaveLength(1);
});

test("[C4, G5] a link whose clocks agree again synchronises at once", () => {
  const driven = founded();
  driven.open(3, "d", { wallMs: WALL_MS + HOUR_MS }, 7);
  driven.now = 500;
  const effects = driven.receive(3, heartbeat({ wallMs: WALL_MS + 500 }));
  expect(sentTo(effects, 3)[0]?.type).toBe("head");
});

test("[C5] a peer whose clock differs from most others' refuses writes with CLOCK_DRIFT, and says so", () => {
  const driven = founded();
  const ahead = heartbeat({ wallMs: WALL_MS - HOUR_MS });
  for (const link of [1, 2]) driven.receive(link, ahead);
  const warnings = effectsOf(driven.pass(200), "notify").map(({ change }) => change);
  expect(warnings).toContainEqual({
    type: "warning",
    code: "CLOCK_DRIFT",
    message: `This clock differs from that of other peers by ${HOUR_MS} ms`,
  });
  expect(driven.machine.isReady).toBe(false);
  const { effects, outcome } = driven.call({ type: "allocate", shard: "shard-0", region: "a" });
  expect(outcome).toMatchObject({ ok: false, code: "CLOCK_DRIFT" });
  expect(persisted(effects)).toEqual([]);
});

test("[C4] the clock of one other peer, or of the one that is ahead of this one, stops nobody", () => {
  const driven = founded();
  driven.receive(1, heartbeat({ wallMs: WALL_MS - HOUR_MS }));
  driven.receive(2, heartbeat());
  driven.pass(200);
  expect(driven.machine.isReady).toBe(true);

  const alone = new HandDriven("a");
  alone.start();
  alone.open(1, "b", { wallMs: WALL_MS + HOUR_MS });
  alone.pass(200);
  expect(alone.machine.isReady).toBe(true);
  const other = new HandDriven("a");
  other.start();
  other.open(1, "b", { wallMs: WALL_MS - HOUR_MS });
  other.pass(200);
  expect(other.machine.isReady).toBe(false);
});

/** Lives through restarts with whatever the disk held after some number of effects. */
function* livesOf(
  crashes: readonly { steps: number; wallOffsetMs: number }[],
): Generator<number[]> {
  let image: DiskImage = { clockBound: 0, maps: [] };
  const written: Effect[] = [];
  for (const [number, { steps, wallOffsetMs }] of crashes.entries()) {
    const incarnation = `${life("a")}-${number}`;
    const driven = new HandDriven("a", { incarnation, image }, number);
    driven.wallOffsetMs = wallOffsetMs;
    const effects = driven.start();
    for (let step = 0; step < steps; step += 1) {
      driven.now += step % 3;
      const request = { type: "allocate", shard: `shard-${step % 2}`, region: "a" } as const;
      effects.push(...driven.call(request).effects);
    }
    yield stampsBy(incarnation, effects);
    written.push(...effects);
    image = imageOf(written);
  }
}

test("[C6] a restart issues only higher stamps than ever before, also when the wall clock went back", () => {
  const crashes = [0, -HOUR_MS, 300, -86_400_000, 0, -1].map((wallOffsetMs, number) => ({
    steps: 5 + 700 * (number % 2),
    wallOffsetMs,
  }));
  let highest = 0;
  for (const stamps of livesOf(crashes)) {
    expect(stamps.length).toBeGreaterThan(0);
    expect(Math.min(...stamps)).toBeGreaterThan(highest);
    highest = Math.max(...stamps);
  }
});

test("[C6] a bound above every stamp is durable before the stamp is seen", () => {
  const driven = founded();
  let bound = 0;
  for (let step = 0; step < 3000; step += 1) {
    driven.now += step % 2;
    if (step === 1500) driven.delta(1, "allocations", allocationEntry("shard-0", "b", 9000));
    const { effects } = driven.call({ type: "allocate", shard: "shard-1", region: "a" });
    const [persist] = effectsOf(effects, "persist");
    expect(persist?.clockBound).toBeGreaterThanOrEqual(bound);
    bound = persist?.clockBound ?? 0;
    expect(bound).toBeGreaterThanOrEqual(driven.machine.clockTime);
  }
});

test("[C6] a restart begins above every stamp on its disk, those of others too", () => {
  const theirs = allocationEntry("shard-0", "b", 9000);
  const founding = { key: "founding", value: ["a"], time: at(-9), writer: "w" };
  const maps = [
    { map: "allocations", entries: [theirs] },
    { map: "settings", entries: [founding] },
  ];
  const driven = new HandDriven("a", { image: { clockBound: at(100), maps } });
  const stamps = stampsBy(life("a"), driven.start());
  expect(stamps.length).toBeGreaterThan(0);
  expect(Math.min(...stamps)).toBeGreaterThan(theirs.time);
});

test("[C6] a restart begins above the durable bound, although no entry tells of it", () => {
  const driven = new HandDriven("a", { image: { clockBound: at(7000), maps: [] } });
  expect(Math.min(...stampsBy(life("a"), driven.start()))).toBeGreaterThan(at(7000));
});

test("[C7] a step of the wall clock is held back while the links disagree, and what is written then", () => {
  const driven = founded();
  driven.now = 100;
  for (const link of [1, 2]) driven.receive(link, heartbeat({ wallMs: WALL_MS + 100 }));
  driven.wallOffsetMs = HOUR_MS;
  driven.now = 200;
  const { outcome, effects } = driven.call({ type: "allocate", shard: "shard-0", region: "a" });
  expect(outcome).toMatchObject({ ok: true, value: { token: at(200) } });
  // What is held back is told at once, and not with the next exchange of clocks.
  const beats = sentTo([...effects, ...driven.pass(600)], 1).filter(
    (message) => message.type === "heartbeat",
  );
  const used = beats.map((beat) => [beat.wallMs - WALL_MS - beat.sentAt, beat.stepMs]);
  expect(used.length).toBeGreaterThan(0);
  for (const pair of used) expect(pair).toEqual([0, HOUR_MS]);
  expect(driven.machine.isReady).toBe(true);
  expect(driven.machine.identity(600, WALL_MS + 600 + HOUR_MS).wallMs).toBe(WALL_MS + 600);
});

test("[C7] a step is taken once half of the links agree with it", () => {
  const driven = founded();
  driven.wallOffsetMs = 60_000;
  driven.receive(1, heartbeat({ wallMs: WALL_MS + 60_000 }));
  driven.receive(2, heartbeat());
  driven.pass(200);
  const { outcome } = driven.call({ type: "allocate", shard: "shard-0", region: "a" });
  expect(outcome).toMatchObject({ ok: true, value: { token: at(60_200) } });
});

test("[C7] peers that step together agree by what they hold back", () => {
  const driven = founded();
  driven.wallOffsetMs = HOUR_MS;
  for (const link of [1, 2]) driven.receive(link, heartbeat({ stepMs: HOUR_MS }));
  driven.pass(200);
  expect(timestampMs(driven.machine.clockTime)).toBeLessThan(WALL_MS + HOUR_MS);
  driven.call({ type: "allocate", shard: "shard-0", region: "a" });
  expect(timestampMs(driven.machine.clockTime)).toBe(WALL_MS + HOUR_MS + 200);
});

test("[C7] a peer without links takes a step at once", () => {
  const driven = new HandDriven("a");
  driven.start();
  driven.wallOffsetMs = HOUR_MS;
  driven.pass(200);
  const { outcome } = driven.call({ type: "allocate", shard: "shard-0", region: "a" });
  expect(outcome).toMatchObject({ ok: true, value: { token: at(HOUR_MS + 200) } });
});

test("[C5] a clock that was far ahead and is right again begins again with a peer whose clock is sound", () => {
  const driven = new HandDriven("a");
  driven.wallOffsetMs = HOUR_MS;
  const founding = { key: "founding", value: ["b"], time: at(-9), writer: life("b") };
  const image = {
    clockBound: at(HOUR_MS),
    maps: [
      { map: "settings", entries: [founding] },
      { map: "members", entries: [rowEntry("a", -9)] },
    ],
  };
  const back = new HandDriven("a", { image, incarnation: life("a", 1), join: ["b:1"] });
  back.start();
  back.open(1, "b");
  back.delta(1, "members", rowEntry("b", 200));
  expect(effectsOf(back.pass(300), "reset")).toEqual([]); // Nobody has said how its clock is.
  const effects = [...back.receive(1, heartbeat({ leadMs: 3 })), ...back.pass(600)];
  expect(effectsOf(effects, "reset")).toMatchObject([{ join: ["b:1"] }]);
});

test("[C5] nobody begins again with who has just done so, and has taken a table that is ahead", () => {
  const driven = new HandDriven("a", { image: { clockBound: at(HOUR_MS), maps: [] } });
  driven.start();
  driven.open(1, "b");
  driven.receive(1, heartbeat({ leadMs: 3 })); // It was sound when it said so.
  driven.delta(1, "members", rowEntry("b", HOUR_MS));
  expect(effectsOf(driven.pass(600), "reset")).toEqual([]);
});

test("[C5] it does so also with a member whose earlier life wrote a row that is far ahead", () => {
  const founding = { key: "founding", value: ["b"], time: at(-9), writer: life("b") };
  const rows = [rowEntry("a", -9), rowEntry("b", HOUR_MS)];
  const image = {
    clockBound: at(HOUR_MS),
    maps: [
      { map: "settings", entries: [founding] },
      { map: "members", entries: rows },
    ],
  };
  const back = new HandDriven("a", { image, incarnation: life("a", 1), join: ["b:1"] });
  back.start();
  const incarnation = life("b", 2);
  back.open(1, "b", { incarnation, founding: undefined });
  back.receive(1, heartbeat({ leadMs: 3 }));
  expect(effectsOf(back.pass(600), "reset")).toEqual([]); // It may be a newcomer with no table.
  const effects = back.delta(1, "members", rowEntry("b", 600, {}, incarnation));
  expect(effectsOf([...effects, ...back.pass(1200)], "reset")).toMatchObject([{ join: ["b:1"] }]);
});

test("[C5] a peer whose clock was far ahead and that is alone goes on with what it has", () => {
  const image = { clockBound: at(HOUR_MS), maps: [] };
  const driven = new HandDriven("a", { image });
  driven.start();
  expect(effectsOf(driven.pass(2000), "reset")).toEqual([]);
  driven.open(1, "b");
  driven.receive(1, heartbeat({ leadMs: HOUR_MS }));
  expect(effectsOf(driven.pass(3000), "reset")).toEqual([]);
  expect(driven.machine.isReady).toBe(true);
});

test("[C5] peers whose clocks are all ahead, and not all as far, take each other's", () => {
  const MINUTE_MS = 60_000;
  const image = { clockBound: at(HOUR_MS), maps: [] };
  const driven = new HandDriven("a", { image });
  driven.start();
  driven.pass(100);
  driven.open(1, "b");
  const entry = (key: string) => allocationEntry(key, "b", HOUR_MS + MINUTE_MS, life("b"));
  driven.receive(1, heartbeat({ leadMs: 3 }));
  driven.delta(1, "allocations", entry("shard-0")); // Not from one whose clock is sound.
  driven.receive(1, heartbeat({ leadMs: HOUR_MS + MINUTE_MS }));
  driven.delta(1, "allocations", entry("shard-1"));
  const taken = driven.machine.allocationEntries().filter(({ writer }) => writer === life("b"));
  expect(taken.map(({ key }) => key)).toEqual(["shard-1"]);
});

test("[C5] a newcomer takes a table that is ahead, unless somebody's clock is sound", () => {
  const founding = { time: at(-9), writer: life("b") };
  const entry = allocationEntry("shard-0", "b", HOUR_MS, life("b"));
  const shown = (others: number | undefined): boolean => {
    const driven = new HandDriven("a", { join: ["b:1"] });
    driven.start();
    driven.open(1, "b", { founding });
    driven.receive(1, heartbeat({ leadMs: HOUR_MS }));
    if (others !== undefined) {
      driven.open(2, "c", { founding });
      driven.receive(2, heartbeat({ leadMs: others }));
    }
    driven.delta(1, "allocations", entry);
    return driven.machine.allocationEntries().length > 0;
  };
  expect(shown(undefined)).toBe(true);
  expect(shown(HOUR_MS)).toBe(true);
  expect(shown(3)).toBe(false);
});
