/**
 * The ticks as a replica tells them: what runs, who has completed what, how earlier ones ended.
 *
 * Theory of operation
 *
 * The map `ticks` has sixteen places, and tick t is in place t modulo 16, so that it never grows:
 *
 *   place            the definition: number, phases, participants, time for a phase
 *   place/phase      the end of that phase
 *   place/aborted    the tick was given up, and who was waited for
 *
 * The stamp of a definition is the identity of its tick. All other rows name it, and say nothing about a
 * tick that is called the same but is another [B6]. An end is a row of its own, and never undone: two
 * peers that both believed to be the starter cannot take each other's ends back, and a tick that is both
 * aborted and complete is complete, whichever row came first.
 *
 * The map `progress` has one row by shard, which says what it has completed of which tick [B2]. Rows that
 * come before their definition wait in the replica, where they are found when it comes [B3].
 *
 * Of the present tick this module keeps what follows from its rows; what it has once seen completed stays
 * so until another tick is the present one.
 *
 * Rules: SPEC.md, section B.
 */
import {
  IDLE_STATUS,
  PHASE_PATTERN,
  statusOf,
  TICK_HISTORY_MAX,
  TickProgress,
  type TickState,
  type TickStatus,
  whyNoPhases,
} from "./barrier.ts";
import { PHASE_TIMEOUT_MS_MAX } from "./limits.ts";
import { compareStamps } from "./lww-map.ts";
import type { Entry, MapEntries, Value } from "./message.ts";
import type { Registry } from "./registry.ts";
import type { Replica } from "./replica.ts";
import { decodeShardSet, encodeShardSet } from "./shard-set.ts";
import { compareText, type ShardId, type Stamp } from "./units.ts";

/** The replicated maps of ticks, and of what shards have completed. */
export const TICKS = "ticks";
export const PROGRESS = "progress";

/** Highest number of a tick: at a thousand a second it is reached in 35 years. */
export const TICK_MAX = 2 ** 40;

/** One tick as it was started. */
export interface Definition {
  readonly tick: number;
  readonly identity: Stamp;
  readonly phases: readonly string[];
  readonly participants: readonly ShardId[];
  /** How long a phase may take, in ms. */
  readonly phaseTimeoutMs: number;
}

/** A tick that is over, or the present one. */
export interface PastTick {
  readonly tick: number;
  readonly phases: readonly string[];
  readonly state: TickState;
  /** Whom an aborted tick waited for, by id. */
  readonly stragglers: readonly ShardId[];
}

/** How far a tick is: phases that are over, and the stragglers of one that was aborted. */
interface Outcome {
  readonly ended: number;
  readonly state: StartedState;
  readonly stragglers: readonly ShardId[];
}

/** The state of a tick that has started. */
export type StartedState = Exclude<TickState, "idle">;

/** The present tick. */
export interface CurrentTick extends Definition {
  readonly progress: TickProgress;
}

/** What entries changed. */
export interface TickChanges {
  /** Ticks were started, or they or their phases ended. */
  ticks: boolean;
  /** Rows of shards have come, or some are no longer waited for. */
  progress: boolean;
}

export class TickView {
  readonly #replica: Replica;
  readonly #registry: Registry;
  readonly #definitions = new Map<number, Definition>();
  #current: CurrentTick | undefined;
  /** Shards whose row was overwritten by one that says less than is known. */
  readonly #lowered = new Set<ShardId>();

  constructor(replica: Replica, registry: Registry) {
    this.#replica = replica;
    this.#registry = registry;
  }

  /** The tick with the highest number; of two of one number that with the higher stamp [B6]. */
  get current(): CurrentTick | undefined {
    return this.#current;
  }

  /** Takes in entries that won in the replica, and shards that were removed. */
  apply(winners: readonly MapEntries[], removed: readonly ShardId[]): TickChanges {
    const changes = { ticks: false, progress: false };
    for (const { map, entries } of winners) {
      if (map !== TICKS) continue;
      for (const { key } of entries) this.#define(key);
      changes.ticks = true;
    }
    if (changes.ticks) this.#choose();
    const progress = this.#current?.progress;
    for (const { map, entries } of winners) {
      if (map !== PROGRESS || progress === undefined) continue;
      for (const entry of entries) this.#mark(entry);
      changes.progress = true;
    }
    for (const shard of removed) {
      changes.progress = progress?.withdraw(shard) || changes.progress; // [B4]
    }
    return changes;
  }

  /** A tick by its number, if it is one of the last. */
  definition(tick: number): Definition | undefined {
    const definition = this.#definitions.get(placeOf(tick));
    return definition?.tick === tick ? definition : undefined;
  }

  /** The last ticks by number. */
  definitions(): Definition[] {
    return [...this.#definitions.values()].sort(
      (a, b) => a.tick - b.tick || compareStamps(a.identity, b.identity),
    );
  }

  /** How far a tick is. */
  outcome({ tick, identity, phases }: Definition): Outcome {
    const rows = this.#replica.map(TICKS);
    const place = placeOf(tick);
    const isAbout = (value: Value | undefined): value is readonly Value[] =>
      Array.isArray(value) && value[0] === identity.time && value[1] === identity.writer;
    let ended = phases.length;
    // The end of a phase says that all earlier ones are over.
    while (ended > 0 && !isAbout(rows.get(`${place}/${ended - 1}`))) ended -= 1;
    if (ended === phases.length) return { ended, state: "complete", stragglers: [] };
    const aborted = rows.get(`${place}/aborted`);
    if (!isAbout(aborted)) return { ended, state: "running", stragglers: [] };
    return { ended, state: "aborted", stragglers: decodeShardSet(aborted[2]) ?? [] };
  }

  status(): TickStatus {
    const current = this.#current;
    if (current === undefined) return IDLE_STATUS;
    const { ended, state, stragglers } = this.outcome(current);
    const status = statusOf({ ...current, ended }, state);
    if (state !== "aborted") return status;
    // [B5] Whom it waited for stands in its end. Rows of shards are overwritten by whoever was cut off,
    // and written anew only as long as somebody waits for them.
    const shards = [...status.completed, ...status.pending].sort(compareText);
    const waited = new Set(stragglers);
    return {
      ...status,
      completed: shards.filter((shard) => !waited.has(shard)),
      pending: shards.filter((shard) => waited.has(shard)),
    };
  }

  /** The last ticks and how they ended, by number; the present one is the last. */
  history(): PastTick[] {
    return this.definitions().map((definition) => {
      const { tick, phases } = definition;
      const { state, stragglers } = this.outcome(definition);
      return { tick, phases, state, stragglers };
    });
  }

  /** The shards whose row says less than is known of them, once. */
  takeLowered(): ShardId[] {
    const lowered = [...this.#lowered];
    this.#lowered.clear();
    return lowered;
  }

  #define(key: string): void {
    const place = Number(key);
    if (!Number.isInteger(place) || place < 0 || place >= TICK_HISTORY_MAX) return;
    const entry = this.#replica.map(TICKS).entry(key);
    const definition = entry && decodeDefinition(entry);
    if (definition === undefined || placeOf(definition.tick) !== place) {
      this.#definitions.delete(place);
    } else this.#definitions.set(place, definition);
  }

  #choose(): void {
    const last = this.definitions().at(-1);
    const current = this.#current;
    if (last === undefined) {
      this.#current = undefined;
      return;
    }
    if (current !== undefined && isSameTick(current, last)) return;
    const progress = new TickProgress(last.participants, last.phases.length);
    this.#current = { ...last, progress };
    this.#lowered.clear();
    for (const shard of last.participants) {
      const entry = this.#replica.map(PROGRESS).entry(shard); // [B3]
      if (entry !== undefined) this.#mark(entry);
      if (this.#registry.isRemoved(shard)) progress.withdraw(shard); // [B4]
    }
  }

  #mark({ key, value }: Entry): void {
    const current = this.#current as CurrentTick;
    const [time, writer, mask] = Array.isArray(value) ? (value as Value[]) : [];
    const { identity, progress } = current;
    const isPresent = time === identity.time && writer === identity.writer;
    const bits = isPresent && Number.isInteger(mask) ? (mask as number) : 0;
    const known = progress.maskOf(key);
    if ((known & ~bits) !== 0) this.#lowered.add(key);
    else this.#lowered.delete(key);
    progress.mark(key, bits);
  }
}

/** Where a tick has its rows in the map. */
export function placeOf(tick: number): number {
  return tick % TICK_HISTORY_MAX;
}

/** Whether two definitions are of one tick and not only of one number [B6]. */
export function isSameTick(a: Definition, b: Definition): boolean {
  return a.tick === b.tick && compareStamps(a.identity, b.identity) === 0;
}

/** The value of a definition. Later versions append fields. */
export function encodeDefinition(definition: Omit<Definition, "identity">): Value {
  const { tick, phases, participants, phaseTimeoutMs } = definition;
  return [tick, [...phases], encodeShardSet(participants), phaseTimeoutMs];
}

/** The value of a row that says something about a tick: the end of a phase, or who was waited for. */
export function encodeEnd({ time, writer }: Stamp, stragglers?: readonly ShardId[]): Value {
  return stragglers === undefined ? [time, writer] : [time, writer, encodeShardSet(stragglers)];
}

/** The value of a `progress` entry: `mask` has a bit for each phase that the shard has completed. */
export function encodeProgress({ time, writer }: Stamp, mask: number): Value {
  return [time, writer, mask];
}

function decodeDefinition({ value, time, writer }: Entry): Definition | undefined {
  if (!Array.isArray(value)) return undefined;
  const [tick, phases, shards, phaseTimeoutMs] = value as readonly Value[];
  if (!Number.isInteger(tick) || (tick as number) < 1 || (tick as number) > TICK_MAX)
    return undefined;
  if (!Array.isArray(phases) || whyNoPhases(phases as string[]) !== undefined) return undefined;
  if (!isPhaseTimeout(phaseTimeoutMs)) return undefined;
  const participants = decodeShardSet(shards);
  if (participants === undefined) return undefined;
  const identity = { time, writer };
  return {
    tick: tick as number,
    identity,
    phases: phases as string[],
    participants,
    phaseTimeoutMs,
  };
}

/** Whether `value` can be the time for a phase, in ms. */
export function isPhaseTimeout(value: unknown): value is number {
  return (
    Number.isInteger(value) && (value as number) >= 1 && (value as number) <= PHASE_TIMEOUT_MS_MAX
  );
}

/** Whether `value` can be the number of a tick, started or not. */
export function isTick(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= TICK_MAX;
}

/** Whether `value` can be what a phase is called. */
export function isPhase(value: unknown): value is string {
  return typeof value === "string" && PHASE_PATTERN.test(value);
}
