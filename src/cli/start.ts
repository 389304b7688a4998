/**
 * `hearsay start`: runs one peer until it is told to stop.
 *
 * The first line of stdout says that the peer serves; a script that started it needs to wait for
 * nothing else. A first SIGTERM or SIGINT makes the peer leave, which gives its shards to others; it is
 * given a deadline, since a process that cannot be stopped is stopped by force in the end. A second signal
 * does not wait.
 *
 * A process that was started with an IPC channel belongs to its parent: when the channel ends, so does
 * the peer. That is how nothing stays behind when `hearsay dev` is killed.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parseAddress } from "../io/addresses.ts";
import { SecretFile } from "../io/secret-file.ts";
import type { TlsFiles } from "../io/tls.ts";
import type { Declarations } from "../live/row.ts";
import { type PeerOptions, readOptions } from "../peer-options.ts";
import { defineCommand } from "./command.ts";
import { type Settings, timingsOf } from "./config.ts";
import { wrongUsage } from "./failure.ts";
import { stopRequested, within } from "./stopping.ts";

/** How long leaving may take, in ms. It is one write and a round trip. */
const LEAVE_TIMEOUT_MS = 5000;

/** How long a process that is done may linger, in ms, before whatever keeps it is cut off. */
const LINGER_MS = 500;

const START_SETTINGS = [
  ...(["name", "listen", "advertise", "join", "cluster", "shards", "zone", "weight"] as const),
  ...([
    "data",
    "secretFile",
    "tokenFile",
    "live",
    "liveBus",
    "tlsCert",
    "tlsKey",
    "tlsCa",
    "timings",
    "downing",
    "insecure",
    "logLevel",
    "logFormat",
    "replicas",
    "acks",
  ] as const),
] as const;

type StartSettings = Pick<Settings, (typeof START_SETTINGS)[number]>;

export const start = defineCommand({
  usage: "start",
  summary: "run a peer",
  settings: START_SETTINGS,
  example: "hearsay start --listen 127.0.0.1:7101 --join 127.0.0.1:7100",
  async run({ settings, output }) {
    const options = optionsOf(settings);
    const stop = stopRequested();
    // Loaded here, since a command that asks a peer needs none of it.
    const [{ startPeer }, { createLog }] = await Promise.all([
      import("../peer.ts"),
      import("./log.ts"),
    ]);
    const logger = createLog({ level: settings.logLevel, format: settings.logFormat }, output.err);
    const givesUp = new AbortController();
    const starting = startPeer({ ...options, logger, signal: givesUp.signal });
    const peer = await Promise.race([starting, stop]);
    if (peer === undefined) {
      givesUp.abort();
      await within(
        starting.catch(() => {}),
        LEAVE_TIMEOUT_MS,
      ); // It had nothing to hand over yet.
      return linger();
    }
    const { name, address, incarnation } = peer;
    output.out(`${JSON.stringify({ event: "ready", name, address, incarnation })}\n`);
    try {
      await Promise.race([stop, peer.ended]);
      await within(peer.leave(), LEAVE_TIMEOUT_MS);
    } finally {
      linger();
    }
  },
});

/** What is wrong with the settings as a whole is wrong usage, like what is wrong with one. */
function optionsOf(settings: StartSettings): PeerOptions {
  const {
    name = defaultName(settings.listen),
    timings,
    logLevel: _,
    logFormat: __,
    secretFile,
    tokenFile,
    live,
    liveBus,
    tlsCert,
    tlsKey,
    tlsCa,
    replicas,
    acks,
    ...rest
  } = settings;
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const tls = [tlsCert, tlsKey, tlsCa];
  const options = {
    ...(tls.every((path) => path === undefined) ? {} : { tls: tlsFiles(tls) }),
    ...(secretFile === undefined ? {} : { secret: linesOf(secretFile) }),
    ...(tokenFile === undefined ? {} : { tokens: linesOf(tokenFile) }),
    ...(live === undefined ? {} : { live: { entities: readEntities(live), bus: liveBus } }),
    ...Object.fromEntries(given),
    name,
    timings: timingsOf(timings),
    documents: { replicas, acks: acks === "all" ? acks : Number(acks) },
  } as PeerOptions;
  try {
    readOptions(options);
    return options;
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw wrongUsage(error.message);
    throw error;
  }
}

/** What a file declares; the peer judges it. */
function readEntities(path: string): Declarations {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Declarations;
  } catch (error) {
    throw wrongUsage(`Cannot read --live ${path}: ${(error as Error).message}`);
  }
}

function tlsFiles([cert, key, ca]: readonly (string | undefined)[]): TlsFiles {
  if (cert !== undefined && key !== undefined && ca !== undefined) return { cert, key, ca };
  throw wrongUsage("Cannot start: --tls-cert, --tls-key and --tls-ca go together");
}

/** The lines of a file as they are whenever somebody asks. */
function linesOf(path: string): () => readonly string[] {
  const file = new SecretFile(path);
  return () => file.lines();
}

/**
 * The same for every start with the same `--listen`, so that a restart is the same peer. Where the
 * port is any, the process tells two peers of one machine apart.
 */
export function defaultName(listen: string): string {
  const { port } = parseAddress(listen, "listen");
  const host = hostname()
    .replace(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "");
  const end = `-${port === 0 ? process.pid : port}`;
  return `${(host || "peer").slice(0, 64 - end.length)}${end}`;
}

/** Ends the process soon, also if something should keep it running. */
function linger(): void {
  if (process.connected) process.disconnect();
  setTimeout(() => process.exit(), LINGER_MS).unref();
}
