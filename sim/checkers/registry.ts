/**
 * What was registered is there, what was removed is gone for good, and all peers see the same shards.
 */
import type { CallRequest } from "../../src/core/event.ts";
import { REMOVALS, SHARDS } from "../../src/core/registry.ts";
import type { Checker, Report } from "../checker.ts";
import type { Outcome, SimulatedPeer } from "../peer.ts";

export class RegistryChecker implements Checker {
  readonly #report: Report;
  readonly #shardCount: number;
  /** Calls under way that remove or register. */
  readonly #asked = new Map<string, CallRequest>();
  /** By peer that acknowledged it and has not lost its disk since. */
  readonly #removed = new Map<SimulatedPeer, Set<string>>();
  readonly #registered = new Map<SimulatedPeer, Set<string>>();

  constructor(report: Report, shardCount: number) {
    this.#report = report;
    this.#shardCount = shardCount;
  }

  called(peer: SimulatedPeer, call: number, request: CallRequest): void {
    if (request.type === "register-shard" || request.type === "deregister-shard") {
      this.#asked.set(`${peer.name} ${call}`, request);
    }
  }

  answered(peer: SimulatedPeer, call: number, outcome: Outcome): void {
    const request = this.#asked.get(`${peer.name} ${call}`);
    this.#asked.delete(`${peer.name} ${call}`);
    if (request === undefined || !outcome.ok) return;
    if (request.type === "deregister-shard") add(this.#removed, peer, request.shard);
    else if (request.type === "register-shard") {
      const shard = outcome.value as string;
      add(this.#registered, peer, shard);
      if (this.#removed.get(peer)?.has(shard)) {
        this.#report("R6", `${peer.name} gives ${shard} again, which it has removed`);
      }
    }
  }

  wiped(peer: SimulatedPeer): void {
    this.#removed.delete(peer);
    this.#registered.delete(peer);
  }

  /** [R6, R1] The shards are those of the configuration and of the rows, without those removed. */
  settled(peers: readonly SimulatedPeer[]): void {
    for (const peer of peers) {
      const { name, machine } = peer;
      if (machine === undefined) continue;
      const keysOf = (map: string) =>
        (machine.entries().find((part) => part.map === map)?.entries ?? []).map(({ key }) => key);
      const removed = new Set(keysOf(REMOVALS));
      const configured = Array.from({ length: this.#shardCount }, (_, index) => `shard-${index}`);
      const expected = [...configured, ...keysOf(SHARDS)].filter((shard) => !removed.has(shard));
      if (expected.sort().join() !== [...machine.view.shards()].join()) {
        this.#report("R6", `${name} sees other shards than its rows say`);
      }
      for (const shard of this.#removed.get(peer) ?? []) {
        if (machine.view.hasShard(shard)) this.#report("R6", `${shard} is back at ${name}`);
      }
      for (const shard of this.#registered.get(peer) ?? []) {
        const isThere = machine.view.hasShard(shard) || removed.has(shard);
        if (!isThere) this.#report("R6", `${name} has lost ${shard}, which it has registered`);
      }
    }
  }
}

function add(sets: Map<SimulatedPeer, Set<string>>, peer: SimulatedPeer, shard: string): void {
  const set = sets.get(peer) ?? new Set<string>();
  sets.set(peer, set.add(shard));
}
