/**
 * Nobody is suspected without reason: only who was silent for long, and ever longer after a mistake.
 *
 * The silence counts by the clock of who suspects, less the time in which that one took no step: it
 * could not hear anybody then. A suspicion is seen when it becomes durable, so it is judged only where
 * a disk takes no time.
 */
import type { MachineEvent } from "../../src/core/event.ts";
import { VERDICTS } from "../../src/core/membership.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** A machine takes a step at least that often unless it is late, in ms. */
const STEP_MS_MAX = 250;
/** What pulses and rounding may take from a silence, in ms. */
const SLACK_MS = 200;
/** Patience is doubled up to this, in ms. */
const PATIENCE_MS_MAX = 60_000;

/** What one life of a peer has heard and said. Moments are its own, less its lateness until then. */
interface Life {
  readonly startedAt: number;
  steppedAt: number;
  /** Time in which it took no step though it should have, and when that was last. */
  lateMs: number;
  lateAt: number;
  /** Its last step before that, by the same clock as what it heard. */
  beforeAt: number;
  /** The life of a peer that each link leads to, and when it was last heard. */
  readonly links: Map<number, { readonly remote: string; heardAt: number }>;
  readonly heardAt: Map<string, number>;
  /** By name and life: how often it was suspected, and when last. */
  readonly suspicions: Map<string, { readonly count: number; readonly at: number }>;
}

export class SuspicionsChecker implements Checker {
  readonly #report: Report;
  readonly #lives = new Map<SimulatedPeer, Life>();

  constructor(report: Report) {
    this.#report = report;
  }

  booted(peer: SimulatedPeer): void {
    if ((peer.options.diskMs ?? 0) > 0) return;
    this.#lives.set(peer, {
      ...{ startedAt: peer.now, steppedAt: peer.now, lateMs: 0, lateAt: -Infinity },
      beforeAt: peer.now,
      ...{ links: new Map(), heardAt: new Map(), suspicions: new Map() },
    });
  }

  stepped(peer: SimulatedPeer, event: MachineEvent): void {
    const life = this.#lives.get(peer);
    if (life === undefined) return;
    const awakeAt = awakeNow(peer, life);
    if (peer.now - awakeAt > life.lateMs + 1) {
      life.lateAt = peer.now;
      life.beforeAt = life.steppedAt - life.lateMs;
    }
    life.lateMs = peer.now - awakeAt;
    life.steppedAt = peer.now;
    if (event.type === "link-closed") life.links.delete(event.link);
    if (event.type === "link-opened") {
      life.links.set(event.link, { remote: event.remote.incarnation, heardAt: awakeAt });
    }
    if (event.type !== "link-opened" && event.type !== "received") return;
    // Over a link to another line of eras nobody is heard: it is closed at once.
    if (!peer.links.isOpen(event.link)) return;
    const link = life.links.get(event.link);
    // A link that was silent for too long is given up, and what still comes from it does not count.
    if (link === undefined || isLong(peer, awakeAt - link.heardAt)) return;
    link.heardAt = awakeAt;
    life.heardAt.set(link.remote, awakeAt);
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    const life = this.#lives.get(peer);
    if (life === undefined) return;
    for (const { map, entries } of maps) {
      if (map !== VERDICTS) continue;
      for (const entry of entries) {
        if (entry.writer === peer.machine?.incarnation) this.#judge(peer, life, entry);
      }
    }
  }

  #judge(peer: SimulatedPeer, life: Life, { key, value }: Entry): void {
    const [subject = ""] = key.split("/");
    if (!Array.isArray(value) || value[0] !== "suspect") return;
    const heardAt = life.heardAt.get(`${value[2]}`) ?? life.startedAt;
    const silentMs = awakeNow(peer, life) - heardAt;
    // Who was late a moment ago knows that it is slow, and is twice as patient or more, unless it had asked
    // the others by then.
    const isLate = peer.now - life.lateAt < peer.options.timings.silenceMs;
    const isSlow = isLate && !isLong(peer, life.beforeAt - heardAt);
    if (!isLong(peer, isSlow ? silentMs / 2 : silentMs)) {
      const late = isSlow ? `, ${(peer.now - life.lateAt).toFixed(0)} ms after it was late` : "";
      const silent = `silent for ${silentMs.toFixed(0)} ms`;
      this.#report("F2", `${peer.name} suspects ${subject}, ${silent}${late}`);
    }
    // [F5] A suspicion is followed by another one only when it was refuted.
    const accused = `${subject} ${value[2]}`; // Another life has refuted nothing.
    const { count, at } = life.suspicions.get(accused) ?? { count: 0, at: -Infinity };
    const patienceMs = Math.min(PATIENCE_MS_MAX, peer.options.timings.silenceMs * 2 ** count);
    const afterMs = peer.now - at;
    const isWorn = afterMs >= PATIENCE_MS_MAX; // By then it is half of what it was.
    if (afterMs < patienceMs - SLACK_MS && !isWorn) {
      const again = `again after ${afterMs.toFixed(0)} ms`;
      this.#report("F5", `${peer.name} suspects ${subject} ${again}`);
    }
    life.suspicions.set(accused, { count: count + 1, at: peer.now });
  }
}

/** Now by the clock of a peer, less the time in which it took no step though it should have. */
function awakeNow(peer: SimulatedPeer, { steppedAt, lateMs }: Life): number {
  return peer.now - lateMs - Math.max(0, peer.now - steppedAt - STEP_MS_MAX);
}

function isLong(peer: SimulatedPeer, silentMs: number): boolean {
  return silentMs >= peer.options.timings.silenceMs - SLACK_MS;
}
