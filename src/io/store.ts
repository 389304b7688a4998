/**
 * Where a peer keeps what must survive its process: the seam between the runtime and a disk.
 *
 * A store knows nothing of stamps and merges. It is told what won, in order, and keeps the last word
 * on each key; the state machine has decided before what that is. Every store passes the suite in
 * `test/contract/store-contract.ts`.
 */
import type { DiskImage } from "../core/disk-image.ts";
import { HearsayError } from "../core/error.ts";
import type { Entry, MapEntries } from "../core/message.ts";
import type { Timestamp } from "../core/units.ts";

export interface Store {
  /** Everything that was made durable, in this process or an earlier one. Call it once, first. */
  open(): Promise<DiskImage>;
  /**
   * Makes entries and the clock's upper bound durable. Done when it returns nothing, otherwise when
   * the promise resolves; a rejection is fatal and never tried again. The entries are not copied and
   * must never change.
   */
  persist(maps: readonly MapEntries[], clockBound: Timestamp): Promise<void> | undefined;
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
  #isOpen = false;

  async open(): Promise<DiskImage> {
    if (this.#isOpen) throw new HearsayError("STORE_LOCKED", "Cannot open the store: it is open");
    this.#isOpen = true;
    const maps = [...this.#maps].map(([map, entries]) => ({ map, entries: [...entries.values()] }));
    return { clockBound: this.#clockBound, maps };
  }

  persist(maps: readonly MapEntries[], clockBound: Timestamp): undefined {
    if (!this.#isOpen) throw new HearsayError("CLOSED", "Cannot persist: the store is closed");
    for (const { map, entries } of maps) {
      const kept = this.#maps.get(map) ?? new Map<string, Entry>();
      this.#maps.set(map, kept);
      for (const entry of entries) kept.set(entry.key, entry);
    }
    this.#clockBound = Math.max(this.#clockBound, clockBound); // [C6] A bound is never taken back.
  }

  async close(): Promise<void> {
    this.#isOpen = false;
  }
}
