/**
 * One connection that behaves as a WebSocket over TCP does.
 *
 * Within a direction frames arrive in order or not at all. What is sent and has not arrived counts as
 * buffered, and the sender hears when that is too much and when it has drained. A cut holds frames
 * back, as TCP does while it retransmits, and lets them go when it heals. A lost segment costs a
 * retransmission, or the direction goes silent for ever while both ends believe in it, or the connection
 * is reset. An end that vanishes with its host leaves the other end half-open.
 *
 * Frames are bytes: every message passes the real codec on its way.
 */
import { BUFFERED_BYTES_HIGH, BUFFERED_BYTES_LOW, BUFFERED_BYTES_MAX } from "../src/core/limits.ts";
import type { World } from "./world.ts";

export type Side = 0 | 1;

/** One end of a connection, as its owner implements it. */
export interface End {
  onFrame(bytes: Uint8Array): void;
  /** `status` is the close code that came or went; undefined when there was none. */
  onEnd(status: number | undefined): void;
  onCongested(): void;
  onDrained(): void;
}

/** What connections travel through: `Network`. */
export interface Medium {
  readonly world: World;
  delayMs(byteLength: number): number;
  loss(from: string, to: string): undefined | number | "silence" | "reset";
  copies(): number;
  /** What waits for a direction to heal; undefined when it is open. */
  cutBetween(from: string, to: string): (() => void)[] | undefined;
  /** Whether what is sent in this direction is answered by a reset. */
  rejects(from: string, to: string): boolean;
  sent(bytes: Uint8Array): void;
  count(byteLength: number): void;
  forget(connection: Connection): void;
}

interface Direction {
  /** When the last frame arrives: later ones arrive no sooner. */
  arrivesAt: number;
  bufferedBytes: number;
  isCongested: boolean;
  /** Everything sent from now on is lost, and nobody is told. */
  isSilent: boolean;
}

export class Connection {
  readonly dialler: string;
  readonly acceptor: string;
  readonly #medium: Medium;
  readonly #ends: [End | undefined, End | undefined] = [undefined, undefined];
  readonly #directions: [Direction, Direction];
  #isOpen = true;
  #isClosing = false;

  constructor(medium: Medium, dialler: string, acceptor: string) {
    this.#medium = medium;
    this.dialler = dialler;
    this.acceptor = acceptor;
    this.#directions = [newDirection(), newDirection()];
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get world(): World {
    return this.#medium.world;
  }

  attach(side: Side, end: End): void {
    this.#ends[side] = end;
  }

  involves(owner: string): boolean {
    return this.dialler === owner || this.acceptor === owner;
  }

  /**
   * Sends a frame from `side`. The bytes must not be changed afterwards. `isOnce`: it never arrives twice, as
   * TCP has it. Frames of a handshake do not, or no link would stand where many are doubled.
   */
  send(side: Side, bytes: Uint8Array, isOnce = false): void {
    if (!this.#isOpen) return;
    this.#medium.sent(bytes);
    const direction = this.#directions[side];
    direction.bufferedBytes += bytes.length;
    if (direction.bufferedBytes > BUFFERED_BYTES_MAX) {
      this.reset();
      return;
    }
    if (direction.bufferedBytes > BUFFERED_BYTES_HIGH && !direction.isCongested) {
      direction.isCongested = true;
      this.#ends[side]?.onCongested();
    }
    const copies = isOnce ? 1 : this.#medium.copies();
    this.#travel(side, bytes.length, () => this.#deliver(side, bytes, copies));
  }

  /** Ends the connection with a close frame from `side`, behind all that it sent. */
  close(side: Side, status: number): void {
    if (!this.#isOpen || this.#isClosing) return;
    this.#isClosing = true;
    const other = otherSide(side);
    this.#travel(side, 0, () => {
      this.#endSide(other, status);
      // The echo: until it is there, the closing end hears what was in flight.
      this.#travel(other, 0, () => {
        this.#finish();
        this.#endSide(side, status);
      });
    });
  }

  /** Cuts the connection off at both ends: a process died, or a segment was reset. */
  reset(): void {
    if (!this.#isOpen) return;
    this.#finish();
    this.#endSide(0, undefined);
    this.#endSide(1, undefined);
  }

  /** One end ends it without a close frame, as when it terminates a silent socket. */
  terminate(side: Side): void {
    const end = this.#ends[side];
    this.#ends[side] = undefined;
    this.#medium.world.plan(0, () => end?.onEnd(undefined));
    const other = otherSide(side);
    this.#travel(side, 0, () => {
      this.#finish();
      this.#endSide(other, undefined);
    });
  }

  /** The host of one end lost its power: the other end hears nothing at all. */
  vanish(owner: string): void {
    const side: Side = this.dialler === owner ? 0 : 1;
    this.#ends[side] = undefined;
    this.#directions[0].isSilent = true;
    this.#directions[1].isSilent = true;
  }

  #deliver(side: Side, bytes: Uint8Array, copies: number): void {
    this.#drain(side, bytes.length);
    const other = otherSide(side);
    for (let copy = 0; copy < copies; copy += 1) this.#ends[other]?.onFrame(bytes);
  }

  #drain(side: Side, byteLength: number): void {
    const direction = this.#directions[side];
    direction.bufferedBytes -= byteLength;
    if (!direction.isCongested || direction.bufferedBytes > BUFFERED_BYTES_LOW) return;
    direction.isCongested = false;
    this.#ends[side]?.onDrained();
  }

  #endSide(side: Side, status: number | undefined): void {
    const end = this.#ends[side];
    this.#ends[side] = undefined;
    end?.onEnd(status);
  }

  #finish(): void {
    this.#isOpen = false;
    this.#medium.forget(this);
  }

  /** Lets something arrive at the other end, in order, unless it is lost. */
  #travel(side: Side, byteLength: number, arrive: () => void): void {
    const direction = this.#directions[side];
    const { world } = this.#medium;
    this.#medium.count(byteLength);
    let delayMs = this.#medium.delayMs(byteLength);
    const loss = this.#medium.loss(this.#owner(side), this.#owner(otherSide(side)));
    if (loss === "reset") {
      world.plan(delayMs, () => this.reset());
      return;
    }
    if (loss === "silence") direction.isSilent = true;
    if (loss !== undefined) delayMs += loss === "silence" ? 0 : loss;
    if (direction.isSilent) return;
    const at = Math.max(direction.arrivesAt, world.now + delayMs);
    direction.arrivesAt = at;
    world.plan(at - world.now, () => this.#arriveUncut(side, arrive));
  }

  /** Whose end `side` is. */
  #owner(side: Side): string {
    return side === 0 ? this.dialler : this.acceptor;
  }

  #arriveUncut(side: Side, arrive: () => void): void {
    if (this.#directions[side].isSilent) return;
    const from = this.#owner(side);
    const to = this.#owner(otherSide(side));
    if (this.#medium.rejects(from, to)) {
      this.reset();
      return;
    }
    const cut = this.#medium.cutBetween(from, to);
    if (cut === undefined) arrive();
    else cut.push(() => this.#arriveUncut(side, arrive));
  }
}

function newDirection(): Direction {
  return { arrivesAt: 0, bufferedBytes: 0, isCongested: false, isSilent: false };
}

function otherSide(side: Side): Side {
  return side === 0 ? 1 : 0;
}
