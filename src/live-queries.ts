/**
 * Live queries as a peer's user has them: `peer.live`.
 *
 * Everything behind it is loaded when the peer starts, and only where entities of rows are declared; a peer
 * without any spares the memory, and says so when it is asked.
 *
 * Rules: SPEC.md, section V.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { FastifyInstance } from "fastify";
import { assert } from "./core/assert.ts";
import type { Change } from "./core/effect.ts";
import { type ErrorCode, HearsayError } from "./core/error.ts";
import type { PeerName } from "./core/units.ts";
import type { LmdbItemStore } from "./documents/shell/lmdb-item-store.ts";
import type { ClientAccess } from "./io/client-access.ts";
import { SYSTEM_CLOCK } from "./io/clock.ts";
import type { LiveCounts } from "./io/live-counts.ts";
import type { Origins } from "./io/origin.ts";
import type { Services } from "./io/services.ts";
import { type ItemStore, MemoryItemStore } from "./items/item-store.ts";
import type { CreateBus } from "./live/bus.ts";
import type { LiveDelta } from "./live/live-delta.ts";
import type { LiveQuery } from "./live/query.ts";
import { type Declarations, readDeclarations, type Table } from "./live/row.ts";
import type { Written } from "./live/row-table.ts";
import type { Authorise } from "./live/shell/live-door.ts";
import type { DeleteRow, Feed, LiveService, PutRow } from "./live/shell/live-service.ts";
import type { LiveSockets } from "./live/shell/live-sockets.ts";
import type { LiveSource } from "./live/shell/source-reader.ts";

/** Where in a data directory rows are. */
export const ROWS_FOLDER = "rows";

type Deltas = AsyncIterableIterator<LiveDelta>;

/** The path at which clients of live queries connect. */
const LIVE_PATH = "/live";

/** What a peer is to know about live queries. */
export interface LiveOptions {
  /**
   * The columns of each entity of rows: `{ task: { title: "string", done: "boolean" } }`. The same on all
   * peers. At most 1024 entities of 64 columns; a column is a letter and at most 63 letters, digits and "_",
   * and not "id".
   */
  readonly entities: Declarations;
  /**
   * Asked for each query and each write of a client, once its token has been looked at. Not asked for calls
   * of `peer.live`. Default: allows everything.
   */
  readonly authorise?: Authorise;
  /**
   * What carries queries to the regions of their rows, and deltas back; the same on all peers. "links", those
   * between peers, or the URL of a Redis (6.2 or later): `redis://` or `rediss://`. Redis needs the package
   * `@redis/client`. Default "links".
   */
  readonly bus?: string;
  /**
   * Where rows live, if that is a database of yours: they are read from it and followed there, and nothing of
   * them is kept or written here. The same at all peers. Default none: peers keep the rows.
   */
  readonly source?: LiveSource;
}

/** The same, checked. */
export interface LiveSettings {
  readonly tables: ReadonlyMap<string, Table>;
  /** The URL of a Redis; undefined for links. */
  readonly redis: string | undefined;
  readonly source: LiveSource | undefined;
  readonly authorise: Authorise | undefined;
}

/** Checks the option `live`. Throws a TypeError. */
export function readLiveOptions(value: unknown): LiveSettings {
  const fail = (what: string): never => {
    throw new TypeError(`Cannot start a peer: live ${what}`);
  };
  if (typeof value !== "object" || value === null) return fail("is no object");
  const { entities, authorise, bus = "links", source, ...rest } = value as Record<string, unknown>;
  if (Object.keys(rest).length > 0) return fail("has an option that there is not");
  if (!isBus(bus)) return fail('has a bus that is neither "links" nor a redis:// or rediss:// URL');
  if (authorise !== undefined && typeof authorise !== "function") {
    return fail("has no function authorise");
  }
  if (source !== undefined && !isSource(source)) {
    return fail("has a source without the functions read and changes");
  }
  const read = readDeclarations(entities);
  if (!read.ok) return fail(`has wrong entities: ${read.message}`);
  const redis = bus === "links" ? undefined : bus;
  return { tables: read.tables, authorise: authorise as Authorise | undefined, redis, source };
}

function isSource(source: unknown): source is LiveSource {
  const { read, changes } = (source ?? {}) as Partial<Record<keyof LiveSource, unknown>>;
  return typeof read === "function" && typeof changes === "function";
}

/** Whether a bus can be called so. */
export function isBus(bus: unknown): bus is string {
  if (bus === "links") return true;
  if (typeof bus !== "string" || !/^rediss?:\/\//.test(bus) || !URL.canParse(bus)) return false;
  return new URL(bus).hostname !== "";
}

export interface SubscribeOptions {
  /** What was seen last: `at` of a delta. What followed comes first, or a reset. Default: a reset. */
  readonly resume?: string;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}

/** @internal */
export interface LiveParts {
  readonly settings: LiveSettings | undefined;
  readonly shardCount: number;
  readonly services: Services;
  readonly name: PeerName;
  readonly cluster: string;
  /** The peer's data directory; undefined for memory. */
  readonly data: string | undefined;
  readonly access: ClientAccess;
  /** Whether there is a member of that name. */
  readonly isMember: (peer: PeerName) => boolean;
  readonly origins: Origins;
  readonly onFault: (error: unknown) => void;
  readonly onWarning: (code: ErrorCode, message: string) => void;
  /** A bug, or a disk that failed: the peer must end. */
  readonly onFatal: (error: unknown) => void;
}

/** Live queries of one peer. */
export class LiveQueries {
  readonly #parts: LiveParts;
  #service: LiveService | undefined;
  #sockets: LiveSockets | undefined;
  #store: LmdbItemStore | undefined;
  #iterate: ((follow: (wake: () => void) => Feed, signal?: AbortSignal) => Deltas) | undefined;
  #addRoutes: ((app: FastifyInstance) => void) | undefined;

  /** @internal */
  constructor(parts: LiveParts) {
    this.#parts = parts;
  }

  /** What is followed here, and what became of it; null where no entities are declared. */
  get counts(): LiveCounts | null {
    return this.#service?.counts ?? null;
  }

  /**
   * Writes a row, wherever its shard is: resolves when it is stored, to whether that changed anything.
   * Rejects with `BAD_REQUEST` for a row that is none of a declared entity, and like `ask` of a peer.
   */
  async put(row: PutRow): Promise<Written> {
    return this.#serviceNow("put a row").put(row);
  }

  /** Deletes a row; that there is none is no error. Rejects like `put`. */
  async delete(row: DeleteRow): Promise<Written> {
    return this.#serviceNow("delete a row").delete(row);
  }

  /**
   * Follows a query: a reset and the rows first, then every change, until the iteration is left, `signal`
   * aborts or the peer ends. A reader who leaves too much unread gets `lagged`, and then a reset. Throws
   * `BAD_REQUEST` for a query that cannot be, and `BUFFER_FULL`; the iteration rejects with `NO_REGION` or
   * `TIMEOUT` when there are no rows in ten seconds.
   */
  subscribe(query: LiveQuery, { resume, signal }: SubscribeOptions = {}): Deltas {
    const service = this.#serviceNow("subscribe");
    const judged = service.judge(query);
    const follow = (wake: () => void): Feed => service.follow(judged, wake, resume);
    assert(this.#iterate !== undefined, "it was loaded with the service");
    return this.#iterate(follow, signal);
  }

  /**
   * Loads what is behind this, where it is wanted.
   *
   * @internal
   */
  async start(): Promise<void> {
    const { settings, shardCount, services, access, origins, onFault } = this.#parts;
    if (settings === undefined) return;
    const [{ LiveService }, { LiveDoor }, { LiveSockets }, { LiveSubscription }] =
      await Promise.all([
        import("./live/shell/live-service.ts"),
        import("./live/shell/live-door.ts"),
        import("./live/shell/live-sockets.ts"),
        import("./live/shell/live-subscription.ts"),
      ]);
    const { addLiveRoutes } = await import("./live/shell/live-routes.ts");
    const createBus = settings.redis === undefined ? undefined : await this.#redis(settings.redis);
    const { tables, source } = settings;
    const onProblem = (problem: string): void => this.#parts.onWarning("HANDLER_FAILED", problem);
    const rows = source === undefined ? await this.#openStore() : { source, onProblem };
    const service = new LiveService({
      ...{ tables, shardCount, clock: SYSTEM_CLOCK, services, rows, createBus },
      onFault: (error) => this.#parts.onFatal(error),
    });
    const door = new LiveDoor(access, service, settings.authorise);
    this.#service = service;
    this.#iterate = (follow, signal) => new LiveSubscription(follow, signal);
    this.#sockets = new LiveSockets({ service, door, origins, onFault });
    this.#addRoutes = (app) => addLiveRoutes(app, { service, door });
  }

  /**
   * The table says something new of a shard or of a member.
   *
   * @internal
   */
  noticed(change: Change): void {
    if (change.type === "allocation") this.#service?.viewChanged(change.shard);
    else if (change.type === "member") this.#service?.viewChanged(undefined);
  }

  /** @internal */
  addRoutes(app: FastifyInstance): void {
    this.#addRoutes?.(app);
  }

  /** @internal */
  upgradeAt(path: string): ((...args: [IncomingMessage, Duplex, Buffer]) => void) | undefined {
    const sockets = this.#sockets;
    if (path !== LIVE_PATH || sockets === undefined) return undefined;
    return (request, socket, head) => sockets.acceptUpgrade(request, socket, head);
  }

  /** @internal */
  close(): void {
    this.#sockets?.close(); // First: its clients go on at another peer, and are not told of an end.
    this.#service?.close();
  }

  /**
   * Closes the store, after the peer's life has ended.
   *
   * @internal
   */
  async ended(): Promise<void> {
    await this.#store?.close();
  }

  async #redis(url: string): Promise<CreateBus> {
    const { cluster, name, onWarning, isMember } = this.#parts;
    const { RedisBus } = await import("./live/shell/redis-bus.ts");
    return RedisBus.prepare({
      ...{ url, cluster, name, clock: SYSTEM_CLOCK, isMember },
      onProblem: (problem) => {
        if (problem !== undefined) onWarning("UNREACHABLE", problem);
      },
    });
  }

  async #openStore(): Promise<ItemStore> {
    const { data: directory, name, cluster, onFatal: onFault } = this.#parts;
    if (directory === undefined) return new MemoryItemStore();
    const { LmdbItemStore } = await import("./documents/shell/lmdb-item-store.ts");
    const options = { directory, folder: ROWS_FOLDER, name, cluster, onFault };
    this.#store = await LmdbItemStore.open(options);
    return this.#store;
  }

  #serviceNow(action: string): LiveService {
    if (this.#service !== undefined) return this.#service;
    const message = `Cannot ${action}: this peer was started without live entities`;
    throw new HearsayError("BAD_REQUEST", message);
  }
}
