import { expect, test } from "vitest";
import { type Checker, Violations } from "../../sim/checker.ts";
import { DetectionChecker } from "../../sim/checkers/detection.ts";
import { Network } from "../../sim/network.ts";
import { drawOptions } from "../../sim/options.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import { World } from "../../sim/world.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { member } from "../core/members.ts";
import { received } from "./shown-peers.ts";

type State = "alive" | "suspect" | "dead" | "removed";

/** Peers that see each other in given states, the same at all times. */
class Scene {
  readonly world = new World();
  readonly network: Network;
  readonly violations = new Violations(() => this.world.now);
  readonly checker: Checker;
  readonly peers: SimulatedPeer[];

  constructor(seen: Record<string, State>, names: readonly string[], delayMsMean = 1) {
    this.network = new Network(this.world, new Random(1), {
      ...{ delayMsMean, delayMsMin: 0, bytesPerMs: 1 },
      ...{ lossProbability: 0, duplicateProbability: 0 },
    });
    const options = { ...drawOptions({ seed: 1, faults: "none" }), delayMsMean };
    this.checker = new DetectionChecker(this.violations.report, this.network, options);
    this.peers = names.map((name) => shown(name, seen, names));
  }

  pass(ms: number): this {
    for (const until = this.world.now + ms; this.world.now < until; ) {
      this.world.runUntil(this.world.now + 250);
      this.checker.sampled?.(this.peers);
    }
    return this;
  }

  /** Lets the first peer give a verdict about another one. */
  says(kind: string, subject: string, why = "silent"): this {
    const [peer] = this.peers;
    const writer = peer?.machine?.incarnation ?? "";
    const entry = { key: `${subject}/${peer?.name}`, value: [kind, 1, "w", writer, why] };
    const maps = [{ map: "verdicts", entries: [{ ...entry, time: 1, writer }] }];
    if (peer) this.checker.persisted?.(peer, maps);
    return this;
  }

  /** Lets a frame of another peer come to the first one. */
  hears(name: string): this {
    const [peer] = this.peers;
    const link = this.peers.findIndex((other) => other.name === name);
    if (peer) this.checker.stepped?.(peer, received(link));
    return this;
  }

  get rules(): string[] {
    return this.violations.list.map(({ rule }) => rule);
  }
}

function shown(
  name: string,
  seen: Record<string, State>,
  names: readonly string[],
): SimulatedPeer & { state: string } {
  const members = names.map((other) => {
    const state = seen[`${name} ${other}`] ?? "alive";
    const isRemoved = state === "removed";
    return member(other, { status: isRemoved ? "dead" : state, removed: isRemoved });
  });
  const get = (other: string) => members.find((one) => one.name === other);
  const membership = { all: () => members, get };
  const machine = { incarnation: `${name}1`, isReady: true, view: { membership } };
  const process = { state: "up", slowMs: 0, wallOffsetMs: 0 };
  const options = { timings: TIMINGS.lan, diskMs: 0, downing: "majority" };
  const links = { remoteOf: (link: number) => names[link] };
  return { name, ...process, options, machine, links } as unknown as SimulatedPeer;
}

test("[L7] who lives, can be reached and is dead to somebody for long is found", () => {
  const scene = new Scene({ "a b": "dead" }, ["a", "b"]);
  expect(scene.pass(9000).rules).toEqual([]);
  expect(scene.pass(3000).rules).toEqual(["L7"]);
  const cut = new Scene({ "a b": "dead" }, ["a", "b"]);
  cut.network.cut("b", "a");
  expect(cut.pass(60_000).rules).toEqual([]);
});

test("[L8] who is down or hangs, and is not dead to somebody who goes on, is found", () => {
  for (const state of ["down", "paused"] as const) {
    const scene = new Scene({ "a b": "suspect" }, ["a", "b"]);
    const [, b] = scene.peers;
    if (b) b.state = state;
    expect(scene.pass(9000).rules).toEqual([]);
    expect(scene.pass(3000).rules).toEqual(["L8"]);
  }
  const known = new Scene({ "a b": "dead" }, ["a", "b"]);
  const [, b] = known.peers;
  if (b) b.state = "down";
  expect(known.pass(60_000).rules).toEqual([]);
});

test("[F3] the suspicion of somebody whom another one hears is found", () => {
  const names = ["a", "b", "c"];
  expect(new Scene({}, names).pass(5000).says("suspect", "b").rules).toEqual(["F3"]);
  expect(new Scene({}, ["a", "b"]).pass(5000).says("suspect", "b").rules).toEqual([]);
  const cut = new Scene({}, names);
  cut.network.cut("c", "b");
  expect(cut.pass(5000).says("suspect", "b").rules).toEqual([]);
  // What was cut a moment ago is not between two samples.
  const late = new Scene({}, names).pass(5000);
  late.network.cut("a", "c");
  expect(late.says("suspect", "b").rules).toEqual([]);
  // Where frames take so long, no witness answers in time.
  expect(new Scene({}, names, 80).pass(5000).says("suspect", "b").rules).toEqual([]);
});

test("[F5] the removal of somebody who refuses, by a side that reaches no majority, is found", () => {
  const names = ["a", "b", "c", "d", "e"];
  const removal = (why: string, ...cut: string[]): string[] => {
    const scene = new Scene({}, names).pass(1000);
    for (const name of cut) scene.network.cut("a", name);
    return scene.pass(4000).says("removed", "b", why).rules;
  };
  const why = "nothing listens at b:1";
  expect(removal(why, "b", "c")).toEqual([]);
  expect(removal(why, "b", "c", "d")).toEqual(["F5"]);
  // What is open for a moment between two samples lets somebody be heard.
  const glimpse = new Scene({}, names).pass(1000);
  for (const name of ["b", "c", "d"]) glimpse.network.cut("a", name);
  expect(glimpse.pass(4000).hears("c").says("removed", "b", why).rules).toEqual([]);
  expect(removal(`${why}, and so for 5000 ms to who goes on`, "b", "c", "d")).toEqual([]);
});
