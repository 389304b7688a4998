/**
 * The region's side of live queries: subscriptions of gateways to the shards that it serves.
 *
 * It is told which shards it serves and what changes in them, and holds for each an engine. What gateways
 * are to be told waits in a queue for each, and is taken from it as fast as their link carries it
 * (`nextFrame`). A queue has a limit: what is beyond it is left out, and the subscription that misses
 * something gets all of its rows once there is room. So a slow gateway costs a bounded amount of memory,
 * and hears either every delta or all rows, never less.
 *
 * Rows are read from the shard's source by whoever owns this (`nextRead`, `rowsRead`), a few at a time: many
 * subscriptions that come at once, as after a failover, are a queue of reads and no burst.
 *
 * A gateway that is gone takes its subscriptions with it.
 *
 * Deliberately absent: clients and their rights. Gateways know them, and ask for each shape once.
 *
 * Rules: SPEC.md, section V (V7 to V10).
 */
import type { ErrorCode, Refusal } from "../core/error.ts";
import { shardOf } from "../core/shard-of.ts";
import type { FencingToken } from "../core/token.ts";
import type { PeerName, ShardId } from "../core/units.ts";
import { POST_LENGTH_TARGET, REGION_SUBSCRIPTIONS_MAX, WAITING_LENGTH_MAX } from "./bounds.ts";
import { Engine } from "./engine.ts";
import { type Answer, type Control, lengthOf, rowLength } from "./message.ts";
import { type Query, readQuery } from "./query.ts";
import type { Row, RowChange, Table } from "./row.ts";
import type { Batch, ReadRequest, ReadResult, View } from "./view.ts";

export interface RegionOptions {
  readonly tables: ReadonlyMap<string, Table>;
  readonly shardCount: number;
  /** Rows that are held behind every window. By default each has as many as suits it. */
  readonly cushion?: number;
}

interface Served extends FencingToken {
  readonly shard: ShardId;
  readonly engine: Engine;
  readonly subscribers: Map<View, Set<Subscription>>;
}

interface Subscription {
  readonly id: number;
  readonly gateway: Gateway;
  readonly served: Served;
  readonly view: View;
  /** Whether it hears of deltas. It does not while it is to get all rows. */
  isFollowing: boolean;
}

interface Gateway {
  readonly name: PeerName;
  readonly subscriptions: Map<number, Subscription>;
  /** What waits for it, in order, and how long that is. */
  readonly queue: Answer[];
  queuedLength: number;
  /** Subscriptions whose rows can be sent once the queue is empty. */
  readonly hungry: Set<Subscription>;
}

/** Rows that a view wants. Given back with them. */
export interface RegionRead {
  readonly shard: ShardId;
  readonly view: View;
  readonly request: ReadRequest;
}

export class LiveRegion {
  readonly #options: RegionOptions;
  readonly #served = new Map<ShardId, Served>();
  readonly #gateways = new Map<PeerName, Gateway>();
  /** Shards whose engine may want to read. */
  readonly #readers = new Set<Served>();
  /** Gateways that something waits for. */
  readonly #ready = new Set<PeerName>();
  #subscriptions = 0;

  constructor(options: RegionOptions) {
    this.#options = options;
  }

  /** How many shapes gateways have subscribed to, and how many views answer them. */
  get counts(): { readonly subscriptions: number; readonly views: number } {
    let views = 0;
    for (const { engine } of this.#served.values()) views += engine.size;
    return { subscriptions: this.#subscriptions, views };
  }

  /** This region serves a shard from now on, under a token. All changes up to `position` are over. */
  serve(shard: ShardId, { token, writer }: FencingToken, position: number): void {
    this.release(shard);
    const engine = new Engine(position, this.#options.cushion);
    this.#served.set(shard, { shard, token, writer, engine, subscribers: new Map() });
  }

  /** This region serves a shard no longer: gateways ask elsewhere. */
  release(shard: ShardId): void {
    const served = this.#served.get(shard);
    if (served === undefined) return;
    for (const subscriptions of [...served.subscribers.values()]) {
      for (const subscription of [...subscriptions]) {
        this.#drop(subscription);
        this.#say(subscription.gateway, { type: "moved", sub: subscription.id });
      }
    }
    this.#served.delete(shard);
    this.#readers.delete(served);
  }

  /** A gateway asks. */
  received(from: PeerName, control: Control): void {
    const gateway = this.#gateway(from);
    if (control.type === "unsubscribe") {
      this.#unsubscribe(gateway, control.sub);
      return;
    }
    if (control.type === "reanchor") this.#unsubscribe(gateway, control.from);
    const { sub } = control;
    if (gateway.subscriptions.has(sub)) return;
    const query = this.#judge(control);
    if ("code" in query) {
      this.#refuse(gateway, sub, query.code, query.message);
      return;
    }
    const served = this.#served.get(control.shard);
    if (served === undefined) {
      this.#say(gateway, { type: "moved", sub });
      return;
    }
    const view = served.engine.view(query);
    const subscription = { id: sub, gateway, served, view, isFollowing: false };
    const others = served.subscribers.get(view) ?? new Set();
    served.subscribers.set(view, others.add(subscription));
    gateway.subscriptions.set(sub, subscription);
    this.#subscriptions += 1;
    const { token, writer } = served;
    this.#say(gateway, { type: "subscribed", sub, token, writer }); // [V7]
    if (view.isLoaded) this.#feed(subscription);
    else this.#readers.add(served);
  }

  /** The conversation with a gateway has ended: it is gone, or asks anew [V10]. */
  lost(name: PeerName): void {
    const gateway = this.#gateways.get(name);
    if (gateway === undefined) return;
    for (const subscription of [...gateway.subscriptions.values()]) this.#drop(subscription);
    this.#gateways.delete(name);
    this.#ready.delete(name);
  }

  /** A row of a shard has changed. */
  changed(shard: ShardId, change: RowChange): void {
    const served = this.#served.get(shard);
    if (served === undefined) return;
    served.engine.change(change, (view, batch) => this.#tell(served, view, batch));
    this.#readers.add(served);
  }

  /** The next rows to be read, in the order in which they were wanted. */
  nextRead(): RegionRead | undefined {
    for (const served of this.#readers) {
      const read = served.engine.nextRead();
      if (read !== undefined) return { shard: served.shard, ...read };
      this.#readers.delete(served);
    }
    return undefined;
  }

  /** They are here. */
  rowsRead({ shard, view }: RegionRead, result: ReadResult): void {
    const served = this.#served.get(shard);
    if (served === undefined || !served.engine.has(view)) return; // Nobody wants them any more.
    const wasLoaded = view.isLoaded;
    const batch = served.engine.loaded(view, result);
    this.#readers.add(served);
    if (batch !== undefined) this.#tell(served, view, batch);
    if (wasLoaded || !view.isLoaded) return;
    if (view.isOverfull) this.#refuseOverfull(served, view);
    else for (const each of served.subscribers.get(view) ?? []) this.#feed(each);
  }

  /** They cannot be read: whoever follows the view is told so, by a code. */
  readRefused({ shard, view }: RegionRead, code: ErrorCode, reason: string): void {
    const served = this.#served.get(shard);
    if (served?.engine.has(view)) this.#refuseView(served, view, code, reason);
  }

  /** The position of the last change of a shard. */
  positionOf(shard: ShardId): number {
    return this.#served.get(shard)?.engine.position ?? 0;
  }

  /** Whether anybody still wants what would be read. */
  isWanted({ shard, view }: RegionRead): boolean {
    return this.#served.get(shard)?.engine.has(view) === true;
  }

  /** How many views a shard has. */
  viewsOf(shard: ShardId): number {
    return this.#served.get(shard)?.engine.size ?? 0;
  }

  /** Changes of a shard will be told behind this position: the first that anything was read at. */
  startAt(shard: ShardId, position: number): void {
    this.#served.get(shard)?.engine.skipTo(position);
  }

  /** They could not be read: they will be wanted again. */
  readFailed({ shard, view }: RegionRead): void {
    const served = this.#served.get(shard);
    if (served === undefined || !served.engine.has(view)) return;
    served.engine.readFailed(view);
    this.#readers.add(served);
  }

  /** The gateways that something waits for. */
  ready(): IterableIterator<PeerName> {
    return this.#ready.values();
  }

  /** Takes what is to be posted to a gateway next; undefined when nothing waits. */
  nextFrame(to: PeerName): Answer[] | undefined {
    const gateway = this.#gateways.get(to);
    if (gateway === undefined) return undefined;
    let length = 0;
    let count = 0;
    while (length < POST_LENGTH_TARGET) {
      if (count === gateway.queue.length && !this.#feedNext(gateway)) break;
      const next = gateway.queue[count];
      if (next === undefined) break;
      length += lengthOf(next);
      count += 1;
    }
    if (gateway.queue.length === count && gateway.hungry.size === 0) this.#ready.delete(to);
    if (count === 0) return undefined;
    gateway.queuedLength -= length;
    return gateway.queue.splice(0, count);
  }

  #judge(control: Exclude<Control, { type: "unsubscribe" }>): Query | Refusal {
    const { tables, shardCount } = this.#options;
    const result = readQuery(control.query, tables);
    if (!result.ok) return result;
    const { query } = result;
    const { tenant, table } = query;
    if (table.fingerprint !== control.columns) {
      return refusal("BAD_REQUEST", "the entity has other columns at its region");
    }
    if (control.shard !== `shard-${shardOf(tenant, table.entity, shardCount)}`) {
      return refusal("BAD_REQUEST", "the rows are in another shard");
    }
    if (this.#subscriptions >= REGION_SUBSCRIPTIONS_MAX) {
      return refusal("BUFFER_FULL", `its region has ${REGION_SUBSCRIPTIONS_MAX} subscriptions`); // [S4]
    }
    return query;
  }

  #tell(served: Served, view: View, batch: Batch): void {
    if (view.isOverfull) {
      this.#refuseOverfull(served, view);
      return;
    }
    const { token, writer } = served;
    for (const subscription of served.subscribers.get(view) ?? []) {
      if (!subscription.isFollowing) continue;
      const { gateway, id: sub } = subscription;
      const message: Answer = { type: "deltas", sub, token, writer, ...batch };
      const length = lengthOf(message);
      // [V9] What is too much is left out, and all rows follow.
      const fits = gateway.queuedLength + length <= WAITING_LENGTH_MAX;
      if (fits && length <= POST_LENGTH_TARGET + rowsLengthMax(batch)) {
        this.#say(gateway, message);
      } else this.#feed(subscription);
    }
  }

  /** All rows of a subscription follow as soon as there is room. */
  #feed(subscription: Subscription): void {
    subscription.isFollowing = false;
    const { gateway } = subscription;
    gateway.hungry.add(subscription);
    this.#ready.add(gateway.name);
  }

  /** Puts the rows of one subscription into the empty queue. */
  #feedNext(gateway: Gateway): boolean {
    const [subscription] = gateway.hungry;
    if (subscription === undefined) return false;
    gateway.hungry.delete(subscription);
    subscription.isFollowing = true;
    const { id: sub, view, served } = subscription;
    const { token, writer } = served;
    const { sequence } = view;
    const parts = partsOf(view.rows());
    parts.forEach((rows, index) => {
      const [isFirst, isLast] = [index === 0, index === parts.length - 1];
      this.#say(gateway, { type: "rows", sub, token, writer, sequence, isFirst, isLast, rows });
    });
    return true;
  }

  #refuseOverfull(served: Served, view: View): void {
    const message = "more rows match than a streamed query may have";
    this.#refuseView(served, view, "BUFFER_FULL", message);
  }

  #refuseView(served: Served, view: View, code: ErrorCode, reason: string): void {
    for (const subscription of [...(served.subscribers.get(view) ?? [])]) {
      this.#drop(subscription);
      this.#refuse(subscription.gateway, subscription.id, code, reason);
    }
  }

  #refuse(gateway: Gateway, sub: number, code: ErrorCode, reason: string): void {
    this.#say(gateway, { type: "refused", sub, code, message: reason });
  }

  #say(gateway: Gateway, message: Answer): void {
    gateway.queue.push(message);
    gateway.queuedLength += lengthOf(message);
    this.#ready.add(gateway.name);
  }

  #unsubscribe(gateway: Gateway, sub: number): void {
    const subscription = gateway.subscriptions.get(sub);
    if (subscription !== undefined) this.#drop(subscription);
  }

  #drop(subscription: Subscription): void {
    const { gateway, id, served, view } = subscription;
    if (!gateway.subscriptions.delete(id)) return;
    this.#subscriptions -= 1;
    gateway.hungry.delete(subscription);
    const others = served.subscribers.get(view);
    others?.delete(subscription);
    if (others?.size !== 0) return;
    served.subscribers.delete(view);
    served.engine.drop(view);
  }

  #gateway(name: PeerName): Gateway {
    const known = this.#gateways.get(name);
    if (known !== undefined) return known;
    const gateway: Gateway = {
      ...{ name, subscriptions: new Map(), queue: [], queuedLength: 0, hungry: new Set() },
    };
    this.#gateways.set(name, gateway);
    return gateway;
  }
}

/** One row may be longer than a post should be; a batch of several that is, is sent as all rows. */
function rowsLengthMax({ deltas }: Batch): number {
  return deltas.length <= 2 ? Number.POSITIVE_INFINITY : 0;
}

/** Rows in parts that fit into a post; one part, though it be empty. */
function partsOf(rows: readonly Row[]): Row[][] {
  const parts: Row[][] = [[]];
  let length = 0;
  for (const row of rows) {
    if (length >= POST_LENGTH_TARGET) {
      parts.push([]);
      length = 0;
    }
    parts.at(-1)?.push(row);
    length += rowLength(row);
  }
  return parts;
}

function refusal(code: ErrorCode, reason: string): Refusal {
  return { ok: false, code, message: `Cannot subscribe: ${reason}` };
}
