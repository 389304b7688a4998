import fc from "fast-check";
import { expect, test } from "vitest";
import { agrees, WALL_STEP_MS_MAX, WallClock } from "../../src/core/wall-clock.ts";

const NOW = Date.UTC(2026, 0, 1);

test("[C7] small changes are followed at once, however many there are", () => {
  const change = fc.integer({ min: -WALL_STEP_MS_MAX, max: WALL_STEP_MS_MAX });
  const moments = fc.array(fc.record({ passedMs: fc.nat(10_000), changeMs: change }));
  fc.assert(
    fc.property(moments, (all) => {
      const clock = new WallClock(NOW, 0);
      let now = 0;
      let wallMs = NOW;
      for (const { passedMs, changeMs } of all) {
        now += passedMs;
        wallMs += passedMs + changeMs;
        expect(clock.read(wallMs, now)).toBe(wallMs);
        expect(clock.stepMs()).toBe(0);
      }
    }),
  );
});

test.each([1001, 3_600_000, -1001, -3_600_000])(
  "[C7] a step of %d ms is held back, and the old clock runs on",
  (stepMs) => {
    const clock = new WallClock(NOW, 100);
    expect(clock.read(NOW + 50 + stepMs, 150)).toBe(NOW + 50);
    expect(clock.read(NOW + 900 + stepMs, 1000)).toBe(NOW + 900);
    expect(clock.stepMs()).toBe(stepMs);
  },
);

test("[C7] a step that is adopted is used from then on", () => {
  const clock = new WallClock(NOW, 0);
  clock.read(NOW + 60_000, 10);
  clock.adopt();
  expect(clock.stepMs()).toBe(0);
  expect(clock.read(NOW + 60_010, 20)).toBe(NOW + 60_010);
});

test("[C7] a step that is taken back leaves no trace", () => {
  const clock = new WallClock(NOW, 0);
  clock.read(NOW + 60_000, 10);
  expect(clock.read(NOW + 20, 20)).toBe(NOW + 20);
  expect(clock.stepMs()).toBe(0);
});

test("[C7] a suspended machine's wall clock is a step, since monotonic time stood still", () => {
  const clock = new WallClock(NOW, 0);
  expect(clock.read(NOW + 7_200_000, 1)).toBe(NOW + 1);
  expect(clock.stepMs()).toBe(7_199_999);
});

test("[C7] the clock in use is never over a second from the raw one without a step to show", () => {
  const reading = fc.record({
    passedMs: fc.nat(2000),
    changeMs: fc.oneof(fc.constant(0), fc.integer({ min: -5000, max: 5000 })),
    adopt: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(reading), (all) => {
      const clock = new WallClock(NOW, 0);
      let now = 0;
      let wallMs = NOW;
      for (const { passedMs, changeMs, adopt } of all) {
        now += passedMs;
        wallMs += passedMs + changeMs;
        const used = clock.read(wallMs, now);
        expect(clock.stepMs()).toBe(wallMs - used);
        expect(clock.stepMs() === 0 || Math.abs(clock.stepMs()) > WALL_STEP_MS_MAX).toBe(true);
        if (adopt) clock.adopt();
      }
    }),
  );
});

test("[C7] alone, a peer takes every step at once", () => {
  expect(agrees([], 3_600_000)).toBe(true);
  expect(agrees([], -3_600_000)).toBe(true);
});

test("[C7] half of the links suffice, fewer do not", () => {
  const [moved, stayed] = [60_000, 0];
  expect(agrees([moved], 60_000)).toBe(true);
  expect(agrees([stayed], 60_000)).toBe(false);
  expect(agrees([moved, stayed], 60_000)).toBe(true);
  expect(agrees([moved, stayed, stayed], 60_000)).toBe(false);
  expect(agrees([moved, moved, stayed, stayed], 60_000)).toBe(true);
});

test("[C7] a link agrees when it is nearer to the stepped clock than to the old one", () => {
  expect(agrees([30_001], 60_000)).toBe(true);
  expect(agrees([30_000], 60_000)).toBe(false);
  expect(agrees([-30_001], -60_000)).toBe(true);
  expect(agrees([-30_001], 60_000)).toBe(false);
});
