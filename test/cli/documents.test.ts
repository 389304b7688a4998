import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findDocuments, looksLikeText } from "../../src/cli/documents.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hearsay-documents-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

test("text is found by looking, whatever it is called, and binary files are counted", async () => {
  put("b/notes.md", "# Notes");
  put("a.txt", "Grüße");
  put("LICENSE", "");
  put("image.md", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0));
  put("latin1.txt", Uint8Array.of(0x47, 0x72, 0xfc, 0xdf, 0x65));
  expect(await findDocuments(folder, "text")).toEqual({
    documents: ["LICENSE", "a.txt", "b/notes.md"],
    skipped: 2,
    isCut: false,
  });
});

test("only Markdown is taken where only that is asked for", async () => {
  put("README.md", "x");
  put("deep/er/GUIDE.Markdown", "x");
  put("index.js", "x");
  const { documents } = await findDocuments(folder, "markdown");
  expect(documents).toEqual(["README.md", "deep/er/GUIDE.Markdown"]);
});

test("hidden files are left out and links are not followed", async () => {
  put(".git/description", "x");
  put("sub/a.md", "x");
  symlinkSync(folder, join(folder, "sub", "circle"));
  const { documents } = await findDocuments(folder, "text");
  expect(documents).toEqual(["sub/a.md"]);
});

test("no more are returned than asked for, and the answer says so", async () => {
  for (const name of ["a", "b", "c"]) put(`${name}.md`, "x");
  expect(await findDocuments(folder, "text", 2)).toMatchObject({
    documents: ["a.md", "b.md"],
    isCut: true,
  });
});

test("a folder that is not there is an error", async () => {
  await expect(findDocuments(join(folder, "none"), "text")).rejects.toThrow("ENOENT");
});

test("a character cut off at the end of the sample is no reason to call a file binary", () => {
  const cut = Buffer.from("Gr\u00fc").subarray(0, 3);
  expect(looksLikeText(cut, false)).toBe(true);
  expect(looksLikeText(cut, true)).toBe(false);
});
