/**
 * What peers say to each other once a link is open, and the entries that travel in it.
 *
 * Messages are values: `wire/codec.ts` turns them into bytes and back, and nothing else does. The
 * handshake that opens a link is not among them; it never reaches the state machine [S1].
 */
import type { Arc } from "./arc.ts";
import type { Address, Incarnation, PeerName, Timestamp } from "./units.ts";

/** What an entry may hold. Numbers are finite and not -0; strings are well-formed UTF-16. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Value[]
  | { readonly [key: string]: Value };

/** One key of a map with the stamp that it won by. `value` is undefined in a tombstone. */
export interface Entry<V = Value> {
  readonly key: string;
  readonly value: V | undefined;
  readonly time: Timestamp;
  readonly writer: string;
}

/** Entries of one replicated map. */
export interface MapEntries {
  readonly map: string;
  readonly entries: readonly Entry[];
}

/** Keys of one replicated map. */
export interface MapKeys {
  readonly map: string;
  readonly keys: readonly string[];
}

/**
 * The long sign of life, which compares clocks [F2, C4].
 *
 * `sentAt` is the sender's monotonic clock in ms, meaningless to others but in the echo:
 * `echo` is the last `sentAt` received (-1 before the first) and `echoDelayMs` how long ago that
 * was, so that round trip = now - echo - echoDelayMs. `heardMs` is how long ago any bytes came, and
 * `everyMs` after how long the next sign of life will have come at the latest.
 * `wallMs` is the wall clock the sender uses, `stepMs` what its raw clock differs from it [C7], and
 * `leadMs` how far its hybrid clock is ahead of it: above the drift bound nobody takes its writes [C5].
 */
export interface Heartbeat {
  readonly type: "heartbeat";
  readonly sentAt: number;
  readonly echo: number;
  readonly echoDelayMs: number;
  readonly heardMs: number;
  readonly wallMs: number;
  readonly stepMs: number;
  readonly leadMs: number;
  readonly everyMs: number;
}

/** The short sign of life, a few bytes. One that asks is answered at once by one that does not. */
export interface Pulse {
  readonly type: "pulse";
  readonly heardMs: number;
  readonly everyMs: number;
  readonly asks: boolean;
}

/** Entries that just won at their writer. Those that win here are passed on along `arc` [G1]. */
export interface Delta {
  readonly type: "delta";
  readonly maps: readonly MapEntries[];
  /** Whom the receiver is to tell; nobody in a full mesh, whose writers tell everybody themselves. */
  readonly arc?: Arc;
}

/** Says whether the sender wants this link. Until it says so, it does [G7]. */
export interface Keep {
  readonly type: "keep";
  readonly wanted: boolean;
}

/** Entries that an exchange found missing. Those that win are pushed as if written here [G4]. */
export interface Repair {
  readonly type: "repair";
  readonly maps: readonly MapEntries[];
}

/** Names an era in few bytes: its number, and hashes of 32 bits of its stamp and of the one before. */
export interface EraMark {
  readonly number: number;
  readonly mark: number;
  readonly before: number;
}

/** What a newcomer says: it belongs to no era yet, and may be merged with any. */
export const NO_ERA: EraMark = { number: 0, mark: 0, before: 0 };

/** Opens an exchange: a summary of the sender's replica, constant in size [G3]. */
export interface Head {
  readonly type: "head";
  /** Names the exchange on this link and direction: 0 to 65 535, one more each time. */
  readonly exchange: number;
  /** Entries of the whole replica, tombstones included. */
  readonly entryCount: number;
  /** 8 bytes of fingerprint, then the low bytes of the counts of symbols 1 to 23. */
  readonly summary: Uint8Array;
  /** Whether the sender has just fetched all entries of the receiver. */
  readonly pulled: boolean;
  /** Names the sender's era: exchanges are for eras that may be merged [M5]. */
  readonly era: EraMark;
}

/** Coded symbols `from`, `from + 1`, ... of the answering side's sketch, 12 bytes each [G4]. */
export interface Symbols {
  readonly type: "symbols";
  readonly exchange: number;
  readonly from: number;
  readonly cells: Uint8Array;
}

/** Asks for `count` more symbols: those that came did not suffice. */
export interface More {
  readonly type: "more";
  readonly exchange: number;
  readonly from: number;
  readonly count: number;
}

/** Asks for the entries of these ids, 8 bytes each. */
export interface Want {
  readonly type: "want";
  readonly exchange: number;
  readonly ids: Uint8Array;
}

/** Ends an exchange: the heads were equal, or all that was wanted has been sent. */
export interface Done {
  readonly type: "done";
  readonly exchange: number;
}

/** Says that the difference is larger than a sketch serves, or asks for the next chunk. */
export interface SnapshotRequest {
  readonly type: "snapshot-request";
  readonly exchange: number;
  /** Where to go on: 0 at first, then the `next` of the chunk before. */
  readonly cursor: number;
}

/** Answers a head whose sender should fetch everything instead. */
export interface SnapshotOffer {
  readonly type: "snapshot-offer";
  readonly exchange: number;
}

/** One chunk of all entries. `next` is -1 in the last one. */
export interface Snapshot {
  readonly type: "snapshot";
  readonly exchange: number;
  readonly next: number;
  readonly maps: readonly MapEntries[];
}

/** Asks a peer to dial another one, whose link ended without goodbye [F5]. */
export interface Probe {
  readonly type: "probe";
  readonly probe: number;
  readonly subject: PeerName;
  readonly incarnation: Incarnation;
  readonly address: Address;
}

/** Answers a probe. `refused`: nothing listens there; `unknown`: neither that nor reached. */
export interface ProbeAnswer {
  readonly type: "probe-answer";
  readonly probe: number;
  readonly outcome: ProbeOutcome;
}

export type ProbeOutcome = "reached" | "refused" | "unknown";

/** Asks a peer whether it hears another one, which is silent here [F3]. */
export interface Inquiry {
  readonly type: "inquiry";
  readonly inquiry: number;
  readonly subject: PeerName;
  readonly incarnation: Incarnation;
}

/** Answers an inquiry: how long ago the subject was heard, or -1 when it is silent here, too. */
export interface InquiryAnswer {
  readonly type: "inquiry-answer";
  readonly inquiry: number;
  readonly heardMs: number;
}

/** What is said about peers and links, and not about entries. */
export type PeerMessage = Heartbeat | Pulse | Keep | Probe | ProbeAnswer | Inquiry | InquiryAnswer;

export type Message =
  | PeerMessage
  | Delta
  | Repair
  | Head
  | Symbols
  | More
  | Want
  | Done
  | SnapshotRequest
  | SnapshotOffer
  | Snapshot;
