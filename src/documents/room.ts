/**
 * One document at one peer: its content, who of this peer's clients is at it, and where edits go.
 *
 * Theory of operation
 *
 * A room hosts its document if this region serves the document's shard. Then every change is appended to
 * the document's item (`src/items`), and told to everybody: clients of this peer, and the rooms of other
 * peers, which are clients as well. Otherwise it follows the room at the region: it subscribes, is told
 * what it lacks, then every change by number, and passes on what its own clients edit. So a document is
 * in memory once at each peer that somebody uses it at, and travels once to each, whoever many clients.
 *
 * When the shard moves, rooms change places. What a room has and the new place lacks is sent there, since
 * updates of Yjs can be merged in any order; so nothing is lost between them, whatever was on its way.
 *
 * An edit is applied at once, and told when the turn of the event loop is over, with all that has changed until
 * then, as one update. It is acknowledged when enough copies are durable, and waits here across all moves.
 *
 * Edits that depend on what is not here are not kept: Yjs would merge what waits with code that a stranger
 * can make hang. Their sender is asked for everything that is missing instead, and is refused when that
 * does not help.
 *
 * Rules: SPEC.md, Y1, Y2, Y7 and Y8.
 */
import { applyUpdate, type Doc, encodeStateAsUpdate, encodeStateVector } from "yjs";
import type { PeerName, ShardId } from "../core/units.ts";
import { AwarenessStates } from "./awareness-states.ts";
import { Changes } from "./changes.ts";
import {
  applyAll,
  documentOf,
  emptyDocument,
  highestClient,
  isAhead,
  replacing,
} from "./contents.ts";
import { DOCUMENT_BYTES_MAX } from "./limits.ts";
import type { DocumentMessage } from "./messages.ts";
import type { RoomClient } from "./room-client.ts";
import type { Role } from "./room-role.ts";
import { WaitingEdits } from "./waiting-edits.ts";

/** What a room uses of its peer. */
export interface RoomPort {
  readonly name: PeerName;
  regionFor(shard: ShardId): PeerName | undefined;
  /** Whether this region serves the shard, and has all of the document. */
  isReady(shard: ShardId, document: string): boolean;
  send(to: PeerName, message: DocumentMessage): void;
  /** A number for a subscription that no other has had. */
  nextSubscription(): number;
  read(shard: ShardId, document: string): Uint8Array[];
  /** Does nothing where the region has just lost the shard: then the next one is given what it lacks. */
  append(shard: ShardId, document: string, update: Uint8Array): void;
  /** How many were appended, how many bytes are stored, and whether some are not durable yet. */
  stored(
    shard: ShardId,
    document: string,
  ): { readonly count: number; readonly bytes: number; readonly isWaiting: boolean };
  /** A client has made an edit of so many bytes. */
  edited(bytes: number): void;
  /** Something is to be told at the end of the turn: `flush` is to be called. */
  due(room: Room): void;
  /** A document that this room hosts has changed. */
  changed(room: Room): void;
  /** This room hosts a document from now on that is only written here. */
  hosted(room: Room): void;
  /** A client id for a document that is only written here, higher than all in this state, and than any before. */
  nextClient(state: Uint8Array): number;
}

/** Where a change came from that no client made. */
const ELSEWHERE = Symbol("elsewhere");

/** Gaps of one client that may follow each other: its next message ought to fill the first. */
const GAPS_MAX = 16;

const EMPTY_UPDATE_BYTES = 2;

export class Room {
  readonly name: string;
  #shard: ShardId;
  /** Whether only this peer's own writer may change it, and nothing of it is stored. */
  readonly isReadOnly: boolean;
  /** Since when nobody is at it; undefined while somebody is. */
  idleSince: number | undefined;
  readonly #port: RoomPort;
  readonly #clients = new Set<RoomClient>();
  readonly #awareness = new AwarenessStates();
  #doc = emptyDocument();
  #role: Role = { type: "none" };
  readonly #waiting = new WaitingEdits<RoomClient>();
  readonly #changes = new Changes(ELSEWHERE);
  #lastEdit = 0;

  constructor(port: RoomPort, name: string, shard: ShardId, isReadOnly: boolean) {
    this.#port = port;
    this.name = name;
    this.#shard = shard;
    this.isReadOnly = isReadOnly;
    this.#attach(this.#doc);
  }

  /** The shard that the document belongs to. */
  get shard(): ShardId {
    return this.#shard;
  }

  /** The content. Not to be kept: it is another one after a move. */
  get doc(): Doc {
    return this.#doc;
  }

  get isHosting(): boolean {
    return this.#role.type === "hosting";
  }

  /** Whether it has all of the document, as far as anybody knows. */
  get isReady(): boolean {
    return this.isHosting || (this.#role.type === "following" && this.#role.isSynced);
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  /** The region that it follows, and the number of the subscription. */
  get upstream(): { readonly region: PeerName; readonly sub: number } | undefined {
    return this.#role.type === "following" ? this.#role : undefined;
  }

  enter(client: RoomClient): void {
    this.#clients.add(client);
    this.idleSince = undefined;
    if (this.isReady) client.ready();
  }

  leave(client: RoomClient, now: number): void {
    if (!this.#clients.delete(client)) return;
    this.#waiting.drop(client);
    const news = this.#awareness.leave(client);
    if (news !== undefined) this.#spreadAwareness(news, client);
    if (this.#clients.size === 0) this.idleSince = now;
  }

  /** What a client lacks that has this state, or everything. */
  updateFor(state?: Uint8Array): Uint8Array {
    if (this.isReadOnly && state !== undefined) return replacing(this.#doc, state);
    return encodeStateAsUpdate(this.#doc, state);
  }

  state(): Uint8Array {
    return encodeStateVector(this.#doc);
  }

  /** What clients other than this one are aware of; undefined where there are none. */
  awarenessFor(client: RoomClient): Uint8Array | undefined {
    return this.#awareness.all((from) => from !== client);
  }

  /**
   * A client edits; returns the number under which that is acknowledged. `isWhole`: the update says all
   * that the client has and this room may lack.
   */
  edit(client: RoomClient, update: Uint8Array, isWhole = false): number {
    this.#lastEdit += 1;
    this.#port.edited(update.length);
    const edit = this.#lastEdit;
    const stored = this.#port.stored(this.shard, this.name).bytes + this.#changes.bytes;
    if (this.isHosting && stored + update.length > DOCUMENT_BYTES_MAX) {
      this.#reject(client, `The document would be larger than ${DOCUMENT_BYTES_MAX} bytes`); // [S4]
      return edit;
    }
    const wasLate = this.#waiting.begin(client, edit);
    if (!this.#apply(client, update)) return edit;
    if (isWhole || !wasLate) this.#waiting.filled(client);
    // What follows a gap is durable when the gap is filled.
    const mark = this.#mark();
    if (mark !== undefined) this.#waiting.mark(mark, client);
    this.#judge();
    return edit;
  }

  /** Tells everybody what has changed in this turn. */
  flush(): void {
    const changed = this.#changes.take();
    if (changed === undefined) return;
    const { update, own, author } = changed;
    const role = this.#role;
    if (role.type === "hosting") {
      if (!this.isReadOnly) this.#port.append(this.shard, this.name, update);
      this.#port.changed(this);
    } else if (role.type === "following" && role.isSynced && own !== undefined) {
      this.#tellRegion(role, own);
    }
    // One frame for all: of several who type at once, each is told its own again.
    for (const client of this.#clients) if (client !== author) client.updated(update);
  }

  /** A client, or the room that this one follows, says who is there. Throws on bytes that say nothing. */
  aware(update: Uint8Array, client?: RoomClient): void {
    const from = client ?? ELSEWHERE;
    const news = this.#awareness.apply(update, from);
    if (news !== undefined) this.#spreadAwareness(news, from);
  }

  /**
   * What the room of another peer lacks that has this state: of a document that may have begun anew, everything.
   * Undefined when it has rows that would win over those here: then the document begins anew above them.
   */
  updateForRoom(state: Uint8Array): Uint8Array | undefined {
    if (!this.isReadOnly) return this.updateFor(state);
    if (highestClient(state) <= this.#doc.clientID) return this.updateFor();
    this.#host(state);
    return undefined;
  }

  /** Begins a document anew that only this peer writes: what has been overwritten is forgotten. */
  renew(): void {
    if (this.isHosting && this.isReadOnly) this.#host();
  }

  /** Looks where the document is by now, in this shard. */
  settle(shard = this.#shard): void {
    if (shard !== this.#shard) {
      this.#detach();
      this.#shard = shard;
    }
    const region = this.#port.regionFor(this.shard);
    const role = this.#role;
    if (region === this.#port.name) {
      if (!this.#port.isReady(this.shard, this.name)) this.#detach();
      else if (role.type !== "hosting") this.#host();
    } else if (region === undefined) this.#detach();
    else if (role.type !== "following" || role.region !== region) this.#follow(region);
  }

  /** Begins anew where it follows: something was lost. */
  resubscribe(): void {
    if (this.#role.type !== "following") return;
    this.#detach();
    this.settle();
  }

  /** The room that this one follows says something. */
  told(message: DocumentMessage): void {
    const role = this.#role;
    if (role.type !== "following" || !("sub" in message) || message.sub !== role.sub) return;
    switch (message.type) {
      case "subscribed":
        this.#subscribed(message);
        break;
      case "update":
        role.received += 1;
        if (message.number !== role.received) this.resubscribe();
        else this.#applyFromElsewhere(message.update);
        break;
      case "edited":
        role.edited = message.number;
        this.acknowledged(message.number);
        break;
      case "awareness":
        this.aware(message.update);
        break;
      case "resync":
        this.resubscribe();
        break;
      case "refused":
        this.#detach(); // The view of one of the two is old: whoever hears of that settles.
        break;
      case "rejected":
        for (const client of this.#waiting.clients) this.#reject(client, message.reason);
        this.#replaceDoc(emptyDocument());
        this.resubscribe();
        break;
      case "gone":
        this.gone();
    }
  }

  /** Everything up to this count of the item, or edit of the subscription, is durable. */
  acknowledged(mark: number): void {
    const done = this.#waiting.acknowledged(mark);
    for (const [client, edit] of done) client.acknowledged(edit);
  }

  /** Content of another copy: what is new in it becomes part of this one. */
  merge(parts: readonly Uint8Array[]): void {
    applyAll(this.#doc, parts, ELSEWHERE);
    this.#dropGap();
  }

  /** Changes the document by this peer itself. */
  write(change: () => void): void {
    this.#doc.transact(change, ELSEWHERE);
  }

  /** The document was deleted: nobody is at it any more. */
  gone(): void {
    const clients = [...this.#clients];
    this.#clients.clear();
    this.#waiting.clear();
    this.#replaceDoc(emptyDocument());
    for (const client of clients) client.gone();
  }

  /** Ends it. Nobody is at it. */
  close(): void {
    this.flush();
    const role = this.#role;
    if (role.type === "following") {
      this.#port.send(role.region, { type: "unsubscribe", sub: role.sub });
    }
    this.#role = { type: "none" };
    this.#doc.destroy();
  }

  #attach(doc: Doc): void {
    doc.on("update", (update: Uint8Array, origin: unknown) => this.#changed(update, origin));
  }

  /** Another content takes the place of this one; what nobody was told of it nobody will be. */
  #replaceDoc(doc: Doc): void {
    this.#doc.destroy();
    this.#doc = doc;
    this.#changes.clear();
    this.#attach(doc);
  }

  #changed(update: Uint8Array, origin: unknown): void {
    if (this.#changes.isEmpty) this.#port.due(this);
    this.#changes.add(update, origin);
  }

  #tellRegion(role: Extract<Role, { type: "following" }>, update: Uint8Array): void {
    role.sent += 1;
    this.#port.send(role.region, { type: "edit", sub: role.sub, number: role.sent, update });
  }

  /** Applies a stranger's bytes; false when they came to nothing, and the client was told. */
  #apply(client: RoomClient, update: Uint8Array): boolean {
    try {
      applyUpdate(this.#doc, update, client);
    } catch {
      this.#reject(client, "The update is malformed"); // [S5]
      this.#rebuild();
      return false;
    }
    if (!this.#dropGap()) return true;
    if (!this.isReady) return false; // It is asked for everything when the document is here.
    const gaps = this.#waiting.missed(client);
    if (gaps === 1) client.resync();
    else if (gaps > GAPS_MAX) this.#reject(client, "Updates depend on what was never sent"); // [S4]
    return false;
  }

  /** What failed in the middle may have left half of itself: the document is built anew. */
  #rebuild(): void {
    this.flush();
    if (this.#role.type === "hosting") {
      this.#replaceDoc(documentOf(this.#port.read(this.shard, this.name)));
    } else {
      this.#replaceDoc(emptyDocument());
      this.#waiting.unmark(true);
      this.resubscribe();
    }
  }

  /** Forgets updates that wait for others; says whether there were any. */
  #dropGap(): boolean {
    const { store } = this.#doc;
    const hasGap = store.pendingStructs !== null || store.pendingDs !== null;
    store.pendingStructs = null;
    store.pendingDs = null;
    return hasGap;
  }

  #applyFromElsewhere(update: Uint8Array): void {
    applyUpdate(this.#doc, update, ELSEWHERE);
    if (this.#dropGap()) this.resubscribe();
  }

  #host(above?: Uint8Array): void {
    this.#detach();
    this.flush();
    const before = this.#doc;
    const state = encodeStateVector(before);
    const parts = this.isReadOnly ? [] : this.#port.read(this.shard, this.name);
    const doc = documentOf(parts);
    const wasEmpty = before.store.clients.size === 0;
    const own = wasEmpty || this.isReadOnly ? undefined : encodeStateAsUpdate(before);
    this.#role = { type: "hosting" };
    this.#replaceDoc(doc);
    if (this.isReadOnly) {
      doc.clientID = this.#port.nextClient(above ?? state);
      this.#port.hosted(this);
    }
    // What this peer's clients have and the store has not, and the other way round.
    if (own !== undefined) applyUpdate(doc, own, ELSEWHERE);
    this.#tellReplaced(state);
    this.#waiting.markAll(this.#mark() ?? 0);
    this.#judge();
    for (const client of [...this.#clients]) client.ready();
  }

  #follow(region: PeerName): void {
    this.#detach();
    const sub = this.#port.nextSubscription();
    const counts = { received: 0, sent: 0, edited: 0 };
    this.#role = { type: "following", region, sub, isSynced: false, ...counts };
    this.#port.send(region, { type: "subscribe", sub, name: this.name, state: this.state() });
  }

  /** Tells clients what they lack, after a content that had this state. */
  #tellReplaced(state: Uint8Array): void {
    const news = this.updateFor(state);
    if (news.length > EMPTY_UPDATE_BYTES) for (const client of this.#clients) client.updated(news);
  }

  #subscribed({
    update,
    state,
    awareness,
  }: Extract<DocumentMessage, { type: "subscribed" }>): void {
    const role = this.#role;
    if (role.type !== "following") return;
    if (this.isReadOnly) {
      const before = this.state();
      this.#replaceDoc(documentOf([update]));
      this.#tellReplaced(before);
    } else this.#applyFromElsewhere(update);
    if (this.#role !== role) return;
    role.isSynced = true;
    if (!this.#waiting.isEmpty || isAhead(this.state(), state)) {
      this.#tellRegion(role, encodeStateAsUpdate(this.#doc, state));
      this.#waiting.markAll(role.sent);
    }
    if (awareness.length > 0) this.aware(awareness);
    const own = this.#awareness.all((from) => from !== ELSEWHERE);
    if (own !== undefined) {
      this.#port.send(role.region, { type: "aware", sub: role.sub, update: own });
    }
    for (const client of [...this.#clients]) client.ready();
  }

  /** It is nowhere for now: rooms that follow it look elsewhere. */
  #detach(): void {
    const role = this.#role;
    if (role.type === "none") return;
    this.flush();
    this.#role = { type: "none" };
    if (role.type === "following") {
      this.#port.send(role.region, { type: "unsubscribe", sub: role.sub });
    }
    this.#waiting.unmark();
    const news = this.#awareness.leave(ELSEWHERE);
    if (news !== undefined) for (const client of this.#clients) client.awareness(news);
    for (const client of [...this.#clients]) client.moved?.();
  }

  /** What an edit made now waits for; undefined while that is not known. */
  #mark(): number | undefined {
    const role = this.#role;
    if (role.type === "hosting") {
      const { count } = this.#port.stored(this.shard, this.name);
      return this.#changes.isEmpty || this.isReadOnly ? count : count + 1;
    }
    if (role.type === "none" || !role.isSynced) return undefined;
    return this.#changes.hasOwn ? role.sent + 1 : role.sent;
  }

  /** An edit that changed nothing waits for what was there before it. */
  #judge(): void {
    const role = this.#role;
    if (role.type === "following" && role.edited >= role.sent) this.acknowledged(role.sent);
    if (role.type !== "hosting") return;
    const { count, isWaiting } = this.#port.stored(this.shard, this.name);
    if (!isWaiting) this.acknowledged(count);
  }

  #reject(client: RoomClient, reason: string): void {
    this.#waiting.drop(client);
    client.rejected(reason);
  }

  #spreadAwareness(news: Uint8Array, from: unknown): void {
    const role = this.#role;
    if (from !== ELSEWHERE && role.type === "following" && role.isSynced) {
      this.#port.send(role.region, { type: "aware", sub: role.sub, update: news });
    }
    for (const client of this.#clients) if (client !== from) client.awareness(news);
  }
}
