/**
 * Whoever serves a shard in the end has the highest token that any host was told for it.
 *
 * Stores that are fenced take the writes of the highest token that they have seen. A host that serves on
 * under its earlier token, after another one has served meanwhile, would never be let in again.
 */
import type { HostTask } from "../../src/core/host-task.ts";
import type { Timestamp } from "../../src/core/units.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

export class FencesChecker implements Checker {
  readonly #report: Report;
  /** By shard: the highest token that the host of each peer was told. */
  readonly #highest = new Map<string, Map<SimulatedPeer, Timestamp>>();
  /** By peer and shard: the token that its host was told last. */
  readonly #told = new Map<SimulatedPeer, Map<string, Timestamp>>();

  constructor(report: Report) {
    this.#report = report;
  }

  booted(peer: SimulatedPeer): void {
    this.#told.set(peer, new Map());
  }

  /** Tokens begin anew with clocks and tables that are lost. */
  wiped(): void {
    this.#highest.clear();
  }

  tasked(peer: SimulatedPeer, task: HostTask): void {
    const told = this.#told.get(peer);
    if (task.type === "release") told?.delete(task.shard);
    const isTold = task.type === "acquire" || (task.type === "renew" && told?.has(task.shard));
    if (!isTold) return;
    const { shard, token } = task;
    told?.set(shard, token);
    const highest = this.#highest.get(shard) ?? new Map<SimulatedPeer, Timestamp>();
    this.#highest.set(shard, highest);
    highest.set(peer, Math.max(token, highest.get(peer) ?? 0));
  }

  /** What a clone was told may be known to nobody any more. */
  settled(peers: readonly SimulatedPeer[]): void {
    for (const peer of peers) {
      for (const [shard, token] of this.#told.get(peer) ?? []) {
        if (peer.machine?.view.regionFor(shard) !== peer.name) continue;
        const highest = this.#highest.get(shard);
        const other = peers.find((one) => (highest?.get(one) ?? 0) > token);
        if (other === undefined) continue;
        const had = `${other.name} had ${highest?.get(other)}`;
        this.#report("H7", `${peer.name} serves ${shard} under ${token}, and ${had}`);
      }
    }
  }
}
