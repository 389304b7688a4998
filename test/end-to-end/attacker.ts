/**
 * Somebody who means no good: raw connections, WebSockets, and links that were let in.
 *
 * What it opens it closes with `release`. It never waits for longer than `WAIT_MS`, whatever the other end does.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { WebSocket } from "ws";
import { keyRing } from "../../src/io/key-ring.ts";
import { Handshake, type Identity } from "../../src/wire/handshake.ts";

/** A wait that takes longer has its answer, in ms. */
const WAIT_MS = 15_000;

export class Attacker {
  readonly port: number;
  readonly #secret: string;
  readonly #shards: number;
  readonly #open: { destroy(): void }[] = [];
  #names = 0;

  constructor(port: number, secret: string, shards: number) {
    this.port = port;
    this.#secret = secret;
    this.#shards = shards;
  }

  release(): void {
    for (const socket of this.#open.splice(0)) socket.destroy();
  }

  /** A connection that says `bytes` and then nothing. */
  async raw(...bytes: (string | Uint8Array)[]): Promise<Socket> {
    const socket = connect(this.port, "127.0.0.1").on("error", () => {});
    this.#open.push(socket);
    await Promise.race([once(socket, "connect"), once(socket, "close")]);
    for (const part of bytes) if (!socket.destroyed) socket.write(part);
    return socket;
  }

  /** Resolves to all that a connection answers until it ends. */
  async answer(...bytes: (string | Uint8Array)[]): Promise<string> {
    const socket = await this.raw(...bytes);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    await closed(socket);
    return text;
  }

  /** A WebSocket at a path; undefined when it was not let in. */
  async socket(path: string, headers: Record<string, string> = {}): Promise<WebSocket | undefined> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, { headers });
    this.#open.push({ destroy: () => socket.terminate() });
    socket.on("error", () => {});
    const isOpen = await new Promise((resolve) => {
      socket.once("open", () => resolve(true)).once("close", () => resolve(false));
    });
    return isOpen ? socket : undefined;
  }

  identity(differences: Partial<Identity> = {}): Identity {
    this.#names += 1;
    const name = `stranger-${this.#names}`;
    return {
      ...{ versionLow: 1, versionHigh: 1, cluster: "hearsay", name, incarnation: `m0-${name}` },
      ...{ address: "127.0.0.1:1", shardCount: this.#shards, wallMs: Date.now() },
      ...{ founding: undefined, ...differences },
    };
  }

  /** The first frame of a link. */
  hello(differences: Partial<Identity> = {}, secret = this.#secret): Uint8Array {
    const nonce = new Uint8Array(16).fill(7);
    return this.#handshake(differences, secret, nonce).start()?.slice() ?? new Uint8Array(0);
  }

  /** A link that was let in, as a member of the cluster that it meets would be. */
  async admitted(differences: Partial<Identity> = {}): Promise<WebSocket> {
    const first = await this.#shake(differences);
    const { founding, era } = first.remote;
    first.socket.terminate();
    return (await this.#shake({ founding, era, ...differences })).socket;
  }

  async #shake(differences: Partial<Identity>) {
    const socket = await this.socket("/peer");
    if (socket === undefined) throw new Error("The port takes no links");
    const handshake = this.#handshake(differences, this.#secret, new Uint8Array(16).fill(7));
    const welcome = once(socket, "message");
    socket.send(handshake.start() ?? "");
    const step = handshake.receive((await welcome)[0] as Buffer);
    if (step.type !== "open") throw new Error(`No link: ${JSON.stringify(step)}`);
    if (step.reply !== undefined) socket.send(step.reply);
    return { socket, remote: step.remote };
  }

  #handshake(differences: Partial<Identity>, secret: string, nonce: Uint8Array): Handshake {
    return new Handshake("dialler", this.identity(differences), nonce, keyRing(secret));
  }
}

/** Resolves to the status that a WebSocket was closed with, 0 when it was not in time. */
export function statusOf(socket: WebSocket): Promise<number> {
  if (socket.readyState === socket.CLOSED) return Promise.resolve(-1);
  return new Promise((resolve) => {
    const timeout = setTimeout(() => resolve(0), WAIT_MS);
    socket.once("close", (status: number) => {
      clearTimeout(timeout);
      resolve(status);
    });
  });
}

/** Resolves when a connection is gone; rejects when it stays. */
export function closed(socket: Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timeout = setTimeout(() => reject(new Error("The connection stays")), WAIT_MS);
    socket.once("close", () => {
      clearTimeout(timeout);
      resolve();
    });
    socket.resume();
  });
}
