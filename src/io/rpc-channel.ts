/**
 * What carries the frames of a client and a peer, and the WebSocket that does it.
 *
 * A channel knows neither calls nor versions: it moves frames, says how many bytes have not left yet, and
 * how it ended. Both ends use the same one. Whatever happens to the socket ends in `onClosed`, once and
 * last, and never in a throw.
 *
 * It shares nothing with the links between peers but the library: other path, other frames, other limits,
 * and no handshake that could be mistaken for theirs [S2].
 *
 * Rules: SPEC.md, S2, S4, S5 and section Q.
 */
import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { FRAME_FRAGMENTS_MAX, RPC_ANSWER_BYTES_MAX } from "../core/limits.ts";
import type { Address } from "../core/units.ts";
import { closeStatus, codeOfStatus, type LinkCloseCode } from "../wire/close-code.ts";
import { isTlsRefusal, TLS_VERSION } from "./tls.ts";

/** The path of the HTTP server at which clients are accepted. */
export const RPC_PATH = "/rpc";

/** How long an end that was told goodbye may take to answer, in ms. */
const CLOSE_TIMEOUT_MS = 1000;

/** [S4] The same on both ends; `ws` offers compression unless told not to. */
export const RPC_SOCKET_OPTIONS = {
  perMessageDeflate: false,
  maxFragments: FRAME_FRAGMENTS_MAX,
  closeTimeout: CLOSE_TIMEOUT_MS,
};

/** Why a channel ended. */
export interface ChannelEnding {
  /** Undefined when it was cut without a word, or never came to be. */
  readonly code: LinkCloseCode | undefined;
  /** For people; completes "the connection ...". */
  readonly reason: string;
}

/** Who is told what happens on a channel. */
export interface ChannelListener {
  onFrame(bytes: Uint8Array): void;
  /** Some of what was sent has left. */
  onWritten(): void;
  /** The last call, and there is always one. */
  onClosed(ending: ChannelEnding): void;
}

/** One end of what carries frames. */
export interface Channel {
  /** Bytes that were sent and have not left yet. */
  readonly bufferedBytes: number;
  /** Sends a frame, unless the channel has ended. It must not be changed any more. */
  send(frame: Uint8Array): void;
  /** Reads no more until `resume`; what was read already may still come. */
  pause(): void;
  resume(): void;
  /** Says why, and hears nothing more. */
  end(code: LinkCloseCode): void;
  /** Cuts it without a word. */
  terminate(): void;
}

/** Begins to connect. Nothing is told to the listener before this has returned. */
export type Dial = (address: Address, listener: ChannelListener) => Channel;

/** A channel over a socket that was accepted or is connecting. */
export class WebSocketChannel implements Channel {
  readonly #socket: WebSocket;
  readonly #listener: ChannelListener;
  #hasEnded = false;
  #code: LinkCloseCode | undefined;
  #reason: string | undefined;
  readonly #onWritten = (): void => this.#listener.onWritten();

  constructor(socket: WebSocket, listener: ChannelListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.on("error", (error) => this.#noticeError(error));
    socket.on("message", (bytes: Buffer, isBinary) => {
      if (this.#hasEnded) return;
      if (isBinary) this.#listener.onFrame(bytes);
      else this.end("MALFORMED_FRAME");
    });
    socket.on("unexpected-response", (_request, response) => this.#noticeAnswer(response));
    socket.on("close", (status) => this.#finish(status));
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(frame: Uint8Array): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(frame, this.#onWritten);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(code: LinkCloseCode): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#code ??= code;
    const { status, reason } = closeStatus(code);
    this.#socket.resume(); // A paused socket would not see the answer.
    this.#socket.close(status, reason);
  }

  terminate(): void {
    this.#hasEnded = true;
    this.#socket.terminate();
  }

  /** Whoever answers the upgrade with anything else does not let this client in. */
  #noticeAnswer({ statusCode = 0 }: IncomingMessage): void {
    const [code, reason] = ANSWERS.get(statusCode) ?? [
      "UNREACHABLE",
      "was refused by something that is no peer",
    ];
    this.#code ??= code;
    this.#reason ??= reason;
    this.#socket.terminate();
  }

  #noticeError(error: Error & { code?: string }): void {
    const isUntrusted = isTlsRefusal(error);
    const standard = isUntrusted ? `failed by TLS: ${error.code}` : "could not be made, or was cut";
    this.#reason ??= REASONS.get(error.code) ?? standard;
    if (isUntrusted) this.#code ??= "AUTH_FAILED";
    // What WebSocket refuses it also closes, with a status of its own.
    if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") this.#code ??= "FRAME_TOO_LARGE";
    else if (error.code?.startsWith("WS_ERR_")) this.#code ??= "MALFORMED_FRAME";
  }

  #finish(status: number): void {
    this.#hasEnded = true;
    const code = this.#code ?? codeOfStatus(status);
    const reason = this.#reason ?? (code === undefined ? "was cut" : `was closed: ${code}`);
    this.#listener.onClosed({ code, reason });
  }
}

/** What the statuses mean with which a peer answers in place of an upgrade. */
const ANSWERS: ReadonlyMap<number, readonly [code: LinkCloseCode, reason: string]> = new Map([
  [401, ["AUTH_FAILED", "was refused: the peer does not take this token"]],
  [403, ["FORBIDDEN", "was refused: the peer does not let this client in"]],
  [404, ["VERSION_MISMATCH", "was refused: what listens there takes no clients"]],
  [429, ["RATE_LIMITED", "was refused: the peer has too many clients"]],
  [503, ["NOT_READY", "was refused: the peer is closing"]],
] as const);

const REASONS: ReadonlyMap<unknown, string> = new Map([
  ["ECONNREFUSED", "was refused: nothing listens there"],
  ["ECONNRESET", "was cut"],
  ["ENOTFOUND", "could not be made: there is no such host"],
]);

/**
 * Masks protect proxies from scripts that a browser runs for strangers; a client runs none, and a mask of
 * zeros costs nothing.
 */
const generateMask = (mask: Buffer): void => void mask.fill(0);

/** How a client shows who it is, and what it wants to see of a peer. */
export interface DialOptions {
  /** For peers that want one. */
  readonly token: string | undefined;
  /** Over TLS, to a host that has its certificate from these authorities in PEM, or from the system's. */
  readonly tls: { readonly ca: string | undefined } | undefined;
}

/** Returns a function that dials peers. */
export function dialWith({ token, tls }: DialOptions): Dial {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const trust = tls?.ca === undefined ? {} : { ca: tls.ca };
  return (address, listener) => {
    const socket = new WebSocket(`${tls ? "wss" : "ws"}://${address}${RPC_PATH}`, {
      ...RPC_SOCKET_OPTIONS,
      ...{ maxPayload: RPC_ANSWER_BYTES_MAX, generateMask, headers },
      ...(tls && { ...TLS_VERSION, ...trust }),
    });
    return new WebSocketChannel(socket, listener);
  };
}
