import { expect, test } from "vitest";
import { Liveness } from "../../src/core/liveness.ts";
import type { MemberState } from "../../src/core/membership.ts";
import { TIMINGS, type Timings } from "../../src/core/timings.ts";
import { member } from "./members.ts";

const T: Timings = { ...TIMINGS.lan, silenceMs: 1000, stableAfterMs: 5000 };
const SUSPICION_MS = 1500;

const b = member("b");
const rewritten = (time: number): MemberState => member("b", { stamp: { time, writer: "b1" } });
const suspect = member("b", { status: "suspect" });
const dead = member("b", { status: "dead", why: "c: silent" });

function watching(now = 0): Liveness {
  const liveness = new Liveness(T);
  liveness.sawRow(b, now);
  return liveness;
}

test("[F1] a suspicion that lasts leads to dead, and who is dead is not called so again", () => {
  const liveness = watching();
  liveness.suspect("b", 2000);
  expect(liveness.deathDue(suspect, SUSPICION_MS, 3499)).toBeUndefined();
  expect(liveness.deathDue(suspect, SUSPICION_MS, 3500)).toBe("silent for 3500 ms");
  expect(liveness.deathDue(dead, SUSPICION_MS, 8600)).toBeUndefined();
});

test("[F4] a suspicion that is shortened ends at once when its time is over by then", () => {
  const liveness = watching();
  liveness.suspect("b", 2000);
  expect(liveness.deathDue(suspect, 900, 2899)).toBeUndefined();
  expect(liveness.deathDue(suspect, 300, 2899)).toMatch("silent");
});

test("[F2] anything heard is a sign of life, and none that came earlier takes it back", () => {
  const liveness = watching();
  liveness.heard("b", 1000);
  expect(liveness.heardAt("b")).toBe(1000);
  liveness.heard("b", 700);
  expect(liveness.heardAt("b")).toBe(1000);
});

test("[F1] a suspect that is heard again is not called dead", () => {
  const liveness = watching();
  liveness.suspect("b", 2000);
  expect(liveness.isSuspect("b")).toBe(true);
  liveness.heard("b", 3000);
  expect(liveness.isSuspect("b")).toBe(false);
  expect(liveness.deathDue(suspect, SUSPICION_MS, 1e6)).toBeUndefined();
});

test("[F4] who does not suspect a member itself does not call it dead on the word of others", () => {
  expect(watching().deathDue(suspect, 0, 1e6)).toBeUndefined();
});

test("[F1] nobody is accused who is unknown, has left, or is removed already", () => {
  const liveness = watching();
  liveness.suspect("c", 0);
  liveness.suspect("b", 0);
  expect(liveness.deathDue(member("c"), 0, 1e6)).toBeUndefined();
  expect(liveness.deathDue(member("b", { status: "left" }), 0, 1e6)).toBeUndefined();
  const removed = member("b", { status: "dead", removed: true });
  expect(liveness.deathDue(removed, 0, 1e6)).toBeUndefined();
  liveness.heard("c", 1);
  expect(liveness.heardAt("c")).toBeUndefined();
});

test("[F5] a refuted accuser doubles its patience with that member, up to a minute", () => {
  const liveness = watching();
  const patience: number[] = [];
  for (let time = 2; time < 10; time += 1) {
    liveness.suspect("b", time);
    liveness.sawRow(rewritten(time), time);
    patience.push(liveness.patience("b", time));
  }
  expect(patience).toEqual([2, 4, 8, 16, 32, 60, 60, 60]);
});

test("[F5] patience wears off: it is halved by every minute without another refutation", () => {
  const liveness = watching();
  for (let time = 2; time < 6; time += 1) {
    liveness.suspect("b", 0);
    liveness.sawRow(rewritten(time), 0);
  }
  const after = (ms: number) => liveness.patience("b", ms);
  expect([0, 59_999, 60_000, 120_000, 240_000, 1e9].map(after)).toEqual([16, 16, 8, 4, 1, 1]);
  liveness.suspect("b", 120_000);
  liveness.sawRow(rewritten(9), 120_000);
  expect(after(120_000)).toBe(8);
});

test("[F5] a refutation counts also when the suspect was heard before it came", () => {
  const liveness = watching();
  liveness.suspect("b", 2000);
  liveness.heard("b", 2100);
  liveness.sawRow(rewritten(2), 2200);
  expect(liveness.patience("b", 2200)).toBe(2);
});

test("[F5] a row written anew without an accusation from here doubles nothing", () => {
  const liveness = watching();
  for (let time = 2; time < 6; time += 1) liveness.sawRow(rewritten(time), 0);
  expect(liveness.patience("b", 0)).toBe(1);
});

test("[F5] another life of a member refutes nothing, and is met with the usual patience", () => {
  const liveness = watching();
  liveness.suspect("b", 0);
  liveness.sawRow(rewritten(2), 10);
  liveness.suspect("b", 20);
  const row = { ...b.row, incarnation: "b2" };
  liveness.sawRow(member("b", { row, stamp: { time: 3, writer: "b2" } }), 30);
  expect(liveness.patience("b", 30)).toBe(1);
});

test("[F5] patience with one member is not patience with another", () => {
  const liveness = watching();
  liveness.sawRow(member("c"), 0);
  liveness.suspect("b", 0);
  liveness.sawRow(rewritten(2), 2000);
  expect([liveness.patience("b", 2000), liveness.patience("c", 2000)]).toEqual([2, 1]);
  expect(liveness.patience("stranger", 0)).toBe(1);
});

test("[F1] a row written anew is a sign of life, whichever way the news came", () => {
  const liveness = watching();
  liveness.sawRow(rewritten(2), 1900);
  expect(liveness.heardAt("b")).toBe(1900);
  liveness.sawRow(rewritten(2), 3899); // The same row again says nothing new.
  expect(liveness.heardAt("b")).toBe(1900);
});

test("[F2] a peer's own lateness is subtracted from everybody's silence, and from its verdicts", () => {
  const liveness = watching();
  liveness.forgive(10_000, 11_000);
  expect(liveness.heardAt("b")).toBe(10_000);
  liveness.suspect("b", 12_000);
  liveness.forgive(1000, 13_100);
  expect(liveness.deathDue(suspect, SUSPICION_MS, 14_499)).toBeUndefined();
  expect(liveness.deathDue(suspect, SUSPICION_MS, 14_500)).toMatch("silent");
});

test("[F2] who was heard after the lateness is not heard from the future", () => {
  const liveness = watching();
  liveness.heard("b", 60_000);
  liveness.forgive(60_000, 60_000);
  expect(liveness.heardAt("b")).toBe(60_000);
});

test("[U3] a member that is forgotten is watched no longer, and anew when it comes back", () => {
  const liveness = watching();
  liveness.suspect("b", 2000);
  liveness.forget("b");
  expect([liveness.heardAt("b"), liveness.isSuspect("b")]).toEqual([undefined, false]);
  liveness.heard("b", 3000); // A link that still stands makes it no member.
  expect(liveness.heardAt("b")).toBeUndefined();
  liveness.sawRow(rewritten(9), 4000);
  expect(liveness.heardAt("b")).toBe(4000);
});
