/**
 * Keeps the rows of this peer's shards, and copies of those of others: brings posts, shards, members and time
 * to `replicated-rows.ts`, as a service of its own.
 *
 * Copies of a shard's rows are at the peers that come out highest for it by rendezvous, so that a death
 * moves few of them.
 *
 * Rules: SPEC.md, V6, Y3 to Y6.
 */
import { rendezvousRank } from "../../core/rendezvous.ts";
import type { PeerName, ShardId } from "../../core/units.ts";
import type { Clock } from "../../io/clock.ts";
import type { AcquireContext } from "../../io/host-runner.ts";
import type { Service, ServicePort, Services } from "../../io/services.ts";
import { oncePerTurn } from "../../io/turn.ts";
import { Channels } from "../../items/channels.ts";
import { othersIn } from "../../items/copies.ts";
import { decodeMessage, readItemMessage } from "../../items/item-messages.ts";
import type { ItemStore } from "../../items/item-store.ts";
import { Items, type ItemsOptions } from "../../items/items.ts";
import type { RegionRead } from "../region.ts";
import { type Answered, ReplicatedRows, type RowWrite } from "../replicated-rows.ts";
import type { Table } from "../row.ts";
import { shardOfItem } from "../row-parts.ts";
import type { RegionRows, RegionRowsHooks } from "./region-rows.ts";

/** How often something may be due, in ms. */
const TICK_MS = 250;

/** Copies of a row besides the one at its region. */
const REPLICAS = 2;

export interface RowKeeperOptions extends ItemsOptions {
  readonly tables: ReadonlyMap<string, Table>;
  readonly services: Services;
  readonly store: ItemStore;
  readonly clock: Clock;
  readonly shardCount: number;
  /** Copies besides the one at the region. Default 2. */
  readonly replicas?: number;
  readonly onFault: (error: unknown) => void;
}

export class RowKeeper implements RegionRows, Service {
  readonly canRead = true;
  readonly #hooks: RegionRowsHooks;
  readonly #rows: ReplicatedRows;
  readonly #options: RowKeeperOptions;
  readonly #port: ServicePort;
  readonly #channels: Channels;
  readonly #items: Items;
  readonly #timer: NodeJS.Timeout;
  /** Members or allocations have changed: what follows is done once for all changes of a turn. */
  readonly viewChanged = oncePerTurn(() => {
    if (this.#port.view === undefined) return;
    this.#channels.retain(this.#others());
    this.#items.viewChanged();
  });
  /** Something is to be told, once for all of a turn. */
  readonly #due = oncePerTurn(() => {
    this.#items.flush();
    this.#channels.flush();
  });

  constructor(options: RowKeeperOptions, hooks: RegionRowsHooks) {
    this.#options = options;
    this.#hooks = hooks;
    const { services, store, clock, tables, onFault } = options;
    this.#port = services.register("rows", this);
    this.#channels = new Channels(this.#port, {
      received: (from, bytes) => {
        const elements = decodeMessage(bytes);
        const message = elements && readItemMessage(elements);
        if (message !== undefined) this.#items.received(from, message);
      },
      lost: (peer) => this.#items.lost(peer),
      opened: (peer) => this.#items.opened(peer),
      due: () => this.#due(),
    });
    const port = {
      name: this.#port.name,
      send: (to: PeerName, message: Uint8Array) => this.#channels.send(to, message),
      isBusy: (peer: PeerName) => this.#channels.isBusy(peer),
      shardFor: (item: string) => shardOfItem(item, options.shardCount),
      ringChanges: () => 0,
      regionFor: (shard: ShardId) => this.#port.view?.regionFor(shard),
      replicasOf: (shard: ShardId) => this.#replicasOf(shard),
      others: () => this.#others(),
      due: () => this.#due(),
    };
    let items: Items | undefined;
    this.#rows = new ReplicatedRows(tables, hooks, (own) => {
      items = new Items(port, store, own, options);
      return items;
    });
    this.#items = items as unknown as Items;
    this.#timer = setInterval(() => {
      try {
        this.#items.tick(clock.now());
      } catch (error) {
        onFault(error);
      }
    }, TICK_MS);
    this.#timer.unref();
  }

  /** They are in memory: it is over at once. */
  read(read: RegionRead): void {
    this.#hooks.wasRead(read, this.#rows.read(read.shard, read.request));
  }

  write(shard: ShardId, write: RowWrite, answered: Answered): void {
    this.#rows.write(shard, write, answered);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  onAcquire(shard: ShardId, { token, writer }: AcquireContext): void {
    this.#rows.acquired(shard, { token, writer }, this.#options.clock.now());
  }

  /** [H7] Subscribers believe the highest token only. */
  onRenew(shard: ShardId, context: AcquireContext): void {
    this.onRelease(shard);
    this.onAcquire(shard, context);
  }

  onRelease(shard: ShardId): void {
    this.#rows.released(shard);
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
    this.#rows.reset();
  }

  #replicasOf(shard: ShardId): PeerName[] {
    return rendezvousRank(shard, this.#others(), this.#options.replicas ?? REPLICAS);
  }

  #others(): ReadonlySet<PeerName> {
    return othersIn(this.#port.view, this.#port.name);
  }
}
