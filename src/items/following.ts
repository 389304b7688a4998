/**
 * A copy of some items of a shard that another region leads.
 *
 * It offers what it has, gives what the leader asks for, and stores what it is told, in order. A session
 * begins with an offer; whatever belongs to another one is not for this copy, so nothing that it has and
 * the leader has not seen can be overwritten. When a number is missing, or a link was lost, it begins a
 * new session.
 *
 * Rules: SPEC.md, Y4.
 */
import type { PeerName, ShardId } from "../core/units.ts";
import type { ItemMessage } from "./item-messages.ts";
import { OFFER_ITEMS_MAX } from "./item-messages.ts";
import type { ItemStore } from "./item-store.ts";
import { isBeginning, type Version } from "./version.ts";

export interface FollowerPort {
  readonly store: ItemStore;
  send(to: PeerName, message: ItemMessage): void;
  /** `acknowledge` is to be called when the turn of the event loop is over. */
  due(following: Following): void;
}

export class Following {
  readonly shard: ShardId;
  readonly leader: PeerName;
  readonly #port: FollowerPort;
  readonly #session: number;
  #seq = 0;
  #isOver = false;
  /** Up to which number everything is durable. */
  #durable = 0;

  /** Offers what there is. `session` is higher than that of all before. */
  constructor(port: FollowerPort, shard: ShardId, leader: PeerName, session: number) {
    this.#port = port;
    this.shard = shard;
    this.leader = leader;
    this.#session = session;
    const all: [string, Version][] = [];
    for (const [item, { version }] of port.store.items(shard)) all.push([item, version]);
    for (let at = 0; at === 0 || at < all.length; at += OFFER_ITEMS_MAX) {
      const items = all.slice(at, at + OFFER_ITEMS_MAX);
      const isLast = at + OFFER_ITEMS_MAX >= all.length;
      port.send(leader, { type: "offer", shard, session, isLast, items });
    }
  }

  /** It stores and acknowledges nothing any more. */
  end(): void {
    this.#isOver = true;
  }

  /** Says how much is durable. */
  acknowledge(): void {
    if (this.#isOver) return;
    const { shard, leader } = this;
    this.#port.send(leader, { type: "ack", shard, session: this.#session, seq: this.#durable });
  }

  /** Takes a message of its leader; false when something is missing, and a new session is due. */
  received(message: ItemMessage): boolean {
    const { store } = this.#port;
    const { shard } = this;
    if (!("session" in message) || message.session !== this.#session) return true;
    if (message.type === "want") this.#give(message.items);
    else if (message.type === "drop") {
      const held = store.items(shard).get(message.item);
      if (held && isBeginning(held.version, message.version)) store.remove(shard, message.item);
    } else if (message.type === "put" || message.type === "append") {
      if (message.seq !== this.#seq + 1) return false;
      this.#seq = message.seq;
      const { item, version, parts } = message;
      const [part] = parts;
      if (message.type === "put") store.replace(shard, item, version, parts);
      else if (part !== undefined) store.append(shard, item, version, part);
      this.#awaitDisk();
    }
    return true;
  }

  #give(items: readonly string[]): void {
    const { shard, leader } = this;
    const { store } = this.#port;
    for (const item of items) {
      const { version } = store.items(shard).get(item) ?? {};
      if (version === undefined) continue;
      const parts = store.read(shard, item);
      const message = { type: "content", shard, session: this.#session, item, version, parts };
      this.#port.send(leader, message as Extract<ItemMessage, { type: "content" }>);
    }
  }

  /** What was stored is to be acknowledged once it is durable. */
  #awaitDisk(): void {
    const seq = this.#seq;
    this.#port.store.sync(() => {
      this.#durable = seq; // [Y10] And not what came while the disk was busy.
      this.#port.due(this);
    });
  }
}
