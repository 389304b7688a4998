/**
 * Beyond a full mesh: what one change and an idle second cost, and whether another way of pushing is better.
 *
 * First, real machines in the simulator, 100, 300 and 1000 of them, on links of one ms: how long a change
 * takes to the last of them, how many deltas they get for it, and what an idle peer sends. They start from
 * disks that hold the whole cluster, since a thousand joins are another bench.
 *
 * Then the rule that the core pushes by against two others, as bare models over the same links
 * (`push-models.ts`), while all is well, with a tenth of the messages lost, and with a tenth of the
 * members just dead. Over TCP nothing is lost but with its link, so the losses are harder than life.
 */
import { Network } from "../../sim/network.ts";
import { SimulatedPeer, WALL_START_MS } from "../../sim/peer.ts";
import { World } from "../../sim/world.ts";
import { packTimestamp } from "../../src/core/clock.ts";
import { FOUNDING_KEY, SETTINGS } from "../../src/core/founding.ts";
import { encodeRow, MEMBERS } from "../../src/core/membership.ts";
import type { MapEntries } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { ALLOCATIONS, encodeAllocation } from "../../src/core/view.ts";
import { mean } from "./measure.ts";
import { arcs, flooding, nodesOf, type Outcome, plumtree, Spread } from "./push-models.ts";
import type { Bench, Figure, Section } from "./report.ts";

/** Peers, and when the last of them should have a change, in ms. */
const SIZES = [
  [100, 10],
  [300, 12],
  [1000, 15],
] as const;
const CHANGES = 20;
const CHANGE_MS = 100;
const IDLE_MS = 4000;
/** Until everybody has linked, joined and come to rest; most of it is what a link lingers. */
const SETTLE_MS = 16_000;

const TROUBLES = [
  ["all well", { loss: 0, dead: 0 }],
  ["a tenth of the messages lost", { loss: 0.1, dead: 0 }],
  ["a tenth of the members just dead", { loss: 0, dead: 0.1 }],
] as const;
const PUSHES = { arcs, flooding, plumtree };
/** Changes before those that count: Plumtree finds its tree. */
const WARM_UPS = 30;

export const bench: Bench = {
  summary: "one change among 100, 300 and 1000 simulated peers, and other ways to push it",
  run: async (progress) => {
    const sections: Section[] = [];
    for (const [count, targetMs] of SIZES) {
      progress(`${count} simulated peers`);
      sections.push(measureCluster(count, targetMs));
    }
    for (const [count] of SIZES) {
      progress(`ways to push among ${count}`);
      for (const [title, trouble] of TROUBLES) {
        const figures = Object.entries(PUSHES).flatMap(([name, create]) => {
          const push = create();
          const nodes = nodesOf(count);
          const spread = (seed: number, isCalm: boolean): Outcome => {
            const writer = (seed * 7919) % count;
            const run = new Spread(nodes, isCalm ? TROUBLES[0][1] : trouble, seed, writer);
            push(run, writer);
            return run.outcome();
          };
          for (let seed = 1; seed <= WARM_UPS; seed += 1) spread(seed, true);
          return figuresOf(
            name,
            count,
            Array.from({ length: CHANGES }, (_, at) => spread(at, false)),
          );
        });
        sections.push({ title: `${count} members, ${title}`, figures });
      }
    }
    return sections;
  },
};

function figuresOf(name: string, count: number, outcomes: readonly Outcome[]): Figure[] {
  const of = (value: (outcome: Outcome) => number): number => mean(outcomes.map(value));
  return [
    { name: `${name}: changes sent per member`, value: of((o) => o.payloads / count), unit: "" },
    { name: `${name}: other messages per member`, value: of((o) => o.others / count), unit: "" },
    { name: `${name}: half have it`, value: of((o) => o.halfMs), unit: "ms" },
    { name: `${name}: all have it`, value: of((o) => o.allMs), unit: "ms" },
    { name: `${name}: hops`, value: Math.max(...outcomes.map((o) => o.hops)), unit: "" },
  ];
}

function measureCluster(count: number, targetMs: number): Section {
  const world = new World();
  const random = new Random(count);
  const network = new Network(world, random, {
    ...{ delayMsMean: 0, delayMsMin: 1, bytesPerMs: 100_000 },
    ...{ lossProbability: 0, duplicateProbability: 0 },
  });
  let deltas = 0;
  let lastAt = 0;
  const told = new Set<SimulatedPeer>();
  const names = Array.from({ length: count }, (_, index) => `peer-${index}`);
  const image = imageOf(names);
  const peers = names.map((name, index) => {
    const options = {
      ...{ name, cluster: "bench", address: `${name}:1`, shardCount: 1, zone: null, weight: 1 },
      join: [`peer-${(index + 1) % count}:1`],
      ...{ downing: "majority" as const, timings: TIMINGS.lan },
    };
    const peer = new SimulatedPeer(world, network, options, new Random(index), {
      stepped: (_, event) => {
        if (event.type !== "received") return;
        deltas += event.messages.filter(({ type }) => type === "delta").length;
      },
      persisted: (by, maps) => {
        if (!maps.some(({ map }) => map === ALLOCATIONS)) return;
        told.add(by);
        lastAt = world.now;
      },
    });
    peer.disk.begin(image, packTimestamp(WALL_START_MS), []);
    peer.disk.sync();
    return peer;
  });
  for (const peer of peers) peer.start();
  world.runUntil(SETTLE_MS);
  const links = mean(peers.map(({ machine }) => machine?.status().links ?? 0));
  const bytes = network.bytes;
  world.runUntil(world.now + IDLE_MS);
  const idle = ((network.bytes - bytes) * 1000) / IDLE_MS / count;
  const times: number[] = [];
  let missed = 0;
  deltas = 0;
  for (let change = 0; change < CHANGES; change += 1) {
    const from = world.now;
    told.clear();
    lastAt = from;
    const writer = random.pick(peers);
    writer?.call({ type: "allocate", shard: "shard-0", region: random.pick(names) ?? "" });
    world.runUntil(from + CHANGE_MS);
    if (told.size < count) missed += 1;
    times.push(lastAt - from);
  }
  return {
    title: `${count} simulated peers on links of 1 ms`,
    figures: [
      {
        ...{ name: "a change is with the last peer, worst", value: Math.max(...times), unit: "ms" },
        target: { atMost: targetMs },
      },
      { name: "a change is with the last peer, mean", value: mean(times), unit: "ms" },
      {
        ...{ name: "deltas per peer and change", value: deltas / CHANGES / count, unit: "" },
        target: { atMost: 2 },
      },
      { name: "changes that missed somebody", value: missed, unit: "", target: { atMost: 0 } },
      { name: "links per peer", value: links, unit: "" },
      { name: "an idle peer sends", value: idle, unit: "B/s", target: { atMost: 1500 } },
    ],
  };
}

/** The disk of every peer of a cluster that was running a moment ago. */
function imageOf(names: readonly string[]): MapEntries[] {
  const started = WALL_START_MS;
  const time = packTimestamp(WALL_START_MS - 1000);
  const incarnationOf = (name: string): string => `${started.toString(36)}-${name}:1-1`;
  const writer = incarnationOf(names[0] as string);
  const rows = names.map((name) => {
    const incarnation = incarnationOf(name);
    const row = { status: "alive" as const, incarnation, started, address: `${name}:1` };
    const value = encodeRow({
      ...row,
      zone: null,
      weight: 1,
      draining: false,
      joined: 0,
      since: started,
    });
    return { key: name, value, time, writer: incarnation };
  });
  const owner = encodeAllocation(names[0] as string);
  return [
    { map: SETTINGS, entries: [{ key: FOUNDING_KEY, value: [names[0] as string], time, writer }] },
    { map: MEMBERS, entries: rows },
    { map: ALLOCATIONS, entries: [{ key: "shard-0", value: owner, time, writer }] },
  ];
}
