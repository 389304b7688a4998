/**
 * A machine driven by hand: one event at a time, at moments that the test chooses.
 */
import { packTimestamp } from "../../src/core/clock.ts";
import { type DiskImage, EMPTY_IMAGE } from "../../src/core/disk-image.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { CallRequest, MachineEvent, Remote } from "../../src/core/event.ts";
import { Machine, type MachineOptions } from "../../src/core/machine.ts";
import { encodeRow, encodeVerdict, type VerdictKind } from "../../src/core/membership.ts";
import type { Entry, Message } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import type { Stamp } from "../../src/core/units.ts";
import { encodeAllocation } from "../../src/core/view.ts";
import { member } from "./members.ts";

export const WALL_MS = Date.UTC(2026, 0, 1);

/** The timestamp of a moment, and one of those within its ms. */
export const at = (ms: number, counter = 0): number => packTimestamp(WALL_MS + ms) + counter;

/** An incarnation that started so many ms after the others. */
export const life = (name: string, startedMs = 0): string =>
  `${(WALL_MS + startedMs).toString(36)}-${name}`;

type Of<T extends Effect["type"]> = Extract<Effect, { type: T }>;

/** The effects of one type. */
export function effectsOf<T extends Effect["type"]>(effects: readonly Effect[], type: T): Of<T>[] {
  return effects.filter((effect): effect is Of<T> => effect.type === type);
}

/** Messages that go to `link`. */
export function sentTo(effects: readonly Effect[], link: number): Message[] {
  return effectsOf(effects, "send")
    .filter(({ links }) => links.includes(link))
    .map(({ message }) => message);
}

/** Entries that effects make durable, as `map key`. */
export function persisted(effects: readonly Effect[]): string[] {
  return effectsOf(effects, "persist").flatMap(({ maps }) =>
    maps.flatMap(({ map, entries }) => entries.map(({ key }) => `${map} ${key}`)),
  );
}

export class HandDriven {
  readonly machine: Machine;
  readonly name: string;
  now: number;
  /** Wall clock minus what it should be. */
  wallOffsetMs = 0;
  #calls = 0;

  constructor(name: string, options: Partial<MachineOptions> = {}, now = 0) {
    this.name = name;
    this.now = now;
    const all = {
      ...{ name, cluster: "x", incarnation: life(name), address: `${name}:1`, shardCount: 2 },
      ...{ zone: null, weight: 1, join: [], downing: "majority" as const, timings: TIMINGS.lan },
      ...{ random: new Random(1), image: EMPTY_IMAGE },
      ...options,
    };
    this.machine = new Machine(all, now, WALL_MS + now);
  }

  step(event: MachineEvent, now = this.now): Effect[] {
    this.now = now;
    return this.machine.step(event, now, WALL_MS + now + this.wallOffsetMs);
  }

  start(): Effect[] {
    return this.step({ type: "started" });
  }

  /** Opens link `id` to `name`, which belongs to the founding of this machine or to a given one. */
  open(id: number, name: string, remote: Partial<Remote> = {}, dial?: number): Effect[] {
    const { founding } = this.machine.identity(this.now, WALL_MS + this.now);
    const usual = { name, incarnation: life(name), address: `${name}:1`, founding };
    return this.step({
      type: "link-opened",
      link: id,
      remote: { ...usual, wallMs: WALL_MS + this.now, ...remote },
      ...(dial === undefined ? {} : { dial }),
    });
  }

  receive(link: number, ...messages: readonly Message[]): Effect[] {
    return this.step({ type: "received", link, messages, refused: 0 });
  }

  delta(link: number, map: string, ...entries: readonly Entry[]): Effect[] {
    return this.receive(link, { type: "delta", maps: [{ map, entries }] });
  }

  /** Calls, and returns the effects with the outcome. */
  call(request: CallRequest): { effects: Effect[]; outcome: Of<"answer">["outcome"] | undefined } {
    this.#calls += 1;
    const effects = this.step({ type: "called", call: this.#calls, request });
    return { effects, outcome: effectsOf(effects, "answer")[0]?.outcome };
  }

  /** Lets time pass until `until`, waking the machine whenever it wants to be; `each` sees the effects. */
  pass(until: number, each: (effects: Effect[], now: number) => void = () => {}): Effect[] {
    const all: Effect[] = [];
    for (let wakes = 0; this.machine.deadline() <= until; wakes += 1) {
      if (wakes > 100_000) throw new Error(`Woken for ever at ${this.now}`);
      const effects = this.step({ type: "woken" }, Math.max(this.now, this.machine.deadline()));
      each(effects, this.now);
      all.push(...effects);
    }
    this.now = until;
    return all;
  }

  /** The entry of a key as the replica has it. */
  entry(map: string, key: string): Entry | undefined {
    const entries = this.machine.entries().find((part) => part.map === map)?.entries;
    return entries?.find((entry) => entry.key === key);
  }
}

/** The disk of a peer after the given effects, as a store keeps it. */
export function imageOf(effects: readonly Effect[]): DiskImage {
  const persists = effectsOf(effects, "persist");
  const maps = new Map<string, Map<string, Entry>>();
  for (const { map, entries } of persists.flatMap((persist) => persist.maps)) {
    const stored = maps.get(map) ?? new Map<string, Entry>();
    for (const entry of entries) stored.set(entry.key, entry);
    maps.set(map, stored);
  }
  const clockBound = persists.at(-1)?.clockBound ?? 0;
  return { clockBound, maps: [...maps].map(([map, all]) => ({ map, entries: [...all.values()] })) };
}

/** A member's own row. */
export function rowEntry(
  name: string,
  ms: number,
  fields: object = {},
  writer = life(name),
): Entry {
  const row = { ...member(name).row, incarnation: writer, started: WALL_MS, ...fields };
  return { key: name, value: encodeRow(row), time: at(ms), writer };
}

export function verdictEntry(
  subject: string,
  accuser: string,
  kind: VerdictKind,
  about: Stamp,
  ms: number,
): Entry {
  const writer = life(accuser);
  const { time, writer: judged } = about;
  const verdict = { kind, about: { time, writer: judged }, accuser: writer, why: "silent" };
  return { key: `${subject}/${accuser}`, value: encodeVerdict(verdict), time: at(ms), writer };
}

export function allocationEntry(shard: string, region: string, ms: number, writer = "w"): Entry {
  return { key: shard, value: encodeAllocation(region), time: at(ms), writer };
}

/** A heartbeat that says nothing but that its sender is there, at the same time. */
export function beat(now: number): Message {
  return {
    ...{ type: "heartbeat", sentAt: now, echo: -1, echoDelayMs: 0, heardMs: 0 },
    ...{ stepMs: 0, leadMs: 0, everyMs: 250, wallMs: WALL_MS + now },
  };
}
