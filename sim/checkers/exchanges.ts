/**
 * An exchange that has ended leaves nothing behind: either end has all that the other had when it
 * compared.
 *
 * Replicas become equal in the end even if exchanges lose something, since there will be another one.
 * But who has just joined serves by what its first one brought.
 */
import { timestampMs } from "../../src/core/clock.ts";
import type { MachineEvent } from "../../src/core/event.ts";
import { FOUNDING_KEY, SETTINGS } from "../../src/core/founding.ts";
import { compareStamps } from "../../src/core/lww-map.ts";
import type { MapEntries, Message } from "../../src/core/message.ts";
import type { Stamp } from "../../src/core/units.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";
import { isForged } from "./intrusion.ts";

/** Entries by map and key, and when they became durable by the clock of who holds them. */
type Holdings = Map<string, Stamp & { readonly at: number }>;

/** The messages that tell how far an exchange is. */
const FOLLOWED: ReadonlySet<Message["type"]> = new Set(["head", "symbols", "want", "done"]);

const NOTHING: Holdings = new Map();
const FOUNDING = `${SETTINGS} ${FOUNDING_KEY}`;

export class ExchangesChecker implements Checker {
  readonly #report: Report;
  /** By incarnation. */
  readonly #peers = new Map<string, SimulatedPeer>();
  /** What is durable in the present life of each peer. */
  readonly #held = new Map<SimulatedPeer, Holdings>();
  /** The incarnation that each link of an incarnation leads to. */
  readonly #remotes = new Map<string, string>();
  /** What one end of an exchange had when it compared. An exchange that did not end leaves it. */
  readonly #compared = new Map<string, Holdings>();

  constructor(report: Report) {
    this.#report = report;
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
        const { key, time, writer } = entry;
        // One stamp may be on several forged rows.
        if (isForged(entry)) held?.delete(`${map} ${key}`);
        else held?.set(`${map} ${key}`, { time, writer, at: peer.now });
      }
    }
  }

  stepped(peer: SimulatedPeer, event: MachineEvent): void {
    const own = peer.machine?.incarnation;
    if (event.type === "link-opened") {
      this.#remotes.set(`${own} ${event.link}`, event.remote.incarnation);
    }
    if (event.type !== "received" || own === undefined) return;
    for (const message of event.messages) {
      if (!FOLLOWED.has(message.type)) continue;
      const remote = this.#remotes.get(`${own} ${event.link}`);
      if (remote !== undefined) this.#followed(peer, own, remote, message);
    }
  }

  #followed(peer: SimulatedPeer, own: string, remote: string, message: Message): void {
    switch (message.type) {
      case "head":
        this.#compare(peer, `${own} to ${remote} ${message.exchange}`, message.summary);
        break;
      case "symbols":
        if (message.from === 0) this.#compare(peer, `${own} to ${remote} ${message.exchange}`);
        break;
      case "want":
      case "done":
        this.#end(peer, remote, `${remote} to ${own} ${message.exchange}`);
    }
  }

  /** It compares what it had before this step. */
  #compare(peer: SimulatedPeer, exchange: string, head?: Uint8Array): void {
    // Numbers repeat on other links of the pair. What was held earlier is held still, or replaced.
    if (this.#compared.has(exchange)) return;
    // Most heads are equal, and end the exchange at once.
    const isEqual = head !== undefined && fingerprintOf(head) === peer.machine?.status().replica;
    const held = [...(this.#held.get(peer) ?? [])].filter(([, { at }]) => at < peer.now);
    this.#compared.set(exchange, isEqual ? NOTHING : new Map(held));
  }

  #end(peer: SimulatedPeer, remote: string, exchange: string): void {
    const compared = this.#compared.get(exchange);
    this.#compared.delete(exchange);
    const other = this.#peers.get(remote);
    if (compared === undefined || compared === NOTHING) return;
    if (other?.machine?.incarnation !== remote) return;
    const mine = presentOf(peer);
    const theirs = presentOf(other);
    // [A0] Nothing is taken from another founding.
    if (!isSame(mine.get(FOUNDING), theirs.get(FOUNDING))) return;
    // [C4] Where clocks differ nothing is taken, and what is too far ahead nowhere. Only what surely is
    // to be taken counts.
    const { maxDriftMs } = peer.options.timings;
    const usedMs = peer.machine?.wallMs ?? 0;
    if (Math.abs(usedMs - other.machine.wallMs) > maxDriftMs / 2) return;
    const latestMs = Math.min(peer.wallMs, usedMs) + maxDriftMs;
    for (const [place, stamp] of compared) {
      if (timestampMs(stamp.time) > latestMs || !isSame(theirs.get(place), stamp)) continue;
      const has = mine.get(place);
      if (has === undefined || compareStamps(has, stamp) < 0) {
        this.#report("G4", `${peer.name} lacks ${place} after an exchange with ${other.name}`);
        return;
      }
    }
  }
}

function presentOf({ machine }: SimulatedPeer): ReadonlyMap<string, Stamp> {
  const present = new Map<string, Stamp>();
  for (const { map, entries } of machine?.entries() ?? []) {
    for (const entry of entries) present.set(`${map} ${entry.key}`, entry);
  }
  return present;
}

function isSame(a: Stamp | undefined, b: Stamp | undefined): boolean {
  return a?.time === b?.time && a?.writer === b?.writer;
}

/** What a head names a replica by, written as a status shows it. */
function fingerprintOf(summary: Uint8Array): string {
  return [...summary.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
