/**
 * What users and regions do about ticks and the registry.
 *
 * Regions complete phases of their shards, some of them each time. Users start ticks, wait for phases,
 * and send completions that make no sense: of strangers, for yesterday, twice, ahead of time. Everything
 * is asked of any peer, so most of it has to be passed on. The checkers are told what was asked.
 */
import { PHASES_DEFAULT } from "../src/core/barrier.ts";
import type { CallRequest } from "../src/core/event.ts";
import { Random } from "../src/core/random.ts";
import type { CallsChecker } from "./checkers/calls.ts";
import type { RegistryChecker } from "./checkers/registry.ts";
import type { TicksChecker } from "./checkers/ticks.ts";
import type { SimulatedPeer } from "./peer.ts";

/** One thing of these to do. What exactly follows from `draw` and from what the peer sees. */
export type CoordinationOperation =
  | { readonly type: "ticks"; readonly draw: number }
  | { readonly type: "registry"; readonly draw: number };

/** Keys that shards are registered by: few, so that peers often name the same. */
const KEYS = 4;
const DOCUMENTS = 1000;

/** What a region completes of its shards at once, at least. */
const SHARE_MIN = 0.5;

/** How many of the shards of other regions a peer is asked to complete: they are passed on. */
const STRAY_SHARE = 0.25;

/** Refusals of calls that are passed on: the peer that must carry them out is not there, or lost. */
const PASSED = ["UNREACHABLE", "TIMEOUT"];
const OF_TICKS = [
  ...["TICK_NOT_FOUND", "TICK_ABORTED", "STALE_TICK", "NOT_A_PARTICIPANT", "BAD_REQUEST"],
  ...["NO_REGION", "SHARD_NOT_FOUND", "BUFFER_FULL"],
];

/** What each call may be refused for, besides what every call may. */
const REFUSALS: Readonly<Record<string, readonly string[]>> = {
  "tick-start": [...PASSED, "TICK_IN_PROGRESS", "NO_SHARDS"],
  "phase-complete": [...PASSED, ...OF_TICKS],
  "phase-wait": [...OF_TICKS, "PHASE_TIMEOUT"],
  "register-shard": [],
  "deregister-shard": ["SHARD_NOT_FOUND"],
  "shard-metrics": [...PASSED, "SHARD_NOT_FOUND", "NO_REGION"],
};

export class Coordination {
  readonly #calls: CallsChecker;
  readonly #ticks: TicksChecker;
  readonly #registry: RegistryChecker;

  constructor(calls: CallsChecker, ticks: TicksChecker, registry: RegistryChecker) {
    this.#calls = calls;
    this.#ticks = ticks;
    this.#registry = registry;
  }

  /** Does something at a peer that is up. */
  perform(peer: SimulatedPeer, { type, draw }: CoordinationOperation): void {
    const random = new Random(draw);
    if (type === "registry") this.#administer(peer, random);
    else if (random.chance(0.15)) this.#start(peer, random);
    else if (random.chance(0.7))
      this.work(peer, SHARE_MIN + random.unit() * (1 - SHARE_MIN), random);
    else this.#stray(peer, random);
  }

  /** Starts a tick with as few as one phase. */
  #start(peer: SimulatedPeer, random: Random): void {
    const phases = PHASES_DEFAULT.slice(random.below(PHASES_DEFAULT.length));
    this.call(peer, { type: "tick-start", phases, phaseTimeoutMs: 500 + random.below(4000) });
  }

  /** At a peer the present phase is completed for some of its shards, and a few of others. */
  work(peer: SimulatedPeer, share: number, random: Random): void {
    const view = peer.machine?.view;
    const present = view?.ticks.status();
    if (view === undefined || present?.state !== "running") return;
    for (const shard of present.pending) {
      const isAsked = view.regionFor(shard) === peer.name || random.chance(STRAY_SHARE);
      if (!isAsked || !random.chance(share)) continue;
      this.complete(peer, shard, present.phase ?? "", present.tick);
    }
  }

  /** Says at a peer that a shard has completed a phase. */
  complete(peer: SimulatedPeer, shard: string, phase: string, tick: number): void {
    this.#ticks.attempted(shard, phase, tick);
    this.call(peer, { type: "phase-complete", shard, phase, tick });
  }

  call(peer: SimulatedPeer, request: CallRequest): void {
    this.#calls.allow(peer, peer.nextCall, REFUSALS[request.type] ?? []);
    this.#registry.called(peer, peer.nextCall, request);
    peer.call(request);
  }

  /** What nobody should do. */
  #stray(peer: SimulatedPeer, random: Random): void {
    const view = peer.machine?.view;
    if (view === undefined) return;
    const { current } = view.ticks;
    const tick = (current?.tick ?? 0) + random.below(5) - 2;
    const phase = random.pick([...PHASES_DEFAULT, "dream"]) ?? "";
    if (random.chance(0.3)) {
      const timeoutMs = 1 + random.below(5000);
      this.call(peer, { type: "phase-wait", phase, tick: Math.max(0, tick), timeoutMs });
      return;
    }
    // Not of the present phase of the present tick: that would be a completion like others.
    const isPresent = tick === current?.tick && phase === view.ticks.status().phase;
    const done = view.ticks.status().completed;
    const shard = isPresent ? (random.pick(done) ?? "shard-99") : random.pick(view.shards());
    if (shard !== undefined) this.complete(peer, shard, phase, Math.max(0, tick));
  }

  #administer(peer: SimulatedPeer, random: Random): void {
    const shards = peer.machine?.view.shards() ?? [];
    if (random.chance(0.5)) {
      const key = `key-${random.below(KEYS)}`;
      this.call(peer, { type: "register-shard", key, weight: random.pick([undefined, 0.5, 2]) });
    } else if (random.chance(0.3)) {
      const shard = random.pick(shards);
      // Those of the configuration are what other operations are about.
      const isConfigured = shard === undefined || /^shard-[0-9]{1,5}$/.test(shard);
      if (!isConfigured) this.call(peer, { type: "deregister-shard", shard });
    } else {
      const shard = random.pick(shards) ?? "shard-99";
      const documents = random.below(DOCUMENTS);
      this.call(peer, { type: "shard-metrics", shard, documents, memoryBytes: documents * 1000 });
    }
  }
}
