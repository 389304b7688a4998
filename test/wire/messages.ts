/**
 * Messages for the tests of the wire: one pinned sample of each type, and arbitrary ones.
 */
import fc from "fast-check";
import { ERROR_CODES } from "../../src/core/error.ts";
import { ASK_TIMEOUT_MS_MAX, HOPS_MAX, REFUSAL_LENGTH_MAX } from "../../src/core/limits.ts";
import type { Entry, MapEntries, Message, Value } from "../../src/core/message.ts";

const WRITER_A = "mhz0qk3c-Xu1pA3fLSGqk3nB0w3zR0Q-0";
const WRITER_B = "mhz0qk40-Z2eYkS1oQ7a1cVb9xk0TnA-7";
const NEWEST = 365_000_000_000_000;

export const MAPS: readonly MapEntries[] = [
  {
    map: "allocations",
    entries: [
      { key: "shard-0", value: ["peer-a"], time: NEWEST - 4096, writer: WRITER_A },
      { key: "shard-1", value: ["peer-a", null, "peer-b"], time: NEWEST, writer: WRITER_B },
      { key: "shard-2", value: undefined, time: 0, writer: WRITER_A },
      { key: "__proto__", value: null, time: NEWEST - 1, writer: WRITER_B },
    ],
  },
  {
    map: "of-a-later-version",
    entries: [
      {
        key: "",
        value: [true, false, -1, 1.5, 2 ** 53 - 1, "é €😀", new Uint8Array([0, 255]), []],
        time: NEWEST,
        writer: WRITER_A,
      },
    ],
  },
];

type Samples = { readonly [T in Message["type"]]: Extract<Message, { readonly type: T }> };

/** One message of each type: a type that is added to the protocol does not compile without one. */
export const SAMPLES: Samples = {
  heartbeat: {
    type: "heartbeat",
    sentAt: 123_456.5,
    echo: -1,
    echoDelayMs: 0,
    heardMs: 250,
    wallMs: 1_767_225_600_000,
    stepMs: -1500,
    leadMs: 7,
    everyMs: 2000,
  },
  delta: { type: "delta", maps: MAPS, arc: { from: 4_294_967_295, until: 65_536 } },
  repair: { type: "repair", maps: MAPS.slice(1) },
  head: {
    type: "head",
    exchange: 65_535,
    entryCount: 16_384,
    summary: Uint8Array.from({ length: 31 }, (_, index) => index * 8),
    pulled: true,
    era: { number: 3, mark: 0xfedc_ba98, before: 77 },
  },
  symbols: { type: "symbols", exchange: 1, from: 24, cells: new Uint8Array(24).fill(0x5a) },
  more: { type: "more", exchange: 1, from: 26, count: 100 },
  want: { type: "want", exchange: 1, ids: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]) },
  done: { type: "done", exchange: 0 },
  "snapshot-request": { type: "snapshot-request", exchange: 2, cursor: 4096 },
  "snapshot-offer": { type: "snapshot-offer", exchange: 2 },
  snapshot: { type: "snapshot", exchange: 2, next: -1, maps: MAPS },
  probe: {
    type: "probe",
    probe: 7,
    subject: "peer-b",
    incarnation: WRITER_B,
    address: "127.0.0.1:7101",
  },
  "probe-answer": { type: "probe-answer", probe: 7, outcome: "unknown" },
  keep: { type: "keep", wanted: false },
  pulse: { type: "pulse", heardMs: 12, everyMs: 250, asks: true },
  inquiry: { type: "inquiry", inquiry: 9, subject: "peer-1", incarnation: "mh3x-peer-1" },
  "inquiry-answer": { type: "inquiry-answer", inquiry: 9, heardMs: -1 },
  request: {
    type: "request",
    request: 9,
    hops: 1,
    deadlineMs: 10_000,
    call: [1, "shard-3", 120, 65_536],
  },
  response: {
    type: "response",
    request: 9,
    outcome: { ok: false, code: "NO_REGION", message: "Cannot do this: no region" },
  },
  ask: {
    ...{ type: "ask", ask: 300, since: 7, shard: "shard-12", entity: "room/é", remainingMs: 4999 },
    ...{ token: NEWEST, writer: WRITER_A, body: new Uint8Array([0xa2, 0x68, 0x69]) },
  },
  answer: {
    type: "answer",
    ask: 300,
    outcome: { how: "refused", code: "NOT_OWNER", message: "m" },
  },
  chunk: {
    ...{ type: "chunk", shard: "shard-12", token: NEWEST, number: 2, isLast: false },
    chunk: new Uint8Array([1, 2, 3]),
  },
  "chunk-taken": {
    ...{ type: "chunk-taken", shard: "shard-12", token: NEWEST, number: 2, how: "unwanted" },
  },
  stop: { type: "stop", shard: "shard-12", token: NEWEST },
  stopped: { type: "stopped", shard: "shard-12", token: NEWEST },
  post: { type: "post", service: "documents", body: new Uint8Array([0, 255]) },
};

/** Names that are trouble where objects serve as maps. */
const treacherous = fc.constantFrom("__proto__", "constructor", "toString", "0", "1", "length");

const text = (lengthMax: number): fc.Arbitrary<string> =>
  fc.oneof(treacherous, fc.string({ unit: "binary", maxLength: lengthMax / 2 }));

const number = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
);

/** What an entry may hold and a frame may carry: no objects. */
export const values: fc.Arbitrary<Value> = fc.letrec<{ value: Value; list: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    number,
    text(64),
    fc.uint8Array({ maxLength: 40 }),
    tie("list"),
  ),
  list: fc.array(tie("value"), { maxLength: 5 }),
})).value;

const entries: fc.Arbitrary<Entry> = fc.record({
  key: text(256),
  value: fc.option(values, { nil: undefined }),
  time: fc.oneof(fc.maxSafeNat(), fc.nat(100)),
  writer: text(96),
});

export const maps: fc.Arbitrary<MapEntries[]> = fc.array(
  fc.record({
    // Rows of maps with authors have tests of their own.
    map: text(32).map((name) => (/^(members|verdicts)?$/.test(name) ? "settings" : name)),
    entries: fc.array(entries, { maxLength: 6 }),
  }),
  { maxLength: 4 },
);

const exchange = fc.nat(65_535);
const ms = fc.double({ min: 0, max: 2 ** 42, noNaN: true }).map((value) => value + 0);
const word = fc.nat(0xffff_ffff);
const names = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const blocks = (unit: number): fc.Arbitrary<Uint8Array> =>
  fc.array(fc.uint8Array({ minLength: unit, maxLength: unit }), { maxLength: 9 }).map((parts) => {
    return Uint8Array.from(parts.flatMap((part) => [...part]));
  });

type Arbitraries = {
  readonly [T in Message["type"]]: fc.Arbitrary<Omit<Samples[T], "type">>;
};

const FIELDS: Arbitraries = {
  heartbeat: fc.record({
    sentAt: ms,
    echo: fc.oneof(fc.constant(-1), ms),
    echoDelayMs: ms,
    heardMs: ms,
    wallMs: ms,
    stepMs: fc.oneof(
      ms,
      ms.map((value) => 0 - value),
    ),
    leadMs: ms,
    everyMs: ms,
  }),
  delta: fc
    .tuple(maps, fc.nat(2 ** 32 - 1), fc.nat(2 ** 32 - 1))
    .map(([maps, from, until]) => (from === until ? { maps } : { maps, arc: { from, until } })),
  repair: fc.record({ maps }),
  head: fc.record({
    exchange,
    entryCount: fc.nat(262_144),
    summary: fc.uint8Array({ minLength: 31, maxLength: 31 }),
    pulled: fc.boolean(),
    era: fc.record({ number: fc.maxSafeNat(), mark: word, before: word }),
  }),
  symbols: fc.record({ exchange, from: fc.nat(4000), cells: blocks(12) }),
  more: fc.record({ exchange, from: fc.nat(4096), count: fc.nat(4096) }),
  want: fc.record({ exchange, ids: blocks(8) }),
  done: fc.record({ exchange }),
  "snapshot-request": fc.record({ exchange, cursor: fc.maxSafeNat() }),
  "snapshot-offer": fc.record({ exchange }),
  snapshot: fc.record({
    exchange,
    next: fc.oneof(fc.constant(-1), fc.maxSafeNat()),
    maps,
  }),
  probe: fc.record({
    probe: fc.maxSafeNat(),
    subject: names,
    incarnation: fc.string({ unit: "binary", minLength: 1, maxLength: 48 }),
    address: fc.constantFrom("10.0.0.1:1", "peer_a.example:65535", "[::1]:7100"),
  }),
  "probe-answer": fc.record({
    probe: fc.maxSafeNat(),
    outcome: fc.constantFrom("reached" as const, "refused" as const, "unknown" as const),
  }),
  keep: fc.record({ wanted: fc.boolean() }),
  pulse: fc.record({ heardMs: ms, everyMs: ms, asks: fc.boolean() }),
  inquiry: fc.record({
    inquiry: fc.maxSafeNat(),
    subject: names,
    incarnation: fc.string({ unit: "binary", minLength: 1, maxLength: 48 }),
  }),
  "inquiry-answer": fc.record({
    inquiry: fc.maxSafeNat(),
    heardMs: fc.oneof(fc.constant(-1), ms),
  }),
  request: fc.record({
    request: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    hops: fc.integer({ min: 1, max: HOPS_MAX }),
    deadlineMs: ms,
    call: fc.array(values, { maxLength: 5 }),
  }),
  response: fc.record({
    request: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    outcome: fc.oneof(
      fc.record({ ok: fc.constant(true as const), value: values }),
      fc.record({
        ok: fc.constant(false as const),
        code: fc.constantFrom(...ERROR_CODES),
        message: fc.string({ minLength: 1, maxLength: REFUSAL_LENGTH_MAX }),
      }),
    ),
  }),
  ask: fc.record({
    ...{ ask: fc.maxSafeNat(), since: fc.maxSafeNat(), shard: names, entity: text(128) },
    ...{ remainingMs: fc.nat(ASK_TIMEOUT_MS_MAX), token: fc.maxSafeNat(), writer: text(96) },
    body: fc.uint8Array({ maxLength: 200 }),
  }),
  answer: fc.record({
    ask: fc.maxSafeNat(),
    outcome: fc.oneof(
      fc.record({ how: fc.constant("done" as const), body: fc.uint8Array({ maxLength: 200 }) }),
      fc.record({
        how: fc.constantFrom("refused" as const, "failed" as const),
        code: fc.constantFrom(...ERROR_CODES),
        message: fc.string({ minLength: 1, maxLength: REFUSAL_LENGTH_MAX }),
      }),
    ),
  }),
  chunk: fc.record({
    ...{ shard: names, token: fc.maxSafeNat(), number: fc.maxSafeNat(), isLast: fc.boolean() },
    chunk: fc.uint8Array({ maxLength: 200 }),
  }),
  "chunk-taken": fc.record({
    ...{ shard: names, token: fc.maxSafeNat(), number: fc.maxSafeNat() },
    how: fc.constantFrom("taken" as const, "unwanted" as const, "failed" as const),
  }),
  stop: fc.record({ shard: names, token: fc.maxSafeNat() }),
  post: fc.record({
    service: fc.string({ minLength: 1, maxLength: 32, unit: "binary" }),
    body: fc.uint8Array({ maxLength: 200 }),
  }),
  stopped: fc.record({ shard: names, token: fc.maxSafeNat() }),
};

/** Arbitrary messages of one type. */
export function messagesOf(type: Message["type"]): fc.Arbitrary<Message> {
  const fields: fc.Arbitrary<object> = FIELDS[type];
  return fields.map((rest) => ({ type, ...rest }) as Message);
}

export const MESSAGE_TYPES = Object.keys(SAMPLES) as Message["type"][];

/** Bytes in hex, as the golden files have them. */
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The bytes that `text`, hex with spaces, stands for. */
export const bytesOf = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
