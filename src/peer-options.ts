/**
 * What a peer is started with: every option with unit, range and default, and the check of each.
 *
 * Options are checked all at once and before anything is opened, so that a mistake is an exception where
 * it was made, and nothing has to be undone. An option that does not exist is a mistake as well: a
 * misspelt `join` would found a second cluster, and a `secret` that nobody reads would protect nobody.
 *
 * Rules: SPEC.md, R6 and S6.
 */
import { isIP, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import { isWellFormed } from "./core/canonical.ts";
import { DOWNING_FORMS, type Downing, isDowning } from "./core/downing.ts";
import { HearsayError } from "./core/error.ts";
import { JOIN_ADDRESSES_MAX, SHARDS_MAX, ZONE_LENGTH_MAX } from "./core/limits.ts";
import { STRATEGY_NAMES, type Strategy } from "./core/strategy.ts";
import { TIMINGS, type Timings, type TimingsPreset } from "./core/timings.ts";
import { type Address, NAME_PATTERN, type PeerName } from "./core/units.ts";
import { formatAddress, type HostAndPort, parseAddress } from "./io/addresses.ts";
import type { Join } from "./io/discovery.ts";
import { problemOfSecrets, type Secrets } from "./io/key-ring.ts";
import { parseJoin } from "./io/names.ts";
import type { Origins } from "./io/origin.ts";
import { Credentials, type TlsFiles } from "./io/tls.ts";
import { type LiveOptions, type LiveSettings, readLiveOptions } from "./live-queries.ts";

/** Where a peer says what happens to it. Shaped like a pino logger; most others fit, too. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface PeerOptions {
  /** Name of the peer, and of the region it hosts shards in: unique in the cluster, kept for ever. */
  readonly name: PeerName;
  /** Name of the cluster. Peers of different clusters do not link. Default "hearsay". */
  readonly cluster?: string;
  /** Where to listen, `host:port`; port 0 takes any free one. Default "127.0.0.1:7100". */
  readonly listen?: string;
  /**
   * Where other peers can dial this one, `host:port`, if that is not where it listens. Default: the
   * address listened on; of 0.0.0.0 and [::], the first address of this machine that is not internal.
   */
  readonly advertise?: string;
  /**
   * Addresses of other peers, names for them, or a function that finds such. `host:port` is an address;
   * `dns:NAME:PORT` is every A and AAAA record of a name; `srv:NAME` is every SRV record of
   * `_hearsay._tcp.NAME`. Names and functions are asked again from time to time. A peer with any of it
   * waits for the cluster [A0]; without, it founds one. At most 256. Default none.
   */
  readonly join?: Join;
  /** How many shards are configured, 0 to 65 536; the same on all peers. Default 256. */
  readonly shards?: number;
  /** What fails together, such as a rack: up to 64 characters. Default none. */
  readonly zone?: string;
  /** Share of the shards relative to other regions, above 0. Default 1. */
  readonly weight?: number;
  /**
   * Directory for what must survive a restart, made when it is not there; of this peer alone. Without
   * one a peer keeps everything in memory, and a cluster that stops as a whole forgets it. Default none.
   */
  readonly data?: string;
  /**
   * What all peers of the cluster know and nobody else: 16 to 1024 characters, best random ones. Links to
   * peers without it are refused. Several, at most 4, for a rotation: each peer proves with its first
   * that the other has, too. A function is asked for each new link; what it throws refuses the link.
   * Default none.
   */
  readonly secret?: Secrets | (() => Secrets);
  /**
   * Files in PEM: the certificate of this peer, whose name is the URI `hearsay://<cluster>/<name>`; its key;
   * and the authorities of all peers' certificates. With them links and clients speak TLS 1.3 only, peers show
   * each other certificates, and files are read again when they have changed. Default none: in the clear.
   */
  readonly tls?: TlsFiles;
  /**
   * What clients may do: `<token> <scope>` each, with a scope of `read`, `write` or `admin`, and after it
   * `tenant=NAME` for one that is good for live queries of that tenant only. With any, every client needs
   * one. A function is asked again for each request. Default none: without a secret or TLS clients are not
   * asked for anything, and with either only those of this machine are answered.
   */
  readonly tokens?: readonly string[] | (() => readonly string[]);
  /**
   * Strategies of your own, by name: functions of the regions, the shards and where these are, to the region
   * of each shard. They run on every region, so give all peers the same; `rebalance` chooses one. Default
   * none.
   */
  readonly strategies?: Readonly<Record<string, Strategy>>;
  /** Entities of rows that can be written and followed here, by `peer.live`. Default none. */
  readonly live?: LiveOptions;
  /**
   * Who goes on after a partition: the majority, the side with at least n members ("static-quorum=n"),
   * that with the oldest one ("oldest"), or everybody ("off"); the same on all peers. Default "majority".
   */
  readonly downing?: Downing;
  /** A preset, or durations in ms that differ from those of "lan". Default "lan". */
  readonly timings?: TimingsPreset | Partial<Timings>;
  /** Allows to listen on more than loopback without authentication [S6]. Default false. */
  readonly insecure?: boolean;
  /**
   * Pages that may command this peer from a browser: "same-host", those of its own address; or a list of
   * origins such as ["https://console.example.com"], at most 64. Programs are not concerned. Default
   * "same-host".
   */
  readonly origins?: Origins;
  /**
   * Whether this peer hosts documents, and how; the same on all peers of the cluster. Default false: its
   * shards are the user's alone.
   */
  readonly documents?: boolean | DocumentsOption;
  /** Default: silent. */
  readonly logger?: Logger;
  /** Gives up starting; has no effect on a peer that has started. Default none. */
  readonly signal?: AbortSignal;
}

/** How documents are hosted. */
export interface DocumentsOption {
  /** Copies of each document besides the one at its region, 0 to 16. Default 2. */
  readonly replicas?: number;
  /**
   * Durable copies that an acknowledged edit has: 1, the region's; 2, another one, too; "all". Fewer while
   * there are fewer peers. Default 2.
   */
  readonly acks?: 1 | 2 | "all";
}

/** Options that have been checked, defaults filled in. */
export interface PeerSettings {
  /** Undefined: none are hosted. */
  readonly documents: Required<DocumentsOption> | undefined;
  readonly name: PeerName;
  readonly cluster: string;
  readonly listen: HostAndPort;
  /** Undefined when it follows from where the peer listens. */
  readonly advertise: Address | undefined;
  readonly join: Join;
  readonly shardCount: number;
  readonly zone: string | null;
  readonly weight: number;
  readonly data: string | undefined;
  readonly tokens: (() => readonly string[]) | undefined;
  readonly tls: TlsFiles | undefined;
  /** Checked each time. Undefined: no secret. */
  readonly secret: (() => Secrets) | undefined;
  readonly downing: Downing;
  readonly strategies: ReadonlyMap<string, Strategy>;
  readonly live: LiveSettings | undefined;
  readonly timings: Timings;
  readonly origins: Origins;
  readonly logger: Logger;
  readonly signal: AbortSignal | undefined;
}

const SHARDS_DEFAULT = 256;

/** Copies of a document besides the first. */
const REPLICAS_MAX = 16;

/** Origins that are compared with each request of a page. */
const ORIGINS_MAX = 64;

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** All the options there are. */
const OPTION_NAMES: Record<keyof PeerOptions, true> = {
  ...{ name: true, cluster: true, listen: true, advertise: true, join: true, shards: true },
  ...{ zone: true, weight: true, downing: true, timings: true, insecure: true, logger: true },
  ...{ data: true, secret: true, tokens: true, origins: true, strategies: true },
  ...{ signal: true, documents: true, live: true, tls: true },
};

/**
 * Checks options and fills in defaults. Throws a TypeError for what has the wrong type or form, a
 * RangeError for what is out of range, and `INSECURE_LISTEN`.
 */
export function readOptions(options: PeerOptions): PeerSettings {
  if (typeof options !== "object" || options === null) throw wrong("the options are no object");
  for (const option of Object.keys(options)) {
    if (!Object.hasOwn(OPTION_NAMES, option)) {
      throw wrong(`there is no option ${JSON.stringify(option)}`);
    }
  }
  const { cluster = "hearsay", advertise, join = [], downing = "majority", signal } = options;
  const listen = parseAddress(options.listen ?? "127.0.0.1:7100", "listen");
  if (advertise !== undefined) parseAddress(advertise);
  if (!isDowning(downing)) {
    throw wrong(`downing is none of ${DOWNING_FORMS.map(quote).join(", ")}`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrong("signal is none");
  const isGuarded = options.secret !== undefined || options.tls !== undefined;
  refuseOpenDoor(listen, options.insecure ?? false, isGuarded);
  const party = { name: readName("name", options.name), cluster: readName("cluster", cluster) };
  return {
    ...party,
    tls: options.tls === undefined ? undefined : readTls(options.tls, party),
    listen,
    advertise,
    join: readJoin(join),
    shardCount: readShards(options.shards ?? SHARDS_DEFAULT),
    zone: readZone(options.zone ?? null),
    weight: readWeight(options.weight ?? 1),
    secret: options.secret === undefined ? undefined : readSecret(options.secret),
    tokens: options.tokens === undefined ? undefined : readTokens(options.tokens),
    data: options.data === undefined ? undefined : readDirectory(options.data),
    downing,
    strategies: readStrategies(options.strategies ?? {}),
    live: options.live === undefined ? undefined : readLiveOptions(options.live),
    timings: readTimings(options.timings ?? "lan"),
    documents: readDocuments(options.documents ?? false),
    origins: readOrigins(options.origins ?? "same-host"),
    logger: readLogger(options.logger ?? SILENT),
    signal,
  };
}

function readDocuments(value: boolean | DocumentsOption): PeerSettings["documents"] {
  if (value === false) return undefined;
  const { replicas = 2, acks = 2, ...others } = value === true ? {} : value;
  if (typeof value !== "object" && value !== true) throw wrong("documents is no object");
  if (Object.keys(others).length > 0) throw wrong("documents has an option that there is not");
  if (!Number.isInteger(replicas) || replicas < 0 || replicas > REPLICAS_MAX) {
    throw new RangeError(`Cannot start: replicas is no integer from 0 to ${REPLICAS_MAX}`);
  }
  if (acks !== 1 && acks !== 2 && acks !== "all") throw wrong('acks is none of 1, 2 and "all"');
  return { replicas, acks };
}

/** Where others dial a peer that listens on `listened`, with the port that it really has. */
export function addressToTell(settings: PeerSettings, listened: HostAndPort): Address {
  if (settings.advertise !== undefined) return settings.advertise;
  const { host } = settings.listen;
  const isAnyAddress = host === "0.0.0.0" || host === "::";
  return formatAddress({ host: isAnyAddress ? outerHost() : host, port: listened.port });
}

/** [S6] Whoever reaches the port could link as a peer, so strangers must not reach it. */
function refuseOpenDoor({ host }: HostAndPort, insecure: boolean, isGuarded: boolean): void {
  if (typeof insecure !== "boolean") throw wrong("insecure is not true or false");
  if (insecure || isGuarded || isLoopback(host)) return;
  throw new HearsayError(
    "INSECURE_LISTEN",
    `Cannot listen on ${quote(host)}: anyone who reaches it could command this peer. ` +
      "Set a secret (--secret-file) or certificates (--tls-cert, --tls-key, --tls-ca), listen on 127.0.0.1, or set insecure (--insecure) " +
      "where the network keeps strangers out",
  );
}

function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return host.toLowerCase() === "localhost";
  return isIPv4(host) ? host.startsWith("127.") : host === "::1";
}

function outerHost(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outer = addresses.filter(({ internal }) => !internal);
  return (outer.find(({ family }) => family === "IPv4") ?? outer[0])?.address ?? "127.0.0.1";
}

function readName(option: string, value: unknown): string {
  if (typeof value === "string" && NAME_PATTERN.test(value)) return value;
  throw wrong(`${option} is not 1 to 64 letters, digits, ".", "_" and "-"`);
}

function readJoin(value: unknown): Join {
  if (typeof value === "function") return value as Join;
  if (!Array.isArray(value)) throw wrong("join is neither a list of addresses nor a function");
  if (value.length > JOIN_ADDRESSES_MAX) {
    throw outOfRange(`join has more than ${JOIN_ADDRESSES_MAX} addresses`);
  }
  for (const text of value) parseJoin(text);
  return [...value];
}

function readShards(value: unknown): number {
  if (typeof value !== "number") throw wrong("shards is not a number");
  if (Number.isInteger(value) && value >= 0 && value <= SHARDS_MAX) return value;
  throw outOfRange(`shards is not an integer from 0 to ${SHARDS_MAX}`);
}

function readZone(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value !== "string") throw wrong("zone is not a string");
  if (value.length > 0 && value.length <= ZONE_LENGTH_MAX && isWellFormed(value)) return value;
  throw outOfRange(`zone is not well-formed text of 1 to ${ZONE_LENGTH_MAX} characters`);
}

function readWeight(value: unknown): number {
  if (typeof value !== "number") throw wrong("weight is not a number");
  if (value > 0 && value < Number.POSITIVE_INFINITY) return value;
  throw outOfRange("weight is not a finite number above 0");
}

function readSecret(value: unknown): () => Secrets {
  const ask = typeof value === "function" ? (value as () => Secrets) : () => value as Secrets;
  const checked = (): Secrets => {
    const secrets = ask();
    const problem = problemOfSecrets(secrets);
    if (problem !== undefined) throw wrong(`secret ${problem}`);
    return secrets;
  };
  checked(); // A mistake that is there already is found now.
  return checked;
}

function readTls(value: unknown, party: { name: PeerName; cluster: string }): TlsFiles {
  const files = (value ?? {}) as Partial<Record<keyof TlsFiles, unknown>>;
  const { cert, key, ca, ...rest } = files;
  const isGood = [cert, key, ca].every((path) => typeof path === "string" && path !== "");
  if (!isGood || Object.keys(rest).length > 0) throw wrong("tls is not three files: cert, key, ca");
  const named = { cert, key, ca } as TlsFiles;
  new Credentials(named, party, () => 0); // A mistake that is there already is found now.
  return named;
}

function readTokens(value: unknown): () => readonly string[] {
  if (typeof value === "function") return value as () => readonly string[];
  if (!Array.isArray(value) || !value.every((line) => typeof line === "string")) {
    throw wrong("tokens is no list of texts");
  }
  const lines: readonly string[] = [...value];
  return () => lines;
}

function readDirectory(value: unknown): string {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
  throw wrong("data is no path of a directory");
}

function readTimings(value: unknown): Timings {
  if (typeof value === "string") {
    if (Object.hasOwn(TIMINGS, value)) return TIMINGS[value as TimingsPreset];
    throw wrong(`timings is none of ${Object.keys(TIMINGS).map(quote).join(", ")}`);
  }
  if (typeof value !== "object" || value === null) throw wrong("timings is no preset or object");
  for (const [timing, ms] of Object.entries(value)) {
    if (!Object.hasOwn(TIMINGS.lan, timing)) throw wrong(`there is no timing ${quote(timing)}`);
    if (typeof ms !== "number") throw wrong(`${timing} is not a number`);
    const isAllowed = ms > 0 || (ms === 0 && timing === "flushMs");
    if (!isAllowed || ms === Number.POSITIVE_INFINITY) {
      throw outOfRange(`${timing} is not a finite number of ms above 0`);
    }
  }
  const timings: Timings = { ...TIMINGS.lan, ...value };
  if (timings.silenceMs < 3 * timings.heartbeatMs) {
    throw outOfRange("silenceMs is less than three times heartbeatMs");
  }
  return timings;
}

function readStrategies(value: unknown): ReadonlyMap<string, Strategy> {
  if (typeof value !== "object" || value === null) throw wrong("strategies is no object");
  const strategies = new Map<string, Strategy>();
  for (const [name, strategy] of Object.entries(value)) {
    if (!NAME_PATTERN.test(name)) throw wrong(`${quote(name)} is no name of a strategy`);
    const isKnown = (STRATEGY_NAMES as readonly string[]).includes(name);
    if (isKnown) throw wrong(`the strategy ${quote(name)} is there already`);
    if (typeof strategy !== "function") throw wrong(`the strategy ${quote(name)} is no function`);
    strategies.set(name, strategy);
  }
  return strategies;
}

function readOrigins(value: unknown): Origins {
  if (value === "same-host") return value;
  if (!Array.isArray(value)) throw wrong('origins is neither "same-host" nor a list');
  if (value.length > ORIGINS_MAX) throw outOfRange(`origins has more than ${ORIGINS_MAX} entries`);
  for (const origin of value) {
    const isOrigin = URL.canParse(origin) && new URL(origin).origin === origin;
    if (!isOrigin) throw wrong(`${quote(String(origin))} is no origin, such as https://a.example`);
  }
  return [...value];
}

function readLogger(value: unknown): Logger {
  const logger = value as Partial<Record<keyof Logger, unknown>>;
  const isLogger =
    typeof value === "object" &&
    value !== null &&
    Object.keys(SILENT).every((level) => typeof logger[level as keyof Logger] === "function");
  if (isLogger) return value as Logger;
  throw wrong("logger has no functions debug, info, warn and error");
}

function wrong(what: string): TypeError {
  return new TypeError(`Cannot start a peer: ${what}`);
}

function outOfRange(what: string): RangeError {
  return new RangeError(`Cannot start a peer: ${what}`);
}

function quote(text: string): string {
  return JSON.stringify(text);
}
