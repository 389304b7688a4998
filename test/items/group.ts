/**
 * Peers with items for tests, in virtual time: messages take turns, links are cut, and leaders move.
 *
 * An item is a set of numbers, and an update one or more of them. Each peer sees a table of its own.
 */
import { Channels } from "../../src/items/channels.ts";
import { decodeMessage, readItemMessage } from "../../src/items/item-messages.ts";
import { type ItemStore, MemoryItemStore } from "../../src/items/item-store.ts";
import { Items, type ItemsOptions } from "../../src/items/items.ts";

export const SHARD = "shard-0";

/** The numbers in the parts of an item. */
export function numbersIn(parts: readonly Uint8Array[]): Set<number> {
  const numbers = new Set<number>();
  for (const part of parts) {
    for (let at = 0; at < part.length; at += 2) {
      numbers.add((part[at] as number) * 256 + (part[at + 1] as number));
    }
  }
  return numbers;
}

export const updateOf = (numbers: Iterable<number>): Uint8Array =>
  new Uint8Array([...numbers].flatMap((number) => [number >> 8, number & 255]));

interface Post {
  readonly from: string;
  readonly to: string;
  readonly body: Uint8Array;
}

export class ItemPeer {
  readonly name: string;
  readonly group: Group;
  store: ItemStore = new MemoryItemStore();
  items: Items;
  channels: Channels;
  /** Who leads, as this peer sees it. */
  leader: string | undefined;
  isUp = true;
  recovered = 0;
  readonly deleted: string[] = [];
  /** Items that somebody waits for, and those that it has got by now. */
  readonly awaited = new Set<string>();
  readonly arrived: string[] = [];
  /** The number of each append, by item and count, and those that were acknowledged. */
  readonly appended = new Map<string, number>();
  readonly acknowledged = new Set<number>();
  #life = 0;

  constructor(group: Group, name: string) {
    this.group = group;
    this.name = name;
    this.channels = this.#createChannels();
    this.items = this.#createItems();
  }

  /** A new life, with the copies of the last one or none. */
  restart(isWiped: boolean): void {
    this.#life += 1;
    if (isWiped) this.store = new MemoryItemStore();
    this.isUp = true;
    this.appended.clear();
    this.channels = this.#createChannels();
    this.items = this.#createItems();
  }

  others(): ReadonlySet<string> {
    const { peers } = this.group;
    const isThere = (other: ItemPeer): boolean =>
      other !== this && other.isUp && !this.group.isCut(this.name, other.name);
    return new Set(peers.filter(isThere).map(({ name }) => name));
  }

  lead(token: number): void {
    this.leader = this.name;
    this.items.acquired(SHARD, token, this.name, this.group.now);
  }

  endTurn(): void {
    if (!this.isUp) return;
    this.items.flush();
    this.channels.flush();
  }

  append(item: string, number: number): void {
    const before = this.store.items(SHARD).get(item)?.version.generation ?? 0;
    const count = this.items.append(SHARD, item, updateOf([number]));
    this.appended.set(`${item}/${before}/${count}`, number);
    this.#judge(item);
  }

  contentOf(item: string): Set<number> {
    return numbersIn(this.store.read(SHARD, item));
  }

  #last = new Map<string, number>();

  #judge(item: string): void {
    const { generation = 0 } = this.store.items(SHARD).get(item)?.version ?? {};
    for (let count = 1; count <= (this.#last.get(`${item}/${generation}`) ?? 0); count += 1) {
      const number = this.appended.get(`${item}/${generation}/${count}`);
      if (number !== undefined) this.acknowledged.add(number);
    }
  }

  #createChannels(): Channels {
    const life = this.#life;
    return new Channels(
      {
        post: (to, body) => this.group.post({ from: this.name, to, body }),
        need: () => {},
        release: () => {},
      },
      {
        received: (from, bytes) => {
          const elements = decodeMessage(bytes);
          const message = elements && readItemMessage(elements);
          if (message === undefined) throw new Error("A message is not as it was sent");
          if (life === this.#life) this.items.received(from, message);
        },
        lost: (peer) => this.items.lost(peer),
        opened: (peer) => this.items.opened(peer),
        due: () => {}, // Its turn ends when messages are delivered.
      },
    );
  }

  #createItems(): Items {
    this.#last.clear();
    return new Items(
      {
        name: this.name,
        send: (to, message) => this.channels.send(to, message),
        isBusy: (peer) => this.channels.isBusy(peer),
        shardFor: () => SHARD,
        ringChanges: () => 0,
        regionFor: () => this.leader,
        replicasOf: () => this.group.replicasFor(this),
        others: () => this.others(),
        due: () => {},
      },
      this.store,
      {
        merge: (shard, item, parts) => {
          const own = this.contentOf(item);
          const news = [...numbersIn(parts)].filter((number) => !own.has(number));
          if (news.length > 0) this.items.append(shard, item, updateOf(news));
        },
        isOpen: () => false,
        replaced: (_shard, item) => void this.deleted.push(item),
        acknowledged: (_shard, item, count) => {
          const { generation = 0 } = this.store.items(SHARD).get(item)?.version ?? {};
          this.#last.set(`${item}/${generation}`, count);
          this.#judge(item);
        },
        recovered: () => {
          this.recovered += 1;
        },
        arrived: (_shard, item) => {
          if (item !== undefined) this.arrived.push(item);
        },
        isAwaited: (_shard, item) => this.awaited.has(item),
        grown: (shard, item) => {
          this.items.compact(shard, item, [updateOf(this.contentOf(item))]);
        },
      },
      this.group.options,
    );
  }
}

export class Group {
  readonly peers: ItemPeer[];
  readonly options: ItemsOptions;
  now = 0;
  readonly replicaCount: number;
  #posts: Post[] = [];
  readonly #cuts = new Set<string>();
  #token = 0;

  constructor(names: string, options: ItemsOptions & { replicas?: number } = {}) {
    const { replicas = 2, ...rest } = options;
    this.replicaCount = replicas;
    this.options = { recoverMs: 100, ...rest };
    this.peers = [];
    for (const name of names.split(" ")) this.peers.push(new ItemPeer(this, name));
  }

  peer(name: string): ItemPeer {
    const peer = this.peers.find((each) => each.name === name);
    if (peer === undefined) throw new Error(`There is no "${name}"`);
    return peer;
  }

  isCut(a: string, b: string): boolean {
    return this.#cuts.has([a, b].sort().join());
  }

  replicasFor(peer: ItemPeer): string[] {
    return [...peer.others()].sort().slice(0, this.replicaCount);
  }

  post(post: Post): boolean {
    if (!this.peer(post.to).isUp || this.isCut(post.from, post.to)) return false;
    this.#posts.push(post);
    return true;
  }

  /** Makes `name` the leader for all of `seenBy`: those who led among them let go. */
  lead(name: string, seenBy: readonly string[] = this.peers.map((peer) => peer.name)): void {
    this.#token += 1;
    for (const peer of this.peers) {
      if (!seenBy.includes(peer.name) || !peer.isUp) continue;
      const { leader } = peer;
      peer.leader = name;
      if (leader === peer.name && name !== peer.name) peer.items.released(SHARD);
    }
    const leader = this.peer(name);
    if (leader.isUp) leader.lead(this.#token);
    for (const peer of this.peers) {
      if (seenBy.includes(peer.name) && peer.isUp) peer.items.viewChanged();
    }
  }

  /** Delivers messages, in the order of each pair, until none is left or so many have been. */
  deliver(choose: () => number = () => 0, countMax = 100_000): void {
    for (let count = 0; count < countMax; count += 1) {
      for (const peer of this.peers) peer.endTurn();
      if (this.#posts.length === 0) return;
      const at = choose() % this.#posts.length;
      const { from, to } = this.#posts[at] as Post;
      const first = this.#posts.findIndex((post) => post.from === from && post.to === to);
      const [post] = this.#posts.splice(first, 1) as [Post];
      this.peer(to).channels.posted(from, post.body);
    }
  }

  cut(a: string, b: string): void {
    if (a === b || this.isCut(a, b)) return;
    this.#cuts.add([a, b].sort().join());
    this.#lose(a, b);
    this.#viewChanged();
  }

  heal(): void {
    const cuts = [...this.#cuts].map((cut) => cut.split(",") as [string, string]);
    this.#cuts.clear();
    for (const [a, b] of cuts) this.#open(a, b);
    this.#viewChanged();
  }

  crash(name: string): void {
    const peer = this.peer(name);
    if (!peer.isUp) return;
    peer.isUp = false;
    peer.leader = undefined;
    for (const other of this.peers) if (other !== peer) this.#lose(name, other.name);
    this.#viewChanged();
  }

  restart(name: string, isWiped: boolean, leader: string | undefined): void {
    const peer = this.peer(name);
    if (peer.isUp) return;
    peer.restart(isWiped);
    peer.leader = leader === name ? undefined : leader;
    for (const other of this.peers) if (other !== peer) this.#open(name, other.name);
    this.#viewChanged();
  }

  tick(ms: number): void {
    this.now += ms;
    for (const peer of this.peers) if (peer.isUp) peer.items.tick(this.now);
  }

  /** Lets everything come to rest. */
  settle(): void {
    for (let round = 0; round < 6; round += 1) {
      this.deliver();
      this.tick(200);
    }
  }

  #lose(a: string, b: string): void {
    this.#posts = this.#posts.filter(
      ({ from, to }) => !((from === a && to === b) || (from === b && to === a)),
    );
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      if (this.peer(one).isUp) this.peer(one).channels.lost(other);
    }
  }

  #open(a: string, b: string): void {
    if (this.isCut(a, b)) return;
    if (this.peer(a).isUp && this.peer(b).isUp) {
      this.peer(a).channels.opened(b);
      this.peer(b).channels.opened(a);
    }
  }

  #viewChanged(): void {
    for (const peer of this.peers) if (peer.isUp) peer.items.viewChanged();
  }
}
