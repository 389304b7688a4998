import fc from "fast-check";
import { expect, test } from "vitest";
import { type Downing, isDowning, mayAdmit, mayHost } from "../../src/core/downing.ts";
import type { MemberState } from "../../src/core/membership.ts";
import { member } from "./members.ts";

/** `a b+ c- d! e*`: alive, suspect, dead, removed, left. */
function membersOf(text: string): MemberState[] {
  const words = text.split(" ").filter((word) => word !== "");
  return words.map((word) => {
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

test("[F9] a static quorum is as many members as were asked for, whoever they are", () => {
  const at = (members: string) => mayHost("static-quorum=3", membersOf(members), "a");
  expect(["a", "a b", "a b- c-", "a b c-"].map(at)).toEqual([false, false, false, false]);
  expect(["a b c", "a b c+ d- e-", "a b c d! e!"].map(at)).toEqual([true, true, true]);
});

test("[F9] where two sides could have the quorum each, it takes a majority as well", () => {
  const at = (members: string) => mayHost("static-quorum=2", membersOf(members), "a");
  expect(at("a b c-")).toBe(true);
  expect(at("a b c- d-")).toBe(true);
  expect(at("a b c- d- e-")).toBe(false);
  expect(mayHost("static-quorum=2", membersOf("a- b- c d"), "c")).toBe(false);
});

/** Members `a` to ... who became members in the order of `text`, the first first. */
function inOrder(text: string, others: string): MemberState[] {
  return membersOf(others).map((each) => {
    const joined = text.indexOf(each.name);
    return { ...each, row: { ...each.row, joined } };
  });
}

test.each([
  ["cab", "a b c", true, "all alive"],
  ["cab", "a- b c", true, "with the oldest and another"],
  ["cab", "a b c-", true, "all but the oldest, which is alone"],
  ["cab", "a- b- c", false, "the oldest, alone of three"],
  ["cabd", "a- b c- d", false, "neither the oldest nor all the others"],
  ["ba", "a- b", true, "the oldest, alone of two"],
  ["ab", "a- b", false, "the younger of two"],
  ["cab", "a- b- c!", false, "of those that count the younger"],
])("[F9] oldest, %s in order, members %s: going on is %s, with %s", (order, members, expected) => {
  const states = inOrder(order, members);
  const self = states.find(({ status }) => status === "alive")?.name ?? "b";
  expect(mayHost("oldest", states, self)).toBe(expected);
});

test("[F9] only what decides who goes on is taken for it", () => {
  const good = ["majority", "oldest", "off", "static-quorum=1", "static-quorum=99999"];
  expect(good.filter(isDowning)).toEqual(good);
  const bad = ["", "static-quorum", "static-quorum=0", "static-quorum=03", "static-quorum=1e3"];
  expect([...bad, "static-quorum=100000", "Oldest", null, 3].filter(isDowning)).toEqual([]);
});

const MODES: readonly Downing[] = [
  ...(["majority", "oldest", "static-quorum=2", "static-quorum=4"] as const),
];

test("[F9] of any number of sides of one membership at most one goes on, however that is decided", () => {
  const side = fc.integer({ min: 0, max: 2 });
  const members = fc.array(fc.record({ side, joined: fc.nat(3), isRemoved: fc.boolean() }), {
    minLength: 1,
    maxLength: 7,
  });
  fc.assert(
    fc.property(fc.constantFrom(...MODES), members, (mode, all) => {
      const seenFrom = (viewer: number) =>
        all.map((each, index) => {
          const name = "abcdefg".charAt(index);
          const isDead = each.isRemoved || each.side !== viewer;
          const state = member(name, isDead ? { status: "dead" } : {});
          return { ...state, removed: each.isRemoved, row: { ...state.row, joined: each.joined } };
        });
      const goingOn = [0, 1, 2].filter((viewer) => {
        const self = all.findIndex((each) => each.side === viewer && !each.isRemoved);
        return self >= 0 && mayHost(mode, seenFrom(viewer), "abcdefg".charAt(self));
      });
      expect(goingOn.length).toBeLessThanOrEqual(1);
    }),
    { numRuns: 1000 },
  );
});

test("[F9] of two sides the one with the oldest goes on, or all the others together", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }), (isHere) => {
      const seenFrom = (side: boolean) =>
        isHere.map((here, index) => {
          const name = "abcdefg".charAt(index);
          const state = member(name, here === side ? {} : { status: "dead" });
          return { ...state, row: { ...state.row, joined: index } };
        });
      const goingOn = [true, false].filter((side) => {
        const self = isHere.indexOf(side);
        return self >= 0 && mayHost("oldest", seenFrom(side), "abcdefg".charAt(self));
      });
      expect(goingOn).toHaveLength(1);
    }),
  );
});

test("[F9] a newcomer is taken in while nobody is missing, and else by a side that goes on without it", () => {
  const admits = (members: string, downing: Downing = "majority") =>
    mayAdmit(downing, membersOf(members), "x");
  expect(admits("a b c")).toBe(true);
  expect(admits("a b c-")).toBe(true);
  expect(admits("a b- c-")).toBe(false);
  expect(admits("a b! c!")).toBe(true);
  expect(admits("a b- c-", "off")).toBe(true);
  expect(admits("a", "static-quorum=3")).toBe(true);
  expect(admits("a b-", "static-quorum=3")).toBe(false);
  expect(admits("")).toBe(true);
});

test("[F9] a member that comes back is taken in by whoever is there: it counted all along", () => {
  expect(mayAdmit("majority", membersOf("a b- c-"), "c")).toBe(true);
  expect(mayAdmit("majority", membersOf("a b- c! d-"), "c")).toBe(false);
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
