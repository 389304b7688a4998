/**
 * Who is a member, and in which of the four states: what follows from two replicated maps.
 *
 * Theory of operation
 *
 * `members` holds one row for each name, and only the peer of that name writes it. What others think
 * of it stands apart, in `verdicts`: one row for each (subject, accuser), written only by the accuser,
 * which names the stamp of the row that it judges. A verdict counts only while that row is the
 * subject's present one. So a peer refutes everything that was ever said about it by writing its row
 * anew, and nobody needs to agree on anything: a rumour simply stops to apply [F1].
 *
 * A member is `left` if its row says so; else `dead` or `suspect` by the worst verdict that counts;
 * else alive. A verdict `removed` is stronger than `dead`: the member's shards may be claimed.
 *
 * Deliberately absent: deciding. `liveness.ts` and `inquest.ts` find out who is to be accused.
 *
 * Source: Das, Gupta, Motivala, "SWIM", 2002, section 4.2, with rows in place of incarnation numbers.
 * Rules: SPEC.md, section F.
 */
import { timestampMs } from "./clock.ts";
import type { Member, MemberStatus } from "./effect.ts";
import { ADDRESS_LENGTH_MAX, WRITER_LENGTH_MAX, ZONE_LENGTH_MAX } from "./limits.ts";
import type { Entry, Value } from "./message.ts";
import {
  type Address,
  compareText,
  type Incarnation,
  NAME_PATTERN,
  type PeerName,
  type Stamp,
} from "./units.ts";

/** Names of the replicated maps. */
export const MEMBERS = "members";
export const VERDICTS = "verdicts";

/** What a peer says of itself. */
export interface MemberRow {
  readonly status: "alive" | "left";
  readonly incarnation: Incarnation;
  /** When the incarnation started, in Unix ms by its own clock. */
  readonly started: number;
  readonly address: Address;
  readonly zone: string | null;
  /** Its share of the shards relative to others: above 0, 1 is usual. */
  readonly weight: number;
  readonly draining: boolean;
}

export type VerdictKind = "suspect" | "dead" | "removed";

/** What one member says about a row of another. */
export interface Verdict {
  readonly kind: VerdictKind;
  readonly about: Stamp;
  /** The incarnation of the accuser: the writer of the entry [S8]. */
  readonly accuser: Incarnation;
  /** For people: on what evidence. */
  readonly why: string;
}

/** A member with everything that is known about it. */
export interface MemberState {
  readonly name: PeerName;
  readonly row: MemberRow;
  readonly stamp: Stamp;
  readonly status: MemberStatus;
  /** No longer counted, and its shards may be claimed [F9]. */
  readonly removed: boolean;
  /** When the status began, in Unix ms, by the clock of whoever said so. */
  readonly since: number;
  readonly why: string;
}

const WHY_LENGTH_MAX = 200;
const SEVERITY: Record<VerdictKind, number> = { suspect: 1, dead: 2, removed: 3 };

/** The value of a `members` entry. Later versions may append fields; ours come first. */
export function encodeRow(row: MemberRow): Value {
  const { status, incarnation, started, address, zone, weight, draining } = row;
  return [status, incarnation, started, address, zone, weight, draining];
}

/** The value of a `verdicts` entry. */
export function encodeVerdict({ kind, about, accuser, why }: Verdict): Value {
  return [kind, about.time, about.writer, accuser, why];
}

/** The key of a verdict. Names contain no slash. */
export function verdictKey(subject: PeerName, accuser: PeerName): string {
  return `${subject}/${accuser}`;
}

/** The row in an entry; undefined if this version cannot read it, which hides it from the view. */
export function decodeRow(entry: Entry): MemberRow | undefined {
  if (!NAME_PATTERN.test(entry.key) || !Array.isArray(entry.value)) return undefined;
  const [status, incarnation, started, address, zone, weight, draining] = entry.value as Value[];
  const isRow =
    (status === "alive" || status === "left") &&
    isText(incarnation, WRITER_LENGTH_MAX) &&
    typeof started === "number" &&
    isText(address, ADDRESS_LENGTH_MAX) &&
    (zone === null || isText(zone, ZONE_LENGTH_MAX)) &&
    typeof weight === "number" &&
    weight > 0 &&
    typeof draining === "boolean";
  return isRow ? { status, incarnation, started, address, zone, weight, draining } : undefined;
}

function decodeVerdict(entry: Entry): Verdict | undefined {
  if (!Array.isArray(entry.value)) return undefined;
  const [kind, time, writer, accuser, why] = entry.value as Value[];
  const isVerdict =
    (kind === "suspect" || kind === "dead" || kind === "removed") &&
    typeof time === "number" &&
    typeof writer === "string" &&
    typeof accuser === "string" &&
    isText(why, WHY_LENGTH_MAX);
  return isVerdict ? { kind, about: { time, writer }, accuser, why } : undefined;
}

function isText(value: Value | undefined, lengthMax: number): value is string {
  return typeof value === "string" && value.length <= lengthMax;
}

/** The members of one replica, kept up to date entry by entry. */
export class Membership {
  readonly #states = new Map<PeerName, MemberState>();
  /** What `all` returns; undefined after a change. */
  #sorted: readonly MemberState[] | undefined;
  /** By subject, then accuser: the verdict and when it was given. */
  readonly #verdicts = new Map<PeerName, Map<PeerName, Verdict & { readonly time: number }>>();

  /** The member of that name, whatever its state. */
  get(name: PeerName): MemberState | undefined {
    return this.#states.get(name);
  }

  /** All members, by name. Not to be changed; a snapshot of this moment. */
  all(): readonly MemberState[] {
    this.#sorted ??= [...this.#states.values()].sort((a, b) => compareText(a.name, b.name));
    return this.#sorted;
  }

  /** Takes in an entry of `members` and returns the member if its state changed. */
  applyRow(entry: Entry): MemberState | undefined {
    const row = decodeRow(entry);
    if (row === undefined) return undefined;
    return this.#judge(entry.key, row, { time: entry.time, writer: entry.writer });
  }

  /** Takes in an entry of `verdicts` and returns the member if its state changed. */
  applyVerdict(entry: Entry): MemberState | undefined {
    const [subject, accuser, ...rest] = entry.key.split("/");
    const verdict = rest.length === 0 ? decodeVerdict(entry) : undefined;
    if (subject === undefined || accuser === undefined || verdict === undefined) return undefined;
    const verdicts = this.#verdicts.get(subject) ?? new Map();
    verdicts.set(accuser, { ...verdict, time: entry.time });
    this.#verdicts.set(subject, verdicts);
    const state = this.#states.get(subject);
    return state === undefined ? undefined : this.#judge(subject, state.row, state.stamp);
  }

  /** The verdict that `accuser` has given about the subject's present row. */
  verdictBy(subject: PeerName, accuser: PeerName): VerdictKind | undefined {
    const stamp = this.#states.get(subject)?.stamp;
    const verdict = this.#verdicts.get(subject)?.get(accuser);
    return verdict !== undefined && isAbout(verdict, stamp) ? verdict.kind : undefined;
  }

  #judge(name: PeerName, row: MemberRow, stamp: Stamp): MemberState | undefined {
    const state = this.#stateOf(name, row, stamp);
    const before = this.#states.get(name);
    this.#states.set(name, state);
    this.#sorted = undefined;
    const isSame =
      before !== undefined &&
      before.status === state.status &&
      before.removed === state.removed &&
      isSameRow(before.row, row);
    return isSame ? undefined : state;
  }

  #stateOf(name: PeerName, row: MemberRow, stamp: Stamp): MemberState {
    let worst: (Verdict & { readonly time: number; readonly by: PeerName }) | undefined;
    for (const [by, verdict] of this.#verdicts.get(name) ?? []) {
      if (!isAbout(verdict, stamp)) continue; // [F1] Said about an earlier row: refuted.
      const isWorse =
        worst === undefined ||
        SEVERITY[verdict.kind] > SEVERITY[worst.kind] ||
        (verdict.kind === worst.kind && isEarlier({ ...verdict, by }, worst));
      if (isWorse) worst = { ...verdict, by };
    }
    const common = { name, row, stamp };
    // [F6] Nobody misses who said goodbye.
    if (row.status === "left") {
      const since = timestampMs(stamp.time);
      return { ...common, status: "left", removed: true, since, why: "It said goodbye" };
    }
    if (worst === undefined) {
      const why = row.draining ? "It answers, and is draining" : "It answers";
      return { ...common, status: "alive", removed: false, since: timestampMs(stamp.time), why };
    }
    return {
      ...common,
      status: worst.kind === "suspect" ? "suspect" : "dead",
      removed: worst.kind === "removed",
      since: timestampMs(worst.time),
      why: `${worst.by}: ${worst.why}`,
    };
  }
}

/** How a member is shown to users. */
export function publicMember(state: MemberState): Member {
  const { name, row, status, since, why } = state;
  const { address, zone, weight, draining, incarnation } = row;
  return { name, address, status, zone, weight, draining, incarnation, since, why };
}

function isAbout(verdict: Verdict, stamp: Stamp | undefined): boolean {
  return verdict.about.time === stamp?.time && verdict.about.writer === stamp.writer;
}

/** Of equal times the lower name comes first, so that all peers give the same reason. */
function isEarlier(a: { time: number; by: PeerName }, b: { time: number; by: PeerName }): boolean {
  return a.time < b.time || (a.time === b.time && a.by < b.by);
}

/** Whether two rows say the same of a peer, stamps and status aside. */
export function isSameRow(a: MemberRow, b: MemberRow): boolean {
  return (
    a.incarnation === b.incarnation &&
    a.address === b.address &&
    a.zone === b.zone &&
    a.weight === b.weight &&
    a.draining === b.draining
  );
}
