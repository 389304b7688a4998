/**
 * The input of the state machine. Past tense: each has happened.
 */
import type { Contribution } from "./contribution.ts";
import type { Era } from "./eras.ts";
import type { ErrorCode } from "./error.ts";
import type { HostReport, HostTraits } from "./host-task.ts";
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
  /** Which link this is among those of its dialler, as both ends know [G7]. */
  readonly dial?: DialMark;
}

/** What orders the links of one dialler alike at both ends: these may open in any order. */
export interface DialMark {
  /** The dialler's wall clock when it said hello. */
  readonly wallMs: WallMs;
  /** Part of its nonce, for those of one moment. */
  readonly mark: number;
}

/**
 * Why a dial came to nothing. Only `refused` says that nothing listens there [F5]; `reset` is a connection
 * that was made and ended before a word was said, by a process that is ending or has too many.
 */
export type DialFailure = "refused" | "reset" | "unreachable" | "self" | "rejected";

/** What a user asks of the machine. Reads need no event: they are methods. */
export type CallRequest =
  | {
      readonly type: "allocate";
      readonly shard: ShardId;
      readonly region: PeerName;
      /** Whether the shard belongs there from now on, and not only until the next plan. */
      readonly pin?: boolean;
    }
  | { readonly type: "release"; readonly shard: ShardId }
  /** Registers the shard that `key` stands for, which it may be already. `weight`: 1/16 to 16. */
  | {
      readonly type: "register-shard";
      readonly key: string;
      readonly weight: number | undefined;
    }
  | { readonly type: "deregister-shard"; readonly shard: ShardId }
  | {
      readonly type: "rebalance";
      readonly dryRun: boolean;
      /** What to plan by from now on, unless that stays as it is. */
      readonly strategy?: string;
      readonly movesMax?: number | null;
    }
  /** Passed on to the region, which says so in its own row. */
  | { readonly type: "drain"; readonly region: PeerName; readonly draining: boolean }
  /** What a shard holds, as whoever serves it reports. */
  | {
      readonly type: "shard-metrics";
      readonly shard: ShardId;
      readonly documents: number;
      readonly memoryBytes: number;
    }
  /** Starts the next tick. `phases` are checked; each may take `phaseTimeoutMs`. */
  | {
      readonly type: "tick-start";
      readonly phases: readonly string[];
      readonly phaseTimeoutMs: number;
    }
  | {
      readonly type: "phase-complete";
      readonly shard: ShardId;
      readonly phase: string;
      readonly tick: number;
    }
  /** Answered when the phase is over. */
  | {
      readonly type: "phase-wait";
      readonly phase: string;
      readonly tick: number;
      readonly timeoutMs: number;
    }
  /** What a shard contributes to the document frequencies [D1]. */
  | {
      readonly type: "publish-frequencies";
      readonly shard: ShardId;
      readonly contribution: Contribution;
    }
  /** What the documents of a shard contribute beside that. Carried out by the shard's region, or by nobody. */
  | {
      readonly type: "publish-hosted-frequencies";
      readonly shard: ShardId;
      readonly contribution: Contribution;
    }
  /** A part of a contribution that is too large for one request: the terms of `text`. */
  | {
      readonly type: "stage-frequencies";
      readonly shard: ShardId;
      readonly publication: string;
      readonly part: number;
      readonly text: string;
    }
  /** Publishes what was staged in so many parts. */
  | {
      readonly type: "publish-staged-frequencies";
      readonly shard: ShardId;
      readonly publication: string;
      readonly parts: number;
      readonly documents: number;
    }
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
  /** Who called does not wait for the answer any more; none is given if the call has not ended. */
  | { readonly type: "abandoned"; readonly call: number }
  /** This peer has a host for its region, or one more: what all of them can do. */
  | { readonly type: "host-registered"; readonly traits: HostTraits }
  /** The host has done something that it was told to, or failed. */
  | { readonly type: "hosted"; readonly report: HostReport }
  /** A user has a message for a shard. The `settle-ask` effect carries the same number. */
  | {
      readonly type: "asked";
      readonly ask: number;
      readonly shard: ShardId;
      readonly entity: string;
      readonly timeoutMs: number;
      readonly body: Uint8Array;
    }
  /** A user does not wait for the answer any more. */
  | { readonly type: "ask-given-up"; readonly ask: number }
  /** A service has a message for that of another peer. It is dropped unless `canPost` says otherwise. */
  | {
      readonly type: "posted";
      readonly to: PeerName;
      readonly service: string;
      readonly body: Uint8Array;
    }
  /** Services need a peer from now on, or do not any more. */
  | { readonly type: "peer-needed"; readonly peer: PeerName; readonly isNeeded: boolean }
  /** The deadline has come. */
  | { readonly type: "woken" };
