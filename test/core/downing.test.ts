import fc from "fast-check";
import { expect, test } from "vitest";
import { mayHost } from "../../src/core/downing.ts";
import type { MemberState } from "../../src/core/membership.ts";
import { member } from "./members.ts";

/** `a b+ c- d! e*`: alive, suspect, dead, removed, left. */
function membersOf(text: string): MemberState[] {
  return text.split(" ").map((word) => {
    const name = word.charAt(0);
    if (word.endsWith("+")) return member(name, { status: "suspect" });
    if (word.endsWith("-")) return member(name, { status: "dead" });
    if (word.endsWith("!")) return member(name, { status: "dead", removed: true });
    if (word.endsWith("*")) return member(name, { status: "left" });
    return member(name);
  });
}

test.each([
  ["a", "a", true, "alone"],
  ["a b c", "a", true, "all alive"],
  ["a b c-", "a", true, "two of three"],
  ["a b- c-", "a", false, "one of three"],
  ["a b-", "a", true, "a half with the lowest name"],
  ["a- b", "b", false, "a half without the lowest name"],
  ["a- b c d-", "b", false, "a half without the lowest name, of four"],
  ["a b- c d-", "c", true, "a half with the lowest name, of four"],
  ["a- b- c d e", "d", true, "three of five"],
  ["a b- c- d- e", "e", false, "two of five, the lowest among them"],
])("[F9] majority, members %s: %s may go on is %s, with %s", (text, self, expected) => {
  expect(mayHost("majority", membersOf(text), self)).toBe(expected);
});

test("[F9] a suspect still counts as here", () => {
  expect(mayHost("majority", membersOf("a b+ c-"), "a")).toBe(true);
  expect(mayHost("majority", membersOf("a+ b"), "b")).toBe(true);
});

test("[F9] who left or was removed does not count, and does not break ties", () => {
  expect(mayHost("majority", membersOf("a! b- c"), "c")).toBe(false);
  expect(mayHost("majority", membersOf("a! b c-"), "b")).toBe(true);
  expect(mayHost("majority", membersOf("a* b c-"), "b")).toBe(true);
  expect(mayHost("majority", membersOf("a* b! c! d"), "d")).toBe(true);
});

test("[F9] others' verdicts about a peer itself do not stop it: it counts itself as here", () => {
  expect(mayHost("majority", membersOf("a- b c-"), "a")).toBe(true);
  expect(mayHost("majority", membersOf("a-"), "a")).toBe(true);
  expect(mayHost("majority", [], "a")).toBe(true);
});

test("[F9] with downing off both sides go on", () => {
  fc.assert(
    fc.property(fc.subarray(["b-", "c-", "d+", "e!", "f*"]), (others) => {
      expect(mayHost("off", membersOf(["a", ...others].join(" ")), "a")).toBe(true);
    }),
  );
});

test("[F9] of two sides of one membership at most one goes on, and one does", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  const sides = fc.tuple(fc.subarray(names, { minLength: 2 }), fc.infiniteStream(fc.boolean()));
  fc.assert(
    fc.property(sides, ([present, coin]) => {
      const isLeft = new Map(present.map((name) => [name, coin.next().value as boolean]));
      const seenFrom = (side: boolean) =>
        present.map((name) => member(name, isLeft.get(name) === side ? {} : { status: "dead" }));
      const goesOn = [true, false].map((side) => {
        const self = present.find((name) => isLeft.get(name) === side);
        return self !== undefined && mayHost("majority", seenFrom(side), self);
      });
      expect(goesOn.filter(Boolean)).toHaveLength(1);
    }),
  );
});
