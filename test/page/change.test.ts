import fc from "fast-check";
import { expect, test } from "vitest";
import { isWellFormed } from "../../src/core/canonical.ts";
import { changeBetween } from "../../src/page/change.ts";

const text = fc.string({ unit: fc.constantFrom("a", "b", "😀", "😁", "é"), maxLength: 12 });

test("a change turns one text into the other, and cuts no character in two", () => {
  fc.assert(
    fc.property(text, text, fc.nat(24), (before, after, caret) => {
      const change = changeBetween(before, after, Math.min(caret, after.length));
      if (change === undefined) return before === after;
      const { at, removed, inserted } = change;
      const changed = before.slice(0, at) + inserted + before.slice(at + removed);
      const pieces = [before.slice(0, at), before.slice(at, at + removed), inserted];
      return changed === after && pieces.every(isWellFormed);
    }),
  );
});

test("what is typed is inserted where the caret is, though the same stands beside it", () => {
  expect(changeBetween("aaa", "aaaa", 1)).toEqual({ at: 0, removed: 0, inserted: "a" });
  expect(changeBetween("aaa", "aaaa", 4)).toEqual({ at: 3, removed: 0, inserted: "a" });
  expect(changeBetween("one two", "one", 3)).toEqual({ at: 3, removed: 4, inserted: "" });
  expect(changeBetween("abc", "axc", 2)).toEqual({ at: 1, removed: 1, inserted: "x" });
  expect(changeBetween("😀", "😁", 2)).toEqual({ at: 0, removed: 2, inserted: "😁" });
  expect(changeBetween("same", "same", 0)).toBeUndefined();
});
