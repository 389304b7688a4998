/**
 * How long the machine waits for what, in ms, and presets for common networks.
 *
 * All peers of a cluster should use the same: a peer that is more patient than the others is
 * merely slower to notice, one that is less patient accuses the others.
 */

/** Every duration of the machine, in ms. All positive, but for `flushMs`, which may be 0. */
export interface Timings {
  /** Between two heartbeats on one link. */
  readonly heartbeatMs: number;
  /** Silence after which a link is cut and its member suspected. At least 3 heartbeats. */
  readonly silenceMs: number;
  /** How long a member stays suspected before it is dead, unless it speaks up. */
  readonly suspicionMs: number;
  /** How long a verdict of death stands before the majority removes the member [F9]. */
  readonly stableAfterMs: number;
  /** Between two anti-entropy rounds, jittered by a quarter either way [G3]. */
  readonly syncIntervalMs: number;
  /** An exchange that has not ended by then is forgotten. */
  readonly exchangeTimeoutMs: number;
  /** How long the member view must have stood still before regions act on a plan [A3]. */
  readonly planSettleMs: number;
  /** How long unfounded peers that hear each other wait for a founded one [A0]. */
  readonly foundAfterMs: number;
  /** How long a peer that hears nobody dials before it founds alone [A0]. */
  readonly joinTimeoutMs: number;
  /** A dial that has not opened a link by then is given up [G8]. */
  readonly dialTimeoutMs: number;
  /** First wait between two dials of one address; doubles from there. */
  readonly redialMinMs: number;
  /** Longest wait while the other end was heard within `redialPatienceMs` [G8]. */
  readonly redialMaxMs: number;
  /** How long after it was last heard a member is dialled often. */
  readonly redialPatienceMs: number;
  /** Wait between two dials of a member not heard for longer than that. */
  readonly redialIdleMs: number;
  /**
   * How long messages for one link are collected before they leave in one frame [G1]. 0 sends at the
   * end of the turn; more saves frames under heavy load, and costs as much latency.
   */
  readonly flushMs: number;
  /** How far two wall clocks may differ before their link carries heartbeats only [C4]. */
  readonly maxDriftMs: number;
}

const LAN: Timings = {
  heartbeatMs: 500,
  silenceMs: 2000,
  suspicionMs: 1500,
  stableAfterMs: 5000,
  syncIntervalMs: 1000,
  exchangeTimeoutMs: 5000,
  planSettleMs: 500,
  foundAfterMs: 3000,
  joinTimeoutMs: 30_000,
  dialTimeoutMs: 500,
  redialMinMs: 50,
  redialMaxMs: 500,
  redialPatienceMs: 600_000,
  redialIdleMs: 30_000,
  flushMs: 0,
  maxDriftMs: 5000,
};

/** The presets that `timings` accepts by name. `lan` is the default. */
export const TIMINGS = {
  /** Processes on one machine, as `hearsay dev` starts them: founds sooner. */
  local: { ...LAN, foundAfterMs: 500 },
  lan: LAN,
  /** Round trips of up to 300 ms. */
  wan: {
    ...LAN,
    heartbeatMs: 1000,
    silenceMs: 5000,
    suspicionMs: 4000,
    stableAfterMs: 15_000,
    syncIntervalMs: 2000,
    exchangeTimeoutMs: 15_000,
    planSettleMs: 2000,
    foundAfterMs: 5000,
    dialTimeoutMs: 2000,
    redialMinMs: 200,
    redialMaxMs: 2000,
  },
  /** Notices a hang in under a second, at twice the heartbeats. */
  fast: { ...LAN, heartbeatMs: 150, silenceMs: 500, suspicionMs: 300, stableAfterMs: 1500 },
} as const satisfies Record<string, Timings>;

export type TimingsPreset = keyof typeof TIMINGS;
