/**
 * Who keeps a close eye on whom: a few monitors for each member, as a pure function of the view.
 *
 * A hang is noticed by whoever misses heartbeats, and news of it reaches everybody in one hop. So it is
 * enough that a few hear a member often. Members stand in a circle in the order of the hashes of their
 * names; the monitors of each are the next three that keep a link to it. A member is heard often by
 * its monitors and rarely by all others, and everybody can tell from the view who monitors whom.
 *
 * Where views differ for a while, two ends may think differently of their link. That harms nothing:
 * each says how often it will be heard, and is judged by that.
 *
 * Rules: SPEC.md, F2.
 */
import { hash32 } from "./hash.ts";
import type { PeerName } from "./units.ts";

/** Monitors of each member: three confirm each other, and one of them may hang or die, too. */
export const MONITORS = 3;

/**
 * The names that follow upon `name` in the circle of `members`, the nearest first: its monitors are the
 * first `MONITORS` of them. Neither their order nor `name` among them matters. O(n log n).
 */
export function successorsOf(name: PeerName, members: readonly PeerName[]): PeerName[] {
  const origin = hash32(name);
  return members
    .filter((other) => other !== name)
    .map((other) => ({ other, distance: distanceOf(name, origin, other) }))
    .sort((a, b) => a.distance - b.distance || (a.other < b.other ? -1 : 1))
    .map(({ other }) => other);
}

/** How far `other` stands from `name` in the order of the circle. Equal hashes are ordered by name. */
function distanceOf(name: PeerName, origin: number, other: PeerName): number {
  const distance = (hash32(other) - origin) >>> 0;
  return distance === 0 && other < name ? 2 ** 32 : distance;
}
