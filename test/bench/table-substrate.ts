/**
 * Why the allocation table is not a Yjs document: ours against the layouts of `yjs-layouts.ts`.
 *
 * 10 000 keys are written once and then 100 000 times more, at random, by 8 writers. The result is
 * encoded, and the bytes are loaded into an empty table, up to where a region can be looked up. Ours is
 * an `AllocationTable`. Beside it stands a peer's replica, which keeps a sketch as well and so does more
 * than any other here. Yjs has two encodings: it loads the first, which is the faster one, and is
 * compared by the size of the smaller one.
 *
 * Warm is the median of rounds in one process, garbage collection where it falls; cold is the first
 * thing that a fresh process does after its imports. Heap is what is in use after garbage collection
 * because of the loaded table, buffers included.
 *
 * Then what a peer does with a snapshot of 16 384 entries, from the bytes of frames to the view that
 * routes are read from, and what one entry costs in a replica.
 */
import * as Y from "yjs";
import { Replica } from "../../src/core/replica.ts";
import { ALLOCATIONS, encodeAllocation } from "../../src/core/view.ts";
import { encodeSnapshot } from "../../src/wire/codec.ts";
import { createEntries, createHistory, REGIONS, WRITERS, type Write } from "./allocations.ts";
import { framesOf, keyOf, load, loadCold, loadReplica, SHARD_COUNT } from "./loaders.ts";
import { median, medianOfRounds, retainedBytes } from "./measure.ts";
import type { Bench, Figure, Section } from "./report.ts";
import { writeYjs, YJS_LAYOUTS } from "./yjs-layouts.ts";

const KEYS = 10_000;
const OVERWRITES = 100_000;
/** At several ms for each write, more would take too long. */
const OVERWRITES_SLOW = 5000;
const WARM_ROUNDS = { rounds: 15, warmUps: 5 };
const WARM_ROUNDS_PEER = { rounds: 31, warmUps: 15 };
const COLD_ROUNDS = 7;
const HEAP_ROUNDS = { rounds: 3, warmUps: 1 };
const ENTRY_COUNTS = [16_384, 100_000];

type Progress = (text: string) => void;

export const bench: Bench = {
  summary: "our allocation table against three Yjs layouts, and what a snapshot costs a peer",
  run: async (progress) => [
    ...(await compareWithYjs(progress)),
    await measureSnapshot(progress),
    measureEntries(progress),
  ],
};

/** A table that has been written and encoded. */
interface Contestant {
  readonly name: string;
  /** What is loaded. */
  readonly parts: readonly Uint8Array[];
  /** Bytes of the smallest encoding. */
  readonly bytes: number;
}

async function compareWithYjs(progress: Progress): Promise<Section[]> {
  const contestants = createContestants(progress);
  progress("loading, warm");
  const warm = medianOfRounds(
    byName(
      contestants,
      ({ name, parts }) =>
        () =>
          load(name, parts).ms,
    ),
    WARM_ROUNDS,
  );
  progress("loading, cold");
  const cold = await mediansOfCold(contestants);
  progress("weighing");
  const heaps = medianOfRounds(
    byName(contestants, ({ name, parts }) => () => {
      return retainedBytes(() => load(name, parts).loaded) / 1000;
    }),
    HEAP_ROUNDS,
  );
  const bytes = byName(contestants, (contestant) => contestant.bytes / 1000);
  return [
    compare(`Load ${KEYS} keys, warm`, "ms", warm, 10),
    compare(`Load ${KEYS} keys, cold`, "ms", cold),
    compare("Heap of the loaded table", "kB", heaps, 3),
    compare("Bytes of the encoded table", "kB", bytes, 1),
  ];
}

function createContestants(progress: Progress): Contestant[] {
  const history = createHistory(KEYS, OVERWRITES);
  progress(`${OVERWRITES} overwrites of our own`);
  const snapshot = encodeSnapshot(writeReplica(history).everything());
  const ours = ["AllocationTable", "replica with sketch"].map((name) => ({
    name,
    parts: [snapshot],
    bytes: snapshot.length,
  }));
  const theirs = YJS_LAYOUTS.map((layout) => {
    const overwrites = layout.isSlow ? OVERWRITES_SLOW : OVERWRITES;
    progress(`${overwrites} overwrites as ${layout.name}`);
    const doc = writeYjs(layout, history.slice(0, KEYS + overwrites), keyOf);
    const update = Y.encodeStateAsUpdate(doc);
    const bytes = Math.min(update.length, Y.encodeStateAsUpdateV2(doc).length);
    return { name: layout.name, parts: [update], bytes };
  });
  return [...ours, ...theirs];
}

async function mediansOfCold(contestants: readonly Contestant[]): Promise<Record<string, number>> {
  const found = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < COLD_ROUNDS; round += 1) {
    for (const { name, parts } of contestants) {
      found.get(name)?.push(await loadCold(name, parts));
    }
  }
  return byName(contestants, ({ name }) => median(found.get(name) ?? []));
}

function byName<T>(
  contestants: readonly Contestant[],
  figureOf: (contestant: Contestant) => T,
): Record<string, T> {
  return Object.fromEntries(
    contestants.map((contestant) => [contestant.name, figureOf(contestant)]),
  );
}

/** Every contestant's figure, and how many times the first one's each Yjs layout takes. */
function compare(
  title: string,
  unit: string,
  values: Readonly<Record<string, number>>,
  atLeast?: number,
): Section {
  const figures = Object.entries(values).map(([name, value]): Figure => ({ name, value, unit }));
  const [ours, , ...theirs] = figures;
  const ratios = theirs.map(
    ({ name, value }): Figure => ({
      name: `${name} / ${ours?.name}`,
      value: value / (ours?.value ?? Number.NaN),
      unit: "x",
      ...(atLeast === undefined ? {} : { target: { atLeast } }),
    }),
  );
  return { title, figures: [...figures, ...ratios] };
}

function writeReplica(history: readonly Write[]): Replica {
  const replica = new Replica("bench");
  for (const { key, writer, region, time } of history) {
    const stamp = { time, writer: WRITERS[writer] as string };
    replica.put(ALLOCATIONS, keyOf(key), encodeAllocation(REGIONS[region] as string), stamp);
  }
  return replica;
}

async function measureSnapshot(progress: Progress): Promise<Section> {
  progress(`a peer takes in ${SHARD_COUNT} entries`);
  const source = new Replica("bench");
  source.merge([{ map: ALLOCATIONS, entries: createEntries(SHARD_COUNT, keyOf) }]);
  const parts = framesOf(source);
  const { warm } = medianOfRounds({ warm: () => load("a peer", parts).ms }, WARM_ROUNDS_PEER);
  const cold: number[] = [];
  for (let round = 0; round < COLD_ROUNDS; round += 1) cold.push(await loadCold("a peer", parts));
  return {
    title: `A peer takes in a snapshot of ${SHARD_COUNT} entries, sketch and view included`,
    figures: [
      { name: "warm", value: warm, unit: "ms", target: { atMost: 20 } },
      { name: "cold", value: median(cold), unit: "ms", target: { atMost: 50 } },
    ],
  };
}

/** What an entry costs a replica that was loaded from bytes, all columns and the sketch included. */
function measureEntries(progress: Progress): Section {
  progress("weighing entries");
  const figures: Figure[] = [];
  for (const { length, atMost } of [
    { length: 10, atMost: 200 },
    { length: 25, atMost: 260 },
  ]) {
    for (const count of ENTRY_COUNTS) {
      const entries = createEntries(count, (n) => `key-${String(n).padStart(length - 4, "0")}`);
      const snapshot = encodeSnapshot([{ map: ALLOCATIONS, entries }]);
      const { bytes } = medianOfRounds(
        { bytes: () => retainedBytes(() => loadReplica([snapshot])) / count },
        HEAP_ROUNDS,
      );
      const name = `keys of ${length} characters, ${count} entries`;
      figures.push({ name, value: bytes, unit: "B", target: { atMost } });
    }
  }
  return { title: "Heap of one entry of a replica", figures };
}
