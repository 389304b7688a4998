/**
 * How often somebody who lives is dead to others: 12 simulated peers, bad links, and stalls.
 *
 * On a tenth of the links, in both directions, one frame in ten loses a segment: it comes 200 to 600 ms
 * late, and everything behind it waits; three in a hundred of the losses silence their direction for
 * good, and as many reset the connection. Now and then, once in half a minute for each peer, a process
 * stalls for up to a second, evenly distributed. The core, its codec and its handshake are the real ones.
 *
 * A death is false, since nobody ever dies here. It lasts from the first peer that sees it until no peer
 * does any more.
 *
 * `HEARSAY_BENCH_PEER_HOURS` is how much is simulated, 100 by default, in runs of an hour each.
 */
import { Network } from "../../sim/network.ts";
import { type PeerOptions, SimulatedPeer } from "../../sim/peer.ts";
import { World } from "../../sim/world.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { percentile } from "./measure.ts";
import type { Bench } from "./report.ts";

const PEERS = 12;
const HOUR_MS = 3_600_000;
const BAD_LINKS = 0.1;
const LOSS = 0.1;
const STALL_EVERY_MS = 30_000;
const STALL_MS_MAX = 1000;
const PEER_HOURS = Number(process.env.HEARSAY_BENCH_PEER_HOURS ?? 100);

export const bench: Bench = {
  summary: "false deaths among 12 simulated peers with lossy links and stalls",
  run: async (progress) => {
    const hours = Math.ceil(PEER_HOURS / PEERS);
    const lastedMs: number[] = [];
    let suspicions = 0;
    for (let hour = 0; hour < hours; hour += 1) {
      const found = simulateHour(hour);
      lastedMs.push(...found.lastedMs);
      suspicions += found.suspicions;
      const longest = Math.max(0, ...lastedMs).toFixed(0);
      progress(
        `hour ${hour + 1} of ${hours}: ${lastedMs.length} so far, the longest ${longest} ms`,
      );
    }
    const long = lastedMs.filter((ms) => ms > 5000).length;
    return [
      {
        title: `${hours * PEERS} peer-hours`,
        figures: [
          { name: "suspicions seen", value: suspicions, unit: "" },
          { name: "false deaths", value: lastedMs.length, unit: "" },
          { name: "that lasted over 5 s", value: long, unit: "", target: { atMost: 0 } },
          { name: "longest", value: Math.max(0, ...lastedMs), unit: "ms" },
          { name: "median", value: percentile([0, ...lastedMs], 0.5), unit: "ms" },
        ],
      },
    ];
  },
};

interface Found {
  readonly lastedMs: readonly number[];
  readonly suspicions: number;
}

function simulateHour(seed: number): Found {
  const world = new World();
  const random = new Random(seed ^ 0xdea7);
  const names = Array.from({ length: PEERS }, (_, index) => `peer-${index}`);
  const bad = badLinks(names, random);
  const network = new Network(world, new Random(random.uint32()), {
    ...{ delayMsMean: 0.5, delayMsMin: 0.1, bytesPerMs: 100_000 },
    ...{ lossProbability: 0, duplicateProbability: 0 },
    lossBetween: (from, to) => (bad.has(`${from} ${to}`) ? LOSS : 0),
  });
  const deaths = new Deaths(world);
  const peers = names.map((name) => {
    const peerRandom = new Random(random.uint32());
    return new SimulatedPeer(world, network, optionsOf(name, names), peerRandom, {
      changed: (peer, change) => {
        if (change.type === "member") deaths.saw(peer.name, change.name, change.status);
      },
    });
  });
  for (const peer of peers) peer.start();
  const stall = (peer: SimulatedPeer): void => {
    peer.pause();
    world.plan(random.unit() * STALL_MS_MAX, () => peer.resume());
    world.plan(waitMs(random), () => stall(peer));
  };
  for (const peer of peers) world.plan(waitMs(random), () => stall(peer));
  world.runUntil(HOUR_MS);
  return deaths.found();
}

/** Until the next stall of one peer, but never within the one before. */
const waitMs = (random: Random): number =>
  STALL_MS_MAX - STALL_EVERY_MS * Math.log(1 - random.unit());

function badLinks(names: readonly string[], random: Random): Set<string> {
  const bad = new Set<string>();
  for (const one of names) {
    for (const other of names) {
      if (one >= other || !random.chance(BAD_LINKS)) continue;
      bad.add(`${one} ${other}`);
      bad.add(`${other} ${one}`);
    }
  }
  return bad;
}

function optionsOf(name: string, names: readonly string[]): PeerOptions {
  return {
    ...{ name, cluster: "soak", address: `${name}:7100`, shardCount: 64, zone: null, weight: 1 },
    ...{ join: names.map((other) => `${other}:7100`), downing: "majority", timings: TIMINGS.lan },
  };
}

/** Who is dead to whom, since when, and how long it was. */
class Deaths {
  readonly #world: World;
  /** By name of the dead: to whom, and since when. */
  readonly #dead = new Map<string, { readonly to: Set<string>; readonly since: number }>();
  readonly #lastedMs: number[] = [];
  #suspicions = 0;

  constructor(world: World) {
    this.#world = world;
  }

  saw(peer: string, name: string, status: string): void {
    if (status === "suspect") this.#suspicions += 1;
    const death = this.#dead.get(name);
    if (status === "dead") {
      if (death === undefined) {
        this.#dead.set(name, { to: new Set([peer]), since: this.#world.now });
      } else death.to.add(peer);
    } else if (death?.to.delete(peer) && death.to.size === 0) {
      this.#dead.delete(name);
      this.#lastedMs.push(this.#world.now - death.since);
    }
  }

  found(): Found {
    const open = [...this.#dead.values()].map(({ since }) => this.#world.now - since);
    return { lastedMs: [...this.#lastedMs, ...open], suspicions: this.#suspicions };
  }
}
