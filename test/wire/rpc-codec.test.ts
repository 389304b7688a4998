import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FRAME_MESSAGES_MAX,
  RPC_FIELDS_MAX,
  RPC_FRAME_BYTES_MAX,
  RPC_VALUE_DEPTH_MAX,
} from "../../src/core/limits.ts";
import { Random } from "../../src/core/random.ts";
import { decodeFrame, encodeFrame } from "../../src/wire/codec.ts";
import { Handshake } from "../../src/wire/handshake.ts";
import { pack } from "../../src/wire/msgpack.ts";
import {
  type ClientMessage,
  type Direction,
  decodeRpcFrame,
  encodeRpcFrame,
  encodeRpcMessage,
  type ServerMessage,
  TO_CLIENT,
  TO_PEER,
} from "../../src/wire/rpc-codec.ts";
import { bytesOf, hex, SAMPLES } from "./messages.ts";
import {
  CLIENT_SAMPLES,
  clientMessages,
  SERVER_SAMPLES,
  serverMessages,
  values,
} from "./rpc-messages.ts";

const pinned: Record<string, string> = JSON.parse(
  readFileSync(new URL("../golden/rpc-frames-v1.json", import.meta.url), "utf8"),
);

const DIRECTIONS = [
  ["to a peer", TO_PEER, Object.values(CLIENT_SAMPLES)],
  ["to a client", TO_CLIENT, Object.values(SERVER_SAMPLES)],
] as unknown as [string, Direction<ClientMessage | ServerMessage>, ServerMessage[]][];

function frameOf(messages: readonly (ClientMessage | ServerMessage)[]): Uint8Array {
  return encodeRpcFrame(messages.map(encodeRpcMessage));
}

function messagesIn<M extends ClientMessage | ServerMessage>(
  bytes: Uint8Array,
  direction: Direction<M>,
): readonly M[] {
  const frame = decodeRpcFrame(bytes, direction);
  if (!frame.ok) throw new Error(frame.message);
  return frame.messages;
}

/** A frame as a stranger may write it. */
const rawFrame = (...messages: readonly unknown[]): Uint8Array =>
  Uint8Array.from([1, ...pack(messages)]);

const call = (...args: readonly unknown[]): Uint8Array => rawFrame([1, "id", "method", 0, ...args]);

describe("messages", () => {
  test("[Q1] what a client says survives its way through a frame, in order", () => {
    fc.assert(
      fc.property(fc.array(clientMessages, { maxLength: 6 }), (messages) => {
        expect(messagesIn(frameOf(messages), TO_PEER)).toEqual(messages);
      }),
    );
  });

  test("[Q1] what a peer says survives its way through a frame, in order", () => {
    fc.assert(
      fc.property(fc.array(serverMessages, { maxLength: 6 }), (messages) => {
        expect(messagesIn(frameOf(messages), TO_CLIENT)).toEqual(messages);
      }),
    );
  });

  test.each(DIRECTIONS)("[S1] frames %s are those of version 1", (_, direction, samples) => {
    for (const sample of samples) {
      expect(hex(frameOf([sample])), sample.type).toBe(pinned[sample.type]);
      expect(messagesIn(bytesOf(pinned[sample.type] ?? ""), direction)).toEqual([sample]);
    }
  });

  test("[S1] every pinned frame belongs to a message", () => {
    const types = [...Object.keys(CLIENT_SAMPLES), ...Object.keys(SERVER_SAMPLES)];
    expect(Object.keys(pinned)).toEqual(types);
  });

  test.each(DIRECTIONS)(
    "[S4] frames %s of other lengths or numbers are refused",
    (_, direction) => {
      const wrong = [
        ...[[], [0], [99], ["call"], [1], [2], [2, ""], [2, "i".repeat(65)], [3, 1], [17, "id"]],
        ...[
          [1, "id", "", 0],
          [1, "id", "m", -1],
          [1, "id", "m", 0.5],
          [1, "id", "m", 86_400_001],
        ],
        ...[
          [1, 7, "m", 0],
          [18, "id", "no code", "m"],
          [18, "id", "CODE", 7],
          [18, "id", "CODE", "m", ["not a name!"]],
          [18, "id", "CODE", "m", "shard-0"],
          [18, "id", "CODE", "m", [], []],
          [16, "a", "b", ""],
        ],
        ...[[16, "not a name!", "i", "c"], [19, "id", 1, 2], [20, "id", 1], [21, 0], 1, null, "x"],
      ];
      for (const message of wrong) {
        const decoded = decodeRpcFrame(rawFrame(message), direction);
        expect(decoded, JSON.stringify(message)).toMatchObject({ code: "MALFORMED_FRAME" });
      }
    },
  );

  test("[S4] a frame has a limited number of messages and bytes", () => {
    const frame = (count: number) => rawFrame(...new Array(count).fill([3]));
    expect(decodeRpcFrame(frame(FRAME_MESSAGES_MAX), TO_PEER)).toMatchObject({ ok: true });
    expect(decodeRpcFrame(frame(FRAME_MESSAGES_MAX + 1), TO_PEER)).toMatchObject({
      code: "MALFORMED_FRAME",
    });
    const large = new Uint8Array(RPC_FRAME_BYTES_MAX + 1).fill(1);
    expect(decodeRpcFrame(large, TO_PEER)).toMatchObject({ code: "FRAME_TOO_LARGE" });
  });
});

describe("values", () => {
  test("[S5] what malformed values stand for is refused with their frame", () => {
    const deep = (depth: number): unknown => (depth === 0 ? 1 : [0, deep(depth - 1)]);
    const fields = (count: number): unknown[] => [
      1,
      ...Array.from({ length: count }, (_, index) => [`field-${index}`, index]).flat(),
    ];
    expect(decodeRpcFrame(call(deep(RPC_VALUE_DEPTH_MAX)), TO_PEER)).toMatchObject({ ok: true });
    expect(decodeRpcFrame(call(fields(RPC_FIELDS_MAX)), TO_PEER)).toMatchObject({ ok: true });
    const wrong = [
      ...[[4], [-1], [true], ["list"], [null], [[]], [1, "a"], [1, 7, 1], [1, [], 1], [2, 1]],
      ...[[3], [3, 0], [3, -1], [3, 1.5], [3, "1"], [3, 2, "a"], [3, 1, 7, 1], [3, 2, "a", "b", 1]],
      ...[
        [3, 65, ..."x".repeat(130)],
        [0, [9]],
        [1, "a", [9]],
        [2, [9], 1],
        [2, 1, [9]],
      ],
      ...[[3, 1, "a", [9]], deep(RPC_VALUE_DEPTH_MAX + 1), fields(RPC_FIELDS_MAX + 1)],
    ];
    for (const value of wrong) {
      const decoded = decodeRpcFrame(call(value), TO_PEER);
      expect(decoded, JSON.stringify(value)).toMatchObject({ code: "MALFORMED_FRAME" });
    }
  });

  test("[S5] __proto__ is an ordinary field, alone and in rows", () => {
    const one = JSON.parse('{"__proto__": {"isAdmin": true}}');
    const args = [one, [one, one]];
    const message = { type: "call", id: "i", method: "m", timeoutMs: 0, args } as const;
    const [decoded] = messagesIn(frameOf([message]), TO_PEER);
    expect(decoded).toEqual(message);
    const [first] = (decoded as typeof message).args;
    expect(Object.keys(first)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(first)).toBe(Object.prototype);
    expect((first as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });

  test("a list of alike objects names their fields once", () => {
    const rows = Array.from({ length: 1000 }, (_, index) => ({ shard: index, memoryBytes: 0 }));
    const { length } = encodeRpcMessage({ type: "answer", id: "i", value: rows });
    expect(length / rows.length).toBeLessThan(5);
  });

  test("what cannot travel is a TypeError and never half sent", () => {
    const circle: unknown[] = [];
    circle.push(circle);
    const wrong = [
      ...[Number.NaN, Infinity, 10n, () => {}, Symbol("s"), new Date(0), new Set(), "\ud800"],
      ...[circle, new (class A {})(), { "\udc00": 1 }, [new Date(0)], new Map([[1, Infinity]])],
    ];
    for (const value of wrong) {
      expect(() => encodeRpcMessage({ type: "answer", id: "i", value })).toThrow(TypeError);
    }
    expect(messagesIn(frameOf([{ type: "item", id: "i", value: -0 }]), TO_CLIENT)).toEqual([
      { type: "item", id: "i", value: 0 },
    ]);
    // A hole in a list is undefined.
    const holes = new Array<unknown>(2);
    holes[1] = 1;
    const [holed] = messagesIn(frameOf([{ type: "item", id: "i", value: holes }]), TO_CLIENT);
    expect(holed).toEqual({ type: "item", id: "i", value: [undefined, 1] });
  });
});

describe("strangers", () => {
  test("[S2] no frame of a peer is one of a client, and the other way round", () => {
    const identity = {
      ...{ versionLow: 1, versionHigh: 1, cluster: "c", name: "a", incarnation: "a-1" },
      ...{ address: "h:1", shardCount: 256, wallMs: 0, founding: undefined },
    };
    const nonce = new Uint8Array(16);
    const hello = new Handshake("dialler", identity, nonce).start();
    if (hello === undefined) throw new Error("A dialler begins");
    for (const frame of [hello, ...Object.values(SAMPLES).map((each) => encodeFrame([each]))]) {
      for (const [, direction] of DIRECTIONS) {
        expect(decodeRpcFrame(frame, direction)).toMatchObject({ code: "MALFORMED_FRAME" });
      }
    }
    fc.assert(
      fc.property(fc.array(clientMessages, { minLength: 1, maxLength: 3 }), (messages) => {
        const frame = frameOf(messages);
        expect(decodeFrame(frame)).toMatchObject({ code: "MALFORMED_FRAME" });
        const answer = new Handshake("acceptor", identity, nonce).receive(frame);
        expect(answer).toMatchObject({ type: "refuse", code: "MALFORMED_FRAME" });
      }),
    );
  });

  test("[S2] another version is refused before anything is read", () => {
    const frame = frameOf([{ type: "ping" }]).slice();
    frame[0] = 2;
    expect(decodeRpcFrame(frame, TO_PEER)).toMatchObject({ code: "VERSION_MISMATCH" });
    expect(decodeRpcFrame(frame.subarray(0, 1), TO_PEER)).toMatchObject({ ok: false });
    expect(decodeRpcFrame(new Uint8Array(), TO_PEER)).toMatchObject({ code: "MALFORMED_FRAME" });
  });

  test("[S5] any bytes give messages that can be sent on, or a refusal", () => {
    const random = new Random(20_251_120);
    const good = [...Object.values(CLIENT_SAMPLES), ...Object.values(SERVER_SAMPLES)];
    const frames = [...good.map((message) => frameOf([message])), frameOf(good)];
    let taken = 0;
    for (let round = 0; round < 30_000; round += 1) {
      const bytes = (random.pick(frames) as Uint8Array).slice();
      for (let count = 1 + random.below(3); count > 0; count -= 1) {
        bytes[random.below(bytes.length)] = random.below(256);
      }
      const cut = random.chance(0.2) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
      for (const [, direction] of DIRECTIONS) {
        const decoded = decodeRpcFrame(cut, direction);
        if (!decoded.ok) continue;
        taken += 1;
        expect(decodeRpcFrame(frameOf(decoded.messages), direction), hex(cut)).toEqual(decoded);
      }
    }
    expect(taken).toBeGreaterThan(1000);
  });

  test("[S5] any value that was taken is one that can be given back", () => {
    fc.assert(
      fc.property(values, (value) => {
        const [message] = messagesIn(frameOf([{ type: "answer", id: "i", value }]), TO_CLIENT);
        expect(message).toEqual({ type: "answer", id: "i", value });
      }),
    );
  });
});
