/**
 * A barrier in phases: nobody begins a phase before everybody has completed the one before.
 *
 * Theory of operation
 *
 * A tick has participants and phases, both pinned when it starts. A phase is over when every participant
 * has completed it; who has is a set, never a count, so a completion that comes twice is still one and
 * one of a stranger is none. When the last phase is over the tick is complete, and the next may start.
 *
 * Each participant has a mask of bits, one for each phase, and each phase the number of participants
 * whose bit is missing. Marking a bit that is set already changes nothing; withdrawing a participant
 * takes its missing bits off the numbers. So a question costs no more than a look at a number.
 *
 * A completion may be faster than the start of its tick: it is kept, within a limit, and counts as soon
 * as the tick starts. One for a phase that comes later in the same tick counts for that phase.
 *
 * `TickBarrier` is the whole of it within one process. `ticks.ts` is the same between peers, whose
 * completions are rows of the replica, and shares `TickProgress` with it.
 *
 * Source: Valiant, "A bridging model for parallel computation", CACM 1990. Rules: SPEC.md, section B.
 */
import { type ErrorCode, HearsayError } from "./error.ts";
import { EARLY_COMPLETIONS_MAX, PHASES_MAX } from "./limits.ts";
import { compareText, type ShardId } from "./units.ts";

/** The phases of a tick for which no others are given. */
export const PHASES_DEFAULT: readonly string[] = ["sense", "act", "decay", "advance"];

/** What a phase may be called. */
export const PHASE_PATTERN = /^[a-z][a-z0-9_-]{0,31}$/;

/** Ticks whose outcome is remembered. */
export const TICK_HISTORY_MAX = 16;

/** `idle`: no tick has started yet. */
export type TickState = "idle" | "running" | "complete" | "aborted";

/** A tick, and how far it is. Lists are sorted by id. */
export interface TickStatus {
  /** Counts from 1; 0 before the first. */
  readonly tick: number;
  /** The phase that is being completed, or the last one that was; null before the first tick. */
  readonly phase: string | null;
  readonly phases: readonly string[];
  /** Participants that have completed `phase`. */
  readonly completed: readonly ShardId[];
  /** Those that have not. */
  readonly pending: readonly ShardId[];
  readonly state: TickState;
}

export const IDLE_STATUS: TickStatus = {
  ...{ tick: 0, phase: null, phases: [], completed: [], pending: [], state: "idle" },
};

/** Why `phases` cannot be those of a tick; undefined when they can. */
export function whyNoPhases(phases: readonly string[]): string | undefined {
  if (phases.length === 0 || phases.length > PHASES_MAX) {
    return `there are not 1 to ${PHASES_MAX} phases`;
  }
  if (phases.some((phase) => typeof phase !== "string" || !PHASE_PATTERN.test(phase))) {
    return "a phase is not called by 1 to 32 lower-case letters, digits, hyphens and underscores";
  }
  return new Set(phases).size === phases.length ? undefined : "a phase comes twice";
}

/** Who has completed which phases of one tick. */
export class TickProgress {
  /** A bit for each phase, by participant. */
  readonly #masks = new Map<ShardId, number>();
  /** By phase: how many participants have not completed it. */
  readonly #missing: number[];
  readonly #all: number;

  constructor(participants: Iterable<ShardId>, phaseCount: number) {
    for (const shard of participants) this.#masks.set(shard, 0);
    this.#missing = new Array<number>(phaseCount).fill(this.#masks.size);
    this.#all = 2 ** phaseCount - 1;
  }

  has(shard: ShardId): boolean {
    return this.#masks.has(shard);
  }

  /** The phases that a participant has completed, a bit each; 0 for everybody else. */
  maskOf(shard: ShardId): number {
    return this.#masks.get(shard) ?? 0;
  }

  /** [B2] Adds what a participant has completed; false when that is nothing new, or it is none. */
  mark(shard: ShardId, mask: number): boolean {
    const before = this.#masks.get(shard);
    if (before === undefined) return false;
    const news = mask & this.#all & ~before;
    if (news === 0) return false;
    this.#masks.set(shard, before | news);
    for (let phase = 0; phase < this.#missing.length; phase += 1) {
      if ((news & (1 << phase)) !== 0) this.#missing[phase] = (this.#missing[phase] as number) - 1;
    }
    return true;
  }

  /** [B4] Waits for a participant no longer; false when it was none. */
  withdraw(shard: ShardId): boolean {
    if (!this.#masks.has(shard)) return false;
    this.mark(shard, this.#all);
    return this.#masks.delete(shard);
  }

  /** Whether every participant has completed a phase. */
  isComplete(phase: number): boolean {
    return this.#missing[phase] === 0;
  }

  /** The participants that have completed a phase, or that have not, by id. */
  shards(phase: number, isDone: boolean): ShardId[] {
    const shards: ShardId[] = [];
    for (const [shard, mask] of this.#masks) {
      if (((mask & (1 << phase)) !== 0) === isDone) shards.push(shard);
    }
    return shards.sort(compareText);
  }
}

/** The tick that runs, or ran last. */
interface Tick {
  readonly tick: number;
  readonly phases: readonly string[];
  readonly progress: TickProgress;
  /** How many phases are over. */
  ended: number;
  isAborted: boolean;
}

export interface TickBarrierOptions {
  /** Phases of a tick that is started without any, in order. Default sense, act, decay, advance. */
  readonly phases?: readonly string[];
}

/** A barrier for shards of one process. Throws a `HearsayError`, and changes nothing, on misuse. */
export class TickBarrier {
  readonly #phases: readonly string[];
  #current: Tick | undefined;
  /** The last ticks that are over, by number. */
  readonly #history = new Map<number, Tick>();
  /** [B3] Phases that were completed before their tick, the next one, has started. */
  #early = new Map<ShardId, Set<string>>();
  #earlyCount = 0;

  /** Throws a RangeError for phases that cannot be. */
  constructor(options: TickBarrierOptions = {}) {
    this.#phases = checkedPhases(options.phases ?? PHASES_DEFAULT);
  }

  /** The number of the last tick that was started; 0 before the first. */
  get tick(): number {
    return this.#current?.tick ?? 0;
  }

  /** The phase that is being completed, or the last one that was; null before the first tick. */
  get phase(): string | null {
    return this.#current === undefined ? null : phaseOf(this.#current);
  }

  get state(): TickState {
    return this.#current === undefined ? "idle" : stateOf(this.#current);
  }

  /**
   * Starts the next tick and returns its number. Throws `TICK_IN_PROGRESS` while one runs, `NO_SHARDS`
   * without participants, and a RangeError for phases that cannot be.
   */
  start(participants: Iterable<ShardId>, phases: readonly string[] = this.#phases): number {
    if (this.state === "running") {
      throw error("TICK_IN_PROGRESS", `Cannot start a tick: tick ${this.tick} runs`); // [B1]
    }
    const own = phases === this.#phases ? phases : checkedPhases(phases);
    const shards = new Set(participants);
    if (shards.size === 0)
      throw error("NO_SHARDS", "Cannot start a tick: there are no participants");
    const progress = new TickProgress(shards, own.length);
    this.#remember();
    this.#current = { tick: this.tick + 1, phases: own, progress, ended: 0, isAborted: false };
    for (const [shard, early] of this.#early) {
      for (const phase of early)
        if (own.includes(phase)) progress.mark(shard, 1 << own.indexOf(phase));
    }
    if (this.#earlyCount > 0) this.#early = new Map();
    this.#earlyCount = 0;
    this.#proceed();
    return this.tick;
  }

  /**
   * Records that a shard has completed a phase; false when that was known. Throws `NOT_A_PARTICIPANT`,
   * `STALE_TICK` for a tick or a phase that is over, `TICK_ABORTED`, `TICK_NOT_FOUND` for a tick after the
   * next, `BUFFER_FULL` when too many come before their tick, `BAD_REQUEST` for an unknown phase.
   */
  complete(shard: ShardId, phase: string, tick: number): boolean {
    const what = `Cannot complete a phase of tick ${tick}`;
    if (tick === this.tick + 1) return this.#keep(shard, phase, what);
    const current = this.#current;
    if (current === undefined || !Number.isSafeInteger(tick) || tick < 1 || tick > current.tick) {
      throw error("TICK_NOT_FOUND", `${what}: the last tick is ${this.tick}`);
    }
    if (tick < current.tick) throw error("STALE_TICK", `${what}: tick ${current.tick} has started`);
    const index = current.phases.indexOf(phase);
    if (index < 0) throw error("BAD_REQUEST", `${what}: it has no such phase`);
    if (!current.progress.has(shard)) {
      throw error("NOT_A_PARTICIPANT", `${what}: "${shard}" does not take part in it`); // [B2]
    }
    if (current.isAborted) throw error("TICK_ABORTED", `${what}: it was aborted`);
    if (index < current.ended) throw error("STALE_TICK", `${what}: "${phase}" is over`); // [B2]
    if (!current.progress.mark(shard, 1 << index)) return false;
    this.#proceed();
    return true;
  }

  /** Whether every participant has completed a phase of one of the last ticks. */
  isReady(phase: string, tick: number): boolean {
    const found = this.#current?.tick === tick ? this.#current : this.#history.get(tick);
    const index = found?.phases.indexOf(phase) ?? -1;
    return found !== undefined && index >= 0 && index < found.ended;
  }

  /** The participants that the present phase waits for, by id. */
  stragglers(): ShardId[] {
    const current = this.#current;
    if (current === undefined || current.ended === current.phases.length) return [];
    return current.progress.shards(current.ended, false);
  }

  /** [B4] No longer waits for a shard that is gone; false when it does not take part. */
  withdraw(shard: ShardId): boolean {
    const current = this.#current;
    this.#earlyCount -= this.#early.get(shard)?.size ?? 0;
    this.#early.delete(shard);
    if (current === undefined || !current.progress.withdraw(shard)) return false;
    this.#proceed();
    return true;
  }

  /** Gives the running tick up; returns the stragglers by id. Throws `TICK_NOT_FOUND` when none runs. */
  abort(): ShardId[] {
    const current = this.#current;
    if (current === undefined || this.state !== "running") {
      throw error("TICK_NOT_FOUND", "Cannot abort: no tick runs");
    }
    current.isAborted = true;
    return this.stragglers();
  }

  status(): TickStatus {
    const current = this.#current;
    if (current === undefined) return IDLE_STATUS;
    return statusOf(current, stateOf(current));
  }

  #proceed(): void {
    const current = this.#current;
    if (current === undefined || current.isAborted) return;
    const { phases, progress } = current;
    while (current.ended < phases.length && progress.isComplete(current.ended)) current.ended += 1;
  }

  #keep(shard: ShardId, phase: string, what: string): boolean {
    const known = this.#early.get(shard) ?? new Set<string>();
    if (known.has(phase)) return false;
    if (this.#earlyCount >= EARLY_COMPLETIONS_MAX) {
      throw error("BUFFER_FULL", `${what}: ${this.#earlyCount} wait for its start`); // [S4]
    }
    this.#early.set(shard, known.add(phase)); // [B3]
    this.#earlyCount += 1;
    return true;
  }

  #remember(): void {
    if (this.#current === undefined) return;
    this.#history.set(this.#current.tick, this.#current);
    this.#history.delete(this.#current.tick - TICK_HISTORY_MAX);
  }
}

function stateOf({ isAborted, ended, phases }: Tick): TickState {
  if (isAborted) return "aborted";
  return ended === phases.length ? "complete" : "running";
}

function phaseOf({ ended, phases }: { ended: number; phases: readonly string[] }): string {
  return phases[Math.min(ended, phases.length - 1)] as string;
}

/** How far a tick is, for people and programs. */
export function statusOf(
  tick: {
    readonly tick: number;
    readonly phases: readonly string[];
    readonly progress: TickProgress;
    readonly ended: number;
  },
  state: TickState,
): TickStatus {
  const { phases, progress, ended } = tick;
  const index = Math.min(ended, phases.length - 1);
  return {
    ...{ tick: tick.tick, phase: phaseOf(tick), phases, state },
    completed: progress.shards(index, true),
    pending: progress.shards(index, false),
  };
}

function checkedPhases(phases: readonly string[]): readonly string[] {
  const why = whyNoPhases(phases);
  if (why !== undefined) throw new RangeError(`Cannot make a tick: ${why}`);
  return [...phases];
}

function error(code: ErrorCode, message: string): HearsayError {
  return new HearsayError(code, message);
}
