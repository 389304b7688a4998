/**
 * A cluster in the simulator's world that is there at once, for benches: real cores, codec, handshakes
 * and outboxes, virtual time, and links that all take equally long.
 *
 * Peers begin with disks on which the cluster is founded long ago, every one of them is a member and all
 * shards are allocated evenly. So nobody waits for anybody, no plan has moves, and a thousand peers
 * need no thousand joins one after the other.
 */
import { Network } from "../../sim/network.ts";
import {
  incarnationOf,
  type Observer,
  type PeerOptions,
  SimulatedPeer,
  WALL_START_MS,
} from "../../sim/peer.ts";
import { World } from "../../sim/world.ts";
import { EPOCH_MS, TICKS_PER_MS } from "../../src/core/clock.ts";
import { FOUNDING_KEY, SETTINGS } from "../../src/core/founding.ts";
import { encodeRow, MEMBERS } from "../../src/core/membership.ts";
import type { Entry, MapEntries, Value } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import type { Timings } from "../../src/core/timings.ts";
import { ALLOCATIONS, encodeAllocation } from "../../src/core/view.ts";

export interface ClusterOptions {
  readonly peers: number;
  readonly shards: number;
  /** One way, for every frame, in ms. */
  readonly delayMs: number;
  readonly downing: PeerOptions["downing"];
  readonly timings: Timings;
  readonly seed: number;
}

/** When what is on the disks was written: an hour before. */
const WRITTEN_AT = (WALL_START_MS - 3_600_000 - EPOCH_MS) * TICKS_PER_MS;
/** How long links may take to open, in virtual ms, and how often one looks. */
const SETTLE_MS_MAX = 60_000;
const LOOK_MS = 100;
/** How long no link may have come or gone: longer than anybody waits to dial again. */
const STILL_MS = 1000;
/** How long an exchange with the first peer takes, generously. */
const HUB_MS = 50;

export class SimulatedCluster {
  readonly world = new World();
  readonly network: Network;
  readonly peers: readonly SimulatedPeer[];

  constructor(options: ClusterOptions, observer: Observer) {
    const random = new Random(options.seed);
    this.network = new Network(this.world, random, {
      ...{ delayMsMean: 0, delayMsMin: options.delayMs, bytesPerMs: Number.POSITIVE_INFINITY },
      ...{ lossProbability: 0, duplicateProbability: 0 },
    });
    const width = String(options.peers - 1).length;
    const names = Array.from({ length: options.peers }, (_, index) => {
      return `peer-${String(index).padStart(width, "0")}`;
    });
    const image = imageOf(names, options.shards);
    this.peers = names.map((name) => {
      const { downing, timings, shards: shardCount } = options;
      const own: PeerOptions = {
        ...{ name, cluster: "bench", address: addressOf(name), shardCount, downing, timings },
        ...{ zone: null, weight: 1, join: [addressOf(names[0] as string)] },
      };
      const peer = new SimulatedPeer(this.world, this.network, own, random, observer);
      peer.disk.begin(image, WRITTEN_AT + image.length, []);
      peer.disk.sync();
      return peer;
    });
  }

  /**
   * Starts all, and lets time pass until all are linked, ready and at rest.
   *
   * Everybody writes its row anew when it begins. Did all do so while they open a link to each other,
   * every link would have an exchange about rows that are on their way to everybody. So at first only
   * one peer can be reached: whoever dials it has learned all rows when the others come in sight.
   */
  start(): void {
    const [hub, ...others] = this.peers;
    if (hub === undefined) return;
    const { syncIntervalMs, planSettleMs } = hub.options.timings;
    for (const peer of this.peers) peer.start();
    for (const { options } of others) this.network.hide(options.address);
    this.world.runUntil(syncIntervalMs + HUB_MS);
    for (const { options } of others) this.network.show(options.address);
    this.#settle();
    // Everybody looks once at what there is to plan, and finds nothing.
    this.world.runUntil(this.world.now + 2 * planSettleMs);
  }

  #settle(): void {
    for (let links = -1, stillMs = 0; this.world.now < SETTLE_MS_MAX; ) {
      this.world.runUntil(this.world.now + LOOK_MS);
      const isReady = this.peers.every(({ machine }) => machine?.isReady === true);
      const views = new Set(this.peers.map(({ machine }) => machine?.view.viewId()));
      stillMs = isReady && views.size === 1 && links === this.linkEnds ? stillMs + LOOK_MS : 0;
      if (stillMs >= STILL_MS) return;
      links = this.linkEnds;
    }
    throw new Error(`The cluster did not settle in ${SETTLE_MS_MAX} ms`);
  }

  /** Links, each counted at both ends. */
  get linkEnds(): number {
    return this.peers.reduce((sum, { links }) => sum + links.openCount, 0);
  }
}

function addressOf(name: string): string {
  return `${name}:7100`;
}

/** What every disk holds. */
function imageOf(names: readonly string[], shards: number): MapEntries[] {
  let time = WRITTEN_AT;
  const entry = (key: string, value: Value, writer: string): Entry => {
    time += 1;
    return { key, value, time, writer };
  };
  const incarnations = names.map((name) => incarnationOf(addressOf(name), WALL_START_MS, 1));
  const [founder = ""] = names;
  const [writer = ""] = incarnations;
  const rows = names.map((name, index) => {
    const incarnation = incarnations[index] as string;
    const row = encodeRow({
      ...{ status: "alive", incarnation, started: WALL_START_MS, address: addressOf(name) },
      ...{ zone: null, weight: 1, draining: false, joined: 0, since: WALL_START_MS },
    });
    return entry(name, row, incarnation);
  });
  const allocations = Array.from({ length: shards }, (_, shard) => {
    const region = names[shard % names.length] as string;
    return entry(`shard-${shard}`, encodeAllocation(region), writer);
  });
  return [
    { map: SETTINGS, entries: [entry(FOUNDING_KEY, [founder], writer)] },
    { map: MEMBERS, entries: rows },
    { map: ALLOCATIONS, entries: allocations },
  ];
}
