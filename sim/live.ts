/**
 * Rows and live queries of simulated peers: the real gateways, regions, rows and items, over the real machines.
 *
 * What a service would be told by `io` it is told here; time passes in the same steps. A peer's copies of rows
 * are on its disk: they survive its lives, and resets, but not the loss of the disk. Writers write at the
 * peer that has the shard as far as somebody knows, and followers follow queries at any peer, as long as
 * that lives. Frames are carried out as bytes.
 */
import type { Delivery } from "../src/core/delivery.ts";
import type { HostTask } from "../src/core/host-task.ts";
import { rendezvousRank } from "../src/core/rendezvous.ts";
import { shardOf } from "../src/core/shard-of.ts";
import type { FencingToken } from "../src/core/token.ts";
import { Channels } from "../src/items/channels.ts";
import { othersIn } from "../src/items/copies.ts";
import { decodeMessage, readItemMessage } from "../src/items/item-messages.ts";
import { MemoryItemStore } from "../src/items/item-store.ts";
import { Items } from "../src/items/items.ts";
import { LiveGateway, type News } from "../src/live/gateway.ts";
import { readMessage, wordsOf } from "../src/live/message.ts";
import { type LiveQuery, type Query, readQuery } from "../src/live/query.ts";
import { LiveRegion } from "../src/live/region.ts";
import { ReplicatedRows } from "../src/live/replicated-rows.ts";
import { readDeclarations, type Scalar, type Table } from "../src/live/row.ts";
import { shardOfItem } from "../src/live/row-parts.ts";
import { decodeBody, encodeBody } from "../src/wire/body.ts";
import type { SimulatedPeer } from "./peer.ts";
import { oncePerTurn } from "./turn.ts";
import type { World } from "./world.ts";

const TICK_MS = 250;
const REPLICAS = 2;

/** Entities of rows: few, each in a shard of its own where there are as many. */
export const ENTITIES = ["a", "b", "c"] as const;

/** Rows behind a window: hardly any, so that windows are read anew all the time. */
const CUSHION = 1;

/** Rows of one entity: few, so that windows are often full, and lose rows. */
export const ROWS = 30;

const TABLES: ReadonlyMap<string, Table> = (() => {
  const columns = { group: "number", rank: "number" } as const;
  const read = readDeclarations(Object.fromEntries(ENTITIES.map((name) => [name, columns])));
  if (!read.ok) throw new Error(read.message);
  return read.tables;
})();

/** Who hears what happens. */
export interface LiveObserver {
  /** A follower is told something. */
  told(live: SimulatedLive, client: number, news: News): void;
  /** The rows of a shard are at a position, under a token. */
  moment(live: SimulatedLive, shard: string, token: FencingToken, position: number): void;
}

/** Whether a row is put or, without values, deleted. */
export interface Write {
  readonly entity: string;
  readonly id: string;
  readonly values: readonly Scalar[] | undefined;
}

export class SimulatedLive {
  readonly peer: SimulatedPeer;
  readonly #world: World;
  readonly #checker: LiveObserver;
  readonly #shards: number;
  store = new MemoryItemStore();
  gateway: LiveGateway;
  region: LiveRegion;
  rows: ReplicatedRows;
  #channels: Channels;
  #items: Items | undefined;
  readonly #needed = new Map<string, Set<string>>();
  /** Under which tokens this region serves. */
  readonly #tokens = new Map<string, FencingToken>();
  #isTurnDue = false;
  /** Rows of others have changed places. */
  readonly #look: () => void;
  /** Copies of rows have something to tell. */
  readonly #due: () => void;

  constructor(peer: SimulatedPeer, world: World, shards: number, checker: LiveObserver) {
    this.peer = peer;
    this.#world = world;
    this.#shards = shards;
    this.#checker = checker;
    this.#look = oncePerTurn(world, peer, () => {
      this.#channels.retain(this.#others());
      this.#items?.viewChanged();
    });
    this.#due = oncePerTurn(world, peer, () => {
      this.#items?.flush();
      this.#channels.flush();
    });
    this.gateway = this.#createGateway();
    this.region = this.#createRegion();
    this.#channels = this.#createChannels();
    this.rows = this.#createRows();
  }

  shardOf(entity: string): string {
    return `shard-${shardOf("t", entity, this.#shards)}`;
  }

  /** A life begins. */
  booted(): void {
    this.#needed.clear();
    this.gateway = this.#createGateway();
    this.region = this.#createRegion();
    this.#channels = this.#createChannels();
    this.rows = this.#createRows();
    const { lives } = this.peer;
    const tick = (): void => {
      if (this.peer.lives !== lives || this.peer.state === "down") return;
      this.#run(() => {
        this.#items?.tick(this.peer.now);
        this.#plan();
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
    if (delivery.type === "post") this.#posted(delivery.from, delivery.service, delivery.body);
    else if (delivery.type === "open") this.#channels.opened(delivery.peer);
    else {
      this.#channels.lost(delivery.peer);
      this.region.lost(delivery.peer);
      this.gateway.lost(delivery.peer);
    }
    this.#plan();
  }

  /** The host of this region has taken or given away a shard. */
  acquired({ shard, token, writer }: Extract<HostTask, { type: "acquire" }>): void {
    this.rows.acquired(shard, { token, writer }, this.peer.now);
    this.#plan();
  }

  released(shard: string): void {
    this.region.release(shard);
    this.rows.released(shard);
    this.#plan();
  }

  /** The table or the members have changed. */
  viewChanged(shard: string | undefined): void {
    if (shard !== undefined) this.gateway.moved(shard);
    this.#plan();
    this.#look();
  }

  /** Writes a row at this peer, which somebody takes for the region of its shard. */
  write({ entity, id, values }: Write, acknowledged: (version: number) => void): void {
    const table = TABLES.get(entity);
    if (table === undefined) return;
    const draft = values && { id, version: undefined, values: [id, ...values] };
    const write = { tenant: "t", table, id, version: undefined, draft };
    this.#run(() =>
      this.rows.write(this.shardOf(entity), write, (outcome) => {
        if (outcome.ok && outcome.written.applied) acknowledged(outcome.written.version);
      }),
    );
    this.#plan();
  }

  /** Follows a query here; the number of the follower in this life of the peer. */
  subscribe(query: Query): number | undefined {
    let client: number | undefined;
    if (this.peer.state === "up") client = this.gateway.subscribe(query, this.peer.now);
    this.#plan();
    return client;
  }

  /** Something may have to be read, said or told. */
  #plan(): void {
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    const { lives } = this.peer;
    this.#world.plan(0, () => {
      this.#isTurnDue = false;
      if (this.peer.lives === lives) this.#run(() => this.#turn());
    });
  }

  #turn(): void {
    const { now } = this.peer;
    if (now >= this.gateway.deadline()) this.gateway.tick(now);
    for (let read = this.region.nextRead(); read !== undefined; read = this.region.nextRead()) {
      this.region.rowsRead(read, this.rows.read(read.shard, read.request));
    }
    const regions = new Set(this.gateway.regions());
    for (const region of regions) this.#need("live", region, true);
    for (const region of [...this.#needed.keys()]) {
      if (!regions.has(region)) this.#need("live", region, false);
    }
    for (const gateway of [...this.region.ready()]) {
      this.#post(gateway, () => this.region.nextFrame(gateway));
    }
    for (const region of [...this.gateway.ready()]) {
      this.#post(region, () => this.gateway.nextFrame(region, now));
    }
    for (const [client, news] of this.gateway.takeNews()) this.#checker.told(this, client, news);
  }

  #post(to: string, next: () => readonly Parameters<typeof wordsOf>[0][] | undefined): void {
    while (this.peer.machine?.canPost(to) === true) {
      const messages = next();
      if (messages === undefined) return;
      const encoded = encodeBody(messages.map(wordsOf));
      if (!("bytes" in encoded)) throw new Error(`A frame ${encoded.reason}`);
      this.peer.step({ type: "posted", to, service: "live", body: encoded.bytes });
    }
  }

  #posted(from: string, service: string, bytes: Uint8Array): void {
    if (service === "rows") {
      this.#channels.posted(from, bytes);
      return;
    }
    const words = service === "live" ? decodeBody(bytes)?.body : undefined;
    for (const each of Array.isArray(words) ? (words as readonly unknown[]) : []) {
      const message = readMessage(each);
      if (message === undefined) throw new Error("A message is not as it was sent");
      if ("query" in message || message.type === "unsubscribe") {
        this.region.received(from, message);
      } else this.gateway.received(from, message, this.peer.now);
    }
  }

  #run(run: () => void): void {
    this.peer.run(() => {
      if (this.peer.machine !== undefined) run();
    });
  }

  #need(who: string, peer: string, isNeeded: boolean): void {
    const users = this.#needed.get(peer) ?? new Set<string>();
    if (users.has(who) === isNeeded) return;
    if (isNeeded) this.#needed.set(peer, users.add(who));
    else users.delete(who);
    if (users.size === 0) this.#needed.delete(peer);
    if (isNeeded || users.size === 0) this.peer.step({ type: "peer-needed", peer, isNeeded });
  }

  #createGateway(): LiveGateway {
    const regionOf = (shard: string) => this.peer.machine?.view.regionFor(shard);
    return new LiveGateway({ membership: { regionOf }, shardCount: this.#shards });
  }

  #createRegion(): LiveRegion {
    return new LiveRegion({ tables: TABLES, shardCount: this.#shards, cushion: CUSHION });
  }

  #createChannels(): Channels {
    const { peer } = this;
    const { lives } = peer;
    return new Channels(
      {
        post: (to, body) => {
          if (peer.lives !== lives || peer.machine?.canPost(to) !== true) return false;
          peer.step({ type: "posted", to, service: "rows", body });
          return true;
        },
        need: (to) => this.#need("rows", to, true),
        release: (to) => this.#need("rows", to, false),
      },
      {
        received: (from, bytes) => {
          const elements = decodeMessage(bytes);
          const message = elements && readItemMessage(elements);
          if (message !== undefined) this.#items?.received(from, message);
        },
        lost: (lost) => this.#items?.lost(lost),
        opened: (opened) => this.#items?.opened(opened),
        due: () => this.#due(),
      },
    );
  }

  #createRows(): ReplicatedRows {
    const port = {
      name: this.peer.name,
      send: (to: string, message: Uint8Array) => this.#channels.send(to, message),
      isBusy: (to: string) => this.#channels.isBusy(to),
      shardFor: (item: string) => shardOfItem(item, this.#shards),
      ringChanges: () => 0,
      regionFor: (shard: string) => this.peer.machine?.view.regionFor(shard),
      replicasOf: (shard: string) => rendezvousRank(shard, this.#others(), REPLICAS),
      others: () => this.#others(),
      due: () => this.#due(),
    };
    const hooks = {
      serving: (shard: string, token: FencingToken, position: number) => {
        this.#tokens.set(shard, token);
        this.#checker.moment(this, shard, token, position);
        this.region.serve(shard, token, position);
        this.#plan();
      },
      changed: (shard: string, change: Parameters<LiveRegion["changed"]>[1]) => {
        const token = this.#tokens.get(shard);
        if (token !== undefined) this.#checker.moment(this, shard, token, change.position);
        this.region.changed(shard, change);
        this.#plan();
      },
    };
    return new ReplicatedRows(TABLES, hooks, (own) => {
      this.#items = new Items(port, this.store, own);
      return this.#items;
    });
  }

  #others(): ReadonlySet<string> {
    return othersIn(this.peer.machine?.view, this.peer.name);
  }
}

/** A query of the workload: it must be one. */
export function queryOf(asked: Omit<LiveQuery, "tenant">): Query {
  const read = readQuery({ tenant: "t", ...asked }, TABLES);
  if (!read.ok) throw new Error(read.message);
  return read.query;
}
