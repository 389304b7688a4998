/**
 * One run: peers, faults and calls for a while, then some or all of it heals and must settle.
 *
 * First phase, safety: faults strike and users call, and nothing that must never happen may happen.
 * Second phase, liveness: a core of peers, or all of them, is healed; whatever is wrong outside stays
 * so for ever. Within a bound the core must agree, with every shard at a region that lives. Everything
 * is drawn from the seed, so a number repeats a run.
 *
 * Source: the two phases are TigerBeetle's (`src/vopr.zig`).
 */
import type { Change } from "../src/core/effect.ts";
import { Hash64, hexOf } from "../src/core/hash.ts";
import { Random } from "../src/core/random.ts";
import { type Violation, Violations } from "./checker.ts";
import { DocumentPeers } from "./document-peers.ts";
import { Faults } from "./faults.ts";
import { IntruderSquad } from "./intruders.ts";
import { Jury, type MoreCheckers } from "./jury.ts";
import { Network } from "./network.ts";
import {
  drawOptions,
  ERA_MS_MIN,
  isStanding,
  type RunOptions,
  type RunRequest,
  type StrikeKind,
} from "./options.ts";
import { shuffled } from "./partitions.ts";
import { SimulatedPeer } from "./peer.ts";
import { peerOptions } from "./peer-options.ts";
import { PROBE_MS, Probes } from "./probes.ts";
import { type Course, describe, Timeline } from "./timeline.ts";
import { type Operation, Workload } from "./workload.ts";
import { World } from "./world.ts";

/** How long the healed peers may take until they have settled, in ms. */
const SETTLE_MS_MAX = 60_000;
const SETTLE_STEP_MS = 100;
/** How often what was done to peers and links is looked at, in ms. */
const LOOK_MS = 50;
/** How often everything is noted down, and tables are compared, in ms. */
const SAMPLE_MS = 250;
const COMPARE_MS = 1000;
/** How long nothing happens at the end, to see what an idle cluster sends, in ms. */
const IDLE_MS = 2000;
/** How long clocks, plans, redials and late exchanges take to come to rest, in ms. */
const REST_MS = 4000;
/** How long the links of an overlay are looked at, in ms: as long as it may take to find four that do not answer. */
const LINKS_MS = 9000;
/** How long it takes until all know what every shard has published, in ms. */
const REPUBLISH_MS = 3000;
/** How many changes are made then to see what one costs, and how far apart, in ms. */
const CHANGES = 20;
const CHANGE_MS = 20;

/** How long windows may take until they are right, in ms: a host that hangs when all heals hangs for 30 s. */
const FOLLOW_MS_MAX = 45_000;

/** How long documents may take until all copies are equal, in ms: as long. */
const GATHER_MS_MAX = 45_000;

/** How long the tick takes that is completed in the end, and how often regions work on it, in ms. */
const TICK_MS_MAX = 20_000;
const TICK_STEP_MS = 250;
/** How long it takes until what a tick wrote is everywhere, exchanges included, in ms. */
const TICK_REST_MS = 1500;

export interface RunReport {
  readonly seed: number;
  readonly passed: boolean;
  /** Depends on every frame, step and change of the run: equal for equal requests. */
  readonly digest: string;
  readonly violations: readonly Violation[];
  /** From the end of the faults until the healed peers agreed; null when they did not. */
  readonly convergenceMs: number | null;
  readonly events: number;
  readonly bytes: number;
  readonly messages: number;
  readonly operations: number;
  readonly faults: Readonly<Record<string, number>>;
  /** How often rare things happened: shows that they were reached at all. */
  readonly sometimes: Readonly<Record<string, number>>;
}

/** A run with what is needed to look at it. */
export interface DetailedReport extends RunReport {
  readonly options: RunOptions;
  readonly course: Course;
  /** Names of the peers that were healed in the end; empty when it did not come to that. */
  readonly core: readonly string[];
  /** When the faults ended, and how long the run was; null when it did not come to that. */
  readonly healedAtMs: number | null;
  readonly endedAtMs: number;
}

/** Prepares a run. Nothing happens until `run`, or the first of its `steps`. */
export function createSimulation(request: RunRequest, more?: MoreCheckers): Simulation {
  return new Simulation(drawOptions(request), more);
}

/** Runs one simulation to its end. Pure: equal requests give equal reports. */
export function simulate(request: RunRequest): DetailedReport {
  return createSimulation(request).run();
}

/** A digest as people compare it. */
export function writeDigest(digest: Hash64): string {
  digest.finish();
  return hexOf(digest.high) + hexOf(digest.low);
}

export class Simulation {
  readonly options: RunOptions;
  readonly world = new World();
  readonly network: Network;
  readonly peers: readonly SimulatedPeer[];
  readonly violations: Violations;
  readonly #start: Random;
  readonly #calls: Random;
  readonly #end: Random;
  readonly #jury: Jury;
  readonly #probes: Probes;
  readonly #faults: Faults;
  readonly #workload: Workload;
  readonly #intruders: IntruderSquad;
  readonly #timeline: Timeline;
  readonly #documents: DocumentPeers;
  readonly #digest = new Hash64();
  #core: readonly SimulatedPeer[] = [];
  #comparedAt = 0;
  #healedAtMs: number | null = null;
  #convergenceMs: number | null = null;

  constructor(options: RunOptions, more: MoreCheckers = () => []) {
    this.options = options;
    this.#digest.reset(options.seed, 0);
    // A stream for each part: a run that leaves out part of another one has the rest as it was.
    const random = new Random(options.seed ^ 0x5eed);
    const stream = (): Random => new Random(random.uint32());
    this.#start = stream();
    this.#calls = stream();
    this.#end = stream();
    this.network = new Network(this.world, stream(), { ...options, delayMsMin: 0.1 });
    this.violations = new Violations(() => this.world.now);
    const { report } = this.violations;
    const documents = new DocumentPeers(this.world);
    this.#documents = documents;
    this.#jury = new Jury({
      ...{ options, network: this.network, now: () => this.world.now, more, documents },
      struck: () => this.#faults.struck,
      report,
    });
    const { calls, coordination, asks, frequencies, live } = this.#jury;
    this.#probes = new Probes(asks, report, this.#end);
    const observer = this.#jury.observer((peer, change) => this.#changed(peer, change));
    const all = peerOptions(options);
    const [intruders, faults, workload] = [stream(), stream(), stream()];
    const { network, world } = this;
    this.peers = all.map((peer) => new SimulatedPeer(world, network, peer, stream(), observer));
    this.#timeline = new Timeline(world, network, this.peers);
    this.#intruders = new IntruderSquad(world, network, intruders, observer, all);
    this.#faults = new Faults(world, network, this.peers, faults, this.#intruders);
    if (options.hosts && options.workload.includes("live")) {
      live.attach(this.peers, world, options.shards);
    }
    documents.populate(this.peers, options);
    const models = { calls, frequencies, coordination, asks, documents, live };
    this.#workload = new Workload(this.peers, options, workload, models, report);
  }

  run(): DetailedReport {
    for (const steps = this.steps(); ; ) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  }

  /** Runs piece by piece, for whoever has something else to do meanwhile; yields the virtual time. */
  *steps(): Generator<number, DetailedReport> {
    const { options, world } = this;
    for (const peer of this.peers) {
      world.plan(this.#start.unit() * options.startSpreadMs, () => peer.start());
    }
    this.#recur(options.operationEveryMs, this.#calls, () => this.#workload.operate(world.now));
    for (const kind of options.faults) {
      if (isStanding(kind)) this.#faults.count(kind);
      else this.#recur(options.faultEveryMs, this.#faults.randomOf(kind), () => this.#strike(kind));
    }
    yield* this.#pass(options.durationMs);
    this.#compare();
    this.#core = this.#heal();
    this.#healedAtMs = world.now;
    this.#convergenceMs = yield* this.#settle(this.#core);
    if (this.#convergenceMs !== null) {
      yield* this.#watchLinks(this.#core);
      yield* this.#follow(this.#core);
      yield* this.#gather(this.#core);
      yield* this.#tick(this.#core);
      yield* this.#rest(this.#core);
    }
    return this.report();
  }

  /** Asks for something at a peer, by its number, besides what the workload asks for. */
  planOperation(atMs: number, peer: number, operation: Operation): void {
    const asked = this.peers[peer % this.peers.length] as SimulatedPeer;
    this.world.plan(atMs - this.world.now, () => this.#workload.perform(asked, operation));
  }

  /** Lets a fault strike, besides those that are drawn. */
  planFault(atMs: number, kind: StrikeKind): void {
    this.world.plan(atMs - this.world.now, () => this.#strike(kind));
  }

  /** What is known. The run should have come to its end, or go no further. */
  report(): DetailedReport {
    const { network, options, world } = this;
    this.#note();
    return {
      seed: options.seed,
      passed: this.violations.list.length === 0,
      digest: writeDigest(this.#digest),
      violations: this.violations.list,
      convergenceMs: this.#convergenceMs,
      events: world.eventCount,
      bytes: network.bytes,
      messages: network.frames,
      operations: this.#workload.operations,
      faults: this.#faults.counts as Record<string, number>,
      sometimes: this.#timeline.sometimes,
      options,
      course: this.#timeline.course(),
      core: this.#core.map(({ name }) => name),
      healedAtMs: this.#healedAtMs,
      endedAtMs: world.now,
    };
  }

  #changed(peer: SimulatedPeer, change: Change): void {
    this.#timeline.changed(peer, change);
    this.#digest.word(Math.round(this.world.now * 1000));
    this.#digest.text(peer.name);
    this.#digest.text(describe(change));
  }

  #strike(kind: StrikeKind): void {
    this.#faults.strike(kind);
    this.#timeline.struck(kind);
  }

  /** Lets time pass, and looks at what comes of it. */
  *#pass(untilMs: number, sampleMs = SAMPLE_MS): Generator<number, void> {
    const { world } = this;
    for (let sampleAt = world.now + sampleMs; world.now < untilMs; ) {
      world.runUntil(Math.min(untilMs, sampleAt, world.now + LOOK_MS));
      this.#timeline.look();
      if (world.now >= sampleAt || world.now >= untilMs) {
        sampleAt = world.now + sampleMs;
        this.#timeline.sample();
        if (world.now >= this.#comparedAt + COMPARE_MS) this.#compare();
        for (const checker of this.#jury.checkers) checker.sampled?.(this.peers);
        this.#note();
      }
      yield world.now;
    }
  }

  #compare(): void {
    this.#comparedAt = this.world.now;
    this.#jury.agreement.compare(this.peers);
  }

  /** Puts into the digest how far the run has come. */
  #note(): void {
    this.#digest.word(this.network.bytes);
    this.#digest.word(this.network.frames);
    this.#digest.word(this.world.eventCount);
  }

  /** Ends the faults; returns the peers that are well from now on. */
  #heal(): SimulatedPeer[] {
    this.#intruders.leave();
    this.network.calm();
    const { options, peers } = this;
    const size = options.isCoreHealed ? 1 + this.#end.below(peers.length) : peers.length;
    const core = shuffled(peers, this.#end).slice(0, size);
    core.sort((a, b) => (a.name < b.name ? -1 : 1));
    const outside = peers.filter((peer) => !core.includes(peer));
    for (const peer of outside) this.#faults.abandon(peer, core);
    this.#faults.heal(core);
    for (const peer of core) peer.calmHost();
    this.#timeline.look();
    return core;
  }

  /**
   * Waits until `core` agrees. Peers that have not noticed yet what was healed may well agree by
   * chance, so that they have to do so after a while, and when there is nobody else, for a while.
   */
  *#settle(core: readonly SimulatedPeer[]): Generator<number, number | null> {
    const { world } = this;
    const healedAt = world.now;
    const isWhole = core.length === this.peers.length;
    for (let settledAt: number | undefined; ; ) {
      this.#faults.restart(core);
      const reason = this.#jury.agreement.unsettled(core, isWhole, this.peers);
      settledAt = reason === undefined ? (settledAt ?? world.now) : undefined;
      const restedFrom = isWhole ? settledAt : healedAt;
      if (settledAt !== undefined && world.now - (restedFrom ?? healedAt) >= REST_MS) {
        if (isWhole) for (const checker of this.#jury.checkers) checker.settled?.(core);
        return settledAt - healedAt;
      }
      if (settledAt === undefined && world.now - healedAt > SETTLE_MS_MAX) {
        const rule = isWhole ? "L1" : "L3";
        this.violations.report(rule, `Not settled ${SETTLE_MS_MAX} ms after healing: ${reason}`);
        return null;
      }
      yield* this.#pass(world.now + SETTLE_STEP_MS, SETTLE_STEP_MS);
    }
  }

  /** What links peers have once they agree, some of them cut off from others for ever. */
  *#watchLinks(core: readonly SimulatedPeer[]): Generator<number, void> {
    if (this.peers.length <= this.options.meshMax) return;
    for (const until = this.world.now + LINKS_MS; this.world.now < until; ) {
      yield* this.#pass(this.world.now + LOOK_MS);
      this.#jury.overlay.look(core, this.peers);
    }
  }

  /** [V10, V13] What is followed comes to rest, and is right then. */
  *#follow(core: readonly SimulatedPeer[]): Generator<number, void> {
    if (core.length !== this.peers.length) return;
    const { live } = this.#jury;
    const untilMs = this.world.now + FOLLOW_MS_MAX;
    let problem = live.problem();
    while (problem !== undefined && this.world.now < untilMs) {
      yield* this.#pass(this.world.now + SAMPLE_MS);
      problem = live.problem();
    }
    if (problem !== undefined) this.violations.report(...problem);
  }

  /** [I14] Documents come to rest, and nothing is missing in them. */
  *#gather(core: readonly SimulatedPeer[]): Generator<number, void> {
    if (core.length !== this.peers.length || this.#documents.isEmpty) return;
    const untilMs = this.world.now + GATHER_MS_MAX;
    while (this.#documents.unsettled() !== undefined && this.world.now < untilMs) {
      yield* this.#pass(this.world.now + SAMPLE_MS);
    }
    this.#documents.judge(this.violations.report);
  }

  /** [L5] Ticks go on: whatever became of the present one, another can be started and completed. */
  *#tick(core: readonly SimulatedPeer[]): Generator<number, void> {
    const { world, options } = this;
    if (core.length !== this.peers.length || !options.workload.includes("ticks")) return;
    const startedAt = world.now;
    const wasAt = Math.max(...core.map(({ machine }) => machine?.status().tick ?? 0));
    const isOver = ({ machine }: SimulatedPeer): boolean => {
      const { tick, state } = machine?.view.ticks.status() ?? { tick: 0, state: "idle" };
      return tick > wasAt && state === "complete";
    };
    while (!core.every(isOver)) {
      if (world.now - startedAt > TICK_MS_MAX) {
        this.violations.report("L5", `No tick was complete in ${TICK_MS_MAX} ms`);
        return;
      }
      for (const peer of core) this.#jury.coordination.work(peer, 1, this.#end);
      const peer = this.#end.pick(core);
      const phases = ["sense", "act"];
      if (peer !== undefined && !core.some(isOver)) {
        this.#jury.coordination.call(peer, {
          type: "tick-start",
          phases,
          phaseTimeoutMs: TICK_MS_MAX,
        });
      }
      yield* this.#pass(world.now + TICK_STEP_MS, TICK_STEP_MS);
    }
    yield* this.#pass(world.now + TICK_REST_MS, TICK_REST_MS);
  }

  /** What an idle cluster sends, and what one change costs it. */
  *#rest(core: readonly SimulatedPeer[]): Generator<number, void> {
    if (core.length !== this.peers.length || this.options.eraMs < ERA_MS_MIN) return;
    const { network, options, world } = this;
    if (options.workload.includes("frequencies")) {
      this.#workload.republish(core);
      yield* this.#pass(world.now + REPUBLISH_MS);
      this.#jury.frequencies.republished(core);
    }
    const before = { bytes: network.bytes, frames: network.frames };
    yield* this.#pass(world.now + IDLE_MS);
    this.#jury.resources.idle(core, ((network.bytes - before.bytes) * 1000) / IDLE_MS);
    const idleFrames = ((network.frames - before.frames) * CHANGES * CHANGE_MS) / IDLE_MS;
    if (options.hosts) yield* this.#await("H4", this.#probes.all(core));
    const frames = network.frames;
    this.#jury.spread.begin(core);
    const asked: number[] = [];
    for (let change = 0; change < CHANGES; change += 1) {
      const [peer, region] = [this.#end.pick(core), this.#end.pick(core)?.name ?? ""];
      world.plan(change * CHANGE_MS, () =>
        peer?.call({ type: "allocate", shard: "shard-0", region }),
      );
      if (this.options.hosts) {
        const asker = peer ?? (this.peers[0] as SimulatedPeer);
        world.plan(change * CHANGE_MS, () => asked.push(this.#probes.at(asker, "shard-0")));
      }
    }
    yield* this.#pass(world.now + CHANGES * CHANGE_MS, CHANGES * CHANGE_MS);
    this.#jury.spread.end();
    // Where a shard is handed over one change is several, and two peers talk about it.
    if (!this.options.hosts)
      this.#jury.resources.change(core.length, (network.frames - frames - idleFrames) / CHANGES);
    yield* this.#await("H3", asked);
  }

  /** [H3, H4] Waits until each of these asks has been answered, by hosts that are sound. */
  *#await(rule: string, operations: readonly number[]): Generator<number, void> {
    const untilMs = this.world.now + PROBE_MS + SAMPLE_MS;
    while (this.#probes.areOpen(operations) && this.world.now < untilMs) {
      yield* this.#pass(this.world.now + SAMPLE_MS);
    }
    this.#probes.judge(rule, operations);
  }

  #recur(everyMs: number, random: Random, run: () => void): void {
    const { world } = this;
    const next = (): void => {
      if (world.now >= this.options.durationMs) return;
      run();
      world.plan(-everyMs * Math.log(1 - random.unit()), next);
    };
    world.plan(-everyMs * Math.log(1 - random.unit()), next);
  }
}
