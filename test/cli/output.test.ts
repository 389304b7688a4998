import { expect, test } from "vitest";
import { printable, tableOf } from "../../src/cli/output.ts";

test("columns are as wide as their widest cell, and numbers stand to the right", () => {
  const lines = tableOf(
    [
      { title: "NAME", cell: (row: { name: string; count: number | null }) => row.name },
      { title: "COUNT", cell: ({ count }) => count },
      { title: "END", cell: () => "x" },
    ],
    [
      { name: "a", count: 5 },
      { name: "longer", count: 12_345 },
      { name: "none", count: null },
    ],
  );
  expect(lines).toEqual([
    "NAME    COUNT  END",
    "a           5  x",
    "longer  12345  x",
    "none        -  x",
  ]);
});

test("a table without rows has its titles", () => {
  expect(tableOf([{ title: "NAME", cell: () => "" }], [])).toEqual(["NAME"]);
});

test("text from elsewhere cannot steer the terminal", () => {
  expect(printable("a\u001b[2Jb\nc\u202ed")).toBe("a\\u{1b}[2Jb\\u{a}c\\u{202e}d");
});
