/**
 * What the leader of a shard knows of one follower, in one session of that.
 */
import type { Version } from "./version.ts";

export interface Follower {
  readonly session: number;
  /** What it says it has, until that is dealt with. */
  readonly offered: Map<string, Version>;
  isOffered: boolean;
  /** Content that has been asked for and has not come, and that is yet to be asked for. */
  readonly asked: Set<string>;
  readonly wanted: Set<string>;
  /** Items that are to be put: what is appended meanwhile is in it. */
  readonly toPut: Set<string>;
  /** What it has beyond what it is to have. */
  readonly surplus: Set<string>;
  /** Whether what is appended is told to it. */
  isSynced: boolean;
  /** Items of which it has got the leader's copy before that, since they were appended to: told of these, too. */
  readonly early: Set<string>;
  seq: number;
  /** What it has been told and has not acknowledged, in order. */
  readonly unacknowledged: { seq: number; item: string; count: number }[];
  /** The first of these when that was last looked at, and how often it was the same. */
  stuckAt: number;
  stuckRounds: number;
}

/** One that has begun to offer what it has. */
export function followerIn(session: number): Follower {
  return {
    ...{ session, offered: new Map(), isOffered: false, isSynced: false },
    ...{ asked: new Set(), wanted: new Set(), toPut: new Set(), surplus: new Set() },
    ...{ early: new Set(), seq: 0, unacknowledged: [], stuckAt: 0, stuckRounds: 0 },
  };
}
