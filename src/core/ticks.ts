/**
 * Ticks between peers: who starts and ends them, what shards complete, and who waits for what.
 *
 * Theory of operation
 *
 * The *starter* is the lowest-named member of the hosting side that nobody has seen dead. It defines
 * ticks and writes the ends of their phases; a completion is written by the region of its shard. Both
 * are rows of the replica (`tick-view.ts`), so whoever is the starter next has all that it needs to go
 * on, and every peer can tell how far a tick is. Users call any peer; `calls.ts` passes their calls on to
 * the one that must carry them out.
 *
 * Who waits for a phase waits for its end to be written, and for nothing else: that every completion is
 * here already does not mean that every peer is of that opinion.
 *
 * A phase has a time, which begins when a peer sees it begin and is never begun anew. The starter aborts
 * a tick whose phase takes longer, and names the stragglers. A new starter has seen the phase begin, too,
 * so it knows the deadline without being told.
 *
 * A completion or a wait may come to a peer that has not heard of its tick yet: it is kept for a moment
 * [B3], if the tick is one that can be about to start.
 *
 * Ticks are announced in the order of their numbers, the next only when it is known how the one before
 * has ended. So all who hear of two completed ticks hear of them in one order [B7].
 *
 * Rules: SPEC.md, section B.
 */
import { canonicalBytes } from "./canonical.ts";
import type { Outcome } from "./effect.ts";
import type { CallRequest } from "./event.ts";
import { type Caller, refuse } from "./forwarding.ts";
import { EARLY_COMPLETIONS_MAX } from "./limits.ts";
import { compareStamps } from "./lww-map.ts";
import type { PeerState } from "./peer-state.ts";
import {
  type CurrentTick,
  type Definition,
  encodeDefinition,
  encodeEnd,
  encodeProgress,
  isSameTick,
  PROGRESS,
  placeOf,
  type StartedState,
  TICK_MAX,
  TICKS,
} from "./tick-view.ts";
import type { Instant, PeerName, ShardId, Stamp } from "./units.ts";

/** How many ticks ahead of the last known one a call may be to be kept: peers lag by one. */
const EARLY_TICKS_MAX = 2;

/** Shards that a message names, at most. */
const SHARDS_NAMED_MAX = 5;

type Call<T extends CallRequest["type"]> = Extract<CallRequest, { readonly type: T }>;

/** A call that is answered later. */
interface Waiting<C> {
  readonly caller: Caller;
  readonly call: C;
  readonly deadlineAt: Instant;
  /** The tick that was meant, once its definition is known. */
  identity: Stamp | undefined;
}

export class Ticks {
  readonly #state: PeerState;
  readonly #answer: (caller: Caller, outcome: Outcome) => void;
  /** Completions whose tick has not started here yet [B3]. */
  #early: Waiting<Call<"phase-complete">>[] = [];
  #waiters: Waiting<Call<"phase-wait">>[] = [];
  /** The present phase, and since when it is known here. */
  #phase: { readonly of: Definition; readonly ended: number; readonly since: Instant } | undefined;
  /** What was announced last. */
  #announced: { readonly of: Definition; ended: number; state: StartedState } | undefined;
  #dueAt: Instant = Number.POSITIVE_INFINITY;

  /** It was a member when this step began. */
  #isTelling = false;

  constructor(state: PeerState, answer: (caller: Caller, outcome: Outcome) => void) {
    this.#state = state;
    this.#answer = answer;
    this.#announceFromHere();
  }

  /** The peer that starts ticks and ends their phases [B1]. A suspect one still does. */
  get starter(): PeerName {
    const { view, links, timings, options } = this.#state;
    for (const { name, row, status } of view.membership.all()) {
      if (name === options.name) return name;
      if (status !== "alive" && status !== "suspect") continue;
      // [C4] Over a link that carries heartbeats only nothing that it writes comes.
      if (links.to(row.incarnation)?.isGated(timings.maxDriftMs) !== true) return name;
    }
    return options.name;
  }

  /** [B1] Starts a tick; only the starter does. */
  start({ phases, phaseTimeoutMs }: Call<"tick-start">): Outcome {
    const { view } = this.#state;
    const { ticks } = view;
    const { current } = ticks;
    if (current !== undefined && ticks.outcome(current).state === "running") {
      return refuse("TICK_IN_PROGRESS", `Cannot start a tick: tick ${current.tick} runs`);
    }
    const participants = view.shards();
    if (participants.length === 0) {
      return refuse("NO_SHARDS", "Cannot start a tick: no shard is registered");
    }
    const tick = (current?.tick ?? 0) + 1;
    const value = encodeDefinition({ tick, phases, participants, phaseTimeoutMs });
    if (tick > TICK_MAX || canonicalBytes(value) === undefined) {
      const what = tick > TICK_MAX ? "ticks" : "registered shards";
      return refuse("BUFFER_FULL", `Cannot start a tick: there are too many ${what}`); // [S4]
    }
    this.#state.write(TICKS, `${placeOf(tick)}`, value);
    return { ok: true, value: tick };
  }

  /** Takes a completion; only the region of its shard does. It may be answered later. */
  complete(caller: Caller, call: Call<"phase-complete">, deadlineAt: Instant): void {
    const outcome = this.#completed(call);
    if (outcome !== undefined) this.#answer(caller, outcome);
    else if (this.#early.length >= EARLY_COMPLETIONS_MAX) {
      const why = `${whatOf(call)}: ${this.#early.length} wait for a tick to start`;
      this.#answer(caller, refuse("BUFFER_FULL", why)); // [S4]
    } else {
      // [B3] A definition that has not come with the next exchanges will not come.
      const keptUntil = this.#state.now + 2 * this.#state.timings.syncIntervalMs;
      const untilAt = Math.min(deadlineAt, keptUntil);
      this.#early.push({ caller, call, deadlineAt: untilAt, identity: undefined });
      this.#dueAt = Math.min(this.#dueAt, untilAt);
    }
  }

  /** Answers when a phase is over, or when that is not to be waited for any more. */
  wait(caller: Caller, call: Call<"phase-wait">): void {
    const { now } = this.#state;
    const waiting = { caller, call, deadlineAt: now + call.timeoutMs, identity: undefined };
    const outcome = this.#waited(waiting);
    if (outcome !== undefined) {
      this.#answer(caller, outcome);
      return;
    }
    this.#waiters.push(waiting);
    this.#dueAt = Math.min(this.#dueAt, waiting.deadlineAt);
  }

  /** Nobody waits for the answer of this call any more. */
  abandoned(call: number): void {
    this.#waiters = this.#waiters.filter(
      ({ caller }) => caller.type !== "user" || caller.call !== call,
    );
  }

  /** What follows from everything that happened in this step. */
  settle(): void {
    const { isReady, now } = this.#state;
    const { ticks, progress } = this.#state.takeTickChanges();
    if (ticks) this.#look();
    if (isReady && (ticks || progress)) this.#writeAnew();
    if (isReady) this.#lead();
    if (this.#state.takeTickChanges().ticks) this.#look(); // What the starter has just written.
    this.#isTelling ||= this.#state.joined;
    if (now < this.#dueAt) return;
    this.#retry();
    this.#dueAt = [...this.#early, ...this.#waiters].reduce(
      (least, { deadlineAt }) => Math.min(least, deadlineAt),
      Number.POSITIVE_INFINITY,
    );
  }

  deadline(): Instant {
    return Math.min(this.#dueAt, this.#phaseDeadline());
  }

  /** When the starter aborts the present tick. */
  #phaseDeadline(): Instant {
    const phase = this.#phase;
    const { isReady, options } = this.#state;
    if (phase === undefined || !isReady || this.starter !== options.name) return Infinity;
    return phase.since + phase.of.phaseTimeoutMs;
  }

  /** Ticks have started or ended: those who wait may go on, and all are told. */
  #look(): void {
    this.#watchPhase();
    this.#retry();
    this.#announce();
  }

  #watchPhase(): void {
    const { view, now } = this.#state;
    const { current } = view.ticks;
    const outcome = current && view.ticks.outcome(current);
    if (current === undefined || outcome?.state !== "running") {
      this.#phase = undefined;
      return;
    }
    const { ended } = outcome;
    const isKnown = this.#phase?.ended === ended && isSameTick(this.#phase.of, current);
    // [B5] Once for each phase: nothing that happens within it gives it more time.
    if (!isKnown) this.#phase = { of: current, ended, since: now };
  }

  /** [B5] The starter ends what is to be ended. */
  #lead(): void {
    const { view, options, now } = this.#state;
    const { current } = view.ticks;
    if (current === undefined || this.#phase === undefined) return;
    if (this.starter !== options.name) return;
    const { identity, phases, progress } = current;
    const place = placeOf(current.tick);
    let { ended } = this.#phase;
    while (ended < phases.length && progress.isComplete(ended)) {
      this.#state.write(TICKS, `${place}/${ended}`, encodeEnd(identity));
      ended += 1;
    }
    if (ended > this.#phase.ended || now < this.#phaseDeadline()) return;
    const stragglers = progress.shards(ended, false);
    this.#state.write(TICKS, `${place}/aborted`, encodeEnd(identity, stragglers));
  }

  /** [B2] A region whose row says less than it wrote writes it again. */
  #writeAnew(): void {
    const { view, options } = this.#state;
    const { current } = view.ticks;
    if (current === undefined) return;
    for (const shard of view.ticks.takeLowered()) {
      if (view.regionFor(shard) !== options.name) continue;
      const mask = current.progress.maskOf(shard);
      this.#state.write(PROGRESS, shard, encodeProgress(current.identity, mask));
    }
  }

  /** The outcome of a completion; undefined while its tick is about to start. */
  #completed(call: Call<"phase-complete">): Outcome | undefined {
    const { view, replica } = this.#state;
    const { current } = view.ticks;
    const { shard, phase, tick } = call;
    const what = whatOf(call);
    const last = current?.tick ?? 0;
    if (tick < 1 || tick > last + EARLY_TICKS_MAX) {
      return refuse("TICK_NOT_FOUND", `${what}: the last tick is ${last}`);
    }
    if (tick > last || current === undefined) return undefined; // [B3]
    if (tick < last) return refuse("STALE_TICK", `${what}: tick ${last} has started`);
    const { ended, state } = view.ticks.outcome(current);
    const index = current.phases.indexOf(phase);
    if (index < 0) return refuse("BAD_REQUEST", `${what}: it has no such phase`);
    if (!current.progress.has(shard)) {
      return refuse("NOT_A_PARTICIPANT", `${what}: "${shard}" does not take part in it`); // [B2]
    }
    if (state === "aborted") return refuse("TICK_ABORTED", `${what}: it was aborted`);
    if (index < ended) return refuse("STALE_TICK", `${what}: "${phase}" is over`); // [B2]
    const mask = current.progress.maskOf(shard);
    if ((mask & (1 << index)) !== 0) return { ok: true, value: undefined }; // [B2]
    if (replica.isFull && !replica.map(PROGRESS).has(shard)) {
      return refuse("BUFFER_FULL", `${what}: the replica is full`);
    }
    this.#state.write(PROGRESS, shard, encodeProgress(current.identity, mask | (1 << index)));
    return { ok: true, value: undefined };
  }

  /** The outcome of a wait; undefined while it goes on. */
  #waited(waiting: Waiting<Call<"phase-wait">>): Outcome | undefined {
    const { ticks } = this.#state.view;
    const { tick, phase } = waiting.call;
    const what = `Cannot wait for a phase of tick ${tick}`;
    const definition = ticks.definition(tick);
    const last = ticks.current?.tick ?? 0;
    if (definition === undefined) {
      if (tick > last && tick <= last + EARLY_TICKS_MAX) return undefined; // [B3]
      return waiting.identity === undefined
        ? refuse("TICK_NOT_FOUND", `${what}: the last tick is ${last}`)
        : refuse("STALE_TICK", `${what}: it has been replaced`);
    }
    waiting.identity ??= definition.identity;
    if (compareStamps(waiting.identity, definition.identity) !== 0) {
      return refuse("STALE_TICK", `${what}: it was started anew by another peer`); // [B6]
    }
    const index = definition.phases.indexOf(phase);
    if (index < 0) return refuse("BAD_REQUEST", `${what}: it has no such phase`);
    const { ended, state, stragglers } = ticks.outcome(definition);
    if (index < ended) return { ok: true, value: undefined }; // [B5]
    if (state !== "aborted") return undefined;
    const why = `${what}: it was aborted, waiting for ${named(stragglers)}`;
    return { ...refuse("TICK_ABORTED", why), stragglers };
  }

  /** Answers calls that can be answered by now, or whose time is over. */
  #retry(): void {
    const { now } = this.#state;
    const early = this.#early;
    this.#early = [];
    for (const waiting of early) {
      const outcome = this.#completed(waiting.call) ?? this.#neverStarted(waiting, now);
      if (outcome === undefined) this.#early.push(waiting);
      else this.#answer(waiting.caller, outcome);
    }
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiting of waiters) {
      const outcome = this.#waited(waiting) ?? this.#timedOut(waiting, now);
      if (outcome === undefined) this.#waiters.push(waiting);
      else this.#answer(waiting.caller, outcome);
    }
  }

  #neverStarted(
    { call, deadlineAt }: Waiting<Call<"phase-complete">>,
    now: Instant,
  ): Outcome | undefined {
    if (now < deadlineAt) return undefined;
    return refuse("TICK_NOT_FOUND", `${whatOf(call)}: it has not started`);
  }

  #timedOut({ call, deadlineAt }: Waiting<Call<"phase-wait">>, now: Instant): Outcome | undefined {
    if (now < deadlineAt) return undefined;
    const { current } = this.#state.view.ticks;
    const isPresent = current?.tick === call.tick;
    const index = isPresent ? current.phases.indexOf(call.phase) : -1;
    const stragglers = index < 0 ? [] : (current as CurrentTick).progress.shards(index, false);
    const who = isPresent ? `it waits for ${named(stragglers)}` : "it has not started";
    const why = `"${call.phase}" of tick ${call.tick} is not over in time: ${who}`;
    return { ...refuse("PHASE_TIMEOUT", why), stragglers };
  }

  /** [B7] Tells of ticks that have started, gone on and ended, in the order of their numbers. */
  #announce(): void {
    if (!this.#isTelling) {
      this.#announceFromHere(); // What it joined by is no news.
      return;
    }
    const { ticks } = this.#state.view;
    for (const definition of ticks.definitions()) {
      const before = this.#announced;
      if (before !== undefined && compareTicks(definition, before.of) < 0) continue;
      const isNew = before === undefined || compareTicks(definition, before.of) > 0;
      // Not before it is known how the last one has ended.
      if (
        isNew &&
        before?.state === "running" &&
        isStill(ticks.definition(before.of.tick), before.of)
      )
        return;
      this.#tell(definition, isNew ? undefined : before);
    }
  }

  #tell(
    of: Definition,
    before: { readonly ended: number; readonly state: StartedState } | undefined,
  ): void {
    const { ended, state, stragglers } = this.#state.view.ticks.outcome(of);
    if (before !== undefined) {
      const isOver = before.state !== "running" && state !== "complete";
      if (isOver || (before.state === state && before.ended >= ended)) return;
    }
    this.#announced = { of, ended, state };
    const phase = of.phases[Math.min(ended, of.phases.length - 1)] as string;
    const { tick } = of;
    this.#state.notify({
      type: "tick",
      tick,
      phase,
      state,
      ...(state === "aborted" ? { stragglers } : {}),
    });
  }

  /** What was over when this peer began is no news. */
  #announceFromHere(): void {
    const { ticks } = this.#state.view;
    for (const of of ticks.definitions()) {
      const { ended, state } = ticks.outcome(of);
      this.#announced = { of, ended, state };
    }
    this.#watchPhase();
  }
}

function isStill(present: Definition | undefined, of: Definition): boolean {
  return present !== undefined && isSameTick(present, of);
}

function compareTicks(a: Definition, b: Definition): number {
  return a.tick - b.tick || compareStamps(a.identity, b.identity);
}

function whatOf({ shard, tick }: Call<"phase-complete">): string {
  return `Cannot complete a phase of tick ${tick} for "${shard}"`;
}

function named(shards: readonly ShardId[]): string {
  const names = shards.slice(0, SHARDS_NAMED_MAX).map((shard) => `"${shard}"`);
  const more = shards.length - names.length;
  return more > 0 ? `${names.join(", ")} and ${more} more` : names.join(", ") || "nobody";
}
