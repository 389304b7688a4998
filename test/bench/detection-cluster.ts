/**
 * A cluster of processes for the benches `kill`, `hang` and `idle`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "./child.ts";
import type { Command, Opened, Seen, Usage } from "./detection-child.ts";
import { nowMs } from "./measure.ts";

/** How long something may take until the bench gives up, in ms. */
const WAIT_MS_MAX = 20_000;
/** How often it is asked for: seldom, since asking costs those who are asked time. */
const ASK_MS = 150;

interface Running extends Opened {
  readonly child: Child;
  readonly name: string;
}

export class DetectionCluster {
  readonly #timings: "lan" | "fast";
  #peers: Running[] = [];

  constructor(timings: "lan" | "fast") {
    this.#timings = timings;
  }

  get names(): string[] {
    return this.#peers.map(({ name }) => name);
  }

  incarnationOf(name: string): string | undefined {
    return this.#peers.find((peer) => peer.name === name)?.incarnation;
  }

  async start(name: string): Promise<void> {
    const child = new Child(new URL("./detection-child.ts", import.meta.url));
    const join = this.#peers.map(({ address }) => address).slice(0, 3);
    const command: Command = { type: "open", name, join, timings: this.#timings };
    const opened = (await child.ask(command)) as Opened;
    this.#peers.push({ ...opened, child, name });
  }

  /** Waits until nothing moves, and forgets what was seen. */
  async settle(): Promise<void> {
    const command: Command = { type: "settle", count: this.#peers.length };
    await Promise.all(this.#peers.map(({ child }) => child.ask(command)));
    await Promise.all(this.#peers.map(({ child }) => child.ask({ type: "seen" })));
  }

  /** Sends a signal and returns when. A process that is killed is no part of the cluster any more. */
  signal(name: string, signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): number {
    const peer = this.#peers.find((other) => other.name === name);
    const atMs = nowMs();
    peer?.child.signal(signal);
    if (signal === "SIGKILL") this.#peers = this.#peers.filter((other) => other !== peer);
    return atMs;
  }

  /** When each of the others saw `name` in that state first, in ms after `sinceMs`. */
  async sightings(name: string, status: string, sinceMs: number): Promise<Map<string, number>> {
    const others = this.#peers.filter((other) => other.name !== name);
    const found = new Map<string, number>();
    while (found.size < others.length) {
      if (nowMs() - sinceMs > WAIT_MS_MAX) {
        throw new Error(`${name} is ${status} to ${found.size} of ${others.length} only`);
      }
      await sleep(ASK_MS);
      for (const other of others) {
        for (const seen of (await other.child.ask({ type: "seen" })) as Seen[]) {
          const isIt = seen.name === name && seen.status === status && seen.atMs >= sinceMs;
          if (!isIt || found.has(other.name)) continue;
          if (status === "alive" && seen.incarnation !== this.incarnationOf(name)) {
            throw new Error(`${name} came back as somebody else`);
          }
          found.set(other.name, seen.atMs - sinceMs);
        }
      }
    }
    return found;
  }

  async usage(): Promise<Usage[]> {
    return Promise.all(
      this.#peers.map(async ({ child }) => (await child.ask({ type: "usage" })) as Usage),
    );
  }

  async end(): Promise<void> {
    const peers = this.#peers;
    this.#peers = [];
    for (const { child } of peers) child.signal("SIGCONT");
    await Promise.all(peers.map(({ child }) => child.end()));
  }
}
