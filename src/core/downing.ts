/**
 * Who goes on after a partition: whether the side that this peer is on may host and write.
 *
 * Nobody can tell a cut from a death by looking at silence. So the peers that hear each other count
 * themselves against all members that are neither gone for good nor removed, and only a majority
 * goes on; of two exact halves the one with the lowest name does. A suspect member still counts as
 * here: a suspicion alone must not stop anybody.
 *
 * With `off` both sides go on, and fencing tokens tell their writes apart.
 *
 * Rules: SPEC.md, F9.
 */
import type { MemberState } from "./membership.ts";
import type { PeerName } from "./units.ts";

export const DOWNING_STRATEGIES = ["majority", "off"] as const;

export type Downing = (typeof DOWNING_STRATEGIES)[number];

/** Whether the side of `self`, as its view shows it, may host shards and write. */
export function mayHost(
  strategy: Downing,
  members: readonly MemberState[],
  self: PeerName,
): boolean {
  if (strategy === "off") return true;
  const counted = members.filter((member) => !member.removed && member.status !== "left");
  const here = counted.filter((member) => member.name === self || member.status !== "dead");
  if (2 * here.length !== counted.length) return 2 * here.length > counted.length;
  const lowest = counted.reduce<PeerName | undefined>(
    (low, { name }) => (low === undefined || name < low ? name : low),
    undefined,
  );
  return lowest === undefined || here.some((member) => member.name === lowest);
}
