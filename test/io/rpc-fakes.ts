/**
 * One end of a channel that a test holds in its hands: what was sent can be read, and nothing moves by itself.
 */
import type { Channel, ChannelListener, Dial } from "../../src/io/rpc-channel.ts";
import type { LinkCloseCode } from "../../src/wire/close-code.ts";
import {
  type ClientMessage,
  type Direction,
  decodeRpcFrame,
  encodeRpcFrame,
  encodeRpcMessage,
  type ServerMessage,
  TO_PEER,
} from "../../src/wire/rpc-codec.ts";

type RpcMessage = ClientMessage | ServerMessage;

export class FakeChannel implements Channel {
  /** What has not left, as the test says. */
  bufferedBytes = 0;
  isPaused = false;
  isTerminated = false;
  endedWith: LinkCloseCode | undefined;
  readonly frames: Uint8Array[] = [];

  send(frame: Uint8Array): void {
    if (this.endedWith === undefined && !this.isTerminated) this.frames.push(frame);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(code: LinkCloseCode): void {
    this.endedWith ??= code;
  }

  terminate(): void {
    this.isTerminated = true;
  }

  /** The messages of all frames since the last time. */
  take<M extends RpcMessage>(direction: Direction<M>): M[] {
    return this.frames.splice(0).flatMap((bytes) => {
      const frame = decodeRpcFrame(bytes, direction);
      if (!frame.ok) throw new Error(frame.message);
      return [...frame.messages];
    });
  }
}

/** A dial of a client, which the test lets in or not. */
export class FakeAttempt {
  readonly channel = new FakeChannel();
  readonly address: string;
  readonly #listener: ChannelListener;

  constructor(address: string, listener: ChannelListener) {
    this.address = address;
    this.#listener = listener;
  }

  /** The peer says these. */
  say(...messages: readonly ServerMessage[]): void {
    this.#listener.onFrame(frameOf(...messages));
  }

  sayBytes(bytes: Uint8Array): void {
    this.#listener.onFrame(bytes);
  }

  /** The peer lets the client in. */
  welcome(name = this.address.slice(0, 1)): void {
    this.say({ type: "welcome", name, incarnation: `${name}-1`, cluster: "c" });
  }

  /** The channel ends. */
  close(code?: LinkCloseCode, reason = "was cut"): void {
    this.#listener.onClosed({ code, reason });
  }

  /** What the client has said since the last time. */
  heard(): ClientMessage[] {
    return this.channel.take(TO_PEER);
  }
}

/** A dial that puts every attempt into `attempts`. */
export function fakeDial(attempts: FakeAttempt[]): Dial {
  return (address, listener) => {
    const attempt = new FakeAttempt(address, listener);
    attempts.push(attempt);
    return attempt.channel;
  };
}

export function frameOf(...messages: readonly RpcMessage[]): Uint8Array {
  return encodeRpcFrame(messages.map(encodeRpcMessage));
}

/** Resolves when everything has been carried out and sent that this turn of the event loop brought. */
export async function turn(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
