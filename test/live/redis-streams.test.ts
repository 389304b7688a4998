import fc from "fast-check";
import { expect, test } from "vitest";
import { readEntry } from "../../src/live/shell/redis-streams.ts";
import { isBus, readLiveOptions } from "../../src/live-queries.ts";
import { DECLARATIONS } from "./rows.ts";

const words = (fields: Record<string, string | Buffer>): Buffer[] =>
  Object.entries(fields).flatMap((pair) => pair.map((each) => Buffer.from(each)));

const GOOD = { v: "1", f: "peer-1", s: "s1", a: "", n: "3", h: "2", b: Buffer.from([1, 2]) };

test("[V14] an entry of a stream becomes a frame, or nothing, whatever it holds", () => {
  expect(readEntry(words(GOOD))).toEqual({
    from: "peer-1",
    frame: { session: "s1", about: "", count: 3, heard: 2, body: Buffer.from([1, 2]) },
  });
  const wrong: Record<string, string | Buffer>[] = [
    { v: "2" },
    { f: "" },
    { f: "../x" },
    { f: "x".repeat(65) },
    { s: "" },
    { s: "x".repeat(97) },
    { a: "x".repeat(97) },
    { n: "-1" },
    { n: "1e3" },
    { n: "0x10" },
    { n: "9".repeat(17) },
    { n: "0" },
    { h: "" },
    { h: "1.5" },
    { b: Buffer.alloc(1_048_577) },
  ];
  for (const each of wrong) expect(readEntry(words({ ...GOOD, ...each }))).toBe(undefined);
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(...words(GOOD)),
    fc.constantFrom(null, 7, "text", []),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 20 }), (any) => {
      const { frame } = readEntry(any) ?? {};
      if (frame !== undefined) expect(Number.isSafeInteger(frame.count + frame.heard)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test("[V14] a bus is called links, or by the URL of a Redis; anything else is refused at once", () => {
  for (const bus of ["links", "redis://h", "redis://u:p@h:1/2", "rediss://[::1]:6379"]) {
    expect(isBus(bus)).toBe(true);
  }
  for (const bus of ["", "link", "http://h", "redis:h", "redis://", "redis://h:99999", 7, null]) {
    expect(isBus(bus)).toBe(false);
    expect(() => readLiveOptions({ entities: DECLARATIONS, bus })).toThrow(TypeError);
  }
  expect(readLiveOptions({ entities: DECLARATIONS }).redis).toBe(undefined);
});
