/**
 * A disk that loses its power in the middle of a transaction, and what of it a store finds afterwards.
 *
 * A cut keeps any part of what was not synced: some sectors of it are new and the others as before. LMDB
 * syncs all pages of a transaction before it writes the one that makes them count, which fits a sector. So the
 * cuts that can be are made from two copies of the file, one from before the transaction and one from after it.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Entry } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import { LmdbStore } from "../../src/io/lmdb-store.ts";

const WALL_MS = 1_790_000_000_000;
const IDENTITY = { name: "a", cluster: "hearsay" };

/** What a disk writes whole or not at all, in bytes. */
const SECTOR_BYTES = 512;

/** The two pages at the beginning, of which the later one says where everything else is. */
const META_BYTES = 2 * 4096;

const entriesOf = (round: number): Entry[] =>
  Array.from({ length: 50 }, (_, n) => ({
    ...{ key: `shard-${(n * 7 + round * 13) % 300}`, value: [`region-${round}-${n}`] },
    ...{ time: round * 1000 + n, writer: "w" },
  }));

/** `after` with a random part of its sectors as they were in `before`. */
function torn(before: Buffer, after: Buffer, random: Random, keptShare: number): Buffer {
  const disk = Buffer.alloc(after.length);
  before.copy(disk);
  for (let at = META_BYTES; at < after.length; at += SECTOR_BYTES) {
    if (random.chance(keptShare)) after.copy(disk, at, at, at + SECTOR_BYTES);
  }
  return disk;
}

test("[I17] a power cut leaves what was synced, and never half of what was not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hearsay-power-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const directory = join(folder, "running");
  const file = join(directory, "replica", "data.mdb");
  const store = new LmdbStore({ directory, ...IDENTITY });
  await store.open(WALL_MS);
  const expected = new Map<string, Entry>();
  const random = new Random(1);

  /** What a store finds on a disk that looks like this. */
  const foundOn = async (disk: Buffer): Promise<[Map<string, Entry>, number]> => {
    const place = join(folder, "restarted");
    await mkdir(join(place, "replica"), { recursive: true });
    await writeFile(join(place, "replica", "data.mdb"), disk);
    const restarted = new LmdbStore({ directory: place, ...IDENTITY });
    const { image } = await restarted.open(WALL_MS);
    await restarted.close();
    await rm(place, { recursive: true });
    const entries = image.maps.flatMap(({ entries }) => entries);
    return [new Map(entries.map((entry) => [entry.key, entry])), image.clockBound];
  };

  for (let round = 1; round <= 30; round += 1) {
    const before = await readFile(file);
    const known = new Map(expected);
    for (const entry of entriesOf(round)) expected.set(entry.key, entry);
    await store.persist([{ map: "allocations", entries: entriesOf(round) }], round);
    const after = await readFile(file);
    if (round % 5 !== 0) continue; // Pages are used again only after some rounds.
    expect(await foundOn(after)).toEqual([expected, round]);
    for (const share of [0.5, 1]) {
      expect(await foundOn(torn(before, after, random, share))).toEqual([known, round - 1]);
    }
  }
  await store.close();
  await copyFile(file, join(folder, "last"));
  expect(await foundOn(await readFile(join(folder, "last")))).toEqual([expected, 30]);
});
