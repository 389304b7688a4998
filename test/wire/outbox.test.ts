import fc from "fast-check";
import { expect, test } from "vitest";
import { FRAME_BYTES_MAX, FRAME_BYTES_TARGET, FRAME_MESSAGES_MAX } from "../../src/core/limits.ts";
import type { Delta, Entry, Message } from "../../src/core/message.ts";
import { flushAfter } from "../../src/io/turn.ts";
import { decodeFrame } from "../../src/wire/codec.ts";
import { encodeFrames } from "../../src/wire/frames.ts";
import { Outbox } from "../../src/wire/outbox.ts";

const done = (exchange: number): Message => ({ type: "done", exchange });

/** What a link was told, as its other end reads it. */
function read(frames: readonly Uint8Array[]): Message[] {
  return frames.flatMap((bytes) => {
    const decoded = decodeFrame(bytes);
    expect(decoded).toMatchObject({ ok: true, refused: 0 });
    return decoded.ok ? decoded.messages : [];
  });
}

function startOutbox() {
  const written = new Map<number, (readonly Uint8Array[])[]>();
  const outbox = new Outbox((link, frames) => {
    written.set(link, [...(written.get(link) ?? []), frames]);
  }, flushAfter(0));
  return { outbox, written };
}

const turnIsOver = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("[G1] what one link is told within a turn leaves in one frame when the turn is over", async () => {
  const { outbox, written } = startOutbox();
  outbox.add([1], done(1));
  outbox.add([1], done(2));
  await Promise.resolve();
  outbox.add([1], done(3));
  expect(written.size).toBe(0);
  await turnIsOver();
  const frames = written.get(1)?.flat() ?? [];
  expect(frames).toHaveLength(1);
  expect(read(frames)).toEqual([done(1), done(2), done(3)]);
});

test("[G1] lists that are equal are encoded once", () => {
  const { outbox, written } = startOutbox();
  outbox.add([1, 2, 3], done(1));
  outbox.add([1], done(2));
  outbox.add([2, 3], done(3));
  outbox.flush();
  const frameOf = (link: number) => written.get(link)?.[0]?.[0];
  expect(frameOf(2)).toBe(frameOf(3));
  expect(frameOf(1)).not.toBe(frameOf(2));
  expect(read([frameOf(1) ?? new Uint8Array()])).toEqual([done(1), done(2)]);
});

test("any sends reach each link completely and in order", () => {
  const send = fc.record({
    links: fc.uniqueArray(fc.constantFrom(1, 2, 3, 4)),
    number: fc.nat({ max: 9 }),
  });
  const messages = Array.from({ length: 10 }, (_, index) => done(index));
  fc.assert(
    fc.property(fc.array(fc.option(send)), (sends) => {
      const { outbox, written } = startOutbox();
      const expected = new Map<number, Message[]>();
      for (const each of sends) {
        const message = messages[each?.number ?? 0];
        if (each === null || message === undefined) outbox.flush();
        else {
          outbox.add(each.links, message);
          for (const link of each.links) {
            expected.set(link, [...(expected.get(link) ?? []), message]);
          }
        }
      }
      outbox.flush();
      expect(new Map([...written].map(([link, lists]) => [link, read(lists.flat())]))).toEqual(
        expected,
      );
    }),
  );
});

test("what writing brings about is written in the next flush", async () => {
  const written: number[][] = [];
  const outbox = new Outbox((link, frames) => {
    written.push([link, read(frames).length]);
    if (written.length === 1) outbox.add([1, 2], done(9));
  }, flushAfter(0));
  outbox.add([1, 2], done(1));
  outbox.flush();
  expect(written).toEqual([
    [1, 1],
    [2, 1],
  ]);
  await turnIsOver();
  expect(written.slice(2)).toEqual([
    [1, 1],
    [2, 1],
  ]);
});

test("who waits for the flush is called behind it, and at once when nothing is to be flushed", async () => {
  const { outbox, written } = startOutbox();
  const called: string[] = [];
  outbox.afterFlush(() => called.push("nothing waited"));
  expect(called).toEqual(["nothing waited"]);
  outbox.add([1], done(1));
  outbox.afterFlush(() => called.push(`${written.size} link was written to`));
  expect(called).toHaveLength(1);
  await turnIsOver();
  expect(called).toEqual(["nothing waited", "1 link was written to"]);
});

test("[G1] with flushMs what many turns have to say leaves in one frame", async () => {
  const written: number[] = [];
  let onWritten = (): void => {};
  const wait = new Promise<void>((resolve) => {
    onWritten = resolve;
  });
  const outbox = new Outbox((_, frames) => {
    written.push(read(frames).length);
    onWritten();
  }, flushAfter(20));
  outbox.add([1], done(1));
  await turnIsOver();
  outbox.add([1], done(2));
  expect(written).toEqual([]);
  await wait;
  expect(written).toEqual([2]);
});

const entries = (count: number, value: Entry["value"], prefix = "key"): Entry[] =>
  Array.from({ length: count }, (_, index) => ({
    key: `${prefix}-${index}`,
    value,
    time: index,
    writer: `writer-${index % 7}`,
  }));

const delta = (map: string, ...all: Entry[]): Delta => ({
  type: "delta",
  maps: [{ map, entries: all }],
});

test("[G1] messages are split into frames near the size limit, in order", () => {
  const messages = entries(40, "x".repeat(20_000)).map((entry) => delta("settings", entry));
  const frames = encodeFrames(messages);
  for (const { length } of frames) expect(length).toBeLessThanOrEqual(FRAME_BYTES_TARGET);
  expect(frames).toHaveLength(10);
  expect(read(frames)).toEqual(messages);
});

test("[S4] no frame exceeds what its receiver allows, whatever is pushed at once", () => {
  const large = entries(100, "\u{ffff}".repeat(20_000), "\u{ffff}".repeat(240));
  const many = entries(65_536, ["a"], "shard");
  const frames = encodeFrames([delta("large", ...large), done(1), delta("many", ...many)]);
  for (const { length } of frames) expect(length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
  const parts = read(frames).flatMap((message) => ("maps" in message ? message.maps : []));
  const keys = parts.flatMap((part) => part.entries.map(({ key }) => `${part.map}/${key}`));
  expect(keys).toEqual([
    ...large.map(({ key }) => `large/${key}`),
    ...many.map(({ key }) => `many/${key}`),
  ]);
});

test("[S4] no frame has more messages than its receiver allows", () => {
  const messages = Array.from({ length: FRAME_MESSAGES_MAX + 1 }, (_, index) => done(index));
  expect(encodeFrames(messages)).toHaveLength(2);
});
