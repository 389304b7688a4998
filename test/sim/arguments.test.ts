import fc from "fast-check";
import { expect, test } from "vitest";
import { parseArguments, usage, writeCommand, writeRequest } from "../../sim/arguments.ts";
import {
  drawOptions,
  FAULT_KINDS,
  type RunRequest,
  requestFor,
  WORKLOAD_KINDS,
} from "../../sim/options.ts";

const positive = (max: number) =>
  fc.oneof(fc.integer({ min: 1, max }), fc.double({ min: 1, max, noNaN: true }));
const share = fc
  .oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(Math.abs);
const someOf = <T>(kinds: readonly T[], minLength: number) =>
  fc.subarray([...kinds], { minLength });

const requests: fc.Arbitrary<RunRequest> = fc.record(
  {
    seed: fc.oneof(fc.nat(10_000), fc.nat(2 ** 52)),
    peers: fc.integer({ min: 1, max: 1000 }),
    shards: fc.integer({ min: 1, max: 65_536 }),
    durationMs: positive(86_400_000),
    faults: fc.oneof(fc.constantFrom("swarm" as const, "none" as const), someOf(FAULT_KINDS, 1)),
    workload: someOf(WORKLOAD_KINDS, 0),
    faultEveryMs: positive(1e9),
    operationEveryMs: positive(1e9),
    delayMsMean: fc.double({ min: 0, max: 1e5, noNaN: true }).map(Math.abs),
    diskMs: fc.double({ min: 0, max: 1e5, noNaN: true }).map(Math.abs),
    lossProbability: share,
    duplicateProbability: share,
    bytesPerMs: positive(1e9),
    downing: fc.constantFrom("majority", "off", "oldest", "static-quorum=3" as const),
    eraMs: positive(86_400_000),
    meshMax: fc.integer({ min: 1, max: 1000 }),
    startSpreadMs: positive(1e6),
    isCoreHealed: fc.boolean(),
    hosts: fc.boolean(),
  },
  { requiredKeys: ["seed"] },
);

const read = (args: readonly string[]) => {
  const parsed = parseArguments(args, 99);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.command;
};

test("what is written for a request is read as that request", () => {
  fc.assert(
    fc.property(requests, (request) => {
      expect(read(writeRequest(request)).request).toEqual(request);
    }),
  );
});

test("the shortest request for options draws these options", () => {
  fc.assert(
    fc.property(requests, (request) => {
      const options = drawOptions(request);
      const { request: again } = read(writeRequest(requestFor(options)));
      expect(drawOptions(again)).toEqual(options);
    }),
  );
});

test("the command for a seed that was asked for alone names the seed alone", () => {
  const options = drawOptions({ seed: 7 });
  expect(writeCommand(requestFor(options))).toBe("npm run sim -- --seed 7");
});

test("options that were not drawn are named in the command", () => {
  const options = drawOptions({ seed: 7, peers: 4, faults: "none", durationMs: 1500 });
  expect(writeCommand(requestFor(options))).toBe(
    "npm run sim -- --seed 7 --peers 4 --duration 1500ms --faults none",
  );
});

test("without arguments one seed is run, with a seed that the caller supplies", () => {
  expect(read([])).toEqual({
    request: { seed: 99 },
    ...{
      runs: 1,
      jobs: undefined,
      json: false,
      report: undefined,
      twice: false,
      triesMax: 200,
      help: false,
    },
  });
});

test("values are taken behind a blank or behind an equals sign", () => {
  const command = read(["--seed=5", "--report", "a=b.html", "--duration=2m", "--json"]);
  expect(command).toMatchObject({
    request: { seed: 5, durationMs: 120_000 },
    ...{ report: "a=b.html", json: true },
  });
});

test("the order of a list does not matter", () => {
  expect(read(["--faults", "crash,loss, crash"]).request.faults).toEqual(["loss", "crash"]);
});

test.each([
  [["--peers", "0"], "--peers takes an integer from 1 to 1000"],
  [["--peers", "2.5"], "--peers takes"],
  [["--seed", "-1"], "--seed takes"],
  [["--seed"], "given nothing"],
  [["--duration", "60"], "such as 500ms, 60s or 2m"],
  [["--duration", "1e99s"], "--duration takes"],
  [["--duration", "1..5s"], "--duration takes"],
  [["--faults", "gremlins"], "--faults takes"],
  [["--faults", ""], "--faults takes"],
  [["--workload", "none,route"], "--workload takes"],
  [["--loss", "1.1"], "a number from 0 to 1"],
  [["--core", "many"], '"all" or "some"'],
  [["--runs", "x"], "--runs takes"],
  [["--jobs", "0"], "--jobs takes an integer from 1 to"],
  [["--colour"], "There is no option --colour"],
  [["--json=yes"], "There is no option --json"],
  [["--constructor", "1"], "There is no option --constructor"],
  [["seed", "1"], "There is no option seed"],
])("%j is wrong usage", (args, reason) => {
  const parsed = parseArguments(args, 1);
  expect(parsed.ok ? "" : parsed.reason).toContain(reason);
});

test("the help names every option, every fault and every kind of operation", () => {
  const help = usage();
  for (const flag of writeRequest(drawOptions({ seed: 1 }))) {
    if (flag.startsWith("--")) expect(help).toContain(`  ${flag} `);
  }
  for (const kind of [...FAULT_KINDS, ...WORKLOAD_KINDS]) expect(help).toContain(`    ${kind} `);
  for (const flag of ["--runs", "--jobs", "--json", "--report", "--tries", "--twice", "--help"]) {
    expect(help).toContain(flag);
  }
});
