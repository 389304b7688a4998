/**
 * A peer: what a user starts, asks and ends.
 *
 * It puts together what the other modules are: a life (state machine, links, store), the port, and the
 * search for peers to join. It decides nothing about the cluster. Reads are answered from the view in
 * memory, at once; writes are calls to the state machine.
 *
 * A peer is started when it serves: when it has founded a cluster, or joined one and caught up. How
 * long that takes depends on others, so it can be given up by a signal. Later it may stop serving for a
 * while, on the wrong side of a partition or when its clock is off. Reads are then answered as far as
 * known; writes reject with `NOT_READY`, and `ready()` waits.
 *
 * A peer that has to give way to an older cluster begins again by itself: a new incarnation, an empty
 * table, a warning. One that cannot go on (its name turned out to be taken) ends, and says why by a
 * warning and by `ended`.
 */
import { Coordinator } from "./coordinator.ts";
import type { Allocation, Change, Member } from "./core/effect.ts";
import { type ErrorCode, HearsayError } from "./core/error.ts";
import type { CallRequest } from "./core/event.ts";
import { isOnline, type ShardState, shardState, shardStates } from "./core/shard-state.ts";
import type { Address, PeerName, ShardId } from "./core/units.ts";
import { ALLOCATIONS, type View } from "./core/view.ts";
import type { DocumentHosting } from "./documents/shell/document-hosting.ts";
import type { PeerDocuments } from "./documents/shell/peer-documents.ts";
import { Doors } from "./doors.ts";
import type { AskOptions, Host } from "./host.ts";
import { askOf, type RegisteredHost, readHost } from "./host-options.ts";
import { ChangeFeed, type ChangeListener } from "./io/change-feed.ts";
import { logChange } from "./io/change-log.ts";
import { SYSTEM_CLOCK } from "./io/clock.ts";
import { Discovery, isName } from "./io/discovery.ts";
import { DOCUMENTS_PATH, HttpServer } from "./io/http-server.ts";
import { Life, type NextLife } from "./io/life.ts";
import { systemResolver } from "./io/names.ts";
import { openStore } from "./io/open-store.ts";
import { RpcServer } from "./io/rpc-server.ts";
import type { PeerStatus } from "./io/served-peer.ts";
import { Services } from "./io/services.ts";
import { Waiters } from "./io/waiters.ts";
import { LiveQueries } from "./live-queries.ts";
import {
  addressToTell,
  type DocumentsOption,
  type PeerOptions,
  type PeerSettings,
  readOptions,
} from "./peer-options.ts";
import { noRoute, servedBy } from "./served.ts";
import type { Body } from "./wire/body.ts";
import { encodeSnapshot } from "./wire/codec.ts";

/** Where a document is: its shard, the region that hosts it, and the fencing token [R5]. Frozen. */
export type Route = Allocation;

/**
 * Starts a peer; resolves when it serves. Throws TypeError or RangeError for wrong options. Rejects with
 * `INSECURE_LISTEN`, `ADDRESS_IN_USE`, `NAME_TAKEN`, or the reason of `signal`, and leaves nothing open.
 */
export async function startPeer(options: PeerOptions): Promise<Peer> {
  const settings = readOptions(options);
  settings.signal?.throwIfAborted();
  const peer = new Peer(settings);
  try {
    await peer.start();
    await peer.ready(settings.signal === undefined ? {} : { signal: settings.signal });
    return peer;
  } catch (error) {
    await peer.close();
    throw error;
  }
}

/** One peer of a cluster. Made by `startPeer`. */
export class Peer extends Coordinator {
  override readonly name: PeerName;
  /**
   * Resolves when the peer has left or was closed. Rejects with a `HearsayError` when it could not go
   * on; that nobody handles it is no unhandled rejection.
   */
  readonly ended: Promise<void>;
  readonly #settings: PeerSettings;
  readonly #server: HttpServer;
  readonly #clients: RpcServer;
  readonly #discovery: Discovery;
  readonly #feed = new ChangeFeed();
  /** @internal What runs on every peer under a name, beside the user's own host. */
  readonly services: Services;
  /** Rows, and queries over them that are followed. */
  readonly live: LiveQueries;
  /** Who waits for this peer to serve. */
  readonly #waiters = new Waiters();
  #address: Address = "";
  readonly #doors: Doors;
  #found: readonly Address[] = [];
  /** Undefined until the port is open. */
  #life: Life | undefined;
  /** The view of that life, until the peer ends. */
  #view: View | undefined;
  /** Why the peer is over; undefined while it is not. */
  #over: HearsayError | undefined;
  #host: RegisteredHost | undefined;
  /** Undefined where no documents are hosted. */
  #hosting: DocumentHosting | undefined;
  #leaving: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #onEnded: (error: HearsayError | undefined) => void = () => {};

  /** @internal */
  constructor(settings: PeerSettings) {
    super();
    this.name = settings.name;
    this.#settings = settings;
    this.#doors = new Doors(settings, (message) => this.#warn("AUTH_FAILED", message));
    const { access, credentials } = this.#doors;
    this.ended = new Promise((resolve, reject) => {
      this.#onEnded = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.ended.catch(() => {});
    this.services = new Services(settings.name, (error) => this.#failFatally(error));
    const { origins, logger } = settings;
    const onFault = (err: unknown): void => logger.error({ err }, "A request has failed");
    const live = { ...settings, settings: settings.live, services: this.services, access, onFault };
    this.live = new LiveQueries({
      ...{ ...live, onWarning: this.#warn.bind(this), onFatal: this.#failFatally.bind(this) },
      isMember: (peer) => this.#view?.membership.get(peer) !== undefined,
    });
    this.#server = new HttpServer({
      access,
      credentials,
      served: servedBy(this, {
        sent: () => this.#lifeNow("count what was sent").sent,
        view: () => this.#viewNow("locate"),
        publish: (shard, contribution) => this.publication(shard, contribution),
        depart: () => this.#depart(),
        addRoutes: (app) => this.live.addRoutes(app),
        hosting: () => this.#hosting,
      }),
      onPeerUpgrade: (request, socket, head) => {
        if (this.#life === undefined) socket.destroy();
        else this.#life.acceptUpgrade(request, socket, head);
      },
      onClientUpgrade: (request, socket, head) => {
        if (this.#life === undefined) socket.destroy();
        else this.#clients.acceptUpgrade(request, socket, head);
      },
      upgradeAt: (path) => {
        const hosting = path.startsWith(DOCUMENTS_PATH) ? this.#hosting : undefined;
        return hosting?.acceptUpgrade.bind(hosting) ?? this.live.upgradeAt(path);
      },
      origins,
      onFault,
    });
    this.#clients = new RpcServer({
      access,
      target: this,
      identity: () => ({
        ...{ name: this.name, incarnation: this.incarnation, cluster: settings.cluster },
      }),
      origins,
      clock: SYSTEM_CLOCK,
      onFault,
    });
    this.#discovery = new Discovery({
      join: settings.join,
      clock: SYSTEM_CLOCK,
      resolver: systemResolver(),
      random: Math.random,
      onFound: (addresses) => {
        this.#found = addresses;
        this.#life?.deliver({ type: "addresses-found", addresses });
      },
      onError: (error) => this.#warn("UNREACHABLE", error.message),
    });
  }

  /** Names this life of the peer. Changes when it has to begin again. */
  get incarnation(): string {
    return this.#life?.incarnation ?? "";
  }

  /** Where other peers dial this one, `host:port`, with the port that it really has. */
  get address(): Address {
    return this.#address;
  }

  /** Whether it serves and takes writes, now. */
  get isReady(): boolean {
    return this.#over === undefined && this.#life?.machine.isReady === true;
  }

  /**
   * Opens the port and begins to found or join; does not wait for that.
   *
   * @internal
   */
  async start(): Promise<void> {
    const { documents } = this.#settings;
    if (documents !== undefined) await this.#startDocuments(documents);
    const [listened] = await Promise.all([
      this.#server.listen(this.#settings.listen),
      this.live.start(),
    ]);
    this.#address = addressToTell(this.#settings, listened);
    const { join } = this.#settings;
    // [A0] Whoever looks for others may not found at once, though nobody be found yet: an address to
    // join by that is its own, and is never dialled, makes it wait as long as one that is not answered.
    const fixed = typeof join === "function" ? [] : join.filter((text) => !isName(text));
    const isFixed = typeof join !== "function" && fixed.length === join.length;
    await this.#begin({ join: isFixed ? join : [this.#address, ...fixed] });
    void this.#discovery.start();
  }

  /** The documents of the cluster. Throws `BAD_REQUEST` where this peer hosts none. */
  override get documents(): PeerDocuments {
    this.#refuseIfOver("use documents");
    if (this.#hosting !== undefined) return this.#hosting.documents;
    throw new HearsayError("BAD_REQUEST", "Cannot use documents: this peer was started without");
  }

  /** Resolves when the peer serves, at once if it does. Rejects when it ends first. */
  ready({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    if (signal?.aborted) return Promise.reject(signal.reason);
    return this.isReady ? Promise.resolve() : this.#waiters.wait(signal);
  }

  /**
   * Where a document is. From memory, and allocates nothing. Throws `NO_SHARDS` while no shard is
   * registered, `NO_REGION` while no region hosts the document's shard, `CLOSED` when the peer is over.
   */
  routeDocument(document: string): Route {
    if (typeof document !== "string")
      throw new TypeError("Cannot route: the document is no string");
    return this.#view?.allocationFor(document) ?? noRoute(this.#viewNow("route"));
  }

  /** The same as `routeDocument`: a node is a document here. */
  routeNode(node: string): Route {
    return this.routeDocument(node);
  }

  /** The region that hosts `shard`; undefined when none does, or there is no such shard. */
  regionFor(shard: ShardId): PeerName | undefined {
    return this.#viewNow("look a shard up").regionFor(shard);
  }

  /** The allocations of registered shards, by shard. */
  allocations(): Allocation[] {
    return this.#viewNow("list allocations").allocations();
  }

  /** The allocation table as bytes, releases included, for `AllocationTable.mergeRemote`. */
  snapshot(): Uint8Array {
    const entries = this.#lifeNow("take a snapshot").machine.allocationEntries();
    return encodeSnapshot([{ map: ALLOCATIONS, entries }]);
  }

  /** The registered shards, by id. */
  shards(): ShardState[] {
    return shardStates(this.#viewNow("list shards"));
  }

  /** One shard; undefined when it is not registered. */
  shard(shard: ShardId): ShardState | undefined {
    return shardState(this.#viewNow("look a shard up"), shard);
  }

  /** The shards whose region answers, by id. */
  onlineShards(): ShardState[] {
    return this.shards().filter(({ status }) => isOnline(status));
  }

  /**
   * Has the shards of this peer's region served by `host` from now on: it is told of each that the
   * region has, and gets. Once. From then on shards move by handoff, and `allocate` waits for it.
   */
  host(host: Host): void {
    this.#refuseIfOver("host");
    if (this.#host !== undefined) throw new TypeError("Cannot host: this peer has a host already");
    this.#host = readHost(host);
    this.#life?.host(this.#host.host, this.#host.traits);
  }

  /**
   * Sends `message` to whoever serves `shard`, wherever that is, and resolves to its answer. Waits while
   * the shard moves. Rejects with `HANDLER_FAILED` when the host throws, with `NOT_READY`, `NO_REGION`,
   * `NOT_OWNER`, `SHARD_NOT_FOUND` or `BUFFER_FULL` when the message was not handled, with `TIMEOUT` when
   * nobody knows whether it was, or with the reason of `signal`.
   */
  ask(shard: ShardId, message: Body, options: AskOptions = {}): Promise<Body> {
    return askOf(() => this.#lifeNow("ask"), "ask", shard, message, options);
  }

  /** Like `ask`, for a message whose answer does not matter: resolves when it has been handled. */
  async tell(shard: ShardId, message: Body, options: AskOptions = {}): Promise<void> {
    await askOf(() => this.#lifeNow("tell"), "tell", shard, message, options);
  }

  /** All members, by name; those that are dead or have left included. */
  members(): Member[] {
    return this.#viewNow("list members").members();
  }

  /** This peer in numbers. */
  status(): PeerStatus {
    return { ...this.#lifeNow("show the status").machine.status(), live: this.live.counts };
  }

  /** Calls `listener` for every change of that type from now on. It must not block. */
  on<Type extends Change["type"]>(type: Type, listener: ChangeListener<Type>): this {
    this.#feed.on(type, listener);
    return this;
  }

  /** Calls it no longer. */
  off<Type extends Change["type"]>(type: Type, listener: ChangeListener<Type>): this {
    this.#feed.off(type, listener);
    return this;
  }

  /**
   * All changes from this call on, in order. The iteration ends with `signal` and with the peer. A
   * reader who leaves over 16 384 changes unread is cut off with `BUFFER_FULL`, once it has read those.
   */
  watch({ signal }: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<Change> {
    return this.#feed.watch(signal);
  }

  /** Ends gracefully: gives its shards to others, says goodbye, closes. Idempotent. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /** Ends at once, as if the process had been killed: others have to find out. Idempotent. */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  /** Leaves. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  async #leave(): Promise<void> {
    if (this.#closing === undefined) await this.#depart();
    await this.#life?.hostIdle(this.#settings.timings.handoffMs);
    await this.#end(undefined);
  }

  async #depart(): Promise<void> {
    await this.#life?.call({ type: "leave" }).catch(() => {}); // One that is closed has nothing to say.
  }

  /** Begins a life that joins by these addresses; by none, it founds. */
  async #begin({ join, older }: NextLife, isAnew = false): Promise<void> {
    const { logger, strategies, ...settings } = this.#settings;
    const { name, cluster, shardCount, zone, weight, downing, timings } = settings;
    const { store, opened } = await openStore(this.#settings, SYSTEM_CLOCK.wallMs(), isAnew);
    if (this.#over !== undefined) return store.close();
    const address = this.#address;
    const life = new Life({
      machine: {
        ...{ name, cluster, address, shardCount, zone, weight, join, downing, timings },
        ...{ strategies, older },
      },
      store,
      opened,
      clock: SYSTEM_CLOCK,
      keys: () => this.#doors.keys.current(),
      credentials: this.#doors.credentials,
      onChange: (change) => this.#tell(change),
      onDelivery: (delivery) => this.services.delivered(delivery),
      onReadiness: (isReady) => this.#noticeReadiness(isReady),
      onReset: (next, message) => {
        this.#beginAgain(life, next, message).catch((error) => this.#failFatally(error));
      },
      onStop: (error) => this.#fail(error),
      onFatal: (error) => this.#failFatally(error),
    });
    this.#life = life;
    this.#view = life.machine.view;
    const { incarnation } = life;
    logger.info({ name, incarnation, address }, `Listening on ${address}`);
    life.start();
    this.services.begin(life);
    if (this.#host !== undefined) life.host(this.#host.host, this.#host.traits);
  }

  async #startDocuments(documents: Required<DocumentsOption>): Promise<void> {
    const { name, cluster, origins, data } = this.#settings;
    const { DocumentHosting: Hosting } = await import("./documents/shell/document-hosting.ts");
    this.#hosting = await Hosting.start({
      ...{ name, cluster, documents, services: this.services, origins, data },
      access: this.#doors.access,
      clock: SYSTEM_CLOCK,
      onFault: (error) => this.#failFatally(error),
      globalDf: (terms) => this.globalDf(terms),
      publish: (shard, contribution) => this.publishHosted(shard, contribution),
    });
  }

  async #beginAgain(before: Life, next: NextLife, message: string): Promise<void> {
    this.#warn("NOT_READY", message);
    const over = new HearsayError("NOT_READY", message);
    this.services.end();
    await before.end("CLOSED", over);
    const join = [...new Set([...next.join, ...this.#found])];
    await this.#begin({ join, older: next.older }, true);
  }

  #tell(change: Change): void {
    if (change.type === "allocation" || change.type === "member") this.#hosting?.viewChanged();
    this.live.noticed(change);
    logChange(this.#settings.logger, change);
    this.#feed.publish(change);
  }

  #warn(code: ErrorCode, message: string): void {
    this.#tell({ type: "warning", code, message });
  }

  #noticeReadiness(isReady: boolean): void {
    this.#settings.logger.info({ isReady }, isReady ? "Serving" : "Not serving");
    if (isReady) this.#waiters.resolve();
  }

  /** This peer cannot go on. */
  #fail(error: HearsayError): void {
    if (this.#over !== undefined) return;
    this.#settings.logger.error({ code: error.code }, error.message);
    this.#feed.publish({ type: "warning", code: error.code, message: error.message });
    void this.#end(error);
  }

  /** A disk that fails ends the peer; a bug ends the process, since nothing can be relied on. */
  #failFatally(error: unknown): void {
    if (error instanceof HearsayError) {
      this.#fail(error);
      return;
    }
    void this.#end(new HearsayError("CLOSED", "The peer has failed", { cause: error }));
    queueMicrotask(() => {
      throw error;
    });
  }

  #end(error: HearsayError | undefined): Promise<void> {
    this.#closing ??= this.#close(error);
    return this.#closing;
  }

  async #close(error: HearsayError | undefined): Promise<void> {
    const code = this.#leaving === undefined ? "CLOSED" : "LEAVING";
    this.#over = error ?? new HearsayError("CLOSED", `"${this.name}" is closed`);
    this.#view = undefined;
    this.#waiters.reject(this.#over);
    this.#discovery.close();
    this.live.close();
    this.services.end();
    this.#feed.close();
    // Nobody may find the port open who finds out that the links are cut: it would mean life [F5].
    const portClosed = this.#server.close();
    const clientsClosed = [this.#clients.close(code), this.#hosting?.closeClients()];
    await Promise.all([this.#life?.end(code, this.#over), ...clientsClosed, portClosed]);
    await Promise.all([this.#hosting?.close(), this.live.ended()]);
    this.#settings.logger.info({}, code === "LEAVING" ? "Left" : "Closed");
    this.#onEnded(error);
  }

  /** @internal */
  protected override async request(request: CallRequest, signal?: AbortSignal): Promise<unknown> {
    return this.#lifeNow(request.type).call(request, signal);
  }

  /** @internal */
  protected override viewFor(action: string): View {
    return this.#viewNow(action);
  }

  #lifeNow(action: string): Life {
    this.#refuseIfOver(action);
    if (this.#life !== undefined) return this.#life;
    throw new HearsayError("NOT_READY", `Cannot ${action}: "${this.name}" is starting`);
  }

  #viewNow(action: string): View {
    return this.#view ?? this.#lifeNow(action).machine.view;
  }

  #refuseIfOver(action: string): void {
    if (this.#over === undefined) return;
    const { code, message } = this.#over;
    throw new HearsayError(code, `Cannot ${action}: ${message}`, { cause: this.#over });
  }
}
