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
import { Hash64 } from "../src/core/hash.ts";
import { Random } from "../src/core/random.ts";
import { TIMINGS } from "../src/core/timings.ts";
import { type Checker, type Violation, Violations } from "./checker.ts";
import { AgreementChecker } from "./checkers/agreement.ts";
import { CallsChecker } from "./checkers/calls.ts";
import { ClocksChecker } from "./checkers/clocks.ts";
import { EntriesChecker } from "./checkers/entries.ts";
import { IntrusionChecker } from "./checkers/intrusion.ts";
import { ResourcesChecker } from "./checkers/resources.ts";
import { ServingChecker } from "./checkers/serving.ts";
import { Faults } from "./faults.ts";
import { IntruderSquad } from "./intruders.ts";
import { Network } from "./network.ts";
import { drawOptions, type RunOptions, type RunRequest } from "./options.ts";
import { shuffled } from "./partitions.ts";
import { type Observer, type PeerOptions, SimulatedPeer } from "./peer.ts";
import { type Sample, Timeline } from "./timeline.ts";
import { Workload } from "./workload.ts";
import { World } from "./world.ts";

/** How long the healed peers may take until they have settled, in ms. */
const SETTLE_MS_MAX = 60_000;
const SETTLE_STEP_MS = 100;
/** How long nothing happens at the end, to see what an idle cluster sends, in ms. */
const IDLE_MS = 2000;

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
  /** The last changes of all peers, for people. */
  readonly history: readonly string[];
  readonly samples: readonly Sample[];
  /** Names of the peers that were healed in the end. */
  readonly core: readonly string[];
}

/** Prepares a run. Nothing happens until `run`. */
export function createSimulation(request: RunRequest): Simulation {
  return new Simulation(drawOptions(request));
}

/** Runs one simulation to its end. Pure: equal requests give equal reports. */
export function simulate(request: RunRequest): DetailedReport {
  return createSimulation(request).run();
}

export class Simulation {
  readonly options: RunOptions;
  readonly world = new World();
  readonly network: Network;
  readonly peers: readonly SimulatedPeer[];
  readonly violations: Violations;
  readonly #random: Random;
  readonly #checkers: Checker[];
  readonly #agreement: AgreementChecker;
  readonly #resources: ResourcesChecker;
  readonly #faults: Faults;
  readonly #workload: Workload;
  readonly #intruders: IntruderSquad;
  readonly #timeline: Timeline;
  readonly #digest = new Hash64();

  constructor(options: RunOptions) {
    this.options = options;
    const random = new Random(options.seed ^ 0x5eed);
    this.#random = random;
    this.#digest.reset(options.seed, 0);
    this.network = new Network(this.world, new Random(random.uint32()), {
      ...options,
      delayMsMin: 0.1,
    });
    this.violations = new Violations(() => this.world.now);
    const { report } = this.violations;
    const calls = new CallsChecker(report);
    this.#agreement = new AgreementChecker(report);
    this.#resources = new ResourcesChecker(report, options.peers);
    this.#checkers = [
      ...[new EntriesChecker(report), new ClocksChecker(report), calls, this.#agreement],
      ...[new ServingChecker(report), new IntrusionChecker(report), this.#resources],
    ];
    const observer = this.#observer();
    const all = peerOptions(options);
    this.peers = all.map((peer) => {
      const seed = new Random(random.uint32());
      return new SimulatedPeer(this.world, this.network, peer, seed, observer);
    });
    this.#timeline = new Timeline(this.world, this.network, this.peers);
    this.#intruders = new IntruderSquad(this.world, this.network, random, observer, all);
    this.#faults = new Faults(this.world, this.network, this.peers, random, this.#intruders);
    this.#workload = new Workload(this.peers, options.shards, random, calls, report);
  }

  run(): DetailedReport {
    const { options, world } = this;
    for (const peer of this.peers) {
      world.plan(this.#random.unit() * options.startSpreadMs, () => peer.start());
    }
    this.#recur(options.operationEveryMs, () => this.#workload.operate(world.now));
    if (options.faults.length > 0) {
      this.#recur(options.faultEveryMs, () => this.#faults.strike(options.faults));
    }
    while (world.now < options.durationMs) {
      world.runUntil(Math.min(options.durationMs, world.now + 250));
      this.#timeline.sample();
      this.#agreement.compare(this.peers);
    }
    const core = this.#heal();
    const convergenceMs = this.#settle(core);
    if (convergenceMs !== null) this.#rest(core);
    return this.#report(core, convergenceMs);
  }

  #observer(): Observer {
    const checkers = this.#checkers;
    return {
      persisted: (peer, maps) => {
        for (const checker of checkers) checker.persisted?.(peer, maps);
      },
      wiped: (peer) => {
        for (const checker of checkers) checker.wiped?.(peer);
      },
      changed: (peer, change) => {
        this.#digest.text(this.#timeline.changed(peer, change));
        for (const checker of checkers) checker.changed?.(peer, change);
      },
      answered: (peer, call, outcome) => {
        for (const checker of checkers) checker.answered?.(peer, call, outcome);
      },
      stepped: (peer) => {
        for (const checker of checkers) checker.stepped?.(peer);
      },
    };
  }

  /** Ends the faults; returns the peers that are well from now on. */
  #heal(): SimulatedPeer[] {
    this.#intruders.leave();
    this.network.calm();
    const { options, peers } = this;
    const size = options.isCoreHealed ? 1 + this.#random.below(peers.length) : peers.length;
    const core = shuffled(peers, this.#random).slice(0, size);
    core.sort((a, b) => (a.name < b.name ? -1 : 1));
    const outside = peers.filter((peer) => !core.includes(peer));
    for (const peer of outside) this.#faults.abandon(peer, core);
    this.#faults.heal(core);
    return core;
  }

  #settle(core: readonly SimulatedPeer[]): number | null {
    const { world } = this;
    const healedAt = world.now;
    const isWhole = core.length === this.peers.length;
    for (;;) {
      const reason = this.#agreement.unsettled(core, isWhole);
      if (reason === undefined) break;
      if (world.now - healedAt > SETTLE_MS_MAX) {
        const rule = isWhole ? "L1" : "L3";
        this.violations.report(rule, `Not settled ${SETTLE_MS_MAX} ms after healing: ${reason}`);
        return null;
      }
      world.runUntil(world.now + SETTLE_STEP_MS);
      this.#timeline.sample();
      this.#agreement.compare(this.peers);
    }
    if (isWhole) for (const checker of this.#checkers) checker.settled?.(core);
    return world.now - healedAt;
  }

  /** What an idle cluster sends, and what one change costs it. */
  #rest(core: readonly SimulatedPeer[]): void {
    if (core.length !== this.peers.length) return;
    const { world, network } = this;
    world.runUntil(world.now + 15_000); // Plans, redials and late exchanges come to rest.
    const bytes = network.bytes;
    world.runUntil(world.now + IDLE_MS);
    this.#resources.idle(core.length, ((network.bytes - bytes) * 1000) / IDLE_MS);
    const [first] = core;
    const region = this.#random.pick(core)?.name ?? "";
    const frames = network.frames;
    first?.call({ type: "allocate", shard: "shard-0", region });
    world.runUntil(world.now + 100);
    this.#resources.change(core.length, network.frames - frames);
  }

  #recur(everyMs: number, run: () => void): void {
    const { world } = this;
    const next = (): void => {
      if (world.now >= this.options.durationMs) return;
      run();
      world.plan(-everyMs * Math.log(1 - this.#random.unit()), next);
    };
    world.plan(this.#random.unit() * everyMs, next);
  }

  #report(core: readonly SimulatedPeer[], convergenceMs: number | null): DetailedReport {
    const { network, options, world } = this;
    this.#digest.word(network.bytes);
    this.#digest.word(network.frames);
    this.#digest.word(world.eventCount);
    this.#digest.finish();
    const halves = [this.#digest.high, this.#digest.low];
    return {
      seed: options.seed,
      passed: this.violations.list.length === 0,
      digest: halves.map((word) => word.toString(16).padStart(8, "0")).join(""),
      violations: this.violations.list,
      convergenceMs,
      events: world.eventCount,
      bytes: network.bytes,
      messages: network.frames,
      operations: this.#workload.operations,
      faults: this.#faults.counts as Record<string, number>,
      sometimes: this.#timeline.sometimes,
      options,
      history: this.#timeline.history,
      samples: this.#timeline.samples,
      core: core.map(({ name }) => name),
    };
  }
}

function peerOptions(options: RunOptions): PeerOptions[] {
  const { diskMs, downing, shards: shardCount } = options;
  const names = Array.from({ length: options.peers }, (_, index) => `peer-${index}`);
  const join = names.map((name) => `${name}:7100`);
  return names.map((name) => ({
    ...{ name, cluster: "simulated", address: `${name}:7100`, shardCount, diskMs },
    ...{ zone: null, weight: 1, join, downing, timings: TIMINGS.lan },
  }));
}
