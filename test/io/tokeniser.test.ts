import fc from "fast-check";
import { expect, test } from "vitest";
import { TERM_LENGTH_MAX } from "../../src/core/limits.ts";
import { wordsOf } from "../../src/io/tokeniser.ts";

const segmenter = new Intl.Segmenter("und", { granularity: "word" });

/** What Unicode calls words, line by line, with nothing to make it fast. */
function segmentWhole(text: string): string[] {
  const lines = text.normalize("NFKC").toLowerCase().split(/\r|\n/);
  return lines.flatMap((line) =>
    [...segmenter.segment(line)]
      .filter(({ segment, isWordLike }) => isWordLike && segment.length <= TERM_LENGTH_MAX)
      .map(({ segment }) => segment),
  );
}

test("words are those of Unicode, folded", () => {
  const words = (text: string) => [...wordsOf(text)];
  expect(words("Don't PANIC: 3.14 is (nearly) pi!")).toEqual([
    ...["don't", "panic", "3.14", "is", "nearly", "pi"],
  ]);
  expect(words("STRASSE Straße ﬁne Ａ１")).toEqual(["strasse", "straße", "fine", "a1"]);
  expect(words("__proto__ \u{1f600} C++ 日本語のテキスト")).toEqual([
    ...["__proto__", "c", ...segmentWhole("日本語のテキスト")],
  ]);
  expect(words(" \n\t--- ")).toEqual([]);
});

test("cutting a text into pieces changes no word", () => {
  const unit = fc.constantFrom(
    ..."aB1éЖ日ภ ",
    ...[
      "'",
      ".",
      ",",
      ":",
      ";",
      "_",
      "-",
      '"',
      "(",
      "/",
      "@",
      "\n",
      "\u{1f600}",
      "\u0301",
      "ﬁ",
      "א",
    ],
  );
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 60 }), (text) => {
      expect([...wordsOf(text)]).toEqual(segmentWhole(text));
    }),
    { numRuns: 1000 },
  );
});

test("words that are longer than a term may be are left out", () => {
  const longest = "x".repeat(TERM_LENGTH_MAX);
  expect([...wordsOf(`a ${longest} ${longest}x b`)]).toEqual(["a", longest, "b"]);
  expect([...wordsOf(`${"é".repeat(5000)} b`)]).toEqual(["b"]);
});

test("a long text without spaces is cut between characters", () => {
  const text = `${"日本".repeat(3000)}${"\u{20000}".repeat(3000)}`;
  expect([...wordsOf(text)].join("")).toBe(text);
});
