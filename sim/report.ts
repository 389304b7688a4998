/**
 * A run as a page: what was done to it, what it did, and whether all held, as pictures.
 *
 * One file that needs nothing else: style and pictures are in it, and no script. All pictures of time
 * share one scale, so that a cut, what it did to the tables and what it cost lie above each other.
 */
import type { Violation } from "./checker.ts";
import { FAULTS, type FaultKind, isStanding } from "./options.ts";
import { faultRows, histogram, traffic } from "./report-charts.ts";
import {
  COLOURS,
  CONDITION_NAMES,
  cutLanes,
  LANES_MAX,
  TABLE_COLOURS,
  tableLanes,
} from "./report-lanes.ts";
import {
  badge,
  cell,
  count,
  figure,
  heading,
  legend,
  PATTERNS,
  plural,
  section,
  swatch,
  tile,
} from "./report-parts.ts";
import { STYLE } from "./report-style.ts";
import { escaped, TimeScale, tag } from "./report-svg.ts";
import { type CheckedReport, RULES } from "./rules.ts";
import * as summary from "./summary.ts";
import type { HistoryLine, PeerCondition } from "./timeline.ts";

/** What a page is about. */
export interface Shown {
  readonly report: CheckedReport;
  /** All runs, when the report is of one of many. */
  readonly runs?: summary.Runs | undefined;
  readonly smallest?: summary.Smallest | undefined;
}

/** How many of the last lines are shown without a click. */
const LAST_LINES = 40;

/** A whole HTML document. */
export function reportPage(shown: Shown): string {
  const { report, runs, smallest } = shown;
  const { healedAtMs, convergenceMs, violations, endedAtMs } = report;
  const agreedAtMs =
    healedAtMs === null || convergenceMs === null ? null : healedAtMs + convergenceMs;
  const scale = new TimeScale({ endedAtMs, healedAtMs, agreedAtMs, violations });
  const body = [
    ...(runs === undefined ? [] : [manyRuns(runs, report)]),
    head(report, runs !== undefined),
    ...(violations.length === 0 ? [] : [brokenRules(violations)]),
    ...(smallest === undefined ? [] : [smallestRun(smallest)]),
    faults(report, scale),
    cuts(report, scale),
    tables(report, scale),
    sent(report, scale),
    rules(report),
    sometimes(report),
    history(report),
    tag("footer", {}, "Made by hearsay's simulator. The seed and the options above are all of it."),
  ];
  const title = `Seed ${report.seed} ${report.passed ? "passed" : "failed"}`;
  return [
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    tag("title", {}, escaped(title)),
    tag("style", {}, STYLE),
    "</head>\n<body>",
    PATTERNS,
    tag("main", {}, ...body),
    "</body>\n</html>\n",
  ].join("\n");
}

function manyRuns(runs: summary.Runs, report: CheckedReport): string {
  const { results } = runs;
  const failed = results.filter(({ violations }) => violations.length > 0).length;
  const { median, p95, slowest } = summary.convergence(results);
  const why = report.passed ? "took longest to agree" : "is the first that failed";
  const lead =
    `Half of the runs agreed within ${summary.seconds(median)} after healing, 95 % within ` +
    `${summary.seconds(p95)}, the slowest within ${summary.seconds(slowest?.convergenceMs ?? 0)}.`;
  const stopped = results.length < runs.asked ? ` Stopped after ${results.length}.` : "";
  const repeated = ` ${plural(runs.repeated, "seed")} ran twice, to see the same run again.`;
  return [
    tag("p", { class: "over" }, "hearsay simulator"),
    tag("h1", {}, `${plural(runs.asked, "seed")} `, badge(failed === 0, `${failed} failed`)),
    tag("p", { class: "lead" }, escaped(lead + stopped + repeated)),
    figure(histogram(results, report.seed)),
    legend([
      [swatch({ class: "bar" }), "runs"],
      [swatch({ class: "bar shown" }), `among them seed ${report.seed}, which ${why}`],
      [swatch({ class: "bar never" }), "runs that did not agree"],
    ]),
    tag("h2", {}, `Seed ${escaped(report.seed)}, which ${why}`),
  ].join("");
}

function head(report: CheckedReport, isOneOfMany: boolean): string {
  const { options, core, convergenceMs } = report;
  const isWhole = core.length === options.peers;
  const who = isWhole ? "all were" : `${core.join(", ")} alone ${core.length > 1 ? "were" : "was"}`;
  const agreed =
    convergenceMs === null
      ? "they never agreed"
      : convergenceMs === 0
        ? "agreed at that moment"
        : `agreed ${summary.seconds(convergenceMs)} later`;
  const end =
    core.length === 0
      ? "The run was ended before anything was healed."
      : `Then ${who} healed, and ${agreed}.`;
  const lead =
    `${plural(options.peers, "peer")} with ${plural(options.shards, "shard")}, and trouble for ` +
    `${summary.seconds(options.durationMs)}. ${end}`;
  const tiles: [string, string][] = [
    [convergenceMs === null ? "never" : summary.seconds(convergenceMs), "to agree, from healing"],
    [count(report.operations), "operations"],
    [count(struckOf(report)), "faults struck"],
    [count(report.messages), "frames sent"],
    [count(report.bytes), "bytes sent"],
    [count(report.events), "events"],
  ];
  return [
    ...(isOneOfMany
      ? []
      : [
          tag("p", { class: "over" }, "hearsay simulator"),
          tag("h1", {}, `Seed ${escaped(report.seed)} `, badge(report.passed, "failed")),
        ]),
    tag("p", { class: "lead" }, escaped(lead)),
    command(report),
    tag("div", { class: "tiles" }, ...tiles.map(([value, name]) => tile(value, name))),
    drawn(report),
  ].join("");
}

/** A command breaks between its options and nowhere else. */
function command(report: CheckedReport): string {
  const [first = "", ...options] = summary.repeatCommand(report).split(/ (?=--\w)/);
  const whole = [first, ...options].map((part) => tag("span", {}, escaped(part)));
  return tag("pre", {}, whole.join(" "));
}

function drawn(report: CheckedReport): string {
  const { options } = report;
  const rows: [string, string][] = [
    ["faults of a kind every", summary.seconds(Math.round(options.faultEveryMs))],
    ["a call every", `${options.operationEveryMs} ms`],
    ["users", options.workload.join(", ") || "none"],
    ["disk", options.diskMs === 0 ? "none" : `${options.diskMs} ms`],
    ["downing", options.downing],
    ["an era", summary.seconds(options.eraMs)],
    ["full mesh up to", `${options.meshMax} peers`],
    ["started within", summary.seconds(options.startSpreadMs)],
    ["healed", options.isCoreHealed ? "some peers" : "all peers"],
    ["hosts", options.hosts ? "yes" : "none"],
    ["digest", `${report.digest}${report.isRepeated ? ", twice" : ""}`],
  ];
  const network = tag(
    "div",
    { class: "wide" },
    tag("dt", {}, "network"),
    tag("dd", {}, escaped(summary.standingText(report).join(", "))),
  );
  return tag(
    "dl",
    {},
    ...rows.map(([name, value]) =>
      tag("div", {}, tag("dt", {}, escaped(name)), tag("dd", {}, escaped(value))),
    ),
    network,
  );
}

function brokenRules(violations: readonly Violation[]): string {
  const rows = violations.map(({ rule, atMs, detail }) =>
    tag("tr", {}, cell(rule, "id bad"), cell(summary.moment(atMs), "number"), cell(detail)),
  );
  const names = ["rule", "at", "what was seen"];
  const header = tag("tr", {}, ...names.map((name, at) => heading(name, at === 1)));
  return section(
    "What broke",
    "The first few say what is wrong.",
    tag("table", {}, header, ...rows),
  );
}

function smallestRun({ report, tries }: summary.Smallest): string {
  const rule = report.violations[0]?.rule ?? "";
  return section(
    "The smallest run that breaks it",
    `Of ${tries} smaller runs, this is the least that still breaks ${rule}.`,
    command(report),
    tag(
      "details",
      {},
      tag("summary", {}, "Its last events"),
      tag("table", { class: "lines" }, ...report.course.history.slice(-LAST_LINES).map(lineRow)),
    ),
  );
}

function faults(report: CheckedReport, scale: TimeScale): string {
  const kinds = Object.keys(report.faults) as FaultKind[];
  if (kinds.length === 0) return section("Faults", "None struck.");
  const rows = kinds.map((kind) =>
    tag(
      "tr",
      {},
      cell(kind, "id"),
      cell(isStanding(kind) ? "all along" : `${report.faults[kind]}`, "number"),
      cell(FAULTS[kind]),
    ),
  );
  const header = tag("tr", {}, heading("fault"), heading("times", true), heading("what it does"));
  const list = tag(
    "details",
    {},
    tag("summary", {}, "What each of them does"),
    tag("table", {}, header, ...rows),
  );
  return section(
    "Faults that struck",
    "A dot is a strike; most faults pass again within twelve seconds. A bar is there all along.",
    figure(faultRows(report.course, report.faults, scale)),
    list,
  );
}

function cuts(report: CheckedReport, scale: TimeScale): string {
  const { peers } = report.course;
  const hidden = peers.length - LANES_MAX;
  const conditions = Object.keys(CONDITION_NAMES) as PeerCondition[];
  const more = hidden > 0 ? ` ${plural(hidden, "more peer")} not shown.` : "";
  const again = peers.length > COLOURS ? " Colours come again after seven peers." : "";
  return section(
    "Who was cut from whom",
    "A lane is a peer. A stripe in it says that nothing it sends reaches the peer of that colour; a " +
      `cross, that a violation names it.${again}${more}`,
    figure(cutLanes(report.course, scale)),
    legend([
      ...conditions.map((kind): [string, string] => [
        swatch({ class: kind }),
        CONDITION_NAMES[kind],
      ]),
      ...peers
        .slice(0, COLOURS)
        .map((peer, index): [string, string] => [
          swatch({ class: `peer-${index}` }, 4),
          `cut from ${peer}`,
        ]),
    ]),
  );
}

function tables(report: CheckedReport, scale: TimeScale): string {
  const names = ["the table that most have", "the second", "the third", "any other"];
  return section(
    "How tables converged",
    "Peers of one colour have equal tables at that moment, by their fingerprints. Below: how many " +
      "different tables there were.",
    figure(tableLanes(report.course, scale)),
    legend([
      ...names
        .slice(0, TABLE_COLOURS)
        .map((name, index): [string, string] => [swatch({ class: `table-${index}` }), name]),
      [swatch({ class: "none" }), "no table: the peer is down"],
    ]),
  );
}

function sent(report: CheckedReport, scale: TimeScale): string {
  return section(
    "What was sent",
    "By all peers together, handshakes and heartbeats included.",
    figure(traffic(report.course.samples, scale)),
  );
}

function rules(report: CheckedReport): string {
  const broken = new Map<string, number>();
  for (const { rule } of report.violations) broken.set(rule, (broken.get(rule) ?? 0) + 1);
  const unknown = [...broken.keys()].filter((id) => RULES[id] === undefined);
  const rows = [...Object.keys(RULES), ...unknown].map((id) => {
    const times = broken.get(id);
    const why = RULES[id]?.unchecked(report);
    const state =
      times !== undefined
        ? cell(`✕ broken ${times}×`, "state bad")
        : why === undefined
          ? cell("✓ held", "state ok")
          : cell(`– ${why}`, "state idle");
    return tag("tr", {}, cell(id, "id"), cell(RULES[id]?.meaning ?? ""), state);
  });
  const header = tag("tr", {}, heading("rule"), heading("what must hold"), heading("in this run"));
  return section("What must hold", "", tag("table", {}, header, ...rows));
}

function sometimes(report: CheckedReport): string {
  const rows = Object.entries(report.sometimes)
    .sort((a, b) => b[1] - a[1])
    .map(([what, times]) => tag("tr", {}, cell(what), cell(count(times), "number")));
  if (rows.length === 0) return "";
  const header = tag("tr", {}, heading("what"), heading("times", true));
  return section(
    "What was reached",
    "How often rare things happened. A run that never comes to them proves little.",
    tag("table", { class: "small" }, header, ...rows),
  );
}

function history(report: CheckedReport): string {
  const { history: lines, peers } = report.course;
  const each = peers.slice(0, LANES_MAX).map((peer) => {
    const own = lines.filter((line) => line.peer === peer);
    const size = tag("span", {}, ` ${plural(own.length, "line")}`);
    const table = tag("table", { class: "lines" }, ...own.map(lineRow));
    return tag("details", {}, tag("summary", {}, escaped(peer), size), table);
  });
  return section(
    "What happened last",
    "",
    tag("table", { class: "lines" }, ...lines.slice(-LAST_LINES).map(lineRow)),
    tag("h3", {}, "By peer"),
    ...each,
  );
}

function lineRow({ atMs, peer, text }: HistoryLine): string {
  return tag("tr", {}, cell(summary.moment(atMs)), cell(peer, "who"), cell(text));
}

function struckOf({ faults: counts }: CheckedReport): number {
  return Object.entries(counts)
    .filter(([kind]) => !isStanding(kind as FaultKind))
    .reduce((sum, [, times]) => sum + times, 0);
}
