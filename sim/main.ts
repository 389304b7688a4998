/**
 * `npm run sim`: runs seeds, says what broke, makes it small, and draws it.
 *
 * The shell of the simulator, which with `jobs` alone knows of time, terminals, files and processes. Many
 * seeds are shared by several processes, one a core; what comes of them does not depend on how many.
 * What throws in a run is a finding like any other: it is shrunk and can be repeated.
 */
import { realpathSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Command, parseArguments, usage } from "./arguments.ts";
import {
  HIRED,
  LocalRunner,
  RemoteRunner,
  type Runner,
  type Surroundings,
  serveRuns,
} from "./jobs.ts";
import { drawOptions, type RunOptions } from "./options.ts";
import { reportPage } from "./report.ts";
import type { CheckedReport } from "./rules.ts";
import { Shrinker } from "./shrink.ts";
import { Simulation } from "./simulation.ts";
import * as summary from "./summary.ts";
import { Tally } from "./tally.ts";

const EXIT_DONE = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** As a shell has it for what was stopped by SIGINT. */
const EXIT_INTERRUPTED = 130;

/** One of so many seeds is run twice. */
const REPEAT_EVERY = 50;
/** Longest search for a smaller run, in ms. */
const SHRINK_MS_MAX = 120_000;

/** What the command needs of the world. */
export interface Shell extends Surroundings {
  readonly isTerminal: boolean;
  /** How many runs there may be at a time when nobody says. */
  readonly cores: number;
  out(text: string): void;
  err(text: string): void;
  /** A seed for who has none. */
  seed(): number;
  writeFile(path: string, text: string): void;
  /** Somebody who runs at the same time as others. */
  hire(): Runner;
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
  readonly #here: Runner;
  #isDrawn = false;

  constructor(command: Command, shell: Shell) {
    this.#command = command;
    this.#shell = shell;
    this.#here = new LocalRunner(shell);
  }

  async runOne(): Promise<number> {
    const { json, request, twice } = this.#command;
    const options = drawOptions(request);
    this.#say([summary.optionsLine(options)]);
    const report = await this.#here.run(options, twice, (virtualMs) =>
      this.#draw(virtualMs / options.durationMs, summary.seconds(virtualMs)),
    );
    this.#clear();
    if (this.#shell.isInterrupted()) this.#say(["Stopped; until then:"]);
    this.#say(summary.summaryLines(report));
    const smallest = report.passed ? undefined : await this.#shrink(report, this.#here);
    const isWritten = this.#write(report, undefined, smallest);
    if (json) this.#shell.out(`${summary.runJson(report, smallest)}\n`);
    if (!report.passed) this.#say(["", summary.repeatCommand(report)]);
    return this.#status(report.passed, isWritten);
  }

  async runMany(): Promise<number> {
    const { json, request, runs } = this.#command;
    const startedAt = this.#shell.nowMs();
    const tally = new Tally(request.seed, runs);
    this.#say([`seeds ${request.seed} to ${request.seed + runs - 1}${summary.givenText(request)}`]);
    const jobs = Math.min(runs, this.#command.jobs ?? this.#shell.cores);
    const runners = Array.from({ length: jobs }, () =>
      jobs === 1 ? this.#here : this.#shell.hire(),
    );
    const [runner = this.#here] = runners;
    // Each takes the next seed when it is done with one, as some take ten times as long as others.
    const indices = upTo(runs);
    await Promise.all(runners.map((each) => this.#runSeeds(indices, each, tally)));
    tally.close();
    this.#clear();
    const { failed } = tally;
    this.#say(summary.runsLines(tally, this.#shell.nowMs() - startedAt, jobs));
    const smallest = failed === undefined ? undefined : await this.#shrink(failed, runner);
    const shown = failed ?? tally.slowest;
    const isWritten = shown === undefined || this.#write(shown, tally, smallest);
    if (json) this.#shell.out(`${summary.runsJson(tally, smallest)}\n`);
    if (failed !== undefined) this.#say(["", summary.repeatCommand(failed)]);
    return this.#status(failed === undefined, isWritten);
  }

  /** Runs seeds as long as there are any. `indices` are shared by all who do so. */
  async #runSeeds(indices: Iterator<number>, runner: Runner, tally: Tally): Promise<void> {
    const { request, runs, twice } = this.#command;
    const draw = (): void => {
      const label = `${tally.endedCount} of ${runs} seeds, ${tally.failedCount} failed`;
      this.#draw(tally.endedCount / runs, label);
    };
    while (!this.#shell.isInterrupted()) {
      const { done, value: index } = indices.next();
      if (done) return;
      draw();
      const options = drawOptions({ ...request, seed: request.seed + index });
      const report = await runner.run(options, twice || index % REPEAT_EVERY === 0, draw);
      if (this.#shell.isInterrupted() && report.passed) return;
      tally.add(report);
      if (!report.passed) this.#say([summary.failureLine(report), summary.repeatCommand(report)]);
    }
  }

  /** The smallest run that breaks the same rule. */
  async #shrink(failed: CheckedReport, runner: Runner): Promise<summary.Smallest | undefined> {
    const { triesMax } = this.#command;
    if (triesMax === 0 || this.#shell.isInterrupted()) return undefined;
    const rule = failed.violations[0]?.rule;
    const shrinker = new Shrinker(failed.options, triesMax);
    const startedAt = this.#shell.nowMs();
    const draw = (): void =>
      this.#draw(shrinker.tries / triesMax, `${shrinker.tries} smaller runs tried`);
    let smallest = failed;
    for (let next = shrinker.next(); next !== undefined; next = shrinker.next()) {
      const report = await runner.run(next, rule === "digest", draw);
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

function* upTo(end: number): Generator<number, undefined> {
  for (let index = 0; index < end; index += 1) yield index;
}

async function start(program: string, args: readonly string[]): Promise<void> {
  const here = {
    nowMs: () => performance.now(),
    turn: () => new Promise<void>((resolve) => setImmediate(resolve)),
    create: (options: RunOptions) => new Simulation(options),
  };
  if (args[0] === HIRED && process.send !== undefined) return serveRuns(here);
  let isInterrupted = false;
  const around = { ...here, isInterrupted: () => isInterrupted };
  const hired: RemoteRunner[] = [];
  process.on("SIGINT", () => {
    if (isInterrupted) process.exit(EXIT_INTERRUPTED);
    isInterrupted = true;
    for (const runner of hired) runner.stop();
  });
  process.on("exit", () => {
    for (const runner of hired) runner.kill();
  });
  process.exitCode = await main(args, {
    ...around,
    isTerminal: process.stderr.isTTY === true,
    cores: availableParallelism(),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    seed: () => Math.floor(Math.random() * 2 ** 32),
    writeFile: (path, text) => writeFileSync(path, text),
    hire: () => {
      const runner = new RemoteRunner(program, around);
      hired.push(runner);
      return runner;
    },
  });
  for (const runner of hired) runner.dismiss();
}

const [, program, ...args] = process.argv;
const isProgram = program !== undefined && realpathSync(program) === fileURLToPath(import.meta.url);
if (isProgram) await start(program, args);
