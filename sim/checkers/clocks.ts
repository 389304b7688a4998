/**
 * Nobody drags a clock along: a hybrid clock is never further ahead than its own wall clock ever was,
 * plus what a merge may add.
 *
 * Peers whose hybrid clocks are all ahead, since their wall clocks went back, take each other's, and
 * newcomers take theirs [C5]: such a one is held to the highest wall clock that anybody had.
 */
import { timestampMs } from "../../src/core/clock.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** Issuing many timestamps in one ms carries into the ms. */
const CARRY_MS = 100;

export class ClocksChecker implements Checker {
  readonly #report: Report;
  /** The highest wall clock used under a name, in any life: a clone has the clock of its disk. */
  readonly #wallMs = new Map<string, number>();
  #highestMs = 0;
  /** Peers that have not served yet in this life. */
  readonly #new = new Set<SimulatedPeer>();
  /** Where the hybrid clock stood before the step under way. */
  readonly #wasMs = new Map<SimulatedPeer, number>();

  constructor(report: Report) {
    this.#report = report;
  }

  booted(peer: SimulatedPeer): void {
    this.#wasMs.set(peer, timestampMs(peer.machine?.clockTime ?? 0));
    this.#new.add(peer);
  }

  stepped(peer: SimulatedPeer): void {
    const { machine, name } = peer;
    if (machine === undefined) return;
    const highestMs = Math.max(this.#wallMs.get(name) ?? 0, machine.wallMs);
    this.#wallMs.set(name, highestMs);
    this.#highestMs = Math.max(this.#highestMs, machine.wallMs);
    const boundMs = 2 * peer.options.timings.maxDriftMs + CARRY_MS;
    const wasAhead = (this.#wasMs.get(peer) ?? 0) - machine.wallMs > boundMs;
    const isNew = this.#new.has(peer);
    if (machine.isReady) this.#new.delete(peer);
    const timeMs = timestampMs(machine.clockTime);
    this.#wasMs.set(peer, timeMs);
    const aheadMs = timeMs - (wasAhead || isNew ? this.#highestMs : highestMs);
    if (aheadMs > boundMs) this.#report("I4", `${name} is ${aheadMs} ms ahead of its wall`);
  }
}
