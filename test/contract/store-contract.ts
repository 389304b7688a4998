/**
 * What every store must do, whatever it is made of. Run by the tests of each store.
 */
import { describe, expect, test } from "vitest";
import type { DiskImage } from "../../src/core/disk-image.ts";
import type { Entry } from "../../src/core/message.ts";
import type { Store } from "../../src/io/store.ts";

export interface StoreHarness {
  /** A store on the one disk of this harness; called again for each life of the process. */
  store(): Store;
  /** Removes the disk. */
  remove(): Promise<void>;
}

const WALL_MS = 1_790_000_000_000;

const entry = (key: string, value: Entry["value"], time = 1): Entry => ({
  key,
  value,
  time,
  writer: "writer-a",
});

/** Entries by map and key, so that images compare whatever the order on the disk. */
function sorted({ clockBound, maps }: DiskImage) {
  const rows = maps.flatMap(({ map, entries }) => entries.map((each) => ({ map, ...each })));
  const place = (row: { map: string; key: string }): string => JSON.stringify([row.map, row.key]);
  return { clockBound, rows: rows.sort((a, b) => (place(a) < place(b) ? -1 : 1)) };
}

export function storeContract(name: string, createHarness: () => Promise<StoreHarness>): void {
  /** Lets `use` work with an open store, then opens a second one and returns what it finds. */
  async function reopenedAfter(use: (store: Store) => Promise<void> | void): Promise<DiskImage> {
    const harness = await createHarness();
    const store = harness.store();
    await store.open(WALL_MS);
    await use(store);
    await store.close();
    const reopened = harness.store();
    const { image } = await reopened.open(WALL_MS);
    await reopened.close();
    await harness.remove();
    return image;
  }

  describe(name, () => {
    test("a disk that was never written holds nothing", async () => {
      expect(sorted(await reopenedAfter(() => {}))).toEqual({ clockBound: 0, rows: [] });
    });

    test("what was persisted is there when the store is opened again", async () => {
      const image = await reopenedAfter(async (store) => {
        await store.persist([{ map: "members", entries: [entry("a", ["north", 1])] }], 7);
        await store.persist([{ map: "allocations", entries: [entry("shard-0", "a")] }], 8);
      });
      expect(sorted(image)).toEqual({
        clockBound: 8,
        rows: [
          { map: "allocations", ...entry("shard-0", "a") },
          { map: "members", ...entry("a", ["north", 1]) },
        ],
      });
    });

    test("the last word on a key is kept, and a tombstone is a word", async () => {
      const image = await reopenedAfter(async (store) => {
        const entries = [entry("x", 1, 1), entry("y", 1, 1)];
        await store.persist([{ map: "allocations", entries }], 2);
        await store.persist([{ map: "allocations", entries: [entry("x", undefined, 5)] }], 6);
      });
      expect(sorted(image).rows).toEqual([
        { map: "allocations", ...entry("x", undefined, 5) },
        { map: "allocations", ...entry("y", 1, 1) },
      ]);
    });

    test("values of every kind come back as they were", async () => {
      const value = [null, true, 1.5, 2 ** 53 - 1, "é\u{1f600}", [[]]];
      const bytes = new Uint8Array([0, 127, 255]);
      const image = await reopenedAfter(async (store) => {
        const entries = [entry("mixed", value), entry("bytes", bytes), entry("__proto__", "key")];
        await store.persist([{ map: "settings", entries }], 1);
      });
      const found = new Map(image.maps.flatMap(({ entries }) => entries.map((e) => [e.key, e])));
      expect(found.get("mixed")?.value).toEqual(value);
      expect(Uint8Array.from(found.get("bytes")?.value as Uint8Array)).toEqual(bytes);
      expect(found.get("__proto__")?.value).toBe("key");
    });

    test("[C6] the bound of the clock is durable without an entry, and never taken back", async () => {
      const image = await reopenedAfter(async (store) => {
        await store.persist([], 100);
        await store.persist([], 40);
      });
      expect(sorted(image)).toEqual({ clockBound: 100, rows: [] });
    });

    test("[F7] a life starts after every earlier one, though the clock has stepped back", async () => {
      const harness = await createHarness();
      for (const [wallMs, startedMs] of [
        [WALL_MS, WALL_MS],
        [WALL_MS - 60_000, WALL_MS + 1],
        [WALL_MS + 5, WALL_MS + 5],
      ] as const) {
        const store = harness.store();
        expect((await store.open(wallMs)).startedMs).toBe(startedMs);
        await store.close();
      }
      await harness.remove();
    });

    test("[A0] a store that was cleared holds nothing, and takes what comes", async () => {
      const image = await reopenedAfter(async (store) => {
        await store.persist([{ map: "members", entries: [entry("a", 1), entry("b", 2)] }], 50);
        await store.clear();
        await store.persist([{ map: "members", entries: [entry("c", 3)] }], 7);
      });
      expect(sorted(image)).toEqual({
        clockBound: 7,
        rows: [{ map: "members", ...entry("c", 3) }],
      });
    });

    test("[M5] what is dropped is gone, and may come again", async () => {
      const image = await reopenedAfter(async (store) => {
        await store.persist([{ map: "members", entries: [entry("a", 1), entry("b", 2)] }], 5);
        await store.persist([], 6, [{ map: "members", keys: ["a", "b", "never"] }]);
        await store.persist([{ map: "members", entries: [entry("b", 3)] }], 7);
      });
      expect(sorted(image)).toEqual({
        clockBound: 7,
        rows: [{ map: "members", ...entry("b", 3) }],
      });
    });

    test("persists that are not waited for are all there after close", async () => {
      const image = await reopenedAfter((store) => {
        for (let index = 0; index < 100; index += 1) {
          store.persist([{ map: "shards", entries: [entry(`key-${index % 10}`, index)] }], index);
        }
      });
      expect(image.clockBound).toBe(99);
      expect(sorted(image).rows.map(({ value }) => value)).toEqual([
        90, 91, 92, 93, 94, 95, 96, 97, 98, 99,
      ]);
    });

    test("a store that is open cannot be opened once more", async () => {
      const harness = await createHarness();
      const store = harness.store();
      await store.open(WALL_MS);
      await expect(store.open(WALL_MS)).rejects.toMatchObject({ code: "STORE_LOCKED" });
      await store.close();
      await store.close();
      await harness.remove();
    });

    test("a closed store takes nothing", async () => {
      const harness = await createHarness();
      const store = harness.store();
      await store.open(WALL_MS);
      await store.close();
      await expect(async () => store.persist([], 1)).rejects.toMatchObject({ code: "CLOSED" });
      await harness.remove();
    });
  });
}
