import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalBytes, compareBytes, isWellFormed } from "../../src/core/canonical.ts";
import { VALUE_BYTES_MAX, VALUE_DEPTH_MAX } from "../../src/core/limits.ts";

/** A copy, since the result is a view that the next call overwrites. */
function encoded(value: unknown): Uint8Array {
  const bytes = canonicalBytes(value);
  expect(bytes).toBeDefined();
  return (bytes as Uint8Array).slice();
}

/** Reads the encoding back: what can be read back has lost nothing. */
function decoded(bytes: Uint8Array): unknown {
  let offset = 0;
  const take = (count: number): Uint8Array => {
    offset += count;
    return bytes.slice(offset - count, offset);
  };
  const length = () => new DataView(take(4).buffer).getUint32(0);
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const text = () => utf8.decode(take(length()));
  const value = (): unknown => {
    const [tag] = take(1);
    if (tag === 0) return null;
    if (tag === 1) return false;
    if (tag === 2) return true;
    if (tag === 3) return new DataView(take(8).buffer).getFloat64(0);
    if (tag === 4) return text();
    if (tag === 5) return take(length());
    if (tag === 6) return Array.from({ length: length() }, value);
    const entries = Array.from({ length: length() }, () => [text(), value()] as const);
    return Object.fromEntries(entries);
  };
  const result = value();
  expect(offset).toBe(bytes.length);
  return result;
}

/** Values that an entry may hold, with names that a careless object would trip over. */
const key = fc.oneof(
  fc.constantFrom("a", "b", "__proto__", "constructor", "toString", "10", "9", ""),
  fc.string({ unit: "binary", maxLength: 3 }),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, 0, 1, "", "a"),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
    fc.string({ unit: "binary" }),
    fc.uint8Array({ maxLength: 5 }),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.array(fc.tuple(key, tie("value")), { maxLength: 3 }).map(Object.fromEntries),
  ),
}));

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("[M2] each kind of value has this encoding in every release", () => {
  expect(hex(encoded(null))).toBe("00");
  expect(hex(encoded(false))).toBe("01");
  expect(hex(encoded(true))).toBe("02");
  expect(hex(encoded(1))).toBe("033ff0000000000000");
  expect(hex(encoded("π"))).toBe("0400000002cf80");
  expect(hex(encoded(Uint8Array.of(1, 255)))).toBe("050000000201ff");
  expect(hex(encoded([null, true]))).toBe("06000000020002");
  expect(hex(encoded({ b: 1, a: "x" }))).toBe(
    "0700000002" + "0000000161" + "040000000178" + "0000000162" + "033ff0000000000000",
  );
});

test("[M2] an encoding loses nothing, so that unequal values have unequal ones", () => {
  fc.assert(
    fc.property(value, (any) => {
      expect(decoded(encoded(any))).toEqual(any);
    }),
  );
});

test("[M2] the order in which properties were set does not matter", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, maxLength: 4 }),
      (properties) => {
        const forward = encoded(Object.fromEntries(properties));
        const backward = encoded(Object.fromEntries(properties.toReversed()));
        expect(forward).toEqual(backward);
      },
    ),
  );
});

test("[M2] a key named __proto__ counts as any other", () => {
  const plain = JSON.parse('{"__proto__": 1}') as unknown;
  expect(encoded(plain)).not.toEqual(encoded({}));
  expect(encoded(plain)).toEqual(encoded(Object.assign(Object.create(null), plain)));
});

test("[M2] equal bytes encode equally, whatever buffer they lie in", () => {
  const inBuffer = new Uint8Array(Uint8Array.of(9, 1, 2, 9).buffer, 1, 2);
  expect(encoded(inBuffer)).toEqual(encoded(Uint8Array.of(1, 2)));
  expect(encoded(Buffer.of(1, 2))).toEqual(encoded(Uint8Array.of(1, 2)));
});

const circular: unknown[] = [];
circular.push(circular, circular);

test.each<[string, unknown]>([
  ["NaN", Number.NaN],
  ["infinity", Number.POSITIVE_INFINITY],
  ["-0", -0],
  ["undefined", undefined],
  ["a bigint", 1n],
  ["a symbol", Symbol("s")],
  ["a function", () => 1],
  ["a lone surrogate", "a\ud800"],
  ["the second half of a pair alone", "\udc00a"],
  ["a lone surrogate as a key", { "\ud800": 1 }],
  ["a hole", new Array(1)],
  ["an array with nothing in it but a length", new Array(4_000_000_000)],
  ["a date", new Date(0)],
  ["a map", new Map()],
  ["an instance of a class", new (class Point {})()],
  ["an array of other numbers than bytes", new Uint16Array(1)],
  ["a circle", circular],
  [
    "a property that throws",
    {
      get a() {
        throw new Error("no");
      },
    },
  ],
  [
    "a proxy that throws",
    new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error("no");
        },
      },
    ),
  ],
  [
    "a revoked proxy",
    (() => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    })(),
  ],
])("[M7] %s is refused, at any depth", (_, refused) => {
  expect(canonicalBytes(refused)).toBeUndefined();
  expect(canonicalBytes([1, refused])).toBeUndefined();
  expect(canonicalBytes({ a: { b: refused } })).toBeUndefined();
});

test("[M7] nothing makes canonicalBytes throw", () => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withNullPrototype: true,
    withObjectString: true,
    withUnicodeString: true,
  });
  fc.assert(
    fc.property(anything, (any) => {
      const bytes = canonicalBytes(any);
      if (bytes !== undefined) decoded(bytes.slice());
    }),
  );
});

test("[M7] a value takes at most VALUE_BYTES_MAX bytes, whatever it is made of", () => {
  const head = 5;
  const fits: [unknown, unknown][] = [
    ["a".repeat(VALUE_BYTES_MAX - head), "a".repeat(VALUE_BYTES_MAX - head + 1)],
    ["π".repeat((VALUE_BYTES_MAX - head - 1) / 2), "π".repeat((VALUE_BYTES_MAX - head + 1) / 2)],
    [new Uint8Array(VALUE_BYTES_MAX - head), new Uint8Array(VALUE_BYTES_MAX - head + 1)],
    [
      new Array(VALUE_BYTES_MAX - head).fill(null),
      new Array(VALUE_BYTES_MAX - head + 1).fill(null),
    ],
    [["a".repeat(VALUE_BYTES_MAX - 2 * head)], ["a".repeat(VALUE_BYTES_MAX - 2 * head), null]],
    [
      [new Uint8Array(VALUE_BYTES_MAX - 2 * head - 9), 1],
      [new Uint8Array(VALUE_BYTES_MAX - 2 * head - 8), 1],
    ],
  ];
  for (const [largest, larger] of fits) {
    expect(canonicalBytes(largest)?.length).toBeGreaterThanOrEqual(VALUE_BYTES_MAX - 1);
    expect(canonicalBytes(larger)).toBeUndefined();
  }
  const many = Object.fromEntries(Array.from({ length: VALUE_BYTES_MAX }, (_, at) => [`${at}`, 0]));
  expect(canonicalBytes(many)).toBeUndefined();
});

test("[M7] a value is at most VALUE_DEPTH_MAX deep", () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  const named = (depth: number): unknown => (depth === 0 ? 1 : { a: named(depth - 1) });
  for (const shape of [nested, named]) {
    expect(canonicalBytes(shape(VALUE_DEPTH_MAX))).toBeDefined();
    expect(canonicalBytes(shape(VALUE_DEPTH_MAX + 1))).toBeUndefined();
  }
});

test("[M2] compareBytes orders as Buffer.compare does", () => {
  const few = fc
    .array(fc.constantFrom(0, 1, 255), { maxLength: 3 })
    .map((all) => Uint8Array.from(all));
  fc.assert(
    fc.property(few, few, (a, b) => {
      expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b));
    }),
  );
});

test("[M7] a text is well-formed exactly when UTF-8 can say all of it", () => {
  const unit = fc.constantFrom("a", "é", "\ud83d", "\ude00", "\uffff", "\u0000");
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 5 }), (units) => {
      const text = units.join("");
      expect(isWellFormed(text)).toBe(Buffer.from(text, "utf8").toString("utf8") === text);
    }),
  );
});
