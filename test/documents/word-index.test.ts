import fc from "fast-check";
import { expect, test } from "vitest";
import { Texts } from "../../src/documents/shell/texts.ts";
import { compareHits, countWords, WordIndex } from "../../src/documents/word-index.ts";

const SHARDS = ["shard-0", "shard-1"];
const TERMS = ["a", "b", "c", "__proto__", "x".repeat(300), "日本語", "1"];

const shard = fc.constantFrom(...SHARDS);
const document = fc.constantFrom("one", "two", "three", "constructor");
const words = fc.array(fc.constantFrom(...TERMS), { maxLength: 12 });

const act = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant("set" as const), shard, document, words) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("delete" as const), shard, document, words) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("drop" as const), shard, document, words) },
);

test("[Y11] an index finds and counts what a list of all words does, whatever came and went before", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40 }), words, (acts, asked) => {
      const index = new WordIndex();
      const model = new Map<string, Map<string, string[]>>(SHARDS.map((each) => [each, new Map()]));
      for (const [what, where, name, text] of acts) {
        const documents = model.get(where) as Map<string, string[]>;
        if (what === "set") {
          index.set(where, name, countWords(text));
          documents.set(name, text);
        } else if (what === "delete") {
          expect(index.delete(where, name)).toBe(documents.delete(name));
        } else {
          index.drop(where);
          documents.clear();
        }
      }
      const all = [...model].flatMap(([where, documents]) =>
        [...documents].map(([name, text]) => ({ where, name, text })),
      );
      expect(index.terms).toBe(new Set(all.flatMap(({ text }) => text)).size);
      for (const [where, documents] of model) {
        expect(index.documents(where)).toBe(documents.size);
        const counts = countWords([...documents.values()].flatMap((text) => [...new Set(text)]));
        expect(index.frequencies(where)).toEqual(counts);
      }
      const terms = [...new Set(asked)];
      const weights = terms.map((_, at) => 1 + at / 3);
      const hits = all.flatMap(({ where, name, text }) => {
        const counts = terms.map((term) => text.filter((word) => word === term).length);
        if (counts.every((count) => count === 0)) return [];
        const parts = counts.map((count, at) =>
          count ? (1 + Math.log(count)) * (weights[at] as number) : 0,
        );
        return [{ document: name, shard: where, score: parts.reduce((a, b) => a + b, 0) }];
      });
      const sorted = (list: typeof hits) =>
        list.sort((a, b) => compareHits(a, b) || (a.shard < b.shard ? -1 : 1));
      expect(sorted(index.search(terms, weights, 100))).toEqual(sorted(hits));
      const few = index.search(terms, weights, 2, (where) => where === "shard-1");
      const expected = sorted(hits.filter((hit) => hit.shard === "shard-1")).slice(0, 2);
      expect(few.map(({ score }) => score)).toEqual(expected.map(({ score }) => score));
    }),
    { numRuns: 300 },
  );
});

test("[Y11] a document that is written again and again takes no more room", () => {
  const index = new WordIndex();
  const texts = [0, 1].map((half) =>
    countWords(Array.from({ length: 500 }, (_, n) => `${n * 2 + half}`)),
  );
  const [even, odd] = texts as [Map<string, number>, Map<string, number>];
  for (let round = 0; round < 2000; round += 1) index.set("shard-0", "one", round % 2 ? odd : even);
  expect(index.terms).toBe(500);
  expect(index.frequencies("shard-0")).toEqual(new Map([...odd.keys()].map((term) => [term, 1])));
});

test("[Y11, S4] texts are kept up to a size, and what was needed last is", () => {
  const read: string[] = [];
  const texts = new Texts((_shard, name) => {
    read.push(name);
    return name === "none" ? undefined : `text of ${name}`;
  });
  expect(texts.get("shard-0", "one", false)).toBeUndefined();
  expect(texts.get("shard-0", "one", true)).toBe("text of one");
  expect(texts.get("shard-0", "one", false)).toBe("text of one");
  expect(texts.get("shard-0", "none", true)).toBeUndefined();
  expect(read).toEqual(["one", "none"]);
  for (let number = 0; number < 200; number += 1) {
    texts.put("shard-0", `long ${number}`, "x".repeat(60_000));
    texts.get("shard-0", "one", false);
  }
  expect(texts.get("shard-0", "long 0", false)).toBeUndefined();
  expect(texts.get("shard-0", "long 199", false)).toBeDefined();
  expect(texts.get("shard-0", "one", false)).toBe("text of one");
  texts.put("shard-0", "one", "x".repeat(100_000));
  expect(texts.get("shard-0", "one", false)).toBeUndefined();
});
