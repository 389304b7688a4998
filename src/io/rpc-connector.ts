/**
 * Keeps a client connected: to one of its addresses, for as long as it is not closed.
 *
 * One round tries every address once, in order, from the one after the last that worked. The first round
 * after a loss begins at once, since the other peers are most likely well. Every further one waits longer,
 * with jitter, up to a cap: a thousand clients of a peer that died do not come back in step. A channel
 * that lasted for a while starts the waits over; one that is closed as soon as it is open does not.
 *
 * A channel counts from the peer's welcome on: a socket that is open says nothing about who is there.
 *
 * Deliberately absent: calls (`rpc-client.ts`).
 *
 * Rules: SPEC.md, section Q.
 */
import { HearsayError } from "../core/error.ts";
import type { Address, Instant } from "../core/units.ts";
import type { LinkCloseCode } from "../wire/close-code.ts";
import type { PeerIdentity } from "../wire/rpc-codec.ts";
import type { Clock } from "./clock.ts";
import type { Deadline, Deadlines } from "./deadlines.ts";
import type { Channel, ChannelEnding, Dial } from "./rpc-channel.ts";

/** Time until an address must have let this client in, in ms. */
const CONNECT_TIMEOUT_MS = 3000;

/** Wait before the second round, in ms, doubled each time; and the longest one. */
const WAIT_MIN_MS = 50;
const WAIT_MAX_MS = 5000;

/** How long a channel must have lasted for the waits to start over, in ms. */
const STEADY_MS = 5000;

/** Silence after which a ping is sent, in ms; well below the peer's patience. */
const PING_MS = 5000;

/** Silence after which the channel is cut, in ms: two pings without an answer. */
const SILENCE_MS = 15_000;

export interface RpcConnectorOptions {
  readonly addresses: readonly Address[];
  readonly dial: Dial;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** A number from 0 to 1, for jitter. */
  readonly random: () => number;
  readonly onFrame: (bytes: Uint8Array) => void;
  /** The channel has been silent: something should be said. */
  readonly onPing: () => void;
  readonly onConnected: (address: Address, peer: PeerIdentity) => void;
  /** A channel that was connected is gone. */
  readonly onDisconnected: (ending: ChannelEnding) => void;
}

/** A channel from its dial to its end. */
interface Attempt {
  readonly address: Address;
  channel: Channel | undefined;
  /** Takes it that the address does not answer. */
  deadline: Deadline | undefined;
}

export class RpcConnector {
  readonly #options: RpcConnectorOptions;
  #attempt: Attempt | undefined;
  #peer: PeerIdentity | undefined;
  #heardAt: Instant = 0;
  #openedAt: Instant = 0;
  /** The address to try next, by place. */
  #next = 0;
  /** Addresses of this round that did not let this client in. */
  #triedCount = 0;
  #round = 0;
  #isClosed = false;
  /** Settles the first round. */
  #first: { resolve: () => void; reject: (error: HearsayError) => void } | undefined;
  #problems: string[] = [];
  #code: LinkCloseCode | undefined;

  constructor(options: RpcConnectorOptions) {
    this.#options = options;
  }

  /** The peer at the other end; undefined while there is none. */
  get peer(): PeerIdentity | undefined {
    return this.#peer;
  }

  /** Tries every address once; resolves with the first that lets this client in. */
  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject };
      this.#dialNext();
    });
  }

  send(frame: Uint8Array): void {
    this.#attempt?.channel?.send(frame);
  }

  /** The peer says who it is. */
  welcomed({ name, incarnation, cluster }: PeerIdentity): void {
    const attempt = this.#attempt;
    if (attempt === undefined || this.#peer !== undefined) return;
    const { deadlines, clock, onConnected } = this.#options;
    deadlines.clear(attempt.deadline);
    this.#peer = { name, incarnation, cluster };
    this.#openedAt = clock.now();
    this.#triedCount = 0;
    this.#watchSilence(attempt, false);
    const first = this.#first;
    this.#first = undefined;
    onConnected(attempt.address, this.#peer);
    first?.resolve();
  }

  /** The other end does not speak as it should. */
  giveUp(code: LinkCloseCode): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    attempt.channel?.end(code);
    this.#lost(attempt, { code, reason: `was closed: ${code}` });
  }

  /** Says goodbye and tries nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#attempt?.channel?.end("CLOSED");
    this.#attempt = undefined;
    this.#peer = undefined;
    this.#first?.reject(new HearsayError("CLOSED", "Cannot connect: the client is closed"));
    this.#first = undefined;
  }

  #dialNext(): void {
    const { addresses, dial, clock, deadlines, onFrame } = this.#options;
    const address = addresses[this.#next % addresses.length] as Address;
    this.#next = (this.#next + 1) % addresses.length;
    const attempt: Attempt = { address, channel: undefined, deadline: undefined };
    this.#attempt = attempt;
    const isCurrent = (): boolean => this.#attempt === attempt;
    attempt.deadline = deadlines.set(clock.now() + CONNECT_TIMEOUT_MS, () =>
      this.#drop(attempt, { code: "TIMEOUT", reason: "could not be made: no answer came in time" }),
    );
    attempt.channel = dial(address, {
      onFrame: (bytes) => {
        if (!isCurrent()) return;
        this.#heardAt = clock.now();
        onFrame(bytes);
      },
      onWritten: () => {},
      onClosed: (ending) => {
        if (isCurrent()) this.#lost(attempt, ending);
      },
    });
  }

  /** Cuts a channel that is not to be waited for. */
  #drop(attempt: Attempt, ending: ChannelEnding): void {
    if (this.#attempt !== attempt) return;
    const { channel } = attempt;
    this.#lost(attempt, ending);
    channel?.terminate();
  }

  #lost({ address, deadline }: Attempt, ending: ChannelEnding): void {
    const { deadlines, clock, onDisconnected, addresses } = this.#options;
    this.#attempt = undefined;
    deadlines.clear(deadline);
    if (this.#peer !== undefined) {
      this.#peer = undefined;
      if (clock.now() - this.#openedAt >= STEADY_MS) this.#round = 0;
      onDisconnected(ending);
      if (this.#isClosed) return;
    } else {
      this.#triedCount += 1;
      this.#problems.push(`the connection to ${address} ${ending.reason}`);
      this.#code = moreTelling(this.#code, ending.code);
    }
    const isRoundOver = this.#triedCount >= addresses.length;
    if (isRoundOver && this.#first !== undefined) {
      const { reject } = this.#first;
      this.#first = undefined;
      reject(refused(this.#code, this.#problems));
      return;
    }
    if (this.#triedCount > 0 && !isRoundOver) {
      this.#dialNext();
      return;
    }
    this.#triedCount = 0;
    this.#problems = [];
    deadlines.set(clock.now() + this.#nextWaitMs(), () => this.#dialNext());
  }

  /** Nothing before the first round after a loss; then longer and longer, and each client its own time. */
  #nextWaitMs(): number {
    this.#round += 1;
    if (this.#round === 1) return 0;
    const waitMs = Math.min(WAIT_MIN_MS * 2 ** Math.min(this.#round - 2, 20), WAIT_MAX_MS);
    return waitMs * (0.5 + this.#options.random() / 2);
  }

  #watchSilence(attempt: Attempt, hasPinged: boolean): void {
    const { deadlines, clock, onPing } = this.#options;
    const at = Math.max(this.#heardAt, hasPinged ? clock.now() : 0) + PING_MS;
    deadlines.set(at, () => {
      if (this.#attempt !== attempt) return;
      const silentMs = clock.now() - this.#heardAt;
      if (silentMs >= SILENCE_MS) {
        this.#drop(attempt, { code: "TIMEOUT", reason: "was cut: the peer has been silent" });
        return;
      }
      const isSilent = silentMs >= PING_MS;
      if (isSilent) onPing();
      this.#watchSilence(attempt, isSilent);
    });
  }
}

/** That nobody answers says less than that somebody refuses. */
function moreTelling(
  known: LinkCloseCode | undefined,
  code: LinkCloseCode | undefined,
): LinkCloseCode | undefined {
  return known === undefined || known === "TIMEOUT" || known === "UNREACHABLE" ? code : known;
}

const REFUSALS = ["AUTH_FAILED", "FORBIDDEN", "RATE_LIMITED", "VERSION_MISMATCH"] as const;

function refused(code: LinkCloseCode | undefined, problems: readonly string[]): HearsayError {
  const refusal = REFUSALS.find((each) => each === code) ?? "UNREACHABLE";
  return new HearsayError(refusal, `Cannot connect: ${problems.slice(0, 3).join("; ")}`);
}
