/**
 * What users do, at random peers, whatever state these are in: allocate, release, route.
 *
 * They come in bursts: for a while many calls, then for a while none. An operation is a value, so that
 * whoever wants certain ones at certain times can have them. A new kind is a row of `WORKLOADS` in the
 * options, one of `WEIGHTS`, a form of `Operation`, and what it does in `perform`.
 */
import type { Random } from "../src/core/random.ts";
import type { Report } from "./checker.ts";
import type { CallsChecker } from "./checkers/calls.ts";
import type { WorkloadKind } from "./options.ts";
import type { SimulatedPeer } from "./peer.ts";

/** Mean length of a burst, and of the rest after it, in ms. */
const BURST_MS = 4000;
const REST_MS = 3000;

/** How often each kind comes, compared with the others. */
const WEIGHTS: Readonly<Record<WorkloadKind, number>> = { allocate: 9, release: 1, route: 4 };

const DOCUMENTS = 1000;

export type Operation =
  | { readonly type: "allocate"; readonly shard: string; readonly region: string }
  | { readonly type: "release"; readonly shard: string }
  | { readonly type: "route"; readonly document: string };

export interface WorkloadOptions {
  readonly shards: number;
  readonly workload: readonly WorkloadKind[];
}

export class Workload {
  operations = 0;
  readonly #peers: readonly SimulatedPeer[];
  readonly #options: WorkloadOptions;
  readonly #random: Random;
  readonly #calls: CallsChecker;
  readonly #report: Report;
  #isBusy = true;
  #turnsAt = 0;

  constructor(
    peers: readonly SimulatedPeer[],
    options: WorkloadOptions,
    random: Random,
    calls: CallsChecker,
    report: Report,
  ) {
    this.#peers = peers;
    this.#options = options;
    this.#random = random;
    this.#calls = calls;
    this.#report = report;
  }

  /** One operation at one peer, unless users rest. */
  operate(now: number): void {
    if (now >= this.#turnsAt) {
      this.#isBusy = !this.#isBusy || this.#turnsAt === 0;
      this.#turnsAt = now + 2 * this.#random.unit() * (this.#isBusy ? BURST_MS : REST_MS);
    }
    const peer = this.#random.pick(this.#peers);
    const operation = this.#draw();
    if (this.#isBusy && peer !== undefined && operation !== undefined) {
      this.perform(peer, operation);
    }
  }

  /** Does something at a peer; nothing when it is not up. */
  perform(peer: SimulatedPeer, operation: Operation): void {
    if (peer.state !== "up") return;
    this.operations += 1;
    if (operation.type === "route") this.#route(peer, operation.document);
    else {
      const region = operation.type === "allocate" ? operation.region : undefined;
      this.#calls.expect(peer, peer.nextCall, { shard: operation.shard, region });
      peer.call(operation);
    }
  }

  #draw(): Operation | undefined {
    const { workload, shards } = this.#options;
    const total = workload.reduce((sum, kind) => sum + WEIGHTS[kind], 0);
    let left = total * this.#random.unit();
    const type = workload.find((kind) => {
      left -= WEIGHTS[kind];
      return left < 0;
    });
    const shard = `shard-${this.#random.below(shards)}`;
    switch (type) {
      case "allocate":
        return { type, shard, region: this.#random.pick(this.#peers)?.name ?? "" };
      case "release":
        return { type, shard };
      case "route":
        return { type, document: `document-${this.#random.below(DOCUMENTS)}` };
      case undefined:
        return undefined;
    }
  }

  /** [R1] Never to a shard that nobody registered, nor by the allocation of another one. */
  #route(peer: SimulatedPeer, document: string): void {
    const view = peer.machine?.view;
    if (view === undefined) return;
    const shard = view.shardFor(document);
    const allocation = view.allocationFor(document);
    const isRight = shard !== undefined && view.hasShard(shard);
    if (!isRight || (allocation !== undefined && allocation.shard !== shard)) {
      this.#report("R1", `${document} is routed to ${shard}, ${JSON.stringify(allocation)}`);
    }
  }
}
