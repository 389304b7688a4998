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
 * answer. `offline`: it is dead or has left, or no region hosts the shard.
 */
export type ShardStatus = "online" | "draining" | "suspect" | "offline";

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
  const status = region === null ? "offline" : statusOf(view, region);
  return { shard, region, status, documents: 0, memoryBytes: 0, token, writer }; // [R5]
}

function statusOf(view: View, region: PeerName): ShardStatus {
  const member = view.membership.get(region);
  if (member === undefined || member.status === "dead" || member.status === "left")
    return "offline";
  if (member.status === "suspect") return "suspect";
  return member.row.draining ? "draining" : "online";
}
