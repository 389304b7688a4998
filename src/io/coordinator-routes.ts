/**
 * The routes of the HTTP API that a coordinator would answer: shards, replicas, totals and ticks.
 */
import type { FastifyInstance } from "fastify";
import { PHASES_DEFAULT, type TickStatus, whyNoPhases } from "../core/barrier.ts";
import { KEY_LENGTH_MAX, PHASE_TIMEOUT_MS_MAX, SHARDS_MAX } from "../core/limits.ts";
import { isShardWeight, SHARD_WEIGHT_MAX } from "../core/registry.ts";
import { TICK_MAX } from "../core/tick-view.ts";
import {
  badRequest,
  checkedInteger,
  checkedName,
  fieldOf,
  readInteger,
  shardOf,
  valuesOf,
} from "./http-fields.ts";
import type { ServedCoordinator, ServedPeer } from "./served-peer.ts";

/** Adds the routes. */
export function addCoordinator(app: FastifyInstance, served: ServedPeer): void {
  addShards(app, served);
  addTicks(app, served);
}

function addShards(app: FastifyInstance, served: ServedPeer): void {
  const { coordinator } = served;
  app.get("/v1/stats", async () => coordinator.clusterStats());
  app.get("/v1/replicas", async ({ query }) => {
    const [document, ...others] = valuesOf(query, "document");
    if (document === undefined || others.length > 0) {
      throw badRequest("the query does not name one document");
    }
    const { count } = query as { count?: unknown };
    if (count === undefined) return coordinator.replicaShards(document);
    return coordinator.replicaShards(document, readInteger("count", count, 1, SHARDS_MAX));
  });
  app.post("/v1/shards", async ({ body }) => {
    const key = fieldOf(body, "key");
    const weight = fieldOf(body, "weight");
    const isKey = typeof key === "string" && key.length > 0 && key.length <= KEY_LENGTH_MAX;
    if (key !== undefined && !isKey) {
      throw badRequest(`key is not text of 1 to ${KEY_LENGTH_MAX} characters`);
    }
    if (weight !== undefined && !isShardWeight(weight)) {
      throw badRequest(`weight is not a number from 1/16 to ${SHARD_WEIGHT_MAX}`);
    }
    const options = { ...(isKey ? { key } : {}), ...(weight === undefined ? {} : { weight }) };
    return served.shard(await coordinator.registerShard(options));
  });
  app.delete("/v1/shards/:shard", async (request) => {
    const shard = shardOf(request);
    await coordinator.deregisterShard(shard);
    return { shard, status: "removed" };
  });
  app.put("/v1/shards/:shard/metrics", async (request) => {
    const shard = shardOf(request);
    const count = (field: string): number =>
      checkedInteger(field, fieldOf(request.body, field), 0, Number.MAX_SAFE_INTEGER);
    const metrics = { documents: count("documents"), memoryBytes: count("memoryBytes") };
    await coordinator.updateShardMetrics(shard, metrics);
    return { shard, ...metrics };
  });
}

function addTicks(app: FastifyInstance, served: ServedPeer): void {
  const { coordinator } = served;
  app.get("/v1/ticks", async () => coordinator.tickStatus().history);
  app.get("/v1/ticks/current", async () => presentTick(coordinator));
  app.post("/v1/ticks", async ({ body }) => {
    const timeoutMs = fieldOf(body, "timeoutMs");
    const phases = readPhases(fieldOf(body, "phases"));
    if (timeoutMs !== undefined) checkedInteger("timeoutMs", timeoutMs, 1, PHASE_TIMEOUT_MS_MAX);
    const tick = await coordinator.startTick({
      ...(phases === undefined ? {} : { phases }),
      ...(timeoutMs === undefined ? {} : { timeoutMs: timeoutMs as number }),
    });
    const present = presentTick(coordinator);
    if (present.tick >= tick) return present;
    // The starter has answered before this peer has heard of what it started.
    return startedTick(tick, phases ?? PHASES_DEFAULT, served);
  });
  app.post("/v1/ticks/:tick/phases/:phase", async ({ params, body }) => {
    const { tick, phase } = params as { tick: string; phase: string };
    const shard = checkedName("shard", fieldOf(body, "shard"));
    const number = readInteger("tick", tick, 0, TICK_MAX);
    await coordinator.phaseComplete(shard, phase, number);
    return presentTick(coordinator);
  });
}

/** The present tick without those before it. */
function presentTick(coordinator: ServedCoordinator): TickStatus {
  const { tick, phase, phases, completed, pending, state } = coordinator.tickStatus();
  return { tick, phase, phases, completed, pending, state };
}

/** A tick that nobody has completed anything of. */
function startedTick(tick: number, phases: readonly string[], served: ServedPeer): TickStatus {
  const [phase = null] = phases;
  const pending = served.shards().map(({ shard }) => shard);
  return { tick, phase, phases, completed: [], pending, state: "running" };
}

function readPhases(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw badRequest("phases is not a list");
  const phases = value.map((phase: unknown) =>
    typeof phase === "string" ? phase.toLowerCase() : "",
  );
  const why = whyNoPhases(phases);
  if (why !== undefined) throw badRequest(why);
  return phases;
}
