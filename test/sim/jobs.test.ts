import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { RemoteRunner } from "../../sim/jobs.ts";
import { drawOptions } from "../../sim/options.ts";
import { Simulation } from "../../sim/simulation.ts";

const directory = mkdtempSync(join(tmpdir(), "hearsay-jobs-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A runner whose process does with each message what `code` says. */
function runnerOf(code: string, isInterrupted = false): RemoteRunner {
  const program = join(directory, "program.mjs");
  writeFileSync(program, `process.on("message", ({ options }) => { ${code} });`);
  return new RemoteRunner(program, {
    nowMs: () => 0,
    turn: () => Promise.resolve(),
    isInterrupted: () => isInterrupted,
    create: (options) => new Simulation(options),
  });
}

const options = drawOptions({ seed: 7, peers: 2, faults: "none" });

test.each([
  ["process.exit(3)", "exit code 3"],
  ['process.kill(process.pid, "SIGKILL")', "SIGKILL"],
])("a process that does %s is a finding of the run that it had", async (code, how) => {
  const report = await runnerOf(code).run(options, false);
  const detail = `The process that ran it ended: ${how}`;
  expect(report).toMatchObject({ seed: 7, options, passed: false, isRepeated: false });
  expect(report.violations).toEqual([{ rule: "crash", atMs: 0, detail }]);
});

test("a run behind one whose process died gets another process", async () => {
  const runner = runnerOf("options.seed === 7 ? process.exit(1) : process.send(options)");
  expect((await runner.run(options, false)).passed).toBe(false);
  const next = { ...options, seed: 8, bytesPerMs: Number.POSITIVE_INFINITY };
  expect(await runner.run(next, false)).toEqual(next);
  runner.dismiss();
});

test("a process that ends because all is stopped is no finding", async () => {
  const report = await runnerOf("process.exit(1)", true).run(options, false);
  expect(report.violations).toEqual([]);
});
