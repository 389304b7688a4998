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
 * What stopped to apply is not kept, and neither are more than four verdicts about one row: which four
 * depends on the verdicts alone, so that everybody who has heard of the same ones keeps the same.
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
import { compareStamps } from "./lww-map.ts";
import type { Entry, Value } from "./message.ts";
import {
  type Address,
  compareText,
  type Incarnation,
  NAME_PATTERN,
  type PeerName,
  type Stamp,
  type Timestamp,
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
  /**
   * The highest timestamp that this life had seen when it became a member. Whoever became one earlier
   * has a lower one, whatever anybody's wall clock said: by it the oldest member is known [F9].
   */
  readonly joined: Timestamp;
  /** Since when it has been alive without being doubted, in Unix ms by its own clock. */
  readonly since: number;
  /** Whether it serves its shards by a host, so that they have to be handed over [H0]. */
  readonly hosts?: boolean;
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
  /** Since when the subject has been in that state, in Unix ms, if longer than the verdict is old. */
  readonly since?: number | undefined;
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
  /** What the first of those who say so says; undefined when it is alive or has left. */
  readonly verdict?: string;
  /** Who says so, the first of them first; at most four. Empty unless it is suspect or dead. */
  readonly accusers: readonly PeerName[];
}

/** A verdict and when it was given. */
type Given = Verdict & { readonly time: Timestamp; readonly by: PeerName };

/** [F1] Verdicts that are kept about one row. Four independent ones leave no doubt. */
const VERDICTS_PER_ROW_MAX = 4;

/** Length of what a verdict says of its reason, in UTF-16 code units. Ours are below 100. */
const WHY_LENGTH_MAX = 200;
const NOBODY: readonly PeerName[] = [];
const NO_VERDICTS: readonly Given[] = [];
const SEVERITY: Record<VerdictKind, number> = { suspect: 1, dead: 2, removed: 3 };

/** The value of a `members` entry. Later versions may append fields; ours come first. */
export function encodeRow(row: MemberRow): Value {
  const { status, incarnation, started, address, zone, weight, draining, joined, since } = row;
  const common = [status, incarnation, started, address, zone, weight, draining, joined, since];
  return row.hosts === true ? [...common, true] : common;
}

/** The value of a `verdicts` entry. */
export function encodeVerdict({ kind, about, accuser, why, since }: Verdict): Value {
  const reason = why.slice(0, WHY_LENGTH_MAX);
  return [kind, about.time, about.writer, accuser, reason, since ?? null];
}

/** The key of a verdict. Names contain no slash. */
export function verdictKey(subject: PeerName, accuser: PeerName): string {
  return `${subject}/${accuser}`;
}

/** The row in an entry; undefined if this version cannot read it, which hides it from the view. */
export function decodeRow(entry: Entry): MemberRow | undefined {
  if (!NAME_PATTERN.test(entry.key) || !Array.isArray(entry.value)) return undefined;
  const [status, incarnation, started, address, zone, weight] = entry.value as Value[];
  const [draining, joined, since, hosts] = (entry.value as Value[]).slice(6);
  const isRow =
    (status === "alive" || status === "left") &&
    isText(incarnation, WRITER_LENGTH_MAX) &&
    typeof started === "number" &&
    isText(address, ADDRESS_LENGTH_MAX) &&
    (zone === null || isText(zone, ZONE_LENGTH_MAX)) &&
    typeof weight === "number" &&
    weight > 0 &&
    typeof draining === "boolean" &&
    isMoment(joined) &&
    isMoment(since);
  if (!isRow) return undefined;
  const own = { incarnation, started, address, zone, weight };
  const row: MemberRow = { status, ...own, draining, joined, since };
  return hosts === true ? { ...row, hosts } : row;
}

function decodeVerdict(entry: Entry): Verdict | undefined {
  if (!Array.isArray(entry.value)) return undefined;
  const [kind, time, writer, accuser, why, since] = entry.value as Value[];
  const isVerdict =
    (kind === "suspect" || kind === "dead" || kind === "removed") &&
    typeof time === "number" &&
    typeof writer === "string" &&
    typeof accuser === "string" &&
    isText(why, WHY_LENGTH_MAX) &&
    (since === null || isMoment(since));
  if (!isVerdict) return undefined;
  return { kind, about: { time, writer }, accuser, why, since: since ?? undefined };
}

/** Whether an entry has the form of a verdict, by a key of two names. */
export function isVerdict(entry: Entry): boolean {
  const names = entry.key.split("/");
  const isKey = names.length === 2 && names.every((name) => NAME_PATTERN.test(name));
  return isKey && decodeVerdict(entry) !== undefined;
}

function isMoment(value: Value | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isText(value: Value | undefined, lengthMax: number): value is string {
  return typeof value === "string" && value.length <= lengthMax;
}

/** The members of one replica, kept up to date entry by entry. */
export class Membership {
  readonly #states = new Map<PeerName, MemberState>();
  /** What `all` returns; undefined until it is asked for. */
  #sorted: readonly MemberState[] | undefined;
  /** By subject, then accuser: the verdict and when it was given. */
  readonly #verdicts = new Map<PeerName, Map<PeerName, Given>>();

  /** The member of that name, whatever its state. */
  get(name: PeerName): MemberState | undefined {
    return this.#states.get(name);
  }

  /** How many members there are, whatever their states. */
  get size(): number {
    return this.#states.size;
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
    const verdicts = this.#verdicts.get(subject) ?? new Map<PeerName, Given>();
    verdicts.set(accuser, { ...verdict, time: entry.time, by: accuser });
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

  /** [F1] Whether so many verdicts as bad or worse stand already that one more would change nothing. */
  hasEnough(subject: PeerName, kind: VerdictKind): boolean {
    const stamp = this.#states.get(subject)?.stamp;
    const asBad = this.#given(subject).filter(
      (verdict) => isAbout(verdict, stamp) && SEVERITY[verdict.kind] >= SEVERITY[kind],
    );
    return asBad.length >= VERDICTS_PER_ROW_MAX;
  }

  /**
   * [F1] The accusers whose verdicts about `subject` are not to be kept: those about an earlier row than
   * `row`, and those beyond the four worst and earliest about it. Verdicts about a row that is not
   * there yet wait for it, four as well.
   */
  surplus(subject: PeerName, row: Stamp | undefined): PeerName[] {
    return surplusOf(this.#given(subject), row);
  }

  /** [F1] Whether a verdict from elsewhere would be kept, if `row` is its subject's. */
  wouldKeep(entry: Entry, row: Stamp | undefined): boolean {
    const [subject = "", by = ""] = entry.key.split("/");
    const verdict = decodeVerdict(entry);
    if (verdict === undefined) return false;
    const others = this.#given(subject).filter((given) => given.by !== by);
    return !surplusOf([...others, { ...verdict, time: entry.time, by }], row).includes(by);
  }

  /** Forgets rows or verdicts; returns the members that are left and have another state now. */
  drop(map: typeof MEMBERS | typeof VERDICTS, keys: readonly string[]): MemberState[] {
    this.#sorted = undefined;
    const changed: MemberState[] = [];
    for (const key of keys) {
      if (map === MEMBERS) this.#states.delete(key);
      else {
        const [subject = "", accuser = ""] = key.split("/");
        const verdicts = this.#verdicts.get(subject);
        verdicts?.delete(accuser);
        if (verdicts?.size === 0) this.#verdicts.delete(subject);
        const state = this.#states.get(subject);
        const judged = state && this.#judge(subject, state.row, state.stamp);
        if (judged !== undefined) changed.push(judged);
      }
    }
    return changed;
  }

  #given(subject: PeerName): Given[] {
    return [...(this.#verdicts.get(subject)?.values() ?? [])];
  }

  /**
   * Who has given a verdict about the subject's present row and is a member, alive or suspect, in the
   * life that gave it: words of others are no evidence of anything.
   */
  accusersOf(subject: PeerName): PeerName[] {
    const stamp = this.#states.get(subject)?.stamp;
    const accusers: PeerName[] = [];
    for (const [name, verdict] of this.#verdicts.get(subject) ?? []) {
      const accuser = this.#states.get(name);
      const isThere = accuser?.status === "alive" || accuser?.status === "suspect";
      if (isThere && accuser.row.incarnation === verdict.accuser && isAbout(verdict, stamp)) {
        accusers.push(name);
      }
    }
    return accusers;
  }

  #judge(name: PeerName, row: MemberRow, stamp: Stamp): MemberState | undefined {
    const state = this.#stateOf(name, row, stamp);
    const before = this.#states.get(name);
    this.#states.set(name, state);
    this.#sorted = this.#sorted && withMember(this.#sorted, state, before !== undefined);
    const isSame =
      before !== undefined &&
      before.status === state.status &&
      before.removed === state.removed &&
      isSameRow(before.row, row);
    return isSame ? undefined : state;
  }

  #stateOf(name: PeerName, row: MemberRow, stamp: Stamp): MemberState {
    // [F6] Nobody misses who said goodbye.
    if (row.status === "left") {
      const since = timestampMs(stamp.time);
      const why = "It said goodbye";
      return { name, row, stamp, status: "left", removed: true, since, why, accusers: NOBODY };
    }
    const counting: Given[] = [];
    for (const verdict of this.#verdicts.get(name)?.values() ?? NO_VERDICTS) {
      if (!isAbout(verdict, stamp)) continue; // [F1] Said about an earlier row: refuted.
      counting.push(verdict);
    }
    if (counting.length > 1) counting.sort(compareVerdicts);
    const [worst] = counting;
    if (worst === undefined) {
      const why = row.draining ? "It answers, and is draining" : "It answers";
      const { since } = row;
      return { name, row, stamp, status: "alive", removed: false, since, why, accusers: NOBODY };
    }
    const isDead = worst.kind !== "suspect";
    const agreeing = counting
      .filter(({ kind }) => !isDead || kind !== "suspect")
      .slice(0, VERDICTS_PER_ROW_MAX);
    const accusers = agreeing.map(({ by }) => by);
    const others = accusers.slice(1);
    return {
      name,
      row,
      stamp,
      status: isDead ? "dead" : "suspect",
      removed: worst.kind === "removed",
      since: Math.min(...agreeing.map(({ since, time }) => since ?? timestampMs(time))),
      why: `${worst.by}: ${worst.why}${others.length > 0 ? `; confirmed by ${others.join(", ")}` : ""}`,
      verdict: worst.why,
      accusers,
    };
  }
}

/** The members with a new state of one: among a thousand a search and a copy cost less than sorting. */
function withMember(
  sorted: readonly MemberState[],
  state: MemberState,
  isKnown: boolean,
): readonly MemberState[] {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as MemberState).name < state.name) low = middle + 1;
    else high = middle;
  }
  const copy = sorted.slice();
  copy.splice(low, isKnown ? 1 : 0, state);
  return copy;
}

/** How a member is shown to users. */
export function publicMember(state: MemberState): Member {
  const { name, row, status, since, why, accusers } = state;
  const { address, zone, weight, draining, incarnation } = row;
  return { name, address, status, zone, weight, draining, incarnation, since, why, accusers };
}

function isAbout(verdict: Verdict, stamp: Stamp | undefined): boolean {
  return verdict.about.time === stamp?.time && verdict.about.writer === stamp.writer;
}

/** The accusers whose verdicts are not to be kept, of all that were given about one subject. */
function surplusOf(given: readonly Given[], row: Stamp | undefined): PeerName[] {
  const order = ({ about }: Given) => (row === undefined ? 1 : compareStamps(about, row));
  const surplus = given.filter((verdict) => order(verdict) < 0);
  for (const sign of [0, 1]) {
    const about = given.filter((verdict) => Math.sign(order(verdict)) === sign);
    surplus.push(...about.sort(compareVerdicts).slice(VERDICTS_PER_ROW_MAX));
  }
  return surplus.map(({ by }) => by);
}

/** The worst first, then the earliest, then by name: all peers keep the same and give one reason. */
function compareVerdicts(a: Given, b: Given): number {
  return SEVERITY[b.kind] - SEVERITY[a.kind] || a.time - b.time || compareText(a.by, b.by);
}

/** Whether two rows say the same of a peer, stamps and status aside. */
export function isSameRow(a: MemberRow, b: MemberRow): boolean {
  return (
    a.incarnation === b.incarnation &&
    a.address === b.address &&
    a.zone === b.zone &&
    a.weight === b.weight &&
    a.draining === b.draining &&
    a.hosts === b.hosts
  );
}
