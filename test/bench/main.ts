/**
 * `npm run bench -- NAME [PART...] [--json] [--repeat N]`: measures one thing, or `all`, against a named peer in the
 * same run. Some benches have parts, and some repeat what may go wrong.
 *
 * Without a name the benches are listed. Each lives in a file of its own, which says what is measured
 * and how. With `--json` one line is all of stdout; progress goes to stderr.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpus, loadavg } from "node:os";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { type Bench, countTargets, figuresOf, type Section, textOf } from "./report.ts";

/** Loaded one by one: what one bench brings along is no burden of another. */
const BENCHES: Readonly<Record<string, () => Promise<{ readonly bench: Bench }>>> = {
  "table-substrate": () => import("./table-substrate.ts"),
  route: () => import("./route.ts"),
  balance: () => import("./balance.ts"),
  reconcile: () => import("./reconcile.ts"),
  spread: () => import("./spread.ts"),
  kill: () => import("./kill.ts"),
  hang: () => import("./hang.ts"),
  idle: () => import("./idle.ts"),
  "false-deaths": () => import("./false-deaths.ts"),
  move: () => import("./move.ts"),
  ask: () => import("./ask.ts"),
  footprint: () => import("./footprint.ts"),
  overlay: () => import("./overlay.ts"),
  fifty: () => import("./fifty.ts"),
  glomers: () => import("./glomers.ts"),
  scale: () => import("./scale.ts"),
  ticks: () => import("./ticks.ts"),
  df: () => import("./df.ts"),
  rpc: () => import("./rpc.ts"),
  live: () => import("./live.ts"),
  documents: () => import("./documents.ts"),
  search: () => import("./search.ts"),
  security: () => import("./security.ts"),
};

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { json: { type: "boolean", default: false }, repeat: { type: "string" } },
    allowPositionals: true,
  });
  const [name, ...parts] = positionals;
  if (name === undefined) {
    console.log(await listOfBenches());
    return 0;
  }
  if (name === "all") return runAll(values.json);
  const load = BENCHES[name];
  if (load === undefined) {
    console.error(`There is no bench "${name}"\n${await listOfBenches()}`);
    return 2;
  }
  const { bench } = await load();
  const repeat = values.repeat === undefined ? undefined : Number(values.repeat);
  const progress = (line: string): void => void process.stderr.write(`${name}: ${line}\n`);
  const sections = await bench.run(progress, { parts, repeat });
  // The load is that of the last minute: whoever else was busy is part of the figures.
  const machine = { node: process.version, cpus: cpus().length, load: loadavg()[0] ?? 0 };
  if (values.json) {
    console.log(JSON.stringify({ bench: name, ...machine, figures: figuresOf(sections) }));
  } else {
    const { node, cpus, load } = machine;
    console.log(`${name}, node ${node}, ${cpus} cpus, load average ${load.toFixed(1)}`);
    console.log(`${textOf(sections)}  ${summaryOf(sections)}\n`);
  }
  return 0;
}

/** Every bench in a process of its own, so that none runs on code warmed by another. */
async function runAll(json: boolean): Promise<number> {
  const lines: string[] = [];
  let failed = 0;
  for (const name of Object.keys(BENCHES)) {
    const args = [
      ...process.execArgv,
      process.argv[1] as string,
      name,
      ...(json ? ["--json"] : []),
    ];
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", json ? "pipe" : "inherit", "inherit"],
    });
    const ended = once(child, "exit");
    if (child.stdout !== null) lines.push((await text(child.stdout)).trim());
    const [status] = await ended;
    if (status !== 0) failed += 1;
  }
  if (json) console.log(`[${lines.filter((line) => line !== "").join(",")}]`);
  return failed === 0 ? 0 : 1;
}

async function listOfBenches(): Promise<string> {
  const lines = Object.entries(BENCHES).map(async ([name, load]) => {
    const { bench } = await load();
    return `  ${name.padEnd(16)} ${bench.summary}`;
  });
  const all = `  ${"all".padEnd(16)} every one of them, each in a process of its own`;
  const usage = "Usage: npm run bench -- NAME [PART...] [--json] [--repeat N]";
  return [usage, ...(await Promise.all(lines)), all].join("\n");
}

function summaryOf(sections: readonly Section[]): string {
  const { total, missed } = countTargets(sections);
  return missed === 0 ? `all ${total} targets reached` : `${missed} of ${total} targets missed`;
}
