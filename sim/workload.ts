/**
 * What users do, at random peers, whatever state these are in: allocate, release, route, publish, ask.
 *
 * They come in bursts: for a while many calls, then for a while none. An operation is a value, so that
 * whoever wants certain ones at certain times can have them. A new kind is a row of `WORKLOADS` in the
 * options, one of `WEIGHTS`, a form of `Operation`, and what it does in `perform`.
 */
import { Random } from "../src/core/random.ts";
import type { Report } from "./checker.ts";
import type { AsksChecker } from "./checkers/asks.ts";
import type { CallsChecker } from "./checkers/calls.ts";
import type { FrequenciesChecker } from "./checkers/frequencies.ts";
import type { LiveChecker } from "./checkers/live.ts";
import type { Coordination, CoordinationOperation } from "./coordination.ts";
import type { DocumentPeers } from "./document-peers.ts";
import type { WorkloadKind } from "./options.ts";
import type { SimulatedPeer } from "./peer.ts";

/** Mean length of a burst, and of the rest after it, in ms. */
const BURST_MS = 4000;
const REST_MS = 3000;

/** How often each kind comes, compared with the others. */
const WEIGHTS: Readonly<Record<WorkloadKind, number>> = {
  ...{
    allocate: 9,
    release: 1,
    route: 4,
    ticks: 9,
    registry: 2,
    frequencies: 4,
    ask: 30,
    live: 20,
    documents: 12,
  },
};

const DOCUMENTS = 1000;

/** Documents that are edited: few, so that peers often edit the same. */
const EDITED = 5;

/** Entities of each shard, and how long asks may take, in ms. */
const ENTITIES = 4;
const ASK_MS_MIN = 50;
const ASK_MS_MAX = 6000;

export type Operation =
  | { readonly type: "allocate"; readonly shard: string; readonly region: string }
  | { readonly type: "release"; readonly shard: string }
  | { readonly type: "route"; readonly document: string }
  | CoordinationOperation
  /** Publishes what the checker says that the shard contributes, with changes drawn from `seed`. */
  | { readonly type: "frequencies"; readonly shard: string; readonly seed: number }
  | {
      readonly type: "ask";
      readonly shard: string;
      readonly entity: string;
      readonly timeoutMs: number;
    }
  /** Whatever users of live queries do, drawn from `draw`. */
  | { readonly type: "live"; readonly draw: number }
  | { readonly type: "documents"; readonly document: string; readonly client: number };

export interface WorkloadOptions {
  readonly shards: number;
  readonly workload: readonly WorkloadKind[];
}

/** Who knows what operations should come to. */
export interface WorkloadModels {
  readonly calls: CallsChecker;
  readonly frequencies: FrequenciesChecker;
  readonly coordination: Coordination;
  readonly asks: AsksChecker;
  readonly live: LiveChecker;
  readonly documents: DocumentPeers;
}

export class Workload {
  operations = 0;
  readonly #peers: readonly SimulatedPeer[];
  readonly #options: WorkloadOptions;
  readonly #random: Random;
  readonly #calls: CallsChecker;
  readonly #coordination: Coordination;
  readonly #frequencies: FrequenciesChecker;
  readonly #asks: AsksChecker;
  readonly #live: LiveChecker;
  readonly #documents: WorkloadModels["documents"];
  #edits = 0;
  readonly #report: Report;
  #isBusy = true;
  #turnsAt = 0;

  constructor(
    peers: readonly SimulatedPeer[],
    options: WorkloadOptions,
    random: Random,
    { calls, frequencies, coordination, asks, documents, live }: WorkloadModels,
    report: Report,
  ) {
    this.#peers = peers;
    this.#options = options;
    this.#random = random;
    this.#calls = calls;
    this.#coordination = coordination;
    this.#frequencies = frequencies;
    this.#asks = asks;
    this.#live = live;
    this.#documents = documents;
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
    else if (operation.type === "ticks" || operation.type === "registry") {
      this.#coordination.perform(peer, operation);
    } else if (operation.type === "frequencies") {
      const contribution = this.#frequencies.next(operation.shard, operation.seed);
      peer.call({ type: "publish-frequencies", shard: operation.shard, contribution });
    } else if (operation.type === "live") {
      this.#live.operate(new Random(operation.draw));
    } else if (operation.type === "ask") {
      const { shard, entity, timeoutMs } = operation;
      if (peer.options.hosts !== true) return;
      peer.ask(this.#asks.ask(peer, shard, entity, timeoutMs), shard, entity, timeoutMs);
    } else if (operation.type === "documents") {
      this.#edits += 1;
      const edit = `edit-${this.#edits}`;
      const { document, client } = operation;
      peer.run(() => this.#documents.get(peer)?.edit(document, edit, client));
    } else {
      const region = operation.type === "allocate" ? operation.region : undefined;
      this.#calls.expect(peer, peer.nextCall, { shard: operation.shard, region });
      peer.call(operation);
    }
  }

  /** Every shard is published anew, at the region that `peers` agree on. */
  republish(peers: readonly SimulatedPeer[]): void {
    const view = peers[0]?.machine?.view;
    for (const shard of view?.shards() ?? []) {
      const peer = peers.find(({ name }) => name === view?.regionFor(shard));
      if (peer === undefined) continue;
      this.perform(peer, { type: "frequencies", shard, seed: this.#random.uint32() });
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
      case "ticks":
      case "registry":
      case "live":
        return { type, draw: this.#random.uint32() };
      case "frequencies":
        return { type, shard, seed: this.#random.uint32() };
      case "ask": {
        const entity = `entity-${this.#random.below(ENTITIES)}`;
        return { type, shard, entity, timeoutMs: ASK_MS_MIN + this.#random.below(ASK_MS_MAX) };
      }
      case "documents": {
        const document = `document-${this.#random.below(EDITED)}`;
        return { type, document, client: this.#random.uint32() };
      }
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
