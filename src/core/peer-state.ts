/**
 * What the parts of the state machine share: the replica, the view, the links, and this step.
 *
 * `machine.ts` sets the time at the start of a step; the parts read it, write entries and add
 * effects; at the end of the step everything that won is made durable first and told to others
 * second, by the order of one list [G1]. Nothing here decides anything.
 */
import type { Arc } from "./arc.ts";
import { HybridClock, timestampMs } from "./clock.ts";
import type { DiskImage } from "./disk-image.ts";
import { type Downing, mayHost } from "./downing.ts";
import type { Change, Effect } from "./effect.ts";
import { decodeEra, ERA_KEY, Eras, isStale } from "./eras.ts";
import type { ErrorCode } from "./error.ts";
import type { Remote } from "./event.ts";
import { FOUNDING_KEY, Founding, SETTINGS } from "./founding.ts";
import type { Link } from "./link.ts";
import { Links } from "./links.ts";
import { Liveness } from "./liveness.ts";
import { LocalHealth } from "./local-health.ts";
import { MEMBERS, type MemberState, publicMember, VERDICTS, verdictKey } from "./membership.ts";
import type { Entry, MapEntries, MapKeys, Message, Value } from "./message.ts";
import { Overlay } from "./overlay.ts";
import { PINS } from "./plan-settings.ts";
import type { Random } from "./random.ts";
import { Remembered } from "./remembered.ts";
import { Replica } from "./replica.ts";
import type { Strategy } from "./strategy.ts";
import type { TickChanges } from "./tick-view.ts";
import type { Timings } from "./timings.ts";
import type {
  Address,
  Incarnation,
  Instant,
  LinkId,
  PeerName,
  ShardId,
  Stamp,
  Timestamp,
  WallMs,
} from "./units.ts";
import { View } from "./view.ts";
import { WallClock } from "./wall-clock.ts";

export interface MachineOptions {
  readonly name: PeerName;
  readonly cluster: string;
  /** Unique to this life of the peer. */
  readonly incarnation: Incarnation;
  /** Where others dial this peer. */
  readonly address: Address;
  /** Configured shards, 0 to `SHARDS_MAX`; the same on all peers of a cluster [R6]. */
  readonly shardCount: number;
  readonly zone: string | null;
  /** Share of the shards relative to other peers, above 0. */
  readonly weight: number;
  /** Whom to dial for joining; empty for the first peer of a cluster [A0]. */
  readonly join: readonly Address[];
  /** The founding that this peer's last life gave way to: it waits for that one a while [A0]. */
  readonly older?: Stamp | undefined;
  readonly downing: Downing;
  /** Strategies of the user's own, by name. Default none. */
  readonly strategies?: ReadonlyMap<string, Strategy>;
  readonly timings: Timings;
  /** Members up to which everybody links to everybody; the same on all peers. Default MESH_MAX. */
  readonly meshMax?: number;
  /** The only randomness. */
  readonly random: Random;
  /** What the disk holds. */
  readonly image: DiskImage;
}

/** Entries that won in this step, and to whom they are news. */
interface News {
  readonly maps: readonly MapEntries[];
  /** `all` for own writes; nobody for what its writer tells everybody itself. */
  readonly audience: Audience | "nobody";
  readonly except: LinkId | undefined;
}

/** Who is to hear of entries: everybody, or those who stand in an arc [G1]. */
export type Audience = "all" | Arc;

/** Tells entries to an audience, but not by the link that they came from. */
export interface Pusher {
  push(maps: readonly MapEntries[], audience: Audience, except: LinkId | undefined): void;
}

export class PeerState {
  readonly options: MachineOptions;
  readonly timings: Timings;
  readonly clock: HybridClock;
  readonly wallClock: WallClock;
  readonly replica: Replica;
  readonly view: View;
  readonly links: Links;
  readonly liveness: Liveness;
  readonly health: LocalHealth;
  readonly founding: Founding;
  readonly eras: Eras;
  /** Who links to whom [G7]. */
  readonly overlay: Overlay;
  readonly remembered = new Remembered();
  now: Instant;
  /** The wall clock to use in this step, steps held back [C7]. */
  wallMs: WallMs;
  /** Whether this peer is a ready member: founded or joined, and synchronised. */
  joined = false;
  /** It has the table that belongs to its founding: from its disk, or by an exchange with a member. */
  hasTable: boolean;
  /** It is in sync with members that may not take it in [F9]. */
  isWaiting = false;
  /** This peer has said goodbye. */
  left = false;
  /** This region gives its shards away, since somebody asked it to [A4]. */
  draining = false;
  /** This peer's clock is the one that is wrong [C5]. */
  drifted = false;
  /** Beyond a full mesh: this peer has heard nobody for long [F9]. */
  isCutOff = false;
  /** This machine has come to an end: a reset or a stop. */
  halted = false;
  /** Members changed in this step: targets, founding and plan follow. */
  membersChanged = true;
  /** A shard lost its region in this step. */
  orphaned = true;
  /** Deletions, rows and verdicts from before this are forgotten and refused [M5]. */
  cut: Timestamp = 0;
  /** A host serves the shards of this region. */
  isHosting = false;
  /** This peer was paused, and does not know what it missed: it serves nothing [A9]. */
  isStale = false;
  /** This peer is handing its shards over, and will say goodbye then. */
  isLeaving = false;
  /** Shards that were given away and have stayed after all, until the planner has looked at them. */
  returned: ShardId[] = [];
  /** Shards whose entries have changed, until hosting and routers have looked at them. */
  touched: ShardId[] = [];
  #effects: Effect[] = [];
  #dropped: MapKeys[] = [];
  #news: News[] = [];
  #tickChanges: TickChanges = { ticks: false, progress: false };
  #durableBound: number;
  /** Undefined after a change of members. */
  #maySideHost: boolean | undefined;

  constructor(options: MachineOptions, now: Instant, wallMs: WallMs) {
    this.options = options;
    this.timings = options.timings;
    this.now = now;
    this.wallClock = new WallClock(wallMs, now);
    this.wallMs = wallMs;
    this.replica = new Replica(options.cluster);
    this.replica.merge(options.image.maps);
    const era = this.replica.map(SETTINGS).entry(ERA_KEY);
    this.#forget((era && decodeEra(era)?.cut) ?? 0); // The disk may have been slower.
    this.view = new View(this.replica, options.shardCount, options.random.uint32());
    this.remembered.apply(options.image.maps);
    // [C6] Above all that was ever issued, and above every stamp on the disk.
    const last = options.image.maps
      .flatMap(({ entries }) => entries)
      .reduce((highest, { time }) => Math.max(highest, time), options.image.clockBound);
    this.clock = new HybridClock({ maxDriftMs: 2 * options.timings.maxDriftMs, last });
    this.#durableBound = options.image.clockBound;
    this.links = new Links(options.name);
    this.liveness = new Liveness(options.timings);
    this.health = new LocalHealth(2 * options.timings.silenceMs);
    const founding = this.replica.map(SETTINGS).entry(FOUNDING_KEY);
    const stamp = founding && { time: founding.time, writer: founding.writer };
    const joins = options.join.length > 0;
    const { name, timings } = options;
    this.founding = new Founding({ name, timings, joins, stamp, older: options.older }, now);
    this.hasTable = this.founding.isFromDisk;
    this.eras = new Eras(this);
    this.overlay = new Overlay(options.name, options.meshMax);
    for (const member of this.view.membership.all()) {
      this.liveness.sawRow(member, now);
      this.#place(member);
    }
  }

  /** [G7] Whether this peer and a member look after each other, or would if it were alive. */
  isNeighbour(name: PeerName): boolean {
    return this.overlay.isNeighbour(name);
  }

  /** This peer's own row as the view shows it. */
  get self(): MemberState | undefined {
    return this.view.membership.get(this.options.name);
  }

  /** [F9] Whether the side that this peer is on may host and write. */
  get maySideHost(): boolean {
    const { downing, name } = this.options;
    if (this.isCutOff && downing !== "off") return false;
    this.#maySideHost ??= mayHost(downing, this.view.membership.all(), name);
    return this.#maySideHost;
  }

  /** How far the hybrid clock is ahead of the wall clock, in ms, 0 or more. */
  get leadMs(): number {
    return Math.max(0, timestampMs(this.clock.last) - Math.floor(this.wallMs));
  }

  /**
   * Whether the other end of a link is a member: it said so when the link opened, or has written its
   * row since. A newcomer may know of a founding, too, and have only part of its table.
   */
  isMember(remote: Remote): boolean {
    return remote.founding !== undefined || this.hasRow(remote);
  }

  /** Whether the other end of a link is the present life of a member. */
  hasRow({ name, incarnation }: Remote): boolean {
    return this.view.membership.get(name)?.row.incarnation === incarnation;
  }

  /** [C4] Whether a timestamp from elsewhere is not too far ahead to be taken. */
  isCredible(time: Timestamp): boolean {
    return timestampMs(time) - this.wallMs <= 2 * this.timings.maxDriftMs;
  }

  /** Whether this peer serves and takes writes. */
  get isReady(): boolean {
    return this.joined && !this.left && !this.drifted && !this.halted && this.maySideHost;
  }

  /** Writes an entry under a fresh stamp, to be made durable and told to all. */
  write(map: string, key: string, value: Value | undefined): Entry {
    const entry = this.#put(map, key, value);
    this.won([{ map, entries: [entry] }], "all");
    return entry;
  }

  /** Writes entries that belong together, each under a stamp of its own, as one piece of news. */
  writeAll(map: string, values: ReadonlyMap<string, Value | undefined>): void {
    if (values.size === 0) return;
    const entries = [...values].map(([key, value]) => this.#put(map, key, value));
    this.won([{ map, entries }], "all");
  }

  #put(map: string, key: string, value: Value | undefined): Entry {
    const stamp = { time: this.clock.next(this.wallMs), writer: this.options.incarnation };
    return this.replica.put(map, key, value, stamp);
  }

  /** Records entries that won in the replica: view, disk and others follow. */
  won(maps: readonly MapEntries[], audience: News["audience"], except?: LinkId): void {
    if (maps.length === 0) return;
    this.#news.push({ maps, audience, except });
    const { members, allocations, shards, ticks } = this.view.apply(maps);
    this.#tickChanges.ticks ||= ticks.ticks;
    this.#tickChanges.progress ||= ticks.progress;
    // [A2, A3] A shard that has come needs a region, and a plan is for the shards that there are.
    if (shards) this.orphaned = this.membersChanged = true;
    for (const member of members) this.#memberChanged(member);
    for (const change of allocations) this.#allocationChanged(change);
    this.remembered.apply(maps);
    for (const { map, entries } of maps) {
      if (map === MEMBERS) for (const { key } of entries) this.#sawRow(key);
      if (map !== SETTINGS && map !== PINS) continue;
      // Whatever is agreed on anew, and above all a call for a rebalance, is planned with.
      this.membersChanged = true;
      this.eras.invalidate();
    }
    this.#dropVerdicts(maps);
  }

  /** [M5] Drops what is stale by `cut` and returns the names of the members among it. */
  collect(cut: Timestamp): PeerName[] {
    const dropped = this.#forget(cut);
    for (const member of this.view.drop(dropped)) this.#memberChanged(member);
    const forgotten = dropped.find(({ map }) => map === MEMBERS)?.keys ?? [];
    for (const name of forgotten) this.liveness.forget(name);
    if (forgotten.length > 0) this.membersChanged = true;
    this.#maySideHost = undefined;
    return [...forgotten];
  }

  #forget(cut: Timestamp): MapKeys[] {
    this.cut = cut;
    const stale = this.replica.staleKeys((map, entry) => isStale(map, entry, cut));
    this.replica.drop(stale);
    this.#dropped.push(...stale);
    return stale;
  }

  /** [F1] Verdicts that count no longer, and more than four about one row, are not kept. */
  #dropVerdicts(maps: readonly MapEntries[]): void {
    const subjects = new Set<PeerName>();
    for (const { map, entries } of maps) {
      if (map === MEMBERS) for (const { key } of entries) subjects.add(key);
      if (map !== VERDICTS) continue;
      for (const { key } of entries) subjects.add(key.slice(0, key.indexOf("/")));
    }
    const keys: string[] = [];
    for (const subject of subjects) {
      const row = this.replica.map(MEMBERS).entry(subject);
      for (const accuser of this.view.membership.surplus(subject, row)) {
        keys.push(verdictKey(subject, accuser));
      }
    }
    if (keys.length === 0) return;
    const dropped = [{ map: VERDICTS, keys }];
    this.replica.drop(dropped);
    this.view.drop(dropped);
    this.#dropped.push(...dropped);
  }

  /** What has changed about ticks since this was last asked. */
  takeTickChanges(): TickChanges {
    const changes = this.#tickChanges;
    this.#tickChanges = { ticks: false, progress: false };
    return changes;
  }

  send(link: Link, message: Message): void {
    this.sendAll([link.id], message);
  }

  sendAll(links: readonly LinkId[], message: Message): void {
    if (links.length === 0) return;
    this.#effects.push({ type: "send", links, message });
    for (const id of links) {
      const link = this.links.get(id);
      if (link !== undefined) link.saidAt = this.now;
    }
  }

  notify(change: Change): void {
    this.#effects.push({ type: "notify", change });
  }

  warn(code: ErrorCode, message: string): void {
    this.notify({ type: "warning", code, message });
  }

  effect(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** Ends this machine: it begins again elsewhere, or not at all. */
  halt(effect: Extract<Effect, { type: "reset" | "stop" }>): void {
    if (this.halted) return;
    this.halted = true;
    this.effect(effect);
  }

  /** The effects of the step, in order; `pusher` sends entries to those to whom they are news. */
  finish(pusher: Pusher): Effect[] {
    const replies = this.#effects;
    this.#effects = [];
    const news = this.#news;
    if (news.length === 0 && this.#dropped.length === 0) return replies;
    this.#news = [];
    const dropped = this.#takeDropped();
    for (const { maps, audience, except } of news) {
      if (audience !== "nobody") pusher.push(maps, audience, except);
    }
    const pushes = this.#effects;
    this.#effects = [];
    // [C6] The bound is durable before anything that was issued under it is seen.
    if (this.clock.last > this.#durableBound) {
      this.#durableBound = this.clock.boundAhead(this.wallMs);
    }
    const maps = news.flatMap((item) => item.maps);
    // [G1] Durable before anyone hears of it, callers included.
    const persist = { type: "persist" as const, maps, clockBound: this.#durableBound };
    const all = dropped.length > 0 ? { ...persist, dropped } : persist;
    return [all, ...pushes, ...replies];
  }

  /** What this step has dropped, and has not taken in anew since. */
  #takeDropped(): MapKeys[] {
    const dropped = this.#dropped.flatMap(({ map, keys }) => {
      const held = this.replica.map(map);
      const gone = keys.filter((key) => held.entry(key) === undefined);
      return gone.length > 0 ? [{ map, keys: gone }] : [];
    });
    this.#dropped = [];
    return dropped;
  }

  #sawRow(name: PeerName): void {
    const member = this.view.membership.get(name);
    if (member !== undefined) this.liveness.sawRow(member, this.now);
  }

  #place({ name, status }: MemberState): void {
    this.overlay.set(name, status === "alive" || status === "suspect");
  }

  #memberChanged(member: MemberState): void {
    this.#place(member);
    this.#maySideHost = undefined;
    this.membersChanged = true;
    if (member.removed || member.status === "left") this.orphaned = true;
    this.notify({ type: "member", ...publicMember(member) });
  }

  #allocationChanged(change: Extract<Change, { type: "allocation" }>): void {
    this.notify(change);
    const { shard, region, token, writer, superseded } = change;
    this.touched.push(shard);
    const host = region === undefined ? undefined : this.view.membership.get(region);
    if (region === undefined) this.orphaned = true;
    // Somebody sees this region alive: its row, or a newer one, may still come.
    else if (host === undefined || host.removed) this.membersChanged = true;
    this.#hostChanged(shard, superseded?.region, region, { token, writer });
  }

  #hostChanged(
    shard: ShardId,
    before: PeerName | undefined,
    after: PeerName | undefined,
    { token, writer }: { readonly token: number; readonly writer: string },
  ): void {
    const { name } = this.options;
    if (this.isHosting) return; // Then the host decides when it has taken a shard.
    if (after === name) this.notify({ type: "acquire", shard, token, writer });
    else if (before === name) this.notify({ type: "release", shard, to: after });
  }
}
