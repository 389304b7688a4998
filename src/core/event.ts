/**
 * The input of the state machine. Past tense: each has happened.
 */

import type { Era } from "./eras.ts";
import type { ErrorCode } from "./error.ts";
import type { Message } from "./message.ts";
import type { Address, Incarnation, LinkId, PeerName, ShardId, Stamp, WallMs } from "./units.ts";

/** What the handshake established about the other end of a link. */
export interface Remote {
  readonly name: PeerName;
  readonly incarnation: Incarnation;
  /** Where it can be dialled. */
  readonly address: Address;
  /** Its wall clock when it said hello. */
  readonly wallMs: WallMs;
  /** The stamp of the founding that it belongs to; undefined while it waits for one [A0]. */
  readonly founding: Stamp | undefined;
  /** The era of that founding; undefined when it has written none, or waits [M5]. */
  readonly era?: Era | undefined;
  /** Whether it was on a side that may host, without a doubt about its own name [F7, F9]. */
  readonly isHosting?: boolean;
  /** Whether it knows of other members of its founding. */
  readonly isAccompanied?: boolean;
}

/**
 * Why a dial came to nothing. Only `refused` says that nothing listens there [F5]; `reset` is a connection
 * that was made and ended before a word was said, by a process that is ending or has too many.
 */
export type DialFailure = "refused" | "reset" | "unreachable" | "self" | "rejected";

/** What a user asks of the machine. Reads need no event: they are methods. */
export type CallRequest =
  | { readonly type: "allocate"; readonly shard: ShardId; readonly region: PeerName }
  | { readonly type: "release"; readonly shard: ShardId }
  | { readonly type: "rebalance"; readonly dryRun: boolean }
  | { readonly type: "leave" };

export type MachineEvent =
  /** The first event of a machine. */
  | { readonly type: "started" }
  /** A handshake is complete. `dial` names the dial that led to it, if this end dialled. */
  | {
      readonly type: "link-opened";
      readonly link: LinkId;
      readonly remote: Remote;
      readonly dial?: number;
    }
  /** A link ended. `clean` when either end said why; otherwise it was cut or its process died. */
  | {
      readonly type: "link-closed";
      readonly link: LinkId;
      readonly clean: boolean;
      readonly code?: ErrorCode | "LEAVING" | "DUPLICATE" | "UNUSED";
    }
  /** One frame arrived; `refused` of its entries were malformed and left out. */
  | {
      readonly type: "received";
      readonly link: LinkId;
      readonly messages: readonly Message[];
      readonly refused: number;
    }
  /** The socket's buffer has grown above its limit; nothing more should be sent [G6]. */
  | { readonly type: "link-congested"; readonly link: LinkId }
  /** The socket's buffer has drained. */
  | { readonly type: "link-drained"; readonly link: LinkId }
  | {
      readonly type: "dial-failed";
      readonly dial: number;
      readonly failure: DialFailure;
      /** The reason that the other end gave when it rejected the handshake. */
      readonly code?: ErrorCode;
    }
  /** Discovery answered: these are the addresses to join by, from now on. */
  | { readonly type: "addresses-found"; readonly addresses: readonly Address[] }
  /** A user called. The answer effect carries the same number. */
  | { readonly type: "called"; readonly call: number; readonly request: CallRequest }
  /** The deadline has come. */
  | { readonly type: "woken" };
