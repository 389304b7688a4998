/**
 * One shard as a user sees it: who hosts it, and whether that region answers.
 *
 * A shard has no state of its own. It is as well as its region is, and what is known of the region is in
 * the member list.
 *
 * Rules: SPEC.md, section R.
 */
import type { Allocation } from "./effect.ts";
import type { PeerName, ShardId, Timestamp } from "./units.ts";
import type { View } from "./view.ts";

/**
 * `online`: its region answers. `draining`: it does, and gives its shards away. `suspect`: it may not
 * answer. `recovering`: its region is gone for good, or it has none, and a region that answers is about to
 * take it. `offline`: its region is dead, or gone with nobody there to take the shard.
 */
export type ShardStatus = "online" | "draining" | "suspect" | "recovering" | "offline";

export interface ShardState {
  readonly shard: ShardId;
  /** Null while no region hosts it; token and writer, the fencing token, are null with it. */
  readonly region: PeerName | null;
  readonly status: ShardStatus;
  /** Documents in it, as its region reports them: 0 until it does. */
  readonly documents: number;
  /** Memory it takes, as its region reports it: 0 until it does. */
  readonly memoryBytes: number;
  readonly token: Timestamp | null;
  readonly writer: string | null;
}

/** A shard that was released: no region hosts it. Its fencing token is above those before it [R5]. */
export interface Released extends Omit<Allocation, "region"> {
  readonly region: undefined;
}

/** The state of a registered shard; undefined of one that is not [R1]. */
export function shardState(view: View, shard: ShardId): ShardState | undefined {
  if (!view.hasShard(shard)) return undefined;
  const { region = null, token = null, writer = null } = view.allocation(shard) ?? {};
  const status = statusOf(view, region);
  return { shard, region, status, ...view.metrics(shard), token, writer }; // [R5]
}

/** The states of all registered shards, by id. */
export function shardStates(view: View): ShardState[] {
  return view.shards().map((shard) => shardState(view, shard) as ShardState);
}

/** What all shards together are and hold. */
export interface ClusterStats {
  readonly totalShards: number;
  readonly onlineShards: number;
  readonly totalDocuments: number;
  readonly totalMemoryBytes: number;
  readonly currentTick: number;
}

export function clusterStats(view: View, currentTick: number): ClusterStats {
  const stats = { totalShards: 0, onlineShards: 0, totalDocuments: 0, totalMemoryBytes: 0 };
  for (const { status, documents, memoryBytes } of shardStates(view)) {
    stats.totalShards += 1;
    if (isOnline(status)) stats.onlineShards += 1;
    stats.totalDocuments += documents;
    stats.totalMemoryBytes += memoryBytes;
  }
  return { ...stats, currentTick };
}

/** Whether the region of a shard in this status answers. */
export function isOnline(status: ShardStatus): boolean {
  return status === "online" || status === "draining";
}

/** The shard with the fewest documents of those that are online, then with the least memory, then by id. */
export function leastLoadedShard(view: View): ShardId | undefined {
  let least: ShardState | undefined;
  for (const state of shardStates(view)) {
    if (state.status !== "online") continue;
    const isLess =
      least === undefined ||
      state.documents < least.documents ||
      (state.documents === least.documents && state.memoryBytes < least.memoryBytes);
    if (isLess) least = state;
  }
  return least?.shard;
}

function statusOf(view: View, region: PeerName | null): ShardStatus {
  const member = region === null ? undefined : view.membership.get(region);
  if (region === null || member?.removed === true) {
    const isTaken = view.membership.all().some(({ status }) => status === "alive");
    return isTaken ? "recovering" : "offline";
  }
  if (member === undefined || member.status === "dead" || member.status === "left")
    return "offline";
  if (member.status === "suspect") return "suspect";
  return member.row.draining ? "draining" : "online";
}
