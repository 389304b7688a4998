/**
 * Nobody drags a clock along: a hybrid clock is never further ahead than its own wall clock ever was,
 * plus what a merge may add.
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

  constructor(report: Report) {
    this.#report = report;
  }

  stepped(peer: SimulatedPeer): void {
    const wallMs = Math.max(this.#wallMs.get(peer.name) ?? 0, peer.machine?.wallMs ?? 0);
    this.#wallMs.set(peer.name, wallMs);
    const aheadMs = timestampMs(peer.machine?.clockTime ?? 0) - wallMs;
    const boundMs = 2 * peer.options.timings.maxDriftMs + CARRY_MS;
    if (aheadMs > boundMs) this.#report("I4", `${peer.name} is ${aheadMs} ms ahead of its wall`);
  }
}
