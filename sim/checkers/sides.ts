/**
 * Of the sides of a partition at most one serves, once it has lasted long enough to be noticed.
 *
 * Judged from outside, by the cuts of the network and not by what peers believe: two peers that both
 * serve, though nothing has passed between them in either direction for long, not by way of others
 * either, are two sides. Only where cuts are all that went wrong: a process that ended no longer counts
 * [F5], and sides may rightly shrink by it.
 */
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** How long it may take a side to notice: silence, suspicion, and what delays both. */
const NOTICE_MS_MAX = 20_000;

/** How often it is looked at, in ms. */
const LOOK_MS = 500;

export class SidesChecker implements Checker {
  readonly #report: Report;
  readonly #now: () => number;
  readonly #cuts: () => Iterable<readonly [from: string, to: string]>;
  /** Whether nothing has gone wrong but cuts, and downing decides. */
  readonly #isJudged: () => boolean;
  /** By pair: since when the two are on different sides. */
  #apart = new Map<string, number>();
  #lookAt = 0;
  readonly #ready = new Map<string, SimulatedPeer>();

  constructor(
    report: Report,
    now: () => number,
    cuts: () => Iterable<readonly [from: string, to: string]>,
    isJudged: () => boolean,
  ) {
    this.#report = report;
    this.#now = now;
    this.#cuts = cuts;
    this.#isJudged = isJudged;
  }

  stepped(peer: SimulatedPeer): void {
    this.#ready.set(peer.name, peer);
    if (this.#now() < this.#lookAt) return;
    this.#lookAt = this.#now() + LOOK_MS;
    if (!this.#isJudged()) this.#apart.clear();
    else this.#look();
  }

  /** [F9] */
  #look(): void {
    const names = [...this.#ready.keys()].sort();
    const sideOf = sides(names, [...this.#cuts()]);
    const apart = new Map<string, number>();
    for (const a of names) {
      for (const b of names.filter((name) => name > a && sideOf.get(name) !== sideOf.get(a))) {
        const pair = `${a} and ${b}`;
        const since = this.#apart.get(pair) ?? this.#now();
        apart.set(pair, since);
        const isBoth = [a, b].every((name) => this.#ready.get(name)?.machine?.isReady);
        if (isBoth && this.#now() - since > NOTICE_MS_MAX) {
          this.#report("F9", `${pair} both serve ${this.#now() - since} ms after they were parted`);
        }
      }
    }
    this.#apart = apart;
  }
}

/** Which peers are connected, if only in one direction and by way of others: the lowest name of each. */
function sides(
  names: readonly string[],
  cuts: readonly (readonly [string, string])[],
): Map<string, string> {
  const isCut = new Set(cuts.map(([from, to]) => `${from} ${to}`));
  const side = new Map<string, string>();
  for (const start of names) {
    if (side.has(start)) continue;
    const open = [start];
    side.set(start, start);
    for (let one = open.pop(); one !== undefined; one = open.pop()) {
      for (const other of names) {
        const isParted = isCut.has(`${one} ${other}`) && isCut.has(`${other} ${one}`);
        if (isParted || side.has(other)) continue;
        side.set(other, start);
        open.push(other);
      }
    }
  }
  return side;
}
