/**
 * What users do: allocate, release and route, at random peers, whatever state these are in.
 *
 * They come in bursts: for a while many calls, then for a while none.
 */
import type { Random } from "../src/core/random.ts";
import type { Report } from "./checker.ts";
import type { CallsChecker } from "./checkers/calls.ts";
import type { SimulatedPeer } from "./peer.ts";

/** Mean length of a burst, and of the rest after it, in ms. */
const BURST_MS = 4000;
const REST_MS = 3000;

export class Workload {
  operations = 0;
  readonly #peers: readonly SimulatedPeer[];
  readonly #shardCount: number;
  readonly #random: Random;
  readonly #calls: CallsChecker;
  readonly #report: Report;
  #isBusy = true;
  #turnsAt = 0;

  constructor(
    peers: readonly SimulatedPeer[],
    shardCount: number,
    random: Random,
    calls: CallsChecker,
    report: Report,
  ) {
    this.#peers = peers;
    this.#shardCount = shardCount;
    this.#random = random;
    this.#calls = calls;
    this.#report = report;
  }

  /** One call at one peer, unless users rest. */
  operate(now: number): void {
    if (now >= this.#turnsAt) {
      this.#isBusy = !this.#isBusy || this.#turnsAt === 0;
      this.#turnsAt = now + 2 * this.#random.unit() * (this.#isBusy ? BURST_MS : REST_MS);
    }
    const peer = this.#random.pick(this.#peers);
    if (!this.#isBusy || peer?.state !== "up") return;
    this.operations += 1;
    const shard = `shard-${this.#random.below(this.#shardCount)}`;
    if (this.#random.chance(0.3)) this.#route(peer);
    else if (this.#random.chance(0.9)) {
      this.#call(peer, shard, this.#random.pick(this.#peers)?.name ?? peer.name);
    } else this.#call(peer, shard, undefined);
  }

  #call(peer: SimulatedPeer, shard: string, region: string | undefined): void {
    this.#calls.expect(peer, peer.nextCall, { shard, region });
    if (region === undefined) peer.call({ type: "release", shard });
    else peer.call({ type: "allocate", shard, region });
  }

  #route(peer: SimulatedPeer): void {
    const document = `document-${this.#random.below(1000)}`;
    const view = peer.machine?.view;
    const shard = view?.shardFor(document);
    // Never a shard that nobody registered, and never another one than that of the allocation.
    if (view === undefined) return;
    const allocation = view.allocationFor(document);
    const isRight = shard !== undefined && view.hasShard(shard);
    if (!isRight || (allocation !== undefined && allocation.shard !== shard)) {
      this.#report("R1", `${document} is routed to ${shard}, ${JSON.stringify(allocation)}`);
    }
  }
}
