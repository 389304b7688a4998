/**
 * What a run, or many, came to: as text for people, and as JSON.
 */
import { writeCommand, writeRequest } from "./arguments.ts";
import type { Violation } from "./checker.ts";
import { CALM, isStanding, type RunOptions, type RunRequest, requestFor } from "./options.ts";
import type { CheckedReport } from "./rules.ts";
import type { HistoryLine } from "./timeline.ts";

/** How many of a peer's last lines are printed. */
const LAST_LINES = 15;
const BAR_WIDTH = 30;

/** What is kept of one seed of many. */
export interface SeedResult {
  readonly seed: number;
  readonly convergenceMs: number | null;
  readonly violations: readonly Violation[];
}

/** Many runs, each of the next seed. */
export interface Runs {
  readonly results: readonly SeedResult[];
  /** How many were asked for: more than there are when somebody stopped them. */
  readonly asked: number;
  readonly repeated: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly sometimes: Readonly<Record<string, number>>;
  /** Depends on the digest of each. */
  readonly digest: string;
  /** Virtual ms that passed in all of them. */
  readonly virtualMs: number;
}

/** The smallest run that was found to break the same rule. */
export interface Smallest {
  readonly report: CheckedReport;
  readonly tries: number;
}

/** The first line: the seed and everything that was drawn from it. */
export function optionsLine(options: RunOptions): string {
  return `seed ${options.seed}: ${writeRequest(options).slice(2).join(" ")}`;
}

/** What was asked of all of many runs, to stand behind their seeds; empty for nothing. */
export function givenText(request: RunRequest): string {
  const text = writeRequest(request).slice(2).join(" ");
  return text === "" ? "" : `: ${text}`;
}

/** The exact command that repeats a run. */
export function repeatCommand({ options, violations }: CheckedReport): string {
  const isUnequal = violations.some(({ rule }) => rule === "digest");
  return writeCommand(requestFor(options), isUnequal ? ["--twice"] : []);
}

/** What came of a run, line by line. */
export function summaryLines(report: CheckedReport): string[] {
  const { convergenceMs, core, options } = report;
  const who = core.length < options.peers ? `${core.join(", ")} alone` : `all ${core.length} peers`;
  const agreed = convergenceMs === null ? "never" : `${seconds(convergenceMs)} after healing`;
  const amounts = [
    [report.operations, "operations"],
    [report.events, "events"],
    [report.messages, "frames"],
    [report.bytes, "bytes"],
  ];
  return [
    verdictLine(report.violations),
    ...report.violations.map(violationLine),
    row("agreed", core.length === 0 ? "not asked" : `${agreed} (${who})`),
    row(
      "did",
      `${amounts.map((pair) => pair.join(" ")).join(", ")} in ${seconds(report.endedAtMs)}`,
    ),
    ...countRows(report),
    row("digest", `${report.digest}${report.isRepeated ? ", twice" : ""}`),
  ];
}

/** What came of many runs, so many at a time. */
export function runsLines(runs: Runs, wallMs: number, jobs: number): string[] {
  const { results, repeated, asked, virtualMs } = runs;
  const failed = results.filter(({ violations }) => violations.length > 0);
  const rate = (1000 * results.length) / wallMs;
  const times = `${Math.round(virtualMs / wallMs)} times real time`;
  const speed = `${rate.toFixed(1)} seeds/s, ${times}, ${jobs} ${jobs === 1 ? "job" : "jobs"}`;
  const { median, p95, slowest } = convergence(results);
  return [
    ...(results.length < asked ? [`Stopped after ${results.length} of ${asked} seeds`] : []),
    `${results.length - failed.length} of ${results.length} passed in ${seconds(wallMs)} (${speed})`,
    ...(slowest === undefined
      ? []
      : [
          row(
            "agreed",
            `${seconds(median)} after healing (half), ${seconds(p95)} (95 %), ` +
              `${seconds(slowest.convergenceMs ?? 0)} (the slowest, seed ${slowest.seed})`,
          ),
        ]),
    ...countRows(runs),
    row("digest", `${runs.digest}${repeated > 0 ? `, ${repeated} of the runs twice` : ""}`),
  ];
}

/** How long runs took to agree; those that never did are left out. */
export function convergence(results: readonly SeedResult[]): {
  readonly median: number;
  readonly p95: number;
  readonly slowest: SeedResult | undefined;
} {
  const sorted = results
    .filter(({ convergenceMs }) => convergenceMs !== null)
    .sort((a, b) => (a.convergenceMs ?? 0) - (b.convergenceMs ?? 0));
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.convergenceMs ?? 0;
  return { median: at(0.5), p95: at(0.95), slowest: sorted[sorted.length - 1] };
}

/** One line for a seed that failed among many. */
export function failureLine({ seed, violations }: SeedResult): string {
  const [first] = violations;
  const rest = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  return `seed ${seed} FAILED ${first?.rule}: ${first?.detail}${rest}`;
}

/** The smallest failing run, with the last events of every peer. */
export function smallestLines({ report, tries }: Smallest): string[] {
  const rule = report.violations[0]?.rule;
  return [
    "",
    `The smallest of ${tries} runs that still breaks ${rule}:`,
    optionsLine(report.options),
    "",
    ...lastLines(report.course.history, report.course.peers),
    ...report.violations.map(violationLine),
    "",
    repeatCommand(report),
  ];
}

/** The last events of each peer, one peer after another. */
function lastLines(history: readonly HistoryLine[], peers: readonly string[]): string[] {
  return peers.flatMap((peer) => [
    `${peer}:`,
    ...history
      .filter((line) => line.peer === peer)
      .slice(-LAST_LINES)
      .map(({ atMs, text }) => `  ${moment(atMs).padStart(9)}  ${text}`),
    "",
  ]);
}

/** What `--json` prints of one run. */
export function runJson(report: CheckedReport, smallest: Smallest | undefined): string {
  const { course: _, isRepeated: __, ...rest } = report;
  return JSON.stringify({
    ...rest,
    command: repeatCommand(report),
    ...(smallest === undefined
      ? {}
      : {
          smallest: {
            command: repeatCommand(smallest.report),
            tries: smallest.tries,
            violations: smallest.report.violations,
          },
        }),
  });
}

/** What `--json` prints of many. */
export function runsJson(runs: Runs, smallest: Smallest | undefined): string {
  const { results, faults, sometimes, repeated, digest } = runs;
  const failed = results.filter(({ violations }) => violations.length > 0);
  const { median, p95, slowest } = convergence(results);
  return JSON.stringify({
    passed: failed.length === 0,
    runs: results.length,
    failed: failed.map(({ seed, violations }) => ({ seed, violations })),
    convergenceMs: {
      median,
      p95,
      max: slowest?.convergenceMs ?? null,
      seed: slowest?.seed ?? null,
    },
    ...{ faults, sometimes, repeated, digest },
    ...(smallest === undefined ? {} : { smallest: repeatCommand(smallest.report) }),
  });
}

/** A bar for a terminal, without an end of line. */
export function progressBar(share: number, label: string): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
  return `[${"#".repeat(full)}${" ".repeat(BAR_WIDTH - full)}] ${label}`;
}

/** A time in seconds, as exact as it is worth. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms % 100 === 0 ? 1 : 3)} s`;
}

/** A moment in seconds, always to the ms, so that columns stand in line. */
export function moment(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}

/** The options of the network under which a run stands all along, for people. */
export function standingText({ options }: CheckedReport): string[] {
  const share = (value: number) => `${(100 * value).toFixed(1)} %`;
  return [
    `delay ${options.delayMsMean.toFixed(1)} ms on average`,
    ...(options.lossProbability > 0 ? [`loss ${share(options.lossProbability)}`] : []),
    ...(options.duplicateProbability > 0 ? [`doubled ${share(options.duplicateProbability)}`] : []),
    ...(options.bytesPerMs < CALM.narrow.bytesPerMs
      ? [`${options.bytesPerMs.toFixed(0)} bytes a ms`]
      : []),
  ];
}

function verdictLine(violations: readonly Violation[]): string {
  if (violations.length === 0) return "passed";
  const rules = [...new Set(violations.map(({ rule }) => rule))];
  return `FAILED: ${rules.join(", ")} broken`;
}

function violationLine({ rule, atMs, detail }: Violation): string {
  return `  ${rule} at ${moment(atMs)}: ${detail}`;
}

function countRows(counted: Pick<CheckedReport, "faults" | "sometimes">): string[] {
  const text = (counts: readonly (readonly [string, number])[]) =>
    counts.map(([what, count]) => `${what} ${count}`).join(", ");
  const faults = Object.entries(counted.faults);
  const struck = faults.filter(([kind]) => !isStanding(kind as "loss"));
  const standing = faults.filter(([kind]) => isStanding(kind as "loss")).map(([kind]) => kind);
  return [
    ...(struck.length > 0 ? [row("struck", text(struck))] : []),
    ...(standing.length > 0 ? [row("all along", standing.join(", "))] : []),
    ...(Object.keys(counted.sometimes).length > 0
      ? [row("sometimes", text(Object.entries(counted.sometimes)))]
      : []),
  ];
}

function row(name: string, text: string): string {
  return `${name.padEnd(10)} ${text}`;
}
