import fc from "fast-check";
import { expect, test } from "vitest";
import type { Remote } from "../../src/core/event.ts";
import { Link } from "../../src/core/link.ts";
import type { Heartbeat } from "../../src/core/message.ts";
import { Replica } from "../../src/core/replica.ts";
import { TIMINGS } from "../../src/core/timings.ts";

const WALL_MS = Date.UTC(2026, 0, 1);
const MAX_DRIFT_MS = 5000;

const remote = (wallMs = WALL_MS): Remote => ({
  name: "b",
  incarnation: "b1",
  address: "b:1",
  wallMs,
  founding: undefined,
});

function linkTo(other: Remote, now = 1000): Link {
  const replica = new Replica("x");
  const timings = TIMINGS.lan;
  return new Link(
    { id: 1, remote: other, isDialled: true, self: "a", replica, timings },
    now,
    WALL_MS,
  );
}

const heartbeat = (fields: Partial<Heartbeat> = {}): Heartbeat => ({
  type: "heartbeat",
  sentAt: 0,
  echo: -1,
  echoDelayMs: 0,
  heardMs: 0,
  wallMs: WALL_MS,
  stepMs: 0,
  leadMs: 0,
  everyMs: 250,
  ...fields,
});

test("[F2] a heartbeat says when it was sent, what it answers, and how long ago the other was heard", () => {
  const link = linkTo(remote());
  expect(link.heartbeat(1500.7, WALL_MS + 0.5, 0, 0)).toEqual(
    heartbeat({ sentAt: 1500, heardMs: 501 }),
  );
  link.detector.heard(1600);
  link.onHeartbeat(heartbeat({ sentAt: 77 }), 1600, WALL_MS);
  expect(link.heartbeat(1800, WALL_MS, -1200.4, 3.6)).toEqual(
    heartbeat({
      sentAt: 1800,
      echo: 77,
      echoDelayMs: 200,
      heardMs: 200,
      stepMs: -1200,
      leadMs: 4,
    }),
  );
});

test("[F2] the round trip is what has passed, less what the other end waited", () => {
  const link = linkTo(remote());
  expect(link.roundTripMs).toBeUndefined();
  link.onHeartbeat(heartbeat(), 1100, WALL_MS);
  expect(link.roundTripMs).toBeUndefined();
  link.onHeartbeat(heartbeat({ echo: 1200, echoDelayMs: 60 }), 1300, WALL_MS);
  expect(link.roundTripMs).toBe(40);
});

test("[C4] no echo makes a round trip negative, or longer than the link has been open", () => {
  const time = fc.integer({ min: 0, max: 10_000 });
  fc.assert(
    fc.property(time, time, time, (echo, echoDelayMs, passedMs) => {
      const link = linkTo(remote());
      link.onHeartbeat(heartbeat({ echo, echoDelayMs }), 1000 + passedMs, WALL_MS);
      expect(link.roundTripMs).toBeGreaterThanOrEqual(0);
      expect(link.roundTripMs).toBeLessThanOrEqual(passedMs);
    }),
  );
});

test("[C4] a link drifts when the clocks differ by more than the bound, before a heartbeat too", () => {
  for (const sign of [1, -1]) {
    expect(linkTo(remote(WALL_MS + sign * 5000)).drifts(MAX_DRIFT_MS)).toBe(false);
    expect(linkTo(remote(WALL_MS + sign * 5001)).drifts(MAX_DRIFT_MS)).toBe(true);
    const link = linkTo(remote());
    link.onHeartbeat(heartbeat({ wallMs: WALL_MS + sign * 5001 }), 1500, WALL_MS);
    expect(link.drifts(MAX_DRIFT_MS)).toBe(true);
    link.onHeartbeat(heartbeat({ wallMs: WALL_MS }), 1600, WALL_MS);
    expect(link.drifts(MAX_DRIFT_MS)).toBe(false);
  }
});

test("[C4] half the round trip is allowed for", () => {
  const link = linkTo(remote(), 0);
  // It was sent 1000 ms ago, so their clock, which said the same as ours now, is 1000 ms ahead.
  link.onHeartbeat(heartbeat({ echo: 0, wallMs: WALL_MS }), 2000, WALL_MS);
  expect(link.differenceMs).toBe(1000);
  const late = (differenceMs: number): boolean => {
    link.onHeartbeat(heartbeat({ echo: 0, wallMs: WALL_MS + differenceMs }), 2000, WALL_MS);
    return link.drifts(MAX_DRIFT_MS);
  };
  expect([late(5000), late(5001), late(-7000), late(-7001)]).toEqual([false, true, false, true]);
});

test("[C7] their raw clock is the one in use and the step that they doubt", () => {
  const link = linkTo(remote());
  link.onHeartbeat(heartbeat({ wallMs: WALL_MS + 10, stepMs: 3_600_000 }), 1500, WALL_MS);
  expect([link.differenceMs, link.rawDifferenceMs]).toEqual([10, 3_600_010]);
});

test("[A0] a link is gated while it drifts, or leads to a founding that must give way", () => {
  const link = linkTo(remote());
  expect(link.isGated(MAX_DRIFT_MS)).toBe(false);
  link.isAlien = true;
  expect(link.isGated(MAX_DRIFT_MS)).toBe(true);
  expect(linkTo(remote(WALL_MS + 6000)).isGated(MAX_DRIFT_MS)).toBe(true);
});

test("[F2] the other end is expected as often as it says, and not before", () => {
  const link = linkTo(remote());
  expect(link.detector.limitMs).toBe(TIMINGS.lan.silenceMs);
  link.onHeartbeat(heartbeat({ everyMs: 2000 }), 1500, WALL_MS);
  const { silenceMs, heartbeatMs } = TIMINGS.lan;
  expect(link.detector.limitMs).toBe(silenceMs - heartbeatMs + 2000);
  link.everyMs = 2000;
  expect(link.pulse(1700, true)).toEqual({
    type: "pulse",
    heardMs: 700,
    everyMs: 2000,
    asks: true,
  });
});
