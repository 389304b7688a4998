import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FRAME_BYTES_TARGET } from "../../src/core/limits.ts";
import { LwwMap } from "../../src/core/lww-map.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import { decodeFrame, decodeSnapshot, encodeFrame, encodeSnapshot } from "../../src/wire/codec.ts";
import { Handshake } from "../../src/wire/handshake.ts";
import { pack } from "../../src/wire/msgpack.ts";
import { hex, MAPS, SAMPLES } from "./messages.ts";

const FRAMES = 100_000;

const identity = {
  versionLow: 1,
  versionHigh: 1,
  cluster: "c",
  name: "a",
  incarnation: "a-1",
  address: "h:1",
  shardCount: 256,
  wallMs: 0,
  founding: undefined,
};
const nonce = new Uint8Array(16);

const handshakeFrames = (): Uint8Array[] => {
  const other = { ...identity, name: "b", incarnation: "b-1" };
  const hello = new Handshake("dialler", identity, nonce).start() ?? new Uint8Array();
  const welcome = new Handshake("acceptor", other, nonce).receive(hello);
  return [hello, "reply" in welcome ? welcome.reply : hello];
};

/** Frames that are good, to make bad ones from. */
const GOOD: readonly Uint8Array[] = [
  ...Object.values(SAMPLES).map((message) => encodeFrame([message]).slice()),
  encodeFrame(Object.values(SAMPLES)).slice(),
  encodeSnapshot(MAPS),
  ...handshakeFrames().map((frame) => frame.slice()),
];

/** Lead bytes of everything that has a length, and of everything that is refused. */
const LEADS = [
  ...[0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca],
  ...[0xcb, 0xcf, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf],
];

function randomFrame(random: Random): Uint8Array {
  const bytes = new Uint8Array(random.below(100));
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = random.below(256);
  if (bytes.length > 0 && random.chance(0.8)) bytes[0] = 0x90 + random.below(16);
  return bytes;
}

/** A good frame, cut, lengthened, spliced with another, or with some of its bytes changed. */
function mutatedFrame(random: Random): Uint8Array {
  const frame = random.pick(GOOD) as Uint8Array;
  const at = random.below(frame.length);
  switch (random.below(5)) {
    case 0:
      return frame.subarray(0, at);
    case 1:
      return Uint8Array.from([...frame, ...randomFrame(random)]);
    case 2: {
      const other = random.pick(GOOD) as Uint8Array;
      return Uint8Array.from([...frame.subarray(0, at), ...other.subarray(random.below(at + 1))]);
    }
    default: {
      const bytes = frame.slice();
      for (let count = 1 + random.below(4); count > 0; count -= 1) {
        const byte = random.chance(0.5) ? (random.pick(LEADS) as number) : random.below(256);
        bytes[random.below(bytes.length)] = byte;
      }
      return bytes;
    }
  }
}

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Bytes of heap in use once the garbage is gone. */
function heapUsed(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Decodes `count` hostile frames in every way there is; returns how many were taken. */
function decodeHostile(count: number, random: Random): number {
  let taken = 0;
  for (let index = 0; index < count; index += 1) {
    const bytes = random.chance(0.2) ? randomFrame(random) : mutatedFrame(random);
    const decoded = decodeFrame(bytes);
    if (decoded.ok) taken += 1;
    if (decoded.ok) expect(decoded.messages.length).toBeLessThanOrEqual(bytes.length);
    decodeSnapshot(bytes);
    const step = new Handshake(random.chance(0.5) ? "dialler" : "acceptor", identity, nonce);
    step.receive(bytes);
    step.receive(bytes);
  }
  return taken;
}

test("[S5] 100 000 random and mutated frames give messages or a refusal, and leave nothing behind", () => {
  const random = new Random(20_241_101);
  decodeHostile(FRAMES / 10, random); // Code and caches are as large as they get.
  const before = heapUsed();
  const taken = decodeHostile(FRAMES, random);
  const grownBytes = heapUsed() - before;
  expect(taken).toBeGreaterThan(FRAMES / 100); // Some changes are harmless: the test reaches far.
  expect(taken).toBeLessThan(FRAMES / 2);
  expect(grownBytes / FRAMES).toBeLessThan(40);
});

test("[S5] what is taken from a mutated frame can be sent on unchanged", () => {
  const random = new Random(7);
  for (let index = 0; index < FRAMES / 10; index += 1) {
    const bytes = mutatedFrame(random);
    const decoded = decodeFrame(bytes);
    if (!decoded.ok) continue;
    const again = decodeFrame(encodeFrame(decoded.messages));
    expect(again, hex(bytes)).toEqual({ ...decoded, refused: 0 });
  }
});

test("[G10] an entry is left out of a frame exactly when a map leaves it out of a merge", () => {
  const odd = fc.oneof(
    fc.constantFrom<unknown>(null, true, "", "k", -1, 0, 1, 0.5, 2 ** 53, 2 ** 60),
    fc.integer({ min: 94, max: 98 }).map((length) => "w".repeat(length)),
    fc.integer({ min: 254, max: 258 }).map((length) => "é".repeat(length)),
    fc.integer({ min: 65_528, max: 65_533 }).map((length) => "v".repeat(length)),
    fc.integer({ min: 14, max: 18 }).map((depth) => {
      let value: unknown = 1;
      for (let level = 0; level < depth; level += 1) value = [value];
      return value;
    }),
    fc.uint8Array({ maxLength: 3 }),
  );
  fc.assert(
    fc.property(odd, odd, odd, odd, fc.boolean(), (key, time, writer, value, isDeleted) => {
      const entry = { key, time, writer, value: isDeleted ? undefined : value } as Entry;
      const isKept = new LwwMap<unknown>().merge([entry]).length === 1;
      // A newest of 0 leaves only ages of 0, so the time of the entry is that of the table.
      const newest = Number.isSafeInteger(time) && (time as number) >= 0 ? (time as number) : 0;
      const age = newest === time ? 0 : time;
      const list = isDeleted ? [key, age, -1, null] : [key, age, 0, value];
      const decoded = decodeFrame(
        pack([
          [0, newest, writer],
          [2, ["m", list]],
        ]),
      );
      const isRefused = decoded.ok && decoded.refused === 1;
      expect(isRefused).toBe(age === 1 || !isKept);
    }),
    { numRuns: 3000 },
  );
});

test("[M6] a key that is kept does not keep its frame", () => {
  const frames = 50;
  const frameOf = (index: number): Uint8Array => {
    const entries = Array.from({ length: 10_000 }, (_, place) => ({
      key: `a-key-of-more-than-13-characters-${index}-${place}`,
      value: "short",
      time: place % 100,
      writer: "w",
    }));
    return encodeFrame([{ type: "delta", maps: [{ map: "m", entries }] }]);
  };
  const keep = (index: number): Entry | undefined => {
    const decoded = decodeFrame(frameOf(index));
    const [message] = decoded.ok ? decoded.messages : [];
    const maps: readonly MapEntries[] = message?.type === "delta" ? message.maps : [];
    return maps[0]?.entries[5000];
  };
  keep(0);
  const before = heapUsed();
  const kept = Array.from({ length: frames }, (_, index) => keep(index));
  const grownBytes = heapUsed() - before;
  expect(frameOf(0).length).toBeGreaterThan(FRAME_BYTES_TARGET);
  expect(kept).toHaveLength(frames);
  expect(grownBytes / frames).toBeLessThan(2000);
});
