/**
 * The service that hosts documents: brings messages, shards, members and time to `documents.ts`.
 *
 * Yjs costs a process 10 MB. So it is loaded with the first document that this peer has anything to do
 * with, and a peer that only keeps copies for others never needs it. What comes until it is loaded waits,
 * in order.
 *
 * Rules: SPEC.md, section Y.
 */
import { HearsayError } from "../../core/error.ts";
import { isLoopback } from "../../core/inquests.ts";
import type { Address, PeerName, ShardId } from "../../core/units.ts";
import type { Clock } from "../../io/clock.ts";
import type { AcquireContext, MessageContext } from "../../io/host-runner.ts";
import type { DocumentNumbers } from "../../io/served-peer.ts";
import type { Service, ServicePort, Services } from "../../io/services.ts";
import { oncePerTurn } from "../../io/turn.ts";
import { Channels } from "../../items/channels.ts";
import { copiesOf, othersIn } from "../../items/copies.ts";
import { decodeMessage, encodeMessage, readItemMessage } from "../../items/item-messages.ts";
import type { ItemStore } from "../../items/item-store.ts";
import { Items, type ItemsOptions } from "../../items/items.ts";
import type { Body } from "../../wire/body.ts";
import type { Documents } from "../documents.ts";
import { type DocumentMessage, readDocumentMessage, writeDocumentMessage } from "../messages.ts";
import type { Room } from "../room.ts";
import { Search, type SearchPort } from "./search.ts";
import { writeSystemDocument } from "./system-documents.ts";

/** How often something may be due, in ms. */
const TICK_MS = 250;

export interface DocumentOptions extends ItemsOptions {
  /** Copies of a document besides the one at its region. Default 2. */
  readonly replicas?: number;
}

export interface DocumentServiceOptions extends DocumentOptions {
  readonly services: Services;
  readonly store: ItemStore;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
  readonly globalDf: SearchPort["globalDf"];
  readonly publish: SearchPort["publish"];
}

const REPLICAS = 2;

const NOTHING_LOADED = { loaded: 0, clients: 0, loads: 0, unloads: 0, edits: 0, editBytes: 0 };

export class DocumentService implements Service {
  readonly items: Items;
  readonly search: Search;
  readonly #port: ServicePort;
  readonly #channels: Channels;
  readonly #options: DocumentServiceOptions;
  readonly #timer: NodeJS.Timeout;
  #documents: Documents | undefined;
  #loading: Promise<void> | undefined;
  #waiting: ((documents: Documents) => void)[] = [];
  /** Members or allocations have changed: what follows is done once for all changes of a turn. */
  readonly viewChanged = oncePerTurn(() => this.#look());
  /** Something is to be told, once for all of a turn. */
  readonly #due = oncePerTurn(() => this.#endTurn());
  /** Who waits for an append to be durable, by shard, document and count. */
  readonly #durable = new Map<string, { readonly count: number; readonly done: () => void }[]>();

  constructor(options: DocumentServiceOptions) {
    this.#options = options;
    const { services, store, clock } = options;
    this.#port = services.register("documents", this);
    this.#channels = new Channels(this.#port, {
      received: (from, message) => this.#received(from, message),
      lost: (peer) => {
        this.items.lost(peer);
        this.#ifLoaded((documents) => documents.lost(peer));
      },
      opened: (peer) => {
        this.items.opened(peer);
        this.#ifLoaded((documents) => documents.opened(peer));
      },
      due: () => this.#due(),
    });
    this.items = new Items(
      {
        name: this.#port.name,
        send: (to, message) => this.#channels.send(to, message),
        isBusy: (peer) => this.#channels.isBusy(peer),
        shardFor: (item) => this.#port.view?.shardFor(item),
        ringChanges: () => this.#port.view?.registry.ring.changes ?? 0,
        regionFor: (shard) => this.#port.view?.regionFor(shard),
        replicasOf: (_shard, item) => this.#replicasOf(item),
        others: () => this.#others(),
        due: () => this.#due(),
      },
      store,
      {
        merge: (...merged) => this.whenLoaded((documents) => documents.merge(...merged)),
        isOpen: (...open) => this.#documents?.isOpen(...open) === true,
        replaced: (...replaced) => this.#ifLoaded((documents) => documents.replaced(...replaced)),
        acknowledged: (...acknowledged) => this.#acknowledged(...acknowledged),
        recovered: (shard) => {
          this.search.acquired(shard);
          this.#ifLoaded((documents) => documents.settle(shard));
        },
        arrived: (...arrived) => this.#ifLoaded((documents) => documents.arrived(...arrived)),
        isAwaited: (_shard, document) => this.#documents?.isAwaited(document) === true,
        grown: (...grown) => this.whenLoaded((documents) => documents.compact(...grown)),
      },
      options,
    );
    this.search = new Search({
      ...{ name: this.#port.name, items: this.items, onFault: options.onFault },
      ...{ globalDf: options.globalDf, publish: options.publish },
      shards: () => this.#port.view?.shards() ?? [],
      regions: () => this.#regions(),
      send: (to, message) => this.#send(to, message),
      load: () => this.load(),
    });
    this.#timer = setInterval(() => this.#tick(clock.now()), TICK_MS);
    this.#timer.unref();
  }

  onAcquire(shard: ShardId, { token, writer }: AcquireContext): void {
    this.items.acquired(shard, token, writer, this.#options.clock.now());
  }

  /** [H7] Copies take what a leader says under the highest token only: it leads anew, under that one. */
  onRenew(shard: ShardId, context: AcquireContext): void {
    this.onRelease(shard);
    this.onAcquire(shard, context);
  }

  onRelease(shard: ShardId): void {
    this.#documents?.flush(shard);
    this.items.released(shard);
    this.search.released(shard);
    this.#ifLoaded((documents) => documents.settle(shard));
  }

  onPost(from: PeerName, body: Uint8Array): void {
    this.#channels.posted(from, body);
  }

  onOpen(peer: PeerName): void {
    this.#channels.opened(peer);
  }

  onLost(peer: PeerName): void {
    this.#channels.lost(peer);
  }

  onReset(): void {
    this.#channels.reset();
    this.items.reset();
    this.search.reset();
    this.#ifLoaded((documents) => documents.reset());
  }

  /** Answers for a shard that this region has. */
  async onMessage(message: Body, { shard }: MessageContext): Promise<Body> {
    const [what, name] = Array.isArray(message) ? (message as unknown[]) : [];
    if (what === "list") {
      const items = [...this.items.store.items(shard)].filter(([, { parts }]) => parts > 0);
      return items.map(([document, { bytes }]) => [document, bytes]);
    }
    if (typeof name !== "string") throw new Error("It asks for nothing known");
    await this.#untilReady(shard, name);
    if (what === "export") return this.items.store.read(shard, name);
    if (what !== "delete") throw new Error("It asks for nothing known");
    if (!this.items.has(shard, name)) return false;
    const documents = await this.load();
    const count = documents.delete(shard, name);
    await this.#untilDurable(shard, name, count);
    return true;
  }

  /** The documents of this peer, once Yjs is there. */
  async load(): Promise<Documents> {
    this.#loading ??= this.#load();
    await this.#loading;
    if (this.#documents === undefined) throw new Error("Documents could not be loaded");
    return this.#documents;
  }

  /** Runs something now, or when Yjs is there. */
  whenLoaded(run: (documents: Documents) => void): void {
    if (this.#documents !== undefined) run(this.#documents);
    else {
      this.#waiting.push(run);
      this.load().catch(this.#options.onFault);
    }
  }

  /** Asks the region of a document. */
  async ask(document: string, message: Body): Promise<Body> {
    const shard = this.#port.view?.shardFor(document);
    if (shard === undefined) throw new HearsayError("NO_SHARDS", "No shard is registered");
    return this.#port.ask(shard, message);
  }

  numbers(): DocumentNumbers {
    let [copies, copyBytes] = [0, 0];
    for (const shard of this.items.store.shards()) {
      for (const { bytes } of this.items.store.items(shard).values()) {
        copies += 1;
        copyBytes += bytes;
      }
    }
    return { ...(this.#documents?.numbers() ?? NOTHING_LOADED), copies, copyBytes };
  }

  /**
   * Where pages may come from that members have served: whoever is at another machine's address that was a
   * member's once may be anybody.
   */
  pageAddresses(): Address[] {
    const { view, name } = this.#port;
    const others = this.#others();
    return (view?.members() ?? [])
      .filter((peer) => peer.name === name || others.has(peer.name) || isLoopback(peer.address))
      .map(({ address }) => address);
  }

  /** The documents of all shards, by name, and the shards that did not answer. */
  async list(): Promise<{ documents: { document: string; bytes: number }[]; missing: ShardId[] }> {
    const missing: ShardId[] = [];
    const documents: { document: string; bytes: number }[] = [];
    const shards = this.#port.view?.shards() ?? [];
    await Promise.all(
      shards.map(async (shard) => {
        try {
          const rows = (await this.#port.ask(shard, ["list"])) as [string, number][];
          for (const [document, bytes] of rows) documents.push({ document, bytes });
        } catch {
          missing.push(shard);
        }
      }),
    );
    documents.sort((a, b) => (a.document < b.document ? -1 : 1));
    return { documents, missing: missing.sort() };
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #load(): Promise<void> {
    const { Documents: Loaded } = await import("../documents.ts");
    const documents = new Loaded(
      {
        name: this.#port.name,
        regionFor: (shard) => this.#port.view?.regionFor(shard),
        shardFor: (document) => this.#port.view?.shardFor(document),
        send: (to, message) => this.#send(to, message),
        isBusy: (peer) => this.#channels.isBusy(peer),
        due: () => this.#due(),
        now: () => this.#options.clock.now(),
        wallMs: () => this.#options.clock.wallMs(),
        hosted: (room) => this.#writeSystem(room),
        changed: (shard, document) => this.search.changed(shard, document),
      },
      this.items,
    );
    this.#documents = documents;
    for (const run of this.#waiting.splice(0)) run(documents);
  }

  #received(from: PeerName, bytes: Uint8Array): void {
    const elements = decodeMessage(bytes);
    if (elements === undefined) return;
    const item = readItemMessage(elements);
    if (item !== undefined) this.items.received(from, item);
    const message = item === undefined ? readDocumentMessage(elements) : undefined;
    if (message?.type === "query" || message?.type === "found") this.search.received(from, message);
    else if (message !== undefined)
      this.whenLoaded((documents) => documents.received(from, message));
  }

  #acknowledged(shard: ShardId, document: string, count: number): void {
    this.#ifLoaded((documents) => documents.acknowledged(shard, document, count));
    const key = `${shard}/${document}`;
    const waiting = this.#durable.get(key);
    if (waiting === undefined) return;
    const rest = waiting.filter((each) => each.count > count);
    if (rest.length > 0) this.#durable.set(key, rest);
    else this.#durable.delete(key);
    for (const each of waiting) if (each.count <= count) each.done();
  }

  #untilDurable(shard: ShardId, document: string, count: number): Promise<void> {
    if (!this.items.isWaiting(shard, document)) return Promise.resolve();
    return new Promise((done) => {
      const key = `${shard}/${document}`;
      this.#durable.set(key, [...(this.#durable.get(key) ?? []), { count, done }]);
    });
  }

  async #untilReady(shard: ShardId, document: string): Promise<void> {
    while (!this.items.isReady(shard, document)) {
      if (this.#port.view?.regionFor(shard) !== this.#port.name) {
        throw new Error("The shard has moved");
      }
      await new Promise((resolve) => setTimeout(resolve, TICK_MS / 10));
    }
  }

  #endTurn(): void {
    try {
      this.#documents?.flush();
      this.items.flush();
      this.#channels.flush();
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  #look(): void {
    if (this.#port.view === undefined) return;
    this.#documents?.flush();
    this.#channels.retain(this.#others());
    this.items.viewChanged();
    this.#ifLoaded((documents) => {
      documents.settle();
      for (const room of documents.rooms.values()) this.#writeSystem(room);
    });
  }

  #tick(now: number): void {
    try {
      if (this.items.isRingNews) this.viewChanged();
      this.items.tick(now);
      this.#ifLoaded((documents) => documents.tick());
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  #ifLoaded(run: (documents: Documents) => void): void {
    if (this.#documents !== undefined) run(this.#documents);
    // What comes before it is loaded finds its place among what waits.
    else if (this.#waiting.length > 0) this.#waiting.push(run);
  }

  #writeSystem(room: Room): void {
    const { view } = this.#port;
    if (view !== undefined && room.isReadOnly) writeSystemDocument(room, view);
  }

  #send(to: PeerName, message: DocumentMessage): void {
    this.#channels.send(to, encodeMessage(writeDocumentMessage(message)));
  }

  /** The regions that have shards, and are there. */
  #regions(): ReadonlySet<PeerName> {
    const { view, name } = this.#port;
    const others = this.#others();
    const regions = [...(view?.loads.keys() ?? [])];
    return new Set(regions.filter((region) => region === name || others.has(region)));
  }

  #replicasOf(document: string): PeerName[] {
    const { view, name } = this.#port;
    return copiesOf(view, name, document, this.#options.replicas ?? REPLICAS);
  }

  #others(): ReadonlySet<PeerName> {
    return othersIn(this.#port.view, this.#port.name);
  }
}
