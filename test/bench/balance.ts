/**
 * How evenly documents fall on shards, and keys on owners: the largest share over the mean share.
 *
 * 100 000 documents on 3, 5 and 10 shards of 150 virtual nodes, for 100 sets of shard names: the median
 * and the worst set. With v virtual nodes the shares vary by about 1 / sqrt(v) of their mean, so the
 * medians are what mathematics allows, and only more virtual nodes make them better; for each number of
 * shards the search goes up by a factor of about 1.25 until the worst set is below 1.07.
 *
 * Beside the ring stands `hashring` with as many points and MD5, for fewer sets, since it takes 20
 * times as long. Beside rendezvous hashing of 65 536 keys on 16 owners stands the same on bare FNV-1a, which is
 * what systems commonly do: its lots for names that differ in the last character are hardly mixed.
 */
import HashRing from "hashring";
import { fnv1a64 } from "../../src/core/hash.ts";
import { rendezvousOwner } from "../../src/core/rendezvous.ts";
import { HashRing as OurRing } from "../../src/core/ring.ts";
import { median } from "./measure.ts";
import type { Bench, Figure, Section } from "./report.ts";

const DOCUMENTS = Array.from(
  { length: 100_000 },
  (_, n) => `guides/chapter-${n % 97}/page-${n}.md`,
);
const SETS = 100;
const SETS_HASHRING = 15;
const VIRTUAL_NODES = 150;
const WORST_WANTED = 1.07;
const VIRTUAL_NODES_MAX = 10_000;
const OWNERS = 16;
const KEYS = 65_536;
const SETS_FNV = 15;

export const bench: Bench = {
  summary: "largest over mean load of shards and owners, against hashring and bare FNV-1a",
  run: async (progress) => [
    ...[
      { shards: 3, atMost: 1.07 },
      { shards: 5, atMost: 1.09 },
      { shards: 10, atMost: 1.13 },
    ].map(({ shards, atMost }) => {
      progress(`${shards} shards`);
      return measureRing(shards, atMost);
    }),
    measureRendezvous(progress),
  ],
};

function measureRing(shards: number, atMost: number): Section {
  const ours = setsOf(SETS, shards).map((names) => ringImbalance(names, VIRTUAL_NODES));
  const theirs = setsOf(SETS_HASHRING, shards).map((names) => {
    const ring = new HashRing(names, "md5", {
      ...{ "vnode count": VIRTUAL_NODES, replicas: 1, "max cache size": 1 },
    });
    return imbalance(names, DOCUMENTS, (document) => ring.get(document));
  });
  return {
    title: `${shards} shards, ${VIRTUAL_NODES} virtual nodes`,
    figures: [
      {
        name: `median of ${SETS} sets of names`,
        value: median(ours),
        unit: "",
        target: { atMost },
      },
      { name: `worst of ${SETS}`, value: Math.max(...ours), unit: "" },
      { name: `hashring, median of ${SETS_HASHRING}`, value: median(theirs), unit: "" },
      virtualNodesNeeded(shards),
    ],
  };
}

function virtualNodesNeeded(shards: number): Figure {
  let virtualNodes = VIRTUAL_NODES;
  while (
    !setsOf(SETS, shards).every((names) => ringImbalance(names, virtualNodes) < WORST_WANTED)
  ) {
    virtualNodes = Math.round(virtualNodes * 1.25);
    if (virtualNodes > VIRTUAL_NODES_MAX) throw new Error("No number of virtual nodes suffices");
  }
  const name = `virtual nodes until the worst of ${SETS} is under ${WORST_WANTED}`;
  return { name, value: virtualNodes, unit: "" };
}

function ringImbalance(names: readonly string[], virtualNodes: number): number {
  const ring = new OurRing({ virtualNodes });
  for (const name of names) ring.add(name);
  return imbalance(names, DOCUMENTS, (document) => ring.shardFor(document) as string);
}

function measureRendezvous(progress: (text: string) => void): Section {
  progress(`rendezvous of ${OWNERS} owners`);
  const keys = Array.from({ length: KEYS }, (_, n) => `key-${n}`);
  const ours = setsOf(SETS, OWNERS).map((names) =>
    imbalance(names, keys, (key) => rendezvousOwner(key, names) as string),
  );
  const bare = setsOf(SETS_FNV, OWNERS).map((names) =>
    imbalance(names, keys, (key) => ownerByBareFnv(key, names)),
  );
  return {
    title: `Rendezvous hashing, ${OWNERS} owners of ${KEYS} keys`,
    figures: [
      {
        ...{ name: `median of ${SETS} sets of names`, value: median(ours), unit: "" },
        target: { atMost: 1.05 },
      },
      { name: `worst of ${SETS}`, value: Math.max(...ours), unit: "" },
      { name: `bare FNV-1a, median of ${SETS_FNV}`, value: median(bare), unit: "" },
    ],
  };
}

function setsOf(sets: number, size: number): string[][] {
  return Array.from({ length: sets }, (_, set) =>
    Array.from({ length: size }, (_, n) => `set-${set}-name-${n}`),
  );
}

function imbalance(
  names: readonly string[],
  keys: readonly string[],
  ownerOf: (key: string) => string,
): number {
  const counts = new Map(names.map((name) => [name, 0]));
  for (const key of keys) {
    const owner = ownerOf(key);
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  return Math.max(...counts.values()) / (keys.length / names.length);
}

function ownerByBareFnv(key: string, owners: readonly string[]): string {
  let best = "";
  let highest = -1;
  for (const owner of owners) {
    const { high, low } = fnv1a64(key + owner);
    const lot = high * 0x1_0000_0000 + low;
    if (lot > highest) {
      highest = lot;
      best = owner;
    }
  }
  return best;
}
