/**
 * A TCP proxy in front of a peer, which can be cut and healed: a network between real processes.
 *
 * A cut closes every connection and the port, so that whoever dials is refused.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class TcpProxy {
  readonly port: number;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  /** Passes on what arrives at `port` to `target`, both on 127.0.0.1, once it is healed. */
  constructor(port: number, target: number) {
    this.port = port;
    this.#target = target;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Listens. */
  async heal(): Promise<void> {
    this.#server = createServer((socket) => {
      const onward = connect(this.#target, "127.0.0.1");
      for (const [from, to] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        this.#sockets.add(from);
        from.on("error", () => {}); // A proxy has no opinion; "close" follows.
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Closes all connections and refuses further ones. */
  async cut(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, "close");
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
