/**
 * Entries only get higher, clocks too, and one stamp names one write.
 *
 * The model is a map of all that each peer has ever made durable, kept across its lives and
 * forgotten only with its disk.
 */
import { compareStamps } from "../../src/core/lww-map.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";
import { isForged } from "./intrusion.ts";

export class EntriesChecker implements Checker {
  readonly #report: Report;
  /** By peer, then map and key. */
  readonly #held = new Map<SimulatedPeer, Map<string, Entry>>();
  /** What each stamp was used for, in the whole run. */
  readonly #contents = new Map<string, string>();
  /** The highest timestamp that each peer has issued. */
  readonly #issued = new Map<SimulatedPeer, number>();

  constructor(report: Report) {
    this.#report = report;
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    const held = this.#held.get(peer) ?? new Map<string, Entry>();
    this.#held.set(peer, held);
    const own = peer.machine?.incarnation;
    for (const { map, entries } of maps) {
      for (const entry of entries) {
        const place = `${map} ${entry.key}`;
        this.#compare(peer, place, held.get(place), entry);
        held.set(place, entry);
        if (isForged(entry)) continue; // Its writer did not issue it.
        this.#identify(place, entry);
        if (entry.writer === own) this.#issue(peer, entry);
      }
    }
  }

  wiped(peer: SimulatedPeer): void {
    this.#held.delete(peer);
    this.#issued.delete(peer);
  }

  /** [I6] Every peer has at least what any of them has ever held. */
  settled(peers: readonly SimulatedPeer[]): void {
    const highest = new Map<string, Entry>();
    for (const peer of peers) {
      for (const [place, entry] of this.#held.get(peer) ?? []) {
        const known = highest.get(place);
        if (known === undefined || compareStamps(entry, known) > 0) highest.set(place, entry);
      }
    }
    for (const peer of peers) {
      const present = new Map<string, Entry>();
      for (const { map, entries } of peer.machine?.entries() ?? []) {
        for (const entry of entries) present.set(`${map} ${entry.key}`, entry);
      }
      for (const [place, entry] of highest) {
        const has = present.get(place);
        if (has === undefined || compareStamps(has, entry) < 0) {
          this.#report("I6", `${peer.name} lacks ${place} of ${entry.time} by ${entry.writer}`);
        }
      }
    }
  }

  #compare(peer: SimulatedPeer, place: string, before: Entry | undefined, entry: Entry): void {
    if (before !== undefined && compareStamps(entry, before) < 0) {
      this.#report("I1", `${place} at ${peer.name}: ${entry.time} after ${before.time}`);
    }
  }

  #identify(place: string, entry: Entry): void {
    const stamp = `${entry.time} ${entry.writer}`;
    const content = `${place} ${JSON.stringify(entry.value)}`;
    const earlier = this.#contents.get(stamp);
    if (earlier === undefined) this.#contents.set(stamp, content);
    else if (earlier !== content) this.#report("I3", `${stamp} names ${earlier} and ${content}`);
  }

  #issue(peer: SimulatedPeer, entry: Entry): void {
    const before = this.#issued.get(peer) ?? 0;
    if (entry.time <= before) {
      this.#report("I2", `${peer.name} issued ${entry.time} after ${before}`);
    }
    this.#issued.set(peer, Math.max(before, entry.time));
  }
}
