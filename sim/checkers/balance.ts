/**
 * A table that nobody touches by hand is balanced once all has come to rest: no plan wants to move
 * anything, at any peer [A5]. A shard that a hanging host has yet to take counts for its successor [H0].
 *
 * What people allocate by hand stays where they put it, so runs in which they do are not judged.
 */
import { planMoves } from "../../src/core/allocation.ts";
import type { Change } from "../../src/core/effect.ts";
import type { View } from "../../src/core/view.ts";
import type { Checker, Report } from "../checker.ts";
import type { WorkloadKind } from "../options.ts";
import type { SimulatedPeer } from "../peer.ts";

/** How long after that the next handoff has begun, in ms. */
const AGAIN_MS_MAX = 1000;

export class BalanceChecker implements Checker {
  readonly #report: Report;
  readonly #now: () => number;
  readonly #isJudged: boolean;
  /** When a handoff came to nothing last: it is planned anew after a while [A3]. */
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(report: Report, now: () => number, workload: readonly WorkloadKind[]) {
    this.#report = report;
    this.#now = now;
    this.#isJudged = !workload.includes("allocate");
  }

  changed(_peer: SimulatedPeer, change: Change): void {
    if (change.type === "warning" && change.code === "HANDOFF_TIMEOUT")
      this.#failedAt = this.#now();
  }

  settled(peers: readonly SimulatedPeer[]): void {
    if (!this.#isJudged) return;
    for (const { name, machine, options } of peers) {
      if (this.#now() - this.#failedAt < options.timings.handoffMs + AGAIN_MS_MAX) continue;
      const [move] = machine === undefined ? [] : planned(machine.view);
      if (move === undefined) continue;
      const { shard, from, to } = move;
      this.#report("A5", `${name} rests, and yet ${shard} should move from ${from} to ${to}`);
    }
  }
}

function planned(view: View): readonly ReturnType<typeof planMoves>[number][] {
  const regions = view.membership.all().map(({ name, row, removed }) => {
    const { weight, zone, draining } = row;
    return { name, alive: !removed, weight, zone, draining };
  });
  return planMoves({
    regions,
    shards: view.shards(),
    allocations: view.allocations().map((allocation) => {
      const region = view.course(allocation.shard).successor ?? allocation.region;
      return { ...allocation, region };
    }),
    pins: view.pins(),
  });
}
