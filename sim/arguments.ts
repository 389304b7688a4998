/**
 * The command line of the simulator: read, and written.
 *
 * Every option of a run has a flag, and a request is written with the same table that reads it. So any
 * run, one that was shrunk too, is one exact command.
 */
import { DOWNING_FORMS, isDowning } from "../src/core/downing.ts";
import { SHARDS_MAX } from "../src/core/limits.ts";
import {
  FAULT_KINDS,
  FAULTS,
  type RunRequest,
  WORKLOAD_KINDS,
  WORKLOADS,
  type WorkloadKind,
} from "./options.ts";

const COMMAND = "npm run sim --";

const SEED_MAX = 2 ** 52;
/** A thousand peers are a few gigabytes. */
const PEERS_MAX = 1000;
const DAY_MS = 86_400_000;
/** Without a bound, a thousand calls a ms are a run that never ends. */
const EVERY_MS_MIN = 1;
const EVERY_MS_MAX = 1e9;
const RUNS_MAX = 1e9;
/** Each is a process of a hundred megabytes or more. */
const JOBS_MAX = 1000;

/** What a command line asks for. */
export interface Command {
  readonly request: RunRequest;
  /** How many seeds are run, from that of the request on. */
  readonly runs: number;
  /** How many of these are run at a time; undefined for as many as there are cores. */
  readonly jobs: number | undefined;
  readonly json: boolean;
  /** The file that gets the page. */
  readonly report: string | undefined;
  /** Runs every seed twice and compares. */
  readonly twice: boolean;
  /** How many smaller runs a failure is worth. */
  readonly triesMax: number;
  readonly help: boolean;
}

export type Parsed =
  | { readonly ok: true; readonly command: Command }
  | { readonly ok: false; readonly reason: string };

/** How values of one type are written. */
interface Syntax<T> {
  readonly what: string;
  read(text: string): T | undefined;
  write(value: T): string;
}

interface Flag<T> {
  readonly name: string;
  readonly value: string;
  readonly help: string;
  readonly syntax: Syntax<T>;
}

type RunFlags = { readonly [Name in keyof RunRequest]-?: Flag<NonNullable<RunRequest[Name]>> };

const UNITS_MS = { ms: 1, s: 1000, m: 60_000 } as const;

const RUN_FLAGS: RunFlags = {
  seed: flag(
    "seed",
    "N",
    "what the run depends on; without it, one is picked",
    integer(0, SEED_MAX),
  ),
  peers: flag("peers", "N", "how many peers", integer(1, PEERS_MAX)),
  shards: flag("shards", "N", "how many shards", integer(1, SHARDS_MAX)),
  durationMs: flag("duration", "60s", "how long faults strike", duration(1, DAY_MS)),
  faults: flag("faults", "LIST", "which faults strike: swarm (a share), none, or", {
    what: `"swarm", "none" or a list of ${FAULT_KINDS.join(", ")}`,
    read: (text) => (text === "swarm" || text === "none" ? text : listed(FAULT_KINDS, text)),
    write: (value) => (typeof value === "string" ? value : written(value)),
  }),
  workload: flag("workload", "LIST", "what users do: none, or", {
    what: `"none" or a list of ${WORKLOAD_KINDS.join(", ")}`,
    read: (text): readonly WorkloadKind[] | undefined =>
      text === "none" ? [] : listed(WORKLOAD_KINDS, text),
    write: (kinds) => written(kinds),
  }),
  faultEveryMs: flag("fault-every", "3s", "mean time between two faults of a kind", everyMs()),
  operationEveryMs: flag("operation-every", "50ms", "mean time between two calls", everyMs()),
  delayMsMean: flag("delay", "1ms", "mean delay of a frame", duration(0, DAY_MS)),
  diskMs: flag("disk", "8ms", "how long a disk takes; 0 for none", duration(0, DAY_MS)),
  lossProbability: flag("loss", "0.3", "share of frames that are lost", real(0, 1)),
  duplicateProbability: flag("duplicate", "0.5", "share of frames that come twice", real(0, 1)),
  bytesPerMs: flag("bandwidth", "BYTES", "what a link carries in a ms", real(1, 1e9)),
  downing: flag("downing", "RULE", `who goes on after a partition: ${DOWNING_FORMS.join(", ")}`, {
    what: `one of ${DOWNING_FORMS.join(", ")}`,
    read: (text) => (isDowning(text) ? text : undefined),
    write: (value) => value,
  }),
  eraMs: flag("era", "6s", "length of an era; a day for none in a run", duration(1, DAY_MS)),
  meshMax: flag("mesh-max", "N", "members up to which each links to each", integer(1, PEERS_MAX)),
  startSpreadMs: flag("start-spread", "6s", "time in which all are started", duration(0, DAY_MS)),
  isCoreHealed: flag("core", "WHO", "who is healed in the end: all, or some (others never)", {
    what: '"all" or "some"',
    read: (text) => (text === "all" || text === "some" ? text === "some" : undefined),
    write: (isSome) => (isSome ? "some" : "all"),
  }),
  hosts: flag("hosts", "yes", "whether hosts serve the shards: yes or no", {
    what: '"yes" or "no"',
    read: (text) => (text === "yes" || text === "no" ? text === "yes" : undefined),
    write: (isThere) => (isThere ? "yes" : "no"),
  }),
};

const COMMAND_FLAGS = {
  runs: flag("runs", "N", "run this seed and those after it", integer(1, RUNS_MAX)),
  jobs: flag("jobs", "N", "with --runs, so many at a time (one per core)", integer(1, JOBS_MAX)),
  report: flag("report", "FILE.html", "write a page about the run, or the worst one", {
    what: "a file",
    read: (text) => (text === "" ? undefined : text),
    write: (text: string) => text,
  }),
  triesMax: flag("tries", "N", "smaller runs to try on a failure (200)", integer(0, 1e6)),
};

const SWITCHES = {
  json: "print one line of JSON on stdout, all else on stderr",
  twice: "run every seed twice and compare (with --runs: each 50th is anyway)",
  help: "show this",
} as const;

/** Reads a command line. `seed` is the one to use when none is given. */
export function parseArguments(args: readonly string[], seed: number): Parsed {
  const request: Record<string, unknown> = { seed };
  const command: Record<string, unknown> = {};
  for (let index = 0; index < args.length; index += 1) {
    const [name = "", ...rest] = (args[index] as string).split("=");
    const inline = rest.length === 0 ? undefined : rest.join("=");
    if (isSwitch(name) && inline === undefined) {
      command[name.slice(2)] = true;
      continue;
    }
    const [option, flag] = flagOf(name);
    if (flag === undefined) return { ok: false, reason: `There is no option ${name}` };
    if (inline === undefined) index += 1;
    const text = inline ?? args[index];
    const value = text === undefined ? undefined : flag.syntax.read(text);
    if (value === undefined) {
      const given = text === undefined ? "nothing" : JSON.stringify(text);
      return { ok: false, reason: `${name} takes ${flag.syntax.what}, and was given ${given}` };
    }
    (option in RUN_FLAGS ? request : command)[option] = value;
  }
  const defaults = { runs: 1, jobs: undefined, report: undefined, triesMax: 200 };
  const switches = { json: false, twice: false, help: false };
  const whole = { ...defaults, ...switches, ...command, request };
  return { ok: true, command: whole as unknown as Command };
}

/** The flags of a request, the seed's first. `parseArguments` gives the request back. */
export function writeRequest(request: RunRequest): string[] {
  return Object.entries(RUN_FLAGS).flatMap(([option, { name, syntax }]) => {
    const value = request[option as keyof RunRequest];
    return value === undefined ? [] : [name, (syntax as Syntax<unknown>).write(value)];
  });
}

/** The exact command that runs a request. */
export function writeCommand(request: RunRequest, more: readonly string[] = []): string {
  return [COMMAND, ...writeRequest(request), ...more].join(" ");
}

/** What `--help` shows. */
export function usage(): string {
  const flags = [...Object.values(RUN_FLAGS), ...Object.values(COMMAND_FLAGS)] as Flag<unknown>[];
  const width = Math.max(...flags.map(({ name, value }) => name.length + value.length)) + 3;
  const line = (left: string, right: string) => `  ${left.padEnd(width)}${right}`;
  const kinds = (texts: Readonly<Record<string, string>>) =>
    Object.entries(texts).map(([kind, text]) => `    ${kind.padEnd(width - 2)}${text}`);
  return [
    `Usage: ${COMMAND} [options]`,
    "",
    "Runs whole clusters in virtual time, from a seed, and says whether anything broke that must hold.",
    "What is not given is drawn from the seed. Exit status: 0 all held, 1 something broke, 2 wrong usage.",
    "",
    ...flags.flatMap(({ name, value, help }) => {
      const more = name === "--faults" ? FAULTS : name === "--workload" ? WORKLOADS : {};
      return [line(`${name} ${value}`, help), ...kinds(more)];
    }),
    ...Object.entries(SWITCHES).map(([name, help]) => line(`--${name}`, help)),
    "",
  ].join("\n");
}

/** A time, as short as it can be exact. */
function writeDuration(ms: number): string {
  return ms % 1000 === 0 && ms > 0 ? `${ms / 1000}s` : `${ms}ms`;
}

function flag<T>(name: string, value: string, help: string, syntax: Syntax<T>): Flag<T> {
  return { name: `--${name}`, value, help, syntax };
}

function flagOf(name: string): [string, Flag<unknown> | undefined] {
  const all: [string, unknown][] = [...Object.entries(RUN_FLAGS), ...Object.entries(COMMAND_FLAGS)];
  const found = all.find(([, flag]) => (flag as Flag<unknown>).name === name);
  return [found?.[0] ?? "", found?.[1] as Flag<unknown> | undefined];
}

function isSwitch(name: string): boolean {
  return name.startsWith("--") && Object.hasOwn(SWITCHES, name.slice(2));
}

function real(min: number, max: number): Syntax<number> {
  return {
    what: `a number from ${min} to ${max}`,
    read: (text) => (/^\d/.test(text) ? within(Number(text), min, max) : undefined),
    write: String,
  };
}

function integer(min: number, max: number): Syntax<number> {
  return {
    what: `an integer from ${min} to ${max}`,
    read: (text) => (/^\d+$/.test(text) ? within(Number(text), min, max) : undefined),
    write: String,
  };
}

function duration(min: number, max: number): Syntax<number> {
  return {
    what: `a time from ${writeDuration(min)} to ${writeDuration(max)}, such as 500ms, 60s or 2m`,
    read: (text) => {
      const [, digits, unit = "ms"] = /^(\d[\d.e+-]*?)(ms|s|m)$/.exec(text) ?? [];
      const ms = text === "0" ? 0 : Number(digits) * UNITS_MS[unit as keyof typeof UNITS_MS];
      return within(ms, min, max);
    },
    write: writeDuration,
  };
}

function everyMs(): Syntax<number> {
  return duration(EVERY_MS_MIN, EVERY_MS_MAX);
}

function within(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}

/** Kinds in their own order, so that equal sets are equal runs. */
function listed<T extends string>(kinds: readonly T[], text: string): readonly T[] | undefined {
  const names = text.split(",").map((name) => name.trim());
  if (!names.every((name) => kinds.some((kind) => kind === name))) return undefined;
  return kinds.filter((kind) => names.includes(kind));
}

function written(kinds: readonly string[]): string {
  return kinds.length === 0 ? "none" : kinds.join(",");
}
