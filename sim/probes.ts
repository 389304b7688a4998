/**
 * Asks of shards after all has healed, which must be answered: hosts are sound by then, and so are links.
 */
import type { Random } from "../src/core/random.ts";
import type { Report } from "./checker.ts";
import type { AsksChecker } from "./checkers/asks.ts";
import type { SimulatedPeer } from "./peer.ts";

/** How long a shard that serves may take to answer, in ms: a host that hung may still do so. */
export const PROBE_MS = 60_000;

export class Probes {
  readonly #asks: AsksChecker;
  readonly #report: Report;
  readonly #random: Random;

  constructor(asks: AsksChecker, report: Report, random: Random) {
    this.#asks = asks;
    this.#report = report;
    this.#random = random;
  }

  /** Asks every shard once, each at a peer at random; returns the numbers of the asks. */
  all(core: readonly SimulatedPeer[]): number[] {
    const shards = core[0]?.machine?.view.shards() ?? [];
    const [first] = core;
    return shards.flatMap((shard) => {
      const peer = this.#random.pick(core) ?? first;
      return peer === undefined ? [] : [this.at(peer, shard)];
    });
  }

  at(peer: SimulatedPeer, shard: string): number {
    const operation = this.#asks.ask(peer, shard, "probe", PROBE_MS);
    peer.ask(operation, shard, "probe", PROBE_MS);
    return operation;
  }

  areOpen(operations: readonly number[]): boolean {
    return operations.some((operation) => this.#asks.outcomeOf(operation) === undefined);
  }

  judge(rule: string, operations: readonly number[]): void {
    for (const operation of operations) {
      const outcome = this.#asks.outcomeOf(operation);
      if (outcome?.ok === true) continue;
      const why = outcome === undefined ? "no answer" : `${outcome.code}: ${outcome.message}`;
      this.#report(rule, `Ask ${operation} comes to nothing though all is well: ${why}`);
    }
  }
}
