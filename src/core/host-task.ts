/**
 * What the state machine asks of the host of this region, and what the host reports.
 *
 * A host is code of users: asynchronous, and it may throw, hang or block. So nothing that the machine
 * decides rests on an answer: every task that must come to an end has a deadline in the core. Tasks of
 * one shard that change who serves it (acquire, release, export, import) are carried out one after
 * another; work runs as it comes.
 */
import type { PeerName, ShardId, Timestamp } from "./units.ts";

/** What the host of a peer can do. Given once, when it is registered. */
export interface HostTraits {
  /** Whether it gives state to the next region of a shard. */
  readonly exports: boolean;
  /** Whether it takes such state. */
  readonly imports: boolean;
  /** Whether the entities that it serves are to be started by the next region unasked [H6]. */
  readonly remembers: boolean;
  /** After how long without a message an entity is passivated, in ms; Infinity for never. */
  readonly passivateAfterMs: number;
}

/** A shard under a fencing token. */
interface Held {
  readonly shard: ShardId;
  readonly token: Timestamp;
}

export type HostTask =
  /** Take a shard. `from` is the region it comes from, if that gave it; `entities` are to be started. */
  | ({
      readonly type: "acquire";
      readonly writer: string;
      readonly from: PeerName | undefined;
      readonly entities: readonly string[];
    } & Held)
  /** Serve a shard on, under a token that is above all that were used [H7]. */
  | ({ readonly type: "renew"; readonly writer: string } & Held)
  /** Let go of a shard. `token` is that under which it was acquired, or a later one. */
  | ({ readonly type: "release" } & Held)
  /** Abort whatever still runs for a shard: it is lost, or its time is over. */
  | { readonly type: "cancel"; readonly shard: ShardId }
  /** Handle one message. `entity` is empty when it is for the shard as a whole. */
  | ({
      readonly type: "handle";
      readonly work: number;
      readonly entity: string;
      readonly writer: string;
      readonly from: PeerName;
      readonly body: Uint8Array;
    } & Held)
  /** Let go of an entity that has had no message for long. */
  | ({
      readonly type: "passivate";
      readonly work: number;
      readonly entity: string;
      readonly writer: string;
    } & Held)
  /** Give the next chunk of state. `token` names the handoff. */
  | ({ readonly type: "export" } & Held)
  /** Take a chunk of state. */
  | ({
      readonly type: "import";
      readonly from: PeerName;
      readonly number: number;
      readonly chunk: Uint8Array;
      readonly isLast: boolean;
    } & Held)
  /** An export or import has come to nothing: forget it. */
  | { readonly type: "abandon"; readonly shard: ShardId };

export type HostReport =
  | ({ readonly type: "acquired"; readonly error: string | undefined } & Held)
  | ({ readonly type: "released"; readonly error: string | undefined } & Held)
  /** Work has ended. `body` is the answer; `error` says for people why there is none. */
  | { readonly type: "handled"; readonly work: number; readonly body: Uint8Array }
  | { readonly type: "handled"; readonly work: number; readonly error: string }
  /** A chunk of state, which is empty where there is no more. */
  | ({
      readonly type: "exported";
      readonly chunk: Uint8Array;
      readonly isLast: boolean;
      readonly error: string | undefined;
    } & Held)
  /** A chunk has been taken; the last one when the host has done with all of them. */
  | ({
      readonly type: "imported";
      readonly number: number;
      readonly error: string | undefined;
    } & Held);
