/**
 * Links over WebSocket: dials, accepts, and turns what happens on sockets into events.
 *
 * The transport carries out three effects (`dial`, `send`, `close`) and reports six events, all of
 * them later than the effect that brought them about. It keeps no rule of the cluster: which peers
 * are linked, and which of two links stays, is for the state machine to say. What it does keep is
 * everything that must hold before bytes are messages: limits, time limits, and the handshake, so
 * that nothing of a stranger reaches the machine [S1].
 *
 * The HTTP server belongs to the peer, since it serves more than links; it hands over the sockets
 * that want to be upgraded. Every transport passes `test/contract/transport-contract.ts`.
 *
 * Rules: SPEC.md, F5, G1, G6, S1, S3, S4, S5, S7 and S9.
 */
import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import type { Effect } from "../core/effect.ts";
import { ERROR_CODES, type ErrorCode } from "../core/error.ts";
import type { DialFailure, MachineEvent } from "../core/event.ts";
import {
  FRAME_BYTES_MAX,
  FRAME_FRAGMENTS_MAX,
  HANDSHAKE_TIMEOUT_MS,
  HANDSHAKES_MAX,
  LINKS_MAX,
} from "../core/limits.ts";
import type { Address, LinkId } from "../core/units.ts";
import type { LinkCloseCode } from "../wire/close-code.ts";
import { Handshake, type Identity, NONCE_BYTES } from "../wire/handshake.ts";
import { Outbox } from "../wire/outbox.ts";
import { type KeyRing, NO_KEYS } from "../wire/proof.ts";
import { splitAddress } from "./addresses.ts";
import { type Ending, PeerLink } from "./peer-link.ts";
import { type Credentials, certifiedNames, isTlsRefusal } from "./tls.ts";
import { flushAfter } from "./turn.ts";

/** The path of the HTTP server at which peers are accepted. */
export const PEER_PATH = "/peer";

/** What a transport carries out. */
export type TransportEffect = Extract<Effect, { readonly type: "dial" | "send" | "close" }>;

/** What a transport reports. */
export type TransportEvent = Extract<
  MachineEvent,
  {
    readonly type:
      | "link-opened"
      | "link-closed"
      | "received"
      | "link-congested"
      | "link-drained"
      | "dial-failed";
  }
>;

/** How much went over links. */
export interface Traffic {
  readonly frames: number;
  readonly bytes: number;
}

export interface WebSocketTransportOptions {
  /** Who this peer is; asked again for every handshake. */
  readonly identity: () => Identity;
  readonly sink: (event: TransportEvent) => void;
  /** The secrets of this peer; asked again for every handshake. Default: none. */
  readonly keys?: () => KeyRing;
  /** The certificate of this peer, where links are encrypted. Default: they are not. */
  readonly credentials?: Credentials | undefined;
  /** Time until a dial must have opened a link, in ms [G8]. */
  readonly dialTimeoutMs: number;
  /** How long messages are collected, in ms. Default 0: until the turn is over. */
  readonly flushMs?: number;
  /** Time until an accepted link must be open, in ms [S9]. Default HANDSHAKE_TIMEOUT_MS. */
  readonly handshakeTimeoutMs?: number;
  /** Accepted links in handshake at once. Default HANDSHAKES_MAX. */
  readonly handshakesMax?: number;
  /** Links at once, those in handshake included. Default LINKS_MAX. */
  readonly linksMax?: number;
}

/** How long an end that was told goodbye may take to answer, in ms. One round trip, generously. */
const CLOSE_TIMEOUT_MS = 1000;

/** The same when the whole transport closes: nobody is left to care, and a process wants to exit. */
const TRANSPORT_CLOSE_TIMEOUT_MS = 250;

/** [S4] The same on both ends; `ws` offers compression unless told not to. */
const SOCKET_OPTIONS = {
  perMessageDeflate: false,
  maxPayload: FRAME_BYTES_MAX,
  maxFragments: FRAME_FRAGMENTS_MAX,
  closeTimeout: CLOSE_TIMEOUT_MS,
};

/**
 * Masks protect proxies from scripts that a browser runs for strangers; a peer runs none. A mask of
 * zeros changes nothing, so a frame that goes to many links need not be copied for each.
 */
const generateMask = (mask: Buffer): void => void mask.fill(0);

export class WebSocketTransport {
  readonly #options: Required<WebSocketTransportOptions>;
  readonly #server = new WebSocketServer({
    ...SOCKET_OPTIONS,
    noServer: true,
    clientTracking: false,
  });
  readonly #outbox: Outbox;
  /** Every socket that is not gone, from its first handshake frame to its end. */
  readonly #links = new Map<LinkId, PeerLink>();
  /** Accepted links that are not open yet, the oldest first. */
  readonly #handshakes = new Set<PeerLink>();
  readonly #sent = { frames: 0, bytes: 0 };
  #lastLink: LinkId = 0;
  #closed: Promise<void> | undefined;
  #onEmpty: () => void = () => {};

  constructor(options: WebSocketTransportOptions) {
    this.#options = {
      keys: () => NO_KEYS,
      credentials: undefined,
      handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
      handshakesMax: HANDSHAKES_MAX,
      linksMax: LINKS_MAX,
      flushMs: 0,
      ...options,
    };
    const write = (link: LinkId, frames: readonly Uint8Array[]) => this.#write(link, frames);
    this.#outbox = new Outbox(write, flushAfter(this.#options.flushMs));
  }

  /** What was written to links so far, handshakes and what WebSocket adds to each frame aside. */
  get sent(): Traffic {
    return { ...this.#sent };
  }

  /** Starts an effect. What it leads to is told to the sink, later. A link that is gone is no error. */
  perform(effect: TransportEffect): void {
    switch (effect.type) {
      case "send":
        this.#outbox.add(effect.links, effect.message);
        break;
      case "dial":
        this.#dial(effect.dial, effect.address);
        break;
      case "close":
        this.#outbox.flush(); // What was sent before the goodbye is said before it.
        if (effect.silent === true) this.#links.get(effect.link)?.terminate(effect.code);
        else this.#links.get(effect.link)?.end(effect.code);
        break;
    }
  }

  /** Calls `run` once all that was sent has been handed to the sockets. */
  afterFlush(run: () => void): void {
    this.#outbox.afterFlush(run);
  }

  /** Takes over a socket whose HTTP request asks for an upgrade at `PEER_PATH`. */
  acceptUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", ignore); // From here until `ws` listens, and after it has stopped.
    if (this.#closed !== undefined || this.#links.size >= this.#options.linksMax) {
      // [S4] An answer, and not a reset: that would say that nobody listens [F5].
      refuseUpgrade(socket, "503 Service Unavailable");
    } else if (request.headers.origin !== undefined) {
      // Peers send no Origin. A browser does, on behalf of a page that has no business here.
      refuseUpgrade(socket, "403 Forbidden");
    } else {
      this.#server.handleUpgrade(request, socket, head, (accepted) =>
        this.#accept(accepted, socket),
      );
    }
  }

  /**
   * Closes every link, gives dials up, and resolves when all sockets are gone. Nothing is told to the
   * sink from here on. Idempotent.
   */
  close(code: LinkCloseCode = "CLOSED"): Promise<void> {
    this.#closed ??= this.#closeLinks(code);
    return this.#closed;
  }

  async #closeLinks(code: LinkCloseCode): Promise<void> {
    this.#outbox.flush();
    if (this.#links.size === 0) return;
    for (const link of this.#links.values()) link.end(code);
    const stragglers = setTimeout(() => {
      for (const link of this.#links.values()) link.terminate(code);
    }, TRANSPORT_CLOSE_TIMEOUT_MS);
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    clearTimeout(stragglers);
  }

  #write(id: LinkId, frames: readonly Uint8Array[]): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.#sent.frames += frames.length;
    for (const frame of frames) this.#sent.bytes += frame.length;
    link.write(frames);
  }

  #dial(dial: number, address: Address): void {
    const socket = this.#links.size < this.#options.linksMax ? this.#connect(address) : undefined;
    if (socket === undefined) {
      const failed = { type: "dial-failed", dial, failure: "unreachable" } as const;
      process.nextTick(() => this.#tell(failed)); // No event before the effect is done.
      return;
    }
    this.#add(socket, "dialler", dial);
  }

  /** Starts connecting; undefined for what cannot be an address of anybody. */
  #connect(address: Address): WebSocket | undefined {
    const { credentials } = this.#options;
    const url = `${credentials ? "wss" : "ws"}://${address}${PEER_PATH}`;
    if (splitAddress(address) === undefined || !URL.canParse(url)) return undefined;
    const options = { ...SOCKET_OPTIONS, generateMask };
    if (credentials === undefined) return new WebSocket(url, options);
    // [S7] Hosts are not looked at: names are, when the other end has said its own.
    const checkServerIdentity = (): undefined => undefined;
    const secure = { secureContext: credentials.context, checkServerIdentity };
    return new WebSocket(url, { ...options, ...(secure as object) });
  }

  #accept(socket: WebSocket, stream: Duplex): void {
    const [oldest] = this.#handshakes;
    if (oldest !== undefined && this.#handshakes.size >= this.#options.handshakesMax) {
      this.#handshakes.delete(oldest);
      oldest.abandon("RATE_LIMITED"); // [S4] Whoever is honest needs a few ms, and is long done.
    }
    this.#handshakes.add(this.#add(socket, "acceptor", undefined, stream));
  }

  #add(socket: WebSocket, role: "acceptor", dial: undefined, stream: Duplex): PeerLink;
  #add(socket: WebSocket, role: "dialler", dial: number): PeerLink;
  #add(
    socket: WebSocket,
    role: "acceptor" | "dialler",
    dial: number | undefined,
    accepted?: Duplex,
  ): PeerLink {
    this.#lastLink += 1;
    const link = this.#lastLink;
    let wasOpened = false;
    let stream = accepted;
    if (accepted === undefined) socket.on("upgrade", (response) => (stream = response.socket));
    const { dialTimeoutMs, handshakeTimeoutMs } = this.#options;
    const peerLink = new PeerLink({
      socket,
      createHandshake: () => this.#handshakeOver(stream, role),
      timeoutMs: role === "dialler" ? dialTimeoutMs : handshakeTimeoutMs,
      listener: {
        onOpened: (remote) => {
          wasOpened = true;
          this.#handshakes.delete(peerLink);
          const dialled = dial === undefined ? {} : { dial };
          this.#tell({ type: "link-opened", link, remote, ...dialled });
        },
        onReceived: (messages, refused) =>
          this.#tell({ type: "received", link, messages, refused }),
        onCongested: () => this.#tell({ type: "link-congested", link }),
        onDrained: () => this.#tell({ type: "link-drained", link }),
        onClosed: (ending) => {
          this.#links.delete(link);
          this.#handshakes.delete(peerLink);
          if (wasOpened) this.#tell(linkClosed(link, ending));
          else if (dial !== undefined) this.#tell(dialFailed(dial, ending));
          if (this.#links.size === 0) this.#onEmpty();
        },
      },
    });
    this.#links.set(link, peerLink);
    return peerLink;
  }

  #handshakeOver(stream: Duplex | undefined, role: "acceptor" | "dialler"): Handshake {
    const { identity, keys, credentials } = this.#options;
    const own = identity();
    const nonce = randomBytes(NONCE_BYTES);
    if (credentials === undefined) return new Handshake(role, own, nonce, keys());
    const names = certifiedNames(stream, own.cluster);
    return new Handshake(role, own, nonce, keys(), (name) => names.has(name));
  }

  #tell(event: TransportEvent): void {
    if (this.#closed === undefined) this.#options.sink(event);
  }
}

function linkClosed(link: LinkId, { clean, code }: Ending): TransportEvent {
  const said = code === undefined || code === "SELF" ? {} : { code };
  return { type: "link-closed", link, clean, ...said };
}

function dialFailed(dial: number, { code, error }: Ending): TransportEvent {
  const failure = failureOf(code, error);
  const why = code === undefined && isTlsRefusal(error) ? "AUTH_FAILED" : code;
  const said = failure === "rejected" && isErrorCode(why) ? { code: why } : {};
  return { type: "dial-failed", dial, failure, ...said };
}

/** [F5] Only what shows that nothing listens there is `refused`, not that somebody hangs up. */
function failureOf(code: LinkCloseCode | undefined, error: unknown): DialFailure {
  if (code === "SELF") return "self";
  if (code !== undefined) return code === "TIMEOUT" ? "unreachable" : "rejected";
  if (isTlsRefusal(error)) return "rejected";
  if (isAllOf(error, REFUSED)) return "refused";
  return isAllOf(error, RESET) ? "reset" : "unreachable";
}

/** What a connection to a port ends with that nobody listens on. */
const REFUSED: ReadonlySet<unknown> = new Set(["ECONNREFUSED"]);

/** And one that was made by the system, for a process that ended, or that wants no more of them. */
const RESET: ReadonlySet<unknown> = new Set(["ECONNREFUSED", "ECONNRESET"]);

/** What it ends with when this machine has no such network, as with ::1 for a `localhost`. */
const NOT_TRIED: ReadonlySet<unknown> = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"]);

function isAllOf(error: unknown, expected: ReadonlySet<unknown>): boolean {
  const errors: unknown[] = error instanceof AggregateError ? error.errors : [error];
  const codes = errors.map((each) => (each instanceof Error && "code" in each ? each.code : ""));
  return (
    codes.some((code) => expected.has(code)) &&
    codes.every((code) => expected.has(code) || NOT_TRIED.has(code))
  );
}

function isErrorCode(code: LinkCloseCode | undefined): code is ErrorCode {
  return (ERROR_CODES as readonly (string | undefined)[]).includes(code);
}

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.once("finish", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function ignore(): void {}
