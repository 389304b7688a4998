/**
 * A power cut for a whole cluster: every process dies at one moment, with a write on its way to its disk that is
 * there afterwards or is not, and they come back one by one in any order.
 */
import { expect, test } from "vitest";
import type { Outcome } from "../../sim/peer.ts";
import { Random } from "../../src/core/random.ts";
import { Cluster } from "./cluster.ts";

const NAMES = ["a", "b", "c", "d", "e"];

/** How long a cluster may take until it serves again, once all are back, in ms of its own time. */
const BACK_MS_MAX = 60_000;

interface Wanted {
  readonly answer: () => Outcome | undefined;
  readonly isThere: (cluster: Cluster) => boolean;
}

/** Writes from all peers for a while, some of it until the very end. */
function write(cluster: Cluster, random: Random): Wanted[] {
  const wanted: Wanted[] = [];
  for (let count = 0; count < 60; count += 1) {
    const at = random.pick(NAMES) as string;
    const key = `key-${count}`;
    const registered = cluster.later(at, { type: "register-shard", key, weight: undefined });
    wanted.push({
      answer: registered,
      isThere: (later) => {
        const outcome = registered();
        const shard = outcome?.ok === true ? (outcome.value as string) : "";
        return NAMES.every((name) => later.machine(name).view.shards().includes(shard));
      },
    });
    const shard = `shard-${random.below(12)}`;
    const region = random.pick(NAMES) as string;
    const pinned = cluster.later(at, { type: "allocate", shard, region, pin: true });
    wanted.push({
      answer: pinned,
      isThere: (later) => {
        const outcome = pinned();
        const { token } = (outcome?.ok === true ? outcome.value : {}) as { token: number };
        const found = NAMES.map((name) => later.machine(name).view.allocation(shard)?.token ?? 0);
        return found.every((each) => each >= token);
      },
    });
    cluster.run(random.below(30));
  }
  return wanted;
}

/** Kills all at once and starts them again, some with an empty disk. */
function blackout(cluster: Cluster, random: Random, lost: readonly string[]): void {
  for (const name of NAMES) cluster.peer(name).kill(random.chance(0.5));
  const order = [...NAMES].sort(() => random.unit() - 0.5);
  for (const name of order) {
    cluster.run(random.below(4000));
    cluster.peer(name).start({ wipe: lost.includes(name) });
  }
}

const isBack = (cluster: Cluster): boolean =>
  NAMES.every((name) => cluster.machine(name).isReady) && cluster.isEqual;

test.each(Array.from({ length: 12 }, (_, seed) => seed))(
  "[I17] all die at once and come back in any order, and what was acknowledged is there (seed %i)",
  (seed) => {
    const random = new Random(seed);
    const diskMs = random.pick([0, 0.3, 8]) ?? 0;
    const cluster = new Cluster(NAMES.join(" "), { seed, diskMs }).settled();
    for (const lost of [[], [random.pick(NAMES) as string], []]) {
      const wanted = write(cluster, random);
      const acknowledged = wanted.filter(({ answer }) => answer()?.ok === true);
      blackout(cluster, random, lost);
      cluster.runUntil(() => isBack(cluster), BACK_MS_MAX);
      expect(acknowledged.length).toBeGreaterThan(20);
      expect(acknowledged.filter(({ isThere }) => !isThere(cluster)).length).toBe(0);
    }
  },
);
