/**
 * The output of the state machine, carried out strictly in order. Imperative: each is to be done.
 */

import type { Delivery } from "./delivery.ts";
import type { ErrorCode, Refusal } from "./error.ts";
import type { HostTask } from "./host-task.ts";
import type { MapEntries, MapKeys, Message } from "./message.ts";
import type { Address, Incarnation, LinkId, PeerName, ShardId, Stamp, Timestamp } from "./units.ts";

/** The four states of a member, as shown to users [F1]. */
export type MemberStatus = "alive" | "suspect" | "dead" | "left";

/** Where a shard is hosted. The pair (token, writer) is the fencing token [R5]. */
export interface Allocation {
  readonly shard: ShardId;
  readonly region: PeerName;
  readonly token: Timestamp;
  readonly writer: string;
  /** What this allocation replaced, where that is known. */
  readonly superseded?: Allocation;
}

/** One member as a user sees it. */
export interface Member {
  readonly name: PeerName;
  readonly address: Address;
  readonly status: MemberStatus;
  readonly zone: string | null;
  readonly weight: number;
  readonly draining: boolean;
  readonly incarnation: Incarnation;
  /** When it got this status, in Unix ms, by the clock of whoever said so. */
  readonly since: number;
  /** Why it has this status, for people. */
  readonly why: string;
  /** Who says so by now: members by name, at most four; empty when it is alive or has left. */
  readonly accusers: readonly PeerName[];
}

/** Something that a user may want to know when it happens. */
export type Change =
  /** `rejoined`: this peer had lost the majority, and is on the side that has it again. */
  | { readonly type: "ready"; readonly how: "founded" | "joined" | "rejoined" }
  | {
      readonly type: "allocation";
      readonly shard: ShardId;
      /** Undefined when the shard was released. */
      readonly region: PeerName | undefined;
      readonly token: Timestamp;
      readonly writer: string;
      readonly superseded?: Allocation;
    }
  | ({ readonly type: "member" } & Member)
  /** This peer's region got a shard, or lost it to `to`. */
  | {
      readonly type: "acquire";
      readonly shard: ShardId;
      readonly token: Timestamp;
      readonly writer: string;
    }
  | { readonly type: "release"; readonly shard: ShardId; readonly to: PeerName | undefined }
  /** An era began here [M5]: what was deleted long ago is forgotten, and so are these members. */
  | { readonly type: "era"; readonly number: number; readonly forgotten: readonly PeerName[] }
  /** A tick has started, its phase is another, or it has ended. */
  | {
      readonly type: "tick";
      readonly tick: number;
      /** The phase that is being completed, or the last one that was. */
      readonly phase: string;
      readonly state: "running" | "complete" | "aborted";
      /** Of an aborted one: the shards that were waited for, by id. */
      readonly stragglers?: readonly ShardId[];
    }
  | { readonly type: "warning"; readonly code: ErrorCode; readonly message: string };

/** How a call ended. */
export type Outcome = { readonly ok: true; readonly value: unknown } | Refusal;

/** How an ask ended: with the answer of the host, encoded, or why there is none. */
export type AskOutcome = { readonly ok: true; readonly body: Uint8Array } | Refusal;

/** Says why a link is closed. `DUPLICATE`, `LEAVING` and `UNUSED` are no errors. */
export type CloseCode = ErrorCode | "DUPLICATE" | "LEAVING" | "UNUSED";

export type Effect =
  /**
   * Makes entries and the clock's upper bound durable before the next effect starts [G1, C6]. What is
   * `dropped` may be forgotten, after the entries are there.
   */
  | {
      readonly type: "persist";
      readonly maps: readonly MapEntries[];
      readonly clockBound: Timestamp;
      readonly dropped?: readonly MapKeys[];
    }
  | { readonly type: "send"; readonly links: readonly LinkId[]; readonly message: Message }
  /** Closes a link. `silent` links are terminated, since their close frame would never arrive. */
  | {
      readonly type: "close";
      readonly link: LinkId;
      readonly code: CloseCode;
      readonly silent?: boolean;
    }
  /** Dials an address; ends in `link-opened` or `dial-failed` with the same number. */
  | { readonly type: "dial"; readonly dial: number; readonly address: Address }
  | {
      readonly type: "answer";
      readonly call: number;
      readonly outcome: Outcome;
    }
  | { readonly type: "notify"; readonly change: Change }
  /** Tells the host of this region what to do. */
  | { readonly type: "host"; readonly task: HostTask }
  /** Tells the services of this peer what has come, or of whom they may post to. */
  | { readonly type: "deliver"; readonly delivery: Delivery }
  /** An ask of a user has ended. */
  | { readonly type: "settle-ask"; readonly ask: number; readonly outcome: AskOutcome }
  /**
   * Begins again as a newcomer with an empty replica and a new incarnation, dialling `join`. `older` is
   * the founding that this peer gives way to, if that is why.
   */
  | {
      readonly type: "reset";
      readonly join: readonly Address[];
      readonly older: Stamp | undefined;
      readonly message: string;
    }
  /** This peer cannot go on, and why. */
  | { readonly type: "stop"; readonly code: ErrorCode; readonly message: string };
