import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import type { HearsayError } from "../../src/core/error.ts";
import type { Entry } from "../../src/core/message.ts";
import { LmdbStore } from "../../src/io/lmdb-store.ts";
import { storeContract } from "../contract/store-contract.ts";

const WALL_MS = 1_790_000_000_000;
const IDENTITY = { name: "a", cluster: "hearsay" };

function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), "hearsay-store-"));
}

async function disk(): Promise<string> {
  const directory = await temporaryDirectory();
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const fileIn = (directory: string): string => join(directory, "replica", "data.mdb");

const entryOf = (key: string, value: Entry["value"]): Entry => ({
  ...{ key, value, time: 1, writer: "w" },
});

const REGIONS = Array.from({ length: 400 }, (_, n) => entryOf(`shard-${n}`, [`region-${n % 7}`]));

async function filled(entries: readonly Entry[]): Promise<string> {
  const directory = await disk();
  const store = new LmdbStore({ directory, ...IDENTITY });
  await store.open(WALL_MS);
  await store.persist([{ map: "allocations", entries }], 9);
  await store.close();
  return directory;
}

storeContract("a store on a disk", async () => {
  const directory = await temporaryDirectory();
  return {
    store: () => new LmdbStore({ directory, ...IDENTITY }),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
});

test("a directory of another peer, or of another cluster, is refused by name", async () => {
  const directory = await filled([]);
  for (const other of [
    { name: "b", cluster: "hearsay" },
    { name: "a", cluster: "other" },
  ]) {
    const store = new LmdbStore({ directory, ...other });
    const message = expect.stringContaining('it belongs to "a" of cluster "hearsay"');
    await expect(store.open(WALL_MS)).rejects.toMatchObject({ code: "STORE_FAILED", message });
  }
});

test("two stores of one process cannot have one directory, and the second may once the first is closed", async () => {
  const directory = await disk();
  const first = new LmdbStore({ directory, ...IDENTITY });
  const second = new LmdbStore({ directory, ...IDENTITY });
  await first.open(WALL_MS);
  await expect(second.open(WALL_MS)).rejects.toMatchObject({ code: "STORE_LOCKED" });
  await first.persist([{ map: "members", entries: [entryOf("x", 1)] }], 1);
  await first.close();
  const { image } = await second.open(WALL_MS);
  expect(image.maps).toEqual([{ map: "members", entries: [entryOf("x", 1)] }]);
  await second.close();
});

test("[I17] a record that is not what was written is found, and named", async () => {
  const directory = await filled(REGIONS);
  const sound = await readFile(fileIn(directory));
  // Wherever it stands: pages that are no longer used have copies.
  const damaged = Buffer.from(
    sound.toString("latin1").replaceAll("region-3", "regiom-3"),
    "latin1",
  );
  await writeFile(fileIn(directory), damaged);
  const store = new LmdbStore({ directory, ...IDENTITY });
  const error = await store.open(WALL_MS).catch((reason) => reason);
  expect(error.code).toBe("STORE_CORRUPT");
  expect(error.message).toMatch(/"shard-\d+" of allocations is not what was written; "hearsay rep/);
});

test("[S5] damage and a cut end no process, and yield no other entries than were written", async () => {
  const directory = await filled(REGIONS);
  const sound = await readFile(fileIn(directory));
  const written = new Set(REGIONS.map((entry) => JSON.stringify(entry)));
  const offsets = fc.integer({ min: 0, max: sound.length - 1 });
  const damage = fc.record({
    at: offsets,
    bytes: fc.uint8Array({ minLength: 1, maxLength: 512 }),
    end: fc.oneof({ weight: 3, arbitrary: fc.constant(sound.length) }, offsets),
  });
  let refusals = 0;
  for (const { at, bytes, end } of fc.sample(damage, { seed: 7, numRuns: 24 })) {
    const damaged = Buffer.from(sound);
    damaged.set(bytes.slice(0, sound.length - at), at);
    await writeFile(fileIn(directory), damaged.subarray(0, end));
    const store = new LmdbStore({ directory, ...IDENTITY });
    try {
      const { image } = await store.open(WALL_MS);
      const found = image.maps.flatMap(({ entries }) => entries);
      // A void meta page leaves the one before it, which is a disk of one transaction ago.
      expect([0, REGIONS.length]).toContain(found.length);
      for (const entry of found) expect(written).toContain(JSON.stringify(entry));
    } catch (error) {
      expect((error as HearsayError).code).toMatch(/^STORE_(CORRUPT|FAILED)$/);
      refusals += 1;
    } finally {
      await store.close();
    }
  }
  expect(refusals).toBeGreaterThan(3);
});

test("a file that was removed under a running peer is noticed with the next write", async () => {
  const directory = await disk();
  const store = new LmdbStore({ directory, ...IDENTITY });
  await store.open(WALL_MS);
  await store.persist([], 1);
  await rm(fileIn(directory));
  await expect(store.persist([], 2)).rejects.toMatchObject({ code: "STORE_FAILED" });
  await store.close();
});
