/**
 * Everything that `table-substrate` loads from bytes, in this process or, cold, as the first thing in
 * a fresh one.
 *
 * A loader goes from bytes to where the region of a shard can be looked up, and proves it by a look-up.
 * For a `Contestant` of the comparison with Yjs these are the bytes of its own encoding. `a peer` takes in
 * the frames that another peer sends to a newcomer: chunk by chunk they become entries, pass the clock
 * and the caps, are merged into the replica with its sketch, and end up in the view.
 */
import { pathToFileURL } from "node:url";
import { AllocationTable } from "../../src/allocation-table.ts";
import { HybridClock } from "../../src/core/clock.ts";
import { FRAME_BYTES_TARGET } from "../../src/core/limits.ts";
import type { MapEntries } from "../../src/core/message.ts";
import { Replica } from "../../src/core/replica.ts";
import { View } from "../../src/core/view.ts";
import { decodeFrame, decodeSnapshot, encodeFrame } from "../../src/wire/codec.ts";
import { answerParent, Child } from "./child.ts";
import { elapsedMs } from "./measure.ts";
import { readYjs, YJS_LAYOUTS } from "./yjs-layouts.ts";

/** Shards of the peer that takes in a snapshot. */
export const SHARD_COUNT = 16_384;

/** Bytes in, something that can be looked up out. Made once, it loads again and again. */
type Loader = (parts: readonly Uint8Array[]) => object;

/** By contestant. A loader prepares what is there before the bytes come, such as an empty table. */
const LOADERS: Readonly<Record<string, () => Loader>> = {
  AllocationTable: () => loadTable,
  "replica with sketch": () => loadReplica,
  ...Object.fromEntries(
    YJS_LAYOUTS.map(({ name, lookUp }) => [
      name,
      () =>
        ([update]: readonly Uint8Array[]) =>
          readYjs(update as Uint8Array, lookUp, keyOf(1)),
    ]),
  ),
  "a peer": () => {
    const peer = createPeer();
    return (frames) => takeIn(peer, frames);
  },
};

export function keyOf(index: number): string {
  return `shard-${index}`;
}

/** Loads once more, and returns what was loaded and how long it took, in ms. */
export function load(
  contestant: string,
  parts: readonly Uint8Array[],
): { loaded: object; ms: number } {
  const loader = LOADERS[contestant]?.();
  if (loader === undefined) throw new Error(`There is no loader for ${contestant}`);
  let loaded: object = [];
  const ms = elapsedMs(() => {
    loaded = loader(parts);
  });
  return { loaded, ms };
}

/** How long loading takes as the first thing that a fresh process does, in ms. */
export async function loadCold(contestant: string, parts: readonly Uint8Array[]): Promise<number> {
  const child = new Child(new URL(import.meta.url), [contestant]);
  const ms = await child.ask(parts);
  await child.end();
  return ms as number;
}

/** All of `replica` as frames with one chunk each, as a newcomer gets them. */
export function framesOf(replica: Replica): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let cursor = 0; cursor >= 0; ) {
    const { maps, next } = replica.chunk(cursor, FRAME_BYTES_TARGET);
    // A copy: encoded frames share memory, and a process that gets one would get the rest with it.
    frames.push(encodeFrame([{ type: "snapshot", exchange: 0, next, maps }]).slice());
    cursor = next;
  }
  return frames;
}

function loadTable([snapshot]: readonly Uint8Array[]): AllocationTable {
  const table = new AllocationTable({ writer: "loader" });
  table.mergeRemote(snapshot as Uint8Array);
  if (table.regionFor(keyOf(1)) === undefined) throw new Error("The table was not loaded");
  return table;
}

export function loadReplica([snapshot]: readonly Uint8Array[]): Replica {
  const decoded = decodeSnapshot(snapshot as Uint8Array);
  if (!decoded.ok) throw new Error(decoded.message);
  const replica = new Replica("bench");
  replica.merge(decoded.maps);
  return replica;
}

interface Peer {
  readonly replica: Replica;
  readonly view: View;
  readonly clock: HybridClock;
}

function createPeer(): Peer {
  const replica = new Replica("bench");
  return { replica, view: new View(replica, SHARD_COUNT, 1), clock: new HybridClock() };
}

function takeIn({ replica, view, clock }: Peer, frames: readonly Uint8Array[]): View {
  const wallMs = Date.now();
  for (const frame of frames) {
    const decoded = decodeFrame(frame);
    if (!decoded.ok) throw new Error(decoded.message);
    for (const message of decoded.messages) {
      if (message.type !== "snapshot") continue;
      const maps: MapEntries[] = message.maps.map(({ map, entries }) => ({
        map,
        entries: entries.filter(({ time }) => clock.observe(time, wallMs)),
      }));
      if (replica.wouldOverflow(maps)) throw new Error("The snapshot is too large");
      view.apply(replica.merge(maps));
    }
  }
  if (view.allocationCount !== SHARD_COUNT) throw new Error("The snapshot was not taken in");
  return view;
}

/** The fresh process. The bytes come from outside: making them would warm up what is to be cold. */
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  answerParent(async (parts: Uint8Array[]) => load(process.argv[2] as string, parts).ms);
}
