/**
 * A simulated cluster for tests: real machines and codec, virtual time, one seed.
 */

import type { Counts } from "../../sim/host.ts";
import { Network } from "../../sim/network.ts";
import { type Outcome, type PeerOptions, SimulatedPeer } from "../../sim/peer.ts";
import { World } from "../../sim/world.ts";
import type { Delivery } from "../../src/core/delivery.ts";
import type { Allocation, AskOutcome, Change } from "../../src/core/effect.ts";
import type { CallRequest } from "../../src/core/event.ts";
import type { Machine } from "../../src/core/machine.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS } from "../../src/core/timings.ts";

/** A change, when it happened and at which peer. */
export type Seen = Change & { readonly at: number; readonly peer: string };

export interface Handled {
  readonly at: number;
  readonly by: string;
  readonly shard: string;
  readonly entity: string;
  readonly token: number;
  readonly writer: string;
  readonly from: string;
  readonly ask: number;
}

export interface Acquired {
  readonly at: number;
  readonly by: string;
  readonly shard: string;
  readonly from: string | undefined;
  readonly entities: readonly string[];
  readonly state: Counts | undefined;
}

interface ClusterOptions extends Partial<Omit<PeerOptions, "name" | "join">> {
  readonly seed?: number;
  readonly delayMsMean?: number;
  /** Whom a peer joins by. Default: everybody. */
  readonly join?: (name: string) => readonly string[];
}

export const addressOf = (name: string): string => `${name}:1`;

export class Cluster {
  readonly world = new World();
  readonly network: Network;
  readonly seen: Seen[] = [];
  /** What hosts have handled and taken, in order, and how asks ended. */
  readonly handled: Handled[] = [];
  readonly acquired: Acquired[] = [];
  readonly outcomes = new Map<number, AskOutcome>();
  /** What services were told, in order, and at which peer. */
  readonly delivered: (Delivery & { readonly at: string })[] = [];
  readonly #peers = new Map<string, SimulatedPeer>();
  readonly #answers = new Map<string, Outcome>();
  readonly #options: ClusterOptions;
  readonly #random: Random;
  readonly #names: readonly string[];

  constructor(names: string, options: ClusterOptions = {}) {
    this.#options = options;
    this.#names = names.split(" ");
    this.#random = new Random(options.seed ?? 1);
    this.network = new Network(this.world, this.#random, {
      ...{ delayMsMean: options.delayMsMean ?? 1, delayMsMin: 0.2, bytesPerMs: 100_000 },
      ...{ lossProbability: 0, duplicateProbability: 0 },
    });
    for (const name of this.#names) this.add(name);
  }

  /** Adds a peer, down; other options than the cluster's for this one. */
  add(name: string, own: Partial<PeerOptions> = {}, key = name): SimulatedPeer {
    const { seed: _, delayMsMean: __, join, ...common } = this.#options;
    const options: PeerOptions = {
      ...{ name, cluster: "x", address: addressOf(name), shardCount: 12, zone: null, weight: 1 },
      ...{ downing: "majority" as const, timings: TIMINGS.local },
      join: join?.(name) ?? this.#names.map(addressOf),
      ...common,
      ...own,
    };
    const peer = new SimulatedPeer(this.world, this.network, options, this.#random, {
      changed: (_peer, change) => void this.seen.push({ ...change, at: this.world.now, peer: key }),
      answered: (_peer, call, outcome) => void this.#answers.set(`${key} ${call}`, outcome),
      delivered: (_peer, delivery) => void this.delivered.push({ ...delivery, at: key }),
      asked: (_peer, ask, outcome) => void this.outcomes.set(ask, outcome),
      handled: (_peer, { shard, entity, token, writer, from }, ask) =>
        void this.handled.push({
          at: this.world.now,
          by: key,
          shard,
          entity,
          token,
          writer,
          from,
          ask,
        }),
      acquired: (_peer, { shard, from, entities }, state) =>
        void this.acquired.push({ at: this.world.now, by: key, shard, from, entities, state }),
    });
    peer.calmHost();
    this.#peers.set(key, peer);
    return peer;
  }

  get now(): number {
    return this.world.now;
  }

  peer(name: string): SimulatedPeer {
    const peer = this.#peers.get(name);
    if (peer === undefined) throw new Error(`There is no peer "${name}"`);
    return peer;
  }

  /** The machine of a peer that is up. */
  machine(name: string): Machine {
    const { machine } = this.peer(name);
    if (machine === undefined) throw new Error(`"${name}" is down`);
    return machine;
  }

  get up(): string[] {
    return [...this.#peers].filter(([, { machine }]) => machine !== undefined).map(([key]) => key);
  }

  start(names: string, options: { join?: readonly string[]; wipe?: boolean } = {}): void {
    for (const name of names.split(" ")) this.peer(name).start({ wipe: true, ...options });
  }

  run(ms: number): void {
    this.world.runUntil(this.world.now + ms);
  }

  /** Runs until `isSo`, checked every ms; returns how long it took, or throws after `msMax`. */
  runUntil(isSo: () => boolean, msMax: number): number {
    const from = this.now;
    while (!isSo()) {
      if (this.now - from >= msMax) throw new Error(`Not so after ${msMax} ms: ${isSo}`);
      this.run(1);
    }
    return this.now - from;
  }

  /** Starts all and lets them settle. */
  settled(): this {
    this.start(this.#names.join(" "));
    this.run(5000);
    return this;
  }

  /** Calls a peer and lets the answer come. */
  call(name: string, request: CallRequest): Outcome {
    const call = this.peer(name).call(request);
    this.world.runUntil(this.world.now); // It is answered when the turn is over.
    const answer = this.#answers.get(`${name} ${call}`);
    if (answer === undefined) throw new Error(`"${name}" did not answer`);
    return answer;
  }

  /** Calls a peer; returns what gives its answer once there is one. */
  later(name: string, request: CallRequest): () => Outcome | undefined {
    const call = this.peer(name).call(request);
    return () => this.#answers.get(`${name} ${call}`);
  }

  /** Calls a peer and waits for the answer. */
  callUntil(name: string, request: CallRequest, msMax: number): Outcome {
    const answer = this.later(name, request);
    this.runUntil(() => answer() !== undefined, msMax);
    return answer() as Outcome;
  }

  allocate(name: string, shard: string, region: string): Outcome {
    return this.call(name, { type: "allocate", shard, region });
  }

  /** Lets entries reach one peer and nobody else, as when all other deltas of a writer are lost. */
  tell(name: string, maps: readonly MapEntries[]): void {
    for (let link = 1; link < 50; link += 1) {
      const messages = [{ type: "delta" as const, maps }];
      this.peer(name).step({ type: "received", link, messages, refused: 0 });
    }
  }

  /** Cuts both directions between two groups, as in `"a b", "c"`. */
  cut(one: string, other: string): void {
    for (const a of one.split(" ")) {
      for (const b of other.split(" ")) {
        this.network.cut(a, b);
        this.network.cut(b, a);
      }
    }
  }

  heal(): void {
    for (const [from, to] of this.network.cuts()) this.network.heal(from, to);
  }

  /** `name=region` of every shard, as one peer sees it. */
  table(name: string): Map<string, string> {
    return new Map(
      this.machine(name)
        .view.allocations()
        .map(({ shard, region }) => [shard, region]),
    );
  }

  /** How many shards each region has, as one peer sees it. */
  loads(name: string): Map<string, number> {
    const loads = new Map<string, number>();
    for (const region of this.table(name).values()) loads.set(region, (loads.get(region) ?? 0) + 1);
    return new Map([...loads].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The status of one member, as another peer sees it. */
  status(of: string, by: string): string | undefined {
    return this.machine(by)
      .view.members()
      .find(({ name }) => name === of)?.status;
  }

  /** All entries of one peer, by map and key. */
  entries(name: string): Map<string, Entry> {
    return entriesByKey(this.machine(name).entries());
  }

  /** Whether all that are up hold exactly the same entries. */
  get isEqual(): boolean {
    const [first, ...others] = this.up.map((name) => comparable(this.entries(name)));
    return others.every((other) => other === first);
  }

  /** Changes at one peer, or at all, since a moment. */
  changes<T extends Change["type"]>(
    type: T,
    from = 0,
    peer?: string,
  ): Extract<Seen, { type: T }>[] {
    return this.seen.filter(
      (one): one is Extract<Seen, { type: T }> =>
        one.type === type && one.at >= from && (peer === undefined || one.peer === peer),
    );
  }
}

export function entriesByKey(maps: readonly MapEntries[]): Map<string, Entry> {
  return new Map(
    maps.flatMap(({ map, entries }) =>
      entries.map((entry) => [`${map} ${entry.key}`, entry] as const),
    ),
  );
}

function comparable(entries: ReadonlyMap<string, Entry>): string {
  const lines = [...entries].map(([key, entry]) => JSON.stringify([key, entry]));
  return lines.sort().join("\n");
}

/** The allocation in an answer. */
export function allocationIn(outcome: Outcome): Allocation {
  if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.message}`);
  return outcome.value as Allocation;
}
