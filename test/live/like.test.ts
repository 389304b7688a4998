import fc from "fast-check";
import { expect, test } from "vitest";
import { PATTERN_LENGTH_MAX } from "../../src/live/bounds.ts";
import { compileLike } from "../../src/live/like.ts";
import { likeModel } from "./rows.ts";

const piece = fc.constantFrom("a", "b", "A", "%", "_", "\\%", "\\_", "\\\\", "é", "É", "\u{1f600}");
const pattern = (maxLength: number) => fc.array(piece, { maxLength }).map((all) => all.join(""));
const text = fc
  .array(fc.constantFrom("a", "b", "A", "%", "_", "\\", "é", "É", "\u{1f600}"), { maxLength: 9 })
  .map((all) => all.join(""));

test("[V1] like matches what trying everything matches", () => {
  fc.assert(
    fc.property(pattern(7), text, fc.boolean(), (wanted, given, ignoresCase) => {
      const folded = (each: string) => (ignoresCase ? each.toLowerCase() : each);
      const expected = likeModel(folded(given), folded(wanted));
      expect(compileLike(wanted, ignoresCase)?.(given)).toBe(expected);
    }),
    { numRuns: 5000 },
  );
});

test("[V1] a long pattern means what a short one means", () => {
  fc.assert(
    fc.property(pattern(5), text, fc.integer({ min: 28, max: 200 }), (wanted, given, length) => {
      // The same in front of both: states cross from word to word.
      const front = "ab".repeat(length / 2);
      const matches = compileLike(front + wanted, false);
      expect(matches?.(front + given)).toBe(likeModel(given, wanted));
    }),
    { numRuns: 2000 },
  );
});

test("[V1] a pattern takes as many steps as the text is long, however many ways there are", () => {
  const explosive = `${"%a".repeat(PATTERN_LENGTH_MAX / 2 - 1)}%b`;
  const long = "a".repeat(65_536);
  // By going back this would be more steps than there are atoms.
  expect(compileLike(explosive, false)?.(long)).toBe(false);
  expect(compileLike(explosive, true)?.(`${long}B`)).toBe(true);
  expect(compileLike("%_%_%_%a%_%_%_%b", false)?.(long)).toBe(false);
});

test("[V1] what is no pattern is said to be none", () => {
  for (const wanted of ["\\", "a\\", "a".repeat(PATTERN_LENGTH_MAX + 1)]) {
    expect(compileLike(wanted, false)).toBeUndefined();
  }
  expect(compileLike("", false)?.("")).toBe(true);
});
