/**
 * Nobody hears of what is not durable: neither another peer nor the caller.
 *
 * What a peer lost again in a crash after others heard of it mostly comes back from them, and so is
 * seldom missed. This looks at the order itself: a write is durable at its writer before it is durable
 * anywhere else, and before it is acknowledged.
 */
import type { MapEntries } from "../../src/core/message.ts";
import type { Checker, Report } from "../checker.ts";
import type { Outcome, SimulatedPeer } from "../peer.ts";
import { isForged } from "./intrusion.ts";

export class DurabilityChecker implements Checker {
  readonly #report: Report;
  /** By incarnation: the times of the stamps that are durable there. Only of peers that are seen. */
  readonly #durable = new Map<string, Set<number>>();

  constructor(report: Report) {
    this.#report = report;
  }

  booted(peer: SimulatedPeer): void {
    if (peer.machine !== undefined) this.#durable.set(peer.machine.incarnation, new Set());
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    const own = peer.machine?.incarnation;
    for (const { map, entries } of maps) {
      for (const entry of entries) {
        const { key, time, writer } = entry;
        const durable = this.#durable.get(writer);
        if (durable === undefined) continue;
        if (writer === own) durable.add(time);
        else if (!durable.has(time) && !isForged(entry)) {
          this.#report("G1", `${peer.name} has ${map} ${key} of ${time}, ${writer} has not`);
        }
      }
    }
  }

  /** What a call wrote names its stamp in the answer. */
  answered(peer: SimulatedPeer, _call: number, outcome: Outcome): void {
    if (!outcome.ok || peer.machine === undefined) return;
    type Written = { readonly token?: number; readonly writer?: string };
    const { token, writer } = (outcome.value ?? {}) as Written;
    if (writer !== peer.machine.incarnation) return; // A shard that was handed over, by others.
    const isDurable = this.#durable.get(peer.machine.incarnation)?.has(token ?? 0);
    if (token !== undefined && !isDurable) {
      this.#report("I17", `${peer.name} acknowledged a write of ${token} before it was durable`);
    }
  }
}
