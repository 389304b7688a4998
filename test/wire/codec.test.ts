import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FRAME_BYTES_MAX,
  FRAME_MESSAGES_MAX,
  MESSAGE_BYTES_MAX,
  REPLICA_MAPS_MAX,
} from "../../src/core/limits.ts";
import type { MapEntries, Message, Value } from "../../src/core/message.ts";
import {
  decodeFrame,
  decodeSnapshot,
  encodeFrame,
  encodeSnapshot,
  SNAPSHOT_BYTES_MAX,
} from "../../src/wire/codec.ts";
import { pack } from "../../src/wire/msgpack.ts";
import { bytesOf, hex, MAPS, MESSAGE_TYPES, maps, messagesOf, SAMPLES } from "./messages.ts";

const pinned: Record<string, string> = JSON.parse(
  readFileSync(new URL("../golden/frames-v1.json", import.meta.url), "utf8"),
);

/** The messages of a frame that must be good, with all its entries. */
function messagesIn(bytes: Uint8Array): Message[] {
  const decoded = decodeFrame(bytes);
  if (!decoded.ok) throw new Error(decoded.message);
  expect(decoded.refused).toBe(0);
  return decoded.messages;
}

const delta = (map: string, key: string, value: Value | undefined, writer = "w"): Message => ({
  type: "delta",
  maps: [{ map, entries: [{ key, value, time: 1, writer }] }],
});

describe("messages", () => {
  test.each(MESSAGE_TYPES)("[S5] a %s survives its way through a frame", (type) => {
    fc.assert(
      fc.property(messagesOf(type), (message) => {
        expect(messagesIn(encodeFrame([message]))).toEqual([message]);
      }),
    );
  });

  test("[S5] a frame keeps its messages apart and in order", () => {
    const any = fc.oneof(...MESSAGE_TYPES.map(messagesOf));
    fc.assert(
      fc.property(fc.array(any, { maxLength: 12 }), (messages) => {
        expect(messagesIn(encodeFrame(messages))).toEqual(messages);
      }),
    );
  });

  test.each(MESSAGE_TYPES)("[S1] the frame of a %s is that of protocol version 1", (type) => {
    expect(hex(encodeFrame([SAMPLES[type]]))).toBe(pinned[type]);
    expect(messagesIn(bytesOf(pinned[type] ?? ""))).toEqual([SAMPLES[type]]);
  });

  test("[S1] every pinned frame belongs to a message, the snapshot aside", () => {
    expect(Object.keys(pinned)).toEqual([...MESSAGE_TYPES, "stand-alone snapshot"]);
  });

  test("[M6] an entry costs its key, its value and at most 20 bytes, however long its writer", () => {
    const writer = "w".repeat(96);
    const entries = Array.from({ length: 1000 }, (_, index) => ({
      key: `shard-${index}`,
      value: ["peer-a"],
      time: 365_000_000_000_000 + index * 4096,
      writer,
    }));
    const { length } = encodeFrame([{ type: "repair", maps: [{ map: "allocations", entries }] }]);
    expect(length / entries.length).toBeLessThan("shard-999".length + "peer-a".length + 20);
  });

  test("[S4] a frame of more messages than its limit is refused", () => {
    const frame = (count: number) => pack(new Array(count).fill([8, 0]));
    expect(decodeFrame(frame(FRAME_MESSAGES_MAX))).toMatchObject({ ok: true });
    expect(decodeFrame(frame(FRAME_MESSAGES_MAX + 1))).toMatchObject({ code: "MALFORMED_FRAME" });
  });

  test("[S4] a frame above its limit says so, and it is our bug to send one", () => {
    expect(decodeFrame(new Uint8Array(FRAME_BYTES_MAX + 1))).toEqual({
      ok: false,
      code: "FRAME_TOO_LARGE",
      message: "Cannot read a frame that is larger than its limit",
    });
    const value = "x".repeat(60_000);
    const messages = Array.from({ length: 20 }, (_, index) => delta("m", `${index}`, value));
    expect(() => encodeFrame(messages)).toThrow("a frame is no larger");
  });
});

/** A frame of one message with these elements, and a table of stamps if one is given. */
const frameOf = (message: unknown, table?: unknown): Uint8Array =>
  pack(table === undefined ? [message] : [table, message]).slice();

const bytes = (length: number): Uint8Array => new Uint8Array(length);

test.each([
  ["a number instead of messages", 7],
  ["text instead of a message", ["delta"]],
  ["an empty message", [[]]],
  ["a message of an unknown type", [[99, 0]]],
  ["a message whose type is text", [["8", 0]]],
  ["a message whose type is a list", [[[8], 0]]],
  [
    "two tables of stamps",
    [
      [0, 1, "w"],
      [0, 1, "w"],
    ],
  ],
  [
    "a table of stamps behind a message",
    [
      [8, 0],
      [0, 1, "w"],
    ],
  ],
  ["a table without a time", [[0]]],
  ["a table with a negative time", [[0, -1, "w"]]],
  ["a table with a fraction for a time", [[0, 1.5, "w"]]],
  ["a table with text for a time", [[0, "1", "w"]]],
  ["a table with the time 2^53", [[0, 2 ** 53, "w"]]],
  ["a heartbeat with too few fields", [[1, 0, -1, 0, 0, 0, 0, 0]]],
  ["a heartbeat with too many fields", [[1, 0, -1, 0, 0, 0, 0, 0, 0, 0]]],
  ["a heartbeat sent at text", [[1, "0", -1, 0, 0, 0, 0, 0, 0]]],
  ["a heartbeat sent before the beginning", [[1, -0.5, -1, 0, 0, 0, 0, 0, 0]]],
  ["a heartbeat with the echo -2", [[1, 0, -2, 0, 0, 0, 0, 0, 0]]],
  ["a heartbeat with a negative delay", [[1, 0, -1, -1, 0, 0, 0, 0, 0]]],
  ["a heartbeat heard in the future", [[1, 0, -1, 0, -1, 0, 0, 0, 0]]],
  ["a heartbeat with a wall clock before 1970", [[1, 0, -1, 0, 0, -1, 0, 0, 0]]],
  ["a heartbeat with a wall clock after 2109", [[1, 0, -1, 0, 0, 2 ** 42 + 1, 0, 0, 0]]],
  ["a heartbeat with a wall clock of null", [[1, 0, -1, 0, 0, null, 0, 0, 0]]],
  ["a heartbeat with an absurd step", [[1, 0, -1, 0, 0, 0, -(2 ** 42) - 1, 0, 0]]],
  ["a delta without lists", [[2, null]]],
  ["a delta of a map without entries", [[2, ["m"]]]],
  ["a delta of a map named by a number", [[2, [1, []]]]],
  ["a delta of a map without a name", [[2, ["", []]]]],
  ["a delta of a map whose name is too long", [[2, ["m".repeat(33), []]]]],
  ["a delta whose entries are no list", [[2, ["m", "entries"]]]],
  ["a delta with half an entry", [[2, ["m", ["key", 0]]]]],
  ["a delta of too many maps", [[2, new Array(REPLICA_MAPS_MAX + 1).fill(["m", []]).flat()]]],
  ["a head with the exchange -1", [[4, -1, 0, bytes(31), false]]],
  ["a head with the exchange 65 536", [[4, 65_536, 0, bytes(31), false]]],
  ["a head with a fraction for its exchange", [[4, 0.5, 0, bytes(31), false]]],
  ["a head with more entries than a replica holds", [[4, 0, 262_145, bytes(31), false]]],
  ["a head with a short summary", [[4, 0, 0, bytes(30), false]]],
  ["a head with a long summary", [[4, 0, 0, bytes(32), false]]],
  ["a head with text for its summary", [[4, 0, 0, "x".repeat(31), false]]],
  ["a head that pulled 1", [[4, 0, 0, bytes(31), 1]]],
  ["symbols that are cut", [[5, 0, 0, bytes(13)]]],
  ["symbols from before the first", [[5, 0, -1, bytes(12)]]],
  ["symbols beyond the last", [[5, 0, 4096, bytes(12)]]],
  ["a request for a negative number of symbols", [[6, 0, 0, -1]]],
  ["a request for more symbols than there are", [[6, 0, 0, 4097]]],
  ["ids that are cut", [[7, 0, bytes(9)]]],
  ["more ids than a sketch yields", [[7, 0, bytes(4097 * 8)]]],
  ["an end without an exchange", [[8]]],
  ["an end of an exchange named null", [[8, null]]],
  ["a cursor below 0", [[9, 0, -1]]],
  ["a cursor of text", [[9, 0, "0"]]],
  ["an offer with a field too many", [[10, 0, 0]]],
  ["a snapshot whose next is -2", [[11, 0, -2, []]]],
  ["a probe of what is no name", [[12, 0, "../peer", "i", "h:1"]]],
  ["a probe of a name that is too long", [[12, 0, "p".repeat(65), "i", "h:1"]]],
  ["a probe of an empty incarnation", [[12, 0, "p", "", "h:1"]]],
  ["a probe of an incarnation that is too long", [[12, 0, "p", "i".repeat(97), "h:1"]]],
  ["a probe of an address without a port", [[12, 0, "p", "i", "host"]]],
  ["a probe of port 0", [[12, 0, "p", "i", "host:0"]]],
  ["a probe of port 65 536", [[12, 0, "p", "i", "host:65536"]]],
  ["a probe of a URL", [[12, 0, "p", "i", "ws://host:1/"]]],
  ["a probe of an address that is too long", [[12, 0, "p", "i", `${"h".repeat(262)}:1`]]],
  ["an outcome that is none", [[13, 0, 3]]],
  ["an outcome called length", [[13, 0, "length"]]],
  ["an outcome of -1", [[13, 0, -1]]],
  ["a heartbeat expected in the past", [[1, 0, -1, 0, 0, 0, 0, 0, -1]]],
  ["a pulse that was heard in the future", [[16, -1, 250, false]]],
  ["a pulse that asks 1", [[16, 0, 250, 1]]],
  ["a pulse without an interval", [[16, 0, null, true]]],
  ["an inquiry about what is no name", [[17, 0, "../peer", "i"]]],
  ["an inquiry about an empty incarnation", [[17, 0, "p", ""]]],
  ["an inquiry with the number -1", [[17, -1, "p", "i"]]],
  ["an answer from the future", [[18, 0, -2]]],
  ["an answer of text", [[18, 0, "0"]]],
  ["a request numbered 0", [[14, 0, 1, 0, []]]],
  ["a request that was not passed on", [[14, 1, 0, 0, []]]],
  ["a request that was passed on too often", [[14, 1, 3, 0, []]]],
  ["a request whose time is negative", [[14, 1, 1, -1, []]]],
  ["a request whose time is text", [[14, 1, 1, "1", []]]],
  ["a request without a call", [[14, 1, 1, 0, null]]],
  ["an ask of no shard", [[20, 1, 1, "", "", 1, 1, "", new Uint8Array(1)]]],
  ["an ask for longer than a day", [[20, 1, 1, "a", "", 86_400_001, 1, "", new Uint8Array(1)]]],
  [
    "an ask for an entity with too long a name",
    [[20, 1, 1, "a", "e".repeat(129), 1, 1, "", new Uint8Array(1)]],
  ],
  ["an ask whose body is text", [[20, 1, 1, "a", "", 1, 1, "", "body"]]],
  [
    "an ask whose body is too large",
    [[20, 1, 1, "a", "", 1, 1, "", new Uint8Array(MESSAGE_BYTES_MAX + 1)]],
  ],
  ["an answer that is neither done nor refused", [[21, 1, 3, ["TIMEOUT", "m"]]]],
  ["an answer that failed without a code", [[21, 1, 2, ["WHAT", "m"]]]],
  ["an answer that was done with text", [[21, 1, 0, "body"]]],
  ["a chunk without a number", [[22, "a", 1, -1, true, new Uint8Array(1)]]],
  ["a chunk that was taken in no known way", [[23, "a", 1, 1, 3]]],
  ["a stop of nothing", [[24, null, 1]]],
  ["a response numbered 0", [[15, 0, null, null]]],
  ["a response with a code that is none", [[15, 1, "SECRET", "message"]]],
  ["a response with a code and no message", [[15, 1, "TIMEOUT", ""]]],
  ["a response with a message that is too long", [[15, 1, "TIMEOUT", "m".repeat(513)]]],
])("[S4] a frame with %s is refused", (_, elements) => {
  const decoded = decodeFrame(pack(elements as readonly unknown[]));
  expect(decoded).toMatchObject({ ok: false, code: "MALFORMED_FRAME" });
});

test("[S5] a refusal does not quote the frame", () => {
  const decoded = decodeFrame(frameOf(["<script>secret</script>", "secret"]));
  expect(decoded).toEqual({
    ok: false,
    code: "MALFORMED_FRAME",
    message: "Cannot read a frame that has a malformed message",
  });
});

describe("entries", () => {
  /** Decodes one map with these list elements between two good entries. */
  const between = (elements: readonly unknown[], map = "m") => {
    const list = ["before", 0, 0, true, ...elements, "after", 1, 0, true];
    const decoded = decodeFrame(frameOf([2, [map, list]], [0, 1000, "writer", 5, "w".repeat(97)]));
    if (!decoded.ok) throw new Error(decoded.message);
    const [message] = decoded.messages;
    if (message?.type !== "delta") throw new Error("not a delta");
    const entries = message.maps.flatMap((part) => part.entries);
    expect(entries.at(0)).toEqual({ key: "before", value: true, time: 1000, writer: "writer" });
    expect(entries.at(-1)).toEqual({ key: "after", value: true, time: 999, writer: "writer" });
    return { entries: entries.slice(1, -1), refused: decoded.refused };
  };

  const nested = (depth: number): unknown => {
    let value: unknown = null;
    for (let level = 0; level < depth; level += 1) value = [value];
    return value;
  };

  test.each([
    ["a number for its key", [1, 0, 0, true]],
    ["bytes for its key", [bytes(4), 0, 0, true]],
    ["a key that is too long", ["k".repeat(257), 0, 0, true]],
    ["a negative time", ["k", 1001, 0, true]],
    ["a time above the newest", ["k", -1, 0, true]],
    ["a fraction for its time", ["k", 0.5, 0, true]],
    ["text for its time", ["k", "0", 0, true]],
    ["null for its time", ["k", null, 0, true]],
    ["a time that no number holds", ["k", 2 ** 60, 0, true]],
    ["a writer that is not in the table", ["k", 0, 3, true]],
    ["a writer that is a number", ["k", 0, 1, true]],
    ["a writer that is too long", ["k", 0, 2, true]],
    ["a fraction for its writer", ["k", 0, 0.5, true]],
    ["text for its writer", ["k", 0, "length", true]],
    ["a deletion by a writer that is not in the table", ["k", 0, -4, null]],
    ["a deletion with a value", ["k", 0, -1, true]],
    ["a value that is too long", ["k", 0, 0, "v".repeat(65_536)]],
    ["a value that is too deep", ["k", 0, 0, nested(17)]],
  ])("[S8] an entry with %s is left out, and only that one", (_, elements) => {
    expect(between(elements)).toEqual({ entries: [], refused: 1 });
  });

  test.each([
    ["an empty key", ["", 0, 0, true], { key: "", value: true, time: 1000 }],
    ["the longest key", ["k".repeat(256), 0, 0, 1], { key: "k".repeat(256), value: 1, time: 1000 }],
    ["the time 0", ["k", 1000, 0, true], { key: "k", value: true, time: 0 }],
    ["the value null", ["k", 0, 0, null], { key: "k", value: null, time: 1000 }],
    ["no value", ["k", 0, -1, null], { key: "k", value: undefined, time: 1000 }],
    ["the deepest value", ["k", 0, 0, nested(16)], { key: "k", value: nested(16), time: 1000 }],
  ])("[M7] an entry with %s is kept", (_, elements, entry) => {
    expect(between(elements)).toEqual({ entries: [{ ...entry, writer: "writer" }], refused: 0 });
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "0", "4294967295"])(
    "[M7] %s is an ordinary key, value, map and writer",
    (word) => {
      const message = delta(word, word, [word, [word]], word);
      expect(messagesIn(encodeFrame([message]))).toEqual([message]);
    },
  );

  test.each([
    ["members", ["alive", "writer", 1], true],
    ["members", ["left", "writer", 1], true],
    ["members", ["left", "another", 1], false],
    ["members", ["alive"], false],
    ["members", "writer", false],
    ["members", null, false],
    ["members", undefined, false],
    ["verdicts", ["dead", 1, "judged", "writer"], true],
    ["verdicts", ["dead", 1, "writer", "another"], false],
    ["verdicts", ["dead", 1, "writer"], false],
    ["verdicts", undefined, false],
    ["allocations", ["peer-b"], true],
    ["allocations", undefined, true],
    ["of-a-later-version", ["alive", "another"], true],
  ])("[S8] a row of %s with %j by writer is taken: %s", (map, value, isTaken) => {
    const good = ["alive", "writer", null, "writer"]; // A row by its author in either map.
    const list = ["a", 0, 0, good, "b", 0, value === undefined ? -1 : 0, value ?? null];
    const decoded = decodeFrame(frameOf([3, [map, list]], [0, 9, "writer"]));
    expect(decoded).toMatchObject({ ok: true, refused: isTaken ? 0 : 1 });
  });

  test("[S5] a value that holds an object is our bug to send", () => {
    const value = ["peer-a", [{ region: "peer-a" }]];
    expect(() => encodeFrame([delta("m", "k", value)])).toThrow("holds no object");
  });

  test("[M6] equal small values and writers are one object, which nobody can change", () => {
    const twice = messagesIn(
      encodeFrame([delta("m", "a", ["peer-a"]), delta("m", "b", ["peer-a"])]),
    );
    const kept = twice.flatMap((message) => ("maps" in message ? message.maps : []));
    const [a, b] = kept.flatMap((part) => part.entries.map((entry) => entry.value));
    expect(a).toBe(b);
    expect(Object.isFrozen(a)).toBe(true);
  });

  test("[S5] nothing that is decoded shares memory with its frame", () => {
    const message = delta("m", "k", ["text of more than 13 characters", new Uint8Array([1, 2, 3])]);
    const frame = encodeFrame([message]).slice();
    const decoded = messagesIn(frame);
    frame.fill(0xc1);
    expect(decoded).toEqual([message]);
  });
});

describe("stand-alone snapshots", () => {
  test("[M4] a snapshot keeps every entry, tombstones included", () => {
    fc.assert(
      fc.property(maps, (some) => {
        expect(decodeSnapshot(encodeSnapshot(some))).toEqual({ ok: true, maps: some, refused: 0 });
      }),
    );
  });

  test("[S1] the form of a snapshot of version 1 does not change", () => {
    expect(hex(encodeSnapshot(MAPS))).toBe(pinned["stand-alone snapshot"]);
  });

  test("[S4] a snapshot may have more entries than a frame", () => {
    const entries = Array.from({ length: 40_000 }, (_, index) => {
      return { key: `shard-${index}`, value: ["peer-a"], time: index, writer: "w" };
    });
    const many: MapEntries[] = [{ map: "allocations", entries }];
    expect(decodeSnapshot(encodeSnapshot(many))).toEqual({ ok: true, maps: many, refused: 0 });
  });

  test.each([
    ["no bytes", ""],
    ["another version", "02 92 91 00 90"],
    ["no body", "01"],
    ["a body that is cut", "01 92 91 00"],
    ["a body that goes on", "01 92 91 00 90 00"],
    ["a field too many", "01 93 91 00 90 c0"],
    ["no table", "01 92 c0 90"],
    ["no maps", "01 91 91 00"],
    ["a map of msgpack", "01 92 91 00 80"],
  ])("[S5] a snapshot with %s is refused", (_, text) => {
    expect(decodeSnapshot(bytesOf(text))).toMatchObject({ ok: false, code: "MALFORMED_FRAME" });
  });

  test("[S4] a snapshot above its limit is refused", () => {
    const large = new Uint8Array(SNAPSHOT_BYTES_MAX + 1);
    large[0] = 1;
    expect(decodeSnapshot(large)).toMatchObject({ ok: false, code: "FRAME_TOO_LARGE" });
  });
});
