/**
 * What must not get in: anything of another cluster, and anything that a hostile peer forged.
 *
 * Intruders mark all that they send with a name that nobody else uses.
 */
import type { MapEntries } from "../../src/core/message.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** In every key, value or writer that a hostile peer makes up. */
export const HOSTILE_MARK = "mallory";

/** The name of the peer that belongs to another cluster. */
export const STRANGER_NAME = "stranger";

export class IntrusionChecker implements Checker {
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    if (peer.name === STRANGER_NAME) return;
    for (const { map, entries } of maps) {
      for (const entry of entries) {
        const text = `${map} ${entry.key} ${entry.writer} ${entry.value}`;
        if (text.includes(HOSTILE_MARK)) this.#report("I15", `${peer.name} took ${text}`);
        if (text.includes(STRANGER_NAME)) this.#report("I16", `${peer.name} took ${text}`);
      }
    }
  }
}
