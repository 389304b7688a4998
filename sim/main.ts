/**
 * `npm run sim`: runs seeds, and says what a failed one needs to be repeated.
 */
import { parseArgs } from "node:util";
import { FAULT_KINDS, type FaultKind, type RunRequest } from "./options.ts";
import { type DetailedReport, simulate } from "./simulation.ts";

const USAGE = `Usage: npm run sim -- [--seed N] [--runs N] [--peers N] [--shards N] [--duration 60s]
  [--faults LIST|swarm|none] [--json]
Faults: ${FAULT_KINDS.join(", ")}`;

process.exitCode = main(process.argv.slice(2));

function main(args: readonly string[]): number {
  let request: RunRequest & { runs: number; json: boolean };
  try {
    request = parse(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }
  const { runs, json, ...first } = request;
  const failed: DetailedReport[] = [];
  const slowest = { ms: 0 };
  for (let index = 0; index < runs; index += 1) {
    const run = { ...first, seed: first.seed + index };
    const report = simulate(run);
    if (!report.passed) failed.push(report);
    slowest.ms = Math.max(slowest.ms, report.convergenceMs ?? 0);
    if (runs === 1) {
      print(report, json);
      if (!report.passed) console.error(`Repeat with: ${commandOf(run)}`);
    } else if (!report.passed) {
      console.error(
        `Seed ${run.seed}: ${report.violations[0]?.rule} ${report.violations[0]?.detail}`,
      );
      console.error(`Repeat with: ${commandOf(run)}`);
    }
  }
  if (runs > 1) {
    const violations = failed.map(({ seed, violations }) => ({ seed, violations }));
    const passed = failed.length === 0;
    if (json) console.log(JSON.stringify({ passed, runs, failed: violations }));
    else
      console.log(`${runs - failed.length} of ${runs} passed; slowest to agree ${slowest.ms} ms`);
  }
  return failed.length === 0 ? 0 : 1;
}

function print(report: DetailedReport, json: boolean): void {
  const { options, history, samples, core, ...rest } = report;
  if (json) {
    console.log(JSON.stringify(rest));
    return;
  }
  console.log(`seed ${report.seed} ${JSON.stringify(options)}`);
  if (!report.passed) for (const line of history) console.log(line);
  for (const { rule, atMs, detail } of report.violations) {
    console.log(`${rule} violated at ${atMs.toFixed(1)} ms: ${detail}`);
  }
  const { passed, digest, convergenceMs, events, messages, bytes } = rest;
  console.log(
    `${passed ? "passed" : "FAILED"}: agreed ${convergenceMs} ms after healing; ` +
      `${events} events, ${messages} frames, ${bytes} bytes, digest ${digest}`,
  );
}

function parse(args: readonly string[]): RunRequest & { runs: number; json: boolean } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string" },
      runs: { type: "string", default: "1" },
      peers: { type: "string" },
      shards: { type: "string" },
      duration: { type: "string" },
      faults: { type: "string", default: "swarm" },
      json: { type: "boolean", default: false },
    },
  });
  const duration = values.duration === undefined ? undefined : durationMs(values.duration);
  return {
    seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : integer(values.seed, 0),
    runs: integer(values.runs, 1),
    json: values.json,
    faults: faultsOf(values.faults),
    ...(values.peers === undefined ? {} : { peers: integer(values.peers, 1) }),
    ...(values.shards === undefined ? {} : { shards: integer(values.shards, 1) }),
    ...(duration === undefined ? {} : { durationMs: duration }),
  };
}

function integer(text: string, min: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(`"${text}" is not an integer from ${min}`);
  }
  return value;
}

function durationMs(text: string): number {
  const match = /^(\d+)(ms|s|m)$/.exec(text);
  if (match === null) throw new RangeError(`"${text}" is not a duration such as 500ms, 60s or 2m`);
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[match[2] as "ms" | "s" | "m"];
}

function faultsOf(text: string): "swarm" | "none" | FaultKind[] {
  if (text === "swarm" || text === "none") return text;
  return text.split(",").map((kind) => {
    const known = FAULT_KINDS.find((name) => name === kind);
    if (known === undefined) throw new RangeError(`"${kind}" is no kind of fault`);
    return known;
  });
}

function commandOf(run: RunRequest): string {
  const { seed, peers, shards, durationMs: duration, faults } = run;
  const parts = [`npm run sim -- --seed ${seed}`];
  if (peers !== undefined) parts.push(`--peers ${peers}`);
  if (shards !== undefined) parts.push(`--shards ${shards}`);
  if (duration !== undefined) parts.push(`--duration ${duration}ms`);
  if (faults !== undefined && faults !== "swarm") {
    parts.push(`--faults ${faults === "none" ? "none" : faults.join(",")}`);
  }
  return parts.join(" ");
}
