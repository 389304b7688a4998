/**
 * The host of one simulated peer, in one of its lives: it counts what it has handled.
 *
 * It does what a user's host may do: it takes its time, now and then very much of it, it fails, and it
 * ignores that it was told to stop. Of each entity it holds in memory how often it was increased; that
 * is the state which it gives to the next region of a shard, in several chunks.
 *
 * Deliberately absent: judging. It says what it does when it does it, and checkers know the rest.
 */
import type { HostReport, HostTask, HostTraits } from "../src/core/host-task.ts";
import type { Random } from "../src/core/random.ts";
import { decodeBody, encodeBody } from "../src/wire/body.ts";
import type { World } from "./world.ts";

export const HOST_TRAITS: HostTraits = {
  ...{ exports: true, imports: true, remembers: true, passivateAfterMs: 2000 },
};

/** How often something takes very long, and how long that is, in ms. */
const HANG_PROBABILITY = 0.004;
const HANG_MS = 30_000;
const FAILURE_PROBABILITY = 0.02;
const HANDLE_MS_MEAN = 3;
const LIFECYCLE_MS_MEAN = 8;
/** Entities in one chunk of state. */
const CHUNK_ENTITIES = 3;

/** How often each entity of a shard has been increased. */
export type Counts = ReadonlyMap<string, number>;

/** State that goes out; `token` names the handoff. */
interface Export {
  readonly token: number;
  readonly chunks: (readonly (readonly [string, number])[])[];
}

/** The number of an ask that increases an entity, as a message. */
export function bodyOf(operation: number): Uint8Array {
  const encoded = encodeBody(operation);
  return "bytes" in encoded ? encoded.bytes : new Uint8Array();
}

export interface HostListener {
  /** An entity has been increased. */
  handled(task: Extract<HostTask, { type: "handle" }>, operation: number): void;
  /** The host has a shard, with the state that it was given, if it was given any. */
  acquired(task: Extract<HostTask, { type: "acquire" }>, imported: Counts | undefined): void;
  /** The host lets go of a shard, with this state. */
  released(shard: string, counts: Counts): void;
  report(report: HostReport): void;
}

export class SimulatedHost {
  readonly #world: World;
  readonly #random: Random;
  readonly #listener: HostListener;
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #imported = new Map<string, Map<string, number>>();
  readonly #exports = new Map<string, Export>();
  /** The handoffs by which state comes in. */
  readonly #importing = new Map<string, number>();
  /** When what happens to a shard, one after another, has happened. */
  readonly #busyUntil = new Map<string, number>();
  /** Nothing fails or takes long any more. */
  isCalm = false;

  constructor(world: World, random: Random, listener: HostListener) {
    this.#world = world;
    this.#random = random;
    this.#listener = listener;
  }

  perform(task: HostTask): void {
    switch (task.type) {
      case "handle":
        this.#handle(task);
        break;
      case "passivate":
        this.#later(HANDLE_MS_MEAN, () => this.#done(task.work));
        break;
      case "acquire":
        this.#inTurn(task.shard, () => this.#acquire(task));
        break;
      case "renew":
        this.#inTurn(task.shard, () => this.#renew(task));
        break;
      case "release":
        this.#inTurn(task.shard, () => this.#release(task));
        break;
      case "export":
        this.#later(HANDLE_MS_MEAN, () => this.#export(task));
        break;
      case "import":
        this.#importing.set(task.shard, task.token);
        this.#inTurn(task.shard, () => this.#import(task));
        break;
      case "abandon":
        this.#imported.delete(task.shard);
        this.#importing.delete(task.shard);
        this.#exports.delete(task.shard);
        break;
      case "cancel":
        break; // A host that does not look at its signal.
    }
  }

  #handle(task: Extract<HostTask, { type: "handle" }>): void {
    const { work, shard, entity } = task;
    const operation = decodeBody(task.body)?.body;
    if (typeof operation !== "number") throw new Error("A message is not as it was sent");
    const counts = this.#countsOf(shard);
    counts.set(entity, (counts.get(entity) ?? 0) + 1);
    this.#listener.handled(task, operation);
    const fails = !this.isCalm && this.#random.chance(FAILURE_PROBABILITY);
    this.#later(HANDLE_MS_MEAN, () => {
      if (fails) this.#listener.report({ type: "handled", work, error: "It failed" });
      else this.#done(work);
    });
  }

  #done(work: number): void {
    this.#listener.report({ type: "handled", work, body: new Uint8Array() });
  }

  #acquire(task: Extract<HostTask, { type: "acquire" }>): void {
    const { shard, token } = task;
    const fails = !this.isCalm && this.#random.chance(FAILURE_PROBABILITY);
    const error = fails ? "It failed" : undefined;
    if (!fails) {
      const imported = this.#imported.get(shard);
      this.#imported.delete(shard);
      this.#counts.set(shard, new Map(imported));
      this.#listener.acquired(task, imported);
    }
    this.#listener.report({ type: "acquired", shard, token, error });
  }

  /** Its services let go, and take the shard under the new token. */
  #renew({ shard, token, writer }: Extract<HostTask, { type: "renew" }>): void {
    const counts = this.#counts.get(shard);
    if (counts === undefined) return;
    this.#listener.released(shard, counts);
    const taken = { shard, token, writer, from: undefined, entities: [] };
    this.#listener.acquired({ type: "acquire", ...taken }, undefined);
  }

  #release({ shard, token }: Extract<HostTask, { type: "release" }>): void {
    this.#listener.released(shard, this.#countsOf(shard));
    this.#counts.delete(shard);
    this.#exports.delete(shard);
    this.#imported.delete(shard); // Of a shard that it could not take in the end.
    this.#listener.report({ type: "released", shard, token, error: undefined });
  }

  #export({ shard, token }: Extract<HostTask, { type: "export" }>): void {
    const known = this.#exports.get(shard);
    const chunks = known?.token === token ? known.chunks : chunksOf(this.#countsOf(shard));
    this.#exports.set(shard, { token, chunks });
    const chunk = chunks.shift();
    if (chunk === undefined) this.#exports.delete(shard);
    const encoded = encodeBody(chunk);
    const fails = !this.isCalm && this.#random.chance(FAILURE_PROBABILITY);
    this.#listener.report({
      ...{ type: "exported", shard, token, isLast: chunk === undefined },
      chunk: "bytes" in encoded ? encoded.bytes : new Uint8Array(),
      error: fails ? "It failed" : undefined,
    });
  }

  #import({ shard, token, number, chunk, isLast }: Extract<HostTask, { type: "import" }>): void {
    if (this.#importing.get(shard) !== token) return; // Abandoned meanwhile.
    const counts = (number === 0 ? undefined : this.#imported.get(shard)) ?? new Map();
    this.#imported.set(shard, counts);
    const body = decodeBody(chunk)?.body as readonly (readonly [string, number])[] | undefined;
    if (!isLast) for (const [entity, count] of body ?? []) counts.set(entity, count);
    const fails = !this.isCalm && this.#random.chance(FAILURE_PROBABILITY);
    this.#listener.report({
      ...{ type: "imported", shard, token, number, error: fails ? "It failed" : undefined },
    });
  }

  #countsOf(shard: string): Map<string, number> {
    const counts = this.#counts.get(shard) ?? new Map<string, number>();
    this.#counts.set(shard, counts);
    return counts;
  }

  #later(meanMs: number, run: () => void): void {
    const hangs = !this.isCalm && this.#random.chance(HANG_PROBABILITY);
    this.#world.plan(hangs ? HANG_MS : -meanMs * Math.log(1 - this.#random.unit()), run);
  }

  /** After what was begun before for the same shard. */
  #inTurn(shard: string, run: () => void): void {
    const hangs = !this.isCalm && this.#random.chance(HANG_PROBABILITY);
    const takesMs = hangs ? HANG_MS : -LIFECYCLE_MS_MEAN * Math.log(1 - this.#random.unit());
    const { now } = this.#world;
    const endsAt = Math.max(now, this.#busyUntil.get(shard) ?? 0) + takesMs;
    this.#busyUntil.set(shard, endsAt);
    this.#world.plan(endsAt - now, run);
  }
}

function chunksOf(counts: Counts): Export["chunks"] {
  const all = [...counts];
  const chunks: Export["chunks"] = [];
  for (let from = 0; from < all.length; from += CHUNK_ENTITIES) {
    chunks.push(all.slice(from, from + CHUNK_ENTITIES));
  }
  return chunks;
}
