/**
 * Eras come in order, one after another, and leave nothing behind that is older than their cut.
 *
 * That what was deleted does not come back is looked at by `entries.ts`: no peer ever has less of a key
 * than it had, however long it has forgotten the deletion.
 */
import type { Entry, MapEntries } from "../../src/core/message.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";
import { forgetting } from "./forgotten.ts";

export class ErasChecker implements Checker {
  readonly #report: Report;
  /** The number of the era that each peer is at, until its disk is lost. */
  readonly #numbers = new Map<SimulatedPeer, number>();
  /** Those that have come to another era since they were looked at. */
  readonly #moved = new Set<SimulatedPeer>();

  constructor(report: Report) {
    this.#report = report;
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    for (const { map, entries } of maps) {
      for (const { key, value } of entries) {
        if (map === "settings" && key === "era") this.#compare(peer, value);
      }
    }
  }

  wiped(peer: SimulatedPeer): void {
    this.#numbers.delete(peer);
  }

  sampled(): void {
    for (const peer of this.#moved) this.#look(peer);
    this.#moved.clear();
  }

  settled(peers: readonly SimulatedPeer[]): void {
    for (const peer of peers) this.#look(peer);
  }

  /** [M5] Nothing that may be forgotten is kept. */
  #look({ name, machine }: SimulatedPeer): void {
    const held = machine?.entries() ?? [];
    const mayForget = forgetting(held);
    for (const { map, entries } of held) {
      // Four verdicts about a row may be forgotten for a fifth, and have to be kept nevertheless.
      const old = map === "verdicts" ? [] : entries.filter((entry) => mayForget(map, entry));
      for (const { key, time } of old) {
        const what = `${map} ${key} of ${time}`;
        this.#report("M5", `${name} keeps ${what}, which is from before the cut`);
      }
    }
  }

  #compare(peer: SimulatedPeer, value: Entry["value"]): void {
    const number = Array.isArray(value) ? Number(value[0]) : Number.NaN;
    const before = this.#numbers.get(peer);
    this.#numbers.set(peer, number);
    this.#moved.add(peer);
    if (before === undefined || number === before || number === before + 1) return;
    this.#report("M5", `${peer.name} is in era ${number} after ${before}`);
  }
}
