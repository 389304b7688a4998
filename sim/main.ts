/**
 * `npm run sim`: runs seeds, says what broke, makes it small, and draws it.
 *
 * The shell of the simulator, and the only file of it that knows of time, terminals and files. A run
 * is pure and takes its steps here, so that the command can show how far it is and can be stopped.
 * What throws in a run is a finding like any other: it is shrunk and can be repeated.
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { type Command, parseArguments, usage } from "./arguments.ts";
import { drawOptions, type RunOptions } from "./options.ts";
import { reportPage } from "./report.ts";
import type { CheckedReport } from "./rules.ts";
import { Shrinker } from "./shrink.ts";
import { type DetailedReport, Simulation } from "./simulation.ts";
import * as summary from "./summary.ts";

const EXIT_DONE = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** As a shell has it for what was stopped by SIGINT. */
const EXIT_INTERRUPTED = 130;

/** How long the program is deaf to Ctrl-C, and its bar stands still, in ms. */
const TURN_MS = 100;
/** One of so many seeds is run twice. */
const REPEAT_EVERY = 50;
/** Longest search for a smaller run, in ms. */
const SHRINK_MS_MAX = 120_000;

/** What the command needs of the world. */
export interface Shell {
  readonly isTerminal: boolean;
  out(text: string): void;
  err(text: string): void;
  /** A seed for who has none. */
  seed(): number;
  nowMs(): number;
  /** Lets signals come in. */
  turn(): Promise<void>;
  isInterrupted(): boolean;
  writeFile(path: string, text: string): void;
  create(options: RunOptions): Simulation;
}

/** Does what the arguments say; returns the exit status. */
export async function main(args: readonly string[], shell: Shell): Promise<number> {
  const parsed = parseArguments(args, shell.seed());
  if (!parsed.ok) {
    shell.err(`${parsed.reason}\nTry --help\n`);
    return EXIT_USAGE;
  }
  const { command } = parsed;
  if (command.help) {
    shell.out(usage());
    return EXIT_DONE;
  }
  const session = new Session(command, shell);
  return command.runs === 1 ? await session.runOne() : await session.runMany();
}

/** One use of the command. */
class Session {
  readonly #command: Command;
  readonly #shell: Shell;
  #turnedAt = 0;
  #isDrawn = false;

  constructor(command: Command, shell: Shell) {
    this.#command = command;
    this.#shell = shell;
  }

  async runOne(): Promise<number> {
    const { json, request, twice } = this.#command;
    const options = drawOptions(request);
    this.#say([summary.optionsLine(options)]);
    const report = await this.#run(options, twice, (virtualMs) =>
      this.#draw(virtualMs / options.durationMs, summary.seconds(virtualMs)),
    );
    this.#clear();
    if (this.#shell.isInterrupted()) this.#say(["Stopped; until then:"]);
    this.#say(summary.summaryLines(report));
    const smallest = report.passed ? undefined : await this.#shrink(report);
    const isWritten = this.#write(report, undefined, smallest);
    if (json) this.#shell.out(`${summary.runJson(report, smallest)}\n`);
    if (!report.passed) this.#say(["", summary.repeatCommand(report)]);
    return this.#status(report.passed, isWritten);
  }

  async runMany(): Promise<number> {
    const { json, request, runs, twice } = this.#command;
    const startedAt = this.#shell.nowMs();
    const tally = new Tally(runs);
    const seed = request.seed;
    this.#say([`seeds ${seed} to ${seed + runs - 1}${summary.givenText(request)}`]);
    for (let index = 0; index < runs && !this.#shell.isInterrupted(); index += 1) {
      const options = drawOptions({ ...request, seed: seed + index });
      const isRepeated = twice || index % REPEAT_EVERY === 0;
      const report = await this.#run(options, isRepeated, () =>
        this.#draw(index / runs, `${index} of ${runs} seeds, ${tally.failedCount} failed`),
      );
      if (this.#shell.isInterrupted() && report.passed) break;
      tally.add(report);
      if (!report.passed) this.#say([summary.failureLine(report), summary.repeatCommand(report)]);
    }
    this.#clear();
    const { failed } = tally;
    this.#say(summary.runsLines(tally, this.#shell.nowMs() - startedAt));
    const smallest = failed === undefined ? undefined : await this.#shrink(failed);
    const shown = failed ?? tally.slowest;
    const isWritten = shown === undefined || this.#write(shown, tally, smallest);
    if (json) this.#shell.out(`${summary.runsJson(tally, smallest)}\n`);
    if (failed !== undefined) this.#say(["", summary.repeatCommand(failed)]);
    return this.#status(failed === undefined, isWritten);
  }

  /** Runs to the end, or to where it is interrupted or breaks. */
  async #run(
    options: RunOptions,
    isRepeated: boolean,
    progress: (virtualMs: number) => void,
  ): Promise<CheckedReport> {
    const report = await this.#runOnce(options, progress);
    if (!isRepeated || this.#shell.isInterrupted()) return { ...report, isRepeated: false };
    const again = await this.#runOnce(options, progress);
    if (again.digest === report.digest || this.#shell.isInterrupted()) {
      return { ...report, isRepeated: !this.#shell.isInterrupted() };
    }
    const detail = `The digest was ${report.digest}, then ${again.digest}`;
    const violation = { rule: "digest", atMs: report.endedAtMs, detail };
    const violations = [...report.violations, violation];
    return { ...report, violations, passed: false, isRepeated: true };
  }

  async #runOnce(
    options: RunOptions,
    progress: (virtualMs: number) => void,
  ): Promise<DetailedReport> {
    const simulation = this.#shell.create(options);
    try {
      const steps = simulation.steps();
      for (;;) {
        const { done, value } = steps.next();
        if (done) return value;
        if (this.#shell.nowMs() - this.#turnedAt < TURN_MS) continue;
        progress(value);
        await this.#shell.turn();
        if (this.#shell.isInterrupted()) return simulation.report();
        this.#turnedAt = this.#shell.nowMs();
      }
    } catch (error) {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      simulation.violations.report("crash", stack.split(/\n\s*/).slice(0, 4).join(" "));
      return simulation.report();
    }
  }

  /** The smallest run that breaks the same rule. */
  async #shrink(failed: CheckedReport): Promise<summary.Smallest | undefined> {
    const { triesMax } = this.#command;
    if (triesMax === 0 || this.#shell.isInterrupted()) return undefined;
    const rule = failed.violations[0]?.rule;
    const shrinker = new Shrinker(failed.options, triesMax);
    const startedAt = this.#shell.nowMs();
    let smallest = failed;
    for (let next = shrinker.next(); next !== undefined; next = shrinker.next()) {
      const report = await this.#run(next, rule === "digest", () =>
        this.#draw(shrinker.tries / triesMax, `${shrinker.tries} smaller runs tried`),
      );
      if (this.#shell.isInterrupted() || this.#shell.nowMs() - startedAt > SHRINK_MS_MAX) break;
      const didFail = report.violations.some((violation) => violation.rule === rule);
      shrinker.tell(didFail);
      if (didFail) smallest = report;
    }
    this.#clear();
    const result = { report: smallest, tries: shrinker.tries };
    this.#say(summary.smallestLines(result));
    return result;
  }

  #write(
    report: CheckedReport,
    runs: summary.Runs | undefined,
    smallest: summary.Smallest | undefined,
  ): boolean {
    const path = this.#command.report;
    if (path === undefined) return true;
    try {
      this.#shell.writeFile(path, reportPage({ report, runs, smallest }));
      this.#shell.err(`Wrote ${path}\n`);
      return true;
    } catch (error) {
      this.#shell.err(`Cannot write ${path}: ${error instanceof Error ? error.message : error}\n`);
      return false;
    }
  }

  #status(hasPassed: boolean, isWritten: boolean): number {
    if (!hasPassed) return EXIT_FAILED;
    if (this.#shell.isInterrupted()) return EXIT_INTERRUPTED;
    return isWritten ? EXIT_DONE : EXIT_USAGE;
  }

  /** With `--json`, stdout is for the one line alone. */
  #say(lines: readonly string[]): void {
    this.#clear();
    const text = lines.map((line) => `${line}\n`).join("");
    if (this.#command.json) this.#shell.err(text);
    else this.#shell.out(text);
  }

  #draw(share: number, label: string): void {
    if (!this.#shell.isTerminal) return;
    this.#isDrawn = true;
    this.#shell.err(`\r\x1b[K${summary.progressBar(share, label)}`);
  }

  #clear(): void {
    if (this.#isDrawn) this.#shell.err("\r\x1b[K");
    this.#isDrawn = false;
  }
}

/** Adds up many runs, and keeps of whole reports only those that are shown. */
class Tally implements summary.Runs {
  readonly asked: number;
  readonly results: summary.SeedResult[] = [];
  readonly faults: Record<string, number> = {};
  readonly sometimes: Record<string, number> = {};
  repeated = 0;
  virtualMs = 0;
  failedCount = 0;
  /** The first that failed, and the one that took longest to agree. */
  failed: CheckedReport | undefined;
  slowest: CheckedReport | undefined;

  constructor(asked: number) {
    this.asked = asked;
  }

  add(report: CheckedReport): void {
    const { seed, convergenceMs, violations } = report;
    this.results.push({ seed, convergenceMs, violations });
    this.repeated += report.isRepeated ? 1 : 0;
    this.virtualMs += report.endedAtMs;
    for (const [kind, count] of Object.entries(report.faults)) {
      this.faults[kind] = (this.faults[kind] ?? 0) + count;
    }
    for (const [what, count] of Object.entries(report.sometimes)) {
      this.sometimes[what] = (this.sometimes[what] ?? 0) + count;
    }
    if (!report.passed) {
      this.failedCount += 1;
      this.failed ??= report;
    }
    const slowestMs = this.slowest?.convergenceMs ?? -1;
    if ((convergenceMs ?? 0) > slowestMs) this.slowest = report;
  }
}

async function start(): Promise<void> {
  let isInterrupted = false;
  process.on("SIGINT", () => {
    if (isInterrupted) process.exit(EXIT_INTERRUPTED);
    isInterrupted = true;
  });
  process.exitCode = await main(process.argv.slice(2), {
    isTerminal: process.stderr.isTTY === true,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    seed: () => Math.floor(Math.random() * 2 ** 32),
    nowMs: () => performance.now(),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    isInterrupted: () => isInterrupted,
    writeFile: (path, text) => writeFileSync(path, text),
    create: (options) => new Simulation(options),
  });
}

const [, program] = process.argv;
if (program !== undefined && import.meta.url === pathToFileURL(program).href) await start();
