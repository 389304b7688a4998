/**
 * How a region makes sure that whoever had its shard has stopped [H5].
 *
 * A shard that is handed over needs none of this: its region writes the entry when it has stopped. It is
 * for a shard that somebody else moved, because its region did not seem to be there. The new region asks
 * the old one, which has merged the entry by then (it travels ahead of the question), and answers when
 * nothing runs any more, or when work in progress has had its time. Who does not answer at all is not
 * waited for longer than a handoff may take.
 *
 * Rules: SPEC.md, H5.
 */
import type { Link } from "./link.ts";
import type { Stop, Stopped } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Incarnation, Instant, PeerName, ShardId, Timestamp } from "./units.ts";
import { ALLOCATIONS } from "./view.ts";

export interface StoppingHooks {
  /** Whether work for a shard is in progress here. */
  isBusy(shard: ShardId): boolean;
  /** Whether this region serves it, by all that is known here. */
  serves(shard: ShardId): boolean;
  /** Another region has stopped, which was asked about this entry. */
  stopped(shard: ShardId, token: Timestamp): void;
}

/** Somebody who waits for work of this region to end. */
interface Waiter {
  readonly incarnation: Incarnation;
  readonly token: Timestamp;
  readonly dueAt: Instant;
}

/** Regions that wait for one shard. Each shard has one owner at a time: more are old questions. */
const WAITERS_MAX = 16;

export class Stopping {
  readonly #state: PeerState;
  readonly #hooks: StoppingHooks;
  readonly #waiters = new Map<ShardId, Waiter[]>();
  #dueAt: Instant = Number.POSITIVE_INFINITY;

  constructor(state: PeerState, hooks: StoppingHooks) {
    this.#state = state;
    this.#hooks = hooks;
  }

  /** Asks a region that had a shard; a region without a link hears of the entry when it has one. */
  ask(shard: ShardId, from: PeerName, token: Timestamp): void {
    const { links, replica, timings } = this.#state;
    const link = links.usable(timings.maxDriftMs).find(({ remote }) => remote.name === from);
    const entry = replica.map(ALLOCATIONS).entry(shard);
    if (link === undefined || entry === undefined) return;
    this.#state.send(link, { type: "delta", maps: [{ map: ALLOCATIONS, entries: [entry] }] });
    this.#state.send(link, { type: "stop", shard, token });
  }

  received(link: Link, { type, shard, token }: Stop | Stopped): void {
    if (type === "stopped") {
      const { from } = this.#state.view.course(shard);
      if (from === link.remote.name) this.#hooks.stopped(shard, token);
      return;
    }
    // Who asks may have lost the shard since: then it hears of that by the newer entry.
    if (this.#hooks.serves(shard)) return;
    const { incarnation } = link.remote;
    const dueAt = this.#state.now + this.#state.timings.drainMs;
    const waiter = { incarnation, token, dueAt };
    if (!this.#hooks.isBusy(shard)) {
      this.#answer(shard, waiter);
      return;
    }
    const waiters = this.#waiters.get(shard) ?? [];
    if (waiters.length >= WAITERS_MAX || !this.#state.view.hasShard(shard)) return; // [S4]
    waiters.push(waiter);
    this.#waiters.set(shard, waiters);
    this.#dueAt = Math.min(this.#dueAt, dueAt);
  }

  /** No work for a shard is in progress any more. */
  idle(shard: ShardId): void {
    const waiters = this.#waiters.get(shard);
    if (waiters === undefined) return;
    this.#waiters.delete(shard);
    for (const waiter of waiters) this.#answer(shard, waiter);
  }

  /** Work that takes too long is not waited for: it was told to stop. */
  settle(): void {
    const { now } = this.#state;
    if (now < this.#dueAt) return;
    this.#dueAt = Number.POSITIVE_INFINITY;
    for (const [shard, waiters] of this.#waiters) {
      if (waiters.some(({ dueAt }) => dueAt <= now)) this.idle(shard);
      else for (const { dueAt } of waiters) this.#dueAt = Math.min(this.#dueAt, dueAt);
    }
  }

  deadline(): Instant {
    return this.#dueAt;
  }

  #answer(shard: ShardId, { incarnation, token }: Waiter): void {
    const link = this.#state.links.to(incarnation);
    if (link !== undefined) this.#state.send(link, { type: "stopped", shard, token });
  }
}
