/**
 * Where copies of a document belong: shards at distinct regions, and in distinct zones.
 *
 * The ring gives the order: the document's own shard first, then the ones behind it. Of these a copy
 * takes the next whose region has none yet and whose zone has none yet; when every zone has one, or no
 * zone is known, the next whose region has none. So copies survive the loss of a zone if they can, and of
 * a region in any case. A region that names no zone counts as a zone of its own.
 *
 * Rules: SPEC.md, R3.
 */
import type { Allocation } from "./effect.ts";
import type { PeerName } from "./units.ts";
import type { View } from "./view.ts";

export interface Replicas {
  /** In ring order, the document's own shard first unless no region hosts it. */
  readonly shards: readonly Allocation[];
  /** Whether they are as many as were asked for, and the document's own shard is among them. */
  readonly complete: boolean;
}

/** The shards for `count` copies of a document. */
export function replicasOf(view: View, document: string, count: number): Replicas {
  const chosen = new Map<PeerName, Allocation>();
  const zones = new Set<string>();
  const regionCount = view.loads.size;
  const zoneCount = new Set([...view.loads.keys()].map((name) => zoneOf(view, name))).size;
  let firstRound = 0;
  // [R3] First one of each zone; then, as far as they do not suffice, one of each region.
  for (const isByZone of [true, false]) {
    const enough = isByZone ? Math.min(count, zoneCount) : Math.min(count, regionCount);
    if (chosen.size >= enough) continue;
    for (const shard of view.shardsFrom(document)) {
      const allocation = view.allocation(shard);
      if (allocation === undefined || chosen.has(allocation.region)) continue;
      const zone = zoneOf(view, allocation.region);
      if (isByZone && zones.has(zone)) continue;
      chosen.set(allocation.region, allocation);
      zones.add(zone);
      if (chosen.size >= enough) break;
    }
    if (isByZone) firstRound = chosen.size;
  }
  const all = [...chosen.values()];
  const shards = firstRound === all.length ? all : inRingOrder(view, document, all);
  const own = view.shardFor(document);
  return { shards, complete: shards.length === count && shards[0]?.shard === own };
}

function zoneOf(view: View, region: PeerName): string {
  const zone = view.membership.get(region)?.row.zone;
  return zone === null || zone === undefined ? `region ${region}` : `zone ${zone}`;
}

/** Those of the second round stand between those of the first. */
function inRingOrder(view: View, document: string, chosen: readonly Allocation[]): Allocation[] {
  const left = new Map(chosen.map((allocation) => [allocation.shard, allocation]));
  const ordered: Allocation[] = [];
  for (const shard of view.shardsFrom(document)) {
    if (left.size === 0) break;
    const allocation = left.get(shard);
    if (allocation === undefined) continue;
    ordered.push(allocation);
    left.delete(shard);
  }
  return ordered;
}
