import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import { SUMMARY_BYTES } from "../../src/core/sketch.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import {
  allocationEntry,
  at,
  effectsOf,
  HandDriven,
  life,
  persisted,
  rowEntry,
  sentTo,
  WALL_MS,
} from "./machines.ts";

const writer = life("a");
/** The bound that is durable from the first step on: 500 ms above its wall clock. */
const clockBound = at(500);

/** A founded machine of two members: b on link 1. */
function founded(options: ConstructorParameters<typeof HandDriven>[1] = {}): HandDriven {
  const driven = new HandDriven("a", options);
  driven.start();
  driven.open(1, "b");
  driven.delta(1, "members", rowEntry("b", 1));
  return driven;
}

const allocation = (shard: string, region: string, token: number, by = writer) => ({
  shard,
  region,
  token,
  writer: by,
});

test("[A0, G1] a first peer founds at once: all that it wrote is durable before it says so", () => {
  const driven = new HandDriven("a");
  const row = { ...rowEntry("a", 0, { joined: at(0), since: WALL_MS }), time: at(0, 1) };
  const first = allocationEntry("shard-0", "a", 0, writer);
  const effects: Effect[] = [
    {
      type: "persist",
      maps: [
        {
          map: "settings",
          entries: [{ key: "founding", value: ["a"], time: at(0), writer }],
        },
        { map: "members", entries: [row] },
        { map: "allocations", entries: [{ ...first, time: at(0, 2) }] },
        { map: "allocations", entries: [{ ...first, key: "shard-1", time: at(0, 3) }] },
      ],
      clockBound,
    },
    {
      type: "notify",
      change: {
        type: "member",
        name: "a",
        address: "a:1",
        status: "alive",
        zone: null,
        weight: 1,
        draining: false,
        incarnation: writer,
        since: WALL_MS,
        why: "It answers",
        accusers: [],
      },
    },
    { type: "notify", change: { type: "ready", how: "founded" } },
    {
      type: "notify",
      change: { type: "allocation", ...allocation("shard-0", "a", at(0, 2)) },
    },
    { type: "notify", change: { type: "acquire", shard: "shard-0", token: at(0, 2), writer } },
    {
      type: "notify",
      change: { type: "allocation", ...allocation("shard-1", "a", at(0, 3)) },
    },
    { type: "notify", change: { type: "acquire", shard: "shard-1", token: at(0, 3), writer } },
  ];
  expect(driven.start()).toEqual(effects);
  expect(driven.machine.isReady).toBe(true);
});

test("[A1, G1] an allocation is durable, then pushed to all links, then told, then answered", () => {
  const driven = founded();
  driven.open(2, "c");
  driven.now = 20;
  const entry = allocationEntry("shard-0", "b", 20, writer);
  const maps = [{ map: "allocations", entries: [entry] }];
  const superseded = allocation("shard-0", "a", at(0, 2));
  const now = allocation("shard-0", "b", at(20));
  expect(driven.call({ type: "allocate", shard: "shard-0", region: "b" }).effects).toEqual([
    { type: "persist", maps, clockBound },
    { type: "send", links: [1, 2], message: { type: "delta", maps } },
    { type: "notify", change: { type: "allocation", ...now, superseded } },
    { type: "notify", change: { type: "release", shard: "shard-0", to: "b" } },
    { type: "answer", call: 1, outcome: { ok: true, value: { ...now, superseded } } },
  ]);
});

test("[A1, A2] a release is a deletion that says what it superseded, and the region claims anew", () => {
  const driven = new HandDriven("a", { shardCount: 1 });
  driven.start();
  driven.now = 20;
  const { effects, outcome } = driven.call({ type: "release", shard: "shard-0" });
  const superseded = allocation("shard-0", "a", at(0, 2));
  expect(outcome).toEqual({
    ok: true,
    value: { shard: "shard-0", region: undefined, token: at(20), writer, superseded },
  });
  expect(persisted(effects)).toEqual(["allocations shard-0", "allocations shard-0"]);
  expect(driven.machine.view.regionFor("shard-0")).toBe("a");
});

test.each([
  ["shard-9", "a", "SHARD_NOT_FOUND", 'Cannot allocate "shard-9": there is no such shard'],
  ["shard-0", "z", "REGION_NOT_FOUND", 'Cannot allocate "shard-0" to "z": no such region'],
  ["shard-0", "b", "REGION_NOT_ALIVE", 'Cannot allocate "shard-0" to "b": "b" has left'],
])(
  "[A1, A2] allocating %s to %s is refused with %s, and nothing is written",
  (shard, region, code, message) => {
    const driven = founded();
    driven.delta(1, "members", rowEntry("b", 2, { status: "left" }));
    expect(driven.call({ type: "allocate", shard, region }).effects).toEqual([
      { type: "answer", call: 1, outcome: { ok: false, code, message } },
    ]);
  },
);

test("[A1] releasing an unknown shard is refused", () => {
  const { outcome } = founded().call({ type: "release", shard: "shard-9" });
  expect(outcome).toMatchObject({ ok: false, code: "SHARD_NOT_FOUND" });
});

test("[G1] what another peer pushed is made durable and told, and passed on to nobody", () => {
  const driven = founded();
  driven.open(2, "c");
  driven.now = 30;
  const entry = allocationEntry("shard-1", "b", 25, life("b"));
  const maps = [{ map: "allocations", entries: [entry] }];
  const superseded = allocation("shard-1", "a", at(0, 3));
  const change = { ...allocation("shard-1", "b", at(25), life("b")), superseded };
  expect(driven.receive(1, { type: "delta", maps })).toEqual([
    { type: "persist", maps, clockBound },
    { type: "notify", change: { type: "allocation", ...change } },
    { type: "notify", change: { type: "release", shard: "shard-1", to: "b" } },
  ]);
});

test("[G2] entries that lost cause nothing at all, and an echo does not either", () => {
  const driven = founded();
  driven.open(2, "c");
  expect(driven.delta(1, "allocations", allocationEntry("shard-1", "b", -5))).toEqual([]);
  const entry = allocationEntry("shard-1", "b", 10);
  expect(driven.delta(1, "allocations", entry)).not.toEqual([]);
  expect(driven.delta(2, "allocations", entry)).toEqual([]);
  expect(
    driven.receive(2, { type: "repair", maps: [{ map: "allocations", entries: [entry] }] }),
  ).toEqual([]);
});

test("[G4] what a reconciliation won is pushed to all but where it came from, as if written here", () => {
  const driven = founded();
  driven.open(2, "c");
  driven.open(3, "d");
  const maps = [{ map: "allocations", entries: [allocationEntry("shard-1", "b", 10)] }];
  const effects = driven.receive(2, { type: "repair", maps });
  expect(effects.slice(0, 2)).toEqual([
    { type: "persist", maps, clockBound },
    { type: "send", links: [1, 3], message: { type: "delta", maps } },
  ]);
});

test("[G4] of a repair only the winners are pushed on", () => {
  const driven = founded();
  driven.open(2, "c");
  const [won, lost] = [allocationEntry("shard-1", "b", 10), allocationEntry("shard-0", "b", -9)];
  const effects = driven.receive(2, {
    type: "repair",
    maps: [{ map: "allocations", entries: [lost, won] }],
  });
  expect(sentTo(effects, 1)).toEqual([
    { type: "delta", maps: [{ map: "allocations", entries: [won] }] },
  ]);
});

test("[G5] the dialler of a new link says how it is, and synchronises at once", () => {
  const driven = new HandDriven("a", { join: ["b:1"] });
  const [dial] = effectsOf(driven.start(), "dial");
  expect(dial).toEqual({ type: "dial", dial: 1, address: "b:1" });
  const effects = driven.open(1, "b", {}, 1);
  expect(effects.map((effect) => effect.type === "send" && effect.message.type)).toEqual([
    "heartbeat",
    "head",
  ]);
});

/** Ends an exchange on a link, as if its other end had the same replica. */
function synchronise(driven: HandDriven, link: number): void {
  const [, head] = sentTo(driven.open(99, "z", {}, 0), 99);
  driven.step({ type: "link-closed", link: 99, clean: true });
  if (head?.type !== "head") throw new Error("the dialler of a new link synchronises");
  const { exchange } = head;
  expect(sentTo(driven.receive(link, head), link)).toEqual([{ type: "done", exchange }]);
}

test("[G6] a congested link gets no deltas, and is synchronised once it has drained", () => {
  const driven = founded();
  driven.open(2, "c");
  synchronise(driven, 2);
  expect(driven.step({ type: "link-congested", link: 2 })).toEqual([]);
  const allocate = driven.call({ type: "allocate", shard: "shard-0", region: "a" }).effects;
  expect(sentTo(allocate, 1).map(({ type }) => type)).toEqual(["delta"]);
  expect(sentTo(allocate, 2)).toEqual([]);
  const drained = driven.step({ type: "link-drained", link: 2 });
  expect(sentTo(drained, 2).map(({ type }) => type)).toEqual(["head"]);
  const again = driven.call({ type: "allocate", shard: "shard-0", region: "b" }).effects;
  expect(sentTo(again, 2).map(({ type }) => type)).toEqual(["delta"]);
});

test("[G3] about once every syncIntervalMs one neighbour at random gets a summary of constant size", () => {
  const driven = founded();
  driven.open(2, "c");
  driven.open(3, "d");
  const { syncIntervalMs } = TIMINGS.lan;
  const rounds: { now: number; link: number }[] = [];
  const beat = {
    sentAt: 0,
    echo: -1,
    echoDelayMs: 0,
    heardMs: 0,
    stepMs: 0,
    leadMs: 0,
    everyMs: 250,
  };
  driven.pass(120_000, (effects, now) => {
    for (const link of [1, 2, 3]) {
      driven.receive(link, { type: "heartbeat", ...beat, wallMs: WALL_MS + now });
      for (const message of sentTo(effects, link)) {
        if (message.type !== "head") continue;
        expect(message.summary).toHaveLength(SUMMARY_BYTES);
        rounds.push({ now, link });
        driven.receive(link, { type: "done", exchange: message.exchange });
      }
    }
  });
  const gaps = rounds.slice(1).map(({ now }, before) => now - (rounds[before]?.now ?? 0));
  const pulseMs = TIMINGS.lan.heartbeatMs / 2;
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0.75 * syncIntervalMs);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(1.25 * syncIntervalMs + pulseMs);
  expect(new Set(gaps).size).toBeGreaterThan(3);
  for (const link of [1, 2, 3]) {
    expect(rounds.filter((round) => round.link === link).length).toBeGreaterThan(20);
  }
});

test("[G6] a link that was congested and missed nothing is left alone when it drains", () => {
  const driven = founded();
  synchronise(driven, 1);
  expect(driven.step({ type: "link-congested", link: 1 })).toEqual([]);
  expect(driven.step({ type: "link-drained", link: 1 })).toEqual([]);
});

test("[G10] entries of unknown maps, regions, shards and writers are kept and passed on", () => {
  const driven = founded();
  driven.open(2, "c");
  const maps = [
    { map: "of-a-later-version", entries: [{ key: "k", value: [1], time: at(1), writer: "?" }] },
    { map: "allocations", entries: [allocationEntry("shard-77", "nobody", 1)] },
    { map: "allocations", entries: [{ ...allocationEntry("shard-0", "x", 5), value: ["x", [7]] }] },
  ];
  const effects = driven.receive(1, { type: "repair", maps });
  expect(effectsOf(effects, "persist")[0]?.maps).toEqual(maps);
  expect(sentTo(effects, 2)).toEqual([{ type: "delta", maps }]);
  expect(driven.entry("of-a-later-version", "k")).toEqual(maps[0]?.entries[0]);
  expect(driven.entry("allocations", "shard-0")?.value).toEqual(["x", [7]]);
});

test("[G10] entries beyond a cap close their link, loudly, and none of them is taken", () => {
  const driven = founded();
  const maps = Array.from({ length: 64 }, (_, number) => ({
    map: `later-${number}`,
    entries: [{ key: "k", value: 1, time: at(1), writer: "w" }],
  }));
  const effects = driven.receive(1, { type: "repair", maps });
  expect(effects).toEqual([
    {
      type: "notify",
      change: {
        type: "warning",
        code: "BUFFER_FULL",
        message: 'Cannot take entries of "b": the replica is full',
      },
    },
    { type: "close", link: 1, code: "BUFFER_FULL" },
  ]);
  expect(driven.entry("later-0", "k")).toBeUndefined();
  expect(driven.machine.isReady).toBe(true);
});

test("[F6] who leaves hands its shards over and says goodbye to all, before it closes its links", () => {
  const driven = founded();
  driven.now = 40;
  const { effects } = driven.call({ type: "leave" });
  const [delta] = sentTo(effects, 1);
  expect(persisted(effects)).toEqual(["allocations shard-1", "allocations shard-0", "members a"]);
  expect(sentTo(effects, 1).flatMap((message) => ("maps" in message ? message.maps : []))).toEqual(
    effectsOf(effects, "persist")[0]?.maps,
  );
  expect(delta?.type).toBe("delta");
  expect(effects.at(-2)).toMatchObject({ type: "answer", outcome: { ok: true } });
  expect(effects.at(-1)).toEqual({ type: "close", link: 1, code: "LEAVING" });
  expect(driven.entry("members", "a")?.value).toMatchObject({ 0: "left" });
  expect(driven.machine.isReady).toBe(false);
  expect(driven.call({ type: "leave" }).outcome).toEqual({ ok: true, value: undefined });
  const { outcome } = driven.call({ type: "allocate", shard: "shard-0", region: "b" });
  expect(outcome).toMatchObject({ ok: false, code: "NOT_READY" });
});

test("[F6] a peer that has left dials nobody, and sleeps in between", () => {
  const driven = founded();
  const dials = effectsOf(driven.step({ type: "link-closed", link: 1, clean: true }), "dial");
  expect(dials).toEqual([{ type: "dial", dial: 1, address: "b:1" }]);
  for (const { dial } of dials) driven.step({ type: "dial-failed", dial, failure: "unreachable" });
  driven.call({ type: "leave" });
  let wakes = 0;
  driven.pass(2000, (effects) => {
    wakes += 1;
    expect(effectsOf(effects, "dial")).toEqual([]);
    if (wakes > 100) throw new Error(`Woken ${wakes} times by ${driven.now} ms`);
  });
});

test("[S9] a silent link is terminated, since no close frame would arrive, and dialled anew", () => {
  const driven = founded();
  const seen: Effect[] = driven.pass(4000);
  expect(effectsOf(seen, "close")).toEqual([
    { type: "close", link: 1, code: "TIMEOUT", silent: true },
  ]);
  expect(effectsOf(seen, "dial")[0]).toMatchObject({ address: "b:1" });
});

test("[S9] what is still in flight on a link that was terminated changes nothing", () => {
  const driven = founded();
  driven.pass(4000);
  expect(driven.delta(1, "allocations", allocationEntry("shard-1", "b", 3999))).toEqual([]);
  expect(driven.step({ type: "link-closed", link: 1, clean: false })).toEqual([]);
});

test("[R6] the shards are there without being written", () => {
  const driven = new HandDriven("a", { shardCount: 3, join: ["b:1"] });
  expect(persisted(driven.start())).toEqual([]);
  expect(driven.machine.view.shards()).toEqual(["shard-0", "shard-1", "shard-2"]);
  expect(driven.machine.identity(0, WALL_MS).shardCount).toBe(3);
});

test("a halted machine does nothing more, and wants not to be woken", () => {
  const driven = founded();
  const older = { time: at(-50), writer: life("z") };
  const [reset] = driven.open(2, "z", { founding: older });
  expect(reset).toEqual({
    type: "reset",
    join: ["z:1"],
    older,
    message: 'Beginning again with the table of "z": it belongs to an older cluster',
  });
  expect(driven.machine.deadline()).toBe(Number.POSITIVE_INFINITY);
  expect(driven.delta(1, "allocations", allocationEntry("shard-1", "b", 9))).toEqual([]);
});
