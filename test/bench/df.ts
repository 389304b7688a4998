/**
 * Document frequencies: what the index costs, and whether it is exact.
 *
 * First one peer's index with 100 000 terms in each of 16 shards, in this process: a machine publishes, its
 * entries travel as frames into a replica, and an index is built on that, as at any other peer. Beside it
 * stand `Map`s of strings, one for each shard, which is what one would write first: asked by adding up
 * over the shards, and changed by sending a vocabulary whole.
 *
 * Then three real processes: `hearsay index` counts all Markdown below node_modules, and every peer is
 * asked for every term. So again after a peer was killed, and after all were cut apart, a folder was
 * indexed at one of them, and they were linked again. What is compared with is counted centrally, by
 * Unicode's segmenter alone.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Contribution } from "../../src/core/contribution.ts";
import { EMPTY_IMAGE } from "../../src/core/disk-image.ts";
import { DocumentFrequency } from "../../src/core/document-frequency.ts";
import type { Effect } from "../../src/core/effect.ts";
import { FREQUENCIES } from "../../src/core/frequency-chunks.ts";
import { Machine } from "../../src/core/machine.ts";
import { Random } from "../../src/core/random.ts";
import { Replica } from "../../src/core/replica.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { decodeFrame } from "../../src/wire/codec.ts";
import { encodeFrames } from "../../src/wire/frames.ts";
import { type CentralCount, countMarkdown, differences } from "../end-to-end/central-count.ts";
import { freePorts, type PeerRun, Processes } from "../end-to-end/processes.ts";
import { TcpProxy } from "../end-to-end/tcp-proxy.ts";
import { elapsedMs, medianOfRounds, nowMs, retainedBytes } from "./measure.ts";
import type { Bench, Figure, Section } from "./report.ts";

const SHARDS = 16;
const TERMS = 100_000;
const CHANGED = 100;
const ASKED = 10;
const READINGS = 20_000;
const WALL_MS = Date.UTC(2026, 0, 1);
const FOLDER = "node_modules";
const SETTLE_MS_MAX = 60_000;

export const bench: Bench = {
  summary: "document frequencies: reading, changing, memory, and exactness on real files",
  run: async (progress) => {
    progress(`publishing ${TERMS} terms in each of ${SHARDS} shards`);
    const cost = measureCost();
    progress("indexing all Markdown below node_modules at three processes");
    return [cost, ...(await measureExactness(progress))];
  },
};

/** Words of 3 to 15 letters. */
function createTerms(): string[] {
  const random = new Random(7);
  const terms = new Set<string>();
  while (terms.size < TERMS) {
    const length = 3 + random.below(13);
    const letters = Array.from({ length }, () => 97 + random.below(26));
    terms.add(String.fromCharCode(...letters));
  }
  return [...terms];
}

const contributionOf = (terms: readonly string[], shard: number): Contribution => ({
  documents: 1000,
  terms: new Map(terms.map((term, index) => [term, 1 + ((index * 7 + shard) % 300)])),
});

/** A peer that is alone and hosts all shards. */
class Region {
  readonly #machine: Machine;
  #calls = 0;

  constructor() {
    const incarnation = "m5d1x4k0-Zk3vT9qRTqW8yR2bN7cXaQ-0"; // What they look like.
    this.#machine = new Machine(
      {
        ...{ name: "a", cluster: "x", incarnation, address: "a:1", shardCount: SHARDS, zone: null },
        ...{ weight: 1, join: [], downing: "majority", timings: TIMINGS.lan },
        ...{ random: new Random(1), image: EMPTY_IMAGE },
      },
      0,
      WALL_MS,
    );
    for (let now = 0; now < 3000; now += 100) this.#step({ type: "woken" }, now);
  }

  /** Publishes; returns the frames that go to each link. */
  publish(shard: number, contribution: Contribution): Uint8Array[] {
    this.#calls += 1;
    const request = { type: "publish-frequencies", shard: `shard-${shard}`, contribution } as const;
    const effects = this.#step({ type: "called", call: this.#calls, request }, 3000);
    const persist = effects.find((effect) => effect.type === "persist");
    return encodeFrames([{ type: "delta", maps: persist?.maps ?? [] }]);
  }

  #step(event: Parameters<Machine["step"]>[0], now: number): Effect[] {
    return this.#machine.step(event, now, WALL_MS + now);
  }
}

function measureCost(): Section {
  const terms = createTerms();
  const region = new Region();
  const frames: Uint8Array[] = [];
  const publishMs = elapsedMs(() => {
    for (let shard = 0; shard < SHARDS; shard += 1) {
      frames.push(...region.publish(shard, contributionOf(terms, shard)));
    }
  });
  const contribution = contributionOf(terms, 3);
  const changed = new Map(contribution.terms);
  for (let n = 0; n < CHANGED; n += 1) changed.set(terms[n * 997] as string, 900);
  let bytes = 0;
  const changeMs = elapsedMs(() => {
    for (const { length } of region.publish(3, { documents: 1000, terms: changed }))
      bytes += length;
  });
  const whole = frames.reduce((sum, { length }) => sum + length, 0) / SHARDS;

  let replica = new Replica("x");
  const replicaBytes = retainedBytes(() => {
    replica = receive(frames);
    return replica;
  });
  const indexes: DocumentFrequency[] = [];
  const indexBytes = retainedBytes(() => {
    indexes.push(indexOf(replica));
    return indexes;
  });
  let maps: Map<string, number>[] = [];
  const mapBytes = retainedBytes(() => {
    maps = Array.from(
      { length: SHARDS },
      (_, shard) => new Map(contributionOf(terms, shard).terms),
    );
    return maps;
  });
  const asked = terms.slice(500, 500 + ASKED);
  const { ours, naive } = medianOfRounds(
    {
      ours: () => readingUs(() => indexes[0]?.globalDf(asked, WALL_MS).frequencies.size ?? 0),
      naive: () => readingUs(() => sumOver(maps, asked).size),
    },
    { rounds: 9 },
  );
  const each = SHARDS * TERMS;
  return {
    title: `${TERMS} terms in each of ${SHARDS} shards`,
    figures: [
      { name: `globalDf of ${ASKED} terms`, value: ours, unit: "us", target: { atMost: 10 } },
      { name: "the same from a Map for each shard", value: naive, unit: "us" },
      {
        ...{ name: `changing ${CHANGED} terms of a shard, sent on each link`, value: bytes / 1000 },
        ...{ unit: "kB", target: { atMost: 24 } },
      },
      { name: "sending its vocabulary whole", value: whole / 1000, unit: "kB" },
      perTerm("memory of the index", indexBytes / each, 40),
      perTerm("memory of the entries in the replica", replicaBytes / each),
      perTerm("memory of both", (indexBytes + replicaBytes) / each, 40),
      perTerm("memory of Maps that share their strings", mapBytes / each),
      { name: "publishing a vocabulary, one step", value: publishMs / SHARDS, unit: "ms" },
      { name: `publishing it with ${CHANGED} changes`, value: changeMs, unit: "ms" },
    ],
  };
}

function perTerm(name: string, value: number, atMost?: number): Figure {
  const figure = { name: `${name}, per term and shard`, value, unit: "B" };
  return atMost === undefined ? figure : { ...figure, target: { atMost } };
}

function receive(frames: readonly Uint8Array[]): Replica {
  const replica = new Replica("x");
  for (const frame of frames) {
    const decoded = decodeFrame(frame);
    if (!decoded.ok) throw new Error("A frame of ours was refused");
    for (const message of decoded.messages) {
      if (message.type === "delta") replica.merge(message.maps);
    }
  }
  return replica;
}

function indexOf(replica: Replica): DocumentFrequency {
  const map = replica.map(FREQUENCIES);
  const index = new DocumentFrequency(map, 12_345);
  for (let shard = 0; shard < SHARDS; shard += 1) index.register(`shard-${shard}`);
  for (const entry of map.all()) index.apply(entry);
  index.settle();
  if (!index.globalDf([], WALL_MS).complete) throw new Error("The index lacks something");
  return index;
}

function readingUs(read: () => number): number {
  let total = 0;
  const ms = elapsedMs(() => {
    for (let reading = 0; reading < READINGS; reading += 1) total += read();
  });
  if (total !== READINGS * ASKED) throw new Error("A reading has lost a term");
  return (ms * 1000) / READINGS;
}

function sumOver(maps: readonly Map<string, number>[], asked: readonly string[]) {
  const sums = new Map<string, number>();
  for (const term of asked) {
    let sum = 0;
    for (const map of maps) sum += map.get(term) ?? 0;
    sums.set(term, sum);
  }
  return sums;
}

async function measureExactness(progress: (text: string) => void): Promise<Section[]> {
  const processes = new Processes();
  const ports = await freePorts(6);
  const proxies = [0, 1, 2].map((n) => new TcpProxy(ports[n] as number, ports[n + 3] as number));
  try {
    await Promise.all(proxies.map((proxy) => proxy.heal()));
    const joined = proxies.map(({ address }) => address).join(",");
    const startPeer = (number: number): PeerRun =>
      processes.peer([
        ...["--name", `peer-${number + 1}`, "--listen", `127.0.0.1:${ports[number + 3]}`],
        ...["--advertise", proxies[number]?.address as string, "--join", joined],
        ...["--timings", "local", "--downing", "off", "--log-level", "error"],
      ]);
    const peers = [0, 1, 2].map(startPeer);
    await Promise.all(peers.map((peer) => peer.ready()));
    return await compareAll(processes, peers, proxies, startPeer, progress);
  } finally {
    await processes.close();
    await Promise.all(proxies.map((proxy) => proxy.cut()));
  }
}

async function compareAll(
  processes: Processes,
  peers: PeerRun[],
  proxies: readonly TcpProxy[],
  startPeer: (number: number) => PeerRun,
  progress: (text: string) => void,
): Promise<Section[]> {
  const [a, b, c] = peers as [PeerRun, PeerRun, PeerRun];
  const index = async (peer: PeerRun): Promise<{ changed: number; terms: number; ms: number }> => {
    const start = nowMs();
    const args = ["index", FOLDER, "--markdown", "--json", "--peer", peer.api.address];
    const { code, stdout, stderr } = await processes.run(args).end();
    if (code !== 0) throw new Error(stderr);
    return { ...JSON.parse(stdout), ms: nowMs() - start };
  };
  await allHosted(peers);
  const first = await index(a);
  const central = countMarkdown(FOLDER);
  const atFirst = await worst(peers, central);
  const again = await index(b);
  progress("killing a peer");
  await c.end("SIGKILL");
  await allHosted([a, b]);
  const afterKill = await worst([a, b], central);
  progress("cutting all peers apart");
  const back = await startPeer(2).ready();
  const three = [a, b, back];
  await allHosted(three);
  await Promise.all(proxies.map((proxy) => proxy.cut()));
  for (const peer of three) await allHosted([peer]);
  const alone = await index(b);
  await Promise.all(proxies.map((proxy) => proxy.heal()));
  await allHosted(three);
  const afterCut = await worst(three, central);
  const { entries } = await a.status();
  const exact = (name: string, value: number): Figure => ({
    ...{ name: `terms that differ ${name}`, value, unit: "", target: { atMost: 0 } },
  });
  return [
    {
      title: `All Markdown below ${FOLDER}, at three processes`,
      figures: [
        { name: "documents", value: central.documents, unit: "" },
        { name: "terms", value: central.terms.size, unit: "" },
        exact("from a central count at any peer", atFirst),
        exact("after a peer was killed", afterKill),
        exact("after all were cut apart and one of them was indexed at", afterCut),
        { name: "hearsay index, the first time", value: first.ms / 1000, unit: "s" },
        { name: "entries written by that", value: first.changed, unit: "" },
        { name: "hearsay index, nothing changed", value: again.ms / 1000, unit: "s" },
        {
          ...{ name: "entries written by that ", value: again.changed, unit: "" },
          target: { atMost: 0 },
        },
        {
          name: "entries written by one that was alone, and new to most shards",
          value: alone.changed,
          unit: "",
        },
        { name: "entries of the replica", value: entries, unit: "" },
      ],
    },
  ];
}

/** Waits until all of `peers`, and nobody else, host all shards, and agree. */
async function allHosted(peers: readonly PeerRun[]): Promise<void> {
  const start = nowMs();
  for (;;) {
    const statuses = await Promise.all(peers.map((peer) => peer.status()));
    const table = (await peers[0]?.allocations()) ?? [];
    const hosts = new Set(table.map(({ region }) => region));
    const isSettled =
      new Set(statuses.map(({ fingerprint }) => fingerprint)).size === 1 &&
      table.length === statuses[0]?.shards &&
      hosts.size === peers.length &&
      statuses.every(({ name }) => hosts.has(name));
    if (isSettled) return;
    if (nowMs() - start > SETTLE_MS_MAX) throw new Error("The peers have not settled");
    await sleep(50);
  }
}

/** At how many terms the worst of the peers differs, once it had time to hear of all. */
async function worst(peers: readonly PeerRun[], central: CentralCount): Promise<number> {
  let most = 0;
  for (const { api } of peers) {
    const start = nowMs();
    let found = await differences(api, central);
    while (found.length > 0 && nowMs() - start < 10_000) {
      await sleep(100);
      found = await differences(api, central);
    }
    most = Math.max(most, found.length);
  }
  return most;
}
