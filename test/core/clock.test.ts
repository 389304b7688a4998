import fc from "fast-check";
import { expect, test } from "vitest";
import {
  EPOCH_MS,
  HybridClock,
  packTimestamp,
  timestampCounter,
  timestampMs,
} from "../../src/core/clock.ts";

const NOW = Date.UTC(2026, 0, 1);
const MAX_DRIFT_MS = 5000;

/** A wall clock that stands still, runs and jumps, also back behind 2024. */
const wallMs = fc.oneof(
  fc.integer({ min: NOW, max: NOW + 3 }),
  fc.integer({ min: NOW - 10_000, max: NOW + 10_000 }),
  fc.constantFrom(0, -1, EPOCH_MS - 1, EPOCH_MS, NOW + 0.5, NOW + 3_600_000),
);
const remote = fc.oneof(
  fc.integer({ min: packTimestamp(NOW - 10_000), max: packTimestamp(NOW + 10_000) }),
  fc.constantFrom(0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2 ** 53 - 1),
);
type Turn = { readonly wallMs: number; readonly remote?: number };
const turns: fc.Arbitrary<Turn[]> = fc.array(
  fc.oneof(fc.record({ wallMs }), fc.record({ wallMs, remote })),
);

test("[C1] a timestamp is ms since 2024 times 4096 plus a counter", () => {
  expect(EPOCH_MS).toBe(Date.UTC(2024, 0, 1));
  expect(packTimestamp(EPOCH_MS)).toBe(0);
  expect(packTimestamp(EPOCH_MS + 3)).toBe(3 * 4096);
  expect(timestampMs(3 * 4096 + 17)).toBe(EPOCH_MS + 3);
  expect(timestampCounter(3 * 4096 + 17)).toBe(17);
});

test("[C1] ms and counter can be read back until 2093", () => {
  const ms = fc.integer({ min: EPOCH_MS, max: EPOCH_MS + 2 ** 41 - 1 });
  fc.assert(
    fc.property(ms, fc.nat(4095), (unixMs, counter) => {
      const timestamp = packTimestamp(unixMs) + counter;
      expect(Number.isSafeInteger(timestamp)).toBe(true);
      expect(timestampMs(timestamp)).toBe(unixMs);
      expect(timestampCounter(timestamp)).toBe(counter);
    }),
  );
  expect(new Date(EPOCH_MS + 2 ** 41).getUTCFullYear()).toBe(2093);
});

test("[C1] a moment before 2024 packs to 0, a fraction of a ms is cut off", () => {
  expect(packTimestamp(EPOCH_MS - 1)).toBe(0);
  expect(packTimestamp(-1e15)).toBe(0);
  expect(packTimestamp(NOW + 0.999)).toBe(packTimestamp(NOW));
  expect(() => packTimestamp(Number.NaN)).toThrow(RangeError);
});

test("[C2] next is the wall clock or one more than the last, whichever is higher", () => {
  fc.assert(
    fc.property(turns, (all) => {
      const clock = new HybridClock();
      let last = 0;
      for (const turn of all) {
        if (turn.remote !== undefined) {
          if (clock.observe(turn.remote, turn.wallMs)) last = Math.max(last, turn.remote);
        } else {
          last = Math.max(packTimestamp(turn.wallMs), last + 1);
          expect(clock.next(turn.wallMs)).toBe(last);
        }
        expect(clock.last).toBe(last);
      }
    }),
  );
});

test("[C2] 5000 events of one millisecond carry into the next", () => {
  const clock = new HybridClock();
  const issued = Array.from({ length: 5000 }, () => clock.next(NOW));
  expect(new Set(issued).size).toBe(5000);
  expect(issued.toSorted((a, b) => a - b)).toEqual(issued);
  expect(timestampMs(clock.last)).toBe(NOW + 1);
});

test("[C2] a clock that has run past 2093 stops rather than repeat itself", () => {
  const clock = new HybridClock({ last: Number.MAX_SAFE_INTEGER - 1 });
  expect(clock.next(NOW)).toBe(Number.MAX_SAFE_INTEGER);
  expect(() => clock.next(NOW)).toThrow(RangeError);
  expect(clock.last).toBe(Number.MAX_SAFE_INTEGER);
  expect(() => new HybridClock().next(EPOCH_MS + 2 ** 41)).toThrow(RangeError);
});

test("[C3] what is written next supersedes all that was seen, whatever the wall clock says", () => {
  fc.assert(
    fc.property(turns, wallMs, (all, finalWallMs) => {
      const clock = new HybridClock();
      let seen = 0;
      for (const turn of all) {
        if (turn.remote === undefined) seen = Math.max(seen, clock.next(turn.wallMs));
        else if (clock.observe(turn.remote, turn.wallMs)) seen = Math.max(seen, turn.remote);
      }
      expect(clock.next(finalWallMs)).toBeGreaterThan(seen);
    }),
  );
});

test("[C3] a write after a merge wins over a peer that started later with a faster clock", () => {
  const behind = new HybridClock();
  const ahead = new HybridClock();
  const theirs = ahead.next(NOW + 4000);
  expect(behind.observe(theirs, NOW)).toBe(true);
  expect(behind.next(NOW)).toBeGreaterThan(theirs);
});

test("[C4] a timestamp is refused exactly when it is over maxDriftMs ahead", () => {
  const drift = fc.integer({ min: -10_000, max: 10_000 });
  fc.assert(
    fc.property(drift, fc.nat(4095), fc.nat(9999), (driftMs, counter, maxDriftMs) => {
      const clock = new HybridClock({ maxDriftMs });
      const accepted = clock.observe(packTimestamp(NOW + driftMs) + counter, NOW);
      expect(accepted).toBe(driftMs <= maxDriftMs);
    }),
  );
});

test("[C4] the default lets through 5 s and no more", () => {
  const clock = new HybridClock();
  expect(clock.observe(packTimestamp(NOW + MAX_DRIFT_MS + 1), NOW)).toBe(false);
  expect(clock.observe(packTimestamp(NOW + MAX_DRIFT_MS), NOW)).toBe(true);
});

test("[C4] what is refused changes nothing", () => {
  const hostile = fc.oneof(
    fc.constantFrom(-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53),
    fc.constantFrom<unknown>("1", null, undefined, {}, 1n),
    fc.integer({ min: packTimestamp(NOW + MAX_DRIFT_MS + 1), max: Number.MAX_SAFE_INTEGER }),
  );
  fc.assert(
    fc.property(hostile, (refused) => {
      const clock = new HybridClock({ last: 7 });
      expect(clock.observe(refused as number, NOW)).toBe(false);
      expect(clock.observe(NOW, Number.NaN)).toBe(false);
      expect(clock.last).toBe(7);
    }),
  );
});

test("[C4] nothing is refused for being old", () => {
  const clock = new HybridClock({ last: packTimestamp(NOW) });
  expect(clock.observe(0, NOW)).toBe(true);
  expect(clock.observe(packTimestamp(NOW - 1e11), NOW)).toBe(true);
  expect(clock.last).toBe(packTimestamp(NOW));
});

test("[C4] a far-future timestamp pins no key: a healthy clock issues none near it", () => {
  const clock = new HybridClock();
  clock.observe(packTimestamp(NOW + 3_600_000), NOW);
  expect(timestampMs(clock.next(NOW))).toBe(NOW);
});

test("[C6] a restart with the durable bound issues nothing that was issued before", () => {
  fc.assert(
    fc.property(turns, wallMs, (all, restartWallMs) => {
      const clock = new HybridClock();
      let bound = 0;
      let highest = 0;
      for (const turn of all) {
        if (turn.remote !== undefined) clock.observe(turn.remote, turn.wallMs);
        // As a store is used: the bound is raised first, and only when it has been reached.
        if (bound <= clock.last + 1 || bound <= packTimestamp(turn.wallMs)) {
          bound = clock.boundAhead(turn.wallMs);
        }
        highest = Math.max(highest, clock.next(turn.wallMs));
        expect(highest).toBeLessThanOrEqual(bound);
      }
      const restarted = new HybridClock({ last: bound });
      expect(restarted.next(restartWallMs)).toBeGreaterThan(highest);
    }),
  );
});

test("[C6] the bound is 500 ms above the wall clock and 1 ms above the clock", () => {
  expect(new HybridClock().boundAhead(NOW)).toBe(packTimestamp(NOW + 500));
  const last = packTimestamp(NOW + 9000) + 5;
  expect(new HybridClock({ last }).boundAhead(NOW)).toBe(last + 4096);
});

test("[C4] a clock refuses a drift that is no bound, and a start that is no timestamp", () => {
  for (const maxDriftMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => new HybridClock({ maxDriftMs })).toThrow(RangeError);
  }
  for (const last of [-1, 0.5, 2 ** 53, Number.NaN]) {
    expect(() => new HybridClock({ last })).toThrow(RangeError);
  }
});
