/**
 * What peers say to each other once a link is open, and the entries that travel in it.
 *
 * Messages are values: `wire/codec.ts` turns them into bytes and back, and nothing else does. The
 * handshake that opens a link is not among them; it never reaches the state machine [S1].
 */
import type { Arc } from "./arc.ts";
import type { ErrorCode, Refusal } from "./error.ts";
import type { Address, Incarnation, PeerName, ShardId, Timestamp } from "./units.ts";

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

/** Passes a call on to the peer that must carry it out [P1]. */
export interface RequestMessage {
  readonly type: "request";
  /** Higher than that of every earlier request of the sender. */
  readonly request: number;
  /** How often this call has been passed on, this time included. */
  readonly hops: number;
  /** The time that is left for it, in ms. */
  readonly deadlineMs: number;
  /** Written and read by `passed-call.ts`. */
  readonly call: Value;
}

/** The outcome of a request, from the peer that it was sent to [P2]. */
export interface ResponseMessage {
  readonly type: "response";
  readonly request: number;
  readonly outcome: { readonly ok: true; readonly value: Value } | Refusal;
}

/**
 * A message for an entity of a shard, by a router to a region [A8, H3].
 *
 * `ask` only grows on a link. `since` is the first ask that was sent after the router had heard of
 * every refusal: what was sent before one that was refused is refused as well, so that order is kept.
 */
export interface Ask {
  readonly type: "ask";
  readonly ask: number;
  readonly since: number;
  readonly shard: ShardId;
  /** Empty for the shard as a whole. */
  readonly entity: string;
  /** The time that is left for it, in ms. */
  readonly remainingMs: number;
  /** The allocation that it was routed by; an empty writer is the receiver's own incarnation. */
  readonly token: Timestamp;
  readonly writer: string;
  /** Encoded by whoever asks; opaque here. */
  readonly body: Uint8Array;
}

/** How an ask ended. `refused`: it was not handled, and may be sent again. `failed`: it is over. */
export interface Answer {
  readonly type: "answer";
  readonly ask: number;
  readonly outcome:
    | { readonly how: "done"; readonly body: Uint8Array }
    | { readonly how: "refused" | "failed"; readonly code: ErrorCode; readonly message: string };
}

/** A chunk of a shard's state for its successor; `token` is that of the entry that began it [H2]. */
export interface Chunk {
  readonly type: "chunk";
  readonly shard: ShardId;
  readonly token: Timestamp;
  /** 0, 1, 2, ... */
  readonly number: number;
  readonly isLast: boolean;
  readonly chunk: Uint8Array;
}

/** Asks for the chunk after `number`, or says why there is no point. */
export interface ChunkTaken {
  readonly type: "chunk-taken";
  readonly shard: ShardId;
  readonly token: Timestamp;
  readonly number: number;
  /** `unwanted`: the successor takes no state. `failed`: its host could not make sense of it. */
  readonly how: "taken" | "unwanted" | "failed";
}

/** Asks a region that had a shard to stop [H5]. */
export interface Stop {
  readonly type: "stop";
  readonly shard: ShardId;
  /** Of the entry that gives the shard to the one that asks. */
  readonly token: Timestamp;
}

/** Says that it has. */
export interface Stopped {
  readonly type: "stopped";
  readonly shard: ShardId;
  readonly token: Timestamp;
}

/** A message of a service to the one of that name at another peer, opaque here [N1]. */
export interface Post {
  readonly type: "post";
  readonly service: string;
  readonly body: Uint8Array;
}

/** What hosts and routers say to each other. */
export type HostMessage = Ask | Answer | Chunk | ChunkTaken | Stop | Stopped;

const HOST_MESSAGES: ReadonlySet<string> = new Set<HostMessage["type"]>([
  ...(["ask", "answer", "chunk", "chunk-taken", "stop", "stopped"] as const),
]);

export function isHostMessage(message: Message): message is HostMessage {
  return HOST_MESSAGES.has(message.type);
}

/** What an exchange between two replicas consists of [G4]. */
export type ExchangeMessage =
  | Head
  | Symbols
  | More
  | Want
  | Done
  | SnapshotRequest
  | SnapshotOffer
  | Snapshot;

export type Message =
  | PeerMessage
  | Delta
  | Repair
  | ExchangeMessage
  | RequestMessage
  | ResponseMessage
  | HostMessage
  | Post;
