import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MONITORS, successorsOf } from "../../src/core/monitors.ts";
import { detectionTimes, suspicionMs } from "../../src/core/suspicion.ts";
import { TIMINGS, type Timings } from "../../src/core/timings.ts";

const T = TIMINGS.lan;
const PRESETS: [string, Timings][] = Object.entries(TIMINGS);
const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,4}$/), { maxLength: 40 });

const monitorsOf = (name: string, members: readonly string[]): string[] =>
  successorsOf(name, members).slice(0, MONITORS);

test("[F2] every member has three monitors and monitors three, or as many as there are others", () => {
  fc.assert(
    fc.property(names, (members) => {
      const count = Math.min(MONITORS, members.length - 1);
      const monitored = members.flatMap((name) => monitorsOf(name, members));
      for (const name of members) {
        const monitors = monitorsOf(name, members);
        expect(monitors).not.toContain(name);
        expect(new Set(monitors).size).toBe(count);
        expect(monitored.filter((other) => other === name).length).toBe(count);
      }
    }),
  );
});

test("[F2] monitors follow from the names alone, in whatever order they come", () => {
  fc.assert(
    fc.property(names, (members) => {
      const [self = "a"] = members;
      expect(successorsOf(self, [...members].reverse())).toEqual(successorsOf(self, members));
      expect([...successorsOf(self, members), self].sort()).toEqual(
        [...new Set([...members, self])].sort(),
      );
    }),
  );
});

test("[F2] a member that is gone changes the monitors of three others", () => {
  const members = Array.from({ length: 100 }, (_, index) => `peer-${index}`);
  const fewer = members.filter((name) => name !== "peer-50");
  const changed = fewer.filter(
    (name) => monitorsOf(name, members).join() !== monitorsOf(name, fewer).join(),
  );
  const wards = fewer.filter((name) => monitorsOf(name, members).includes("peer-50"));
  expect(changed).toEqual(wards);
  expect(changed.length).toBe(MONITORS);
});

test("[F4] a suspicion lasts at most 4 log10(n + 1) intervals, and no confirmation makes it longer", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 2000 }), fc.nat(10), (members, confirmations) => {
      const longestMs = 4 * Math.log10(members + 1) * T.probeIntervalMs;
      const lastingMs = suspicionMs(T, members, confirmations);
      expect(suspicionMs(T, members, 0)).toBeCloseTo(longestMs, 9);
      expect(lastingMs).toBeLessThanOrEqual(longestMs + 1e-9);
      expect(lastingMs).toBeGreaterThanOrEqual(longestMs / 3 - 1e-9);
      expect(suspicionMs(T, members, confirmations + 1)).toBeLessThanOrEqual(lastingMs);
    }),
  );
});

test("[F4] as many confirmations as can be expected make a suspicion a third as long", () => {
  const lasting = (members: number) =>
    [0, 1, 2, 3].map((confirmations) => Math.round(suspicionMs(T, members, confirmations)));
  expect(lasting(12)).toEqual([1114, 645, 371, 371]);
  expect(lasting(3)).toEqual([602, 201, 201, 201]);
  expect(lasting(2)).toEqual([477, 477, 477, 477]);
});

test("[F4] the documented times of the presets are those that follow from the formulas", () => {
  const table = PRESETS.flatMap(([preset, timings]) =>
    [3, 12, 100, 1000].map((members) => {
      const { suspectMs, deadMs, deadAloneMs } = detectionTimes(timings, members);
      const cells = [suspectMs, deadMs, deadAloneMs].map((ms) => `${(ms / 1000).toFixed(2)} s`);
      return `| \`${preset}\` | ${[members, ...cells].join(" | ")} |`;
    }),
  );
  const spec = readFileSync("src/SPEC.md", "utf8");
  const documented = spec.split("\n").filter((line) => /^\| `(local|lan|wan|fast)` \|/.test(line));
  expect(documented).toEqual(table);
});

test("[F9] no preset removes a member before the longest suspicion about it could be over", () => {
  for (const [, timings] of PRESETS) {
    const longestMs = timings.silenceMs + suspicionMs(timings, 12, 0);
    expect(timings.stableAfterMs).toBeGreaterThanOrEqual(longestMs);
    expect(timings.silenceMs).toBeGreaterThanOrEqual(3 * timings.heartbeatMs);
    expect(timings.keepAliveMs).toBeGreaterThanOrEqual(timings.heartbeatMs);
  }
});
