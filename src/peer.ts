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
import type { Move } from "./core/allocation.ts";
import { EMPTY_IMAGE } from "./core/disk-image.ts";
import type { Allocation, Change, Member } from "./core/effect.ts";
import { type ErrorCode, HearsayError } from "./core/error.ts";
import type { CallRequest } from "./core/event.ts";
import type { MachineStatus } from "./core/machine.ts";
import { type Released, type ShardState, shardState } from "./core/shard-state.ts";
import { type Address, NAME_PATTERN, type PeerName, type ShardId } from "./core/units.ts";
import { ALLOCATIONS, type View } from "./core/view.ts";
import { ChangeFeed, type ChangeListener } from "./io/change-feed.ts";
import { ClientAccess } from "./io/client-access.ts";
import { SYSTEM_CLOCK } from "./io/clock.ts";
import { Discovery, isName } from "./io/discovery.ts";
import { HttpServer } from "./io/http-server.ts";
import { keyRing } from "./io/key-ring.ts";
import { Life } from "./io/life.ts";
import { systemResolver } from "./io/names.ts";
import { MemoryStore, type Opened, type Store } from "./io/store.ts";
import { addressToTell, type PeerOptions, type PeerSettings, readOptions } from "./peer-options.ts";
import { encodeSnapshot } from "./wire/codec.ts";
import type { KeyRing } from "./wire/proof.ts";

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

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One peer of a cluster. Made by `startPeer`. */
export class Peer {
  readonly name: PeerName;
  /**
   * Resolves when the peer has left or was closed. Rejects with a `HearsayError` when it could not go
   * on; that nobody handles it is no unhandled rejection.
   */
  readonly ended: Promise<void>;
  readonly #settings: PeerSettings;
  readonly #server: HttpServer;
  readonly #discovery: Discovery;
  readonly #feed = new ChangeFeed();
  /** Who waits for this peer to serve. */
  readonly #waiters = new Set<Waiter>();
  #address: Address = "";
  /** The secrets that were read last. Those at the start were checked with the other options. */
  #ring: KeyRing;
  #isRingStale = false;
  #found: readonly Address[] = [];
  /** Undefined until the port is open. */
  #life: Life | undefined;
  /** The view of that life, until the peer ends. */
  #view: View | undefined;
  /** Why the peer is over; undefined while it is not. */
  #over: HearsayError | undefined;
  #leaving: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #onEnded: (error: HearsayError | undefined) => void = () => {};

  /** @internal */
  constructor(settings: PeerSettings) {
    this.name = settings.name;
    this.#settings = settings;
    this.#ring = keyRing(settings.secret?.());
    this.ended = new Promise((resolve, reject) => {
      this.#onEnded = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.ended.catch(() => {});
    this.#server = new HttpServer({
      access: new ClientAccess({
        tokens: settings.tokens,
        isClosed: settings.secret !== undefined,
        now: () => SYSTEM_CLOCK.now(),
      }),
      served: {
        status: () => this.status(),
        sent: () => this.#lifeNow("count what was sent").sent,
        members: () => this.members(),
        allocations: () => this.allocations(),
        shards: () => this.shards(),
        locate: (document) => {
          const view = this.#viewNow("locate");
          return { shard: view.shardFor(document), allocation: view.allocationFor(document) };
        },
        allocate: (shard, region) => this.allocate(shard, region),
        release: (shard) => this.release(shard),
        rebalance: (dryRun) => this.rebalance({ dryRun }),
        watch: (signal) => this.watch({ signal }),
        depart: () => this.#depart(),
        leave: () => void this.leave(),
      },
      onPeerUpgrade: (request, socket, head) => {
        if (this.#life === undefined) socket.destroy();
        else this.#life.acceptUpgrade(request, socket, head);
      },
      onFault: (error) => settings.logger.error({ err: error }, "A request has failed"),
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
    const listened = await this.#server.listen(this.#settings.listen);
    this.#address = addressToTell(this.#settings, listened);
    const { join } = this.#settings;
    // [A0] Whoever looks for others may not found at once, though nobody be found yet: an address to
    // join by that is its own, and is never dialled, makes it wait as long as one that is not answered.
    const fixed = typeof join === "function" ? [] : join.filter((text) => !isName(text));
    const isFixed = typeof join !== "function" && fixed.length === join.length;
    await this.#begin(isFixed ? join : [this.#address, ...fixed]);
    void this.#discovery.start();
  }

  /** Resolves when the peer serves, at once if it does. Rejects when it ends first. */
  ready({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) return reject(this.#over);
      if (signal?.aborted) return reject(signal.reason);
      if (this.isReady) return resolve();
      const done = (): void => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener("abort", abort);
      };
      const abort = (): void => waiter.reject(signal?.reason);
      const waiter: Waiter = {
        resolve: () => {
          done();
          resolve();
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", abort);
    });
  }

  /**
   * Gives `shard` to `region`. Resolves when that is durable and readable here; others hear of it at
   * once. Rejects with `SHARD_NOT_FOUND`, `REGION_NOT_FOUND`, `REGION_NOT_ALIVE`, `NOT_READY`,
   * `CLOCK_DRIFT` or `BUFFER_FULL`.
   */
  async allocate(shard: ShardId, region: PeerName): Promise<Allocation> {
    checkName("allocate", "shard", shard);
    checkName("allocate", "region", region);
    return (await this.#call({ type: "allocate", shard, region })) as Allocation;
  }

  /** Takes `shard` from its region. The regions plan a new one for it at once. Rejects like `allocate`. */
  async release(shard: ShardId): Promise<Released> {
    checkName("release", "shard", shard);
    return (await this.#call({ type: "release", shard })) as Released;
  }

  /**
   * Makes the regions plan anew, which takes back what was allocated by hand; resolves to the moves
   * that are to be made. A dry run only says which.
   */
  async rebalance({ dryRun = false }: { readonly dryRun?: boolean } = {}): Promise<Move[]> {
    if (typeof dryRun !== "boolean") {
      throw new TypeError("Cannot rebalance: dryRun is not true or false");
    }
    return (await this.#call({ type: "rebalance", dryRun })) as Move[];
  }

  /**
   * Where a document is. From memory, and allocates nothing. Throws `NO_SHARDS` while no shard is
   * registered, `NO_REGION` while no region hosts the document's shard, `CLOSED` when the peer is over.
   */
  routeDocument(document: string): Route {
    if (typeof document !== "string")
      throw new TypeError("Cannot route: the document is no string");
    return this.#view?.allocationFor(document) ?? this.#noRoute();
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
    const view = this.#viewNow("list shards");
    return view.shards().map((shard) => shardState(view, shard) as ShardState);
  }

  /** One shard; undefined when it is not registered. */
  shard(shard: ShardId): ShardState | undefined {
    return shardState(this.#viewNow("look a shard up"), shard);
  }

  /** The shards whose region answers, by id. */
  onlineShards(): ShardState[] {
    return this.shards().filter(({ status }) => status === "online" || status === "draining");
  }

  /** All members, by name; those that are dead or have left included. */
  members(): Member[] {
    return this.#viewNow("list members").members();
  }

  /** This peer in numbers. */
  status(): MachineStatus {
    return this.#lifeNow("show the status").machine.status();
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
    await this.#end(undefined);
  }

  async #depart(): Promise<void> {
    await this.#life?.call({ type: "leave" }).catch(() => {}); // One that is closed has nothing to say.
  }

  /** Begins a life that joins by these addresses; by none, it founds. */
  async #begin(join: readonly Address[], isAnew = false): Promise<void> {
    const { name, cluster, shardCount, zone, weight, downing, timings, logger } = this.#settings;
    const { store, opened } = await openStore(this.#settings, isAnew);
    if (this.#over !== undefined) return store.close();
    const address = this.#address;
    const life = new Life({
      machine: { name, cluster, address, shardCount, zone, weight, join, downing, timings },
      store,
      opened,
      clock: SYSTEM_CLOCK,
      keys: () => this.#keys(),
      onChange: (change) => this.#tell(change),
      onReadiness: (isReady) => this.#noticeReadiness(isReady),
      onReset: (addresses, message) => {
        this.#beginAgain(life, addresses, message).catch((error) => this.#failFatally(error));
      },
      onStop: (error) => this.#fail(error),
      onFatal: (error) => this.#failFatally(error),
    });
    this.#life = life;
    this.#view = life.machine.view;
    const { incarnation } = life;
    logger.info({ name, incarnation, address }, `Listening on ${address}`);
    life.start();
  }

  /** The secrets as they are now; while they cannot be had, those before. */
  #keys(): KeyRing {
    try {
      this.#ring = keyRing(this.#settings.secret?.());
      this.#isRingStale = false;
    } catch (error) {
      const message = error instanceof Error ? error.message : "Cannot read the secret";
      if (!this.#isRingStale) this.#warn("AUTH_FAILED", message); // Once, and not for each link.
      this.#isRingStale = true;
    }
    return this.#ring;
  }

  async #beginAgain(before: Life, join: readonly Address[], message: string): Promise<void> {
    this.#warn("NOT_READY", message);
    const over = new HearsayError("NOT_READY", message);
    await before.end("CLOSED", over);
    await this.#begin([...new Set([...join, ...this.#found])], true);
  }

  #tell(change: Change): void {
    const { logger } = this.#settings;
    if (change.type === "warning") logger.warn({ code: change.code }, change.message);
    else if (change.type === "member") {
      const { name, status, why } = change;
      logger.info({ member: name, status, why }, `"${name}" is ${status}`);
    } else if (change.type === "ready") {
      logger.info({ how: change.how }, `This peer has ${change.how}`);
    }
    this.#feed.publish(change);
  }

  #warn(code: ErrorCode, message: string): void {
    this.#tell({ type: "warning", code, message });
  }

  #noticeReadiness(isReady: boolean): void {
    this.#settings.logger.info({ isReady }, isReady ? "Serving" : "Not serving");
    if (isReady) for (const waiter of [...this.#waiters]) waiter.resolve();
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
    for (const waiter of [...this.#waiters]) waiter.reject(this.#over);
    this.#discovery.close();
    this.#feed.close();
    // Nobody may find the port open who finds out that the links are cut: it would mean life [F5].
    const portClosed = this.#server.close();
    await Promise.all([this.#life?.end(code, this.#over), portClosed]);
    this.#settings.logger.info({}, code === "LEAVING" ? "Left" : "Closed");
    this.#onEnded(error);
  }

  async #call(request: CallRequest): Promise<unknown> {
    return this.#lifeNow(request.type).call(request);
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

  #noRoute(): never {
    const view = this.#viewNow("route");
    if (view.shards().length === 0) {
      throw new HearsayError("NO_SHARDS", "Cannot route: no shard is registered"); // [R1]
    }
    throw new HearsayError("NO_REGION", "Cannot route: no region hosts the document's shard");
  }
}

/** Opens what keeps a peer's entries: its disk, or memory for as long as the life lasts. */
async function openStore(
  { data, name, cluster }: PeerSettings,
  isAnew: boolean,
): Promise<{ readonly store: Store; readonly opened: Opened }> {
  const wallMs = SYSTEM_CLOCK.wallMs();
  if (data === undefined) {
    const store = new MemoryStore();
    return { store, opened: await store.open(wallMs) };
  }
  const { LmdbStore } = await import("./io/lmdb-store.ts");
  const store = new LmdbStore({ directory: data, name, cluster });
  const opened = await store.open(wallMs);
  if (!isAnew) return { store, opened };
  await store.clear();
  return { store, opened: { ...opened, image: EMPTY_IMAGE } };
}

function checkName(action: string, what: string, name: unknown): void {
  if (typeof name === "string" && NAME_PATTERN.test(name)) return;
  const wanted = '1 to 64 letters, digits, ".", "_" and "-"';
  throw new TypeError(`Cannot ${action}: the ${what} is no name of ${wanted}`);
}
