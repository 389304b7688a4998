/**
 * Messages to entities are handled once, in order, by whoever serves the shard; and each sender is told.
 *
 * It knows what was asked by whom, sees what hosts handle and under which token, and what askers are
 * told. A message that its sender was told was not handled must never be, one that was answered has
 * been, and of the others nobody may be sure. What a host hands over is what the next one gets.
 */
import type { AskOutcome } from "../../src/core/effect.ts";
import type { MachineEvent } from "../../src/core/event.ts";
import type { HostTask } from "../../src/core/host-task.ts";
import type { Checker, Report } from "../checker.ts";
import type { Counts } from "../host.ts";
import type { SimulatedPeer } from "../peer.ts";

/** What a sender is told when it cannot know whether its message was handled, or knows that it was. */
const MAY_BE_HANDLED: ReadonlySet<string> = new Set(["TIMEOUT", "HANDLER_FAILED"]);

/** Any other code would be a bug. */
const NOT_HANDLED: ReadonlySet<string> = new Set([
  ...["NOT_READY", "NOT_OWNER", "NO_REGION", "BUFFER_FULL"],
]);

/** How long after its time a sender may have to wait at most: paused and slow ones get no news. */
const PATIENCE_MS = 3000;

/** A peer takes a step more often than this, in ms. */
const PULSE_MS = 500;

/** How often handoffs are looked at, in ms. */
const LOOK_MS = 500;

interface Asked {
  readonly peer: SimulatedPeer;
  readonly life: number;
  readonly shard: string;
  readonly entity: string;
  readonly deadlineMs: number;
  /** 0 until its sender's machine has heard of it. */
  place: number;
  handledBy: string | undefined;
  outcome: AskOutcome | undefined;
}

interface Released {
  readonly peer: string;
  readonly counts: Counts;
  readonly at: number;
}

export class AsksChecker implements Checker {
  readonly #report: Report;
  readonly #now: () => number;
  readonly #asked: Asked[] = [];
  #lastPlace = 0;
  /** The last message of each sender's life that an entity has handled: its place, and under which token. */
  readonly #last = new Map<string, { readonly place: number; readonly token: number }>();
  /** By region: the handoffs that it runs, and since when. */
  readonly #handoffs = new Map<SimulatedPeer, Map<string, number>>();
  readonly #lookedAt = new Map<SimulatedPeer, number>();
  readonly #steppedAt = new Map<SimulatedPeer, number>();
  /** By fencing token: the life that served under it. */
  readonly #tokens = new Map<string, string>();
  /** What was in a shard when its host let go of it, and when that was. */
  readonly #released = new Map<string, Released>();
  /** When hosts were told to take shards, by the token of the shard: one that hangs takes it much later. */
  readonly #taking = new Map<string, number>();

  constructor(report: Report, now: () => number) {
    this.#report = report;
    this.#now = now;
  }

  /** A message is about to be sent; returns its number. */
  ask(peer: SimulatedPeer, shard: string, entity: string, timeoutMs: number): number {
    const deadlineMs = this.#now() + timeoutMs;
    const common = { peer, life: peer.lives, shard, entity, deadlineMs };
    this.#asked.push({ ...common, place: 0, handledBy: undefined, outcome: undefined });
    return this.#asked.length - 1;
  }

  /** How a message ended; undefined while that is not known. */
  outcomeOf(operation: number): AskOutcome | undefined {
    return this.#asked[operation]?.outcome;
  }

  asked(_peer: SimulatedPeer, operation: number, outcome: AskOutcome): void {
    const asked = this.#asked[operation];
    if (asked === undefined) return;
    asked.outcome = outcome;
    const { shard, handledBy } = asked;
    if (outcome.ok && handledBy === undefined) {
      this.#report("I11", `${operation} to ${shard} was answered and never handled`);
    }
    if (outcome.ok || MAY_BE_HANDLED.has(outcome.code)) return;
    if (!NOT_HANDLED.has(outcome.code)) this.#report("H3", `${outcome.code}: ${outcome.message}`);
    if (handledBy !== undefined) {
      this.#report("I11", `${handledBy} handled ${operation}, whose sender heard ${outcome.code}`);
    }
  }

  handled(
    peer: SimulatedPeer,
    task: Extract<HostTask, { type: "handle" }>,
    operation: number,
  ): void {
    const asked = this.#asked[operation];
    if (asked === undefined) return;
    const { shard, entity } = task;
    if (asked.handledBy !== undefined) {
      this.#report("I11", `${asked.handledBy} and then ${peer.name} handled ${operation}`);
    }
    asked.handledBy = peer.name;
    const { outcome } = asked;
    if (outcome !== undefined && !outcome.ok && !MAY_BE_HANDLED.has(outcome.code)) {
      this.#report("I11", `${peer.name} handles ${operation}, whose sender heard ${outcome.code}`);
    }
    const sender = `${asked.peer.name} ${asked.life} ${shard} ${entity}`;
    const place = this.#place(asked);
    const last = this.#last.get(sender) ?? { place: 0, token: 0 };
    // Who still serves under an earlier token, as it may without a majority, has a past of its own.
    const isPresent = task.token >= last.token;
    if (isPresent && last.place > place) {
      this.#report("H3", `${operation} of ${sender} is handled after a later one`);
    }
    if (isPresent) this.#last.set(sender, { place, token: task.token });
    if (shard !== asked.shard || entity !== asked.entity) {
      this.#report("H3", `${operation} reached ${shard} ${entity}`);
    }
    this.#judgeService(peer, task);
  }

  stepped(peer: SimulatedPeer, event: MachineEvent): void {
    const now = this.#now();
    const asked = event.type === "asked" ? this.#asked[event.ask] : undefined;
    if (asked !== undefined) this.#place(asked);
    const before = this.#steppedAt.get(peer) ?? now;
    this.#steppedAt.set(peer, now);
    if (now - before > PULSE_MS || !peer.machine?.isServing || peer.slowMs > 0) {
      this.#handoffs.delete(peer); // Whoever is not there cannot hand over.
    } else if (now - (this.#lookedAt.get(peer) ?? 0) > LOOK_MS) this.#look(peer, now);
  }

  /** Its place among all, given when its sender's machine hears of it: a slow one does so late. */
  #place(asked: Asked): number {
    if (asked.place === 0) {
      this.#lastPlace += 1;
      asked.place = this.#lastPlace;
    }
    return asked.place;
  }

  booted(peer: SimulatedPeer): void {
    this.#handoffs.delete(peer);
    this.#steppedAt.delete(peer);
  }

  /** [H4] No handoff that a region runs takes longer than all of its phases together. */
  #look(peer: SimulatedPeer, now: number): void {
    this.#lookedAt.set(peer, now);
    const view = peer.machine?.view;
    const { drainMs, handoffMs } = peer.options.timings;
    const known = this.#handoffs.get(peer) ?? new Map<string, number>();
    const present = new Map<string, number>();
    for (const shard of view?.successions().keys() ?? []) {
      if (view?.regionFor(shard) !== peer.name) continue;
      const sinceMs = known.get(shard) ?? now;
      present.set(shard, sinceMs);
      if (now - sinceMs > drainMs + 2 * handoffMs + LOOK_MS) {
        this.#report("H4", `${peer.name} hands ${shard} over for ${now - sinceMs} ms`);
      }
    }
    this.#handoffs.set(peer, present);
  }

  acquired(
    peer: SimulatedPeer,
    { shard, token, writer, from }: Extract<HostTask, { type: "acquire" }>,
    imported: Counts | undefined,
  ): void {
    const released = this.#released.get(shard);
    const takenAt = this.#taking.get(`${shard} ${token} ${writer}`) ?? this.#now();
    if (released !== undefined && takenAt < released.at) return; // It has what was released before.
    this.#released.delete(shard); // What it has from now on is for its next release to tell.
    if (imported === undefined || released === undefined || released.peer !== from) return;
    const [given, taken] = [textOf(released.counts), textOf(imported)];
    if (given !== taken) {
      this.#report("H2", `${peer.name} got ${taken} of ${shard}, and ${from} gave ${given}`);
    }
  }

  released(peer: SimulatedPeer, shard: string, counts: Counts): void {
    this.#released.set(shard, { peer: peer.name, counts: new Map(counts), at: this.#now() });
  }

  tasked(_peer: SimulatedPeer, task: HostTask): void {
    if (task.type !== "acquire") return;
    this.#taking.set(`${task.shard} ${task.token} ${task.writer}`, this.#now());
  }

  settled(): void {
    this.finish();
  }

  /** [H3] Nobody who could be told is left without an answer. */
  finish(): void {
    const now = this.#now();
    for (const [operation, { peer, life, outcome, deadlineMs }] of this.#asked.entries()) {
      const couldHear = peer.lives === life && peer.state === "up" && peer.slowMs === 0;
      if (outcome === undefined && couldHear && now > deadlineMs + PATIENCE_MS) {
        this.#report("H3", `${peer.name} hears nothing of ${operation}`);
      }
    }
  }

  #judgeService(
    peer: SimulatedPeer,
    { shard, token, writer }: Extract<HostTask, { type: "handle" }>,
  ): void {
    const { machine, options } = peer;
    const life = `${peer.name} ${peer.lives}`;
    const name = `${shard} ${token} ${writer}`;
    const other = this.#tokens.get(name);
    if (other !== undefined && other !== life) {
      this.#report("I9", `${other} and ${life} both serve under ${name}`);
    }
    this.#tokens.set(name, life);
    // What is carried out late, behind a disk, was decided earlier.
    if (machine === undefined || (options.diskMs ?? 0) > 0) return;
    const allocation = machine.view.allocation(shard);
    const isMoving = machine.view.course(shard).successor !== undefined;
    const isIts = allocation?.token === token && allocation.writer === writer;
    if (!isIts && !isMoving && allocation?.region === peer.name) {
      this.#report("I9", `${life} serves ${shard} under ${token}, which is not the table's`);
    }
    if (allocation?.region !== peer.name) {
      this.#report("A7", `${life} handles a message of ${shard}, which is not its own`);
    }
    // [A9] The first step after a pause cannot be the end of an exchange that began after it.
    const silentMs = this.#now() - (this.#steppedAt.get(peer) ?? this.#now());
    const hasOthers = machine.status().members.alive > 1;
    if (silentMs > options.timings.silenceMs + PULSE_MS && hasOthers) {
      this.#report("A9", `${life} handles a message at once after ${silentMs} ms without a step`);
    }
    if (!machine.isServing) this.#report("F9", `${life} handles a message and may not serve`);
  }
}

function textOf(counts: Counts): string {
  return JSON.stringify([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
