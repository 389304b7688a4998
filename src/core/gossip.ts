/**
 * How entries travel: pushed when they win, reconciled in the background, refused when they must be.
 *
 * In a full mesh only the writer pushes, to everybody; nobody passes on what was pushed to it. Beyond
 * one, each delta names the arc of the members that its receiver is to tell (`arc.ts`) [G1].
 * What push lost is found by anti-entropy: now and then, with one random neighbour, and at once on
 * a new link [G3, G5]. What an exchange brought is pushed on as if it had been written here, since
 * whoever was cut off from its writer is likely to be cut off from others too.
 *
 * Every entry from outside passes `#admit`. It refuses what is too far ahead of the wall clock [C4]
 * and a founding that is not ours [A0], and otherwise judges nothing by what this peer knows [G10].
 *
 * Rules: SPEC.md, section G.
 */
import { divide, ringAround } from "./arc.ts";
import { areMergeable, decodeEra, ERA_KEY, isStale } from "./eras.ts";
import { FOUNDING_KEY, SETTINGS } from "./founding.ts";
import { FRAME_BYTES_TARGET } from "./limits.ts";
import type { Link } from "./link.ts";
import { compareStamps } from "./lww-map.ts";
import { isVerdict, MEMBERS, VERDICTS } from "./membership.ts";
import type { Delta, Entry, ExchangeMessage, MapEntries, Repair } from "./message.ts";
import type { Audience, PeerState } from "./peer-state.ts";
import { splitEntries } from "./replica.ts";
import type { Instant, LinkId, Stamp } from "./units.ts";

export class Gossip {
  readonly #state: PeerState;
  #roundAt: Instant;
  /** Entries from outside that were refused, by reason. */
  readonly refused = { malformed: 0, drift: 0 };

  constructor(state: PeerState) {
    this.#state = state;
    this.#roundAt = state.now + state.timings.syncIntervalMs;
  }

  /** Takes a message of a link that carries more than heartbeats; true when an exchange ended. */
  receive(link: Link, message: Delta | Repair | ExchangeMessage): boolean {
    switch (message.type) {
      case "delta":
        this.#takeDelta(link, message.maps, message.arc ?? "nobody");
        return false;
      case "repair":
        // A newcomer has nothing to tell that the others do not know.
        this.#merge(link, message.maps, this.#state.joined ? "all" : "nobody");
        return false;
      case "snapshot":
        this.#merge(link, message.maps, "nobody");
        break;
      default:
    }
    if (link.isClosing || this.#state.halted) return false;
    if (message.type === "head") {
      // [M5] Before anything is exchanged. Who must give way learns of it by a new handshake.
      if (!areMergeable(this.#state.replica.era, message.era)) return this.#part(link);
      link.answersMember = this.#state.isMember(link.remote);
    }
    const { replies, ended } = link.sync.receive(message);
    for (const reply of replies) this.#state.send(link, reply);
    if (ended) {
      link.isWithMember = message.type === "done" ? link.asksMember : link.answersMember;
      link.isSynced = true;
      link.isBehind = false;
      if (link.comingEra !== undefined) this.#state.eras.adopt(link.comingEra);
      link.comingEra = undefined;
    }
    return ended;
  }

  /** [G5] Starts an exchange, unless one is under way. */
  synchronise(link: Link): void {
    if (link.sync.startedAt !== undefined || link.isCongested) return;
    link.asksMember = this.#state.isMember(link.remote);
    this.#state.send(link, link.sync.begin(this.#state.now));
  }

  /** A link's socket is full, or has drained [G6]. */
  congested(id: LinkId, isCongested: boolean): void {
    const link = this.#state.links.get(id);
    if (link === undefined) return;
    link.isCongested = isCongested;
    if (!isCongested && link.isBehind) this.synchronise(link);
  }

  /** The background: one round with a random neighbour, and exchanges that went silent. */
  pulse(): void {
    const { links, now, timings, options } = this.#state;
    for (const link of links.open()) {
      const { startedAt } = link.sync;
      if (startedAt !== undefined && now - startedAt > timings.exchangeTimeoutMs) {
        link.sync.abandon();
      }
    }
    if (now < this.#roundAt) return;
    const jitter = 0.75 + 0.5 * options.random.unit();
    this.#roundAt = now + timings.syncIntervalMs * jitter;
    const free = links.free(timings.maxDriftMs);
    const neighbour = free.find((link) => link.isBehind) ?? options.random.pick(free);
    if (neighbour !== undefined) this.synchronise(neighbour); // [G3]
  }

  /** Pushes entries to an audience, as deltas, but not by one link. */
  push(maps: readonly MapEntries[], audience: Audience, except: LinkId | undefined): void {
    const { links, timings, overlay } = this.#state;
    const targets: Link[] = [];
    for (const link of links.usable(timings.maxDriftMs)) {
      if (link.id === except) continue;
      if (link.isCongested)
        link.isBehind = true; // [G6]
      else targets.push(link);
    }
    if (targets.length === 0) return;
    const isDirect = audience === "all" && overlay.isMesh;
    // Who is no member, or not yet, stands in no ring, and nobody else may have a link to it.
    const told = targets.filter(({ remote }) => isDirect || !overlay.has(remote.name));
    const members = isDirect ? [] : targets.filter(({ remote }) => overlay.has(remote.name));
    const arc = audience === "all" ? ringAround(overlay.hash) : audience;
    const pieces = divide(arc, overlay.hash, members); // [G1]
    for (const part of splitEntries(maps, FRAME_BYTES_TARGET)) {
      this.#state.sendAll(
        told.map(({ id }) => id),
        { type: "delta", maps: part },
      );
      for (const { link, ...piece } of pieces) {
        this.#state.send(link, { type: "delta", maps: part, ...piece });
      }
    }
  }

  /** [M5] The rest of what belongs to a new era comes with an exchange, and so does the era. */
  #takeDelta(link: Link, maps: readonly MapEntries[], audience: Audience | "nobody"): void {
    const { comingEra } = link;
    this.#merge(link, maps, audience);
    if (link.comingEra === comingEra) return;
    link.comingEra = comingEra;
    if (!link.isClosing) this.synchronise(link);
  }

  #merge(link: Link, maps: readonly MapEntries[], audience: Audience | "nobody"): void {
    // [F1] Verdicts are judged by the rows that came with them.
    this.#mergeSome(
      link,
      maps.filter(({ map }) => map !== VERDICTS),
      audience,
    );
    this.#mergeSome(
      link,
      maps.filter(({ map }) => map === VERDICTS),
      audience,
    );
  }

  #mergeSome(link: Link, maps: readonly MapEntries[], audience: Audience | "nobody"): void {
    if (maps.length === 0 || link.isAlien || link.isOverfull || this.#state.halted) return;
    const state = this.#state;
    const admitted: MapEntries[] = [];
    for (const { map, entries } of maps) {
      const allowed = entries.filter((entry) => this.#admit(link, map, entry));
      if (allowed.length > 0) admitted.push({ map, entries: allowed });
    }
    if (link.isAlien || state.halted) return;
    if (state.replica.wouldOverflow(admitted)) {
      // [G10] Loudly: entries that only one side keeps would be exchanged for ever.
      state.warn(
        "BUFFER_FULL",
        `Cannot take entries of "${link.remote.name}": the replica is full`,
      );
      link.isOverfull = true;
      state.links.close(link);
      state.effect({ type: "close", link: link.id, code: "BUFFER_FULL" });
      return;
    }
    state.won(state.replica.merge(admitted), audience, link.id); // [G2] Losers go nowhere.
  }

  #admit(link: Link, map: string, entry: Entry): boolean {
    const { clock, wallMs, leadMs, timings } = this.#state;
    // [C5] Peers whose walls were all ahead are left with clocks that are ahead, not all as far, and with
    // each other. Were there one whose clock is sound, this one would begin again.
    const isAhead = leadMs > 2 * timings.maxDriftMs || this.#joinsAhead(link);
    const aheadMs = isAhead ? Math.max(leadMs, link.leadMs ?? 0) : 0;
    if (!clock.observe(entry.time, wallMs + aheadMs)) {
      this.refused.drift += 1; // [C4]
      return false;
    }
    if (map === MEMBERS && entry.writer === link.remote.incarnation) {
      link.hasSoundRow = this.#state.isCredible(entry.time);
    }
    if (isStale(map, entry, this.#state.cut)) return false; // [M5]
    if (map === VERDICTS) return this.#admitVerdict(entry);
    if (map !== SETTINGS) return true;
    if (entry.key === ERA_KEY) return this.#admitEra(link, entry);
    return entry.key !== FOUNDING_KEY || this.#admitFounding(link, entry);
  }

  /** [C5] A newcomer has nothing to lose, and takes the table as it is where nobody has a sound one. */
  #joinsAhead({ leadMs = 0 }: Link): boolean {
    const { joined, founding, links, timings } = this.#state;
    const leadMsMax = 2 * timings.maxDriftMs;
    if (joined || founding.isFromDisk || leadMs <= leadMsMax) return false;
    return !links
      .usable(timings.maxDriftMs)
      .some((link) => link.remote.founding !== undefined && (link.leadMs ?? Infinity) <= leadMsMax);
  }

  /** [F1] What counts for nobody would be kept for long. */
  #admitVerdict(entry: Entry): boolean {
    const { replica, view } = this.#state;
    if (!isVerdict(entry)) {
      this.refused.malformed += 1;
      return false;
    }
    const row = replica.map(MEMBERS).entry(entry.key.slice(0, entry.key.indexOf("/")));
    return view.membership.wouldKeep(entry, row);
  }

  /** [M5] An era is taken over at the end of an exchange, and only if it follows the present one. */
  #admitEra(link: Link, entry: Entry): boolean {
    const { eras } = this.#state;
    const era = decodeEra(entry);
    if (era === undefined) this.refused.malformed += 1;
    else if (eras.relate(era) !== "mergeable") this.#part(link);
    else if (eras.isNews(entry)) {
      const { comingEra } = link;
      if (comingEra === undefined || compareStamps(entry, comingEra) > 0) link.comingEra = entry;
    }
    return false;
  }

  /**
   * [M5] This peer has a table from now on, and with it an era. Links that it opened as a newcomer may
   * lead to another line of eras: what they bring must not be merged with that table.
   */
  partOthers(): void {
    const { eras, links } = this.#state;
    for (const link of links.open()) {
      if (eras.relate(link.remote.era) !== "mergeable") this.#part(link);
    }
  }

  #part(link: Link): false {
    link.isAlien = true;
    this.#state.links.close(link);
    this.#state.effect({ type: "close", link: link.id, code: "CLUSTER_MISMATCH" });
    return false;
  }

  #admitFounding(link: Link, entry: Entry): boolean {
    const { founding, links } = this.#state;
    const stamp = { time: entry.time, writer: entry.writer };
    const isNews = founding.stamp === undefined;
    this.#relate(link, stamp);
    if (this.#state.halted || link.isAlien) return false;
    founding.settle(stamp);
    // A link that was opened before this peer had a founding may lead to another one.
    if (isNews) for (const other of links.open()) this.#relate(other, other.remote.founding);
    return true;
  }

  /** [A0] Two foundings never merge: the younger gives way, and learns of it by a new handshake. */
  #relate(link: Link, stamp: Stamp | undefined): void {
    const { founding, timings } = this.#state;
    const relation = founding.compare(stamp);
    const isDrifting = link.drifts(timings.maxDriftMs);
    if (relation === "older" && !isDrifting) beginAgain(this.#state, link, OLDER, stamp);
    if (relation === "same" || this.#state.halted || link.isAlien) return;
    this.#part(link);
  }
}

/** Why a peer begins again: its founding is the younger one, or it has missed too much [M5]. */
export const OLDER = "it belongs to an older cluster";
export const MISSED =
  "what was deleted there meanwhile is forgotten, and would come back with this one";

/** [A0, M5] Gives way to another peer: this one begins again as a newcomer to its cluster. */
export function beginAgain(state: PeerState, link: Link, why: string, older?: Stamp): void {
  const { remote } = link;
  const join = [...new Set([remote.address, ...state.options.join])];
  const message = `Beginning again with the table of "${remote.name}": ${why}`;
  state.halt({ type: "reset", join, older, message });
}
