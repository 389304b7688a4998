/**
 * How long the machine waits for what, in ms, and presets for common networks.
 *
 * All peers of a cluster should use the same: a peer that is more patient than the others is
 * merely slower to notice, one that is less patient accuses the others. How long it takes with each
 * preset until a hung member is dead stands in SPEC.md, and follows from `suspicion.ts`.
 */

/** Every duration of the machine, in ms. All positive, but for `flushMs`, which may be 0. */
export interface Timings {
  /** Between two signs of life for a monitor [F2]. */
  readonly heartbeatMs: number;
  /** Between two signs of life for anybody else, and between two that carry clocks [F2, C4]. */
  readonly keepAliveMs: number;
  /** The least silence that makes a monitor ask others; at least 3 heartbeats [F2]. */
  readonly silenceMs: number;
  /** How long others are given to say that they hear a silent member [F3]. */
  readonly probeTimeoutMs: number;
  /** A suspicion among n members lasts at most 4 x log10(n + 1) times this [F4]. */
  readonly probeIntervalMs: number;
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
  /** Length of an era [M5]: what was deleted is forgotten after one to two of them. */
  readonly eraMs: number;
  /** How much older than the era before it must be what an era forgets. */
  readonly eraGraceMs: number;
  /** How long work in progress may take to finish when its shard moves [H2]. */
  readonly drainMs: number;
  /** How long any other phase of a handoff may take, a call that moves a shard, and leaving [H4]. */
  readonly handoffMs: number;
  /** How long a claim must have stood before its region serves [H5]. */
  readonly claimSettleMs: number;
  /** How far two wall clocks may differ before their link carries heartbeats only [C4]. */
  readonly maxDriftMs: number;
}

const LAN: Timings = {
  heartbeatMs: 250,
  keepAliveMs: 2000,
  silenceMs: 1000,
  probeTimeoutMs: 200,
  probeIntervalMs: 250,
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
  eraMs: 86_400_000,
  eraGraceMs: 3_600_000,
  drainMs: 5000,
  handoffMs: 10_000,
  claimSettleMs: 100,
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
    heartbeatMs: 500,
    keepAliveMs: 4000,
    silenceMs: 2500,
    probeTimeoutMs: 1000,
    probeIntervalMs: 1000,
    stableAfterMs: 15_000,
    syncIntervalMs: 2000,
    exchangeTimeoutMs: 15_000,
    planSettleMs: 2000,
    foundAfterMs: 5000,
    dialTimeoutMs: 2000,
    redialMinMs: 200,
    redialMaxMs: 2000,
  },
  /** Notices a hang in under a second, at two and a half times the heartbeats. */
  fast: {
    ...LAN,
    heartbeatMs: 100,
    keepAliveMs: 1000,
    silenceMs: 350,
    probeTimeoutMs: 75,
    probeIntervalMs: 75,
    stableAfterMs: 1500,
  },
} as const satisfies Record<string, Timings>;

export type TimingsPreset = keyof typeof TIMINGS;
