import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeParts,
  decodeTerms,
  encodeInParts,
  encodeTerms,
  refusalOf,
} from "../../src/core/contribution.ts";
import {
  CHUNKS_MAX,
  chunkCountFor,
  chunkOf,
  decodeChunk,
  encodeChunk,
  hashOfTerm,
} from "../../src/core/frequency-chunks.ts";
import { SHARD_DOCUMENTS_MAX, SHARD_TERMS_MAX } from "../../src/core/limits.ts";
import { contribution, vocabulary } from "./vocabularies.ts";

describe("terms as text", () => {
  test("[D1] what was written is read, whole or in parts", () => {
    fc.assert(
      fc.property(contribution, fc.integer({ min: 1, max: 600 }), ({ terms }, lengthMax) => {
        expect(decodeParts([encodeTerms(terms)])).toEqual(terms);
        const parts = encodeInParts(terms, lengthMax);
        expect(decodeParts(parts)).toEqual(terms);
        expect(parts.every((part) => part.length < lengthMax + 256 + 16)).toBe(true);
      }),
    );
    const largest = new Map([["a", SHARD_DOCUMENTS_MAX]]);
    expect(decodeParts([encodeTerms(largest)])).toEqual(largest);
  });

  test("[D1] any text is terms or is none, and what is read would be written alike", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom("@", "A", "B", "`", "a", "\u{1f600}", "é", "\x7f") }),
    );
    fc.assert(
      fc.property(text, (any) => {
        const read = decodeTerms(any, 0, 100);
        if (read === undefined) return;
        const pairs = read.terms.map((term, n) => [term, read.counts[n] as number] as const);
        expect(pairs.every(([term, count]) => term !== "" && count > 0)).toBe(true);
        expect(decodeTerms(encodeTerms(pairs), 0, 100)).toEqual(read);
      }),
      { numRuns: 300 },
    );
  });

  test("[D1] a term that comes twice, or is cut within a character, makes a text malformed", () => {
    expect(decodeParts(["AAa", "AAa"])).toBeUndefined();
    expect(decodeParts(["AAa", "AAb"])?.size).toBe(2);
    expect(decodeTerms("AA\u{1f600}", 0, 9)).toBeUndefined(); // Length 1 of a character of 2.
    expect(decodeTerms("BA\u{1f600}", 0, 9)?.terms).toEqual(["\u{1f600}"]);
    expect(decodeTerms("AAaAAb", 0, 1)).toBeUndefined();
  });
});

describe("what is no contribution", () => {
  const wrong = (documents: unknown, ...terms: [unknown, unknown][]) =>
    refusalOf({ documents: documents as number, terms: new Map(terms) as Map<string, number> });

  test.each([
    ["negative", -1],
    ["fractional", 1.5],
    ["huge", SHARD_DOCUMENTS_MAX + 1],
    ["not a number", Number.NaN],
    ["infinite", Number.POSITIVE_INFINITY],
    ["minus zero", -0],
    ["text", "1"],
    ["absent", undefined],
  ])("[D1] a number of documents, or of those with a term, that is %s is refused", (_, count) => {
    expect(wrong(count)).toMatchObject({ ok: false, code: "BAD_REQUEST" });
    expect(wrong(10, ["a", count])).toMatchObject({ ok: false, code: "BAD_REQUEST" });
  });

  test("[D1] a term cannot occur in none of the documents, nor in more than there are", () => {
    expect(wrong(10, ["a", 10])).toBeUndefined();
    expect(wrong(10, ["a", 11])).toMatchObject({ code: "BAD_REQUEST" });
    expect(wrong(10, ["a", 0])).toMatchObject({ code: "BAD_REQUEST" });
  });

  test("[D1] terms are text of limited length, and limited in number", () => {
    for (const term of ["", "x".repeat(10_000), "\ud800", 5]) {
      expect(wrong(10, [term, 1])).toMatchObject({ code: "BAD_REQUEST" });
    }
    expect(refusalOf(vocabulary(SHARD_TERMS_MAX + 1))).toMatchObject({ code: "FRAME_TOO_LARGE" });
  });
});

describe("chunks", () => {
  test("[D3] their number follows that of the terms, and a change back changes nothing", () => {
    expect([0, 1, 16, 17, 33, 1000, 100_000].map((terms) => chunkCountFor(terms, 0))).toEqual([
      ...[1, 1, 1, 2, 4, 64, 8192],
    ]);
    fc.assert(
      fc.property(fc.nat(SHARD_TERMS_MAX), fc.nat(3000), (terms, more) => {
        const chunks = chunkCountFor(terms, 0);
        expect(chunks).toBeLessThanOrEqual(CHUNKS_MAX);
        expect(terms / chunks).toBeLessThanOrEqual(16);
        if (chunks > 1) expect(terms / chunks).toBeGreaterThan(8);
        expect(chunkCountFor(terms - (more % (1 + Math.floor(terms / 3))), chunks)).toBe(chunks);
      }),
    );
    expect(chunkCountFor(10, 8192)).toBe(2);
  });

  test("[D1] a chunk holds no term that belongs elsewhere, nor one twice", () => {
    fc.assert(
      fc.property(contribution, fc.constantFrom(1, 2, 8), ({ terms }, chunks) => {
        const all = [...terms];
        for (let chunk = 0; chunk < chunks; chunk += 1) {
          const own = all.filter(([term]) => chunkOf(hashOfTerm(term), chunks) === chunk);
          const text = encodeChunk("12345678", own);
          expect(decodeChunk(text, chunk, chunks)?.terms).toEqual(own.map(([term]) => term).sort());
          if (own.length === 0) continue;
          expect(decodeChunk(text + text.slice(8), chunk, chunks)).toBeUndefined();
          if (chunks > 1) expect(decodeChunk(text, (chunk + 1) % chunks, chunks)).toBeUndefined();
        }
      }),
    );
  });
});
