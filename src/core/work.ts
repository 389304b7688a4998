/**
 * The messages that a region has taken, and in which order its host handles them.
 *
 * The messages of one entity are handled one after another, in the order in which they came: the next
 * one starts when the one before has ended. Entities do not wait for each other. A message for the
 * shard as a whole counts as one for an entity without a name.
 *
 * A shard that is closed starts nothing any more, and what waited is handed back, to be refused: it
 * was not handled, and whoever sent it will send it to the next region. What runs is work in progress.
 *
 * An entity without messages for long is passivated, in turn with its messages [H6]. Where hosts are
 * not told of that, an entity without messages costs nothing.
 *
 * Deliberately absent: which shards these are, and who answers (`hosting.ts`).
 *
 * Rules: SPEC.md, H2, H3, H6 and S4.
 */
import { ENTITIES_STARTED_MAX, SHARD_QUEUE_MAX, WORK_BYTES_MAX } from "./limits.ts";
import type { Incarnation, Instant, LinkId, PeerName, ShardId } from "./units.ts";

/** The link of what users of this peer ask: no link at all. */
export const OWN_LINK: LinkId = 0;

/** What the entities of services begin with, and those of users do not. */
export const SERVICE_ENTITY = "\u0000";

/** Whether this is an entity of a user's, and not the shard as a whole or a service. */
export function isEntity(name: string): boolean {
  return name !== "" && !name.startsWith(SERVICE_ENTITY);
}

/** A message that has to be handled. */
export interface WorkItem {
  readonly ask: number;
  readonly link: LinkId;
  /** Who sent it, in which life. */
  readonly from: PeerName;
  readonly incarnation: Incarnation;
  readonly shard: ShardId;
  readonly entity: string;
  readonly body: Uint8Array;
  readonly expiresAt: Instant;
}

/** What has been started, by the number under which the host reports its end. */
export interface Running {
  readonly shard: ShardId;
  readonly entity: string;
  /** Undefined for a passivation. */
  readonly item: WorkItem | undefined;
}

interface Entity {
  readonly queue: WorkItem[];
  isBusy: boolean;
  usedAt: Instant;
}

interface ShardWork {
  readonly entities: Map<string, Entity>;
  queued: number;
  /** `held`: takes messages, and starts none yet. `suspended`: neither. */
  mode: "open" | "held" | "suspended";
}

export interface WorkHooks {
  /** Tells the host to begin: with a message, or with letting go of an entity. */
  start(work: number, running: Running): void;
  /** A message whose time was over before its turn came. */
  expired(item: WorkItem): void;
  /** An entity has its first message, or has let go. */
  entity(shard: ShardId, entity: string, isStarted: boolean): void;
}

export class Work {
  readonly #hooks: WorkHooks;
  readonly #shards = new Map<ShardId, ShardWork>();
  readonly #running = new Map<number, Running & { readonly owner: ShardWork }>();
  /** How much of that is of each shard. */
  readonly #runningOf = new Map<ShardId, number>();
  #passivateAfterMs = Number.POSITIVE_INFINITY;
  #lastWork = 0;
  #bytes = 0;
  #entityCount = 0;
  /** While it does, nothing is started [A9]. */
  isHeld = false;

  constructor(hooks: WorkHooks) {
    this.#hooks = hooks;
  }

  configure(passivateAfterMs: number): void {
    this.#passivateAfterMs = passivateAfterMs;
  }

  /** Takes messages of a shard, and starts none yet; `entities` are there before any message [H6]. */
  hold(shard: ShardId, entities: readonly string[], now: Instant): void {
    const owner: ShardWork = { entities: new Map(), queued: 0, mode: "held" };
    this.#shards.set(shard, owner);
    if (this.#passivateAfterMs === Number.POSITIVE_INFINITY) return;
    for (const entity of entities) this.#entityOf(owner, entity, now);
  }

  /** Starts the messages of a shard that was held or suspended. */
  open(shard: ShardId, now: Instant): void {
    const owner = this.#shards.get(shard);
    if (owner === undefined) return;
    owner.mode = "open";
    this.#startAll(shard, owner, now);
  }

  /** Whether a message can be taken; if so, it is, and starts when its turn comes. */
  take(item: WorkItem, now: Instant): boolean {
    const owner = this.#shards.get(item.shard);
    const isFull =
      owner === undefined ||
      owner.mode === "suspended" ||
      owner.queued >= SHARD_QUEUE_MAX ||
      this.#bytes + item.body.length > WORK_BYTES_MAX ||
      (this.#entityCount >= ENTITIES_STARTED_MAX && !owner.entities.has(item.entity));
    if (isFull) return false; // [S4]
    if (!owner.entities.has(item.entity)) this.#hooks.entity(item.shard, item.entity, true);
    const entity = this.#entityOf(owner, item.entity, now);
    entity.usedAt = now;
    entity.queue.push(item);
    owner.queued += 1;
    this.#bytes += item.body.length;
    this.#startNext(item.shard, owner, item.entity, entity, now);
    return true;
  }

  /** Work has ended; undefined if it is none of ours. */
  ended(work: number, now: Instant): Running | undefined {
    const running = this.#running.get(work);
    if (running === undefined) return undefined;
    this.#running.delete(work);
    const { owner, shard, entity: name, item } = running;
    this.#count(shard, -1);
    this.#bytes -= item?.body.length ?? 0;
    const entity = owner.entities.get(name);
    if (entity === undefined) return running;
    entity.isBusy = false;
    if (this.#shards.get(shard) !== owner) return running; // Closed meanwhile.
    if (item === undefined && entity.queue.length === 0) {
      this.#forget(owner, name);
      this.#hooks.entity(shard, name, false);
    } else this.#startNext(shard, owner, name, entity, now);
    return running;
  }

  /** Starts nothing of a shard for now; returns what waited, in the order in which it came. */
  suspend(shard: ShardId): WorkItem[] {
    const owner = this.#shards.get(shard);
    if (owner === undefined) return [];
    owner.mode = "suspended";
    const waiting = [...owner.entities.values()].flatMap(({ queue }) => queue.splice(0));
    owner.queued = 0;
    for (const { body } of waiting) this.#bytes -= body.length;
    return waiting.sort((a, b) => a.ask - b.ask);
  }

  /** Forgets the entities of a shard, and starts nothing of it any more; returns what waited. */
  close(shard: ShardId): WorkItem[] {
    const waiting = this.suspend(shard);
    this.#entityCount -= this.#shards.get(shard)?.entities.size ?? 0;
    this.#shards.delete(shard);
    return waiting;
  }

  /** Forgets what still runs for a shard, and returns it: its end will not be waited for. */
  abandon(shard: ShardId): WorkItem[] {
    const items: WorkItem[] = [];
    for (const [work, running] of this.#running) {
      if (running.shard !== shard) continue;
      this.#running.delete(work);
      this.#count(shard, -1);
      this.#bytes -= running.item?.body.length ?? 0;
      if (running.item !== undefined) items.push(running.item);
    }
    return items;
  }

  /** Whether anything runs for a shard, also from before it was closed. */
  isBusy(shard: ShardId): boolean {
    return this.#runningOf.has(shard);
  }

  /** Goes on after nothing was started for a while. */
  resume(now: Instant): void {
    this.isHeld = false;
    for (const [shard, owner] of this.#shards) this.#startAll(shard, owner, now);
  }

  /** Passivates what has had no message for long. */
  passivate(now: Instant): void {
    if (this.isHeld) return;
    const before = now - this.#passivateAfterMs;
    for (const [shard, owner] of this.#shards) {
      if (owner.mode !== "open") continue;
      for (const [entity, state] of owner.entities) {
        const isDue = !state.isBusy && state.queue.length === 0 && state.usedAt <= before;
        if (isDue && isEntity(entity)) this.#start(shard, owner, entity, state, undefined);
      }
    }
  }

  #entityOf(owner: ShardWork, name: string, now: Instant): Entity {
    const known = owner.entities.get(name);
    if (known !== undefined) return known;
    const entity: Entity = { queue: [], isBusy: false, usedAt: now };
    owner.entities.set(name, entity);
    this.#entityCount += 1;
    return entity;
  }

  #startAll(shard: ShardId, owner: ShardWork, now: Instant): void {
    for (const [name, entity] of owner.entities) {
      if (entity.queue.length > 0) this.#startNext(shard, owner, name, entity, now);
    }
  }

  #startNext(shard: ShardId, owner: ShardWork, name: string, entity: Entity, now: Instant): void {
    if (entity.isBusy || this.isHeld || owner.mode !== "open") return;
    for (let item = entity.queue.shift(); item !== undefined; item = entity.queue.shift()) {
      owner.queued -= 1;
      if (item.expiresAt > now) {
        this.#start(shard, owner, name, entity, item);
        return;
      }
      this.#bytes -= item.body.length;
      this.#hooks.expired(item);
    }
    const isKept = this.#passivateAfterMs !== Number.POSITIVE_INFINITY && isEntity(name);
    if (!isKept) this.#forget(owner, name);
  }

  #start(
    shard: ShardId,
    owner: ShardWork,
    name: string,
    entity: Entity,
    item: WorkItem | undefined,
  ): void {
    entity.isBusy = true;
    this.#count(shard, 1);
    this.#lastWork += 1;
    const running = { shard, entity: name, item, owner };
    this.#running.set(this.#lastWork, running);
    this.#hooks.start(this.#lastWork, running);
  }

  #count(shard: ShardId, change: number): void {
    const count = (this.#runningOf.get(shard) ?? 0) + change;
    if (count === 0) this.#runningOf.delete(shard);
    else this.#runningOf.set(shard, count);
  }

  #forget(owner: ShardWork, name: string): void {
    if (owner.entities.delete(name)) this.#entityCount -= 1;
  }
}
