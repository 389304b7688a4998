/**
 * The shards that this region serves, takes or gives away, and what both ends of a move do with them.
 *
 * A shard walks through the table of `handoff.ts`, here and nowhere else, and each state but serving
 * has a time at which it has lasted too long.
 *
 * Rules: SPEC.md, H2, H4 and H7.
 */
import { assert } from "./assert.ts";
import { HANDOFF, type HandoffEvent, type HandoffState } from "./handoff.ts";
import type { HostTask, HostTraits } from "./host-task.ts";
import type { Value } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Reception } from "./reception.ts";
import type { Instant, PeerName, ShardId, Timestamp } from "./units.ts";
import { ALLOCATIONS, encodeAllocation } from "./view.ts";

export interface HostedShard {
  readonly shard: ShardId;
  state: HandoffState;
  /** That it serves under, or is to. */
  token: Timestamp;
  /** When the state has lasted too long; Infinity where it may last. */
  dueAt: Instant;
  /** The region that handed it over to this one. */
  from: PeerName | undefined;
  /** The token of the entry that began the handoff. */
  begin: Timestamp;
  /** To whom it is given. */
  successor: PeerName | undefined;
  /** The token under which the host was last told to take it or to let go. */
  told: Timestamp;
  /** The host could not take it, or has let go of it already. */
  hasFailed: boolean;
  hasReleased: boolean;
  /** Whether users have been told that this region has it. */
  isAnnounced: boolean;
}

export class HostedShards {
  readonly state: PeerState;
  readonly reception: Reception;
  traits: HostTraits | undefined;
  readonly #shards = new Map<ShardId, HostedShard>();
  /** Not later than the earliest time at which a state has lasted too long. */
  #dueAt: Instant = Number.POSITIVE_INFINITY;

  constructor(state: PeerState, reception: Reception) {
    this.state = state;
    this.reception = reception;
  }

  get dueAt(): Instant {
    return this.#dueAt;
  }

  get(shard: ShardId): HostedShard | undefined {
    return this.#shards.get(shard);
  }

  /** A snapshot of this moment: who goes through it may remove some. */
  all(): HostedShard[] {
    return [...this.#shards.values()];
  }

  add(shard: ShardId): HostedShard {
    const record: HostedShard = {
      ...{ shard, state: "waiting", token: 0, dueAt: Number.POSITIVE_INFINITY, from: undefined },
      ...{ begin: 0, successor: undefined, told: 0, hasFailed: false, hasReleased: false },
      isAnnounced: false,
    };
    this.#shards.set(shard, record);
    return record;
  }

  /** It is not this region's affair any more, but that of `to`. */
  forget({ shard, isAnnounced }: HostedShard, to: PeerName | undefined): void {
    this.#shards.delete(shard);
    if (isAnnounced) this.state.notify({ type: "release", shard, to });
  }

  go(record: HostedShard, event: HandoffEvent): void {
    const next = HANDOFF[record.state][event];
    assert(next !== null, `a shard that is ${record.state} is not ${event}`);
    record.state = next;
  }

  /** Sets how long a state may last from now on. */
  wait(record: HostedShard, ms: number): void {
    record.dueAt = this.state.now + ms;
    this.#dueAt = Math.min(this.#dueAt, record.dueAt);
  }

  /** The shards whose state has lasted too long. */
  overdue(): HostedShard[] {
    const { now } = this.state;
    if (now < this.#dueAt) return [];
    this.#dueAt = Number.POSITIVE_INFINITY;
    const overdue: HostedShard[] = [];
    for (const record of this.#shards.values()) {
      if (record.dueAt <= now) {
        record.dueAt = Number.POSITIVE_INFINITY;
        overdue.push(record);
      } else this.#dueAt = Math.min(this.#dueAt, record.dueAt);
    }
    return overdue;
  }

  /** Writes that this region has the shard, under a stamp of its present life [H7]. */
  confirm(shard: ShardId): Timestamp {
    return this.write(shard, encodeAllocation(this.state.options.name));
  }

  write(shard: ShardId, value: Value): Timestamp {
    return this.state.write(ALLOCATIONS, shard, value).time;
  }

  /**
   * [H7] A shard is served on under a new entry. It may have won over a claim that never came here, so the host
   * is told: the token that it knows may not be the highest any more.
   */
  renew(record: HostedShard, token: Timestamp): void {
    if (record.token === token) return;
    record.token = token;
    const writer = this.state.options.incarnation;
    this.task({ type: "renew", shard: record.shard, token, writer });
  }

  task(task: HostTask): void {
    this.state.effect({ type: "host", task });
  }

  /** Refuses what waits for a shard, and forgets its entities. What runs goes on. */
  closeWork(shard: ShardId): void {
    const waiting = this.reception.work.close(shard);
    this.reception.refuse(waiting, "NOT_READY", `"${shard}" has moved`);
  }

  /** [H2] What still runs is aborted, and its senders are told that nobody knows how it ends. */
  giveUpWork(shard: ShardId): void {
    this.task({ type: "cancel", shard });
    const message = `It was being handled when "${shard}" moved, and may have been carried out`;
    for (const item of this.reception.work.abandon(shard)) {
      this.reception.answer(item, { how: "failed", code: "TIMEOUT", message });
    }
  }

  warnFailed(what: string, shard: ShardId, error: string): void {
    this.state.warn("HANDLER_FAILED", `The host could not ${what} "${shard}": ${error}`);
  }
}
