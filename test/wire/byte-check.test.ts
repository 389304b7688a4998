import fc from "fast-check";
import { expect, test } from "vitest";
import { isWellFormed } from "../../src/core/canonical.ts";
import { FRAME_BYTES_MAX, FRAME_DEPTH_MAX, FRAME_ELEMENTS_MAX } from "../../src/core/limits.ts";
import { checkBytes, TOO_LARGE } from "../../src/wire/byte-check.ts";
import { pack } from "../../src/wire/msgpack.ts";
import { bytesOf, hex, values } from "./messages.ts";

const check = (text: string): string | undefined => checkBytes(bytesOf(text));

test.each([
  ["00", "the least fixint"],
  ["7f", "the greatest fixint"],
  ["e0", "a negative fixint"],
  ["c0", "null"],
  ["c2", "false"],
  ["c3", "true"],
  ["cc ff", "uint8"],
  ["cd ff ff", "uint16"],
  ["ce ff ff ff ff", "uint32"],
  ["cf 00 1f ff ff ff ff ff ff", "uint64 of 2^53 - 1"],
  ["d0 80", "int8"],
  ["d1 80 00", "int16"],
  ["d2 80 00 00 00", "int32"],
  ["d3 00 1f ff ff ff ff ff ff", "int64 of 2^53 - 1"],
  ["d3 ff e0 00 00 00 00 00 01", "int64 of -(2^53 - 1)"],
  ["d3 ff ff ff ff ff ff ff ff", "int64 of -1"],
  ["ca 3f 80 00 00", "float32"],
  ["ca 00 00 00 00", "zero as float32"],
  ["ca 7f 7f ff ff", "the greatest float32"],
  ["ca 80 00 00 01", "the smallest negative float32"],
  ["cb 7f ef ff ff ff ff ff ff", "the greatest float64"],
  ["cb 80 00 00 00 00 00 00 01", "the smallest negative float64"],
  ["a0", "empty text"],
  ["a1 7f", "fixstr"],
  ["d9 01 61", "str8"],
  ["da 00 01 61", "str16"],
  ["db 00 00 00 01 61", "str32"],
  ["a2 c2 80", "U+0080"],
  ["a3 e0 a0 80", "U+0800"],
  ["a3 ed 9f bf", "U+D7FF"],
  ["a3 ee 80 80", "U+E000"],
  ["a3 ef bf bf", "U+FFFF"],
  ["a4 f0 90 80 80", "U+10000"],
  ["a4 f4 8f bf bf", "U+10FFFF"],
  ["c4 01 ff", "bin8"],
  ["c5 00 01 ff", "bin16"],
  ["c6 00 00 00 01 ff", "bin32"],
  ["90", "an empty array"],
  ["dc 00 01 c0", "array16"],
  ["dd 00 00 00 01 c0", "array32"],
  ["93 91 c0 90 91 91 c0", "arrays in arrays"],
])("[S5] %s is taken: %s", (text) => {
  expect(check(text)).toBeUndefined();
});

test.each([
  ["", "no bytes at all"],
  ["c1", "the reserved byte"],
  ["80", "an empty map"],
  ["81 a1 61 01", "a map"],
  ["de 00 00", "map16"],
  ["df 00 00 00 00", "map32"],
  ["91 81 a9 5f 5f 70 72 6f 74 6f 5f 5f c0", "a map with the key __proto__"],
  ["c7 00 00", "ext8"],
  ["c8 00 00 00", "ext16"],
  ["c9 00 00 00 00 00", "ext32"],
  ["d4 00 00", "fixext1, which is undefined to msgpackr"],
  ["d4 72 40 91 a1 61 01", "a record definition of msgpackr"],
  ["d5 00 00 00", "fixext2"],
  ["d6 ff 00 00 00 00", "fixext4: a timestamp"],
  ["d7 ff 00 00 00 00 00 00 00 00", "fixext8: a timestamp"],
  ["d8 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", "fixext16"],
  ["cf 00 20 00 00 00 00 00 00", "uint64 of 2^53"],
  ["cf ff ff ff ff ff ff ff ff", "uint64 of 2^64 - 1"],
  ["d3 00 20 00 00 00 00 00 00", "int64 of 2^53"],
  ["d3 ff e0 00 00 00 00 00 00", "int64 of -2^53"],
  ["d3 80 00 00 00 00 00 00 00", "int64 of -2^63"],
  ["ca 7f c0 00 00", "NaN as float32"],
  ["ca 7f 80 00 00", "infinity as float32"],
  ["ca ff 80 00 00", "minus infinity as float32"],
  ["ca 80 00 00 00", "-0 as float32"],
  ["cb 7f f8 00 00 00 00 00 00", "NaN"],
  ["cb 7f f0 00 00 00 00 00 01", "NaN with a payload"],
  ["cb 7f f0 00 00 00 00 00 00", "infinity"],
  ["cb ff f0 00 00 00 00 00 00", "minus infinity"],
  ["cb 80 00 00 00 00 00 00 00", "-0"],
  ["a1 80", "a continuation byte alone"],
  ["a1 c2", "a sequence of two, cut"],
  ["92 a1 c2 a1 80", "a sequence that goes on in the next element"],
  ["a2 c0 80", "an overlong zero"],
  ["a2 c1 bf", "an overlong ASCII character"],
  ["a3 e0 9f bf", "an overlong sequence of three"],
  ["a4 f0 8f bf bf", "an overlong sequence of four"],
  ["a3 ed a0 80", "a high surrogate"],
  ["a3 ed bf bf", "a low surrogate"],
  ["a4 f4 90 80 80", "U+110000"],
  ["a4 f5 80 80 80", "a lead byte above F4"],
  ["a3 e2 28 a1", "a bad second byte"],
  ["a3 e2 82 28", "a bad third byte"],
  ["a1 ff", "a byte that UTF-8 never has"],
  ["cc", "a number without its byte"],
  ["cb 00 00 00", "a float that is cut"],
  ["a2 61", "text that is cut"],
  ["c6 ff ff ff ff 00", "bytes that announce 4 G"],
  ["db ff ff ff ff 61", "text that announces 4 G"],
  ["dd ff ff ff ff c0", "an array that announces 4 G elements"],
  ["92 c0", "an array that is cut"],
  ["92 92 c0 c0", "an inner array that takes the elements of the outer"],
  ["91 dd 00 00", "a length that is cut"],
  ["c0 c0", "a trailing element"],
  ["90 00", "a trailing byte"],
])("[S5] %s is refused: %s", (text) => {
  expect(check(text)).toEqual(expect.any(String));
});

test("[S4] nesting is taken up to its limit and not beyond, 100 000 levels included", () => {
  const nested = (depth: number) => {
    const bytes = new Uint8Array(depth + 1).fill(0x91);
    bytes[depth] = 0xc0;
    return bytes;
  };
  expect(checkBytes(nested(FRAME_DEPTH_MAX))).toBeUndefined();
  expect(checkBytes(nested(FRAME_DEPTH_MAX + 1))).toBe("is nested too deep");
  expect(checkBytes(nested(100_000))).toBe("is nested too deep");
});

test("[S4] an array is taken up to its limit and not beyond", () => {
  const array = (count: number) => {
    const bytes = new Uint8Array(5 + count).fill(0xc0);
    bytes[0] = 0xdd;
    new DataView(bytes.buffer).setUint32(1, count);
    return bytes;
  };
  expect(checkBytes(array(FRAME_ELEMENTS_MAX))).toBeUndefined();
  expect(checkBytes(array(FRAME_ELEMENTS_MAX + 1))).toBe("holds an array that is too long");
});

test("[S4] many arrays cannot announce more in sum than is left, though each of them could", () => {
  // msgpackr reserves room for each announced array, so their sum is what counts.
  const bytes = new Uint8Array(1000).fill(0xc0);
  bytes.set([0xdc, 0x02, 0x00, 0xdc, 0x02, 0x00]);
  expect(checkBytes(bytes)).toBe("announces more elements than it holds");
});

test("[S4] a frame is taken up to its limit and refused beyond it before a byte is read", () => {
  const frame = (length: number) => {
    const bytes = new Uint8Array(length);
    bytes[0] = 0xc6;
    new DataView(bytes.buffer).setUint32(1, length - 5);
    return bytes;
  };
  expect(checkBytes(frame(FRAME_BYTES_MAX))).toBeUndefined();
  const { proxy, reads } = counting(frame(FRAME_BYTES_MAX + 1));
  expect(checkBytes(proxy)).toBe(TOO_LARGE);
  expect(reads()).toBe(0);
});

/** Bytes that count how often one of them is read. */
function counting(bytes: Uint8Array): { proxy: Uint8Array; reads: () => number } {
  let count = 0;
  const proxy = new Proxy(bytes, {
    get(target, property) {
      if (typeof property === "string" && /^\d+$/.test(property)) count += 1;
      return Reflect.get(target, property, target);
    },
  });
  return { proxy, reads: () => count };
}

test("[S5] no byte is read twice, whatever the bytes", () => {
  const tokens = fc.constantFrom(...[0x91, 0x92, 0xa4, 0xc4, 0xca, 0xcb, 0xcf, 0xd3, 0xd9, 0xdc]);
  const bytes = fc
    .array(fc.oneof(tokens, fc.nat(255)), { maxLength: 300 })
    .map((numbers) => Uint8Array.from(numbers));
  const packed = values.map((value) => pack([value]).slice());
  fc.assert(
    fc.property(fc.oneof(bytes, packed), (any) => {
      const { proxy, reads } = counting(any);
      checkBytes(proxy);
      expect(reads()).toBeLessThanOrEqual(any.length);
    }),
    { numRuns: 2000 },
  );
});

test("[S5] whatever the encoder writes is taken, and none of its beginnings", () => {
  fc.assert(
    fc.property(values, (value) => {
      const bytes = pack([value]);
      expect(checkBytes(bytes)).toBeUndefined();
      for (let end = 0; end < bytes.length; end += 1) {
        expect(checkBytes(bytes.subarray(0, end))).toEqual(expect.any(String));
      }
    }),
  );
});

test("[S5] text is taken exactly when a strict decoder takes it", () => {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const isText = (bytes: Uint8Array): boolean => {
    try {
      return isWellFormed(strict.decode(bytes));
    } catch {
      return false;
    }
  };
  // Bytes at which the ranges of table 3-7 begin and end, so that near misses are common.
  const edges = fc.constantFrom(
    ...[0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1],
    ...[0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff],
  );
  fc.assert(
    fc.property(fc.array(edges, { maxLength: 7 }), (numbers) => {
      const content = Uint8Array.from(numbers);
      const frame = Uint8Array.from([0xa0 | content.length, ...content]);
      expect(checkBytes(frame) === undefined, hex(frame)).toBe(isText(content));
    }),
    { numRuns: 20_000 },
  );
});
