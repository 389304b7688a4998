import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { Violation } from "../../sim/checker.ts";
import { WORKLOAD_KINDS } from "../../sim/options.ts";
import { reportPage } from "../../sim/report.ts";
import { histogram } from "../../sim/report-charts.ts";
import { cutLanes, distinctTables, placesOf, tableLanes } from "../../sim/report-lanes.ts";
import { escaped, LEFT, niceStep, RIGHT, TimeScale, tag, WIDTH } from "../../sim/report-svg.ts";
import { type CheckedReport, RULES } from "../../sim/rules.ts";
import { simulate } from "../../sim/simulation.ts";
import type { Runs } from "../../sim/summary.ts";
import type { Course, Sample } from "../../sim/timeline.ts";

const sample = (...fingerprints: (string | null)[]): Sample => ({
  ...{ atMs: 0, fingerprints, frames: 0, bytes: 0 },
});

const course: Course = {
  peers: ["a", "b"],
  samples: [
    { ...sample("x", "y"), atMs: 400 },
    { ...sample("x", "x"), atMs: 1000 },
  ],
  conditions: [
    { peer: "a", condition: "down", fromMs: 0, toMs: 500 },
    { peer: "a", condition: "ready", fromMs: 500, toMs: 1000 },
  ],
  cuts: [{ from: "a", to: "b", fromMs: 250, toMs: 500 }],
  strikes: [],
  history: [],
};

const scaleOf = (violations: readonly Violation[] = []) =>
  new TimeScale({ endedAtMs: 1000, healedAtMs: 600, agreedAtMs: 700, violations });

/** Real runs, since a page of made-up ones proves little. */
let passed: CheckedReport;
let failed: CheckedReport;

beforeAll(() => {
  const faults = ["loss", "partition", "crash", "hostile"] as const;
  const request = { seed: 4, peers: 4, durationMs: 15_000, faults, faultEveryMs: 3000 };
  const rest = { isCoreHealed: false, workload: WORKLOAD_KINDS };
  passed = { ...simulate({ ...request, ...rest }), isRepeated: true };
  const violations = [
    { rule: "I6", atMs: 9000, detail: 'peer-1 lacks <script>alert(1)</script> & "more"' },
    { rule: "I6", atMs: 9000, detail: "peer-2 lacks it, too" },
    { rule: "X1", atMs: 12_000, detail: "a rule that the page has not heard of" },
  ];
  failed = { ...passed, passed: false, violations };
});

/** What is wrong with the tags of a document: it is read as strictly as XML. */
function unbalanced(page: string): string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  const body = page.replace(/<!doctype html>|<meta [^>]*>|<style>[^<]*<\/style>/g, "");
  for (const [whole, end, name] of body.matchAll(
    /<(\/?)([a-zA-Z0-9]+)(?: [a-zA-Z0-9-]+="[^"<]*")*>|</g,
  )) {
    if (name === undefined) wrong.push(whole);
    else if (end === "") open.push(name);
    else if (open.pop() !== name) wrong.push(name);
  }
  return [...wrong, ...open];
}

test("a page is one document that asks for nothing else", () => {
  for (const report of [passed, failed]) {
    const page = reportPage({ report });
    expect(unbalanced(page)).toEqual([]);
    expect(page).not.toMatch(/<script|<link|<img|\ssrc=|\shref=|@import|https?:/);
    expect(page).toContain("@media (prefers-color-scheme: dark)");
    expect(page).toMatch(/^<!doctype html>\n/);
  }
});

test("a page says what was run, how it went, and how to run it again", () => {
  const page = reportPage({ report: passed });
  expect(page).toContain("<title>Seed 4 passed</title>");
  expect(page).toContain("npm run sim --");
  for (const flag of ["--seed 4", "--peers 4", "--duration 15s", "--fault-every 3s"]) {
    expect(page).toContain(`<span>${flag}</span>`);
  }
  expect(page).toContain(passed.digest);
  expect(page).not.toContain("What broke");
});

test("text is never markup", () => {
  const page = reportPage({ report: failed });
  expect(page).toContain(
    "peer-1 lacks &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;",
  );
  expect(escaped(`<a b='c' d="e">&`)).toBe("&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;");
  expect(tag("a", { b: '"<' }, "c")).toBe('<a b="&quot;&lt;">c</a>');
});

test("every rule is on the page with what came of it", () => {
  const page = reportPage({ report: failed });
  for (const [id, { meaning }] of Object.entries(RULES)) {
    expect(page).toContain(`<td class="id">${id}</td><td>${escaped(meaning)}</td>`);
  }
  expect(page).toContain("✕ broken 2×");
  expect(page).toContain('<td class="id">X1</td><td></td><td class="state bad">✕ broken 1×</td>');
  expect(page).toContain("– no stranger came");
  expect(page).toContain("✓ held");
});

test("a rule that a run did not look at is not said to have held", () => {
  const alone = { ...passed, core: ["peer-0"] };
  const unchecked = (report: CheckedReport) =>
    Object.keys(RULES).filter((id) => RULES[id]?.unchecked(report) !== undefined);
  expect(unchecked(passed).join(" ")).toBe(
    "I14 I16 F7 A7 A9 H2 H3 H4 H7 I11 V2 V3 V6 V8 V10 V13 L3",
  );
  expect(unchecked(alone).join(" ")).toBe(
    "I6 I12 I14 I16 I17 F7 A7 A9 H2 H3 H4 H7 I11 R6 B2 B7 D1 D2 D4 V2 V3 V6 V8 V10 V13 P2 G7 L1 L5 U1 U2",
  );
  expect(unchecked({ ...passed, convergenceMs: null, isRepeated: false }).join(" ")).toBe(
    "I6 I12 I14 I16 I17 F7 A7 A9 H2 H3 H4 H7 I11 R6 B2 B7 D1 D2 D4 V2 V3 V6 V8 V10 V13 P2 G7 L3 L5 U1 U2 digest",
  );
  expect(unchecked({ ...passed, core: [], faults: {} }).join(" ")).toBe(
    "I6 I12 I14 I15 I16 I17 F7 A7 A9 H2 H3 H4 H7 I11 R6 B2 B7 D1 D2 D4 V2 V3 V6 V8 V10 V13 P2 G7 S8 L1 L3 L5 U1 U2",
  );
});

test("every rule that can be reported is in the table of rules, and those of SPEC.md mean the same there", () => {
  const files = readdirSync("sim", { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  const sources = files.map((path) => readFileSync(join("sim", path), "utf8")).join("\n");
  const names =
    /report\("(\w+)"|rule: "(\w+)"|\? "(L1)" : "(L3)"|#wrong\("(\w+)"|return \["([A-Z]\d+)"/g;
  const reported = [...sources.matchAll(names)]
    .flatMap(([, ...ids]) => ids)
    .filter((id) => id !== undefined);
  expect([...new Set(reported)].sort()).toEqual(Object.keys(RULES).sort());
  const stated = readFileSync("src/SPEC.md", "utf8");
  const ours = ["crash", "digest"];
  for (const id of Object.keys(RULES).filter((rule) => !ours.includes(rule))) {
    expect(stated).toContain(`- **${id}** `);
  }
});

test("time runs from the left margin to the right one", () => {
  const scale = scaleOf();
  expect(scale.x(0)).toBe(LEFT);
  expect(scale.x(1000)).toBe(WIDTH - RIGHT);
  expect(scale.axis(0, 10)).toContain(">0 s</text>");
});

test("a cut is a stripe in its sender's lane, a condition fills the lane", () => {
  const lanes = cutLanes(course, scaleOf());
  expect(lanes).toContain("Nothing that a sends reaches b, 0.250 s to 0.5 s");
  expect(lanes).not.toContain("Nothing that b sends");
  expect(lanes).toContain('class="down"><title>a down, 0.0 s to 0.5 s');
  expect(lanes.match(/class="cross"/g)).toBeNull();
});

test("a violation is marked at its time, and crosses the lanes of the peers that it names", () => {
  const scale = scaleOf([{ rule: "I1", atMs: 500, detail: "k at b: 3 after 4" }]);
  const lanes = cutLanes(course, scale);
  expect(lanes).toContain('class="broken-name" text-anchor="middle">I1</text>');
  expect(lanes.match(/class="cross"/g)).toHaveLength(1);
  expect(lanes).toContain("<title>I1: k at b: 3 after 4</title>");
});

test("violations of one moment share a line, and names do not lie on each other", () => {
  const at = (rule: string, atMs: number): Violation => ({ rule, atMs, detail: "" });
  const scale = scaleOf([at("I6", 500), at("I1", 500), at("I1", 501), at("I6", 900)]);
  const marks = scale.marks(0, 10);
  expect(marks.match(/class="broken"/g)).toHaveLength(3);
  expect([...marks.matchAll(/middle">([^<]+)</g)].map(([, name]) => name)).toEqual(["I6 I1", "I6"]);
});

test("of the tables at one moment the most common is the first", () => {
  expect(placesOf(sample("x", "y", "y", null, "z"))).toEqual([1, 0, 0, null, 2]);
  expect(placesOf(sample("y", "x"))).toEqual([0, 1]);
  expect(distinctTables(sample("x", "y", "y", null, "z"))).toBe(3);
  expect(distinctTables(sample(null))).toBe(0);
});

test("peers with equal tables have equal colours", () => {
  const lanes = tableLanes(course, scaleOf());
  expect(lanes.match(/class="table-0"/g)).toHaveLength(2);
  expect(lanes.match(/class="table-1"/g)).toHaveLength(1);
});

test("the histogram counts every run once and shows which one the page is of", () => {
  const results = [0, 0, 50, 100, 900, 59_999, 60_100, null].map((convergenceMs, seed) => ({
    ...{ seed, convergenceMs, violations: [] },
  }));
  const bars = histogram(results, 4);
  const counts = [...bars.matchAll(/<title>(\d+) runs, ([^<]+)</g)].map(([, count, at]) => [
    at,
    Number(count),
  ]);
  expect(counts.filter(([, count]) => count !== 0)).toEqual([
    ...[
      ["at once s", 2],
      ["≤ 0.1 s", 2],
      ["≤ 1 s", 1],
      ["≤ 60 s", 1],
      ["never", 2],
    ],
  ]);
  expect(bars.match(/bar shown/g)).toHaveLength(1);
});

test("a page of many runs begins with all of them", () => {
  const results = [4, 5, 6].map((seed) => ({ seed, convergenceMs: 100 * seed, violations: [] }));
  const runs: Runs = {
    ...{ results, asked: 10, repeated: 1, faults: {}, sometimes: {}, virtualMs: 1, digest: "" },
  };
  const page = reportPage({ report: failed, runs, smallest: { report: failed, tries: 12 } });
  expect(unbalanced(page)).toEqual([]);
  expect(page).toContain("10 seeds");
  expect(page).toContain("Stopped after 3.");
  expect(page).toContain("Of 12 smaller runs");
  expect(page.indexOf("Runs by the time")).toBeLessThan(page.indexOf("Seed 4, which is the first"));
});

test("a run of one peer without faults is drawn, too", () => {
  const options = { seed: 1, peers: 1, shards: 3, durationMs: 3000, faults: "none" } as const;
  const page = reportPage({ report: { ...simulate(options), isRepeated: false } });
  expect(unbalanced(page)).toEqual([]);
  expect(page).not.toMatch(/NaN|Infinity|undefined/);
});

test("of very many peers the first ones are drawn, and the page says so", () => {
  const peers = Array.from({ length: 40 }, (_, index) => `peer-${index}`);
  const many: Course = { ...course, peers, samples: [sample(...peers)] };
  const page = reportPage({ report: { ...passed, course: many } });
  expect(unbalanced(page)).toEqual([]);
  expect(page).toContain("8 more peers not shown");
  expect(page).toContain("Colours come again");
});

test("axes have round steps", () => {
  expect([0.013, 0.9, 1, 1.1, 3, 6, 60, 7000].map(niceStep)).toEqual([
    ...[0.02, 1, 1, 2, 5, 10, 100, 10_000],
  ]);
});
