/**
 * A region serves under the token of its table: it is told of every shard that it gets and loses, and
 * no two regions are told of one token.
 */
import type { Change } from "../../src/core/effect.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

export class ServingChecker implements Checker {
  readonly #report: Report;
  /** By shard and token: which peer was told that it has it. */
  readonly #served = new Map<string, string>();

  constructor(report: Report) {
    this.#report = report;
  }

  changed(peer: SimulatedPeer, change: Change): void {
    if (change.type !== "acquire") return;
    const { shard, token, writer } = change;
    const name = `${shard} ${token} ${writer}`;
    const other = this.#served.get(name);
    if (other !== undefined && other !== peer.name) {
      this.#report("I9", `${other} and ${peer.name} both got ${name}`);
    }
    this.#served.set(name, peer.name);
  }

  /** [I9] Regions are known members. */
  settled(peers: readonly SimulatedPeer[]): void {
    for (const { name, machine } of peers) {
      for (const { shard, region } of machine?.view.allocations() ?? []) {
        if (machine?.view.membership.get(region) === undefined) {
          this.#report("I9", `${name} has ${shard} at ${region}, which is no member`);
        }
      }
    }
  }
}
