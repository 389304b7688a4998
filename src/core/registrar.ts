/**
 * Carries out what users ask of the registry, and writes down what shards hold.
 *
 * Registering and removing need nobody's consent, since ids follow from keys and a removal is final: any
 * peer writes either. What a shard holds is written by its region, and not more often than once an
 * interval for each shard, however often it is told: the last word is what counts.
 *
 * Rules: SPEC.md, R6 and R7.
 */
import type { Outcome } from "./effect.ts";
import type { CallRequest } from "./event.ts";
import { refuse } from "./forwarding.ts";
import { SHARDS_MAX } from "./limits.ts";
import type { PeerState } from "./peer-state.ts";
import { encodeShard, REMOVALS, SHARDS } from "./registry.ts";
import { encodeMetrics, METRICS, type ShardMetrics } from "./shard-metrics.ts";
import type { Instant, ShardId } from "./units.ts";
import { ALLOCATIONS } from "./view.ts";

/** How long a shard's metrics stand before they are written anew, in ms. */
const METRICS_INTERVAL_MS = 1000;

type Call<T extends CallRequest["type"]> = Extract<CallRequest, { readonly type: T }>;

/** What was written of a shard, and what is to be written when its time has come. */
interface Reported {
  writtenAt: Instant;
  waiting: ShardMetrics | undefined;
}

export class Registrar {
  readonly #state: PeerState;
  readonly #reported = new Map<ShardId, Reported>();
  /** When the next metrics are to be written; Infinity while none wait. */
  #dueAt: Instant = Number.POSITIVE_INFINITY;

  constructor(state: PeerState) {
    this.#state = state;
  }

  /** Answers the id of the shard that `key` stands for, registered from now on [R6]. */
  register({ key, weight }: Call<"register-shard">): Outcome {
    const state = this.#state;
    const { registry } = state.view;
    const shard = registry.idOf(key);
    const present = registry.weightOf(shard);
    if (present !== undefined && (weight ?? present) === present) return { ok: true, value: shard };
    const wanted = weight ?? 1;
    if (present === undefined && registry.size >= SHARDS_MAX) {
      return refuse("BUFFER_FULL", `Cannot register a shard: there are ${SHARDS_MAX}`); // [S4]
    }
    if (!registry.fits(wanted)) {
      return refuse("BUFFER_FULL", "Cannot register a shard: the ring has no room for its weight");
    }
    state.write(SHARDS, shard, encodeShard(wanted));
    return { ok: true, value: shard };
  }

  /** [R6] Takes a registered shard away for good, and what was known of it. */
  deregister({ shard }: Call<"deregister-shard">): Outcome {
    const state = this.#state;
    state.write(REMOVALS, shard, [state.options.name]);
    for (const map of [ALLOCATIONS, METRICS]) {
      if (state.replica.map(map).get(shard) !== undefined) state.write(map, shard, undefined);
    }
    return { ok: true, value: undefined };
  }

  /** Takes in what a shard of this region holds: written now, or when the interval is over. */
  report({ shard, documents, memoryBytes }: Call<"shard-metrics">): Outcome {
    const { now } = this.#state;
    const reported = this.#reported.get(shard);
    const dueAt = (reported?.writtenAt ?? Number.NEGATIVE_INFINITY) + METRICS_INTERVAL_MS;
    const metrics = { documents, memoryBytes };
    if (reported !== undefined && now < dueAt) {
      reported.waiting = metrics; // [R7]
      this.#dueAt = Math.min(this.#dueAt, dueAt);
    } else this.#write(shard, metrics);
    return { ok: true, value: undefined };
  }

  /** Writes the metrics whose time has come. */
  settle(): void {
    const { now, isReady } = this.#state;
    if (now < this.#dueAt || !isReady) return;
    this.#dueAt = Number.POSITIVE_INFINITY;
    for (const [shard, { writtenAt, waiting }] of this.#reported) {
      const dueAt = writtenAt + METRICS_INTERVAL_MS;
      if (now < dueAt) {
        if (waiting !== undefined) this.#dueAt = Math.min(this.#dueAt, dueAt);
      } else if (waiting === undefined) this.#reported.delete(shard);
      else this.#write(shard, waiting);
    }
  }

  deadline(): Instant {
    return this.#state.isReady ? this.#dueAt : Number.POSITIVE_INFINITY;
  }

  #write(shard: ShardId, metrics: ShardMetrics): void {
    const { view, options, now } = this.#state;
    // It may be another region's by now, which has its own word.
    if (view.regionFor(shard) !== options.name) {
      this.#reported.delete(shard);
      return;
    }
    this.#reported.set(shard, { writtenAt: now, waiting: undefined });
    const { documents, memoryBytes } = view.metrics(shard);
    if (documents === metrics.documents && memoryBytes === metrics.memoryBytes) return;
    this.#state.write(METRICS, shard, encodeMetrics(metrics));
  }
}
