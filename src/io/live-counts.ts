/**
 * Live queries of one peer in numbers: what its status and its metrics show.
 *
 * Labels are codes, of which there are so many: who asks for a million different queries makes no new ones.
 */
import type { ErrorCode } from "../core/error.ts";

export interface LiveCounts {
  /** Queries that clients follow at this peer, and how many different ones these are. */
  readonly subscriptions: number;
  readonly shapes: number;
  /** What gateways follow of the shards of this peer, and views that answer them. */
  readonly upstreams: number;
  readonly views: number;
  /** Since the peer has started: changes that clients were told of, one for each row and client. */
  readonly deltas: number;
  /** How often a client got all rows, its first ones included. */
  readonly resets: number;
  /** How often a client had fallen behind. */
  readonly lagged: number;
  /** Subscriptions and writes that were refused, or ended by this peer, by code. */
  readonly refused: Readonly<Partial<Record<ErrorCode, number>>>;
}
