/**
 * What a checker is, and where it reports.
 *
 * A checker holds an invariant. It sees what an outsider could see - what becomes durable, what is
 * announced and answered, and the state that peers show - and has its own, naive idea of what is right.
 * Checkers know nothing of each other; each feature brings its own, in a file of its own.
 */
import type { Delivery } from "../src/core/delivery.ts";
import type { AskOutcome, Change } from "../src/core/effect.ts";
import type { MachineEvent } from "../src/core/event.ts";
import type { HostTask } from "../src/core/host-task.ts";
import type { MapEntries } from "../src/core/message.ts";
import type { Counts } from "./host.ts";
import type { Outcome, SimulatedPeer } from "./peer.ts";

export interface Violation {
  readonly rule: string;
  readonly atMs: number;
  readonly detail: string;
}

/** Says that a rule is broken. */
export type Report = (rule: string, detail: string) => void;

export interface Checker {
  /** A life of a peer begins: its machine is there and has not taken a step. */
  booted?(peer: SimulatedPeer): void;
  persisted?(peer: SimulatedPeer, maps: readonly MapEntries[]): void;
  /** The peer's disk was lost, or emptied by a reset: what only it held is gone, and may be. */
  wiped?(peer: SimulatedPeer): void;
  changed?(peer: SimulatedPeer, change: Change): void;
  /** A call was made; what it asks for is known to whoever made it. */
  answered?(peer: SimulatedPeer, call: number, outcome: Outcome): void;
  stepped?(peer: SimulatedPeer, event: MachineEvent): void;
  /** A quarter of a second or less has passed, with all peers as they are now. */
  sampled?(peers: readonly SimulatedPeer[]): void;
  asked?(peer: SimulatedPeer, ask: number, outcome: AskOutcome): void;
  handled?(
    peer: SimulatedPeer,
    task: Extract<HostTask, { type: "handle" }>,
    operation: number,
  ): void;
  acquired?(
    peer: SimulatedPeer,
    task: Extract<HostTask, { type: "acquire" }>,
    imported: Counts | undefined,
  ): void;
  released?(peer: SimulatedPeer, shard: string, counts: Counts): void;
  /** The hosts of a peer are told something, and its services. */
  tasked?(peer: SimulatedPeer, task: HostTask): void;
  delivered?(peer: SimulatedPeer, delivery: Delivery): void;
  /** The peers that were healed have settled. */
  settled?(peers: readonly SimulatedPeer[]): void;
}

/** The first few of a rule say what is wrong; thousands only hide it, and what else is. */
const VIOLATIONS_PER_RULE_MAX = 5;

export class Violations {
  readonly list: Violation[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  readonly report: Report = (rule, detail) => {
    const count = this.list.filter((violation) => violation.rule === rule).length;
    if (count < VIOLATIONS_PER_RULE_MAX) this.list.push({ rule, atMs: this.#now(), detail });
  };
}
