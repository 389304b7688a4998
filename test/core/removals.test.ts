import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Removals, stableAfterMs } from "../../src/core/removals.ts";
import { detectionTimes } from "../../src/core/suspicion.ts";
import { TIMINGS, type TimingsPreset } from "../../src/core/timings.ts";
import { member } from "./members.ts";

const T = TIMINGS.lan;
const alive = (name: string) => member(name);
const dead = (name: string, time = 1) =>
  member(name, { status: "dead", stamp: { time, writer: `${name}1` } });
const names = (due: ReturnType<Removals["due"]>) => due.map(({ member: { name } }) => name);

test("[F9] a dead member is removed once the verdict has stood for long enough", () => {
  const removals = new Removals(T);
  const members = [alive("a"), alive("b"), dead("c")];
  expect(names(removals.due(members, 100))).toEqual([]);
  expect(names(removals.due(members, 100 + T.stableAfterMs - 1))).toEqual([]);
  expect(removals.due(members, 100 + T.stableAfterMs)).toEqual([
    { member: members[2], deadMs: T.stableAfterMs },
  ]);
});

test("[F9] what happens to others does not restart the wait, a new row of its own does", () => {
  const removals = new Removals(T);
  removals.due([alive("a"), dead("c")], 0);
  removals.due([alive("a"), dead("b", 7), dead("c")], 4000);
  expect(names(removals.due([alive("a"), alive("b"), dead("c")], 5000))).toEqual(["c"]);
  expect(names(removals.due([alive("a"), alive("b"), dead("c", 2)], 5001))).toEqual([]);
  expect(names(removals.due([alive("a"), alive("b"), dead("c", 2)], 10_001))).toEqual(["c"]);
});

test("[F9] who spoke up meanwhile is waited for anew", () => {
  const removals = new Removals(T);
  removals.due([alive("a"), dead("c")], 0);
  removals.due([alive("a"), alive("c")], 3000);
  expect(names(removals.due([alive("a"), dead("c")], 6000))).toEqual([]);
});

test("[F9] the dead that left or were removed are not removed again", () => {
  const removals = new Removals(T);
  const gone = [member("b", { status: "left" }), { ...dead("c"), removed: true }];
  removals.due([alive("a"), ...gone], 0);
  expect(removals.due([alive("a"), ...gone], 1e6)).toEqual([]);
});

test("[F2] a peer that was late waits as much longer", () => {
  const removals = new Removals(T);
  removals.due([alive("a"), dead("c")], 0);
  removals.forgive(3000, 5000);
  expect(names(removals.due([alive("a"), dead("c")], 5000))).toEqual([]);
  expect(names(removals.due([alive("a"), dead("c")], 8000))).toEqual(["c"]);
});

test("[F9] the wait is never shorter than it takes to call somebody dead, and grows with the members", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...(Object.keys(TIMINGS) as TimingsPreset[])),
      fc.integer({ min: 0, max: 5000 }),
      fc.integer({ min: 1, max: 60_000 }),
      (preset, count, baseMs) => {
        const timings = { ...TIMINGS[preset], stableAfterMs: baseMs };
        const waitMs = stableAfterMs(count, timings);
        const { deadAloneMs } = detectionTimes(timings, count);
        expect(waitMs).toBeGreaterThanOrEqual(Math.round(deadAloneMs));
        expect(stableAfterMs(count + 1, timings)).toBeGreaterThanOrEqual(waitMs);
      },
    ),
  );
});

test("[F9] the table in SPEC.md is what the code computes", () => {
  const spec = readFileSync(new URL("../../src/SPEC.md", import.meta.url), "utf8");
  const [, head = "", body = ""] =
    /\| members \|([^\n]*)\n[^\n]*\n((?:[ ]*\|[^\n]*\n)+)/.exec(spec) ?? [];
  const cells = (line: string) =>
    line
      .split("|")
      .map((cell) => cell.trim())
      .filter((cell) => cell !== "");
  const counts = cells(head).map(Number);
  expect(counts).toEqual([3, 12, 100, 1000]);
  const rows = body.trim().split("\n").map(cells);
  expect(rows.map(([preset]) => preset?.replaceAll("`", ""))).toEqual(Object.keys(TIMINGS));
  for (const [preset = "", ...seconds] of rows) {
    const timings = TIMINGS[preset.replaceAll("`", "") as TimingsPreset];
    const computed = counts.map(
      (count) => `${(stableAfterMs(count, timings) / 1000).toFixed(1)} s`,
    );
    expect(seconds).toEqual(computed);
  }
});
