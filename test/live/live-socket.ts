/**
 * A client of `ws /live` for tests, which takes one message after the other.
 */
import { once } from "node:events";
import { WebSocket } from "ws";

export class Socket {
  readonly socket: WebSocket;
  readonly #messages: Record<string, unknown>[] = [];
  #wake: () => void = () => {};
  closed: string | undefined;

  constructor(peer: { readonly address: string }, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(`ws://${peer.address}/live`, { headers, perMessageDeflate: false });
    this.socket.on("message", (bytes: Buffer) => {
      this.#messages.push(JSON.parse(bytes.toString()));
      this.#wake();
    });
    this.socket.on("close", (code, reason) => {
      this.closed = `${code} ${reason}`;
      this.#wake();
    });
    this.socket.on("error", () => {});
  }

  async say(message: unknown): Promise<void> {
    if (this.socket.readyState === WebSocket.CONNECTING) await once(this.socket, "open");
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  async next(): Promise<Record<string, unknown>> {
    const timeout = AbortSignal.timeout(10_000);
    while (this.#messages.length === 0) {
      if (this.closed !== undefined) return { closed: this.closed };
      if (timeout.aborted) throw new Error("No message came");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timeout.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    return this.#messages.shift() as Record<string, unknown>;
  }
}
