/**
 * What must not get in: anything of another cluster, and anything that a hostile peer forged.
 *
 * Intruders mark all that they send with a name that nobody else uses.
 */
import type { Entry, MapEntries } from "../../src/core/message.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** In every key, value or writer that a hostile peer makes up. */
export const HOSTILE_MARK = "mallory";

/** The name of the peer that belongs to another cluster. */
export const STRANGER_NAME = "stranger";

/** In every row that a hostile peer makes up in somebody's name: as its zone. */
export const FORGED_ZONE = "forged";

/** Whether an entry is such a row. It may be taken, but its subject must write it anew. */
export function isForged({ value }: Entry): boolean {
  return Array.isArray(value) && value.includes(FORGED_ZONE);
}

export class IntrusionChecker implements Checker {
  readonly #report: Report;
  /** Whether anybody has intruded: until then there is nothing to look for. */
  readonly #isIntruded: () => boolean;

  constructor(report: Report, isIntruded: () => boolean = () => true) {
    this.#report = report;
    this.#isIntruded = isIntruded;
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    if (peer.name === STRANGER_NAME || !this.#isIntruded()) return;
    for (const { map, entries } of maps) {
      for (const entry of entries) {
        const text = `${map} ${entry.key} ${entry.writer} ${entry.value}`;
        if (text.includes(HOSTILE_MARK)) this.#report("I15", `${peer.name} took ${text}`);
        if (text.includes(STRANGER_NAME)) this.#report("I16", `${peer.name} took ${text}`);
      }
    }
  }

  /** [S8] No row stands that its subject did not write. */
  settled(peers: readonly SimulatedPeer[]): void {
    for (const { name, machine } of peers) {
      for (const { map, entries } of machine?.entries() ?? []) {
        for (const entry of entries.filter(isForged)) {
          this.#report("S8", `${name} has a forged row: ${map} ${entry.key} ${entry.value}`);
        }
      }
    }
  }
}
