/**
 * Which of two fencing tokens is the newer one.
 *
 * A region that lost a shard without knowing it yet may still write to what stands behind it. So every
 * write carries the token of the allocation that it was made under, and a store that refuses tokens
 * below the highest it has seen is safe, whatever the cluster believes at that moment.
 *
 * Source: Kleppmann, "How to do distributed locking", 2016. Rules: SPEC.md, R5.
 */
import { compareStamps } from "./lww-map.ts";
import type { Timestamp } from "./units.ts";

/** The fencing token of an allocation, or anything that carries one. */
export interface FencingToken {
  readonly token: Timestamp;
  /** Tells apart two allocations of one moment. */
  readonly writer: string;
}

/**
 * Orders fencing tokens of one shard: negative when `a` is the older, positive when it is the newer, 0
 * when they are of one allocation. Refuse a write whose token is below the highest seen.
 */
export function compareTokens(a: FencingToken, b: FencingToken): number {
  // [R5] The pair, ordered as the entries of the table are [M2].
  return compareStamps({ time: a.token, writer: a.writer }, { time: b.token, writer: b.writer });
}
