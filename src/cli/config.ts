/**
 * The configuration of a command: flags over environment over file over defaults.
 *
 * Each setting is described once, in `SETTINGS`: the flag, the environment variable and the field of
 * a configuration file follow from its name, and all three are checked by the same function. What is
 * configured is therefore the same wherever it is written, and so is the message when it is wrong.
 *
 * A configuration file is one JSON object and may serve several commands: each takes the settings
 * that it knows and leaves those of the others, but a field that no command knows is an error, since
 * it is most often a misspelt one.
 */
import { readFileSync } from "node:fs";
import { DOWNING_FORMS, type Downing, isDowning } from "../core/downing.ts";
import { SHARDS_MAX, ZONE_LENGTH_MAX } from "../core/limits.ts";
import { TIMINGS, type Timings, type TimingsPreset } from "../core/timings.ts";
import { NAME_PATTERN } from "../core/units.ts";
import { parseAddress, splitUrl } from "../io/addresses.ts";
import { JOIN_FORMS, parseJoin } from "../io/names.ts";
import { isBus } from "../live-queries.ts";
import { wrongUsage } from "./failure.ts";

/** Everything that can be configured, by the names of the configuration file. */
export interface Settings {
  peer: string;
  ca: string | undefined;
  tlsCert: string | undefined;
  tlsKey: string | undefined;
  tlsCa: string | undefined;
  name: string | undefined;
  cluster: string;
  listen: string;
  advertise: string | undefined;
  join: readonly string[];
  shards: number;
  zone: string | undefined;
  weight: number;
  data: string | undefined;
  secretFile: string | undefined;
  tokenFile: string | undefined;
  timings: string;
  downing: Downing;
  insecure: boolean;
  logLevel: string;
  logFormat: "text" | "json";
  peers: number;
  port: number;
  documents: string | undefined;
  live: string | undefined;
  liveBus: string;
  out: string;
  hosts: readonly string[];
  replicas: number;
  acks: "1" | "2" | "all";
}

export type SettingName = keyof Settings;

interface Setting<T> {
  /** What stands for the value in `--help`; undefined for a flag without one. */
  readonly placeholder?: string;
  readonly description: string;
  readonly default: T;
  /** Reads a flag or a variable. What it cannot read it returns as it is, for `problem` to refuse. */
  readonly parse: (text: string) => unknown;
  /** What a value must be when it is not; undefined when it is good. */
  readonly problem: (value: unknown) => string | undefined;
  /** Whether the flag may be repeated. */
  readonly repeats?: boolean;
}

const text = (value: string): unknown => value;
const number = (value: string): unknown => (/^\d+(\.\d+)?$/.test(value) ? Number(value) : value);
const list = (value: string): unknown => value.split(",").map((part) => part.trim());
const boolean = (value: string): unknown =>
  ({ true: true, 1: true, false: false, 0: false })[value] ?? value;

const integer =
  (low: number, high: number) =>
  (value: unknown): string | undefined =>
    Number.isInteger(value) && Number(value) >= low && Number(value) <= high
      ? undefined
      : `must be an integer from ${low} to ${high}`;

const textUpTo =
  (lengthMax: number) =>
  (value: unknown): string | undefined =>
    typeof value === "string" && value !== "" && value.length <= lengthMax
      ? undefined
      : `must be a text of 1 to ${lengthMax} characters`;

const name = (value: unknown): string | undefined =>
  typeof value === "string" && NAME_PATTERN.test(value)
    ? undefined
    : "must be 1 to 64 letters, digits, dots, hyphens and underscores, the first no sign";

const oneOf =
  (...choices: readonly string[]) =>
  (value: unknown): string | undefined =>
    choices.includes(value as string) ? undefined : `must be one of ${choices.join(", ")}`;

const address =
  (use: "dial" | "listen") =>
  (value: unknown): string | undefined => {
    try {
      parseAddress(value as string, use);
      return undefined;
    } catch {
      return `must be host:port${use === "dial" ? " with a port that can be dialled" : ""}`;
    }
  };

const joins = (value: unknown): string | undefined => {
  const problem = `must be a list of ${JOIN_FORMS.join(", ")}`;
  if (!Array.isArray(value) || !value.every((each) => typeof each === "string")) return problem;
  try {
    for (const each of value) parseJoin(each);
    return undefined;
  } catch (error) {
    return `${problem}: ${(error as Error).message}`;
  }
};

/** A path, or none. */
const file = (description: string): Setting<string | undefined> => ({
  ...{ placeholder: "<file>", description, default: undefined },
  ...{ parse: text, problem: textUpTo(4096) },
});

/** A name, an IPv4 or an IPv6 address. */
const HOST = /^[A-Za-z0-9:][A-Za-z0-9.:-]{0,252}$/;

const SHARDS_DEFAULT = 256;

/** More would not fit one machine; a cluster of that size is for `start` on many. */
const PEERS_MAX = 32;

/** Copies of a document besides the first. */
const REPLICAS_MAX = 16;

const SETTINGS: { readonly [Name in SettingName]: Setting<Settings[Name]> } = {
  peer: {
    placeholder: "<host:port>",
    description: "the peer to ask; https:// before it where it speaks TLS",
    default: "127.0.0.1:7100",
    parse: text,
    problem: (value) =>
      address("dial")(typeof value === "string" ? splitUrl(value).address : value),
  },
  ca: file("the authority of the peer's certificate, in PEM; asks over TLS"),
  tlsCert: file("certificate of this peer, in PEM; with the next two, everything is encrypted"),
  tlsKey: file("private key of this peer, in PEM"),
  tlsCa: file("authority of all peers' certificates, in PEM"),
  name: {
    placeholder: "<name>",
    description: "name of the peer and its region, kept over restarts (default: hostname-port)",
    default: undefined,
    parse: text,
    problem: name,
  },
  cluster: {
    placeholder: "<name>",
    description: "name of the cluster; peers of different clusters do not link",
    default: "hearsay",
    parse: text,
    problem: name,
  },
  listen: {
    placeholder: "<host:port>",
    description: "where to listen; port 0 takes a free one",
    default: "127.0.0.1:7100",
    parse: text,
    problem: address("listen"),
  },
  advertise: {
    placeholder: "<host:port>",
    description: "where others reach this peer (default: where it listens)",
    default: undefined,
    parse: text,
    problem: address("dial"),
  },
  join: {
    placeholder: "<peer>",
    description:
      "a peer to join by: host:port, dns:NAME:PORT (every A and AAAA record) or srv:NAME (every SRV " +
      "record of _hearsay._tcp.NAME); repeat it, or separate by commas; without any, founds a cluster",
    default: [],
    parse: list,
    problem: joins,
    repeats: true,
  },
  shards: {
    placeholder: "<number>",
    description: "how many shards there are, the same on all peers of a cluster",
    default: SHARDS_DEFAULT,
    parse: number,
    problem: integer(0, SHARDS_MAX),
  },
  zone: {
    placeholder: "<name>",
    description: "what fails together with this peer, such as a rack or a data centre",
    default: undefined,
    parse: text,
    problem: textUpTo(ZONE_LENGTH_MAX),
  },
  weight: {
    placeholder: "<number>",
    description: "share of the shards relative to other peers",
    default: 1,
    parse: number,
    problem: (value) =>
      typeof value === "number" && Number.isFinite(value) && value > 0
        ? undefined
        : "must be a number above 0",
  },
  data: {
    placeholder: "<folder>",
    description: "keep what must survive a restart in this folder (default: in memory)",
    default: undefined,
    parse: text,
    problem: textUpTo(4096),
  },
  secretFile: file("what all peers of the cluster know: 1 to 4 lines; the first is proved with"),
  tokenFile: file("what clients may do: lines of a token and read, write or admin"),
  timings: {
    placeholder: "<preset[,name=ms...]>",
    description: `how long to wait for what: ${Object.keys(TIMINGS).join(", ")}; single ones after it`,
    default: "lan",
    parse: text,
    problem: timingsProblem,
  },
  downing: {
    placeholder: "<strategy>",
    description: `who goes on after a partition, off for both sides: ${DOWNING_FORMS.join(", ")}`,
    default: "majority",
    parse: text,
    problem: (value) =>
      isDowning(value) ? undefined : `must be one of ${DOWNING_FORMS.join(", ")}`,
  },
  insecure: {
    description: "listen on more than loopback without a secret",
    default: false,
    parse: boolean,
    problem: (value) => (typeof value === "boolean" ? undefined : "must be true or false"),
  },
  logLevel: {
    placeholder: "<level>",
    description: "least level that is logged: debug, info, warn, error or silent",
    default: "info",
    parse: text,
    problem: oneOf("debug", "info", "warn", "error", "silent"),
  },
  logFormat: {
    placeholder: "<format>",
    description: "text for people, or json for one object a line",
    default: "text",
    parse: text,
    problem: oneOf("text", "json"),
  },
  peers: {
    placeholder: "<number>",
    description: "how many peers to start",
    default: 3,
    parse: number,
    problem: integer(1, PEERS_MAX),
  },
  port: {
    placeholder: "<number>",
    description: "port of the first peer; the others take those after it",
    default: 7100,
    parse: number,
    problem: integer(1, 65_535),
  },
  live: {
    placeholder: "<file>",
    description: 'entities of rows that can be followed: JSON, {"task":{"title":"string"}}',
    default: undefined,
    parse: text,
    problem: textUpTo(4096),
  },
  liveBus: {
    placeholder: "<bus>",
    description:
      "what carries live queries: links, those between peers, or a Redis at redis://HOST",
    default: "links",
    parse: text,
    problem: (value) => (isBus(value) ? undefined : "must be links or a redis:// or rediss:// URL"),
  },
  documents: {
    placeholder: "<folder>",
    description: "route every text file below this folder (default: the Markdown in node_modules)",
    default: undefined,
    parse: text,
    problem: textUpTo(4096),
  },
  out: {
    placeholder: "<folder>",
    description: "where certificates and keys are",
    default: "certs",
    parse: text,
    problem: textUpTo(4096),
  },
  hosts: {
    placeholder: "<host>",
    description: "a name or address by which clients reach the peers; repeat it, or use commas",
    default: [],
    parse: list,
    problem: (value) =>
      Array.isArray(value) && value.every((host) => HOST.test(host))
        ? undefined
        : "must be a list of names and addresses",
    repeats: true,
  },
  replicas: {
    placeholder: "<number>",
    description: "copies of each document that is edited, besides the one at its region",
    default: 2,
    parse: number,
    problem: integer(0, REPLICAS_MAX),
  },
  acks: {
    placeholder: "<copies>",
    description: "copies that an edit must be durable in before it is acknowledged: 1, 2 or all",
    default: "2",
    parse: text,
    problem: oneOf("1", "2", "all"),
  },
};

/** `shards` is `--shards`, `logLevel` is `--log-level`. */
const dashed = (name: string): string => name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
const variableOf = (name: SettingName): string =>
  `HEARSAY_${dashed(name).replaceAll("-", "_").toUpperCase()}`;

/** The environment variable that names a configuration file. */
const FILE_VARIABLE = "HEARSAY_CONFIG";

/** How a setting appears on the command line. */
export interface Flag {
  readonly flags: string;
  readonly description: string;
  readonly repeats: boolean;
}

export function flagOf(name: SettingName): Flag {
  const { placeholder, description, repeats = false, default: standard } = SETTINGS[name];
  const isShown = !(standard === undefined || standard === false || Array.isArray(standard));
  const shown = isShown ? ` (default: ${standard})` : "";
  return {
    flags: `--${dashed(name)}${placeholder === undefined ? "" : ` ${placeholder}`}`,
    description: `${description}${shown} [${variableOf(name)}]`,
    repeats,
  };
}

/** The settings of one command, and where each of them comes from. */
export interface Configuration<Name extends SettingName> {
  readonly values: Pick<Settings, Name>;
  readonly origins: Readonly<Record<Name, string>>;
}

export interface ConfigurationSources {
  /** Flags as they were given, by setting; repeated ones in order. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The file that `--config` names. */
  readonly file?: string | undefined;
}

/** Lays the layers over each other. Throws a `Failure` that names what is wrong, and where. */
export function configure<Name extends SettingName>(
  names: readonly Name[],
  { flags, environment, file = environment[FILE_VARIABLE] }: ConfigurationSources,
): Configuration<Name> {
  const fields = file ? readFile(file) : {};
  const values: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const name of names) {
    const { parse, default: standard } = SETTINGS[name];
    const flag = flags[name];
    const variable = environment[variableOf(name)];
    let value: unknown = standard;
    let origin = "default";
    if (flag !== undefined) {
      value = parse(Array.isArray(flag) ? flag.join(",") : String(flag));
      origin = `--${dashed(name)}`;
    } else if (variable !== undefined && variable !== "") {
      value = parse(variable);
      origin = variableOf(name);
    } else if (Object.hasOwn(fields, name)) {
      value = fields[name];
      origin = file ?? "";
    }
    if (origin !== "default") check(name, value, origin === file ? inFile(name, file) : origin);
    values[name] = value;
    origins[name] = origin;
  }
  return { values, origins } as Configuration<Name>;
}

const inFile = (name: string, file: string): string => `"${name}" in ${file}`;

function check(name: SettingName, value: unknown, place: string): void {
  const problem = SETTINGS[name].problem(value);
  if (problem === undefined) return;
  throw wrongUsage(`Cannot use ${place}: it is ${JSON.stringify(value)} and ${problem}`);
}

/** Reads a configuration file whole and checks every field, whichever command asks. */
function readFile(file: string): Readonly<Record<string, unknown>> {
  let fields: unknown;
  try {
    fields = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    const because = error instanceof SyntaxError ? "it is not JSON: " : "";
    throw wrongUsage(`Cannot read ${file}: ${because}${(error as Error).message}`);
  }
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
    throw wrongUsage(`Cannot use ${file}: it must hold one JSON object`);
  }
  for (const [name, value] of Object.entries(fields)) {
    if (!isSettingName(name)) {
      const known = Object.keys(SETTINGS).join(", ");
      throw wrongUsage(`Cannot use ${inFile(name, file)}: there is no such setting, only ${known}`);
    }
    check(name, value, inFile(name, file));
  }
  return fields as Record<string, unknown>;
}

const isSettingName = (name: string): name is SettingName => Object.hasOwn(SETTINGS, name);

/** The durations that `lan,joinTimeoutMs=500` stands for. */
export function timingsOf(setting: string): Timings {
  const [preset, ...changes] = setting.split(",");
  const single = changes.map((change) => change.split("=")).map(([key, ms]) => [key, Number(ms)]);
  return { ...TIMINGS[preset as TimingsPreset], ...Object.fromEntries(single) };
}

function timingsProblem(value: unknown): string | undefined {
  const [preset, ...changes] = typeof value === "string" ? value.split(",") : [];
  const isPreset = preset !== undefined && Object.hasOwn(TIMINGS, preset);
  const isGood = changes.every((change) => {
    const [, key = "", ms] = /^(\w+)=(\d+)$/.exec(change) ?? [];
    return Object.hasOwn(TIMINGS.lan, key) && Number(ms) > 0 && Number(ms) < 2 ** 31;
  });
  if (isPreset && isGood) return undefined;
  const names = Object.keys(TIMINGS.lan).join(", ");
  const presets = Object.keys(TIMINGS).join(", ");
  return `must be one of ${presets}, with name=ms after commas for single ones of ${names}`;
}
