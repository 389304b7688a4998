/**
 * Where the copies of items are kept that this peer has: a list of parts each, and a version.
 *
 * A part is an update, opaque here; all parts of an item, in any order and however often, are its
 * content. A store that keeps them on a disk writes behind: `sync` says when all so far is durable. What
 * was written can be read at once.
 */
import type { ShardId } from "../core/units.ts";
import type { Version } from "./version.ts";

export interface StoredItem {
  readonly version: Version;
  /** Parts, and bytes of them. */
  readonly parts: number;
  readonly bytes: number;
}

export interface ItemStore {
  /** The shards of which there is anything. */
  shards(): Iterable<ShardId>;
  /** The items of a shard that there are copies of. Not to be kept. */
  items(shard: ShardId): ReadonlyMap<string, StoredItem>;
  /** The content of a copy; empty when there is none. */
  read(shard: ShardId, item: string): Uint8Array[];
  /** Adds a part, which must not change any more. */
  append(shard: ShardId, item: string, version: Version, part: Uint8Array): void;
  /** Puts `parts` in place of all that there is; none for a deleted item. */
  replace(shard: ShardId, item: string, version: Version, parts: readonly Uint8Array[]): void;
  /** Forgets a copy. */
  remove(shard: ShardId, item: string): void;
  /** Calls `done` when everything so far is durable: at once where nothing has to be waited for. */
  sync(done: () => void): void;
}

const NOTHING: ReadonlyMap<string, StoredItem> = new Map();

interface Copy extends StoredItem {
  readonly content: Uint8Array[];
}

/** Keeps copies as long as the object lives. */
export class MemoryItemStore implements ItemStore {
  readonly #shards = new Map<ShardId, Map<string, Copy>>();

  shards(): Iterable<ShardId> {
    return this.#shards.keys();
  }

  items(shard: ShardId): ReadonlyMap<string, StoredItem> {
    return this.#shards.get(shard) ?? NOTHING;
  }

  read(shard: ShardId, item: string): Uint8Array[] {
    return [...(this.#shards.get(shard)?.get(item)?.content ?? [])];
  }

  append(shard: ShardId, item: string, version: Version, part: Uint8Array): void {
    const known = this.#shards.get(shard)?.get(item);
    const content = known?.content ?? [];
    content.push(part);
    const bytes = (known?.bytes ?? 0) + part.length;
    this.#set(shard, item, { version, content, parts: content.length, bytes });
  }

  replace(shard: ShardId, item: string, version: Version, parts: readonly Uint8Array[]): void {
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    this.#set(shard, item, { version, content: [...parts], parts: parts.length, bytes });
  }

  remove(shard: ShardId, item: string): void {
    const items = this.#shards.get(shard);
    items?.delete(item);
    if (items?.size === 0) this.#shards.delete(shard);
  }

  sync(done: () => void): void {
    done();
  }

  #set(shard: ShardId, item: string, copy: Copy): void {
    const items = this.#shards.get(shard) ?? new Map<string, Copy>();
    this.#shards.set(shard, items);
    items.set(item, copy);
  }
}
