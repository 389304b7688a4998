/**
 * The setting of Gossip Glomers 3d and 3e: 25 nodes, every message takes 100 ms, 100 operations a second
 * for 20 s at random nodes, half broadcasts and half reads.
 *
 * It runs in the simulator's world, over the real core, codec, handshake and outbox. A broadcast is a
 * call that writes a key of its own: it allocates a shard anew that no other broadcast does. A read is
 * what a peer has in its memory at that moment.
 *
 * A message is a frame that one peer sends to another, as it is a message there, and every one counts:
 * heartbeats, exchanges, handshakes, close frames. Protocol messages, of which a frame may hold
 * several, stand beside it.
 *
 * The stable latency of an element goes from when it was known (acknowledged, or read anywhere) to the
 * last read that lacked it, as in Jepsen's set-full checker, which that of Maelstrom is made of. Only
 * one peer in 25 is asked at any moment, so beside it stands what no read can show worse: the time from
 * the call until the last of all peers has it.
 *
 * In a partition random halves cannot reach each other for some seconds, and what was on its way is
 * lost, as Maelstrom loses it: links across are reset. Then all is well again for some seconds. In the
 * end there are ten quiet seconds, after which every peer must have every element.
 *
 * Source: https://fly.io/dist-sys/3d and 3e; Kingsbury, Maelstrom and Jepsen (`set-full`).
 */
import { halves } from "../../sim/partitions.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS, type Timings } from "../../src/core/timings.ts";
import { decodeFrame } from "../../src/wire/codec.ts";
import { percentile } from "./measure.ts";
import type { Bench, Figure, Section } from "./report.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";

const PEERS = 25;
const DELAY_MS = 100;
const OPERATIONS_PER_SECOND = 100;
const DURATION_MS = 20_000;
const QUIET_MS = 10_000;
const PARTITION_MS = [2000, 5000] as const;
const SEED = 1;

/** What differs from the preset `wan`; the rest is as people get it. */
const SETTINGS = {
  flushMs: 50,
  heartbeatMs: 10_000,
  silenceMs: 40_000,
  syncIntervalMs: 10_000,
} satisfies Partial<Timings>;

interface Element {
  readonly calledAt: number;
  acknowledgedAt: number;
  /** By peer, when it had it. */
  readonly seenAt: Map<SimulatedPeer, number>;
}

interface Read {
  readonly peer: SimulatedPeer;
  readonly at: number;
}

export const bench: Bench = {
  summary: "Gossip Glomers 3d and 3e: messages per operation, and time until all have an element",
  run: async (progress) => {
    progress(`${PEERS} peers for ${DURATION_MS / 1000} s, all well`);
    const calm = new Challenge(false).run();
    progress("and again, with partitions");
    const cut = new Challenge(true).run();
    return [settingsOf(), calm, cut];
  },
};

function settingsOf(): Section {
  const figures = Object.entries(SETTINGS).map(([name, value]): Figure => {
    return { name: name.replace(/Ms$/, ""), value, unit: "ms" };
  });
  return { title: "Own settings: a full mesh, a message is a frame", figures };
}

/** One run of the setting. */
class Challenge {
  readonly #cluster: SimulatedCluster;
  readonly #random = new Random(SEED);
  readonly #hasPartitions: boolean;
  /** By the shard that stands for it. */
  readonly #elements = new Map<string, Element>();
  /** By peer and call: the shard. */
  readonly #calls = new Map<string, string>();
  readonly #reads: Read[] = [];
  #refused = 0;
  #messages = 0;
  #partitions = 0;

  constructor(hasPartitions: boolean) {
    this.#hasPartitions = hasPartitions;
    const { wan } = TIMINGS;
    const operations = (OPERATIONS_PER_SECOND * DURATION_MS) / 1000;
    const options = {
      ...{ peers: PEERS, shards: operations, delayMs: DELAY_MS, seed: SEED },
      ...{ downing: "off" as const, timings: { ...wan, ...SETTINGS } },
    };
    this.#cluster = new SimulatedCluster(options, {
      changed: (peer, change) => {
        if (change.type === "allocation") this.#seen(peer, change.shard);
      },
      answered: (peer, call, outcome) => {
        const element = this.#elements.get(this.#calls.get(`${peer.name} ${call}`) ?? "");
        if (!outcome.ok) this.#refused += 1;
        else if (element !== undefined) element.acknowledgedAt = this.#cluster.world.now;
      },
    });
  }

  run(): Section {
    const { world, network } = this.#cluster;
    this.#cluster.start();
    network.onSent = (bytes) => {
      const decoded = decodeFrame(bytes);
      this.#messages += decoded.ok ? decoded.messages.length : 1;
    };
    const frames = network.frames;
    const endsAt = world.now + DURATION_MS;
    this.#recur(endsAt, 1000 / OPERATIONS_PER_SECOND, () => this.#operate());
    if (this.#hasPartitions) this.#cut(endsAt);
    world.runUntil(endsAt);
    const sent = network.frames - frames;
    for (const [from, to] of network.cuts()) network.heal(from, to);
    world.runUntil(endsAt + QUIET_MS);
    return this.#report(sent);
  }

  #operate(): void {
    const { world, peers } = this.#cluster;
    const peer = this.#random.pick(peers) as SimulatedPeer;
    if (this.#random.chance(0.5)) {
      this.#reads.push({ peer, at: world.now });
      return;
    }
    const shard = `shard-${this.#elements.size}`;
    this.#calls.set(`${peer.name} ${peer.nextCall}`, shard);
    const seenAt = new Map<SimulatedPeer, number>();
    this.#elements.set(shard, { calledAt: world.now, acknowledgedAt: Infinity, seenAt });
    // Where it is already: a write like any other, and no reason to plan moves.
    const region = peer.machine?.view.regionFor(shard) ?? peer.name;
    peer.call({ type: "allocate", shard, region });
  }

  #seen(peer: SimulatedPeer, shard: string): void {
    const seenAt = this.#elements.get(shard)?.seenAt;
    if (seenAt?.has(peer) === false) seenAt.set(peer, this.#cluster.world.now);
  }

  /** Staggered as Jepsen does it: waits of up to twice the mean. */
  #recur(endsAt: number, everyMs: number, run: () => void): void {
    const { world } = this.#cluster;
    world.plan(2 * everyMs * this.#random.unit(), () => {
      if (world.now >= endsAt) return;
      run();
      this.#recur(endsAt, everyMs, run);
    });
  }

  #cut(endsAt: number): void {
    const { world, network, peers } = this.#cluster;
    const names = peers.map(({ name }) => name);
    const [least, most] = PARTITION_MS;
    const later = (run: () => void) => {
      world.plan(least + (most - least) * this.#random.unit(), () => world.now < endsAt && run());
    };
    later(() => {
      this.#partitions += 1;
      const cut = halves(names, this.#random);
      for (const [from, to] of cut) network.cut(from, to);
      const isCut = new Set(cut.map(([from, to]) => `${from} ${to}`));
      network.reset(({ dialler, acceptor }) => isCut.has(`${dialler} ${acceptor}`));
      later(() => {
        for (const [from, to] of cut) network.heal(from, to);
        this.#cut(endsAt);
      });
    });
  }

  #report(frames: number): Section {
    const elements = [...this.#elements.values()];
    const operations = elements.length + this.#reads.length;
    const known = elements.filter(({ acknowledgedAt }) => acknowledgedAt < Infinity);
    const lost = known.filter(({ seenAt }) => seenAt.size < PEERS).length;
    const latencies = known.map((element) => this.#stableLatencyMs(element));
    const spreads = known.map(({ calledAt, seenAt }) => Math.max(...seenAt.values()) - calledAt);
    const isCalm = !this.#hasPartitions;
    const bounded = (value: number, atMost: number, unit: string) =>
      isCalm ? { value, unit, target: { atMost } } : { value, unit };
    return {
      title: isCalm ? "Without partitions (3d, 3e)" : `With ${this.#partitions} partitions (3c)`,
      figures: [
        { name: "operations", value: operations, unit: "" },
        { name: "messages per operation", ...bounded(frames / operations, 12, "") },
        {
          ...{ name: "protocol messages per operation", unit: "" },
          value: this.#messages / operations,
        },
        { name: "stable latency, p50", ...bounded(percentile(latencies, 0.5), 150, "ms") },
        { name: "stable latency, p99", value: percentile(latencies, 0.99), unit: "ms" },
        { name: "stable latency, max", ...bounded(Math.max(...latencies), 200, "ms") },
        { name: "call to all peers, p50", ...bounded(percentile(spreads, 0.5), 150, "ms") },
        { name: "call to all peers, max", ...bounded(Math.max(...spreads), 200, "ms") },
        { name: "broadcasts refused", value: this.#refused, unit: "", target: { atMost: 0 } },
        { name: "elements lost", value: lost, unit: "", target: { atMost: 0 } },
      ],
    };
  }

  #stableLatencyMs({ calledAt, acknowledgedAt, seenAt }: Element): number {
    let knownAt = acknowledgedAt;
    let lackedAt = Number.NEGATIVE_INFINITY;
    for (const { peer, at } of this.#reads) {
      if (at < calledAt) continue;
      if (at >= (seenAt.get(peer) ?? Infinity)) knownAt = Math.min(knownAt, at);
      else lackedAt = at; // They come in order.
    }
    return Math.max(0, lackedAt - knownAt);
  }
}
