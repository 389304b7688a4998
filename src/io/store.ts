/**
 * Where a peer keeps what must survive its process: the seam between the runtime and a disk.
 *
 * A store knows nothing of stamps and merges. It is told what won, in order, and keeps the last word
 * on each key; the state machine has decided before what that is. Every store passes the suite in
 * `test/contract/store-contract.ts`.
 */
import type { DiskImage } from "../core/disk-image.ts";
import { HearsayError } from "../core/error.ts";
import type { Entry, MapEntries, MapKeys } from "../core/message.ts";
import type { Timestamp, WallMs } from "../core/units.ts";

/** What a store held when it was opened. */
export interface Opened {
  readonly image: DiskImage;
  /**
   * When this life of the peer starts: the wall clock, or a moment after the start of the life before,
   * whichever is later. Of two lives of one name the later-started counts [F7].
   */
  readonly startedMs: WallMs;
}

export interface Store {
  /**
   * Everything that was made durable, in this process or an earlier one. Comes before all else.
   * Rejects with `STORE_LOCKED`, `STORE_CORRUPT` or `STORE_FAILED`, and is closed then.
   */
  open(wallMs: WallMs): Promise<Opened>;
  /**
   * Makes entries and the clock's upper bound durable. Done when it returns nothing, otherwise when
   * the promise resolves; a rejection is fatal and never tried again. The entries are not copied and
   * must never change. The `dropped` keys are forgotten, whatever was said of them [M5].
   */
  persist(
    maps: readonly MapEntries[],
    clockBound: Timestamp,
    dropped?: readonly MapKeys[],
  ): Promise<void> | undefined;
  /** Forgets all entries and the bound of the clock, durably: the peer begins again [A0, M5]. */
  clear(): Promise<void>;
  /** Waits for what is under way and lets go of the disk. Idempotent. */
  close(): Promise<void>;
}

/**
 * A store that lives as long as its object does. It can be opened again after it was closed, as a
 * disk can by the next process.
 */
export class MemoryStore implements Store {
  readonly #maps = new Map<string, Map<string, Entry>>();
  #clockBound: Timestamp = 0;
  #startedMs: WallMs = 0;
  #isOpen = false;

  async open(wallMs: WallMs): Promise<Opened> {
    if (this.#isOpen) throw new HearsayError("STORE_LOCKED", "Cannot open the store: it is open");
    this.#isOpen = true;
    this.#startedMs = Math.max(wallMs, this.#startedMs + 1);
    const maps = [...this.#maps].map(([map, entries]) => ({ map, entries: [...entries.values()] }));
    return { image: { clockBound: this.#clockBound, maps }, startedMs: this.#startedMs };
  }

  persist(
    maps: readonly MapEntries[],
    clockBound: Timestamp,
    dropped: readonly MapKeys[] = [],
  ): undefined {
    if (!this.#isOpen) throw new HearsayError("CLOSED", "Cannot persist: the store is closed");
    for (const { map, entries } of maps) {
      const kept = this.#maps.get(map) ?? new Map<string, Entry>();
      this.#maps.set(map, kept);
      for (const entry of entries) kept.set(entry.key, entry);
    }
    for (const { map, keys } of dropped) for (const key of keys) this.#maps.get(map)?.delete(key);
    this.#clockBound = Math.max(this.#clockBound, clockBound); // [C6] A bound is never taken back.
  }

  async clear(): Promise<void> {
    if (!this.#isOpen) throw new HearsayError("CLOSED", "Cannot clear: the store is closed");
    this.#maps.clear();
    this.#clockBound = 0;
  }

  async close(): Promise<void> {
    this.#isOpen = false;
  }
}
