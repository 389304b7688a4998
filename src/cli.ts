#!/usr/bin/env node
/**
 * The `hearsay` command: parses, calls, prints.
 *
 * Results go to stdout and everything else to stderr, so that a pipe sees only what it asked for. What
 * a command does is in `cli/`; this file loads it, and turns its failure into a line and an exit status:
 * 0 done, 1 failed, 2 wrong usage. A reader that closes its end of the pipe (`hearsay watch | head -1`)
 * has what it wanted, and is no failure.
 */
import { readFileSync } from "node:fs";
import { certs } from "./cli/certs.ts";
import { runProgram } from "./cli/command.ts";
import { COORDINATION } from "./cli/coordination.ts";
import { dev } from "./cli/dev.ts";
import { EXIT_DONE, failureOf } from "./cli/failure.ts";
import { df } from "./cli/frequencies.ts";
import { index } from "./cli/index-folder.ts";
import { live } from "./cli/live.ts";
import type { Output } from "./cli/output.ts";
import { QUERIES } from "./cli/queries.ts";
import { repair } from "./cli/repair.ts";
import { search } from "./cli/search.ts";
import { start } from "./cli/start.ts";
import { watch } from "./cli/watch.ts";

const output: Output = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
};

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT_DONE);
  throw error;
});
process.stderr.on("error", () => {}); // Nobody is left to be told.

const args = process.argv.slice(2);

try {
  await runProgram(
    {
      commands: [
        ...[start, dev, ...QUERIES, ...COORDINATION],
        ...[index, df, search, live, watch, repair, certs],
      ],
      version: versionOfPackage(),
      output,
      environment: process.env,
    },
    args,
  );
} catch (error) {
  const { code, message, exitCode } = failureOf(error);
  const line = args.includes("--json")
    ? JSON.stringify({ error: { code, message } })
    : `hearsay: ${code}: ${message}`;
  output.err(`${line}\n`);
  process.exitCode = exitCode;
}

function versionOfPackage(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
