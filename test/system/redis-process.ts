/**
 * A real `redis-server` for tests (Debian package `redis-server`): on a port of its own, in a folder of its own,
 * and ended by its process id.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@redis/client";
import { freeAddresses } from "../peers.ts";

/** How long a server may take to start, in ms. */
const START_MS_MAX = 10_000;

export const HAS_REDIS = spawnSync("redis-server", ["--version"]).status === 0;

export class RedisProcess {
  readonly url: string;
  readonly #port: string;
  readonly #folder: string;
  readonly #flags: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(port: string, folder: string, flags: readonly string[]) {
    this.#port = port;
    this.#folder = folder;
    this.#flags = flags;
    this.url = `redis://127.0.0.1:${port}`;
  }

  /** Starts a server; `flags` as those of `redis-server`. */
  static async start(...flags: string[]): Promise<RedisProcess> {
    const [address = ""] = await freeAddresses(1);
    const folder = await mkdtemp(join(tmpdir(), "hearsay-redis-"));
    const redis = new RedisProcess(address.split(":")[1] ?? "", folder, flags);
    await redis.restart();
    return redis;
  }

  /** Starts the server again, on the same port and disk. */
  async restart(): Promise<void> {
    const place = ["--port", this.#port, "--bind", "127.0.0.1", "--dir", this.#folder];
    this.#child = spawn("redis-server", [...place, "--save", "", ...this.#flags], {
      stdio: "ignore",
    });
    const until = Date.now() + START_MS_MAX;
    while (!(await this.#answers())) {
      if (Date.now() > until) throw new Error("redis-server does not start");
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Kills the server by SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    await ended;
  }

  async end(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Has it carry out a command. */
  async command(...words: (string | Buffer)[]): Promise<unknown> {
    const client = createClient({ url: this.url, socket: { reconnectStrategy: false } });
    client.on("error", () => {});
    await client.connect();
    try {
      return await client.sendCommand(words);
    } finally {
      client.destroy();
    }
  }

  async #answers(): Promise<boolean> {
    try {
      return String(await this.command("PING")) === "PONG";
    } catch {
      return false;
    }
  }
}
