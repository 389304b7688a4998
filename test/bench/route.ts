/**
 * From a document to its shard, and on to the region that hosts it: how many a second.
 *
 * The documents are 100 000 paths of text files; 256 shards have 150 virtual nodes each and an
 * allocation each. Measured are the view, up to the allocation entry, and `routeDocument` of a peer that
 * runs in this process. Beside them `hashring` does the same: its ring answers with the shard, and a Map
 * with the allocation. It remembers the last 5000 results, so it is also asked for no more documents
 * than that, where it need not hash at all.
 */
import HashRing from "hashring";
import type { Allocation } from "../../src/core/effect.ts";
import { Replica } from "../../src/core/replica.ts";
import { ALLOCATIONS, View } from "../../src/core/view.ts";
import { type Peer, startPeer } from "../../src/peer.ts";
import { createEntries } from "./allocations.ts";
import { elapsedMs, medianOfRounds } from "./measure.ts";
import type { Bench } from "./report.ts";

const SHARDS = 256;
const VIRTUAL_NODES = 150;
const DOCUMENTS = 100_000;
const DOCUMENTS_REMEMBERED = 4000;
const LOOKUPS = 1_000_000;
/** `hashring` takes as long for this many. */
const LOOKUPS_HASHRING = 100_000;
const ROUNDS = { rounds: 15, warmUps: 5 };

export const bench: Bench = {
  summary: "document to shard to region, against the package hashring",
  run: async (progress) => {
    progress("waiting for a peer to host all shards");
    const peer = await startPeer({ name: "bench", listen: "127.0.0.1:0", shards: SHARDS });
    try {
      await hasAllShards(peer);
      await hasAllShards(peer);
      progress("looking up");
      return [{ title: `Look-ups, ${SHARDS} shards`, figures: figuresOf(measure(peer)) }];
    } finally {
      await peer.close();
    }
  },
};

async function hasAllShards(peer: Peer): Promise<void> {
  if (peer.allocations().length === SHARDS) return;
  const stop = new AbortController();
  for await (const _ of peer.watch({ signal: stop.signal })) {
    if (peer.allocations().length === SHARDS) stop.abort();
  }
}

type Rates = Record<"view" | "peer" | "hashring" | "remembered", number>;

/** Millions of look-ups a second. */
function measure(peer: Peer): Rates {
  const documents = pathsOf(DOCUMENTS);
  const few = documents.slice(0, DOCUMENTS_REMEMBERED);
  const view = createView();
  const ring = new HashRing(view.shards(), "md5", { "vnode count": VIRTUAL_NODES, replicas: 1 });
  const table = new Map(view.allocations().map((allocation) => [allocation.shard, allocation]));
  // Each has a loop of its own, or the first contestant would be the only one to be inlined.
  return medianOfRounds<keyof Rates>(
    {
      view: () => rateOf(LOOKUPS, () => lookUpInView(view, documents)),
      peer: () => rateOf(LOOKUPS, () => lookUpInPeer(peer, documents)),
      hashring: () => rateOf(LOOKUPS_HASHRING, () => lookUpInRing(ring, table, documents)),
      remembered: () => rateOf(LOOKUPS, () => lookUpInRing(ring, table, few)),
    },
    ROUNDS,
  );
}

function figuresOf({ view, peer, hashring, remembered }: Rates) {
  const unit = "M/s";
  return [
    { name: "view: to the allocation entry", value: view, unit, target: { atLeast: 10 } },
    { name: "peer: routeDocument", value: peer, unit, target: { atLeast: 7 } },
    { name: "hashring and Map", value: hashring, unit },
    { name: "hashring and Map, remembered documents", value: remembered, unit },
    { name: "view / hashring and Map", value: view / hashring, unit: "x", target: { atLeast: 20 } },
    { name: "peer / hashring and Map", value: peer / hashring, unit: "x", target: { atLeast: 20 } },
  ];
}

function createView(): View {
  const replica = new Replica("bench");
  const entries = createEntries(SHARDS, (index) => `shard-${index}`);
  replica.merge([{ map: ALLOCATIONS, entries }]);
  return new View(replica, SHARDS, 1);
}

function pathsOf(count: number): string[] {
  const paths = Array.from({ length: count }, (_, n) => `guides/chapter-${n % 97}/page-${n}.md`);
  // Through bytes, so that each is one flat text, as those that come from outside are.
  return paths.map((path) => Buffer.from(path).toString("latin1"));
}

/** Millions a second, when `lookUp` has to be repeated until it has answered `count` times. */
function rateOf(count: number, lookUp: () => number): number {
  let answered = 0;
  const ms = elapsedMs(() => {
    while (answered < count) answered += lookUp();
  });
  return answered / ms / 1000;
}

function lookUpInView(view: View, documents: readonly string[]): number {
  let answered = 0;
  for (const document of documents) if (view.allocationFor(document) !== undefined) answered += 1;
  return answered;
}

function lookUpInPeer(peer: Peer, documents: readonly string[]): number {
  let answered = 0;
  for (const document of documents) if (peer.routeDocument(document) !== undefined) answered += 1;
  return answered;
}

function lookUpInRing(
  ring: HashRing,
  table: ReadonlyMap<string, Allocation>,
  documents: readonly string[],
): number {
  let answered = 0;
  for (const document of documents) if (table.get(ring.get(document)) !== undefined) answered += 1;
  return answered;
}
