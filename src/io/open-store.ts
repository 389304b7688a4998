/**
 * Chooses and opens what keeps a peer's entries: its disk, or memory for as long as a life lasts.
 */
import { EMPTY_IMAGE } from "../core/disk-image.ts";
import type { PeerName, WallMs } from "../core/units.ts";
import { MemoryStore, type Opened, type Store } from "./store.ts";

export interface StoreChoice {
  /** The peer's data directory; undefined for memory. */
  readonly data: string | undefined;
  readonly name: PeerName;
  readonly cluster: string;
}

/** Opens a store; one that `isAnew` forgets all that it has. Rejects as `Store.open` does. */
export async function openStore(
  { data, name, cluster }: StoreChoice,
  wallMs: WallMs,
  isAnew: boolean,
): Promise<{ readonly store: Store; readonly opened: Opened }> {
  if (data === undefined) {
    const store = new MemoryStore();
    return { store, opened: await store.open(wallMs) };
  }
  const { LmdbStore } = await import("./lmdb-store.ts");
  const store = new LmdbStore({ directory: data, name, cluster });
  const opened = await store.open(wallMs);
  if (!isAnew) return { store, opened };
  await store.clear();
  return { store, opened: { ...opened, image: EMPTY_IMAGE } };
}
