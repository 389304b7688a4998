import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { parseArguments } from "../../sim/arguments.ts";
import type { Checker } from "../../sim/checker.ts";
import { LocalRunner, type Runner, type Surroundings } from "../../sim/jobs.ts";
import type { MoreCheckers } from "../../sim/jury.ts";
import { main, type Shell } from "../../sim/main.ts";
import { drawOptions, type RunOptions } from "../../sim/options.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import { Simulation, simulate } from "../../sim/simulation.ts";

interface Outcome {
  readonly status: number;
  readonly out: readonly string[];
  readonly err: readonly string[];
  readonly files: ReadonlyMap<string, string>;
}

/** Runs the command; `plant` is a bug, `shell` whatever else is to be different. */
async function run(
  line: string,
  plant: MoreCheckers = () => [],
  shell: Partial<Shell> = {},
): Promise<Outcome> {
  const written = { out: "", err: "" };
  const files = new Map<string, string>();
  let nowMs = 0;
  const around: Surroundings = {
    nowMs: () => {
      nowMs += 1;
      return nowMs;
    },
    turn: () => Promise.resolve(),
    isInterrupted: () => false,
    create: (options) => new Simulation(options, plant),
  };
  const status = await main(line.split(" "), {
    ...around,
    isTerminal: false,
    cores: 1,
    out: (text) => {
      written.out += text;
    },
    err: (text) => {
      written.err += text;
    },
    seed: () => 77,
    writeFile: (path, text) => void files.set(path, text),
    hire: () => new LocalRunner(around),
    ...shell,
  });
  const lines = (text: string) => text.split("\n").slice(0, -1);
  return { status, out: lines(written.out), err: lines(written.err), files };
}

/** A rule that no crash may be noticed. */
const noDeaths: MoreCheckers = (report) => [
  {
    changed: (peer, change) => {
      if (change.type === "member" && change.status === "dead") {
        report("I1", `${peer.name} sees ${change.name} dead`);
      }
    },
  } satisfies Checker,
];

const SMALL = "--peers 3 --shards 3 --duration 6s";
const CRASHING = "--seed 1 --peers 3 --duration 20s --faults crash,duplicate --fault-every 4s";

test("the first line has the seed and all options drawn from it", async () => {
  const { out, status } = await run("--seed 12");
  expect(status).toBe(0);
  const [seed, ...flags] = out[0]?.split(/: | /).slice(1) ?? [];
  const parsed = parseArguments(["--seed", seed ?? "", ...flags], 0);
  expect(parsed.ok && drawOptions(parsed.command.request)).toEqual(drawOptions({ seed: 12 }));
});

test("without a seed one is picked and named", async () => {
  const { out } = await run(SMALL);
  expect(out[0]).toMatch(/^seed 77: --peers 3 --shards 3 --duration 6s /);
});

test("a run that passes says so, with what struck and what was reached", async () => {
  const { out, err, status } = await run("--seed 4 --faults crash,delay --fault-every 2s");
  expect(status).toBe(0);
  expect(err).toEqual([]);
  expect(out[1]).toBe("passed");
  const rows = out.slice(2).map((line) => line.split(" ")[0]);
  expect(rows).toEqual(["agreed", "did", "struck", "all", "sometimes", "digest"]);
});

test("with --json one line is all of stdout, and it is the report", async () => {
  const { out, err, status } = await run(`--seed 4 ${SMALL} --json`);
  expect(status).toBe(0);
  expect(out).toHaveLength(1);
  expect(err[0]).toMatch(/^seed 4: /);
  const { course: _, ...report } = simulate({ seed: 4, peers: 3, shards: 3, durationMs: 6000 });
  const command = `npm run sim -- --seed 4 ${SMALL}`;
  expect(JSON.parse(out[0] ?? "")).toEqual({ ...report, command });
});

test("with --json and --runs the line says which seeds failed, and how", async () => {
  const fine = await run(`--seed 4 --runs 3 ${SMALL} --faults none --json`);
  expect(fine.status).toBe(0);
  expect(JSON.parse(fine.out.join())).toMatchObject({ passed: true, runs: 3, failed: [] });
  const broken = await run(`${CRASHING} --runs 2 --tries 0 --json`, noDeaths);
  expect(broken.status).toBe(1);
  expect(broken.out).toHaveLength(1);
  const { passed, runs, failed } = JSON.parse(broken.out[0] ?? "");
  expect({ passed, runs }).toEqual({ passed: false, runs: 2 });
  expect(failed[0]).toMatchObject({ seed: 1 });
  expect(Object.keys(failed[0].violations[0])).toEqual(["rule", "atMs", "detail"]);
});

test("a failure ends with the exact command that repeats it", async () => {
  const first = await run(`${CRASHING} --tries 0`, noDeaths);
  expect(first.status).toBe(1);
  expect(first.out[1]).toBe("FAILED: I1 broken");
  const command = first.out.at(-1) ?? "";
  expect(command).toMatch(/^npm run sim -- --seed 1 /);
  const again = await run(`${command.replace("npm run sim -- ", "")} --tries 0`, noDeaths);
  expect(again).toEqual(first);
});

test("a failure is shrunk, and the smallest run is shown with the last events of each peer", async () => {
  const { out } = await run(CRASHING, noDeaths);
  const start = out.findIndex((line) =>
    /^The smallest of \d+ runs that still breaks I1:$/.test(line),
  );
  expect(start).toBeGreaterThan(0);
  expect(out[start + 1]).toContain("--faults crash --workload none");
  for (const peer of ["peer-0:", "peer-1:"]) expect(out.slice(start)).toContain(peer);
  const commands = out.filter((line) => line.startsWith("npm run sim"));
  expect(commands).toHaveLength(2);
  const smallest = commands[0]?.replace("npm run sim -- ", "") ?? "";
  expect((await run(`${smallest} --tries 0`, noDeaths)).status).toBe(1);
});

test("of many seeds each failure has its command, and the first is shrunk", async () => {
  const { out, status } = await run(`${CRASHING} --runs 3 --tries 10`, noDeaths);
  expect(status).toBe(1);
  const failures = out.filter((line) => line.includes("FAILED I1"));
  expect(failures.length).toBeGreaterThan(1);
  expect(out.filter((line) => line.startsWith("The smallest of"))).toHaveLength(1);
  expect(out.at(-1)).toMatch(/^npm run sim -- --seed 1 /);
});

test("one of fifty seeds is run twice, and a different digest is a violation", async () => {
  let count = 0;
  const create = (options: RunOptions): Simulation => {
    count += 1;
    return new Simulation(options);
  };
  await run(`--seed 1 --runs 51 --peers 1 --shards 1 --duration 1s --faults none`, undefined, {
    create,
  });
  expect(count).toBe(53);
  count = 0;
  const drifting = (options: RunOptions): Simulation => {
    count += 1;
    const slowMs = count;
    const slow = (peer: SimulatedPeer): void => {
      peer.slowMs = slowMs;
    };
    return new Simulation(options, () => [{ changed: slow }]);
  };
  const { out, status } = await run(`--seed 1 ${SMALL} --twice --tries 0`, undefined, {
    create: drifting,
  });
  expect(status).toBe(1);
  expect(out[1]).toBe("FAILED: digest broken");
  expect(out.at(-1)).toMatch(/^npm run sim -- --seed 1 .*--duration 6s --twice$/);
});

test("what throws in a run is a violation, with where it was thrown", async () => {
  const throwing: MoreCheckers = () => [
    {
      changed: () => {
        throw new Error("This cannot be");
      },
    },
  ];
  const { out, status } = await run(`--seed 1 ${SMALL} --tries 5`, throwing);
  expect(status).toBe(1);
  expect(out[1]).toBe("FAILED: crash broken");
  expect(out[2]).toContain("Error: This cannot be at ");
});

test("a page is written where it is asked for: of the first failure, or of the slowest", async () => {
  const one = await run(`--seed 4 ${SMALL} --report one.html`);
  expect(one.files.get("one.html")).toContain("<title>Seed 4 passed</title>");
  expect(one.err).toEqual(["Wrote one.html"]);
  const many = await run(`${CRASHING} --runs 2 --tries 0 --report many.html`, noDeaths);
  expect(many.files.get("many.html")).toContain("<title>Seed 1 failed</title>");
  const fine = await run(`--seed 4 --runs 3 ${SMALL} --report fine.html`);
  expect(fine.files.get("fine.html")).toContain("which took longest to agree");
});

test("a page that cannot be written is wrong usage, and the result is printed all the same", async () => {
  const { err, out, status } = await run(
    `--seed 4 ${SMALL} --json --report /nowhere/x`,
    undefined,
    {
      writeFile: () => {
        throw new Error("no such directory");
      },
    },
  );
  expect(status).toBe(2);
  expect(err.at(-1)).toBe("Cannot write /nowhere/x: no such directory");
  expect(JSON.parse(out.join())).toMatchObject({ passed: true });
});

test("wrong usage says why on stderr, and runs nothing", async () => {
  const { err, out, status } = await run("--peers many");
  expect(status).toBe(2);
  expect(out).toEqual([]);
  expect(err[0]).toMatch(/^--peers takes an integer/);
});

test("--help shows the options", async () => {
  const { out, status } = await run("--help");
  expect(status).toBe(0);
  expect(out[0]).toMatch(/^Usage: npm run sim -- /);
});

test("a terminal shows how far it is, and is clean again when there is something to say", async () => {
  const drawn: string[] = [];
  const err = (text: string): void => void drawn.push(text);
  await run(`--seed 4 --runs 2 ${SMALL}`, undefined, { err });
  expect(drawn).toEqual([]);
  await run(`--seed 4 --runs 2 ${SMALL}`, undefined, { err, isTerminal: true });
  expect(drawn[0]?.slice(0, 4)).toBe("\r\x1b[K");
  expect(drawn[0]?.slice(4)).toMatch(/^\[#* *\] [01] of 2 seeds, 0 failed$/);
  expect(drawn.at(-1)).toBe("\r\x1b[K");
});

test("what was found until it was interrupted is printed", async () => {
  let turns = 0;
  const shell: Partial<Shell> = {
    turn: () => {
      turns += 1;
      return Promise.resolve();
    },
    isInterrupted: () => turns >= 3,
  };
  const many = await run(`--seed 1 --runs 1000 ${SMALL}`, undefined, shell);
  expect(many.status).toBe(130);
  expect(many.out[1]).toMatch(/^Stopped after \d+ of 1000 seeds$/);
  turns = 0;
  const one = await run("--seed 4 --duration 60s", undefined, shell);
  expect(one.status).toBe(130);
  expect(one.out.slice(1, 3)).toEqual(["Stopped; until then:", "passed"]);
  turns = 0;
  const failing = await run(
    CRASHING.replace("20s", "60s"),
    (report) => {
      report("I1", "at once");
      return [];
    },
    shell,
  );
  expect(failing.status).toBe(1);
});

/** Whoever is hired gives their first reports only when all have one, and the last one first. */
function reversing(count: number): () => Runner {
  const waiting: (() => void)[] = [];
  return () => ({
    run: async (options, isTwice) => {
      const report = { ...simulate(options), isRepeated: isTwice };
      await new Promise<void>((resolve) => {
        waiting.unshift(resolve);
        if (waiting.length === count) for (const answer of waiting) answer();
      });
      return report;
    },
  });
}

test("what comes of many seeds does not depend on how many run at a time, nor which end first", async () => {
  const line = `--seed 1 --runs 4 ${SMALL} --report page.html --tries 0`;
  const one = await run(line);
  const four = await run(line, undefined, { cores: 4, hire: reversing(4) });
  const said = (lines: readonly string[]) => lines.filter((text) => !text.includes("seeds/s"));
  expect(said(four.out)).toEqual(said(one.out));
  expect(four.out[1]).toMatch(/^4 of 4 passed in .* seeds\/s, \d+ times real time, 4 jobs\)$/);
  expect(one.out[1]).toMatch(/, 1 job\)$/);
  expect(four.files).toEqual(one.files);
});

test("failures are the same and in the same order however many run at a time", async () => {
  const line = `${CRASHING} --runs 5 --tries 3 --json`;
  const one = await run(line, noDeaths);
  const three = await run(`${line} --jobs 3`, noDeaths);
  expect(JSON.parse(one.out.join()).failed.length).toBeGreaterThan(1);
  expect(three.out).toEqual(one.out);
  expect(three.err.at(-1)).toBe(one.err.at(-1));
});

test("no more are hired than there are seeds", async () => {
  let hired = 0;
  const hire = reversing(3);
  const { out } = await run(`--seed 1 --runs 3 ${SMALL} --jobs 9`, undefined, {
    hire: () => {
      hired += 1;
      return hire();
    },
  });
  expect(hired).toBe(3);
  expect(out[1]).toContain("3 jobs");
});

const program = ["--import", "tsx", "sim/main.ts", "--seed", "4", ...SMALL.split(" ")];

test("several processes come to what one does", () => {
  const [one, two] = [1, 2].map((jobs) => {
    const more = ["--runs", "5", "--json", "--jobs", `${jobs}`];
    return spawnSync(process.execPath, [...program, ...more], { encoding: "utf8" });
  });
  expect(two?.status).toBe(0);
  expect(two?.stderr).toContain(", 2 jobs)");
  expect(two?.stdout).toBe(one?.stdout);
  expect(JSON.parse(two?.stdout ?? "").runs).toBe(5);
});

test("SIGINT stops all processes, and what is known is printed", async () => {
  const child = spawn(process.execPath, [...program, "--runs", "100000", "--jobs", "2"]);
  let out = "";
  child.stdout.on("data", (data) => {
    out += data;
  });
  await once(child.stdout, "data");
  child.kill("SIGINT");
  expect((await once(child, "close"))[0]).toBe(130);
  expect(out).toMatch(/^Stopped after \d+ of 100000 seeds$/m);
});

test("the command runs as a program, with its output where it belongs", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...program, "--json"], {
    encoding: "utf8",
  });
  expect(status).toBe(0);
  expect(stdout.match(/\n/g)).toHaveLength(1);
  expect(JSON.parse(stdout).digest).toBe(
    simulate({ seed: 4, peers: 3, shards: 3, durationMs: 6000 }).digest,
  );
  expect(stderr).toMatch(/^seed 4: /);
});
