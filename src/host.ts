/**
 * What a user's host looks like: the code that serves the shards of a region.
 */
import type { PeerName, ShardId, Timestamp } from "./core/units.ts";
import type { Body } from "./wire/body.ts";

/** What a host is told about the shard that it is to serve or let go of. */
export interface ShardContext {
  /**
   * The fencing token: the pair (token, writer). A store that refuses a lower pair is safe [R5]. It may rise while
   * the region serves on: that of the message at hand is the one to write by.
   */
  readonly token: Timestamp;
  readonly writer: string;
  /** Aborted when the shard is taken away, or its work in progress has had its time. */
  readonly signal: AbortSignal;
}

export interface AcquireContext extends ShardContext {
  /** The region that handed the shard over; undefined where none did. */
  readonly from: PeerName | undefined;
  /** Entities to start without waiting for a message; empty unless `remember` is set [H6]. */
  readonly entities: readonly string[];
}

export interface MessageContext extends ShardContext {
  readonly shard: ShardId;
  /** Undefined when the message is for the shard as a whole. */
  readonly entity: string | undefined;
  /** The peer that asked. */
  readonly from: PeerName;
}

export interface EntityContext extends ShardContext {
  readonly shard: ShardId;
  readonly entity: string;
}

export interface ImportContext {
  readonly from: PeerName;
  /** Aborted when the handoff comes to nothing: what was imported is to be forgotten. */
  readonly signal: AbortSignal;
}

/** Serves the shards of a region. Every function may be asynchronous, and may throw. */
export interface Host {
  /** The region has a shard: no message of it comes before this is done. Tried again when it throws. */
  onAcquire(shard: ShardId, context: AcquireContext): void | Promise<void>;
  /**
   * Handles a message; what it returns is the answer. Messages of one entity come one after another;
   * those for the shard as a whole count as one entity's. A host that throws fails the ask with
   * `HANDLER_FAILED`.
   */
  onMessage(message: Body, context: MessageContext): Body | Promise<Body> | void | Promise<void>;
  /** The region has the shard no longer. Comes after `onAcquire` is done, and once for each. */
  onRelease(shard: ShardId): void | Promise<void>;
  /** Gives the state of a shard to its next region, chunk by chunk, of at most 1 MiB each. */
  exportState?(shard: ShardId): AsyncIterable<Body> | Iterable<Body>;
  /** Takes such state, before `onAcquire`. */
  importState?(
    shard: ShardId,
    chunks: AsyncIterable<Body>,
    context: ImportContext,
  ): void | Promise<void>;
  /** An entity has had no message for `passivateAfterMs`. */
  onPassivate?(entity: string, context: EntityContext): void | Promise<void>;
  /**
   * Whether entities are to be started by the next region of their shard unasked, until they are
   * passivated. Costs a replicated entry for each. Default false.
   */
  readonly remember?: boolean;
  /** Idleness after which an entity is passivated, in ms, at least 1000. Default: never. */
  readonly passivateAfterMs?: number;
}

export interface AskOptions {
  /** The entity of the shard that the message is for. Default: the shard as a whole. */
  readonly entity?: string;
  /** How long to wait for the answer, in ms, 1 to a day. Default 5000. */
  readonly timeoutMs?: number;
  /** Gives the ask up. Whether it was handled is not known then. */
  readonly signal?: AbortSignal;
}
