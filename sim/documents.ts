/**
 * The documents of simulated peers: the real items and rooms, over the real machines.
 *
 * A peer's copies are on its disk: they survive its lives, and resets, but not the loss of the disk. What
 * a service would be told by `io` it is told here; time passes in the same steps. Editors are clients at a
 * peer, as long as that lives: they change a document, and know which of their changes are acknowledged.
 *
 * Client ids of Yjs are drawn from the seed, since everything about a document depends on them.
 */
import { applyUpdate, Doc, encodeStateAsUpdate, encodeStateVector } from "yjs";
import type { Delivery } from "../src/core/delivery.ts";
import type { HostTask } from "../src/core/host-task.ts";
import { documentOf } from "../src/documents/contents.ts";
import { Documents } from "../src/documents/documents.ts";
import { readDocumentMessage, writeDocumentMessage } from "../src/documents/messages.ts";
import type { Room } from "../src/documents/room.ts";
import type { RoomClient } from "../src/documents/room-client.ts";
import { Channels } from "../src/items/channels.ts";
import { copiesOf, othersIn } from "../src/items/copies.ts";
import { decodeMessage, encodeMessage, readItemMessage } from "../src/items/item-messages.ts";
import { MemoryItemStore } from "../src/items/item-store.ts";
import { Items } from "../src/items/items.ts";
import type { SimulatedPeer } from "./peer.ts";
import { oncePerTurn } from "./turn.ts";
import type { World } from "./world.ts";

/** Hears of edits that are acknowledged. */
export interface EditLog {
  acknowledged(document: string, operation: string): void;
}

const TICK_MS = 250;
const REPLICAS = 2;
const SERVICE = "documents";

/** One client at one document of one life of a peer. */
class Editor implements RoomClient {
  readonly doc = new Doc();
  readonly #room: Room;
  readonly #checker: EditLog;
  /** What each of its edits changed. */
  readonly #operations = new Map<number, string>();
  isOut = false;

  constructor(room: Room, client: number, checker: EditLog) {
    this.doc.clientID = client;
    this.#room = room;
    this.#checker = checker;
    room.enter(this);
  }

  edit(operation: string): void {
    const before = encodeStateVector(this.doc);
    this.doc.getMap("operations").set(operation, true);
    const edit = this.#room.edit(this, encodeStateAsUpdate(this.doc, before));
    this.#operations.set(edit, operation);
    this.acknowledged(this.#acknowledged);
  }

  ready(): void {
    applyUpdate(this.doc, this.#room.updateFor(encodeStateVector(this.doc)));
    this.resync();
  }

  updated(update: Uint8Array): void {
    applyUpdate(this.doc, update);
  }

  #acknowledged = 0;

  acknowledged(edit: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, edit);
    for (const [number, operation] of this.#operations) {
      if (number > this.#acknowledged) continue;
      this.#operations.delete(number);
      this.#checker.acknowledged(this.#room.name, operation);
    }
  }

  resync(): void {
    if (this.#operations.size === 0) return;
    this.#room.edit(this, encodeStateAsUpdate(this.doc, this.#room.state()), true);
  }

  awareness(): void {}

  rejected(): void {
    this.isOut = true;
  }

  gone(): void {
    this.isOut = true;
  }
}

export class SimulatedDocuments {
  readonly peer: SimulatedPeer;
  store = new MemoryItemStore();
  items: Items;
  documents: Documents;
  readonly editors = new Map<string, Editor>();
  readonly #world: World;
  readonly #checker: EditLog;
  #channels: Channels;
  /** Members or allocations have changed. */
  readonly viewChanged: () => void;
  /** Something is to be told. */
  readonly #due: () => void;
  /** The shards whose host was told to take them. */
  readonly #held = new Set<string>();

  constructor(peer: SimulatedPeer, world: World, checker: EditLog) {
    this.peer = peer;
    this.#world = world;
    this.#checker = checker;
    this.viewChanged = oncePerTurn(world, peer, () => this.#look());
    this.#due = oncePerTurn(world, peer, () => this.#endTurn());
    this.#channels = this.#createChannels();
    this.items = this.#createItems();
    this.documents = this.#createDocuments();
  }

  /** A life begins. */
  booted(): void {
    this.editors.clear();
    this.#held.clear();
    this.#channels = this.#createChannels();
    this.items = this.#createItems();
    this.documents = this.#createDocuments();
    const { lives } = this.peer;
    const tick = (): void => {
      if (this.peer.lives !== lives || this.peer.state === "down") return;
      this.peer.run(() => {
        if (this.items.isRingNews) this.viewChanged();
        this.items.tick(this.peer.now);
        this.documents.tick();
      });
      this.#world.plan(TICK_MS, tick);
    };
    this.#world.plan(TICK_MS, tick);
  }

  /** The disk was lost. */
  wiped(): void {
    this.store = new MemoryItemStore();
  }

  delivered(delivery: Delivery): void {
    if (delivery.type === "post") {
      if (delivery.service === SERVICE) this.#channels.posted(delivery.from, delivery.body);
    } else if (delivery.type === "open") this.#channels.opened(delivery.peer);
    else this.#channels.lost(delivery.peer);
  }

  /** The hosts of this region are told something. */
  tasked(task: HostTask): void {
    if (task.type === "acquire") {
      if (this.#held.has(task.shard)) return; // Another host is told again.
      this.#held.add(task.shard);
      this.items.acquired(task.shard, task.token, task.writer, this.peer.now);
    } else if (task.type === "renew") {
      const { shard, token, writer } = task;
      if (!this.#held.has(shard)) return;
      this.tasked({ type: "release", shard, token });
      this.tasked({ type: "acquire", shard, token, writer, from: undefined, entities: [] });
    } else if (task.type === "release") {
      this.#held.delete(task.shard);
      this.documents.flush(task.shard);
      this.items.released(task.shard);
      this.documents.settle(task.shard);
    }
  }

  /** Changes a document at this peer. */
  edit(document: string, operation: string, client: number): void {
    let editor = this.editors.get(document);
    if (editor === undefined || editor.isOut) {
      const room = this.documents.open(document);
      if (room === undefined) return;
      editor = new Editor(room, client, this.#checker);
      this.editors.set(document, editor);
    }
    editor.edit(operation);
  }

  /** What this peer's copy of a document holds, or its room if that hosts it. */
  contentOf(shard: string, document: string): Doc {
    const room = this.documents.rooms.get(document);
    return room?.isHosting ? room.doc : documentOf(this.store.read(shard, document));
  }

  #endTurn(): void {
    this.documents.flush();
    this.items.flush();
    this.#channels.flush();
  }

  #look(): void {
    this.documents.flush();
    this.#channels.retain(this.#others());
    this.items.viewChanged();
    this.documents.settle();
  }

  #createChannels(): Channels {
    const { peer } = this;
    const { lives } = peer;
    return new Channels(
      {
        post: (to, body) => {
          if (peer.lives !== lives || peer.machine?.canPost(to) !== true) return false;
          peer.step({ type: "posted", to, service: SERVICE, body });
          return true;
        },
        need: (to) => peer.step({ type: "peer-needed", peer: to, isNeeded: true }),
        release: (to) => peer.step({ type: "peer-needed", peer: to, isNeeded: false }),
      },
      {
        received: (from, bytes) => this.#received(from, bytes),
        lost: (lost) => {
          this.items.lost(lost);
          this.documents.lost(lost);
        },
        opened: (opened) => {
          this.items.opened(opened);
          this.documents.opened(opened);
        },
        due: () => this.#due(),
      },
    );
  }

  #createItems(): Items {
    const view = () => this.peer.machine?.view;
    return new Items(
      {
        name: this.peer.name,
        send: (to, message) => this.#channels.send(to, message),
        isBusy: (to) => this.#channels.isBusy(to),
        shardFor: (item) => view()?.shardFor(item),
        ringChanges: () => view()?.registry.ring.changes ?? 0,
        regionFor: (shard) => view()?.regionFor(shard),
        replicasOf: (_shard, item) => this.replicasOf(item),
        others: () => this.#others(),
        due: () => this.#due(),
      },
      this.store,
      {
        merge: (...merged) => this.documents.merge(...merged),
        isOpen: (...open) => this.documents.isOpen(...open),
        replaced: (...replaced) => this.documents.replaced(...replaced),
        acknowledged: (...acknowledged) => this.documents.acknowledged(...acknowledged),
        recovered: (shard) => this.documents.settle(shard),
        arrived: (...arrived) => this.documents.arrived(...arrived),
        isAwaited: (_shard, document) => this.documents.isAwaited(document),
        grown: (...grown) => this.documents.compact(...grown),
      },
    );
  }

  #createDocuments(): Documents {
    const view = () => this.peer.machine?.view;
    return new Documents(
      {
        name: this.peer.name,
        regionFor: (shard) => view()?.regionFor(shard),
        shardFor: (document) => view()?.shardFor(document),
        send: (to, message) =>
          this.#channels.send(to, encodeMessage(writeDocumentMessage(message))),
        isBusy: (to) => this.#channels.isBusy(to),
        due: () => this.#due(),
        now: () => this.peer.now,
        wallMs: () => this.peer.wallMs,
        changed: () => {},
        hosted: () => {},
      },
      this.items,
    );
  }

  #received(from: string, bytes: Uint8Array): void {
    const elements = decodeMessage(bytes);
    const item = elements && readItemMessage(elements);
    const message = elements && readDocumentMessage(elements);
    if (item !== undefined) this.items.received(from, item);
    else if (message !== undefined) this.documents.received(from, message);
  }

  /** The other peers that are to have copies of a document, as this one sees it. */
  replicasOf(document: string): string[] {
    return copiesOf(this.peer.machine?.view, this.peer.name, document, REPLICAS);
  }

  #others(): ReadonlySet<string> {
    return othersIn(this.peer.machine?.view, this.peer.name);
  }
}
