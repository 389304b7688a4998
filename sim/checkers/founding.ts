/**
 * A cluster is founded once and by who waited, and joined by who knows what its members know.
 *
 * Foundings that should not have been are undone by the core itself, since one of two gives way, and
 * what a peer lacks it gets before long; so what peers do is looked at, and not what becomes of it.
 */
import { timestampMs } from "../../src/core/clock.ts";
import type { Change } from "../../src/core/effect.ts";
import { FOUNDING_KEY, SETTINGS } from "../../src/core/founding.ts";
import { compareStamps } from "../../src/core/lww-map.ts";
import { MEMBERS } from "../../src/core/membership.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";
import type { Stamp } from "../../src/core/units.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";
import { forgetting } from "./forgotten.ts";

/** What one peer holds, by map and key, and since when. */
type Holdings = ReadonlyMap<string, Held>;
type Held = Entry & { readonly since: number };

interface Start {
  /** By the peer's clock, and in virtual time. */
  readonly at: number;
  readonly startedAt: number;
  readonly wallMs: number;
  /** What every other peer had on its disk by then, and what was on disks that were lost. */
  readonly others: readonly Holdings[];
  /** It began with a founding on its disk, and with the table that belongs to it. */
  readonly isFromDisk: boolean;
  /**
   * Somebody else has become ready since who may know only what this very peer has on its disk, or what
   * it heard long ago of somebody who is gone.
   */
  isMirrored: boolean;
}

const FOUNDING = `${SETTINGS} ${FOUNDING_KEY}`;

export class FoundingChecker implements Checker {
  readonly #report: Report;
  readonly #now: () => number;
  /** Whether nothing has gone wrong in this run. */
  readonly #isCalm: () => boolean;
  readonly #held = new Map<SimulatedPeer, Map<string, Held>>();
  /** What was on disks that are lost: somebody else may have joined by it in time. */
  readonly #lost: Holdings[] = [];
  /** The present life of each peer. */
  readonly #starts = new Map<SimulatedPeer, Start>();
  readonly #foundings = new Set<string>();

  constructor(report: Report, now: () => number, isCalm: () => boolean) {
    this.#report = report;
    this.#now = now;
    this.#isCalm = isCalm;
  }

  booted(peer: SimulatedPeer): void {
    const others: Holdings[] = [...this.#lost];
    for (const [other, held] of this.#held) if (other !== peer) others.push(new Map(held));
    const startedAt = this.#now();
    const isFromDisk = this.#held.get(peer)?.has(FOUNDING) === true;
    this.#starts.set(peer, {
      ...{ at: peer.now, startedAt, wallMs: peer.wallMs, others, isFromDisk },
      isMirrored: false,
    });
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    const held = this.#held.get(peer) ?? new Map();
    this.#held.set(peer, held);
    const since = this.#now();
    for (const { map, entries } of maps) {
      for (const entry of entries) held.set(`${map} ${entry.key}`, { ...entry, since });
      if (map === SETTINGS && entries.some(({ key }) => key === FOUNDING_KEY)) {
        this.#belongs(peer, held.get(FOUNDING) as Stamp);
      }
    }
  }

  wiped(peer: SimulatedPeer): void {
    const held = this.#held.get(peer);
    if (held !== undefined && held.size > 0) this.#lost.push(held);
    this.#held.set(peer, new Map());
  }

  /** [A0] Judges how a peer became ready, as long as it cannot have given up waiting. */
  changed(peer: SimulatedPeer, change: Change): void {
    const start = this.#starts.get(peer);
    if (change.type !== "ready" || start === undefined) return;
    const waitedMs = peer.now - start.at;
    const hasWaited = waitedMs >= peer.options.timings.foundAfterMs;
    const isOld = start.isMirrored || (hasWaited && change.how === "joined");
    for (const [other, its] of this.#starts) {
      if (other !== peer) its.isMirrored ||= its.isFromDisk || isOld;
    }
    if (peer.options.join.length === 0 || hasWaited) return;
    if (change.how === "founded") {
      this.#report("A0", `${peer.name} founds ${waitedMs.toFixed(0)} ms after its start`);
    } else if (!start.isMirrored) this.#compare(peer, start);
  }

  #belongs(peer: SimulatedPeer, founding: Stamp): void {
    const isSecond = this.#foundings.size > 0 && !this.#foundings.has(nameOf(founding));
    this.#foundings.add(nameOf(founding));
    if (isSecond && this.#isCalm()) {
      this.#report("A0", `${peer.name} founds a second cluster though nothing goes wrong`);
    }
  }

  /**
   * It joined by an exchange with somebody, so it has all that this one had when it started; give or take
   * what came to that one while it joined by an exchange itself.
   */
  #compare(peer: SimulatedPeer, { startedAt, wallMs, others }: Start): void {
    const own = new Map<string, Stamp>();
    for (const { map, entries } of peer.machine?.entries() ?? []) {
      for (const entry of entries) own.set(`${map} ${entry.key}`, entry);
    }
    // What is too far ahead is refused [C4]: only what surely is not counts. Who had to refuse an era
    // does not know what it makes others forget.
    if ((peer.machine?.status().refused.drift ?? 0) > 0) return;
    const { maxDriftMs, exchangeTimeoutMs } = peer.options.timings;
    const usedMs = peer.machine?.wallMs ?? 0;
    const latestMs = Math.min(wallMs, peer.wallMs, usedMs) + maxDriftMs;
    const mayForget = forgetting(peer.machine?.entries() ?? []);
    // [M5] A row that was forgotten elsewhere is not to be had, and the one that follows it may be on its way.
    const isRenewed = (place: string): boolean =>
      [...this.#held.values()].some((held) => {
        return (held.get(place)?.since ?? 0) > startedAt - exchangeTimeoutMs;
      });
    const lacks = (held: Holdings) =>
      [...held].some(([place, stamp]) => {
        const [map = ""] = place.split(" ");
        if (!own.has(place) && (mayForget(map, stamp) || (map === MEMBERS && isRenewed(place)))) {
          return false;
        }
        if (stamp.since > startedAt - exchangeTimeoutMs || timestampMs(stamp.time) > latestMs) {
          return false;
        }
        const has = own.get(place);
        return has === undefined || compareStamps(has, stamp) < 0;
      });
    const founding = nameOf(own.get(FOUNDING));
    const founded = others.filter((held) => nameOf(held.get(FOUNDING)) === founding);
    if (founded.length > 0 && founded.every(lacks)) {
      this.#report("A0", `${peer.name} is ready and lacks something of every other peer`);
    }
  }
}

function nameOf(stamp: Stamp | undefined): string {
  return `${stamp?.time} ${stamp?.writer}`;
}
