/**
 * A disk that keeps what was synced and loses what was not.
 *
 * A write takes a while, and is durable when it is done; a process that is killed meanwhile may find it
 * done or not. The image is what `persist` effects made of it, and nothing else.
 */
import type { DiskImage } from "../src/core/disk-image.ts";
import type { Entry, MapEntries, MapKeys } from "../src/core/message.ts";
import type { Random } from "../src/core/random.ts";

interface Write {
  readonly maps: readonly MapEntries[];
  readonly clockBound: number;
  readonly dropped: readonly MapKeys[];
}

export class Disk {
  #maps = new Map<string, Map<string, Entry>>();
  #clockBound = 0;
  /** On its way, and not durable. */
  #unsynced: Write | undefined;

  get image(): DiskImage {
    const maps = [...this.#maps].map(([map, entries]) => ({ map, entries: [...entries.values()] }));
    return { clockBound: this.#clockBound, maps };
  }

  begin(maps: readonly MapEntries[], clockBound: number, dropped: readonly MapKeys[]): void {
    this.#unsynced = { maps, clockBound, dropped };
  }

  sync(): void {
    const write = this.#unsynced;
    this.#unsynced = undefined;
    if (write === undefined) return;
    for (const { map, entries } of write.maps) {
      const stored = this.#maps.get(map) ?? new Map<string, Entry>();
      for (const entry of entries) stored.set(entry.key, entry);
      this.#maps.set(map, stored);
    }
    for (const { map, keys } of write.dropped) {
      for (const key of keys) this.#maps.get(map)?.delete(key);
    }
    this.#clockBound = write.clockBound;
  }

  /** The process died: what was on its way is there, and returned, or is lost, and never half there. */
  crash(random: Random): readonly MapEntries[] {
    const kept = random.chance(0.5) ? (this.#unsynced?.maps ?? []) : [];
    if (kept.length > 0) this.sync();
    this.#unsynced = undefined;
    return kept;
  }

  wipe(): void {
    this.#maps = new Map();
    this.#clockBound = 0;
    this.#unsynced = undefined;
  }

  /** Takes over a copy of another disk, as a cloned machine does. */
  copyFrom(other: Disk): void {
    this.#maps = new Map([...other.#maps].map(([name, entries]) => [name, new Map(entries)]));
    this.#clockBound = other.#clockBound;
    this.#unsynced = undefined;
  }
}
