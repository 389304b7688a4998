/**
 * Live queries on a peer: its gateway, its region, and the rows of its shards, as one service.
 *
 * It carries messages between the two pure machines and a bus (`bus.ts`), reads rows for the views
 * that want them, and hands news to whoever follows a query here. What one turn of the event loop brings is
 * dealt with when it is over, so that many changes travel in one post. Reads take their turn: a few
 * milliseconds of them, and then whatever else there is.
 *
 * Rows are kept by a service of their own (`row-keeper.ts`). A write is a message to the shard, wherever it
 * is, and is answered when enough copies of it are stored.
 *
 * Rules: SPEC.md, section V.
 */
import { type ErrorCode, HearsayError, isErrorCode } from "../../core/error.ts";
import { shardOf } from "../../core/shard-of.ts";
import type { Instant, PeerName, ShardId } from "../../core/units.ts";
import type { MessageContext } from "../../io/host-runner.ts";
import type { LiveCounts } from "../../io/live-counts.ts";
import type { Service, ServicePort } from "../../io/services.ts";
import type { ItemStore } from "../../items/item-store.ts";
import type { Body } from "../../wire/body.ts";
import type { BusListener, CreateBus, LiveBus } from "../bus.ts";
import { ClientQueue } from "../client-queue.ts";
import { LiveGateway, type News } from "../gateway.ts";
import { readPosition } from "../live-delta.ts";
import { type LiveQuery, type Query, readQuery } from "../query.ts";
import { LiveRegion } from "../region.ts";
import type { RowWrite } from "../replicated-rows.ts";
import { isName, isRecord, isRowId, isVersion, type RowInput, type Table } from "../row.ts";
import type { WriteOutcome, Written } from "../row-table.ts";
import { LinkBus } from "./link-bus.ts";
import type { RegionRows, SourceHooks } from "./region-rows.ts";
import { RowKeeper, type RowKeeperOptions } from "./row-keeper.ts";
import { SourceReader, type SourceReaderOptions } from "./source-reader.ts";

/** How long reads may go on in one turn of the event loop, in ms. */
const READS_MS = 4;

/** How long a write waits for its answer, in ms. */
const WRITE_TIMEOUT_MS = 5000;

export interface LiveServiceOptions extends Omit<RowKeeperOptions, "store"> {
  /** Where rows are kept, or the source that they are read from. */
  readonly rows: ItemStore | Pick<SourceReaderOptions, "source" | "onProblem">;
  /** Makes what carries messages between gateways and regions. Default: the links between peers. */
  readonly createBus?: CreateBus | undefined;
}

/** Whom a row belongs to, and the row. */
export interface PutRow extends RowInput {
  readonly tenant: string;
  readonly entity: string;
}

/** A row that is to go. */
export interface DeleteRow {
  readonly tenant: string;
  readonly entity: string;
  readonly id: string;
  /** Higher than that of the row. Default: one more. */
  readonly version?: number | undefined;
}

/** What somebody who follows a query takes news from. */
export interface Feed {
  readonly query: Query;
  /** The next, if there is one. After `lagged` it is all that the follower should have. */
  take(): News | "lagged" | undefined;
  /** Follows another query instead; a reset follows. Throws `BAD_REQUEST` or `BUFFER_FULL`. */
  reanchor(asked: LiveQuery): void;
  close(): void;
}

interface Follower {
  query: Query;
  readonly queue: ClientQueue;
  readonly wake: () => void;
}

export class LiveService implements Service {
  readonly #options: LiveServiceOptions;
  readonly #gateway: LiveGateway;
  readonly #rows: RegionRows;
  #region: LiveRegion;
  readonly #port: ServicePort;
  readonly #followers = new Map<number, Follower>();
  /** What clients were told. */
  readonly #told = { deltas: 0, resets: 0, lagged: 0 };
  readonly #refused = new Map<ErrorCode, number>();
  readonly #bus: LiveBus;
  #planned: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerAt: Instant = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(options: LiveServiceOptions) {
    this.#options = options;
    const { shardCount, services } = options;
    this.#port = services.register("live", this);
    const membership = {
      regionOf: (shard: ShardId) => this.#port.view?.regionFor(shard),
    };
    this.#gateway = new LiveGateway({ membership, shardCount });
    this.#region = new LiveRegion(options);
    const { rows } = options;
    const hooks = this.#rowsHooks();
    this.#rows =
      "source" in rows
        ? new SourceReader({ ...options, ...rows }, hooks)
        : new RowKeeper({ ...options, store: rows }, hooks);
    const { createBus = (listener: BusListener) => new LinkBus(services, listener) } = options;
    this.#bus = createBus(this.#busListener());
  }

  /** How much this peer follows and answers, and what became of it. */
  get counts(): LiveCounts {
    const { clients, shapes } = this.#gateway.counts;
    const { subscriptions: upstreams, views } = this.#region.counts;
    const refused = Object.fromEntries(this.#refused);
    return { subscriptions: clients, shapes, upstreams, views, ...this.#told, refused };
  }

  /** Counts something that a client was refused. */
  countRefusal(code: ErrorCode): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  /** Judges a query: throws `BAD_REQUEST`. */
  judge(asked: unknown): Query {
    const result = readQuery(asked, this.#options.tables);
    if (!result.ok) throw new HearsayError(result.code, result.message);
    return result.query;
  }

  /**
   * Follows a query that was judged. `wake` is called when news have come, and nothing waited before.
   * `resume` is what the follower has seen last. Throws `BUFFER_FULL` or `BAD_REQUEST`.
   */
  follow(query: Query, wake: () => void, resume?: string): Feed {
    this.#refuseIfClosed();
    const position = resume === undefined ? undefined : readPosition(resume);
    if (resume !== undefined && position === undefined) {
      throw new HearsayError("BAD_REQUEST", "Cannot subscribe: resume names no position");
    }
    const id = this.#gateway.subscribe(query, this.#options.clock.now(), position);
    const follower: Follower = { query, queue: new ClientQueue(), wake };
    this.#followers.set(id, follower);
    this.#plan();
    return {
      get query() {
        return follower.query;
      },
      take: () => {
        const next = follower.queue.take();
        if (next !== "lagged") return next;
        this.#told.lagged += 1;
        const all = this.#gateway.current(id);
        if (all !== undefined) {
          this.#told.resets += 1;
          follower.queue.put(all);
        }
        return next;
      },
      reanchor: (asked) => {
        const next = this.judge(asked);
        this.#gateway.reanchor(id, next, this.#options.clock.now());
        follower.query = next;
        this.#plan();
      },
      close: () => {
        this.#followers.delete(id);
        this.#gateway.unsubscribe(id);
        this.#plan();
      },
    };
  }

  /** Writes a row, wherever its shard is. Rejects with `BAD_REQUEST`, and as `ask` of a peer does. */
  async put(given: PutRow): Promise<Written> {
    const { tenant, entity, ...input } = isRecord(given) ? given : ({} as PutRow);
    const read = this.#tableOf(tenant, entity).readRow(input);
    if (!read.ok) throw new HearsayError(read.code, read.message);
    const { id, version = null, values } = read.row;
    return this.#write(tenant, entity, { tenant, entity, id, version, values: [...values] });
  }

  /** Deletes a row; that there is none is no error. Rejects like `put`. */
  async delete(given: DeleteRow): Promise<Written> {
    const { tenant, entity, id, version = null } = isRecord(given) ? given : ({} as DeleteRow);
    this.#tableOf(tenant, entity);
    if (!isRowId(id) || !(version === null || isVersion(version))) {
      throw new HearsayError("BAD_REQUEST", "Cannot delete a row: it has no such id or version");
    }
    return this.#write(tenant, entity, { tenant, entity, id, version, values: null });
  }

  /** The table says something new of a shard, or of a member. */
  viewChanged(shard: ShardId | undefined): void {
    this.#rows.viewChanged();
    if (shard === undefined) return;
    this.#gateway.moved(shard);
    this.#plan();
  }

  /** Ends everything: followers are told that the peer is closed. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearImmediate(this.#planned);
    clearTimeout(this.#timer);
    this.#bus.close();
    this.#rows.close();
    const refusal = { ok: false, code: "CLOSED", message: "The peer is closed" } as const;
    for (const { queue, wake } of this.#followers.values()) {
      queue.put({ type: "ended", refusal });
      wake();
    }
    this.#followers.clear();
  }

  // What a service is told.

  onRelease(shard: ShardId): void {
    this.#region.release(shard);
    this.#plan();
  }

  async onMessage(message: Body, { shard }: MessageContext): Promise<Body> {
    const write = this.#readWrite(shard, message);
    if (write === undefined) {
      return { code: "BAD_REQUEST", message: "Cannot write: it is malformed" };
    }
    const outcome = await new Promise<WriteOutcome>((answered) => {
      this.#rows.write(shard, write, answered);
    });
    if (!outcome.ok) return { code: outcome.code, message: outcome.message };
    return { ...outcome.written };
  }

  onReset(): void {
    for (const region of [...this.#gateway.regions()]) this.#gateway.lost(region);
    this.#region = new LiveRegion(this.#options);
    this.#bus.reset();
  }

  #rowsHooks(): SourceHooks {
    const thenPlan =
      <Arguments extends readonly unknown[]>(tell: (...all: Arguments) => void) =>
      (...all: Arguments): void => {
        tell(...all);
        this.#plan();
      };
    return {
      serving: thenPlan((shard, token, position) => this.#region.serve(shard, token, position)),
      changed: thenPlan((shard, change) => this.#region.changed(shard, change)),
      wasRead: thenPlan((read, result) => this.#region.rowsRead(read, result)),
      refused: thenPlan((read, code, reason) => this.#region.readRefused(read, code, reason)),
      startAt: (shard, position) => this.#region.startAt(shard, position),
      positionOf: (shard) => this.#region.positionOf(shard),
      isWanted: (read) => this.#region.isWanted(read),
      viewsOf: (shard) => this.#region.viewsOf(shard),
    };
  }

  #busListener(): BusListener {
    return {
      controls: (gateway, controls) => {
        for (const control of controls) this.#region.received(gateway, control);
        this.#plan();
      },
      deltas: (region, answers) => {
        const now = this.#options.clock.now();
        for (const answer of answers) this.#gateway.received(region, answer, now);
        this.#plan();
      },
      opened: () => this.#plan(),
      lost: (peer) => {
        this.#region.lost(peer);
        this.#gateway.lost(peer);
        this.#plan();
      },
    };
  }

  #plan(): void {
    if (this.#isClosed) return;
    this.#planned ??= setImmediate(() => {
      this.#planned = undefined;
      this.#turn();
    });
  }

  #turn(): void {
    const now = this.#options.clock.now();
    if (now >= this.#gateway.deadline()) this.#gateway.tick(now);
    this.#read(now);
    if (this.#port.view !== undefined) {
      this.#bus.need(new Set(this.#gateway.regions()));
      for (const gateway of this.#region.ready()) this.#sendDeltas(gateway);
      for (const region of [...this.#gateway.ready()]) this.#sendControls(region, now);
    }
    this.#tell();
    this.#arm();
  }

  #read(now: Instant): void {
    while (this.#options.clock.now() - now < READS_MS) {
      if (!this.#rows.canRead) return; // The end of one brings the next turn.
      const read = this.#region.nextRead();
      if (read === undefined) return;
      this.#rows.read(read);
    }
    this.#plan(); // [V10] The others in the next turn.
  }

  #sendDeltas(gateway: PeerName): void {
    while (this.#bus.canSend(gateway)) {
      const answers = this.#region.nextFrame(gateway);
      if (answers === undefined) return;
      this.#bus.sendDeltas(gateway, answers);
    }
  }

  #sendControls(region: PeerName, now: Instant): void {
    while (this.#bus.canSend(region)) {
      const controls = this.#gateway.nextFrame(region, now);
      if (controls === undefined) return;
      this.#bus.sendControl(region, controls);
    }
  }

  #tell(): void {
    for (const [id, news] of this.#gateway.takeNews()) {
      const follower = this.#followers.get(id);
      if (follower === undefined) continue;
      const { queue, wake } = follower;
      const wasEmpty = queue.isEmpty;
      queue.put(news);
      if (news.type === "ended") {
        this.#followers.delete(id);
        this.countRefusal(news.refusal.code);
      } else if (news.type === "reset") this.#told.resets += 1;
      else this.#told.deltas += news.batch.deltas.length;
      if (wasEmpty) wake();
    }
  }

  #arm(): void {
    const at = this.#gateway.deadline();
    if (at === this.#timerAt && this.#timer !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const delay = Math.max(1, at - this.#options.clock.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#plan();
    }, delay).unref();
  }

  #tableOf(tenant: unknown, entity: unknown): Table {
    const table = isName(tenant) ? this.#options.tables.get(entity as string) : undefined;
    if (table !== undefined) return table;
    throw new HearsayError("BAD_REQUEST", "Cannot write: there is no such tenant or entity");
  }

  async #write(tenant: string, entity: string, message: Body): Promise<Written> {
    this.#refuseIfClosed();
    if ("source" in this.#options.rows) {
      const why = "rows are written where they live, at their source";
      throw new HearsayError("BAD_REQUEST", `Cannot write: ${why}`);
    }
    const shard = `shard-${shardOf(tenant, entity, this.#options.shardCount)}`;
    const answer = await this.#port.ask(shard, message, WRITE_TIMEOUT_MS);
    if (isRecord(answer)) {
      const { applied, version, code, message: text } = answer;
      if (typeof applied === "boolean" && isVersion(version)) return { applied, version };
      if (isErrorCode(code)) throw new HearsayError(code, String(text));
    }
    throw new HearsayError("HANDLER_FAILED", "Cannot write: the answer is malformed");
  }

  /** A write of another peer: what it says is checked as if it were a stranger's. */
  #readWrite(shard: ShardId, message: Body): RowWrite | undefined {
    if (!isRecord(message)) return undefined;
    const { tenant, entity, id, version, values } = message;
    const table = isName(tenant) ? this.#options.tables.get(entity as string) : undefined;
    const isWhole = isRowId(id) && (version === null || isVersion(version));
    if (table === undefined || !isWhole || typeof tenant !== "string") return undefined;
    if (shard !== `shard-${shardOf(tenant, table.entity, this.#options.shardCount)}`) return;
    const at = { tenant, table, id, version: version ?? undefined };
    if (values === null) return { ...at, draft: undefined };
    if (!Array.isArray(values) || !table.holds(values) || values[0] !== id) return undefined;
    return { ...at, draft: { id, version: at.version, values } };
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw new HearsayError("CLOSED", "The peer is closed");
  }
}
