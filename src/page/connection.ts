/**
 * A document's connection to the cluster: at one peer at a time, over WebSocket, by the y-websocket protocol.
 *
 *   0 sync   0 a state, to be answered   1 the answer: what that state lacks   2 an update
 *   1 awareness   2 a refusal
 *
 * When the peer is gone the next one is tried, in the order in which `next` gives them, and what was edited
 * meanwhile is sent there. A peer that has said nothing for a while, though it repeats what it is told of who is
 * here and answers what it is asked, counts as gone.
 *
 * A peer answers what this end lacks when all that came before is stored in enough copies. So a question after
 * each edit tells when that is safe.
 *
 * Source: y-protocols 1.0.7, PROTOCOL.md.
 */
import { createDecoder, readVarString, readVarUint, readVarUint8Array } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } from "lib0/encoding";
import { applyUpdate, type Doc, encodeStateAsUpdate, encodeStateVector } from "yjs";
import type { PeerRow } from "./peers.ts";
import type { Presence } from "./presence.ts";

const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;

const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;

/** How long a peer may take until its socket is open, in ms. */
const OPEN_TIMEOUT_MS = 3000;

/** How often this end says that it is here, and how long a peer may be silent, in ms. */
const REPEAT_MS = 4000;
const SILENCE_MS = 10_000;

/** Time between two rounds through all peers, in ms: doubled from one to the next, up to the second. */
const PAUSE_MS = 250;
const PAUSE_MS_MAX = 2000;

/** A stock provider does not come back after these, and neither does this one. */
const isFinal = (code: number): boolean => code >= 4400 && code < 4500;

export type ConnectionState =
  | { readonly type: "connecting"; readonly peer: string }
  /** `isSafe`: everything that was edited here is stored in enough copies. */
  | { readonly type: "synced"; readonly peer: string; readonly isSafe: boolean }
  /** Nobody answers. */
  | { readonly type: "alone" }
  | { readonly type: "over"; readonly reason: string };

export interface ConnectionOptions {
  readonly doc: Doc;
  /** Undefined where nobody is to be seen. */
  readonly presence?: Presence;
  /** The socket of the document at a peer. */
  readonly open: (peer: PeerRow) => WebSocket;
  /** The peer to try, beside those that were; undefined when these are all. */
  readonly next: (tried: ReadonlySet<string>) => PeerRow | undefined;
  readonly changed: (state: ConnectionState) => void;
  readonly guestsChanged?: () => void;
  /** An edit was not taken. */
  readonly denied?: (reason: string) => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #socket: WebSocket | undefined;
  #peer: PeerRow | undefined;
  #tried = new Set<string>();
  #pauseMs = PAUSE_MS;
  #heardAt = 0;
  #isSynced = false;
  /** A question is on its way. */
  #isAsking = false;
  /** Something was sent after it. */
  #isDirty = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { doc } = options;
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== this) this.#edited(update);
    });
    setInterval(() => this.#repeat(), REPEAT_MS);
  }

  /** The peer that it is at, or tries. */
  get peer(): PeerRow | undefined {
    return this.#peer;
  }

  /** Goes to the next peer now. */
  move(): void {
    this.#tried.clear();
    this.#next();
  }

  /** What this end is aware of has changed. */
  aware(update: Uint8Array): void {
    this.#say(AWARENESS, update);
  }

  #next(): void {
    this.#drop();
    const peer = this.#options.next(this.#tried);
    if (peer === undefined) {
      this.#tried.clear();
      this.#peer = undefined;
      this.#options.changed({ type: "alone" });
      this.#later(this.#pauseMs, () => this.#next());
      this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * 2);
      return;
    }
    this.#tried.add(peer.name);
    this.#peer = peer;
    this.#options.changed({ type: "connecting", peer: peer.name });
    const socket = this.#options.open(peer);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#later(OPEN_TIMEOUT_MS, () => {
      if (socket.readyState !== WebSocket.OPEN) this.#next();
    });
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#heard(new Uint8Array(data));
    socket.onclose = ({ code, reason }) => {
      if (isFinal(code)) this.#end(reason);
      else this.#next();
    };
  }

  #drop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const socket = this.#socket;
    this.#socket = undefined;
    this.#isSynced = false;
    this.#isAsking = false;
    if (socket !== undefined) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#options.presence?.clear();
    this.#options.guestsChanged?.();
  }

  #end(reason: string): void {
    this.#drop();
    this.#options.changed({ type: "over", reason });
  }

  #opened(): void {
    this.#heardAt = performance.now();
    this.#ask();
    const { presence } = this.#options;
    if (presence !== undefined) this.aware(presence.repeat());
  }

  #heard(bytes: Uint8Array): void {
    this.#heardAt = performance.now();
    const { doc, presence, guestsChanged, denied } = this.#options;
    const decoder = createDecoder(bytes);
    const type = readVarUint(decoder);
    if (type === SYNC) {
      const step = readVarUint(decoder);
      const content = readVarUint8Array(decoder);
      if (step === STEP_1) {
        this.#say(SYNC, STEP_2, encodeStateAsUpdate(doc, content));
        this.#touch();
        return;
      }
      applyUpdate(doc, content, this);
      if (step === STEP_2) this.#answered();
    } else if (type === AWARENESS && presence !== undefined) {
      presence.apply(readVarUint8Array(decoder));
      guestsChanged?.();
    } else if (type === AUTH && readVarUint(decoder) === 0) denied?.(readVarString(decoder));
  }

  #answered(): void {
    this.#isSynced = true;
    this.#isAsking = false;
    this.#tried.clear();
    this.#pauseMs = PAUSE_MS;
    if (this.#isDirty) this.#ask();
    this.#tell();
  }

  #edited(update: Uint8Array): void {
    this.#say(SYNC, UPDATE, update);
    this.#touch();
  }

  /** Something was sent that may not be safe. */
  #touch(): void {
    this.#isDirty = true;
    if (this.#isSynced && !this.#isAsking) this.#ask();
    this.#tell();
  }

  #ask(): void {
    this.#isDirty = false;
    this.#isAsking = true;
    this.#say(SYNC, STEP_1, encodeStateVector(this.#options.doc));
  }

  #tell(): void {
    const peer = this.#peer?.name;
    if (!this.#isSynced || peer === undefined) return;
    this.#options.changed({ type: "synced", peer, isSafe: !this.#isAsking });
  }

  #repeat(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const { presence } = this.#options;
    if (performance.now() - this.#heardAt > SILENCE_MS) this.#next();
    else if (presence === undefined) this.#ask();
    else this.aware(presence.repeat());
  }

  #say(type: number, ...rest: readonly (number | Uint8Array)[]): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const encoder = createEncoder();
    writeVarUint(encoder, type);
    for (const each of rest) {
      if (typeof each === "number") writeVarUint(encoder, each);
      else writeVarUint8Array(encoder, each);
    }
    this.#socket.send(toUint8Array(encoder));
  }

  #later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
  }
}
