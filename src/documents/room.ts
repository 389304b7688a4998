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
 * An edit is acknowledged when enough copies are durable. Until then it waits here, across all moves.
 *
 * Edits that depend on what is not here are not kept: Yjs would merge what waits with code that a stranger
 * can make hang. Their sender is asked for everything that is missing instead, and is refused when that
 * does not help.
 *
 * Rules: SPEC.md, Y1, Y2, Y7 and Y8.
 */
import { applyUpdate, Doc, encodeStateAsUpdate, encodeStateVector } from "yjs";
import type { PeerName, ShardId } from "../core/units.ts";
import { AwarenessStates } from "./awareness-states.ts";
import { applyAll, documentOf, isAhead } from "./contents.ts";
import { DOCUMENT_BYTES_MAX } from "./limits.ts";
import type { DocumentMessage } from "./messages.ts";

/** Who is at a document: a client of this peer, or the room of another one. */
export interface RoomClient {
  /** The room has the document; it may have been without for a while. */
  ready(): void;
  /** Somebody else has changed the document. */
  updated(update: Uint8Array): void;
  awareness(update: Uint8Array): void;
  /** All edits of this client up to this number are durable. */
  acknowledged(edit: number): void;
  /** Something that this client has is missing here: it is to be sent. */
  resync(): void;
  /** It is out: an edit was not taken, and never will be. */
  rejected(reason: string): void;
  /** It is out: the document was deleted. */
  gone(): void;
  /** It is out: the document is hosted elsewhere. Only rooms of other peers are told. */
  moved?(): void;
}

/** What a room uses of its peer. */
export interface RoomPort {
  readonly name: PeerName;
  regionFor(shard: ShardId): PeerName | undefined;
  /** Whether this region serves the shard, and has all of it. */
  isReady(shard: ShardId): boolean;
  send(to: PeerName, message: DocumentMessage): void;
  /** A number for a subscription that no other has had. */
  nextSubscription(): number;
  read(shard: ShardId, document: string): Uint8Array[];
  append(shard: ShardId, document: string, update: Uint8Array): void;
  /** How many were appended, how many bytes are stored, and whether some are not durable yet. */
  stored(
    shard: ShardId,
    document: string,
  ): { readonly count: number; readonly bytes: number; readonly isWaiting: boolean };
  /** A document that this room hosts has changed. */
  changed(room: Room): void;
  /** This room hosts a document from now on that is only written here. */
  hosted(room: Room): void;
  /** A client id for a document that is only written here, higher than any before. */
  nextClient(): number;
}

type Role =
  | { readonly type: "none" }
  | { readonly type: "hosting" }
  | {
      readonly type: "following";
      readonly region: PeerName;
      readonly sub: number;
      isSynced: boolean;
      /** The last update that came, the last edit that was sent, and the last that is durable. */
      received: number;
      sent: number;
      edited: number;
    };

/** An edit that is not durable yet. */
interface Waiting {
  readonly client: RoomClient;
  readonly edit: number;
  /** What is to be acknowledged: a count of the item, or an edit of the subscription. */
  mark: number | undefined;
  /** It depended on what is not here, and is to be sent again. */
  isMissing: boolean;
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
  /** Clients whose last edits depended on what is not here, and how often that was. */
  readonly #gaps = new Map<RoomClient, number>();
  #doc = new Doc();
  #role: Role = { type: "none" };
  #waiting: Waiting[] = [];
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
    this.#gaps.delete(client);
    this.#waiting = this.#waiting.filter((each) => each.client !== client);
    const news = this.#awareness.leave(client);
    if (news !== undefined) this.#spreadAwareness(news, client);
    if (this.#clients.size === 0) this.idleSince = now;
  }

  /** What a client lacks that has this state, or everything. */
  updateFor(state?: Uint8Array): Uint8Array {
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
    const edit = this.#lastEdit;
    const stored = this.#port.stored(this.shard, this.name).bytes;
    if (this.isHosting && stored + update.length > DOCUMENT_BYTES_MAX) {
      this.#reject(client, `The document would be larger than ${DOCUMENT_BYTES_MAX} bytes`); // [S4]
      return edit;
    }
    const waiting: Waiting = { client, edit, mark: undefined, isMissing: true };
    this.#waiting.push(waiting);
    if (!this.#apply(client, update)) return edit;
    waiting.isMissing = false;
    if (isWhole) {
      this.#gaps.delete(client);
      for (const each of this.#waiting) if (each.client === client) each.isMissing = false;
    }
    const isLate = this.#waiting.some((each) => each.client === client && each.isMissing);
    // What follows a gap is durable when the gap is filled.
    if (!isLate) this.#markAll(this.#mark(), client);
    this.#judge();
    return edit;
  }

  /** A client, or the room that this one follows, says who is there. Throws on bytes that say nothing. */
  aware(update: Uint8Array, client?: RoomClient): void {
    const from = client ?? ELSEWHERE;
    const news = this.#awareness.apply(update, from);
    if (news !== undefined) this.#spreadAwareness(news, from);
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
      if (!this.#port.isReady(this.shard)) this.#detach();
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
        for (const { client } of [...this.#waiting]) this.#reject(client, message.reason);
        this.#replaceDoc(new Doc());
        this.resubscribe();
        break;
      case "gone":
        this.gone();
    }
  }

  /** Everything up to this count of the item, or edit of the subscription, is durable. */
  acknowledged(mark: number): void {
    const kept: Waiting[] = [];
    const done = new Map<RoomClient, number>();
    for (const each of this.#waiting) {
      if (each.mark !== undefined && each.mark <= mark) done.set(each.client, each.edit);
      else kept.push(each);
    }
    this.#waiting = kept;
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
    this.#waiting = [];
    this.#replaceDoc(new Doc());
    for (const client of clients) client.gone();
  }

  /** Ends it. Nobody is at it. */
  close(): void {
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

  #replaceDoc(doc: Doc): void {
    this.#doc.destroy();
    this.#doc = doc;
    this.#attach(doc);
  }

  #changed(update: Uint8Array, origin: unknown): void {
    const role = this.#role;
    if (role.type === "hosting") {
      if (!this.isReadOnly) this.#port.append(this.shard, this.name, update);
      this.#port.changed(this);
    } else if (role.type === "following" && role.isSynced && origin !== ELSEWHERE) {
      role.sent += 1;
      const edit = { type: "edit" as const, sub: role.sub, number: role.sent, update };
      this.#port.send(role.region, edit);
    }
    for (const client of this.#clients) if (client !== origin) client.updated(update);
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
    const gaps = (this.#gaps.get(client) ?? 0) + 1;
    this.#gaps.set(client, gaps);
    if (gaps === 1) client.resync();
    else if (gaps > GAPS_MAX) this.#reject(client, "Updates depend on what was never sent"); // [S4]
    return false;
  }

  /** What failed in the middle may have left half of itself: the document is built anew. */
  #rebuild(): void {
    if (this.#role.type === "hosting") {
      this.#replaceDoc(documentOf(this.#port.read(this.shard, this.name)));
    } else {
      this.#replaceDoc(new Doc());
      for (const each of this.#waiting) each.isMissing = true;
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

  #host(): void {
    this.#detach();
    const before = this.#doc;
    const state = encodeStateVector(before);
    const parts = this.isReadOnly ? [] : this.#port.read(this.shard, this.name);
    const doc = documentOf(parts);
    const wasEmpty = before.store.clients.size === 0;
    const own = wasEmpty || this.isReadOnly ? undefined : encodeStateAsUpdate(before);
    this.#role = { type: "hosting" };
    this.#replaceDoc(doc);
    if (this.isReadOnly) {
      doc.clientID = this.#port.nextClient();
      this.#port.hosted(this);
    }
    // What this peer's clients have and the store has not, and the other way round.
    if (own !== undefined) applyUpdate(doc, own, ELSEWHERE);
    const news = encodeStateAsUpdate(doc, state);
    if (news.length > EMPTY_UPDATE_BYTES) for (const client of this.#clients) client.updated(news);
    this.#markAll(this.#mark());
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

  #subscribed({
    update,
    state,
    awareness,
  }: Extract<DocumentMessage, { type: "subscribed" }>): void {
    const role = this.#role;
    if (role.type !== "following") return;
    this.#applyFromElsewhere(update);
    if (this.#role !== role) return;
    role.isSynced = true;
    if (this.#waiting.length > 0 || isAhead(this.state(), state)) {
      role.sent += 1;
      const missing = encodeStateAsUpdate(this.#doc, state);
      const number = role.sent;
      this.#port.send(role.region, { type: "edit", sub: role.sub, number, update: missing });
      this.#markAll(number);
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
    this.#role = { type: "none" };
    if (role.type === "following") {
      this.#port.send(role.region, { type: "unsubscribe", sub: role.sub });
    }
    for (const each of this.#waiting) each.mark = undefined;
    const news = this.#awareness.leave(ELSEWHERE);
    if (news !== undefined) for (const client of this.#clients) client.awareness(news);
    for (const client of [...this.#clients]) client.moved?.();
  }

  /** What an edit made now waits for; undefined while that is not known. */
  #mark(): number | undefined {
    if (this.#role.type === "hosting") return this.#port.stored(this.shard, this.name).count;
    return this.#role.type === "following" && this.#role.isSynced ? this.#role.sent : undefined;
  }

  /** What is here of edits that had no mark waits for this one from now on. */
  #markAll(mark: number | undefined, client?: RoomClient): void {
    const late = new Set<RoomClient>();
    for (const each of this.#waiting) {
      if (each.isMissing) late.add(each.client);
      else if ((client === undefined || each.client === client) && !late.has(each.client)) {
        each.mark ??= mark;
      }
    }
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
    this.#waiting = this.#waiting.filter((each) => each.client !== client);
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
