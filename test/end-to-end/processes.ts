/**
 * Real `hearsay` processes for tests: started from `dist`, waited for by what they print, and ended.
 *
 * Only processes that were started here are ever signalled, each by its own handle. Nothing sleeps: a
 * test waits for a line, an exit or an event of a peer, and a wait that takes too long fails with
 * everything that the process has said.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { PeerApi } from "../../src/cli/peer-api.ts";
import type { Allocation, Member } from "../../src/core/effect.ts";
import type { PeerStatus } from "../../src/io/served-peer.ts";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/** A wait that takes longer than this will never end, in ms. */
const WAIT_MS_MAX = 20_000;

/** How a process ended, and all that it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Flags for Node. With any the process has an IPC channel, too. */
  readonly nodeFlags?: readonly string[];
  /** What its shell limits it to, as `ulimit` takes it. */
  readonly limit?: string;
  /** Whether it runs on a terminal, which `script` makes. Default false. */
  readonly onTerminal?: boolean;
}

/** One process of the command line. */
export class Run {
  readonly child: ChildProcess;
  /** Resolves when it has ended and all of its output was read. */
  readonly ended: Promise<Ended>;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  #stdout = "";
  #stderr = "";
  #onOutput: () => void = () => {};

  constructor(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    { nodeFlags = [], limit, onTerminal = false }: RunOptions = {},
  ) {
    this.args = args;
    this.environment = environment;
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("HEARSAY_"));
    const command = [process.execPath, ...nodeFlags, CLI, ...args];
    const limited =
      limit === undefined ? command : ["bash", "-c", `ulimit ${limit}; exec "$0" "$@"`, ...command];
    const [program = "", ...rest] = onTerminal
      ? ["script", "-qfec", `exec ${limited.map(quoted).join(" ")}`, "/dev/null"]
      : limited;
    this.child = spawn(program, rest, {
      stdio: ["ignore", "pipe", "pipe", ...(nodeFlags.length > 0 ? (["ipc"] as const) : [])],
      env: { ...Object.fromEntries(inherited), ...environment },
    });
    this.child.stdout?.on("data", (chunk) => {
      this.#stdout += chunk;
      this.#onOutput();
    });
    this.child.stderr?.on("data", (chunk) => {
      this.#stderr += chunk;
      this.#onOutput();
    });
    this.ended = once(this.child, "close").then(([code, signal]) => {
      this.#onOutput();
      return { code, signal, stdout: this.#stdout, stderr: this.#stderr };
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get stdout(): string {
    return this.#stdout;
  }

  /** Everything so far, to explain what went wrong. */
  get transcript(): string {
    return `hearsay ${this.args.join(" ")}\n${this.#stdout}${this.#stderr}`;
  }

  /** Waits for output that matches; returns the match. Fails when the process ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const look = () => pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr);
    const deadline = deadlineOf(() => `${pattern} in: ${this.transcript}`);
    try {
      for (let match = look(); ; match = look()) {
        if (match !== null) return match;
        if (this.child.exitCode !== null || this.child.signalCode !== null) {
          await this.ended;
          const last = look();
          if (last !== null) return last;
          throw new Error(`Ended without ${pattern}: ${this.transcript}`);
        }
        const output = new Promise<void>((resolve) => {
          this.#onOutput = resolve;
        });
        await Promise.race([output, deadline.passed]);
      }
    } finally {
      deadline.cancel();
    }
  }

  /** Sends a signal, or none, and waits for the end. */
  async end(signal?: NodeJS.Signals): Promise<Ended> {
    if (signal !== undefined) this.child.kill(signal);
    const deadline = deadlineOf(() => `the end of: ${this.transcript}`);
    try {
      return await Promise.race([this.ended, deadline.passed]);
    } finally {
      deadline.cancel();
    }
  }
}

/** A peer that is being run. */
export class PeerRun extends Run {
  /** Where other peers dial it. */
  address = "";
  #api: PeerApi | undefined;

  /** Waits until it serves. */
  async ready(): Promise<this> {
    const [line] = await this.says(/^\{"event":"ready".*\}$/m);
    this.address = (JSON.parse(line) as { address: string }).address;
    const listen = this.args[this.args.indexOf("--listen") + 1] ?? "";
    // What a peer tells others may lead through a proxy, which a test must not depend on.
    const { HEARSAY_TOKEN: token } = this.environment;
    this.#api = new PeerApi(listen.endsWith(":0") ? this.address : listen, { token });
    return this;
  }

  get api(): PeerApi {
    if (this.#api === undefined) throw new Error("The peer is not ready yet");
    return this.#api;
  }

  status(): Promise<PeerStatus> {
    return this.api.ask("GET", "/v1/status") as Promise<PeerStatus>;
  }

  allocations(): Promise<Allocation[]> {
    return this.api.ask("GET", "/v1/allocations") as Promise<Allocation[]>;
  }

  members(): Promise<Member[]> {
    return this.api.ask("GET", "/v1/members") as Promise<Member[]>;
  }

  allocate(shard: string, region: string): Promise<Allocation> {
    return this.api.ask("PUT", `/v1/allocations/${shard}`, { region }) as Promise<Allocation>;
  }

  closeApi(): void {
    this.#api?.close();
  }
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** The processes of one test. */
export class Processes {
  readonly #runs = new Set<Run>();

  /** Runs any command. */
  run(
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
    options?: RunOptions,
  ): Run {
    return this.#add(new Run(args, environment, options));
  }

  /** Starts a peer, which may not serve yet. */
  peer(
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
    options?: RunOptions,
  ): PeerRun {
    return this.#add(new PeerRun(["start", ...args], environment, options));
  }

  /** Ends all that still run. */
  async close(): Promise<void> {
    for (const run of this.#runs) {
      if (run instanceof PeerRun) run.closeApi();
      run.child.kill("SIGKILL");
    }
    await Promise.all([...this.#runs].map((run) => run.ended));
    this.#runs.clear();
  }

  #add<Kind extends Run>(run: Kind): Kind {
    this.#runs.add(run);
    return run;
  }
}

/** Waits until `condition` holds, looking again after every event of any of the peers. */
export async function until<T>(
  what: string,
  peers: readonly PeerRun[],
  condition: () => Promise<T | undefined | false>,
): Promise<T> {
  const stopped = new AbortController();
  let wake: () => void = () => {};
  let isStale = false;
  const changed = (): void => {
    isStale = true;
    wake();
  };
  const listen = async (peer: PeerRun): Promise<void> => {
    const events = await peer.api.events(stopped.signal);
    const reading = (async () => {
      for await (const _ of events) changed();
    })();
    reading.catch(() => {}); // A peer that dies is somebody else's concern.
  };
  const seen = async () => (await Promise.all(peers.map((peer) => peer.status()))).map(summary);
  let last = "";
  const deadline = deadlineOf(() => `${what}; last seen: ${last}`);
  try {
    await Promise.all(peers.map(listen));
    for (;;) {
      isStale = false;
      const result = await condition();
      if (result !== undefined && result !== false) return result;
      last = (await seen()).join("\n");
      if (isStale) continue;
      const event = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([event, deadline.passed]);
    }
  } finally {
    deadline.cancel();
    stopped.abort();
  }
}

const summary = (status: PeerStatus): string => JSON.stringify(status);

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  const ports = await Promise.all(
    servers.map(async (server) => {
      await once(server, "listening");
      return (server.address() as { port: number }).port;
    }),
  );
  await Promise.all(
    servers.map((server) => {
      server.close();
      return once(server, "close");
    }),
  );
  return ports;
}

function deadlineOf(describe: () => string): { passed: Promise<never>; cancel: () => void } {
  let cancel = (): void => {};
  const passed = new Promise<never>((_, reject) => {
    const timeout = setTimeout(
      () => reject(new Error(`Waited in vain for ${describe()}`)),
      WAIT_MS_MAX,
    );
    cancel = () => clearTimeout(timeout);
  });
  passed.catch(() => {});
  return { passed, cancel };
}
