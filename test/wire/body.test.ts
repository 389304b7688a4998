import fc from "fast-check";
import { expect, test } from "vitest";
import { MESSAGE_BYTES_MAX } from "../../src/core/limits.ts";
import { type Body, decodeBody, encodeBody } from "../../src/wire/body.ts";

function roundTrip(body: unknown): unknown {
  const encoded = encodeBody(body);
  if (!("bytes" in encoded)) throw new Error(encoded.reason);
  return decodeBody(encoded.bytes)?.body;
}

const bodies = fc.letrec<{ body: Body; array: Body; object: Body }>((tie) => ({
  body: fc.oneof(
    { depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.integer(),
    fc.string(),
    fc.uint8Array({ maxLength: 20 }),
    tie("array"),
    tie("object"),
  ),
  array: fc.array(tie("body"), { maxLength: 4 }),
  object: fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom("__proto__", "0", "toString")),
    tie("body"),
    {
      maxKeys: 4,
      noNullPrototype: true,
    },
  ),
})).body;

test("[H3] a message arrives as it was sent, whatever its keys are called", () => {
  fc.assert(fc.property(bodies, (body) => void expect(roundTrip(body)).toEqual(body)));
  const odd = JSON.parse('{"__proto__": {"isAdmin": true}, "constructor": 1}');
  const arrived = roundTrip(odd) as { isAdmin?: boolean };
  expect(Object.keys(arrived as object)).toEqual(["__proto__", "constructor"]);
  expect(arrived.isAdmin).toBeUndefined();
  expect(roundTrip(undefined)).toBeUndefined();
  expect(roundTrip({ a: undefined, b: -0 })).toEqual({ b: 0 });
});

test("[H3] what cannot arrive as it is is refused where it is sent", () => {
  const circle: unknown[] = [];
  circle.push(circle);
  const hostile = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error("no");
      },
    },
  );
  const wrong = [
    () => 1,
    1n,
    Number.NaN,
    new Date(),
    new Map(),
    "\ud800",
    circle,
    hostile,
    Symbol("s"),
  ];
  for (const body of wrong) expect(encodeBody({ body })).toHaveProperty("reason");
  const large = new Uint8Array(MESSAGE_BYTES_MAX);
  expect(encodeBody(large)).toMatchObject({ isTooLarge: true });
  expect(encodeBody(large.subarray(0, MESSAGE_BYTES_MAX - 16))).toHaveProperty("bytes");
});

test("[S5] any bytes are a message or none, and never a throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const decoded = decodeBody(bytes);
      expect(decoded === undefined || "body" in decoded).toBe(true);
    }),
  );
});
