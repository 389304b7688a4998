/**
 * Who goes on after a partition: whether the side that this peer is on may host and write.
 *
 * Nobody can tell a cut from a death by looking at silence. So the peers that hear each other judge
 * their side against all members that are neither gone for good nor removed. A suspect member still
 * counts as here: a suspicion alone must not stop anybody.
 *
 *   majority         More than half of them; of two exact halves the one with the lowest name.
 *   static-quorum=n  At least n of them. Where there are 2 n or more, two sides could have n each, so it
 *                    takes a majority as well.
 *   oldest           The side with the oldest member, who became one before the others. If that one is
 *                    alone of three or more, it stops, and all the others together go on: one machine
 *                    that fails must not stop the rest.
 *   off              Everybody, and fencing tokens tell their writes apart.
 *
 * Of the sides that see the same members at most one goes on, but for `off`. A side that may not go on
 * takes in nobody, either, or it could grow into one that may.
 *
 * Source: the strategies are those of Akka's split brain resolver. Rules: SPEC.md, F9.
 */
import type { MemberState } from "./membership.ts";
import { compareText, type PeerName } from "./units.ts";

export type Downing = "majority" | "oldest" | "off" | `static-quorum=${number}`;

/** How each is written, for people. */
export const DOWNING_FORMS = ["majority", "static-quorum=<n>", "oldest", "off"] as const;

/** A quorum has up to five digits: a cluster has fewer members by far. */
const STATIC_QUORUM = /^static-quorum=([1-9]\d{0,4})$/;

/** Whether `value` is a way to decide who goes on. */
export function isDowning(value: unknown): value is Downing {
  if (value === "majority" || value === "oldest" || value === "off") return true;
  return typeof value === "string" && STATIC_QUORUM.test(value);
}

/** Whether the side of `self`, as its view shows it, may host shards and write. */
export function mayHost(
  downing: Downing,
  members: readonly MemberState[],
  self: PeerName,
): boolean {
  if (downing === "off") return true;
  const counted = members.filter(isCounted);
  const here = counted.filter(({ name, status }) => name === self || status !== "dead");
  if (downing === "oldest") return hasOldest(here, counted);
  const quorum = Number(STATIC_QUORUM.exec(downing)?.[1] ?? 0);
  if (here.length < quorum) return false;
  return counted.length < 2 * quorum || isMajority(here, counted);
}

/**
 * [F9] Whether the members that a newcomer has met may take it in: always while none of them is
 * missing, and otherwise when their side goes on without it. A member that comes back is no newcomer.
 */
export function mayAdmit(
  downing: Downing,
  members: readonly MemberState[],
  newcomer: PeerName,
): boolean {
  const counted = members.filter(isCounted);
  if (counted.some(({ name }) => name === newcomer)) return true;
  return counted.every(({ status }) => status !== "dead") || mayHost(downing, counted, newcomer);
}

function isCounted({ removed, status }: MemberState): boolean {
  return !removed && status !== "left";
}

function isMajority(here: readonly MemberState[], counted: readonly MemberState[]): boolean {
  if (2 * here.length !== counted.length) return 2 * here.length > counted.length;
  const lowest = counted.reduce<PeerName | undefined>(
    (low, { name }) => (low === undefined || name < low ? name : low),
    undefined,
  );
  return lowest === undefined || here.some((member) => member.name === lowest);
}

function hasOldest(here: readonly MemberState[], counted: readonly MemberState[]): boolean {
  const [oldest] = [...counted].sort(compareAge);
  if (oldest === undefined) return true;
  const isHere = here.some(({ name }) => name === oldest.name);
  if (counted.length < 3) return isHere;
  return isHere ? here.length > 1 : here.length === counted.length - 1;
}

/** The oldest first. Who became a member later had seen all who were, so its `joined` is higher. */
function compareAge(a: MemberState, b: MemberState): number {
  return a.row.joined - b.row.joined || compareText(a.name, b.name);
}
