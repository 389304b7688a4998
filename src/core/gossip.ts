/**
 * How entries travel: pushed when they win, reconciled in the background, refused when they must be.
 *
 * In a full mesh only the writer pushes, to everybody; nobody passes on what was pushed to it [G1].
 * What push lost is found by anti-entropy: now and then, with one random neighbour, and at once on
 * a new link [G3, G5]. What an exchange brought is pushed on as if it had been written here, since
 * whoever was cut off from its writer is likely to be cut off from others too.
 *
 * Every entry from outside passes `#admit`. It refuses what is too far ahead of the wall clock [C4]
 * and a founding that is not ours [A0], and otherwise judges nothing by what this peer knows [G10].
 *
 * Rules: SPEC.md, section G.
 */
import { FOUNDING_KEY, SETTINGS } from "./founding.ts";
import { FRAME_BYTES_TARGET } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Entry, MapEntries, Message } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
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
  receive(
    link: Link,
    message: Exclude<Message, { type: "heartbeat" | "probe" | "probe-answer" }>,
  ): boolean {
    switch (message.type) {
      case "delta":
        this.#merge(link, message.maps, "nobody");
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
    if (message.type === "head") link.answersMember = this.#state.isMember(link.remote);
    const { replies, ended } = link.sync.receive(message);
    for (const reply of replies) this.#state.send(link, reply);
    if (ended) {
      link.isWithMember = message.type === "done" ? link.asksMember : link.answersMember;
      link.isSynced = true;
      link.isBehind = false;
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

  /** Pushes entries to every link but one, as deltas. */
  push(maps: readonly MapEntries[], except: LinkId | undefined): void {
    const { links, timings } = this.#state;
    const targets: LinkId[] = [];
    for (const link of links.usable(timings.maxDriftMs)) {
      if (link.id === except) continue;
      if (link.isCongested)
        link.isBehind = true; // [G6]
      else targets.push(link.id);
    }
    if (targets.length === 0) return;
    for (const part of splitEntries(maps, FRAME_BYTES_TARGET)) {
      this.#state.sendAll(targets, { type: "delta", maps: part });
    }
  }

  #merge(link: Link, maps: readonly MapEntries[], audience: "all" | "nobody"): void {
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
      state.links.close(link);
      state.effect({ type: "close", link: link.id, code: "BUFFER_FULL" });
      return;
    }
    state.won(state.replica.merge(admitted), audience, link.id); // [G2] Losers go nowhere.
  }

  #admit(link: Link, map: string, entry: Entry): boolean {
    const { clock, wallMs, leadMs, timings } = this.#state;
    // [C5] Peers whose walls were all ahead are left with clocks that are ahead, and with each other.
    const isAhead = leadMs > 2 * timings.maxDriftMs;
    if (!clock.observe(entry.time, isAhead ? wallMs + leadMs : wallMs)) {
      this.refused.drift += 1; // [C4]
      return false;
    }
    if (map !== SETTINGS || entry.key !== FOUNDING_KEY) return true;
    return this.#admitFounding(link, entry);
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
    if (relation === "older" && !isDrifting) beginAgain(this.#state, link);
    if (relation === "same" || this.#state.halted || link.isAlien) return;
    link.isAlien = true;
    this.#state.links.close(link);
    this.#state.effect({ type: "close", link: link.id, code: "CLUSTER_MISMATCH" });
  }
}

/** [A0] Gives way to an older founding: this peer begins again as a newcomer to that cluster. */
export function beginAgain(state: PeerState, link: Link): void {
  const { remote } = link;
  const join = [...new Set([remote.address, ...state.options.join])];
  const message = `Joining the older cluster of "${remote.name}" with an empty table`;
  state.halt({ type: "reset", join, message });
}
