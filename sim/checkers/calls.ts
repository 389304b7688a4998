/**
 * Calls do what they say: a write is readable where it was made, supersedes what it says, and what was
 * acknowledged is not forgotten by a peer that kept its disk.
 */
import { compareStamps } from "../../src/core/lww-map.ts";
import type { Stamp } from "../../src/core/units.ts";
import type { Checker, Report } from "../checker.ts";
import type { Outcome, SimulatedPeer } from "../peer.ts";
import { forgetting } from "./forgotten.ts";

/** Refusals that a user may get at any time. Any other is a bug. */
const ALLOWED = new Set([
  ...["NOT_READY", "CLOCK_DRIFT", "REGION_NOT_ALIVE", "REGION_NOT_FOUND"],
  "HANDOFF_TIMEOUT",
]);
/** Those of calls that another peer has to carry out. */
const ALLOWED_AFAR = new Set([...ALLOWED, "NO_REGION", "UNREACHABLE", "TIMEOUT", "BUFFER_FULL"]);

/** How long a call may take that is passed on, in ms; peers that have settled are not late. */
const ANSWER_MS_MAX = 12_000;

/** A call without an answer. */
interface Pending {
  readonly codes: readonly string[];
  /** The life of the peer that it was made in: no other answers it. */
  readonly life: number;
  readonly atMs: number;
}

interface Expected {
  readonly shard: string;
  /** Undefined for a release. */
  readonly region: string | undefined;
}

export class CallsChecker implements Checker {
  readonly #report: Report;
  readonly #now: () => number;
  readonly #pending = new Map<SimulatedPeer, Map<number, Pending>>();
  readonly #expected = new Map<SimulatedPeer, Map<number, Expected>>();
  /** By peer and shard: the highest stamp that was acknowledged there. */
  readonly #acknowledged = new Map<SimulatedPeer, Map<string, Stamp>>();

  constructor(report: Report, now: () => number) {
    this.#report = report;
    this.#now = now;
  }

  /** A call is about to be made that may be refused for these reasons, too. */
  allow(peer: SimulatedPeer, call: number, codes: readonly string[]): void {
    const pending = this.#pending.get(peer) ?? new Map<number, Pending>();
    this.#pending.set(peer, pending);
    pending.set(call, { codes, life: peer.lives, atMs: this.#now() });
  }

  /** A call is about to be made: `call` is the number that it will have. */
  expect(peer: SimulatedPeer, call: number, expected: Expected): void {
    const calls = this.#expected.get(peer) ?? new Map<number, Expected>();
    calls.set(call, expected);
    this.#expected.set(peer, calls);
  }

  answered(peer: SimulatedPeer, call: number, outcome: Outcome): void {
    const expected = this.#expected.get(peer)?.get(call);
    this.#expected.get(peer)?.delete(call);
    const pending = this.#pending.get(peer)?.get(call);
    this.#pending.get(peer)?.delete(call);
    if (!outcome.ok) {
      const isAfar = expected === undefined && pending?.codes === undefined;
      const allowed = isAfar ? ALLOWED_AFAR : ALLOWED;
      const isAllowed = allowed.has(outcome.code) || pending?.codes.includes(outcome.code);
      if (!isAllowed) this.#report("A1", outcome.message);
      return;
    }
    if (expected === undefined) return;
    const { token: time, writer } = outcome.value as { token: number; writer: string };
    this.#compare(peer, expected, { time, writer });
    const acknowledged = this.#acknowledged.get(peer) ?? new Map<string, Stamp>();
    acknowledged.set(expected.shard, { time, writer });
    this.#acknowledged.set(peer, acknowledged);
  }

  wiped(peer: SimulatedPeer): void {
    this.#acknowledged.delete(peer);
  }

  /** [I17] Nothing that was acknowledged is forgotten. */
  settled(peers: readonly SimulatedPeer[]): void {
    this.#checkAnswers(peers);
    for (const [peer, acknowledged] of this.#acknowledged) {
      if (!peers.includes(peer)) continue;
      const entries = new Map(
        peer.machine?.allocationEntries().map((entry) => [entry.key, entry] as const),
      );
      const mayForget = forgetting(peer.machine?.entries() ?? []);
      for (const [shard, stamp] of acknowledged) {
        const entry = entries.get(shard);
        // A release that is forgotten by now was not lost.
        const { time } = stamp;
        if (
          entry === undefined &&
          mayForget("allocations", { key: shard, value: undefined, time })
        ) {
          continue;
        }
        if (entry === undefined || compareStamps(entry, stamp) < 0) {
          this.#report("I17", `${peer.name} acknowledged ${shard} at ${stamp.time} and lost it`);
        }
      }
    }
  }

  /** [P2] Whoever called and is still alive has an answer by now. */
  #checkAnswers(peers: readonly SimulatedPeer[]): void {
    for (const peer of peers) {
      for (const { life, atMs } of this.#pending.get(peer)?.values() ?? []) {
        const waitedMs = this.#now() - atMs;
        if (life === peer.lives && waitedMs > ANSWER_MS_MAX) {
          this.#report("P2", `A call at ${peer.name} has had no answer for ${waitedMs} ms`);
        }
      }
    }
  }

  /** [I5] What the table says now is this write, or one that came after it. */
  #compare(peer: SimulatedPeer, { shard, region }: Expected, stamp: Stamp): void {
    const allocation = peer.machine?.view.allocation(shard);
    if (allocation === undefined) return; // Released, by this call or a later one: I17 knows.
    const order = compareStamps({ time: allocation.token, writer: allocation.writer }, stamp);
    if (order < 0) this.#report("I5", `${peer.name} does not see its own write of ${shard}`);
    if (order === 0 && allocation.region !== region) {
      this.#report("I5", `${peer.name} wrote ${region} to ${shard} and reads something else`);
    }
  }
}
