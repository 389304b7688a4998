/**
 * A peer as a child process of `hearsay dev`.
 *
 * The child shares an IPC channel with its parent, over which nothing is ever said: that it ends is
 * how the child learns that its parent is gone, even when that was killed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Failure } from "./failure.ts";
import { within } from "./stopping.ts";

/** Last lines of a child's stderr that are kept to explain its end. */
const LINES_KEPT = 20;

/** How long a child may take to leave before it is killed, in ms. Above its own deadline. */
const LEAVE_TIMEOUT_MS = 7000;

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class PeerProcess {
  readonly name: string;
  readonly address: string;
  /** Resolves when it has ended. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];

  /** Starts `command` with Node. `onLine` is told every line that the child logs. */
  constructor(
    options: { readonly name: string; readonly address: string; readonly command: string[] },
    onLine: (line: string) => void,
  ) {
    this.name = options.name;
    this.address = options.address;
    this.#child = spawn(process.execPath, options.command, {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: withoutOurs(process.env),
    });
    this.ended = once(this.#child, "exit").then(([code, signal]) => ({ code, signal }));
    linesOf(this.#child.stderr, (line) => {
      this.#lines.push(line);
      if (this.#lines.length > LINES_KEPT) this.#lines.shift();
      onLine(line);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when the peer serves; rejects with the reason that it gave when it ends before. */
  async ready(): Promise<void> {
    const ready = new Promise<"ready">((resolve) => {
      linesOf(this.#child.stdout, (line) => {
        if (line.includes('"ready"')) resolve("ready");
      });
    });
    const closed = once(this.#child, "close"); // Later than "exit": every line has been read.
    const outcome = await Promise.race([ready, closed]);
    if (outcome !== "ready") throw this.#failure();
  }

  /** Makes it leave, and kills it when it does not. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    if (this.#child.connected) this.#child.disconnect();
    if ((await within(this.ended, LEAVE_TIMEOUT_MS)) === undefined) this.#child.kill("SIGKILL");
    await this.ended;
  }

  /** What the last `hearsay: CODE: message` on stderr said. */
  #failure(): Failure {
    const said = this.#lines.map((line) => /^hearsay: (\w+): (.*)$/.exec(line)).findLast(Boolean);
    const [, code = "CLOSED", message = "it said nothing"] = said ?? [];
    return new Failure(code, `Cannot start ${this.name} at ${this.address}: ${message}`);
  }
}

/** What configures this command must not configure its children, who get flags. */
function withoutOurs(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !name.startsWith("HEARSAY_")),
  );
}

function linesOf(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let pending = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    const lines = (pending + chunk).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
