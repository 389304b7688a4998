import { expect, test } from "vitest";
import { Liveness } from "../../src/core/liveness.ts";
import type { MemberState } from "../../src/core/membership.ts";
import { TIMINGS, type Timings } from "../../src/core/timings.ts";
import { member } from "./members.ts";

const T: Timings = { ...TIMINGS.lan, silenceMs: 2000, suspicionMs: 1500, stableAfterMs: 5000 };

const b = member("b");
const rewritten = (time: number): MemberState => member("b", { stamp: { time, writer: "b1" } });
const suspect = member("b", { status: "suspect" });
const dead = member("b", { status: "dead", why: "c: silent" });

function watching(now = 0): Liveness {
  const liveness = new Liveness(T);
  liveness.sawRow(b, now);
  return liveness;
}

test("[F1] silence leads to suspect, from there to dead, and from there to removed", () => {
  const liveness = watching();
  expect(liveness.check(b, 1999)).toBeUndefined();
  expect(liveness.check(b, 2000)).toEqual({
    name: "b",
    kind: "suspect",
    why: "silent for 2000 ms",
  });
  expect(liveness.check(suspect, 3499)).toBeUndefined();
  expect(liveness.check(suspect, 3500)).toEqual({
    name: "b",
    kind: "dead",
    why: "silent for 3500 ms",
  });
  expect(liveness.check(dead, 3600)).toBeUndefined();
  expect(liveness.check(dead, 8599)).toBeUndefined();
  expect(liveness.check(dead, 8600)).toMatchObject({ name: "b", kind: "removed" });
});

test("[F2] anything heard is a sign of life", () => {
  const liveness = watching();
  for (let now = 1000; now <= 20_000; now += 1000) {
    liveness.heard("b", now);
    expect(liveness.heardAt("b")).toBe(now);
    expect(liveness.check(b, now + 999)).toBeUndefined();
  }
  expect(liveness.check(b, 22_000)).toMatchObject({ kind: "suspect" });
});

test("[F1] a suspect that is heard again is not called dead", () => {
  const liveness = watching();
  expect(liveness.check(b, 2000)).toMatchObject({ kind: "suspect" });
  liveness.heard("b", 3000);
  expect(liveness.check(suspect, 3600)).toBeUndefined();
});

test("[F1] nobody is accused who is unknown, has left, or is removed already", () => {
  const liveness = watching();
  expect(liveness.check(member("c"), 1e6)).toBeUndefined();
  expect(liveness.check(member("b", { status: "left" }), 1e6)).toBeUndefined();
  expect(liveness.check(member("b", { status: "dead", removed: true }), 1e6)).toBeUndefined();
  liveness.heard("c", 1);
  expect(liveness.heardAt("c")).toBeUndefined();
});

test("[F9] the time until a removal begins when the death was seen, and anew with each row", () => {
  const liveness = watching();
  expect(liveness.check(dead, 100)).toBeUndefined();
  liveness.sawRow(rewritten(2), 200);
  expect(liveness.check(rewritten(2), 300)).toBeUndefined();
  const again = { ...rewritten(2), status: "dead" as const };
  expect(liveness.check(again, 4000)).toBeUndefined();
  expect(liveness.check(again, 8999)).toBeUndefined();
  expect(liveness.check(again, 9000)).toMatchObject({ kind: "removed" });
});

test("[F5] a refuted accuser doubles its patience with that member, up to a minute", () => {
  const liveness = watching();
  let now = 0;
  const patienceMs: number[] = [];
  for (let time = 2; time < 10; time += 1) {
    const heardAt = now;
    while (liveness.check(rewritten(time - 1), now) === undefined) now += 500;
    patienceMs.push(now - heardAt);
    liveness.sawRow(rewritten(time), now);
  }
  expect(patienceMs).toEqual([2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test("[F5] a row written anew without an accusation from here doubles nothing", () => {
  const liveness = watching();
  for (let time = 2; time < 6; time += 1) liveness.sawRow(rewritten(time), 0);
  expect(liveness.check(rewritten(5), 2000)).toMatchObject({ kind: "suspect" });
});

test("[F5] patience with one member is not patience with another", () => {
  const liveness = watching();
  liveness.sawRow(member("c"), 0);
  expect(liveness.check(b, 2000)).toMatchObject({ kind: "suspect" });
  liveness.sawRow(rewritten(2), 2000);
  expect(liveness.check(member("c"), 2000)).toMatchObject({ name: "c", kind: "suspect" });
  expect(liveness.check(rewritten(2), 5999)).toBeUndefined();
  expect(liveness.check(rewritten(2), 6000)).toMatchObject({ name: "b", kind: "suspect" });
});

test("[F1] a row written anew is a sign of life, whichever way the news came", () => {
  const liveness = watching();
  liveness.sawRow(rewritten(2), 1900);
  expect(liveness.check(rewritten(2), 3899)).toBeUndefined();
  liveness.sawRow(rewritten(2), 3899); // The same row again says nothing new.
  expect(liveness.check(rewritten(2), 3900)).toMatchObject({ kind: "suspect" });
});

test("[F2] a peer's own lateness is subtracted from everybody's silence, and from its verdicts", () => {
  const liveness = watching();
  liveness.forgive(10_000, 11_000);
  expect(liveness.check(b, 11_999)).toBeUndefined();
  expect(liveness.check(b, 12_000)).toMatchObject({ kind: "suspect" });
  liveness.forgive(1000, 13_100);
  expect(liveness.check(suspect, 14_499)).toBeUndefined();
  expect(liveness.check(suspect, 14_500)).toMatchObject({ kind: "dead" });
  expect(liveness.check(dead, 14_500)).toBeUndefined();
  liveness.forgive(1000, 16_000);
  expect(liveness.check(dead, 20_499)).toBeUndefined();
  expect(liveness.check(dead, 20_500)).toMatchObject({ kind: "removed" });
});

test("[F2] who was heard after the lateness is not heard from the future", () => {
  const liveness = watching();
  liveness.heard("b", 60_000);
  liveness.forgive(60_000, 60_000);
  expect(liveness.heardAt("b")).toBe(60_000);
  expect(liveness.check(b, 62_000)).toMatchObject({ kind: "suspect" });
});

test("a reason that is passed on stays short enough for a verdict", () => {
  const liveness = watching();
  const long = member("b", { status: "dead", why: "w".repeat(300) });
  liveness.check(long, 0);
  expect(liveness.check(long, 5000)?.why.length).toBeLessThanOrEqual(200);
});
