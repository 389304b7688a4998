/**
 * Items: named contents of shards, replicated and durable, that grow by updates which can be merged.
 *
 * The region that serves a shard leads its items (`leading.ts`); others have copies (`following.ts`): the
 * regions of the replica shards [R3], and whoever had one before and was not told to drop it. A document
 * is an item, and so may be a set of rows: what an update means, only the user of this module knows. It
 * must be so that any set of updates has one meaning, in any order and however often each is in it.
 *
 *   append(shard, item, update)      at the leader: stored, told to the copies, acknowledged later
 *   hooks.acknowledged               enough copies of everything up to that count are durable [Y3]
 *   hooks.recovered                  the region has what anybody has kept, and may serve [Y5]
 *   hooks.merge                      another copy's content: append what is new in it [Y6]
 *
 * Everything here is told the time and what happens, and does what it does through its port: the
 * simulator runs it as it is.
 *
 * Rules: SPEC.md, Y3 to Y6.
 */
import type { Instant, PeerName, ShardId, Timestamp } from "../core/units.ts";
import { Following } from "./following.ts";
import { encodeItemMessage, type ItemMessage } from "./item-messages.ts";
import type { ItemStore } from "./item-store.ts";
import { type Acks, type LeaderPort, Leading } from "./leading.ts";
import { markOf, type Version } from "./version.ts";

export interface ItemsPort {
  readonly name: PeerName;
  send(to: PeerName, message: Uint8Array): void;
  isBusy(peer: PeerName): boolean;
  /** The shard that an item belongs to now; undefined where there are none. */
  shardFor(item: string): ShardId | undefined;
  /** While this is the same, every item belongs to the same shard. */
  ringChanges(): number;
  /** Who has a shard, by the table. */
  regionFor(shard: ShardId): PeerName | undefined;
  /** The peers that are to have copies of an item besides the region of its shard. */
  replicasOf(shard: ShardId, item: string): readonly PeerName[];
  /** The other members that are there. */
  others(): ReadonlySet<PeerName>;
  /** `flush` is to be called when the turn of the event loop is over. */
  due(): void;
}

export interface ItemsHooks
  extends Pick<
    LeaderPort,
    ("merge" | "isOpen" | "replaced" | "acknowledged" | "recovered") | ("arrived" | "isAwaited")
  > {
  /** A copy has grown to many parts: `compact` may put fewer in their place. */
  grown(shard: ShardId, item: string): void;
}

export interface ItemsOptions {
  /** How many copies must be durable. Default 2. */
  readonly acks?: Acks;
  /** How long a region waits for what others have kept before it serves, in ms. Default 2000. */
  readonly recoverMs?: number;
}

/** How long a region waits for what others have kept before it serves, in ms. */
const RECOVER_MS = 2000;

/** Parts of one copy at which it ought to be compacted. */
const PARTS_MAX = 500;

export class Items {
  readonly store: ItemStore;
  readonly #port: ItemsPort;
  readonly #leaderPort: LeaderPort;
  readonly #recoverMs: number;
  readonly #leading = new Map<ShardId, Leading>();
  readonly #following = new Map<ShardId, Following>();
  /** The newest token of those that invited this peer, by shard. */
  readonly #invited = new Map<ShardId, Timestamp>();
  /** Copies that have something to acknowledge. */
  readonly #due = new Set<Following>();
  readonly #grown: ItemsHooks["grown"];
  /** Of the ring by which items were given their shards last. */
  #ringChanges: number | undefined;
  #lastUnion = 0;
  #lastSession = 0;

  constructor(port: ItemsPort, store: ItemStore, hooks: ItemsHooks, options: ItemsOptions = {}) {
    const { acks = 2, recoverMs = RECOVER_MS } = options;
    this.#port = port;
    this.store = store;
    this.#recoverMs = recoverMs;
    this.#grown = hooks.grown;
    this.#leaderPort = {
      ...{ name: port.name, store, acks },
      ...hooks,
      send: (to, message) => this.#send(to, message),
      isBusy: (peer) => port.isBusy(peer),
      replicasOf: (shard, item) => port.replicasOf(shard, item),
    };
  }

  /** The region has a shard from now on, under this token. */
  acquired(shard: ShardId, token: Timestamp, writer: string, now: Instant): void {
    this.#endFollowing(shard);
    const epoch = { token, mark: markOf(writer) };
    const others = this.#port.others();
    const leading = new Leading(this.#leaderPort, shard, epoch, others, now + this.#recoverMs);
    this.#leading.set(shard, leading);
    leading.tick(now);
  }

  /** The region has it no longer. */
  released(shard: ShardId): void {
    this.#leading.delete(shard);
    this.#follow(shard);
  }

  /** The peer begins again: it has no shards, and whatever was said is void. Copies stay. */
  reset(): void {
    this.#leading.clear();
    this.#invited.clear();
    this.#ringChanges = undefined;
    for (const shard of [...this.#following.keys()]) this.#endFollowing(shard);
  }

  leads(shard: ShardId): boolean {
    return this.#leading.has(shard);
  }

  /** Whether the region leads a shard, and has all of it that can be had, or all of one item. */
  isReady(shard: ShardId, item?: string): boolean {
    const leading = this.#leading.get(shard);
    return leading?.isReady === true || (item !== undefined && leading?.has(item) === true);
  }

  /** Whether there is such an item, and it was not deleted. */
  has(shard: ShardId, item: string): boolean {
    return (this.store.items(shard).get(item)?.parts ?? 0) > 0;
  }

  /** Whether something that was appended here is not durable in enough copies yet. */
  isWaiting(shard: ShardId, item: string): boolean {
    return this.#leading.get(shard)?.isWaiting(item) === true;
  }

  /** Appends to an item of a shard that the region leads; returns the count to wait for. */
  append(shard: ShardId, item: string, part: Uint8Array): number {
    const count = this.#leaderOf(shard).append(item, part);
    this.#watchGrowth(shard, item);
    return count;
  }

  delete(shard: ShardId, item: string): number {
    return this.#leaderOf(shard).delete(item);
  }

  /** Puts other parts in place of those that say the same; also where the region does not lead. */
  compact(shard: ShardId, item: string, parts: readonly Uint8Array[]): void {
    const known = this.store.items(shard).get(item);
    if (known !== undefined) this.store.replace(shard, item, known.version, parts);
  }

  received(from: PeerName, message: ItemMessage): void {
    const { shard } = message;
    const leading = this.#leading.get(shard);
    // Of somebody with another ring: it is moved with the next change, as if it had been here before.
    if ("item" in message && this.#port.shardFor(message.item) !== shard) {
      this.#ringChanges = undefined;
    }
    if (message.type === "invite") {
      // Who leads, too, will hear from the table who is right, and offers what it has then.
      if (leading === undefined && this.#isCurrent(from, message)) this.#followLeader(shard, from);
    } else if (["offer", "content", "ack"].includes(message.type)) leading?.received(from, message);
    else {
      const following = this.#following.get(shard);
      if (following === undefined && leading === undefined) {
        // The leader takes it for a follower that it is no longer: it begins anew.
        if (this.#port.regionFor(shard) === from) this.#followLeader(shard, from);
      }
      if (following?.leader !== from) return;
      if (!following.received(message)) this.#followLeader(shard, from);
      else if (message.type === "append") this.#watchGrowth(shard, message.item);
    }
  }

  /** Acknowledges what has become durable in this turn. */
  flush(): void {
    for (const following of this.#due) following.acknowledge();
    this.#due.clear();
  }

  /** Messages to a peer get through, after they did not. */
  opened(peer: PeerName): void {
    for (const leading of this.#leading.values()) leading.opened(peer);
    for (const shard of this.store.shards()) {
      if (!this.#following.has(shard) && this.#port.regionFor(shard) === peer) this.#follow(shard);
    }
  }

  lost(peer: PeerName): void {
    for (const leading of this.#leading.values()) leading.lost(peer);
    for (const [shard, { leader }] of this.#following) {
      if (leader === peer) this.#endFollowing(shard);
    }
    // It is offered again, as soon as that gets through.
    for (const shard of this.store.shards()) {
      if (this.#port.regionFor(shard) === peer) this.#follow(shard);
    }
  }

  /** Whether shards have come or gone since `viewChanged`: that alone changes no allocation, but who has copies. */
  get isRingNews(): boolean {
    return this.#port.ringChanges() !== this.#ringChanges;
  }

  /** Members, allocations or the shards themselves have changed. */
  viewChanged(): void {
    const others = this.#port.others();
    if (this.isRingNews) this.#rehome();
    this.#ringChanges = this.#port.ringChanges();
    for (const leading of this.#leading.values()) leading.viewChanged(others);
    for (const shard of this.store.shards()) {
      const following = this.#following.get(shard);
      if (following?.leader !== this.#port.regionFor(shard)) this.#follow(shard);
    }
  }

  /** What is due by the clock. To be called now and then, a few times a second. */
  tick(now: Instant): void {
    for (const leading of this.#leading.values()) leading.tick(now);
  }

  /**
   * A shard that comes takes items over from others, and one that goes leaves its own to them [R2]: each
   * peer moves its own copies, and offers them where they belong now.
   */
  #rehome(): void {
    for (const from of [...this.store.shards()]) {
      for (const [item, { version }] of [...this.store.items(from)]) {
        const to = this.#port.shardFor(item);
        if (to === undefined || to === from) continue;
        const parts = this.store.read(from, item);
        this.store.remove(from, item);
        this.#move(to, item, version, parts);
      }
    }
  }

  #move(shard: ShardId, item: string, version: Version, parts: readonly Uint8Array[]): void {
    const leading = this.#leading.get(shard);
    const own = this.store.items(shard).get(item)?.version;
    if (leading !== undefined) leading.adopt(item, version, parts);
    else if (own === undefined || own.generation < version.generation) {
      this.store.replace(shard, item, version, parts);
    } else if (own.generation === version.generation) {
      // Two copies in one are equal to no other: whoever leads has to look into it.
      this.#lastUnion += 1;
      const both = JSON.stringify([this.#port.name, this.#lastUnion, item, own, version]);
      const mark = markOf(both);
      const union = [...this.store.read(shard, item), ...parts];
      this.store.replace(shard, item, { ...own, token: 0, mark, count: this.#lastUnion }, union);
    }
    // What was offered before is not what there is.
    if (leading === undefined) this.#endFollowing(shard);
  }

  /** Whether an invitation is none of a leader that another one has followed, and that was on its way for long. */
  #isCurrent(
    from: PeerName,
    { shard, token }: { readonly shard: ShardId; readonly token: Timestamp },
  ): boolean {
    const newest = Math.max(token, this.#invited.get(shard) ?? 0);
    this.#invited.set(shard, newest);
    return token === newest || this.#port.regionFor(shard) === from;
  }

  /** Offers the copies of a shard to whoever has it by the table. */
  #follow(shard: ShardId): void {
    const leader = this.#port.regionFor(shard);
    this.#endFollowing(shard);
    const isThere = leader !== undefined && this.#port.others().has(leader);
    if (this.#leading.has(shard) || !isThere || this.store.items(shard).size === 0) return;
    this.#followLeader(shard, leader);
  }

  #followLeader(shard: ShardId, leader: PeerName): void {
    if (leader === this.#port.name) return;
    this.#endFollowing(shard);
    this.#lastSession += 1;
    const port = {
      store: this.store,
      send: (to: PeerName, message: ItemMessage) => this.#send(to, message),
      due: (following: Following) => {
        this.#due.add(following);
        this.#port.due();
      },
    };
    this.#following.set(shard, new Following(port, shard, leader, this.#lastSession));
  }

  #endFollowing(shard: ShardId): void {
    this.#following.get(shard)?.end();
    this.#following.delete(shard);
  }

  #watchGrowth(shard: ShardId, item: string): void {
    const { parts = 0 } = this.store.items(shard).get(item) ?? {};
    if (parts >= PARTS_MAX) this.#grown(shard, item);
  }

  #leaderOf(shard: ShardId): Leading {
    const leading = this.#leading.get(shard);
    if (leading === undefined) throw new Error(`This region does not lead "${shard}"`);
    return leading;
  }

  #send(to: PeerName, message: ItemMessage): void {
    this.#port.send(to, encodeItemMessage(message));
  }
}
