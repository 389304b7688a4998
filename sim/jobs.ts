/**
 * Where runs run: in this process, or in others, each of which has a heap and a compiler of its own.
 *
 * A run is pure, so it does not matter where it runs: its report crosses over as it is. A process that
 * dies is a finding of the run that it had, and the next run gets a new one. These are processes and
 * not threads: both take the same time of the processor, and a process that runs out of memory or is
 * killed takes nothing else with it.
 */
import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import type { RunOptions } from "./options.ts";
import type { CheckedReport } from "./rules.ts";
import type { DetailedReport, Simulation } from "./simulation.ts";

/** The argument that makes the program one that runs for another. */
export const HIRED = "--hired";

/** How long a run is deaf to who wants to stop it, in ms. */
const TURN_MS = 100;
/** Lines of a stack that are shown of what threw. */
const STACK_LINES = 4;

/** What runs need of the world. */
export interface Surroundings {
  nowMs(): number;
  /** Lets signals and messages come in. */
  turn(): Promise<void>;
  isInterrupted(): boolean;
  create(options: RunOptions): Simulation;
}

/** Runs one thing after another. */
export interface Runner {
  /**
   * Runs to the end, or to where it is interrupted or breaks; `isTwice` to see that it comes out the
   * same. `progress` is told the virtual time by a runner that knows of it.
   */
  run(
    options: RunOptions,
    isTwice: boolean,
    progress?: (virtualMs: number) => void,
  ): Promise<CheckedReport>;
}

/** Runs in this process, and takes turns with whatever else it does. */
export class LocalRunner implements Runner {
  readonly #around: Surroundings;
  #turnedAt = 0;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  async run(
    options: RunOptions,
    isTwice: boolean,
    progress: (virtualMs: number) => void = () => {},
  ): Promise<CheckedReport> {
    const report = await this.#runOnce(options, progress);
    if (!isTwice || this.#around.isInterrupted()) return { ...report, isRepeated: false };
    const again = await this.#runOnce(options, progress);
    if (again.digest === report.digest || this.#around.isInterrupted()) {
      return { ...report, isRepeated: !this.#around.isInterrupted() };
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
    const around = this.#around;
    const simulation = around.create(options);
    try {
      const steps = simulation.steps();
      for (;;) {
        const { done, value } = steps.next();
        if (done) return value;
        if (around.nowMs() - this.#turnedAt < TURN_MS) continue;
        progress(value);
        await around.turn();
        if (around.isInterrupted()) return simulation.report();
        this.#turnedAt = around.nowMs();
      }
    } catch (error) {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return crashed(simulation, stack.split(/\n\s*/).slice(0, STACK_LINES).join(" "));
    }
  }
}

/** What a runner asks of its process; "stop" makes it end the run that it has. */
type Order = "stop" | { readonly options: RunOptions; readonly isTwice: boolean };

/** Runs in a process that it starts when there is something to run. */
export class RemoteRunner implements Runner {
  readonly #program: string;
  readonly #around: Surroundings;
  #process: ChildProcess | undefined;
  /** Takes what comes of the run under way. */
  #settle: (result: CheckedReport | string) => void = () => {};

  /** `program` calls `serveRuns` when its argument is HIRED. */
  constructor(program: string, around: Surroundings) {
    this.#program = program;
    this.#around = around;
  }

  run(options: RunOptions, isTwice: boolean): Promise<CheckedReport> {
    this.#process ??= this.#start();
    this.#process.send({ options, isTwice } satisfies Order);
    return new Promise((resolve) => {
      this.#settle = (result) => {
        this.#settle = () => {};
        resolve(typeof result === "string" ? this.#lost(options, result) : result);
      };
    });
  }

  stop(): void {
    if (this.#process?.connected) this.#process.send("stop" satisfies Order);
  }

  /** Lets the process go. */
  dismiss(): void {
    if (this.#process?.connected) this.#process.disconnect();
    this.#process = undefined;
  }

  kill(): void {
    this.#process?.kill("SIGKILL");
  }

  #start(): ChildProcess {
    // What it prints is no result: that goes where this process says what goes on.
    const started = fork(this.#program, [HIRED], {
      serialization: "advanced", // As JSON, a report would lose its infinite numbers.
      stdio: ["ignore", 2, 2, "ipc"],
    });
    const lose = (how: string): void => {
      if (this.#process !== started) return;
      this.#process = undefined;
      started.kill("SIGKILL");
      this.#settle(`The process that ran it ended: ${how}`);
    };
    started.on("message", (report) => this.#settle(report as CheckedReport));
    started.on("error", (error) => lose(error.message));
    started.on("exit", (code, signal) => lose(signal ?? `exit code ${code}`));
    return started;
  }

  /** The report of a run of which nothing is known but that it ended its process. */
  #lost(options: RunOptions, how: string): CheckedReport {
    const simulation = this.#around.create(options);
    const report = this.#around.isInterrupted() ? simulation.report() : crashed(simulation, how);
    return { ...report, isRepeated: false };
  }
}

/** Runs what the process that started this one asks for, until that is gone. */
export function serveRuns(around: Omit<Surroundings, "isInterrupted">): void {
  let isInterrupted = false;
  const runner = new LocalRunner({ ...around, isInterrupted: () => isInterrupted });
  process.on("SIGINT", () => {}); // A terminal sends it to all: who started this one says what to do.
  process.on("disconnect", () => process.exit());
  process.on("message", async (order: Order) => {
    if (order === "stop") isInterrupted = true;
    else process.send?.(await runner.run(order.options, order.isTwice));
  });
}

function crashed(simulation: Simulation, how: string): DetailedReport {
  simulation.violations.report("crash", how);
  return simulation.report();
}
