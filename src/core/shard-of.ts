/**
 * The number of the shard that an entity of a tenant belongs to, without a ring.
 *
 * For systems that number their shards and never change how many there are. The hash is FNV-1a
 * with 64 bits over tenant, a zero byte and entity, as such systems commonly have it, so that they can
 * be moved to hearsay with their data where it is. Taken modulo a count it is balanced; where a
 * count may change, `ring.ts` moves fewer documents.
 *
 * Rules: SPEC.md, section R.
 */
import { fnv1a64 } from "./hash.ts";
import { SHARDS_MAX } from "./limits.ts";

const SHARD_COUNT_DEFAULT = 256;

/** The shard's number: 0 to `shardCount` - 1. `shardCount` is 1 to 65 536, 256 by default. */
export function shardOf(
  tenantId: string,
  entity: string,
  shardCount: number = SHARD_COUNT_DEFAULT,
): number {
  if (!Number.isInteger(shardCount) || shardCount < 1 || shardCount > SHARDS_MAX) {
    throw new RangeError(`Cannot number a shard: shardCount is not an integer 1 to ${SHARDS_MAX}`);
  }
  const { high, low } = fnv1a64(`${tenantId}\0${entity}`);
  // Exact: the upper half's remainder is below 2^16, so the sum is below 2^48.
  return ((high % shardCount) * 0x1_0000_0000 + low) % shardCount;
}
