/**
 * Which side of a partition goes on: the rules of F9, told once more, for those who judge.
 *
 * Written from the rule and not from `core/downing.ts`, so that a mistake there is seen.
 */
import type { MemberState } from "../../src/core/membership.ts";

/** Whether those `here` go on, of all members that count; both sorted by name. */
export function goesOn(
  downing: string,
  here: readonly MemberState[],
  counted: readonly MemberState[],
): boolean {
  const [all, some] = [counted.length, here.length];
  const [lowest] = counted; // They come by name.
  const isMost =
    2 * some > all || (2 * some === all && lowest !== undefined && here.includes(lowest));
  if (downing === "majority") return isMost;
  const quorum = Number(downing.split("=")[1]);
  if (downing !== "oldest") return some >= quorum && (isMost || all < 2 * quorum);
  const ages = counted.map(({ row }) => row.joined);
  const hasOldest = here.some(({ row }) => row.joined === Math.min(...ages));
  if (all <= 2) return hasOldest;
  return hasOldest ? some >= 2 : some === all - 1;
}
