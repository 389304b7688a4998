/**
 * Adds up many runs, in the order of their seeds, whatever the order in which they end.
 *
 * Runs that end before one of a lower seed wait for it, so that what comes of many does not depend on
 * how many are run at a time. Of whole reports only those are kept that are shown.
 */
import { Hash64 } from "../src/core/hash.ts";
import type { CheckedReport } from "./rules.ts";
import { writeDigest } from "./simulation.ts";
import type { Runs, SeedResult } from "./summary.ts";

/** What is kept of a run until those of lower seeds have ended. */
type Waiting = Omit<CheckedReport, "course">;

export class Tally implements Runs {
  readonly asked: number;
  readonly results: SeedResult[] = [];
  readonly faults: Record<string, number> = {};
  readonly sometimes: Record<string, number> = {};
  repeated = 0;
  virtualMs = 0;
  /** How many have ended and how many of them failed, those that wait included. */
  endedCount = 0;
  failedCount = 0;
  /** The lowest seed that failed, and the one that took longest to agree. */
  failed: CheckedReport | undefined;
  slowest: CheckedReport | undefined;
  readonly #waiting = new Map<number, Waiting>();
  readonly #digest = new Hash64();
  #nextSeed: number;

  /** For `asked` runs, from the one of `firstSeed` on. */
  constructor(firstSeed: number, asked: number) {
    this.#nextSeed = firstSeed;
    this.asked = asked;
  }

  get digest(): string {
    return writeDigest(this.#digest);
  }

  add(report: CheckedReport): void {
    this.endedCount += 1;
    if (!report.passed) {
      this.failedCount += 1;
      if (this.failed === undefined || report.seed < this.failed.seed) this.failed = report;
    }
    if (isSlower(report, this.slowest)) this.slowest = report;
    const { course: _, ...waiting } = report;
    this.#waiting.set(report.seed, waiting);
    for (;;) {
      const next = this.#waiting.get(this.#nextSeed);
      if (next === undefined) return;
      this.#count(next);
      this.#nextSeed += 1;
    }
  }

  /** Adds up those, too, that wait for seeds that will not come, since somebody stopped the runs. */
  close(): void {
    const rest = [...this.#waiting.values()].sort((a, b) => a.seed - b.seed);
    for (const report of rest) this.#count(report);
  }

  #count(report: Waiting): void {
    const { seed, convergenceMs, violations } = report;
    this.#waiting.delete(seed);
    this.results.push({ seed, convergenceMs, violations });
    this.repeated += report.isRepeated ? 1 : 0;
    this.virtualMs += report.endedAtMs;
    this.#digest.text(report.digest);
    addCounts(this.faults, report.faults);
    addCounts(this.sometimes, report.sometimes);
  }
}

function addCounts(sums: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [what, count] of Object.entries(counts)) sums[what] = (sums[what] ?? 0) + count;
}

/** Of equals the one of the lower seed is taken, so that it does not matter which came first. */
function isSlower(report: CheckedReport, than: CheckedReport | undefined): boolean {
  if (than === undefined) return true;
  const byMs = (report.convergenceMs ?? 0) - (than.convergenceMs ?? 0);
  return byMs === 0 ? report.seed < than.seed : byMs > 0;
}
