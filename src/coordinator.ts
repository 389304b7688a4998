/**
 * What a coordinator would do, done by every peer: the registry of shards, replicas, totals and ticks.
 *
 * The systems that this project learned from have a process for it, which holds the registry in its
 * memory and the barrier in its locks. Here each peer answers from its view of the replicated maps, and
 * a call that one certain peer must carry out (the region of a shard, the starter of ticks) is passed on
 * to that one, so that it does not matter which peer a user holds.
 *
 * `Peer` is one of these: this class has the calls, and knows of the peer only how to reach its state
 * machine and its view.
 */

import { PHASES_DEFAULT, type TickStatus } from "./core/barrier.ts";
import { HearsayError } from "./core/error.ts";
import { KEY_LENGTH_MAX, PHASE_TIMEOUT_MS_MAX, SHARDS_MAX } from "./core/limits.ts";
import { isShardWeight, SHARD_WEIGHT_MAX } from "./core/registry.ts";
import { type Replicas, replicasOf } from "./core/replicas.ts";
import type { ShardMetrics } from "./core/shard-metrics.ts";
import { type ClusterStats, clusterStats, leastLoadedShard } from "./core/shard-state.ts";
import { type PastTick, TICK_MAX } from "./core/tick-view.ts";
import type { ShardId } from "./core/units.ts";
import { createIncarnation } from "./io/incarnation.ts";
import { checkInteger, checkName, checkText, readPhases } from "./peer-arguments.ts";
import { Statistics } from "./statistics.ts";

/** How long a phase may take unless a tick says otherwise, and how long to wait for one, in ms. */
const PHASE_TIMEOUT_MS = 30_000;

/** Copies of a document, the first included, unless a call says otherwise. */
const REPLICAS_DEFAULT = 3;

export interface RegisterOptions {
  /**
   * Names the shard for good: whoever registers this key again, at any peer, gets the same id. Up to 256
   * characters. Without one the shard is a new one.
   */
  readonly key?: string;
  /** Share of the documents relative to a configured shard, 1/16 to 16. Default 1. */
  readonly weight?: number;
}

export interface StartTickOptions {
  /** In order, up to 16; upper case is lowered. Default sense, act, decay, advance. */
  readonly phases?: readonly string[];
  /** How long one phase may take before the tick is aborted, 1 ms to a day. Default 30 000. */
  readonly timeoutMs?: number;
}

export interface WaitOptions {
  /** How long to wait, 1 ms to a day. Default 30 000. */
  readonly timeoutMs?: number;
  /** Gives the wait up: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The present tick, and the last ones with it. */
export interface TickReport extends TickStatus {
  /** The last 16 ticks by number, the present one included, and how each has ended. */
  readonly history: readonly PastTick[];
}

export abstract class Coordinator extends Statistics {
  /**
   * Registers a shard and resolves to its id; a region takes it at once. Rejects with `BUFFER_FULL`
   * beyond 65 536 shards, and with `NOT_READY` or `CLOCK_DRIFT`.
   */
  async registerShard({ key, weight }: RegisterOptions = {}): Promise<ShardId> {
    if (key !== undefined) checkText("register a shard", "key", key);
    if ((key?.length ?? 1) > KEY_LENGTH_MAX || key === "") {
      throw new RangeError(`Cannot register a shard: key is not 1 to ${KEY_LENGTH_MAX} characters`);
    }
    if (weight !== undefined && !isShardWeight(weight)) {
      const range = `1/16 to ${SHARD_WEIGHT_MAX}`;
      throw new RangeError(`Cannot register a shard: weight is no number from ${range}`);
    }
    const own = key ?? createIncarnation(Date.now()); // Nobody else has this one.
    return (await this.request({ type: "register-shard", key: own, weight })) as ShardId;
  }

  /**
   * Takes a shard away for good: its id is never used again, and its documents belong to others. Also one
   * of the configuration. Rejects with `SHARD_NOT_FOUND` when it is not registered.
   */
  async deregisterShard(shard: ShardId): Promise<void> {
    checkName("deregister a shard", "shard", shard);
    await this.request({ type: "deregister-shard", shard });
  }

  /**
   * Says what a shard holds. Its region writes it down, at most once a second. Rejects with
   * `SHARD_NOT_FOUND`, `NO_REGION`, or `UNREACHABLE` or `TIMEOUT` when the region does not answer.
   */
  async updateShardMetrics(
    shard: ShardId,
    { documents, memoryBytes }: ShardMetrics,
  ): Promise<void> {
    checkName("update metrics", "shard", shard);
    checkInteger("update metrics", "documents", documents, 0, Number.MAX_SAFE_INTEGER);
    checkInteger("update metrics", "memoryBytes", memoryBytes, 0, Number.MAX_SAFE_INTEGER);
    await this.request({ type: "shard-metrics", shard, documents, memoryBytes });
  }

  /**
   * The shards for `count` copies of a document, its own first: at distinct regions, and in distinct zones
   * while there are enough. `complete` says whether there are as many. Throws `NO_SHARDS`.
   */
  replicaShards(document: string, count: number = REPLICAS_DEFAULT): Replicas {
    checkText("choose replicas", "document", document);
    checkInteger("choose replicas", "count", count, 1, SHARDS_MAX);
    const view = this.viewFor("choose replicas");
    if (view.shards().length === 0) {
      throw new HearsayError("NO_SHARDS", "Cannot choose replicas: no shard is registered"); // [R1]
    }
    return replicasOf(view, document, count);
  }

  /** Documents in all registered shards, as their regions report them. */
  totalDocuments(): number {
    return this.clusterStats().totalDocuments;
  }

  /** All registered shards in numbers. */
  clusterStats(): ClusterStats {
    return clusterStats(this.viewFor("count"), this.currentTick());
  }

  /** The online shard with the fewest documents; undefined while none is online. */
  leastLoadedShard(): ShardId | undefined {
    return leastLoadedShard(this.viewFor("compare shards"));
  }

  /**
   * Starts the next tick with all registered shards as participants; resolves to its number. Rejects with
   * `TICK_IN_PROGRESS`, `NO_SHARDS`, or `UNREACHABLE` or `TIMEOUT` when the starter does not answer.
   */
  async startTick({
    phases = PHASES_DEFAULT,
    timeoutMs = PHASE_TIMEOUT_MS,
  }: StartTickOptions = {}): Promise<number> {
    checkInteger("start a tick", "timeoutMs", timeoutMs, 1, PHASE_TIMEOUT_MS_MAX);
    const request = { type: "tick-start" as const, phases: readPhases(phases) };
    return (await this.request({ ...request, phaseTimeoutMs: timeoutMs })) as number;
  }

  /**
   * Says that a shard has completed a phase; saying it twice changes nothing. Rejects with
   * `NOT_A_PARTICIPANT`, `SHARD_NOT_FOUND`, `TICK_NOT_FOUND`, `TICK_ABORTED`, `STALE_TICK` when the phase
   * or the tick is over, `BAD_REQUEST` when the tick has no such phase.
   */
  async phaseComplete(shard: ShardId, phase: string, tick: number): Promise<void> {
    checkName("complete a phase", "shard", shard);
    checkPhase("complete a phase", phase, tick);
    await this.request({ type: "phase-complete", shard, phase: phase.toLowerCase(), tick });
  }

  /**
   * Resolves when every participant has completed a phase. Rejects with `PHASE_TIMEOUT` or `TICK_ABORTED`,
   * whose `stragglers` are named, `STALE_TICK` when the tick was replaced by another, `TICK_NOT_FOUND`,
   * `BAD_REQUEST` when the tick has no such phase, or the reason of the signal.
   */
  async waitForPhase(
    phase: string,
    tick: number,
    { timeoutMs = PHASE_TIMEOUT_MS, signal }: WaitOptions = {},
  ): Promise<void> {
    checkPhase("wait for a phase", phase, tick);
    checkInteger("wait for a phase", "timeoutMs", timeoutMs, 1, PHASE_TIMEOUT_MS_MAX);
    const request = { type: "phase-wait" as const, phase: phase.toLowerCase(), tick, timeoutMs };
    await this.request(request, signal);
  }

  /** Whether every participant has completed a phase of one of the last ticks. */
  barrierReady(phase: string, tick: number): boolean {
    checkPhase("look at a phase", phase, tick);
    const { ticks } = this.viewFor("look at a phase");
    const definition = ticks.definition(tick);
    const index = definition?.phases.indexOf(phase.toLowerCase()) ?? -1;
    return definition !== undefined && index >= 0 && index < ticks.outcome(definition).ended;
  }

  /** The number of the last tick that was started; 0 before the first. */
  currentTick(): number {
    return this.viewFor("look at ticks").ticks.current?.tick ?? 0;
  }

  /** The present tick, or the last one, and how far it is. */
  tickStatus(): TickReport {
    const { ticks } = this.viewFor("look at ticks");
    return { ...ticks.status(), history: ticks.history() };
  }
}

function checkPhase(action: string, phase: unknown, tick: unknown): void {
  checkText(action, "phase", phase);
  checkInteger(action, "tick", tick, 0, TICK_MAX);
}
