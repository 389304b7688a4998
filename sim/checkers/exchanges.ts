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
import { compareStamps } from "../../src/core/lww-map.ts";
import { MEMBERS, VERDICTS } from "../../src/core/membership.ts";
import type { Entry, ExchangeMessage, MapEntries, Message } from "../../src/core/message.ts";
import type { Stamp } from "../../src/core/units.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";
import { forgetting } from "./forgotten.ts";
import { isForged } from "./intrusion.ts";

/** An entry, and when it became durable by the clock of who holds it. */
interface Holding extends Entry {
  readonly map: string;
  readonly at: number;
}

/** By map and key. */
type Holdings = Map<string, Holding>;

/** The messages that tell how far an exchange is. */
const FOLLOWED: ReadonlySet<Message["type"]> = new Set(["head", "symbols", "want", "done"]);

const isFollowed = (message: Message): message is ExchangeMessage => FOLLOWED.has(message.type);

/** How long after it a second comparison may come, in ms. */
const AGAIN_MS = 1000;

const NOTHING: Holdings = new Map();

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
  readonly #compared = new Map<string, Holdings>();
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
    this.#held.set(peer, new Map());
    this.persisted(peer, peer.machine.entries());
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    const held = this.#held.get(peer);
    for (const { map, entries } of maps) {
      for (const entry of entries) {
        const place = `${map} ${entry.key}`;
        // One stamp may be on several forged rows.
        if (isForged(entry)) held?.delete(place);
        else held?.set(place, { ...entry, map, at: peer.now });
      }
    }
  }

  stepped(peer: SimulatedPeer, event: MachineEvent): void {
    const own = peer.machine?.incarnation;
    if (event.type === "link-opened") {
      this.#remotes.set(`${own} ${event.link}`, event.remote.incarnation);
    }
    if (event.type !== "received" || own === undefined) return;
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
    const held = [...(this.#held.get(peer) ?? [])].filter(([, { at }]) => at < peer.now);
    this.#compared.set(exchange, new Map(held));
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
    const era = compared.get(`${SETTINGS} ${ERA_KEY}`);
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
    const mayForget = forgetting(peer.machine?.entries() ?? []);
    for (const holding of compared.values()) {
      const { map, key, time } = holding;
      if (timestampMs(time) > latestMs || !isSame(theirs(map, key), holding)) continue;
      const has = mine(map, key);
      if (has === undefined && mayForget(map, holding)) continue;
      // [F1] Nor is a verdict kept that counts for nobody, though it be the newer one of an accuser.
      const row = map === VERDICTS ? mine(MEMBERS, key.slice(0, key.indexOf("/"))) : undefined;
      const keeps = map !== VERDICTS || peer.machine?.view.membership.wouldKeep(holding, row);
      if (keeps !== true) continue;
      if (has === undefined || compareStamps(has, holding) < 0) {
        this.#report("G4", `${peer.name} lacks ${map} ${key} after an exchange with ${other.name}`);
        return;
      }
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
  return [...summary.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
