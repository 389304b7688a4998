/**
 * Entries only get higher, clocks too, and one stamp names one write.
 *
 * The model is a map of all that each peer has ever made durable, kept across its lives and
 * forgotten only with its disk.
 */
import { compareStamps } from "../../src/core/lww-map.ts";
import { VERDICTS } from "../../src/core/membership.ts";
import type { Entry, MapEntries, Value } from "../../src/core/message.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";
import { forgetting } from "./forgotten.ts";
import { isForged } from "./intrusion.ts";
import { Places } from "./places.ts";

interface Content {
  readonly map: string;
  readonly key: string;
  readonly value: Value | undefined;
}

export class EntriesChecker implements Checker {
  readonly #report: Report;
  readonly #held = new Map<SimulatedPeer, Places<Entry>>();
  /** What each stamp was used for in the whole run, by writer, then time. */
  readonly #contents = new Map<string, Map<number, Content>>();
  /** The highest timestamp that each peer has issued. */
  readonly #issued = new Map<SimulatedPeer, number>();

  constructor(report: Report) {
    this.#report = report;
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    const held = this.#held.get(peer) ?? new Places<Entry>();
    this.#held.set(peer, held);
    const own = peer.machine?.incarnation;
    for (const { map, entries } of maps) {
      for (const entry of entries) {
        // [F1] After a verdict that was dropped an earlier one may count again.
        if (map !== VERDICTS) this.#compare(peer, map, held.get(map, entry.key), entry);
        held.set(map, entry.key, entry);
        if (isForged(entry)) continue; // Its writer did not issue it.
        const isNew = this.#identify(map, entry);
        // [F1] A verdict that was dropped, and comes back since it counts again, is not issued anew.
        const isIssued = entry.writer === own && (isNew || map !== VERDICTS);
        if (isIssued) this.#issue(peer, entry);
      }
    }
  }

  wiped(peer: SimulatedPeer): void {
    this.#held.delete(peer);
    this.#issued.delete(peer);
  }

  /** [I6] Every peer has at least what any of them has ever held. */
  settled(peers: readonly SimulatedPeer[]): void {
    const highest = new Places<Entry>();
    for (const peer of peers) {
      for (const [map, key, entry] of this.#held.get(peer) ?? []) {
        const known = highest.get(map, key);
        if (known === undefined || compareStamps(entry, known) > 0) highest.set(map, key, entry);
      }
    }
    for (const peer of peers) {
      const present = new Places<Entry>();
      const held = peer.machine?.entries() ?? [];
      const mayForget = forgetting(held);
      for (const { map, entries } of held) {
        for (const entry of entries) present.set(map, entry.key, entry);
      }
      for (const [map, key, entry] of highest) {
        const has = present.get(map, key);
        if (has === undefined && mayForget(map, entry)) continue;
        if (has === undefined || compareStamps(has, entry) < 0) {
          const what = `${map} ${key} of ${entry.time} by ${entry.writer}`;
          this.#report("I6", `${peer.name} lacks ${what}`);
        }
      }
    }
  }

  #compare(peer: SimulatedPeer, map: string, before: Entry | undefined, entry: Entry): void {
    if (before !== undefined && compareStamps(entry, before) < 0) {
      const what = `${map} ${entry.key} at ${peer.name}`;
      this.#report("I1", `${what}: ${entry.time} after ${before.time}`);
    }
  }

  /** False when somebody had it before. */
  #identify(map: string, entry: Entry): boolean {
    const { key, time, writer, value } = entry;
    const contents = this.#contents.get(writer) ?? new Map<number, Content>();
    this.#contents.set(writer, contents);
    const earlier = contents.get(time);
    if (earlier === undefined) contents.set(time, { map, key, value });
    else if (earlier.map !== map || earlier.key !== key || !isSame(earlier.value, value)) {
      const before = `${earlier.map} ${earlier.key} ${JSON.stringify(earlier.value)}`;
      const named = `${before} and ${map} ${key} ${JSON.stringify(value)}`;
      this.#report("I3", `${time} ${writer} names ${named}`);
    }
    return earlier === undefined;
  }

  #issue(peer: SimulatedPeer, entry: Entry): void {
    const before = this.#issued.get(peer) ?? 0;
    if (entry.time <= before) {
      this.#report("I2", `${peer.name} issued ${entry.time} after ${before}`);
    }
    this.#issued.set(peer, Math.max(before, entry.time));
  }
}

/** Values that came over the wire are mostly the same object, or flat lists. */
function isSame(one: Value | undefined, other: Value | undefined): boolean {
  if (one === other) return true;
  if (!Array.isArray(one) || !Array.isArray(other)) {
    return JSON.stringify(one) === JSON.stringify(other);
  }
  return one.length === other.length && one.every((item, index) => isSame(item, other[index]));
}
