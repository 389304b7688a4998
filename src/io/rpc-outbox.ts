/**
 * Collects what one end of a channel says in a turn of the event loop, and sends it in one frame.
 *
 * A client that asks a thousand things in one turn, and a peer that answers them, pay for one frame and
 * not for a thousand. Nothing waits for a timer: the frame leaves when the turn is over.
 */
import { FRAME_BYTES_TARGET, FRAME_MESSAGES_MAX } from "../core/limits.ts";
import { encodeRpcFrame } from "../wire/rpc-codec.ts";

export class RpcOutbox {
  readonly #write: (frame: Uint8Array) => void;
  #messages: Uint8Array[] = [];
  #bytes = 0;
  #flush: NodeJS.Immediate | undefined;

  /** `write` is given everything that was added in a turn. */
  constructor(write: (frame: Uint8Array) => void) {
    this.#write = write;
  }

  /** Bytes that wait for the turn to be over. */
  get pendingBytes(): number {
    return this.#bytes;
  }

  /** Adds an encoded message, small enough for a frame of its own. */
  add(message: Uint8Array): void {
    this.#messages.push(message);
    this.#bytes += message.length;
    this.#flush ??= setImmediate(() => this.flush());
  }

  /** Sends all that was added, without waiting for the turn to be over. */
  flush(): void {
    const messages = this.#messages;
    this.discard();
    let frame: Uint8Array[] = [];
    let bytes = 0;
    for (const message of messages) {
      const isFull =
        bytes + message.length > FRAME_BYTES_TARGET || frame.length === FRAME_MESSAGES_MAX;
      if (isFull && frame.length > 0) {
        this.#write(encodeRpcFrame(frame));
        frame = [];
        bytes = 0;
      }
      frame.push(message);
      bytes += message.length;
    }
    if (frame.length > 0) this.#write(encodeRpcFrame(frame));
  }

  /** Forgets what was added and not sent. */
  discard(): void {
    if (this.#flush !== undefined) clearImmediate(this.#flush);
    this.#flush = undefined;
    this.#messages = [];
    this.#bytes = 0;
  }
}
