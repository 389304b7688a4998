/**
 * The network between simulated peers: who can be dialled, how long frames take, what is cut.
 *
 * A cut has a direction. Dials need both, and come to nothing across a cut after their time-out; where
 * nobody listens they are refused, and where the host is down nobody answers at all. A cut that rejects
 * does what some firewalls do: it refuses dials and resets what was open.
 */
import type { Random } from "../src/core/random.ts";
import { Connection, type End, type Medium } from "./connection.ts";
import type { World } from "./world.ts";

export interface NetworkOptions {
  /** Mean of the exponentially distributed delay of a frame, in ms. */
  readonly delayMsMean: number;
  readonly delayMsMin: number;
  /** Bytes that a link carries in a ms. */
  readonly bytesPerMs: number;
  /** Share of frames whose segment is lost, 0 to 1. */
  readonly lossProbability: number;
  /** The same for what one peer sends to another. Default: `lossProbability`, for all. */
  readonly lossBetween?: (from: string, to: string) => number;
  /** Share of frames that arrive twice, 0 to 1. No TCP does that; no peer may mind it. */
  readonly duplicateProbability: number;
}

/** What accepts connections at an address. */
export type Accept = (connection: Connection) => End;

export type DialResult = "refused" | "unreachable" | Connection;

interface Listener {
  readonly owner: string;
  readonly accept: Accept;
}

/** Of lost segments, how many silence their direction for good, and how many reset the link. */
const SILENCE_SHARE = 0.03;
const RESET_SHARE = 0.03;
/** TCP waits about this long before it sends a lost segment again, in ms. */
const RETRANSMIT_MS = 200;
/** How many times the mean a delay takes at most once nothing is wrong any more: far below a silence. */
const CALM_JITTERS = 5;

export class Network implements Medium {
  readonly world: World;
  readonly #random: Random;
  readonly #options: NetworkOptions;
  readonly #listeners = new Map<string, Listener>();
  /** Hosts without power: they do not even refuse. */
  readonly #dark = new Set<string>();
  readonly #connections = new Set<Connection>();
  /** Directions that are cut, by `from`, then `to`, and what waits for each to heal. */
  readonly #cuts = new Map<string, Map<string, (() => void)[]>>();
  /** Of the cuts, those that reject. */
  readonly #rejecting = new Set<string>();
  /** How often a direction was cut or healed: while it is the same, so are `cuts`. */
  cutChanges = 0;
  /** After the faults have ended: nothing is lost or doubled any more. */
  #isCalm = false;
  frames = 0;
  bytes = 0;
  /** Told of every frame that is sent; close frames, which are empty, are none. */
  onSent: ((bytes: Uint8Array) => void) | undefined;

  constructor(world: World, random: Random, options: NetworkOptions) {
    this.world = world;
    this.#random = random;
    this.#options = options;
  }

  get connections(): ReadonlySet<Connection> {
    return this.#connections;
  }

  listen(address: string, owner: string, accept: Accept): void {
    this.#dark.delete(address);
    this.#listeners.set(address, { owner, accept });
  }

  /** `isDark`: the whole host is gone, and with it whoever would refuse. */
  unlisten(address: string, isDark = false): void {
    this.#listeners.delete(address);
    if (isDark) this.#dark.add(address);
  }

  /** Keeps a host that listens from being reached by dials, until it is shown again. */
  hide(address: string): void {
    this.#dark.add(address);
  }

  show(address: string): void {
    this.#dark.delete(address);
  }

  /** Dials; `done` hears of it after a round trip, or after `timeoutMs` when nobody answers. */
  dial(from: string, address: string, timeoutMs: number, done: (result: DialResult) => void): void {
    const roundTripMs = this.delayMs(0) + this.delayMs(0);
    this.world.plan(Math.min(roundTripMs, timeoutMs), () => {
      const listener = this.#listeners.get(address);
      const owner = listener?.owner;
      const isCut =
        owner !== undefined &&
        (this.cutBetween(from, owner) !== undefined || this.cutBetween(owner, from) !== undefined);
      if (owner !== undefined && (this.rejects(from, owner) || this.rejects(owner, from))) {
        done("refused");
      } else if (isCut || this.#dark.has(address) || roundTripMs > timeoutMs) {
        this.world.plan(Math.max(0, timeoutMs - roundTripMs), () => done("unreachable"));
      } else if (listener === undefined) done("refused");
      else done(this.#connect(from, listener));
    });
  }

  #connect(from: string, { owner, accept }: Listener): Connection {
    const connection = new Connection(this, from, owner);
    connection.attach(1, accept(connection));
    this.#connections.add(connection);
    return connection;
  }

  /** How long a frame of this size takes. */
  delayMs(byteLength: number): number {
    const { delayMsMin, delayMsMean, bytesPerMs } = this.#options;
    const jitterMs = -delayMsMean * Math.log(1 - this.#random.unit());
    const calmMs = this.#isCalm ? CALM_JITTERS * delayMsMean : Number.POSITIVE_INFINITY;
    return delayMsMin + Math.min(jitterMs, calmMs) + byteLength / bytesPerMs;
  }

  /** What happens to a frame: undefined, a delay in ms, or worse. */
  loss(from: string, to: string): undefined | number | "silence" | "reset" {
    const { lossBetween } = this.#options;
    const lossProbability = lossBetween?.(from, to) ?? this.#options.lossProbability;
    if (lossProbability === 0 || this.#isCalm || !this.#random.chance(lossProbability)) {
      return undefined;
    }
    if (this.#random.chance(SILENCE_SHARE)) return "silence";
    if (this.#random.chance(RESET_SHARE)) return "reset";
    return RETRANSMIT_MS * (1 + this.#random.below(3));
  }

  copies(): number {
    const { duplicateProbability } = this.#options;
    if (duplicateProbability === 0 || this.#isCalm) return 1;
    return this.#random.chance(duplicateProbability) ? 2 : 1;
  }

  /** Ends loss, duplication, and delays by which a link looks dead. */
  calm(): void {
    this.#isCalm = true;
  }

  /** Cuts one direction; one that `rejects` answers for whom it hides. */
  cut(from: string, to: string, rejects = false): void {
    if (rejects) this.#rejecting.add(`${from} ${to}`);
    const cuts = this.#cuts.get(from) ?? new Map<string, (() => void)[]>();
    this.#cuts.set(from, cuts);
    if (cuts.has(to)) return;
    cuts.set(to, []);
    this.cutChanges += 1;
  }

  /** Heals one direction; held frames go on. */
  heal(from: string, to: string): void {
    this.#rejecting.delete(`${from} ${to}`);
    const cuts = this.#cuts.get(from);
    const waiting = cuts?.get(to);
    if (cuts === undefined || waiting === undefined) return;
    cuts.delete(to);
    if (cuts.size === 0) this.#cuts.delete(from);
    this.cutChanges += 1;
    for (const resume of waiting) resume();
  }

  /** What waits for this direction to heal; undefined when it is open. */
  cutBetween(from: string, to: string): (() => void)[] | undefined {
    return this.#cuts.size === 0 ? undefined : this.#cuts.get(from)?.get(to);
  }

  /** Whether what is sent in this direction is answered by a reset. */
  rejects(from: string, to: string): boolean {
    return this.#rejecting.size > 0 && this.#rejecting.has(`${from} ${to}`);
  }

  /** Directions that are cut now, as [from, to]. */
  cuts(): [string, string][] {
    return [...this.#cuts].flatMap(([from, cuts]) =>
      [...cuts.keys()].map((to): [string, string] => [from, to]),
    );
  }

  /** Resets every connection that `filter` picks. */
  reset(filter: (connection: Connection) => boolean): void {
    for (const connection of [...this.#connections]) if (filter(connection)) connection.reset();
  }

  forget(connection: Connection): void {
    this.#connections.delete(connection);
  }

  sent(bytes: Uint8Array): void {
    this.onSent?.(bytes);
  }

  count(byteLength: number): void {
    this.frames += 1;
    this.bytes += byteLength;
  }
}
