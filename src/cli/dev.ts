/**
 * `hearsay dev`: a cluster on this machine, to look at.
 *
 * Starts real peers as child processes, routes real documents, and shows who hosts how much while peers
 * are killed and started again. Every peer joins by the addresses of all others, so any of them can be
 * started again with the same command line, and none founds a second cluster.
 */
import { once } from "node:events";
import { createServer } from "node:net";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { PAGE_PATH } from "../io/page-files.ts";
import { defineCommand } from "./command.ts";
import { DevTable } from "./dev-table.ts";
import { type FoundDocuments, findDocuments } from "./documents.ts";
import { Failure, wrongUsage } from "./failure.ts";
import { type Observation, Observer } from "./observer.ts";
import { colours, type Output, printable } from "./output.ts";
import { PeerProcess } from "./peer-process.ts";
import { Placement } from "./placement.ts";
import { stopRequested, within } from "./stopping.ts";

const HOST = "127.0.0.1";
const CLI = fileURLToPath(new URL("../cli.js", import.meta.url));

/** How long the shards may take to be spread before the table is shown as it is, in ms. */
const SHARE_TIMEOUT_MS = 5000;

/** How often a terminal's table is drawn anew at most, in ms. */
const REDRAW_MS = 100;

/** Width of a terminal that does not know its own. */
const COLUMNS_ASSUMED = 80;

interface DevSettings {
  readonly peers: number;
  readonly port: number;
  readonly shards: number;
  readonly documents: string | undefined;
}

export const dev = defineCommand({
  usage: "dev",
  summary: "run a cluster on this machine, with a live table of who hosts what",
  settings: ["peers", "port", "shards", "documents"],
  example: "hearsay dev --peers 5 --documents ~/notes",
  async run({ settings, json, output }) {
    if (settings.shards < 1) throw wrongUsage("Cannot show a cluster without shards");
    if (settings.port + settings.peers > 65_536) {
      throw wrongUsage(`Cannot use --port ${settings.port}: ${settings.peers} ports do not follow`);
    }
    const stop = stopRequested();
    const plans = plansOf(settings);
    for (const { address } of plans) await assertFree(address);
    const show = json ? showJson(output) : showText(output, plans);
    const processes = plans.map((plan) => new PeerProcess(plan, show.log));
    const pids = new Map(processes.map(({ name, pid }) => [name, pid]));
    let isUp = false;
    const observer = new Observer({
      ...{ peers: plans, pids, shardCount: settings.shards },
      report: (observation) => {
        if (isUp) show.observed(observation); // How it comes up is nobody's concern.
      },
    });
    try {
      const found = await Promise.race([bringUp(settings, processes, observer), stop]);
      if (found === undefined) return;
      isUp = true;
      show.ready(processes, found);
      show.live(observer);
      for (const each of processes) void reportEnd(each, pids, observer);
      await stop;
    } finally {
      show.end();
      observer.close();
      await Promise.all(processes.map((each) => each.stop()));
    }
  },
});

interface Found extends FoundDocuments {
  readonly folder: string;
}

/** How a cluster that runs is shown. */
interface Show {
  readonly log: (line: string) => void;
  readonly ready: (peers: readonly PeerProcess[], found: Found) => void;
  readonly observed: (observation: Observation) => void;
  readonly live: (observer: Observer) => void;
  readonly end: () => void;
}

/** Resolves when every peer serves and every document is placed. */
async function bringUp(
  settings: DevSettings,
  processes: readonly PeerProcess[],
  observer: Observer,
): Promise<Found> {
  const folder = settings.documents ?? markdownFolder();
  const kind = settings.documents === undefined ? "markdown" : "text";
  const finding = findDocuments(folder, kind).catch((error: Error) => {
    throw new Failure("BAD_REQUEST", `Cannot read documents: ${error.message}`);
  });
  const [found] = await Promise.all([finding, ...processes.map((each) => each.ready())]);
  await within(observer.balanced(), SHARE_TIMEOUT_MS);
  observer.place(await placementOf(found.documents, observer));
  return { ...found, folder };
}

/** Tells the observer when a process ends: nobody knows it sooner than its parent. */
async function reportEnd(
  { name, pid, ended }: PeerProcess,
  pids: Map<string, number>,
  observer: Observer,
): Promise<void> {
  const { code, signal } = await ended;
  const at = performance.now();
  pids.delete(name);
  observer.died(name, pid, signal !== null ? "killed" : code === 0 ? "left" : "failed", at);
}

/** Asks all peers, each for a part, which shard each document belongs to. */
async function placementOf(documents: readonly string[], observer: Observer): Promise<Placement> {
  const { living } = observer;
  const partLength = Math.ceil(documents.length / Math.max(1, living.length));
  const parts = await Promise.all(
    living.map(({ api }, index) =>
      api.route(documents.slice(index * partLength, (index + 1) * partLength)),
    ),
  );
  return new Placement(parts.flat());
}

interface PeerPlan {
  readonly name: string;
  readonly address: string;
  /** The arguments for Node. */
  readonly command: string[];
}

function plansOf({ peers, port, shards }: DevSettings): PeerPlan[] {
  const addresses = Array.from({ length: peers }, (_, index) => `${HOST}:${port + index}`);
  return addresses.map((address, index) => {
    const name = `peer-${index + 1}`;
    const others = addresses.filter((other) => other !== address).join(",");
    const joins = others === "" ? [] : ["--join", others];
    const flags = ["--name", name, "--listen", address, ...joins, "--shards", String(shards)];
    const quiet = ["--timings", "local", "--log-level", "error"];
    return { name, address, command: [CLI, "start", ...flags, ...quiet] };
  });
}

/** A peer must not meet one of another cluster on its port and take it for an older life. */
async function assertFree(address: string): Promise<void> {
  const [host, port] = address.split(":");
  const server = createServer();
  server.listen(Number(port), host);
  try {
    await once(server, "listening");
  } catch (error) {
    const because = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    const why = because ? "the port is in use" : (error as Error).message;
    throw new Failure("ADDRESS_IN_USE", `Cannot listen on ${address}: ${why}; try another --port`);
  }
  server.close();
  await once(server, "close");
}

/** In a clone the packages beside `dist`; where hearsay is installed, the folder that it lies in. */
function markdownFolder(): string {
  const root = dirname(dirname(CLI));
  const around = dirname(root);
  return basename(around) === "node_modules" ? around : join(root, "node_modules");
}

function showJson({ out, err }: Output): Show {
  let last = "";
  const show = (value: unknown): void => {
    const line = `${JSON.stringify(value)}\n`;
    if (line !== last) out(line);
    last = line;
  };
  return {
    log: (text) => err(`${text}\n`),
    ready(peers, { documents, skipped, folder }) {
      const rows = peers.map(({ name, pid, address }) => ({ name, pid, address }));
      show({ event: "ready", peers: rows, documents: documents.length, skipped, folder });
    },
    observed: show,
    live: (observer) => show({ event: "table", peers: observer.rows() }),
    end() {},
  };
}

function showText({ out, err }: Output, plans: readonly PeerPlan[]): Show {
  const { stdout } = process;
  const table = new DevTable(
    out,
    stdout.isTTY ? () => stdout.columns || COLUMNS_ASSUMED : undefined,
  );
  let redrawing: NodeJS.Timeout | undefined;
  return {
    log: (text) => (table.isLive ? table.say(printable(text)) : err(`${text}\n`)),
    ready(peers, { documents, skipped, isCut, folder }) {
      const where = printable(relative(process.cwd(), folder) || ".");
      const more = isCut ? ", there are more" : "";
      const left = skipped === 0 ? "" : `, ${skipped} left out that are binary or too long`;
      table.say(
        `${peers.length} peers are up; ${documents.length} documents of ${where} are routed${left}${more}`,
      );
      const victim = peers[Math.min(1, peers.length - 1)];
      const page = `http://${peers[0]?.address}${PAGE_PATH}`;
      table.say(`Edit a document through two of them: ${colours.bold(page)}`);
      table.say(`Kill one and see: ${colours.bold(`kill -9 ${victim?.pid}`)}; Ctrl-C ends all`);
    },
    observed(observation) {
      if (observation.event === "table") table.show(observation.peers);
      else table.say(sentenceOf(observation, plans));
    },
    live(observer) {
      table.show(observer.rows());
      if (table.isLive) redrawing = setInterval(() => table.show(observer.rows()), REDRAW_MS);
    },
    end: () => clearInterval(redrawing),
  };
}

function sentenceOf(
  observation: Exclude<Observation, { event: "table" }>,
  plans: readonly PeerPlan[],
): string {
  const { name, shards, documents } = observation;
  const counts = `${shards} shards and ${documents} documents`;
  if (observation.event === "returned") {
    return colours.green(`${name} is back and hosts ${counts} after ${observation.afterMs} ms`);
  }
  const { pid, how, servedAfterMs } = observation;
  const whose = `${name}${pid === null ? "" : ` (pid ${pid})`}`;
  const what = { killed: "was killed", failed: "has failed", left: "has left" }[how];
  const served =
    servedAfterMs === null
      ? `its ${counts} are not served yet`
      : `its ${counts} are served by the others after ${servedAfterMs} ms`;
  const plan = plans.find((each) => each.name === name);
  const restart = plan === undefined ? "" : `\nStart it again: ${commandOf(plan)}`;
  return `${colours.yellow(`${whose} ${what}; ${served}`)}${restart}`;
}

/** What to type to run a peer by hand, from where this command was run. */
function commandOf({ command }: PeerPlan): string {
  const [cli = CLI, ...args] = command;
  const near = relative(process.cwd(), cli);
  const path = near.startsWith("..") || isAbsolute(near) ? cli : near;
  const words = ["node", path, ...args].filter(
    (word) => word !== "--log-level" && word !== "error",
  );
  return words
    .map((word) => (/^[\w./:,@%+=-]+$/.test(word) ? word : JSON.stringify(word)))
    .join(" ");
}
