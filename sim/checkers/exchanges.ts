/**
 * An exchange that has ended leaves nothing behind: either end has all that the other had when it
 * compared.
 *
 * Replicas become equal in the end even if exchanges lose something, since there will be another one.
 * But who has just joined serves by what its first one brought.
 */
import { timestampMs } from "../../src/core/clock.ts";
import { ERA_KEY } from "../../src/core/eras.ts";
import type { MachineEvent } from "../../src/core/event.ts";
import { FOUNDING_KEY, SETTINGS } from "../../src/core/founding.ts";
import { hexOf } from "../../src/core/hash.ts";
import { compareStamps } from "../../src/core/lww-map.ts";
import { MEMBERS, VERDICTS } from "../../src/core/membership.ts";
import type { Entry, ExchangeMessage, MapEntries, Message } from "../../src/core/message.ts";
import type { Stamp } from "../../src/core/units.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";
import { forgetting } from "./forgotten.ts";
import { isForged } from "./intrusion.ts";
import { Places } from "./places.ts";

/** An entry, and when it became durable by the clock of who holds it. */
interface Holding {
  readonly map: string;
  readonly entry: Entry;
  readonly at: number;
  /** It was replaced by a row that somebody forged, so nobody need have it. */
  isVoid: boolean;
}

/**
 * All that one life of a peer has held, in the order in which it came. What it held at some moment is the
 * beginning of that; what was overwritten by then is held by nobody who compares, and does no harm.
 */
interface Holdings {
  readonly history: Holding[];
  /** The last of each map and key. */
  readonly last: Places<Holding>;
}

/** What one end had when it compared: so many of what it has held. */
interface Compared {
  readonly history: readonly Holding[];
  readonly count: number;
}

/** The messages that tell how far an exchange is. */
const FOLLOWED: ReadonlySet<Message["type"]> = new Set(["head", "symbols", "want", "done"]);

const isFollowed = (message: Message): message is ExchangeMessage => FOLLOWED.has(message.type);

/** How long after it a second comparison may come, in ms. */
const AGAIN_MS = 1000;

const NOTHING: Compared = { history: [], count: 0 };

/** The ends of a link, named so that each connection has names of its own. */
interface Ends {
  readonly own: string;
  readonly remote: string;
}

export class ExchangesChecker implements Checker {
  readonly #report: Report;
  /** By incarnation. */
  readonly #peers = new Map<string, SimulatedPeer>();
  /** What is durable in the present life of each peer. */
  readonly #held = new Map<SimulatedPeer, Holdings>();
  /** The incarnation that each link of an incarnation leads to. */
  readonly #remotes = new Map<string, string>();
  /** Numbers of connections: those of exchanges begin anew with each. */
  readonly #ways = new WeakMap<object, number>();
  #wayCount = 0;
  /** What one end of an exchange had when it compared. An exchange that did not end leaves it. */
  readonly #compared = new Map<string, Compared>();
  /** When an exchange asked for what it lacked. */
  readonly #wantedAt = new Map<string, number>();
  /** Exchanges that have been said to be over, by link. */
  readonly #done = new Set<string>();
  readonly #now: () => number;

  constructor(report: Report, now: () => number) {
    this.#report = report;
    this.#now = now;
  }

  booted(peer: SimulatedPeer): void {
    if (peer.machine === undefined) return;
    this.#peers.set(peer.machine.incarnation, peer);
    this.#held.set(peer, { history: [], last: new Places() });
    this.persisted(peer, peer.machine.entries());
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    const held = this.#held.get(peer);
    if (held === undefined) return;
    const at = peer.now;
    for (const { map, entries } of maps) {
      for (const entry of entries) {
        // One stamp may be on several forged rows.
        if (isForged(entry)) {
          const before = held.last.get(map, entry.key);
          if (before !== undefined) before.isVoid = true;
          continue;
        }
        const holding = { map, entry, at, isVoid: false };
        held.history.push(holding);
        held.last.set(map, entry.key, holding);
      }
    }
  }

  stepped(peer: SimulatedPeer, event: MachineEvent): void {
    if (event.type !== "link-opened" && event.type !== "received") return;
    const own = peer.machine?.incarnation;
    if (own === undefined) return;
    if (event.type === "link-opened") {
      this.#remotes.set(`${own} ${event.link}`, event.remote.incarnation);
      return;
    }
    if (!event.messages.some(isFollowed)) return; // Most say only that somebody lives.
    const remote = this.#remotes.get(`${own} ${event.link}`);
    const connection = peer.links.connectionOf(event.link);
    if (remote === undefined || connection === undefined || !peer.links.isOpen(event.link)) return;
    const way = this.#wayOf(connection);
    const ends = { own: `${way} ${own}`, remote: `${way} ${remote}` };
    for (const message of event.messages) {
      if (!isFollowed(message) || this.#isRepeated(ends.own, message)) continue;
      this.#followed(peer, remote, ends, message);
    }
  }

  #wayOf(connection: object): number {
    const way = this.#ways.get(connection);
    if (way !== undefined) return way;
    this.#wayCount += 1;
    this.#ways.set(connection, this.#wayCount);
    return this.#wayCount;
  }

  /** An end that came twice ends only one exchange. */
  #isRepeated(end: string, message: ExchangeMessage): boolean {
    if (message.type !== "done") return false;
    const name = `${end} ${message.exchange}`;
    const isRepeated = this.#done.has(name);
    this.#done.add(name);
    return isRepeated;
  }

  #followed(peer: SimulatedPeer, remote: string, ends: Ends, message: ExchangeMessage): void {
    const compared = `${ends.own} ${message.exchange}`;
    const ended = `${ends.remote} ${message.exchange}`;
    switch (message.type) {
      case "head":
        this.#compare(peer, compared, message.summary);
        break;
      case "symbols":
        if (message.from === 0) this.#compare(peer, compared);
        break;
      case "want":
        this.#wantedAt.set(ended, this.#now());
        this.#end(peer, remote, ended);
        break;
      case "done":
        this.#end(peer, remote, ended);
    }
  }

  /** It compares what it had before this step. */
  #compare(peer: SimulatedPeer, exchange: string, head?: Uint8Array): void {
    // It may be sent again. What was held earlier is held still, or replaced.
    if (this.#compared.has(exchange)) return;
    // It compares again when what it wanted was overwritten. A want that comes twice ends only the first.
    if (this.#now() - (this.#wantedAt.get(exchange) ?? -Infinity) < AGAIN_MS) return;
    // Most heads are equal, and end the exchange at once.
    if (head !== undefined && fingerprintOf(head) === peer.summary?.replica) {
      this.#compared.set(exchange, NOTHING);
      return;
    }
    const { history } = this.#held.get(peer) ?? { history: [] };
    let count = history.length;
    while (count > 0 && (history[count - 1] as Holding).at >= peer.now) count -= 1;
    this.#compared.set(exchange, { history, count });
  }

  #end(peer: SimulatedPeer, remote: string, exchange: string): void {
    const compared = this.#compared.get(exchange);
    this.#compared.delete(exchange);
    const other = this.#peers.get(remote);
    if (compared === undefined || compared === NOTHING) return;
    if (other?.machine?.incarnation !== remote) return;
    const mine = entriesOf(peer);
    const theirs = entriesOf(other);
    // [A0] Nothing is taken from another founding.
    if (!isSame(mine(SETTINGS, FOUNDING_KEY), theirs(SETTINGS, FOUNDING_KEY))) return;
    // [M5] Nor from another line of eras.
    if (!isOneLine(mine(SETTINGS, ERA_KEY), theirs(SETTINGS, ERA_KEY))) return;
    // [M5] An era is taken over at the end. Where it is not, the link is about to be closed, and what
    // came by it does not count: this peer has just joined by somebody of an earlier era.
    const held = compared.history.slice(0, compared.count);
    const isEra = ({ map, entry }: Holding) => map === SETTINGS && entry.key === ERA_KEY;
    const era = held.findLast(isEra)?.entry;
    if (era !== undefined && isSame(theirs(SETTINGS, ERA_KEY), era)) {
      const has = mine(SETTINGS, ERA_KEY);
      if (has === undefined || compareStamps(has, era) < 0) return;
    }
    // [C4] Where clocks differ nothing is taken, and what is too far ahead nowhere. Only what surely is
    // to be taken counts. To who is slow clocks look old by the time that it takes to read them.
    if (peer.slowMs > 0) return;
    const { maxDriftMs } = peer.options.timings;
    const usedMs = peer.machine?.wallMs ?? 0;
    if (Math.abs(usedMs - other.machine.wallMs) > maxDriftMs / 2) return;
    const latestMs = Math.min(peer.wallMs, usedMs) + maxDriftMs;
    let mayForget: ReturnType<typeof forgetting> | undefined;
    for (const { map, entry, isVoid } of held) {
      const { key, time } = entry;
      if (isVoid || timestampMs(time) > latestMs || !isSame(theirs(map, key), entry)) continue;
      const has = mine(map, key);
      if (has !== undefined && compareStamps(has, entry) >= 0) continue;
      mayForget ??= forgetting(peer.machine?.entries() ?? []);
      if (has === undefined && mayForget(map, entry)) continue;
      // [F1] Nor is a verdict kept that counts for nobody, though it be the newer one of an accuser.
      const row = map === VERDICTS ? mine(MEMBERS, key.slice(0, key.indexOf("/"))) : undefined;
      const keeps = map !== VERDICTS || peer.machine?.view.membership.wouldKeep(entry, row);
      if (keeps !== true) continue;
      this.#report("G4", `${peer.name} lacks ${map} ${key} after an exchange with ${other.name}`);
      return;
    }
  }
}

/** Whether two eras are one, or one follows the other, or both the same. Era 0 has no entry. */
function isOneLine(a: Entry | undefined, b: Entry | undefined): boolean {
  const [one, two] = [a, b].map((era) => (Array.isArray(era?.value) ? era.value : [0, 0]));
  const [older, newer] = Number(one?.[0]) <= Number(two?.[0]) ? [a, b] : [b, a];
  const [low, high] = [older, newer].map((era) => (Array.isArray(era?.value) ? era.value : [0, 0]));
  if (low?.[0] === high?.[0]) return low?.[1] === high?.[1];
  const isFirst = low?.[0] === 0;
  return Number(high?.[0]) === Number(low?.[0]) + 1 && (isFirst || high?.[1] === older?.time);
}

/** Looks entries up in what a peer holds now. */
function entriesOf({ machine }: SimulatedPeer): (map: string, key: string) => Entry | undefined {
  return (map, key) => machine?.entry(map, key);
}

function isSame(a: Stamp | undefined, b: Stamp | undefined): boolean {
  return a?.time === b?.time && a?.writer === b?.writer;
}

/** What a head names a replica by, written as a status shows it. */
function fingerprintOf(summary: Uint8Array): string {
  const view = new DataView(summary.buffer, summary.byteOffset, 8);
  return hexOf(view.getUint32(0)) + hexOf(view.getUint32(4));
}
