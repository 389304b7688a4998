/**
 * What clients and peers say to each other, for the tests: one pinned sample of each, and arbitrary ones.
 */
import fc from "fast-check";
import type { ClientMessage, ServerMessage } from "../../src/wire/rpc-codec.ts";

type SamplesOf<M extends { type: string }> = {
  readonly [T in M["type"]]: Extract<M, { readonly type: T }>;
};

/** Values of every kind that can travel. */
const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  2 ** 53 - 1,
  "é €😀",
  undefined,
  new Uint8Array([0, 255]),
  [],
  [[1], []],
  { a: 1, b: undefined },
  new Map<unknown, unknown>([["__proto__", 2]]),
  [
    { shard: "shard-0", region: "a" },
    { shard: "shard-1", region: null },
  ],
];

export const CLIENT_SAMPLES: SamplesOf<ClientMessage> = {
  call: { type: "call", id: "Xu1pA3fLSG-0", method: "allocate", timeoutMs: 10_000, args: VALUES },
  cancel: { type: "cancel", id: "Xu1pA3fLSG-0" },
  ping: { type: "ping" },
};

export const SERVER_SAMPLES: SamplesOf<ServerMessage> = {
  welcome: { type: "welcome", name: "a", incarnation: "mhz0qk3c-Xu1pA3fLSG-0", cluster: "hearsay" },
  answer: { type: "answer", id: "Xu1pA3fLSG-1", value: VALUES },
  refusal: {
    ...{ type: "refusal", id: "Xu1pA3fLSG-2", code: "TICK_ABORTED", message: "Cannot wait" },
    stragglers: ["shard-0", "shard-1"],
  },
  item: { type: "item", id: "Xu1pA3fLSG-3", value: { type: "ready", how: "founded" } },
  end: { type: "end", id: "Xu1pA3fLSG-3" },
  pong: { type: "pong" },
};

const texts = fc.string({ unit: "grapheme", maxLength: 20 });

/** Any value that can travel. */
export const values: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(null, undefined, true, false, 0, 1, -1, 2 ** 53 - 1),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
    texts,
    fc.uint8Array({ maxLength: 8 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(texts, fc.constant("__proto__")), tie("value"), { maxKeys: 4 }),
    fc.array(fc.record({ a: tie("value"), b: tie("value") }), { maxLength: 4 }),
    fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 3 }).map((each) => new Map(each)),
  ),
})).value;

const ids = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 64 });
const names = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);

export const clientMessages: fc.Arbitrary<ClientMessage> = fc.oneof(
  fc.record({
    type: fc.constant("call" as const),
    id: ids,
    method: ids,
    timeoutMs: fc.integer({ min: 0, max: 86_400_000 }),
    args: fc.array(values, { maxLength: 4 }),
  }),
  fc.record({ type: fc.constant("cancel" as const), id: ids }),
  fc.constant({ type: "ping" as const }),
);

export const serverMessages: fc.Arbitrary<ServerMessage> = fc.oneof(
  fc.record({
    type: fc.constant("welcome" as const),
    name: names,
    incarnation: ids,
    cluster: names,
  }),
  fc.record({ type: fc.constantFrom("answer" as const, "item" as const), id: ids, value: values }),
  fc.record(
    {
      type: fc.constant("refusal" as const),
      id: ids,
      code: fc.stringMatching(/^[A-Z][A-Z_]{0,31}$/),
      message: texts,
      stragglers: fc.array(names, { maxLength: 3 }),
    },
    { requiredKeys: ["type", "id", "code", "message"] },
  ),
  fc.record({ type: fc.constant("end" as const), id: ids }),
  fc.constant({ type: "pong" as const }),
);
