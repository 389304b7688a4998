/**
 * The leader of the items of one shard: the region that serves it, under one fencing token.
 *
 * Theory of operation
 *
 * First it recovers: it asks all that are there what they have of the shard, and fetches what it cannot
 * tell to be part of its own. So it begins with everything that anybody has kept who can be reached: what
 * the region before it acknowledged, the other side of a partition, a disk that was away. It waits for
 * that a bounded time. Whoever comes later is asked later, and is merged just so. An item can be served as soon
 * as all have said what they have and it has what they have of that one; those that somebody waits for are fetched
 * first, and no copy is fetched of which another one has brought the same.
 *
 * Then it appends, and tells every follower that is to have a copy of the item. A follower begins with an
 * offer of what it has; what the leader lacks of it is fetched, and then the leader puts its own in the
 * place of what differs. From then on the follower takes what is told, in order. When anything is lost it
 * offers anew, so there is one way to catch up, however it came to be behind.
 *
 * What was appended is acknowledged when enough copies are durable: this one, or as many others as are
 * asked for, but no more than there can be. A copy that nobody needs is dropped once those that count
 * have the same.
 *
 * Deliberately absent: an order between updates. They are merged, in any order and however often, and
 * whoever uses this says how.
 *
 * Rules: SPEC.md, Y3 to Y6.
 */
import type { Instant, PeerName, ShardId, Timestamp } from "../core/units.ts";
import { type Follower, followerIn } from "./follower.ts";
import type { ItemMessage } from "./item-messages.ts";
import { WANT_ITEMS_MAX } from "./item-messages.ts";
import type { ItemStore } from "./item-store.ts";
import { Pending } from "./pending.ts";
import { isBeginning, isSame, type Version } from "./version.ts";

/** How many copies must be durable: this one, one more, or all that there are to be. */
export type Acks = 1 | 2 | "all";

/** What a leader uses. */
export interface LeaderPort {
  readonly name: PeerName;
  readonly store: ItemStore;
  readonly acks: Acks;
  send(to: PeerName, message: ItemMessage): void;
  isBusy(peer: PeerName): boolean;
  /** The other peers that are to have a copy of an item now. */
  replicasOf(shard: ShardId, item: string): readonly PeerName[];
  /** Content of a copy of the same generation has come: whatever is new in it is appended. */
  merge(shard: ShardId, item: string, parts: readonly Uint8Array[]): void;
  /** Whether users hold content of an item that may not be stored yet. */
  isOpen(shard: ShardId, item: string): boolean;
  /** An item was deleted elsewhere: what users hold of it is void. */
  replaced(shard: ShardId, item: string): void;
  acknowledged(shard: ShardId, item: string, count: number): void;
  /** It has all that can be had: it serves. */
  recovered(shard: ShardId): void;
  /** It has all of one item, or it knows by now of which it has: these may be served before the others. */
  arrived?(shard: ShardId, item?: string): void;
  /** Whether somebody waits for an item. */
  isAwaited?(shard: ShardId, item: string): boolean;
}

/** How long after an invitation that came to nothing there is another one, in ms. */
const INVITE_AGAIN_MS = 1000;

/** How often it is looked at whether a follower acknowledges, until it is invited anew. */
const STUCK_ROUNDS_MAX = 5;

export class Leading {
  readonly shard: ShardId;
  readonly token: Timestamp;
  readonly #mark: number;
  readonly #port: LeaderPort;
  readonly #followers = new Map<PeerName, Follower>();
  /** Who was there when the view changed last. */
  #others: ReadonlySet<PeerName>;
  /** Whose copies are waited for before this one serves. */
  readonly #awaited: Set<PeerName>;
  /** Who was invited and has not offered anything, until it is time to invite again. */
  readonly #invited = new Set<PeerName>();
  readonly #recoverBy: Instant;
  readonly #pending: Pending;
  /** Who is to have which items, as of the last change of the view. */
  readonly #replicas = new Map<string, readonly PeerName[]>();
  isReady = false;
  /** What was found to be complete before all was. */
  readonly #complete = new Set<string>();
  #inviteAt: Instant;

  constructor(
    port: LeaderPort,
    shard: ShardId,
    { token, mark }: { readonly token: Timestamp; readonly mark: number },
    others: ReadonlySet<PeerName>,
    recoverBy: Instant,
  ) {
    this.#port = port;
    this.shard = shard;
    this.token = token;
    this.#mark = mark;
    this.#others = others;
    this.#awaited = new Set(others);
    this.#recoverBy = recoverBy;
    this.#inviteAt = recoverBy;
    this.#pending = new Pending(port.acks, port.name, (item, count) =>
      port.acknowledged(shard, item, count),
    );
    for (const peer of this.#awaited) this.invite(peer);
  }

  /** Items with a copy here, the deleted ones included. */
  get items(): ReturnType<ItemStore["items"]> {
    return this.#port.store.items(this.shard);
  }

  invite(peer: PeerName): void {
    this.#followers.delete(peer);
    this.#invited.add(peer);
    this.#port.send(peer, { type: "invite", shard: this.shard, token: this.token });
  }

  /** Whether it has all of an item that can be had. Once it has, it has. */
  has(item: string): boolean {
    if (this.isReady || this.#complete.has(item)) return true;
    for (const peer of this.#awaited) if (!this.#followers.get(peer)?.isOffered) return false;
    for (const follower of this.#followers.values()) {
      if (follower.asked.has(item)) return false;
      if (follower.wanted.has(item) && this.#lacks(follower, item)) return false;
    }
    this.#complete.add(item);
    return true;
  }

  /** Appends to an item; returns how many have been in its present generation. */
  append(item: string, part: Uint8Array): number {
    const version = this.#next(item);
    this.#port.store.append(this.shard, item, version, part);
    this.#written(item, version);
    for (const [peer, follower] of this.#followersOf(item)) {
      this.#tell(peer, follower, "append", item, version, [part]);
    }
    this.#putEarly(item);
    return version.count;
  }

  isWaiting(item: string): boolean {
    return this.#pending.isWaiting(item);
  }

  /** Deletes an item: what others have of it is void. Returns the count to wait for. */
  delete(item: string): number {
    const generation = (this.items.get(item)?.version.generation ?? 0) + 1;
    const version = { ...this.#next(item), generation, count: 1 };
    this.#pending.forget(item);
    this.#port.store.replace(this.shard, item, version, []);
    this.#written(item, version);
    for (const [peer, follower] of this.#followersOf(item)) this.#put(peer, follower, item);
    return version.count;
  }

  received(from: PeerName, message: ItemMessage): void {
    if (message.type === "offer") this.#offered(from, message);
    else {
      const follower = this.#followers.get(from);
      const session = "session" in message ? message.session : -1;
      if (follower?.session !== session) return;
      if (message.type === "content") this.#fetched(from, follower, message);
      else if (message.type === "ack") this.#acknowledged(from, follower, message.seq);
    }
  }

  /** Messages to a peer get through again. */
  opened(peer: PeerName): void {
    const follower = this.#followers.get(peer);
    this.#invited.delete(peer);
    if (follower !== undefined) this.#proceed(peer, follower);
    else if (this.#awaited.has(peer)) this.invite(peer);
    else this.#inviteWhere((each) => each === peer);
  }

  lost(peer: PeerName): void {
    this.#followers.delete(peer);
    this.#invited.delete(peer);
  }

  /** Members or allocations have changed. */
  viewChanged(others: ReadonlySet<PeerName>): void {
    this.#compare(others);
    for (const item of [...this.#replicas.keys()]) {
      if (!this.items.has(item)) this.#replicas.delete(item);
    }
    for (const item of this.items.keys()) {
      const before = this.#replicas.get(item) ?? [];
      const after = this.#port.replicasOf(this.shard, item);
      this.#replicas.set(item, after);
      for (const peer of after) {
        const follower = this.#followers.get(peer);
        const isTold = follower?.isSynced === true || follower?.early.has(item) === true;
        if (isTold && !before.includes(peer)) this.#put(peer, follower, item);
      }
      for (const peer of before) {
        if (!after.includes(peer)) this.#followers.get(peer)?.surplus.add(item);
      }
      this.#pending.judge(item, after);
    }
    this.#inviteWhere((peer) => others.has(peer));
  }

  /**
   * [Y5] Whoever comes is asked what it has kept. It may have offered that when this peer did not lead the shard
   * yet and did not listen; as long as the table names the same region it would not offer it again.
   */
  #compare(others: ReadonlySet<PeerName>): void {
    for (const peer of [...this.#awaited]) if (!others.has(peer)) this.#awaited.delete(peer);
    for (const peer of [...this.#followers.keys()]) {
      if (!others.has(peer)) this.#followers.delete(peer);
    }
    for (const peer of others) {
      if (!this.#others.has(peer) && !this.#followers.has(peer)) this.invite(peer);
    }
    this.#others = others;
  }

  /** What is due by the clock: it serves, and drops what nobody needs. */
  tick(now: Instant): void {
    this.#becomeReady(this.#awaited.size === 0 || now >= this.#recoverBy);
    if (now >= this.#inviteAt) {
      // Who led the shard itself when it was invited did not come.
      this.#inviteAt = now + INVITE_AGAIN_MS;
      this.#invited.clear();
      this.#inviteWhere(() => true);
      this.#watchStuck();
    }
    for (const [peer, follower] of this.#followers) {
      this.#proceed(peer, follower);
      for (const item of [...follower.surplus].slice(0, WANT_ITEMS_MAX)) {
        this.#drop(peer, follower, item);
      }
    }
  }

  #next(item: string): Version {
    const before = this.items.get(item)?.version;
    const count = (before?.count ?? 0) + 1;
    return { generation: before?.generation ?? 0, token: this.token, mark: this.#mark, count };
  }

  #written(item: string, { count }: Version): void {
    const { name, store } = this.#port;
    let replicas = this.#replicas.get(item);
    if (replicas === undefined) {
      replicas = this.#port.replicasOf(this.shard, item);
      this.#replicas.set(item, replicas);
      this.#inviteWhere((peer) => replicas?.includes(peer) === true);
    }
    this.#pending.add(item, count, replicas);
    store.sync(() => this.#pending.stored(item, count, name));
  }

  /** Invites peers that are to have copies, and do not follow. */
  #inviteWhere(isMeant: (peer: PeerName) => boolean): void {
    const missing = new Set<PeerName>();
    for (const replicas of this.#replicas.values()) {
      for (const peer of replicas) if (!this.#followers.has(peer)) missing.add(peer);
    }
    for (const peer of missing) {
      if (isMeant(peer) && !this.#invited.has(peer)) this.invite(peer);
    }
  }

  /** Whoever is to have an item, and has nothing of it that the leader has not fetched, need not wait for the rest. */
  #putEarly(item: string): void {
    for (const peer of this.#replicas.get(item) ?? []) {
      const follower = this.#followers.get(peer);
      if (!follower?.isOffered || follower.isSynced || follower.early.has(item)) continue;
      if (follower.asked.has(item)) continue;
      if (follower.wanted.has(item) && this.#lacks(follower, item)) continue;
      follower.wanted.delete(item);
      follower.early.add(item);
      this.#put(peer, follower, item);
    }
  }

  *#followersOf(item: string): Generator<[PeerName, Follower]> {
    for (const peer of this.#replicas.get(item) ?? []) {
      const follower = this.#followers.get(peer);
      // What is yet to be put is put as it is then.
      if (follower === undefined || follower.toPut.has(item)) continue;
      if (follower.isSynced || follower.early.has(item)) yield [peer, follower];
    }
  }

  #offered(from: PeerName, offer: Extract<ItemMessage, { type: "offer" }>): void {
    this.#invited.delete(from);
    const known = this.#followers.get(from);
    let follower = known;
    if (follower?.session !== offer.session) {
      follower = followerIn(offer.session);
      this.#followers.set(from, follower);
    }
    if (follower.isOffered) return;
    for (const [item, version] of offer.items) follower.offered.set(item, version);
    if (!offer.isLast) return;
    follower.isOffered = true;
    for (const [item, version] of follower.offered) {
      const own = this.items.get(item)?.version;
      if (own === undefined || !isBeginning(version, own)) follower.wanted.add(item);
    }
    this.#proceed(from, follower);
    this.#port.arrived?.(this.shard);
  }

  /** Whether a follower may have more of an item than is here. */
  #lacks(follower: Follower, item: string): boolean {
    const [own, offered] = [this.items.get(item)?.version, follower.offered.get(item)];
    return own === undefined || offered === undefined || !isBeginning(offered, own);
  }

  #fetched(
    from: PeerName,
    follower: Follower,
    { item, version, parts }: Extract<ItemMessage, { type: "content" }>,
  ): void {
    if (!follower.asked.delete(item)) return;
    this.adopt(item, version, parts);
    this.#proceed(from, follower);
    if (follower.asked.size === 0) {
      // Others may have waited for what this one has brought.
      for (const [peer, other] of this.#followers) {
        if (other.wanted.size > 0) this.#proceed(peer, other);
      }
    }
    if (this.has(item)) this.#port.arrived?.(this.shard, item);
  }

  /** Takes in what another copy holds. */
  adopt(item: string, version: Version, parts: readonly Uint8Array[]): void {
    const own = this.items.get(item)?.version;
    const isVoid = own !== undefined && own.generation < version.generation;
    if (isVoid || (own === undefined && !this.#port.isOpen(this.shard, item))) {
      // A copy is as good here as it was there, and keeps its version.
      this.#pending.forget(item);
      this.#port.store.replace(this.shard, item, version, parts);
      if (isVoid) this.#port.replaced(this.shard, item);
      this.#spread(item);
    } else if (own === undefined || own.generation === version.generation) {
      this.#port.merge(this.shard, item, parts);
    }
  }

  /** Whoever is to have an item that came from elsewhere gets it. */
  #spread(item: string): void {
    const replicas = this.#port.replicasOf(this.shard, item);
    this.#replicas.set(item, replicas);
    for (const peer of replicas) {
      const follower = this.#followers.get(peer);
      if (follower?.isSynced) this.#put(peer, follower, item);
    }
    this.#inviteWhere((peer) => replicas.includes(peer));
  }

  /** Goes on with a follower as far as its link takes. */
  #proceed(peer: PeerName, follower: Follower): void {
    if (!follower.isOffered) return;
    const { shard } = this;
    if (follower.wanted.size > 0 && follower.asked.size < WANT_ITEMS_MAX) {
      const items = this.#choose(follower);
      for (const item of items) {
        follower.wanted.delete(item);
        follower.asked.add(item);
      }
      const { session } = follower;
      if (items.length > 0) this.#port.send(peer, { type: "want", shard, session, items });
    }
    const isFetched = follower.wanted.size === 0 && follower.asked.size === 0;
    if (isFetched && !follower.isSynced) this.#synchronise(peer, follower);
    for (const item of follower.toPut) {
      if (this.#port.isBusy(peer)) return;
      follower.toPut.delete(item);
      const { version } = this.items.get(item) ?? {};
      if (version === undefined) continue;
      this.#tell(peer, follower, "put", item, version, this.#port.store.read(shard, item));
    }
  }

  /** What to ask a follower for next: first what somebody waits for, and nothing that another one is asked for. */
  #choose(follower: Follower): string[] {
    const others = [...this.#followers.values()].filter((each) => each !== follower);
    const [first, then]: [string[], string[]] = [[], []];
    for (const item of [...follower.wanted]) {
      if (!this.#lacks(follower, item)) follower.wanted.delete(item);
      else if (!others.some(({ asked }) => asked.has(item))) {
        (this.#port.isAwaited?.(this.shard, item) ? first : then).push(item);
      }
    }
    return [...first, ...then].slice(0, WANT_ITEMS_MAX);
  }

  /** The leader has all that a follower has: now the follower gets what it is to have. */
  #synchronise(peer: PeerName, follower: Follower): void {
    follower.isSynced = true;
    for (const [item, { version }] of this.items) {
      let replicas = this.#replicas.get(item);
      if (replicas === undefined) {
        replicas = this.#port.replicasOf(this.shard, item);
        this.#replicas.set(item, replicas);
      }
      const offered = follower.offered.get(item);
      if (follower.early.has(item)) follower.offered.delete(item);
      else if (!replicas.includes(peer)) {
        if (offered !== undefined) follower.surplus.add(item);
      } else if (offered === undefined || !isSame(offered, version)) follower.toPut.add(item);
      else this.#pending.stored(item, version.count, peer);
      if (!follower.surplus.has(item)) follower.offered.delete(item);
    }
    follower.early.clear();
    this.#awaited.delete(peer);
    this.#becomeReady(this.#awaited.size === 0);
  }

  /** Who has stored nothing for long of what it was told may not know that it follows. */
  #watchStuck(): void {
    for (const [peer, follower] of this.#followers) {
      const first = follower.unacknowledged[0]?.seq ?? 0;
      follower.stuckRounds = first > 0 && first === follower.stuckAt ? follower.stuckRounds + 1 : 0;
      follower.stuckAt = first;
      if (follower.stuckRounds >= STUCK_ROUNDS_MAX) this.invite(peer);
    }
  }

  #becomeReady(isTime: boolean): void {
    if (this.isReady || !isTime) return;
    this.isReady = true;
    this.#complete.clear();
    this.#port.recovered(this.shard);
  }

  #put(peer: PeerName, follower: Follower, item: string): void {
    follower.toPut.add(item);
    follower.surplus.delete(item);
    this.#proceed(peer, follower);
  }

  #tell(
    peer: PeerName,
    follower: Follower,
    type: "put" | "append",
    item: string,
    version: Version,
    parts: readonly Uint8Array[],
  ): void {
    follower.seq += 1;
    const { seq, session } = follower;
    follower.unacknowledged.push({ seq, item, count: version.count });
    this.#port.send(peer, { type, shard: this.shard, session, seq, item, version, parts });
  }

  #acknowledged(peer: PeerName, follower: Follower, seq: number): void {
    const { unacknowledged } = follower;
    let done = 0;
    for (const told of unacknowledged) {
      if (told.seq > seq) break;
      done += 1;
      this.#pending.stored(told.item, told.count, peer);
    }
    unacknowledged.splice(0, done);
  }

  /** Only when those who count have it: until then it may be what everything hangs on. */
  #drop(peer: PeerName, follower: Follower, item: string): void {
    const version = follower.offered.get(item) ?? this.items.get(item)?.version;
    const replicas = this.#replicas.get(item) ?? [];
    if (version === undefined || !this.isReady || this.#pending.isWaiting(item)) return;
    const isSafe = replicas.every((each) => {
      const other = this.#followers.get(each);
      return (
        other?.isSynced === true && !other.toPut.has(item) && other.unacknowledged.length === 0
      );
    });
    if (!isSafe || replicas.includes(peer)) return;
    follower.surplus.delete(item);
    follower.offered.delete(item);
    const { session } = follower;
    this.#port.send(peer, { type: "drop", shard: this.shard, session, item, version, parts: [] });
  }
}
