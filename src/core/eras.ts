/**
 * When what was deleted may be forgotten: eras, by which tombstones and old rows are collected [M5].
 *
 * Theory of operation
 *
 * A tombstone can be dropped once nobody is left who could bring back what it deletes. No clock can say
 * when that is: a peer that was off for a month comes back with the table of a month ago. So the
 * cluster counts its life in eras. From time to time the lowest member of the hosting side writes the
 * next `era` entry, which names the era before it and a `cut`, a moment well before that one began.
 * Whoever takes the entry over drops all tombstones, rows and verdicts from before the cut, and refuses
 * them from then on; that depends on the entry and the cut alone, so replicas of one era stay equal.
 *
 *   founding        era 1              era 2              era 3
 *      |--------------|--------|cut of 3 |------------------|----> time
 *                              <- grace ->
 *
 * Who is at era 2 has all that was deleted before the cut of era 3: an era is taken over only at the end
 * of an exchange with somebody who had it, and so with all that its writer knew. Therefore a peer that
 * is one era behind catches up. One that is further behind, or that belongs to a line of eras which
 * parted from this one (both sides of a partition went on), may hold what was deleted elsewhere and
 * forgotten since: it begins again with an empty table before it exchanges anything. Of two lines the
 * one with the lower number gives way, then the one with the lower stamp. A peer that meets nobody
 * never begins again. The founding is era 0, and of two foundings the older wins, whatever their eras.
 *
 * Rows carry no tombstone: a member writes its row anew in every era, so that a row from before the cut
 * is one of somebody who is gone. Live entries of other maps are never refused for their age.
 *
 * Deliberately absent: agreement. Two members that write the same era at once both name the same era
 * before it, so their entries merge like any others. What is assumed is that the hosting side spreads a
 * deletion among its members within the grace of the cut and one era.
 *
 * Rules: SPEC.md, M5 and F8.
 */
import { TICKS_PER_MS, timestampMs } from "./clock.ts";
import type { Change } from "./effect.ts";
import { FOUNDING_KEY, SETTINGS } from "./founding.ts";
import { hash32 } from "./hash.ts";
import { WRITER_LENGTH_MAX } from "./limits.ts";
import { compareStamps } from "./lww-map.ts";
import { MEMBERS, type MemberState, VERDICTS } from "./membership.ts";
import { type Entry, type EraMark, type MapEntries, NO_ERA, type Value } from "./message.ts";
import type { Random } from "./random.ts";
import type { Replica } from "./replica.ts";
import type { Timings } from "./timings.ts";
import type { Incarnation, Instant, PeerName, Stamp, Timestamp, WallMs } from "./units.ts";

/** The key in `settings` of the present era. There is none in era 0, which is the founding. */
export const ERA_KEY = "era";

/** Over how much of an era its members write their rows anew, and at the most how long, in ms. */
const REFRESH_SHARE = 0.1;
const REFRESH_MS_MAX = 60_000;

/** One era, as far as it takes to tell whether two replicas may be merged. */
export interface Era {
  readonly number: number;
  readonly stamp: Stamp;
  /** The stamp of the era before it; in era 0 that of the founding, too. */
  readonly previous: Stamp;
}

/** The value of an `era` entry. The cut is in it, so that all agree on what is stale. */
function encodeEra(number: number, previous: Stamp, cut: Timestamp): Value {
  return [number, previous.time, previous.writer, cut];
}

/** Reads an `era` entry; undefined when it is none, which no peer writes and all refuse [G10]. */
export function decodeEra(entry: Entry): (Era & { readonly cut: Timestamp }) | undefined {
  if (!Array.isArray(entry.value)) return undefined;
  const [number, time, writer, cut] = entry.value as Value[];
  if (!isCount(number) || number === 0 || !isCount(time) || !isCount(cut) || cut > time) {
    return undefined;
  }
  if (typeof writer !== "string" || writer.length > WRITER_LENGTH_MAX) return undefined;
  const previous = { time, writer };
  const stamp = { time: entry.time, writer: entry.writer };
  return compareStamps(previous, stamp) < 0 ? { number, stamp, previous, cut } : undefined;
}

function isCount(value: Value | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/**
 * [M5] What an era's cut makes stale: deletions of any map, and what is known of members that have not
 * written their row since. Depends on nothing else, or two replicas would never be equal [G10].
 */
export function isStale(map: string, { time, value }: Entry, cut: Timestamp): boolean {
  return time < cut && (value === undefined || map === MEMBERS || map === VERDICTS);
}

/**
 * How another era relates to this one: `mergeable`; `ahead` when who belongs to this one must begin
 * again; `behind` when the other must.
 */
export function relateEras(mine: Era, theirs: Era): "mergeable" | "ahead" | "behind" {
  if (isMergeable(mine, theirs, compareStamps)) return "mergeable";
  const order = theirs.number - mine.number || compareStamps(theirs.stamp, mine.stamp);
  return order > 0 ? "ahead" : "behind";
}

/** The same of two marks, which cannot tell who must begin again. */
export function areMergeable(mine: EraMark, theirs: EraMark): boolean {
  if (mine.mark === 0 || theirs.mark === 0) return true; // A newcomer has nothing to bring back.
  const one = { number: mine.number, stamp: mine.mark, previous: mine.before };
  const other = { number: theirs.number, stamp: theirs.mark, previous: theirs.before };
  return isMergeable(one, other, (a, b) => a - b);
}

interface Line<S> {
  readonly number: number;
  readonly stamp: S;
  readonly previous: S;
}

/** [M5] Both follow the same era, or one follows the other. */
function isMergeable<S>(a: Line<S>, b: Line<S>, compare: (a: S, b: S) => number): boolean {
  if (a.number === b.number) return compare(a.previous, b.previous) === 0;
  const [older, newer] = a.number < b.number ? [a, b] : [b, a];
  return older.number + 1 === newer.number && compare(older.stamp, newer.previous) === 0;
}

export function markOf({ number, stamp, previous }: Era): EraMark {
  return { number, mark: hashOf(stamp), before: hashOf(previous) };
}

/** Never 0, which stands for a newcomer. */
function hashOf({ time, writer }: Stamp): number {
  return hash32(`${time} ${writer}`) || 1;
}

/** What eras see of the peer that they are kept for: a part of `PeerState`. */
export interface ErasHost {
  readonly options: { readonly incarnation: Incarnation; readonly random: Random };
  readonly timings: Timings;
  readonly replica: Replica;
  readonly view: { readonly membership: { all(): readonly MemberState[] } };
  readonly self: MemberState | undefined;
  readonly now: Instant;
  readonly wallMs: WallMs;
  readonly joined: boolean;
  readonly hasTable: boolean;
  readonly isReady: boolean;
  write(map: string, key: string, value: Value | undefined): Entry;
  won(maps: readonly MapEntries[], audience: "nobody"): void;
  /** Drops what is stale by this cut; returns the members that are forgotten by it. */
  collect(cut: Timestamp): readonly PeerName[];
  notify(change: Change): void;
}

/** This peer's part in the eras of its cluster. */
export class Eras {
  readonly #state: ErasHost;
  /** What the settings say, and whether they have changed since it was read. */
  #era: Era | undefined;
  #isStale = true;
  /** What heads say. */
  #told: Era | undefined;
  /** When the own row is written anew; Infinity while it is of this era. */
  #refreshAt: Instant = Number.POSITIVE_INFINITY;

  constructor(state: ErasHost) {
    this.#state = state;
  }

  /**
   * The era that this peer belongs to. Undefined for a newcomer: it may have the entry before it has
   * the table that belongs to it.
   */
  get era(): Era | undefined {
    const { joined, hasTable } = this.#state;
    return joined || hasTable ? this.#read() : undefined;
  }

  /** The settings have changed. */
  invalidate(): void {
    this.#isStale = true;
  }

  /** How the era of another peer, or one that came from it, relates to this peer's. */
  relate(theirs: Era | undefined): ReturnType<typeof relateEras> {
    const mine = this.era;
    return mine === undefined || theirs === undefined ? "mergeable" : relateEras(mine, theirs);
  }

  /** Whether an era entry is news here. */
  isNews(entry: Entry): boolean {
    const held = this.#state.replica.map(SETTINGS).entry(ERA_KEY);
    return held === undefined || compareStamps(entry, held) > 0;
  }

  /** Takes an era over: an exchange has brought all that belongs to it. */
  adopt(entry: Entry): void {
    const state = this.#state;
    if (!this.isNews(entry) || this.relate(decodeEra(entry)) !== "mergeable") return;
    const winners = state.replica.merge([{ map: SETTINGS, entries: [entry] }]);
    state.won(winners, "nobody"); // Everybody takes it over by an exchange.
    this.#begin(entry);
  }

  /** Writes the next era when it is time and this peer's part. */
  pulse(): void {
    const state = this.#state;
    const era = this.era;
    if (era === undefined || !state.isReady || !this.#isLowest()) return;
    const { eraMs, eraGraceMs } = state.timings;
    if (state.wallMs - timestampMs(era.stamp.time) < eraMs) return;
    const cut = Math.max(0, era.stamp.time - eraGraceMs * TICKS_PER_MS);
    this.#begin(state.write(SETTINGS, ERA_KEY, encodeEra(era.number + 1, era.stamp, cut)));
  }

  /** What heads say, and whether it is time for this peer to write its row anew. */
  settle(): { readonly isRefreshDue: boolean } {
    const { now, replica, self, options } = this.#state;
    const { era } = this;
    if (era !== this.#told) {
      this.#told = era;
      replica.era = era === undefined ? NO_ERA : markOf(era);
    }
    // A row of an earlier life, or none, is the matter of whoever defends it.
    if (era === undefined || self?.row.incarnation !== options.incarnation) {
      return { isRefreshDue: false };
    }
    if (self.stamp.time >= era.stamp.time) this.#refreshAt = Number.POSITIVE_INFINITY;
    else if (this.#refreshAt === Number.POSITIVE_INFINITY) this.#refreshAt = now + this.#spread();
    return { isRefreshDue: now >= this.#refreshAt };
  }

  /** [M5] Drops what has become stale, from map and sketch together. */
  #begin(entry: Entry): void {
    const state = this.#state;
    const era = decodeEra(entry);
    if (era === undefined) return;
    const forgotten = state.collect(era.cut);
    state.notify({ type: "era", number: era.number, forgotten });
  }

  /** All rows at once would be a storm in a large cluster. */
  #spread(): number {
    const { options, timings } = this.#state;
    return options.random.unit() * Math.min(REFRESH_MS_MAX, REFRESH_SHARE * timings.eraMs);
  }

  /** A suspect may be about to write the era itself. */
  #isLowest(): boolean {
    const { self, view } = this.#state;
    const lowest = view.membership
      .all()
      .find(({ status }) => status !== "dead" && status !== "left");
    return self !== undefined && lowest?.name === self.name;
  }

  #read(): Era | undefined {
    if (this.#isStale) {
      this.#isStale = false;
      this.#era = eraIn(this.#state.replica);
    }
    return this.#era;
  }
}

function eraIn(replica: Replica): Era | undefined {
  const entry = replica.map(SETTINGS).entry(ERA_KEY);
  if (entry !== undefined) return decodeEra(entry);
  const founding = replica.map(SETTINGS).entry(FOUNDING_KEY);
  if (founding === undefined) return undefined;
  const stamp = { time: founding.time, writer: founding.writer };
  return { number: 0, stamp, previous: stamp };
}
