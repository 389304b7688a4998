import fc from "fast-check";
import { expect, test } from "vitest";
import { FailureDetector } from "../../src/core/failure-detector.ts";
import { LocalHealth } from "../../src/core/local-health.ts";
import { TIMINGS } from "../../src/core/timings.ts";

const T = TIMINGS.lan;
const FLOOR_MS = T.silenceMs - T.heartbeatMs;

/** A detector that has heard signs of life after each of these gaps. */
function after(gapsMs: readonly number[], everyMs = T.heartbeatMs): FailureDetector {
  const detector = new FailureDetector(T, 0);
  detector.expect(everyMs);
  let now = 0;
  for (const gapMs of gapsMs) {
    now += gapMs;
    detector.heard(now);
  }
  return detector;
}

/** The limit by the book: mean and deviation of the last 64 latenesses, bounded on both sides. */
function naiveLimitMs(gapsMs: readonly number[], everyMs: number): number {
  const counted = gapsMs.filter((gapMs) => 2 * gapMs >= everyMs).slice(-64);
  const late = counted.map((gapMs) => Math.fround(Math.max(0, gapMs - everyMs)));
  const mean = late.reduce((sum, ms) => sum + ms, 0) / Math.max(1, late.length);
  const square = late.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) / Math.max(1, late.length);
  const likely = mean + 5.612 * Math.sqrt(square);
  return everyMs + Math.min(Math.max(FLOOR_MS, likely), FLOOR_MS + T.silenceMs);
}

test("[F2] the limit is that of phi = 8 over the last 64 signs of life, bounded on both sides", () => {
  const gaps = fc.array(fc.nat(4000), { maxLength: 200 });
  fc.assert(
    fc.property(gaps, fc.constantFrom(250, 2000), (gapsMs, everyMs) => {
      const limitMs = after(gapsMs, everyMs).limitMs;
      expect(limitMs).toBeCloseTo(naiveLimitMs(gapsMs, everyMs), 2);
      expect(limitMs).toBeGreaterThanOrEqual(everyMs + FLOOR_MS);
      expect(limitMs).toBeLessThanOrEqual(everyMs + FLOOR_MS + T.silenceMs);
    }),
  );
});

test("[F2] phi is 8 at 5.612 deviations: a heartbeat is later than that once in 10^8 times", () => {
  // The tail of the normal distribution by its continued fraction: Abramowitz and Stegun, 26.2.14.
  const x = 5.612;
  let fraction = x;
  for (let term = 60; term > 0; term -= 1) fraction = x + term / fraction;
  const tail = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI) / fraction;
  expect(-Math.log10(tail)).toBeCloseTo(8, 2);
});

test("[F2] an even link is granted silenceMs, however even it is", () => {
  expect(after([]).limitMs).toBe(T.silenceMs);
  expect(after(Array(100).fill(250)).limitMs).toBe(T.silenceMs);
});

test("[F2] one late sign of life changes nothing, and many make the detector more patient", () => {
  const even = Array<number>(63).fill(250);
  expect(after([...even, 1250]).limitMs).toBe(T.silenceMs);
  const uneven = Array.from({ length: 64 }, (_, index) => (index % 4 === 0 ? 850 : 250));
  expect(after(uneven).limitMs).toBeGreaterThan(T.silenceMs + 300);
});

test("[F2] what a link was like long ago is forgotten", () => {
  const uneven = Array.from({ length: 64 }, (_, index) => (index % 2 === 0 ? 1800 : 250));
  expect(after(uneven).limitMs).toBe(2 * T.silenceMs);
  expect(after([...uneven, ...Array<number>(64).fill(250)]).limitMs).toBe(T.silenceMs);
});

test("[F2] traffic between heartbeats is a sign of life and no sample", () => {
  const uneven = Array.from({ length: 64 }, (_, index) => (index % 4 === 0 ? 850 : 250));
  const busy = uneven.flatMap((gapMs) => [1, 1, 1, 1, gapMs]);
  expect(after(busy).limitMs).toBeCloseTo(after(uneven).limitMs, 6);
  expect(after([5000, 1]).heardAt).toBe(5001);
});

test("[F2] whoever promises to be heard in a year is expected much sooner", () => {
  expect(after([], 3e10).limitMs).toBe(2 * T.keepAliveMs + FLOOR_MS);
  expect(after([], 0).limitMs).toBe(1 + FLOOR_MS);
});

test("[F2] own lateness is no silence of the other end, and none is heard in the future", () => {
  const detector = after([250, 250]);
  detector.forgive(10_000, 10_600);
  expect(detector.heardAt).toBe(10_500);
  detector.heard(10_700);
  expect(detector.limitMs).toBe(T.silenceMs);
  detector.forgive(10_000, 10_800);
  expect(detector.heardAt).toBe(10_800);
});

test("[F2] every sign of trouble makes a peer more patient, up to four times, and calm less so", () => {
  const health = new LocalHealth(2000);
  expect(health.multiplier(0)).toBe(1);
  const multipliers = [0, 0, 0, 0, 0].map(() => {
    health.worsen(100);
    return health.multiplier(100);
  });
  expect(multipliers).toEqual([2, 3, 4, 4, 4]);
  expect([2099, 2100, 4100, 6100, 1e9].map((now) => health.multiplier(now))).toEqual([
    4, 3, 2, 1, 1,
  ]);
  health.worsen(4100);
  expect(health.multiplier(4100)).toBe(3);
});
