/**
 * Who else is there, and which of them have copies of an item: the same at every peer that has the same view.
 *
 * Who is suspect counts as there: a copy that is given up has to be made again. Rules: SPEC.md, R3 and Y3.
 */
import type { Member } from "../core/effect.ts";
import { replicasOf } from "../core/replicas.ts";
import type { PeerName } from "../core/units.ts";
import type { View } from "../core/view.ts";

/** The members that are there, but for `own`. */
export function othersIn(view: View | undefined, own: PeerName): ReadonlySet<PeerName> {
  const others = new Set<PeerName>();
  for (const { name, status } of view?.membership.all() ?? []) {
    if (name !== own && isThere(status)) others.add(name);
  }
  return others;
}

/** The regions of the shards that follow that of an item on the ring: at most `count`, `own` left out. */
export function copiesOf(
  view: View | undefined,
  own: PeerName,
  item: string,
  count: number,
): PeerName[] {
  if (view === undefined) return [];
  return replicasOf(view, item, count + 1)
    .shards.map(({ region }) => region)
    .filter((region) => region !== own && isThere(view.membership.get(region)?.status))
    .slice(0, count);
}

const isThere = (status: Member["status"] | undefined): boolean =>
  status === "alive" || status === "suspect";
