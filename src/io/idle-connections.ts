/**
 * Connections that ask for nothing at the moment, the longest idle first.
 *
 * A connection costs its maker nothing, so that one machine can take all that a server may have and leave
 * none to others. Who is honest says within milliseconds what it wants. So when too many say nothing, the
 * one that has been silent for longest is closed, and room remains for whoever has something to say [S4].
 *
 * A connection is known by where it comes from, which is the same below TLS and above.
 *
 * Deliberately absent: a limit by address. Many peers, and all clients behind one router, share one.
 */
import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

export class IdleConnections {
  readonly #max: number;
  /** By where they come from, in the order of their last answer. */
  readonly #idle = new Map<string, Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#idle.size;
  }

  /** Watches the connections of a server from now on. */
  watch(server: Server): void {
    server.on("connection", (socket: Socket) => {
      const origin = originOf(socket);
      socket.once("close", () => this.#remove(origin, socket));
      this.#add(origin, socket);
    });
    server.on("request", ({ socket }, response: ServerResponse) => {
      const origin = originOf(socket);
      const idle = this.#idle.get(origin);
      if (idle === undefined) return;
      this.#idle.delete(origin);
      response.once("close", () => {
        if (!idle.destroyed) this.#add(origin, idle);
      });
    });
  }

  /** An upgraded connection is its new owner's, who has limits of its own. */
  release(socket: Duplex): void {
    this.#idle.delete(originOf(socket as Socket));
  }

  #add(origin: string, socket: Socket): void {
    this.#idle.set(origin, socket);
    if (this.#idle.size <= this.#max) return;
    const [oldest] = this.#idle;
    if (oldest === undefined) return;
    this.#idle.delete(oldest[0]);
    oldest[1].destroy();
  }

  #remove(origin: string, socket: Socket): void {
    if (this.#idle.get(origin) === socket) this.#idle.delete(origin);
  }
}

const originOf = ({ remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress}:${remotePort}`;
