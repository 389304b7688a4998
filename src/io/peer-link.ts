/**
 * One WebSocket to another peer: its handshake, then its frames, then why it ended.
 *
 *   handshake -> open -> closing -> ended
 *        \_______\_________________^
 *
 * A link that says goodbye listens until the other end has answered, since what was in flight is worth
 * having. One that was refused or cut hears nothing more.
 *
 * Whatever happens to the socket ends in `onClosed`, once and last, and never in a throw: errors of
 * the network, of the WebSocket protocol and of the other end's frames all close this link and touch
 * nothing else [S5].
 *
 * Deliberately absent: pings (heartbeats are frames, since they carry clocks), compression, and any
 * opinion about what the messages say.
 *
 * Rules: SPEC.md, G6, S1, S4, S5 and S9.
 */
import type { WebSocket } from "ws";
import type { Remote } from "../core/event.ts";
import {
  BUFFERED_BYTES_HIGH,
  BUFFERED_BYTES_LOW,
  BUFFERED_BYTES_MAX,
  HANDSHAKE_FRAME_BYTES_MAX,
} from "../core/limits.ts";
import type { Message } from "../core/message.ts";
import { closeStatus, codeOfStatus, type LinkCloseCode } from "../wire/close-code.ts";
import { decodeFrame } from "../wire/codec.ts";
import type { Handshake } from "../wire/handshake.ts";
import { afterListening } from "./patience.ts";

/** Why a link ended. */
export interface Ending {
  /** Whether either end said why. Otherwise it was cut, or the other process died. */
  readonly clean: boolean;
  readonly code: LinkCloseCode | undefined;
  /** What the socket reported, for a dial that came to nothing. */
  readonly error: unknown;
}

/** Who is told what happens on a link. */
export interface PeerLinkListener {
  onOpened(remote: Remote): void;
  onReceived(messages: readonly Message[], refused: number): void;
  /** More is waiting in the socket than should be; nothing more ought to be written [G6]. */
  onCongested(): void;
  onDrained(): void;
  /** The last call, and there is always one. */
  onClosed(ending: Ending): void;
}

export interface PeerLinkOptions {
  /** Accepted, or still connecting. */
  readonly socket: WebSocket;
  /** Makes the handshake when the socket is there, so that what it says of this peer is fresh. */
  readonly createHandshake: () => Handshake;
  /** Time until the link must be open, connecting included, in ms. */
  readonly timeoutMs: number;
  readonly listener: PeerLinkListener;
}

/** What is reported in place of a status when there was no close frame. */
const NO_CLOSE_FRAME = 1006;

export class PeerLink {
  readonly #socket: WebSocket;
  readonly #listener: PeerLinkListener;
  readonly #createHandshake: () => Handshake;
  readonly #cancelTimeout: () => void;
  #handshake: Handshake | undefined;
  #state: "handshake" | "open" | "closing" | "ended" = "handshake";
  /** Why this end left; undefined while it has not. */
  #code: LinkCloseCode | undefined;
  #error: unknown;
  #isCongested = false;
  readonly #onWritten = (): void => this.#noticeDrained();

  constructor({ socket, createHandshake, timeoutMs, listener }: PeerLinkOptions) {
    this.#socket = socket;
    this.#listener = listener;
    this.#createHandshake = createHandshake;
    // [S9] Not even with a close frame that would have to be waited for.
    this.#cancelTimeout = afterListening(timeoutMs, () => this.abandon("TIMEOUT"));
    socket.on("error", (error) => this.#noticeError(error));
    socket.on("message", (bytes: Buffer, isBinary) => this.#receive(bytes, isBinary));
    socket.on("close", (status) => this.#finish(status));
    if (socket.readyState === socket.OPEN) this.#startHandshake();
    else socket.on("open", () => this.#startHandshake());
  }

  /** Whether messages can be written: the handshake is over and neither end has closed. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Writes frames, unless the link is not open. They must not be changed any more. */
  write(frames: readonly Uint8Array[]): void {
    if (!this.isOpen) return;
    for (const frame of frames) this.#socket.send(frame, this.#onWritten);
    const buffered = this.#socket.bufferedAmount;
    if (buffered > BUFFERED_BYTES_MAX) {
      this.abandon("BUFFER_FULL"); // [S4] Its reader has stopped, and no close frame would be read.
    } else if (buffered > BUFFERED_BYTES_HIGH && !this.#isCongested) {
      this.#isCongested = true;
      this.#listener.onCongested();
    }
  }

  /** Says goodbye, and listens until the other end has answered. Idempotent. */
  end(code: LinkCloseCode): void {
    if (this.#state === "handshake") this.#refuse(code);
    else if (this.#state === "open") this.#sayWhy(code, "closing");
  }

  /** Says why if that can be said at once, and waits for no answer. */
  abandon(code: LinkCloseCode): void {
    this.#refuse(code);
    this.#socket.terminate();
  }

  /** Cuts the socket without a word: for an end that is silent [S9], or has not answered a goodbye. */
  terminate(code: LinkCloseCode): void {
    this.#leave("ended", code);
    this.#socket.terminate();
  }

  /** Says why and hears nothing more. */
  #refuse(code: LinkCloseCode): void {
    if (this.#state !== "ended") this.#sayWhy(code, "ended");
  }

  #sayWhy(code: LinkCloseCode, state: "closing" | "ended"): void {
    this.#leave(state, code);
    const { status, reason } = closeStatus(code);
    this.#socket.close(status, reason);
  }

  #leave(state: "closing" | "ended", code: LinkCloseCode): void {
    this.#cancelTimeout();
    this.#state = state;
    this.#code ??= code;
  }

  #startHandshake(): void {
    if (this.#state !== "handshake") return;
    this.#handshake = this.#createHandshake();
    const first = this.#handshake.start();
    if (first !== undefined) this.#socket.send(first);
  }

  #receive(bytes: Buffer, isBinary: boolean): void {
    if (this.#state === "ended") return;
    if (!isBinary) {
      this.#refuse("MALFORMED_FRAME");
    } else if (this.#handshake !== undefined) {
      this.#shakeHands(this.#handshake, bytes);
    } else {
      const frame = decodeFrame(bytes);
      if (frame.ok) this.#listener.onReceived(frame.messages, frame.refused);
      else this.#refuse(frame.code); // [S5] This link only.
    }
  }

  #shakeHands(handshake: Handshake, bytes: Buffer): void {
    if (bytes.length > HANDSHAKE_FRAME_BYTES_MAX) {
      this.#refuse("FRAME_TOO_LARGE"); // [S4] Before anything is made of it.
      return;
    }
    const step = handshake.receive(bytes);
    if (step.type === "refuse") {
      this.#refuse(step.code); // [S1]
      return;
    }
    if (step.reply !== undefined) this.#socket.send(step.reply);
    if (step.type === "open") this.#open(step.remote);
  }

  #open(remote: Remote): void {
    this.#cancelTimeout();
    this.#handshake = undefined;
    this.#state = "open";
    this.#listener.onOpened(remote);
  }

  #noticeDrained(): void {
    if (!this.#isCongested || !this.isOpen) return;
    if (this.#socket.bufferedAmount > BUFFERED_BYTES_LOW) return;
    this.#isCongested = false;
    this.#listener.onDrained();
  }

  #noticeError(error: Error & { code?: string }): void {
    this.#error ??= error;
    // What WebSocket refuses it also closes, with a status of its own.
    if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") this.#leave("ended", "FRAME_TOO_LARGE");
    else if (error.code?.startsWith("WS_ERR_")) this.#leave("ended", "MALFORMED_FRAME");
  }

  #finish(status: number): void {
    this.#cancelTimeout();
    this.#state = "ended";
    this.#listener.onClosed({
      clean: this.#code !== undefined || status !== NO_CLOSE_FRAME,
      code: this.#code ?? codeOfStatus(status),
      error: this.#error,
    });
  }
}
