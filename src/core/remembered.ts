/**
 * Which entities the next region of a shard starts without having been asked [H6].
 *
 * A replicated map with a key for each entity, `shard/entity`, written by the region that serves it: at
 * its first message, and deleted when it is passivated. So it is there whether a shard is handed over or
 * its region dies. It costs an entry for each entity, hence its cap; beyond it entities are served like
 * any other, and not remembered.
 *
 * Rules: SPEC.md, H6.
 */
import type { MapEntries, Value } from "./message.ts";
import type { ShardId } from "./units.ts";

/** The replicated map of remembered entities. */
export const ENTITIES = "entities";

/** What stands at a remembered entity. Later versions append fields. */
export const REMEMBERED: Value = [];

/** Names of shards contain no slash. */
export function entityKey(shard: ShardId, entity: string): string {
  return `${shard}/${entity}`;
}

export class Remembered {
  readonly #entities = new Map<ShardId, Set<string>>();
  #count = 0;

  /** How many there are, of all shards. */
  get count(): number {
    return this.#count;
  }

  /** Takes in entries that won in the replica. */
  apply(maps: readonly MapEntries[]): void {
    for (const { map, entries } of maps) {
      if (map !== ENTITIES) continue;
      for (const { key, value } of entries) {
        const slash = key.indexOf("/");
        if (slash <= 0 || slash === key.length - 1) continue; // Of a later version, or of nobody.
        this.#set(key.slice(0, slash), key.slice(slash + 1), value !== undefined);
      }
    }
  }

  has(shard: ShardId, entity: string): boolean {
    return this.#entities.get(shard)?.has(entity) === true;
  }

  /** The entities of a shard, in no order that means anything. */
  of(shard: ShardId): string[] {
    return [...(this.#entities.get(shard) ?? [])];
  }

  #set(shard: ShardId, entity: string, isThere: boolean): void {
    if (isThere === this.has(shard, entity)) return;
    const entities = this.#entities.get(shard) ?? new Set();
    if (isThere) entities.add(entity);
    else entities.delete(entity);
    if (entities.size > 0) this.#entities.set(shard, entities);
    else this.#entities.delete(shard);
    this.#count += isThere ? 1 : -1;
  }
}
