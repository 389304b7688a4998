/**
 * The documents of one peer: rooms for those that somebody uses, and the copies that it keeps.
 *
 * It knows which messages are for which room, and answers for `src/items` what an update means: contents
 * are merged by Yjs, in the room where there is one, otherwise for a moment.
 *
 * Deliberately absent: sockets, disks and time: whoever owns this brings them.
 *
 * Rules: SPEC.md, section Y.
 */
import { hash32 } from "../core/hash.ts";
import type { Instant, PeerName, ShardId } from "../core/units.ts";
import type { Items } from "../items/items.ts";
import { difference, documentOf, highestClient, merged, textOf } from "./contents.ts";
import { DOCUMENT_NAME_LENGTH_MAX, IDLE_MS, ROOMS_MAX, SYSTEM_PREFIX } from "./limits.ts";
import type { DocumentMessage } from "./messages.ts";
import { Room, type RoomPort } from "./room.ts";
import { Subscriber } from "./subscriber.ts";

export interface DocumentsPort {
  readonly name: PeerName;
  regionFor(shard: ShardId): PeerName | undefined;
  /** The shard that a document belongs to; undefined while there are none. */
  shardFor(document: string): ShardId | undefined;
  send(to: PeerName, message: DocumentMessage): void;
  isBusy(peer: PeerName): boolean;
  /** `flush` is to be called when the turn of the event loop is over. */
  due(): void;
  /** Monotonic, in ms. */
  now(): number;
  wallMs(): number;
  /** The content of a document that this region hosts has changed, or it was deleted. */
  changed(shard: ShardId, document: string): void;
  /** A room hosts a document that only this peer writes. */
  hosted(room: Room): void;
}

/** How long a region may take to answer a subscription until it is asked anew, in ms. */
const ANSWER_MS_MAX = 5000;

/** How far client ids of documents that are only written here are apart, one ms or more: two peers hardly draw the same. */
const CLIENT_ID_STEP = 1024;

interface Counts {
  readonly loads: number;
  readonly unloads: number;
  readonly edits: number;
  readonly editBytes: number;
}

export class Documents {
  readonly items: Items;
  readonly #port: DocumentsPort;
  readonly #roomPort: RoomPort;
  readonly #rooms = new Map<string, Room>();
  /** Subscriptions that had no answer when they were last looked at, and since when. */
  readonly #unanswered = new WeakMap<Room, { readonly sub: number; readonly since: Instant }>();
  /** Rooms of other peers that follow rooms here, by peer and number. */
  readonly #subscribers = new Map<PeerName, Map<number, Subscriber>>();
  /** Rooms here that follow others, by number. */
  readonly #followers = new Map<number, Room>();
  /** Rooms that have something to tell. */
  readonly #due = new Set<Room>();
  readonly #counts = { loads: 0, unloads: 0, edits: 0, editBytes: 0 };
  #lastSubscription = 0;
  #lastClient = 0;

  constructor(port: DocumentsPort, items: Items) {
    this.#port = port;
    this.items = items;
    this.#roomPort = {
      name: port.name,
      regionFor: (shard) => port.regionFor(shard),
      isReady: (shard, document) => items.isReady(shard, document),
      send: (to, message) => port.send(to, message),
      nextSubscription: () => {
        this.#lastSubscription += 1;
        return this.#lastSubscription;
      },
      read: (shard, document) => items.store.read(shard, document),
      append: (shard, document, update) => {
        if (items.leads(shard)) items.append(shard, document, update);
      },
      stored: (shard, document) => {
        const { version, bytes = 0 } = items.store.items(shard).get(document) ?? {};
        const isWaiting = items.isWaiting(shard, document);
        return { count: version?.count ?? 0, bytes, isWaiting };
      },
      edited: (bytes) => {
        this.#counts.edits += 1;
        this.#counts.editBytes += bytes;
      },
      due: (room) => {
        this.#due.add(room);
        port.due();
      },
      changed: (room) => {
        if (!room.isReadOnly) port.changed(room.shard, room.name);
      },
      hosted: (room) => port.hosted(room),
      nextClient: (state) => {
        const last = Math.max(this.#lastClient, highestClient(state)) / CLIENT_ID_STEP;
        const slot = Math.max(Math.floor(port.wallMs()), Math.floor(last) + 1);
        this.#lastClient = slot * CLIENT_ID_STEP + (hash32(port.name) % CLIENT_ID_STEP);
        return this.#lastClient;
      },
    };
  }

  /** Documents that are in memory. */
  get rooms(): ReadonlyMap<string, Room> {
    return this.#rooms;
  }

  /** Documents in memory, clients at them, and what has been counted so far. */
  numbers(): { readonly loaded: number; readonly clients: number } & Counts {
    let clients = 0;
    for (const room of this.#rooms.values()) clients += room.clientCount;
    return { loaded: this.#rooms.size, clients, ...this.#counts };
  }

  /** The room of a document; undefined when its name is none, no shard is there, or there are too many. */
  open(name: string): Room | undefined {
    const known = this.#rooms.get(name);
    if (known !== undefined) return known;
    const shard = this.#port.shardFor(name);
    const isName = name.length > 0 && name.length <= DOCUMENT_NAME_LENGTH_MAX;
    if (!isName || shard === undefined || this.#rooms.size >= ROOMS_MAX) return undefined; // [S4]
    const room = new Room(this.#roomPort, name, shard, name.startsWith(SYSTEM_PREFIX));
    room.idleSince = this.#port.now();
    this.#rooms.set(name, room);
    this.#counts.loads += 1;
    this.#settle(room);
    return room;
  }

  received(from: PeerName, message: DocumentMessage): void {
    if (message.type === "query" || message.type === "found") return;
    if (message.type === "subscribe") {
      this.#subscribe(from, message);
      return;
    }
    if (message.type === "edit" || message.type === "aware" || message.type === "unsubscribe") {
      this.#subscribers.get(from)?.get(message.sub)?.told(message);
      return;
    }
    const room = this.#followers.get(message.sub);
    if (room?.upstream?.region === from) this.#tell(room, message);
  }

  /** Tells what has changed in this turn, or in one shard of it. */
  flush(shard?: ShardId): void {
    for (const room of [...this.#due]) {
      if (shard !== undefined && room.shard !== shard) continue;
      this.#due.delete(room);
      room.flush();
    }
  }

  /** Messages to a peer get through, after they did not. */
  opened(peer: PeerName): void {
    for (const subscriber of this.#subscribers.get(peer)?.values() ?? []) subscriber.opened();
    for (const room of this.#rooms.values()) {
      if (!room.isReady && this.#port.regionFor(room.shard) === peer) this.#settle(room);
    }
  }

  lost(peer: PeerName): void {
    const subscribers = this.#subscribers.get(peer);
    this.#subscribers.delete(peer);
    for (const subscriber of subscribers?.values() ?? []) subscriber.leave();
    for (const room of this.#rooms.values()) {
      if (room.upstream?.region === peer) this.#resubscribe(room);
    }
  }

  /** Members or allocations have changed, or a shard is recovered. */
  settle(shard?: ShardId): void {
    for (const room of [...this.#rooms.values()]) {
      if (shard !== undefined && room.shard !== shard) continue;
      const region = this.#port.regionFor(room.shard);
      // What nobody is at need not follow its document to where that goes.
      if (room.clientCount === 0 && region !== this.#port.name) this.#forget(room, true);
      else this.#settle(room);
    }
  }

  /** This region has all of a document, or knows by now of which it has. */
  arrived(shard: ShardId, document?: string): void {
    if (document === undefined) this.settle(shard);
    const room = document === undefined ? undefined : this.#rooms.get(document);
    if (room !== undefined) this.#settle(room);
  }

  /** Whether somebody waits for a document. */
  isAwaited(document: string): boolean {
    return this.#rooms.has(document);
  }

  acknowledged(shard: ShardId, document: string, count: number): void {
    const room = this.#rooms.get(document);
    if (room?.isHosting && room.shard === shard) room.acknowledged(count);
  }

  merge(shard: ShardId, document: string, parts: readonly Uint8Array[]): void {
    const room = this.#rooms.get(document);
    if (room?.isHosting && room.shard === shard) {
      room.merge(parts);
      return;
    }
    const news = difference(this.items.store.read(shard, document), parts);
    if (news !== undefined) this.items.append(shard, document, news);
    this.#port.changed(shard, document);
  }

  /** Whether clients are at a document that this region hosts. */
  isOpen(shard: ShardId, document: string): boolean {
    const room = this.#rooms.get(document);
    return room?.isHosting === true && room.shard === shard;
  }

  replaced(shard: ShardId, document: string): void {
    const room = this.#rooms.get(document);
    if (room?.isHosting && room.shard === shard) {
      room.gone();
      this.#forget(room, false);
    }
    this.#port.changed(shard, document);
  }

  /** Puts one part in place of many. */
  compact(shard: ShardId, document: string): void {
    const room = this.#rooms.get(document);
    const isHere = room?.isHosting === true && room.shard === shard;
    if (isHere) room.flush(); // What is stored under a version is what that version says.
    const part = isHere ? room.updateFor() : merged(this.items.store.read(shard, document));
    this.items.compact(shard, document, [part]);
  }

  /** The text of a document of a shard that this region has; undefined where there is none. */
  textOf(shard: ShardId, document: string): string | undefined {
    const room = this.#rooms.get(document);
    if (!this.items.has(shard, document)) return undefined;
    if (room?.isHosting && room.shard === shard) return textOf(room.doc);
    const doc = documentOf(this.items.store.read(shard, document));
    const text = textOf(doc);
    doc.destroy();
    return text;
  }

  /** Deletes a document of a shard that this region has; returns the count to wait for. */
  delete(shard: ShardId, document: string): number {
    const count = this.items.delete(shard, document);
    this.replaced(shard, document);
    return count;
  }

  /** What is due by the clock: rooms that nobody is at are closed, and their documents stay stored. */
  tick(): void {
    const now = this.#port.now();
    for (const room of [...this.#rooms.values()]) {
      if (room.idleSince !== undefined && now - room.idleSince >= IDLE_MS) {
        const isStored = room.isHosting && this.items.has(room.shard, room.name);
        const parts = this.items.store.items(room.shard).get(room.name)?.parts ?? 0;
        if (isStored && parts > 1) this.compact(room.shard, room.name);
        this.#forget(room, true);
      } else if (!room.isReady && room.upstream === undefined) this.#settle(room);
      else if (!room.isReady && room.upstream !== undefined)
        this.#askAgain(room, room.upstream.sub);
    }
  }

  /** The peer begins again: nothing is subscribed to, or by anybody. */
  reset(): void {
    for (const peer of [...this.#subscribers.keys()]) this.lost(peer);
    for (const room of this.#rooms.values()) this.#settle(room);
  }

  /** A region that has begun again meanwhile knows nothing of a subscription, and answers never. */
  #askAgain(room: Room, sub: number): void {
    const now = this.#port.now();
    const asked = this.#unanswered.get(room);
    if (asked?.sub !== sub) this.#unanswered.set(room, { sub, since: now });
    else if (now - asked.since >= ANSWER_MS_MAX) this.#resubscribe(room);
  }

  #subscribe(
    from: PeerName,
    { sub, name, state }: Extract<DocumentMessage, { type: "subscribe" }>,
  ): void {
    const room = this.open(name);
    if (room === undefined || this.#port.regionFor(room.shard) !== this.#port.name) {
      this.#port.send(from, { type: "refused", sub });
      return;
    }
    const subscribers = this.#subscribers.get(from) ?? new Map<number, Subscriber>();
    this.#subscribers.set(from, subscribers);
    const port = {
      send: (message: DocumentMessage) => this.#port.send(from, message),
      isBusy: () => this.#port.isBusy(from),
      now: () => this.#port.now(),
      ended: () => void subscribers.delete(sub),
    };
    const subscriber = new Subscriber(port, room, sub, state);
    subscribers.set(sub, subscriber);
    room.enter(subscriber);
  }

  #settle(room: Room): void {
    this.#watch(room, () => room.settle(this.#port.shardFor(room.name)));
  }

  #resubscribe(room: Room): void {
    this.#watch(room, () => room.resubscribe());
  }

  #tell(room: Room, message: DocumentMessage): void {
    this.#watch(room, () => room.told(message));
  }

  /** Keeps the number of its subscription up to date. */
  #watch(room: Room, change: () => void): void {
    const before = room.upstream?.sub;
    change();
    const after = room.upstream?.sub;
    if (before === after) return;
    if (before !== undefined) this.#followers.delete(before);
    if (after !== undefined) this.#followers.set(after, room);
  }

  #forget(room: Room, isClosed: boolean): void {
    if (room.upstream !== undefined) this.#followers.delete(room.upstream.sub);
    this.#rooms.delete(room.name);
    this.#counts.unloads += 1;
    if (isClosed && room.clientCount > 0) room.gone();
    room.close();
  }
}
