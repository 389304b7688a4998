/**
 * Handoff of one shard, seen from both ends, as two total tables.
 *
 * The region that takes a shard:
 *
 *   waiting -chunk-> importing -given-> settling -settled-> acquiring -acquired-> serving
 *      \______________given________________^                    |  ^______________|  (given back
 *                                                               +-begin-> releasing     under a
 *                                                                                     new token)
 *
 * The region that gives it away:
 *
 *   serving -begin-> draining -drained-> exporting -exported-> releasing -released-> gone
 *      ^________________|__________aborted___|                     |
 *                                                  settling <-aborted
 *
 * A shard that drains takes no new work, so once it is drained its state is final and can be copied.
 * Until `releasing` the host has not been told, and an abort costs nothing but a new token. From there
 * on the host has let go: an abort makes the region acquire the shard anew. `lost` is the table saying
 * that the shard is another region's: whatever the state, this region serves it no more.
 *
 * Every state but `serving` has a deadline, which the caller keeps. That a state waits for somebody
 * else (the successor, the host, work in progress) is why: none of them need ever answer.
 *
 * Deliberately absent: what is done on the way (`hosting.ts`), and the table entries that both ends go
 * by (`view.ts`).
 *
 * Rules: SPEC.md, section H.
 */

export type HandoffState =
  /** An entry names this region as the successor; another one still has the shard. */
  | "waiting"
  /** The same, and state of the shard is coming in. */
  | "importing"
  /** The table gives the shard to this region, which waits for whoever had it, or for other claims. */
  | "settling"
  /** The host is being told. Messages wait. */
  | "acquiring"
  | "serving"
  /** Given away: takes no new work, and work in progress finishes. */
  | "draining"
  /** State goes to the successor, chunk by chunk. */
  | "exporting"
  /** The host is letting go. */
  | "releasing"
  /** Not this region's affair any more. */
  | "gone";

export type HandoffEvent =
  /** A chunk of state came. */
  | "chunk"
  /** The table gives the shard to this region, or gives it back. */
  | "given"
  /** Whoever had it has stopped, or the wait for other claims is over. */
  | "settled"
  /** The host has taken it. */
  | "acquired"
  /** This region is to give it away. */
  | "begin"
  /** No work is in progress any more. */
  | "drained"
  /** The successor has the state, or there is none to give. */
  | "exported"
  /** The host has let go. */
  | "released"
  /** The successor died, took too long, or the table says that the shard stays. */
  | "aborted"
  /** The table gives it to another region, or this one may not serve. */
  | "lost";

type Row = Record<HandoffEvent, HandoffState | null>;

/** What cannot happen in a state unless the code is wrong is null there. */
const IMPOSSIBLE: Row = {
  ...{ chunk: null, given: null, settled: null, acquired: null, begin: null },
  ...{ drained: null, exported: null, released: null, aborted: null, lost: null },
};

/** Every pair is defined. */
export const HANDOFF: Record<HandoffState, Row> = {
  waiting: { ...IMPOSSIBLE, chunk: "importing", given: "settling", lost: "gone" },
  importing: { ...IMPOSSIBLE, chunk: "importing", given: "settling", lost: "gone" },
  settling: {
    ...IMPOSSIBLE,
    given: "settling",
    settled: "acquiring",
    begin: "gone", // Nothing was served, so nothing is left to give: the entry says it all.
    lost: "gone",
  },
  acquiring: {
    ...IMPOSSIBLE,
    given: "acquiring",
    acquired: "serving",
    begin: "releasing",
    lost: "gone",
  },
  serving: { ...IMPOSSIBLE, given: "serving", begin: "draining", lost: "gone" },
  draining: {
    ...IMPOSSIBLE,
    begin: "draining", // To somebody else, perhaps.
    drained: "exporting",
    aborted: "serving",
    lost: "gone",
  },
  exporting: {
    ...IMPOSSIBLE,
    begin: "draining",
    exported: "releasing",
    aborted: "serving",
    lost: "gone",
  },
  releasing: {
    ...IMPOSSIBLE,
    begin: "releasing",
    released: "gone",
    aborted: "settling",
    lost: "gone",
  },
  gone: IMPOSSIBLE,
};
