import fc from "fast-check";
import { expect, test } from "vitest";
import { fnv1a64, Hash64, hash32 } from "../../src/core/hash.ts";

const U32 = 0xffff_ffffn;
const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];

/** MurmurHash3_x86_32 as its author describes it, over a list of bytes and with BigInt. */
function murmurModel(bytes: readonly number[], seed: number): number {
  const rotate = (word: bigint, bits: bigint) => ((word << bits) | (word >> (32n - bits))) & U32;
  const scramble = (word: bigint) => (rotate((word * 0xcc9e2d51n) & U32, 15n) * 0x1b873593n) & U32;
  const littleEndian = (word: readonly number[]) =>
    word.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let hash = BigInt(seed);
  const tailStart = bytes.length - (bytes.length % 4);
  for (let start = 0; start < tailStart; start += 4) {
    hash ^= scramble(littleEndian(bytes.slice(start, start + 4)));
    hash = (rotate(hash, 13n) * 5n + 0xe6546b64n) & U32;
  }
  hash ^= scramble(littleEndian(bytes.slice(tailStart))) ^ BigInt(bytes.length);
  hash = ((hash ^ (hash >> 16n)) * 0x85ebca6bn) & U32;
  hash = ((hash ^ (hash >> 13n)) * 0xc2b2ae35n) & U32;
  return Number(hash ^ (hash >> 16n));
}

function fnvModel(bytes: readonly number[]): string {
  const hash = bytes.reduce(
    (sum, byte) => ((sum ^ BigInt(byte)) * 0x100000001b3n) & 0xffff_ffff_ffff_ffffn,
    0xcbf29ce484222325n,
  );
  return hash.toString(16).padStart(16, "0");
}

function fnvHex(text: string): string {
  const { high, low } = fnv1a64(text);
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** ASCII alone, and everything that has a code point, mixed in one text. */
const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }));

test("[R4] hash32 gives the published values of MurmurHash3_x86_32", () => {
  expect(hash32("", 0)).toBe(0);
  expect(hash32("", 1)).toBe(0x514e28b7);
  expect(hash32("", 0xffff_ffff)).toBe(0x81f16f39);
  expect(hash32("hello", 0)).toBe(0x248bfa47);
  expect(hash32("hello, world", 0)).toBe(0x149bbb7f);
  expect(hash32("The quick brown fox jumps over the lazy dog", 0)).toBe(0x2e4ff723);
  expect(hash32("aaaa", 0x9747b28c)).toBe(0x5a97808a);
  expect(hash32("abc", 0x9747b28c)).toBe(0xc84a62dd);
  expect(hash32("Hello, world!", 0x9747b28c)).toBe(0x24884cba);
  expect(hash32("ππππππππ", 0x9747b28c)).toBe(0xd58063c1);
});

test("[R4] hash32 is MurmurHash3_x86_32 over UTF-8, for any text and seed", () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 0, max: 0xffff_ffff }), (key, seed) => {
      expect(hash32(key, seed)).toBe(murmurModel(utf8(key), seed));
    }),
  );
});

test("[R4] hash32 finds its way into UTF-8 from every offset", () => {
  for (let length = 0; length <= 9; length += 1) {
    for (const late of ["é", "€", "𐍈", "\u{10ffff}"]) {
      const key = "abcdefghi".slice(0, length) + late + "xyz".slice(0, length % 4);
      expect(hash32(key), key).toBe(murmurModel(utf8(key), 0));
    }
  }
});

test("[R4] a lone surrogate hashes as U+FFFD", () => {
  for (const lone of ["\ud800", "a\udc00b", "abcd\ud800\ud800", "\udc00\ud800"]) {
    expect(hash32(lone)).toBe(murmurModel(utf8(lone), 0));
    expect(fnvHex(lone)).toBe(fnvModel(utf8(lone)));
  }
});

test("[R4] fnv1a64 gives the published values of FNV-1a", () => {
  expect(fnvHex("")).toBe("cbf29ce484222325");
  expect(fnvHex("a")).toBe("af63dc4c8601ec8c");
  expect(fnvHex("foobar")).toBe("85944171f73967e8");
});

test("[R4] fnv1a64 is FNV-1a with 64 bits over UTF-8, for any text", () => {
  fc.assert(
    fc.property(text, (key) => {
      expect(fnvHex(key)).toBe(fnvModel(utf8(key)));
    }),
  );
});

type Part =
  | { readonly word: number }
  | { readonly text: string }
  | { readonly bytes: readonly number[] };

function hash64(parts: readonly Part[], seed: readonly [number, number] = [0, 0]): string {
  const hash = new Hash64();
  hash.reset(...seed);
  for (const part of parts) {
    if ("word" in part) hash.word(part.word);
    else if ("text" in part) hash.text(part.text);
    else hash.bytes(Uint8Array.from(part.bytes));
  }
  hash.finish();
  return `${hash.high.toString(16).padStart(8, "0")}${hash.low.toString(16).padStart(8, "0")}`;
}

test("[G4] Hash64 gives these values in every release", () => {
  expect([
    hash64([]),
    hash64([{ word: 1 }]),
    hash64([{ text: "allocations" }, { text: "shard-7" }]),
    hash64([{ text: "π€𐍈" }, { bytes: [1, 2, 3, 4, 255] }], [0x1234_5678, 0x9abc_def0]),
  ]).toEqual(["0000000000000000", "346fe90646c115ec", "331fe8b1b314a511", "8f043bb9c641ab86"]);
});

test("[G4] Hash64 depends on where one part ends and the next begins", () => {
  const split = (at: number) => hash64([{ text: "abcd".slice(0, at) }, { text: "abcd".slice(at) }]);
  const bytes = (at: number) =>
    hash64([{ bytes: [0, 0, 0, 0].slice(0, at) }, { bytes: [0, 0, 0, 0].slice(at) }]);
  expect(new Set([0, 1, 2, 3, 4].map(split)).size).toBe(5);
  expect(new Set([0, 1, 2, 3, 4].map(bytes)).size).toBe(5);
});

test("[G4] Hash64 forgets what came before a reset", () => {
  const hash = new Hash64();
  hash.text("before");
  hash.finish();
  hash.reset(0, 0);
  hash.text("after");
  hash.finish();
  expect(hash.high.toString(16).padStart(8, "0") + hash.low.toString(16).padStart(8, "0")).toBe(
    hash64([{ text: "after" }]),
  );
});

test("[G4] Hash64 reads exactly the given range of bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), fc.nat(12), fc.nat(12), (bytes, one, other) => {
      const start = Math.min(one, other, bytes.length);
      const end = Math.min(Math.max(one, other), bytes.length);
      const hash = new Hash64();
      hash.bytes(bytes, start, end);
      hash.finish();
      const whole = new Hash64();
      whole.bytes(bytes.slice(start, end));
      whole.finish();
      expect([hash.low, hash.high]).toEqual([whole.low, whole.high]);
    }),
  );
});

test("[G4] both halves of Hash64 collide on ids no more often than chance has it", () => {
  const count = 200_000;
  const hash = new Hash64();
  const halves = { low: new Set<number>(), high: new Set<number>(), both: new Set<number>() };
  for (let index = 0; index < count; index += 1) {
    hash.reset(7, 9);
    hash.text(`shard-${index}`);
    hash.finish();
    halves.low.add(hash.low);
    halves.high.add(hash.high);
    halves.both.add((hash.low ^ hash.high) >>> 0);
  }
  // 4.7 are expected among 200 000 of 2^32; more than 20 come once in 10^7 hashes.
  for (const half of Object.values(halves)) expect(count - half.size).toBeLessThan(20);
});

test("[G4] each bit of a word changes each bit of Hash64 about every other time", () => {
  const trials = 2000;
  const hash = new Hash64();
  const finished = (word: number): [number, number] => {
    hash.reset(1, 2);
    hash.word(word);
    hash.finish();
    return [hash.low, hash.high];
  };
  for (let bit = 0; bit < 32; bit += 1) {
    const flips = new Array<number>(64).fill(0);
    for (let trial = 0; trial < trials; trial += 1) {
      const word = Math.imul(trial, 0x9e3779b9);
      const [low, high] = finished(word);
      const [lowFlipped, highFlipped] = finished(word ^ (1 << bit));
      for (let at = 0; at < 32; at += 1) {
        flips[at] = (flips[at] as number) + (((low ^ lowFlipped) >>> at) & 1);
        flips[at + 32] = (flips[at + 32] as number) + (((high ^ highFlipped) >>> at) & 1);
      }
    }
    for (const flipped of flips) {
      expect(flipped / trials).toBeGreaterThan(0.4);
      expect(flipped / trials).toBeLessThan(0.6);
    }
  }
});
