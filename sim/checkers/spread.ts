/**
 * In a calm cluster a change reaches everybody by being pushed, and does not wait for an exchange.
 *
 * What push leaves out the next exchanges find, within a second or so: a core that forgets a part of its
 * members looks well otherwise. So the changes that are made at the end of a run are timed.
 */
import { compareStamps } from "../../src/core/lww-map.ts";
import type { MapEntries } from "../../src/core/message.ts";
import type { Stamp } from "../../src/core/units.ts";
import { ALLOCATIONS } from "../../src/core/view.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** Hops that a change may take: more than any cluster that fits into a run needs. */
const HOPS_MAX = 6;

interface Written {
  readonly key: string;
  readonly stamp: Stamp;
  readonly at: number;
  readonly missing: Set<SimulatedPeer>;
}

export interface Pace {
  readonly delayMsMean: number;
  readonly diskMs: number;
  readonly bytesPerMs: number;
}

export class SpreadChecker implements Checker {
  readonly #report: Report;
  readonly #now: () => number;
  readonly #msMax: number;
  #peers: readonly SimulatedPeer[] = [];
  #written: Written[] = [];

  constructor(report: Report, now: () => number, { delayMsMean, diskMs, bytesPerMs }: Pace) {
    this.#report = report;
    this.#now = now;
    // Of a million frames a dozen are later than that.
    this.#msMax = HOPS_MAX * (12 * delayMsMean + 2 * diskMs + 2000 / bytesPerMs + 5);
  }

  /** Times what `peers` write from now on. */
  begin(peers: readonly SimulatedPeer[]): void {
    this.#peers = peers;
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    if (this.#peers.length === 0) return;
    for (const { map, entries } of maps) {
      for (const { key, time, writer } of map === ALLOCATIONS ? entries : []) {
        this.#has(peer, key, { time, writer });
        if (writer !== peer.machine?.incarnation) continue;
        const stamp = { time, writer };
        const others = this.#peers.filter((other) => other !== peer && !knows(other, key, stamp));
        this.#written.push({ key, stamp, at: this.#now(), missing: new Set(others) });
      }
    }
  }

  /** [G1] Nobody has waited for longer than pushes take. */
  end(): void {
    for (const { key, at, missing } of this.#written) {
      const [first] = missing;
      if (first === undefined || this.#now() - at <= this.#msMax) continue;
      this.#report("G1", `${first.name} and others are not told of ${key}: ${missing.size} in all`);
    }
  }

  /** What is newer does as well: the older one is not news any more. */
  #has(peer: SimulatedPeer, key: string, stamp: Stamp): void {
    for (const written of this.#written) {
      if (written.key !== key || compareStamps(stamp, written.stamp) < 0) continue;
      if (!written.missing.delete(peer)) continue;
      const tookMs = this.#now() - written.at;
      if (tookMs <= this.#msMax) continue;
      this.#report("G1", `${peer.name} hears of ${key} after ${tookMs.toFixed(0)} ms`);
    }
  }
}

/** Who has a newer one of a key will never take this one. */
function knows({ machine }: SimulatedPeer, key: string, stamp: Stamp): boolean {
  const has = machine?.entry(ALLOCATIONS, key);
  return has !== undefined && compareStamps(has, stamp) > 0;
}
