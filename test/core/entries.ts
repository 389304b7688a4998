/**
 * Entries for the tests of the maps: few keys and stamps, so that they collide, values of every kind,
 * and everything that is none of ours, each marked as what it is.
 */
import fc from "fast-check";
import { canonicalBytes, compareBytes } from "../../src/core/canonical.ts";
import { KEY_LENGTH_MAX, VALUE_DEPTH_MAX, WRITER_LENGTH_MAX } from "../../src/core/limits.ts";
import type { Entry, Value } from "../../src/core/message.ts";

/** Own property, as JSON makes it, and no change of the prototype. */
const PROTO_OBJECT = JSON.parse('{"__proto__": 1}') as Value;

const KEYS = ["a", "b", "__proto__", "constructor", "\u{1f600}", ""] as const;
const WRITERS = ["w", "x", "W", ""] as const;

export const key: fc.Arbitrary<string> = fc.constantFrom(...KEYS);
const writer: fc.Arbitrary<string> = fc.constantFrom(...WRITERS);
const time = fc.oneof(
  fc.integer({ min: 1, max: 3 }),
  fc.constantFrom(0, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER),
);

/** Values that an entry may hold; few, so that different ones meet under one stamp. */
export const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(null, false, true, 0, 1, -1, 1.5, "", "1", "é", "\u{1f600}"),
  fc.constantFrom<Value>([], [[]], [1], ["a", null], {}, { a: 1 }, { b: [2], a: 1 }, PROTO_OBJECT),
  fc.uint8Array({ maxLength: 2 }),
);

/** An entry that every map takes, live or deleted. */
export const entry: fc.Arbitrary<Entry> = fc.record(
  { key, value: fc.option(value, { nil: undefined, freq: 3 }), time, writer },
  { noNullPrototype: true },
);

export const entries: fc.Arbitrary<Entry[]> = fc.array(entry, { maxLength: 12 });

/** Nested arrays, `depth` deep. */
export function nested(depth: number): Value {
  let inner: Value = [];
  for (let level = 1; level < depth; level += 1) inner = [inner];
  return inner;
}

const CYCLE: unknown[] = [];
CYCLE.push(CYCLE);

const thrower = (property: string): object =>
  Object.defineProperty({}, property, {
    enumerable: true,
    get: () => {
      throw new Error(`${property} was read`);
    },
  });

/** Values that no entry may hold. */
const BAD_VALUES: readonly unknown[] = [
  ...[Number.NaN, -0, Number.POSITIVE_INFINITY, 1n, Symbol("s"), () => 1, new Date(0), new Map()],
  ...["\ud800", "a\udc00", [undefined], new Array(2), [Number.NaN], { a: undefined }, { a: -0 }],
  ...[{ "\ud800": 1 }, nested(VALUE_DEPTH_MAX + 1), nested(5000), CYCLE, thrower("a")],
  ...["x".repeat(65_536), new Uint8Array(65_536), Array.from({ length: 70_000 }, () => 0)],
  new Proxy([], {
    get: () => {
      throw new Error("an array was read");
    },
  }),
];

const goodEntry = { key: "a", value: 1, time: 2, writer: "w" };

/** What is no entry, or one that breaks a limit. */
const BAD_ENTRIES: readonly unknown[] = [
  ...[null, undefined, 7, "entry", true, Symbol("s"), () => 1, [], {}, [goodEntry]],
  ...[Number.NaN, -1, 0.5, 2 ** 53, Number.POSITIVE_INFINITY, "1", 1n, null, undefined].map(
    (time) => ({
      ...goodEntry,
      time,
    }),
  ),
  ...[1, null, undefined, {}, "k".repeat(KEY_LENGTH_MAX + 1), "\udfff"].map((key) => ({
    ...goodEntry,
    key,
  })),
  ...[1, null, undefined, {}, "w".repeat(WRITER_LENGTH_MAX + 1), "\ud83d"].map((writer) => ({
    ...goodEntry,
    writer,
  })),
];

/** Entries of strangers' code: reading one of their fields throws. */
export const THROWING_ENTRIES = ["key", "value", "time", "writer"].map(
  (property) =>
    Object.defineProperty({ ...goodEntry }, property, {
      get: () => {
        throw new Error(`${property} was read`);
      },
    }) as Entry,
);

/** What a map must leave out of a merge, and nothing but that. */
export const badEntry: fc.Arbitrary<Entry> = fc.oneof(
  fc.constantFrom(...BAD_ENTRIES),
  fc.tuple(entry, fc.constantFrom(...BAD_VALUES)).map(([good, bad]) => ({ ...good, value: bad })),
) as fc.Arbitrary<Entry>;

/** [M2] in the naive way: time, writer, deletion over value, canonical bytes. */
export function compareEntries(a: Entry, b: Entry): number {
  if (a.time !== b.time) return a.time - b.time;
  if (a.writer !== b.writer) return a.writer < b.writer ? -1 : 1;
  const bytes = [a, b].map((one) => canonicalBytes(one.value)?.slice());
  if (bytes[0] === undefined || bytes[1] === undefined) {
    return Number(bytes[0] === undefined) - Number(bytes[1] === undefined);
  }
  return compareBytes(bytes[0], bytes[1]);
}

/** The naive map: of each key the highest of all entries, by key. */
export function modelOf(all: readonly Entry[]): Entry[] {
  const highest = new Map<string, Entry>();
  for (const one of [...all].sort(compareEntries)) highest.set(one.key, one);
  return [...highest.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}
