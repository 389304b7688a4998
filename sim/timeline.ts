/**
 * What happened in a run, kept for people: the last events, the course over time, and rare events.
 *
 * Changes are told by the peers. What is done to peers and links - who is down, stopped, cut off - is
 * looked at often enough that pictures are right to a twentieth of a second. Histories are kept for
 * each peer alone, so that a busy one does not push out what the quiet ones did last.
 */
import type { Change } from "../src/core/effect.ts";
import type { Network } from "./network.ts";
import type { FaultKind } from "./options.ts";
import type { SimulatedPeer } from "./peer.ts";
import type { World } from "./world.ts";

/** How peers were and what was sent, at one moment. */
export interface Sample {
  readonly atMs: number;
  /** The name of each peer's table, in the order of the peers; null while the peer is down. */
  readonly fingerprints: readonly (string | null)[];
  /** Sent so far, by all. */
  readonly frames: number;
  readonly bytes: number;
}

/** How a peer is. `unready`: it runs, and has not found its cluster yet or lost it. */
export type PeerCondition = "ready" | "unready" | "paused" | "down";

export interface ConditionSpan {
  readonly peer: string;
  readonly condition: PeerCondition;
  readonly fromMs: number;
  readonly toMs: number;
}

/** While nothing that `from` sent reached `to`. */
export interface CutSpan {
  readonly from: string;
  readonly to: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Strike {
  readonly atMs: number;
  readonly kind: FaultKind;
}

/** Something that happened at a peer. */
export interface HistoryLine {
  readonly atMs: number;
  readonly peer: string;
  readonly text: string;
}

/** A run over time. Spans lie in the order of their ends. */
export interface Course {
  readonly peers: readonly string[];
  readonly samples: readonly Sample[];
  readonly conditions: readonly ConditionSpan[];
  readonly cuts: readonly CutSpan[];
  readonly strikes: readonly Strike[];
  /** The last lines of every peer, by time. */
  readonly history: readonly HistoryLine[];
}

/** A line before it is put into words. */
interface Happening {
  readonly atMs: number;
  readonly what: string | Change;
}

/** Lines of each peer. About as many as one reads. */
const HISTORY_LENGTH_MAX = 60;

export class Timeline {
  readonly sometimes: Record<string, number> = {};
  readonly #world: World;
  readonly #network: Network;
  readonly #peers: readonly SimulatedPeer[];
  /** Of most changes nobody ever reads, so they are put into words when somebody does. */
  readonly #history = new Map<string, Happening[]>();
  readonly #samples: Sample[] = [];
  readonly #strikes: Strike[] = [];
  readonly #conditions: ConditionSpan[] = [];
  readonly #cuts: CutSpan[] = [];
  /** What is the case now, and since when. */
  readonly #condition = new Map<string, { condition: PeerCondition; fromMs: number }>();
  readonly #cut = new Map<string, { from: string; to: string; fromMs: number }>();
  #cutChanges = 0;
  /** Which peers had changed how often when owners were counted, and whether a shard had several. */
  #countedAt: readonly number[] = [];
  #hasTwoOwners = false;

  constructor(world: World, network: Network, peers: readonly SimulatedPeer[]) {
    this.#world = world;
    this.#network = network;
    this.#peers = peers;
    for (const { name } of peers) this.#condition.set(name, { condition: "down", fromMs: 0 });
  }

  changed(peer: SimulatedPeer, change: Change): void {
    this.#write(peer.name, change);
    if (change.type === "member") this.#count(`a member is ${change.status}`);
    if (change.type === "warning") this.#count(`a warning ${change.code}`);
    if (change.type === "tick" && change.state !== "running") {
      this.#count(`a tick is ${change.state}`);
    }
    if (change.type === "ready") this.#count(`a cluster is ${change.how}`);
    if (change.type === "allocation" && change.token % 4096 !== 0) this.#count("a counter is used");
  }

  struck(kind: FaultKind): void {
    this.#strikes.push({ atMs: this.#world.now, kind });
    this.look();
  }

  /** Sees what was done to peers and links since it last looked. */
  look(): void {
    for (const peer of this.#peers) {
      const condition = conditionOf(peer);
      const before = this.#condition.get(peer.name);
      if (before === undefined || before.condition === condition) continue;
      this.#endCondition(peer.name);
      this.#condition.set(peer.name, { condition, fromMs: this.#world.now });
      this.#write(peer.name, CONDITION_TEXTS[condition]);
    }
    this.#lookAtCuts();
  }

  sample(): void {
    if (this.#peers.some(({ changes }, index) => changes !== this.#countedAt[index])) {
      this.#countedAt = this.#peers.map(({ changes }) => changes);
      this.#hasTwoOwners = hasTwoOwners(this.#peers);
    }
    if (this.#hasTwoOwners) this.#count("two owners at once");
    if (this.#cut.size > 0) this.#count("a cut stands");
    this.#samples.push({
      atMs: this.#world.now,
      fingerprints: this.#peers.map(({ summary }) => summary?.table ?? null),
      frames: this.#network.frames,
      bytes: this.#network.bytes,
    });
  }

  /** The course so far. */
  course(): Course {
    for (const { name } of this.#peers) {
      const condition = this.#condition.get(name)?.condition ?? "down";
      this.#endCondition(name);
      this.#condition.set(name, { condition, fromMs: this.#world.now });
    }
    for (const [direction, cut] of this.#cut) {
      this.#cuts.push({ ...cut, toMs: this.#world.now });
      this.#cut.set(direction, { ...cut, fromMs: this.#world.now });
    }
    return {
      peers: this.#peers.map(({ name }) => name),
      ...{ samples: this.#samples, conditions: this.#conditions, cuts: this.#cuts },
      strikes: this.#strikes,
      history: this.#lines(),
    };
  }

  #lookAtCuts(): void {
    if (this.#network.cutChanges === this.#cutChanges) return;
    this.#cutChanges = this.#network.cutChanges;
    const present = this.#network.cuts();
    const open = new Set(present.map(([from, to]) => `${from} ${to}`));
    const healed = new Map<string, string[]>();
    const cut = new Map<string, string[]>();
    for (const [direction, { from, to, fromMs }] of this.#cut) {
      if (open.has(direction)) continue;
      this.#cut.delete(direction);
      this.#cuts.push({ from, to, fromMs, toMs: this.#world.now });
      healed.set(from, [...(healed.get(from) ?? []), to]);
    }
    for (const [from, to] of present) {
      if (this.#cut.has(`${from} ${to}`)) continue;
      this.#cut.set(`${from} ${to}`, { from, to, fromMs: this.#world.now });
      cut.set(from, [...(cut.get(from) ?? []), to]);
    }
    for (const [from, to] of healed) this.#write(from, `reaches ${to.join(", ")} again`);
    for (const [from, to] of cut) this.#write(from, `no longer reaches ${to.join(", ")}`);
  }

  #endCondition(peer: string): void {
    const before = this.#condition.get(peer);
    if (before === undefined) return;
    this.#conditions.push({ peer, ...before, toMs: this.#world.now });
  }

  #lines(): HistoryLine[] {
    const lines = [...this.#history].flatMap(([peer, happenings]) =>
      happenings.slice(-HISTORY_LENGTH_MAX).map(({ atMs, what }) => {
        return { atMs, peer, text: typeof what === "string" ? what : describe(what) };
      }),
    );
    return lines.sort((a, b) => a.atMs - b.atMs);
  }

  #write(peer: string, what: string | Change): void {
    const happenings = this.#history.get(peer) ?? [];
    this.#history.set(peer, happenings);
    happenings.push({ atMs: this.#world.now, what });
    if (happenings.length >= 2 * HISTORY_LENGTH_MAX) happenings.splice(0, HISTORY_LENGTH_MAX);
  }

  #count(what: string): void {
    this.sometimes[what] = (this.sometimes[what] ?? 0) + 1;
  }
}

const CONDITION_TEXTS: Readonly<Record<PeerCondition, string>> = {
  ready: "runs and is ready",
  unready: "runs and is not ready",
  paused: "is stopped",
  down: "is down",
};

/** Whether there is a shard that more than one peer believes to have. */
function hasTwoOwners(peers: readonly SimulatedPeer[]): boolean {
  const owned = new Set<string>();
  return peers.some(({ name, machine }) =>
    machine?.view.allocations().some(({ shard, region }) => {
      if (region !== name) return false;
      if (owned.has(shard)) return true;
      owned.add(shard);
      return false;
    }),
  );
}

function conditionOf({ state, machine }: SimulatedPeer): PeerCondition {
  if (state !== "up") return state;
  return machine?.isReady ? "ready" : "unready";
}

/** A change in words. */
export function describe(change: Change): string {
  switch (change.type) {
    case "ready":
      return `is ready: ${change.how}`;
    case "allocation":
      return `sees ${change.shard} at ${change.region ?? "nobody"} (${change.token} ${change.writer})`;
    case "member":
      return `sees ${change.name} ${change.status}: ${change.why} (${change.incarnation})`;
    case "acquire":
      return `got ${change.shard}`;
    case "release":
      return `lost ${change.shard} to ${change.to ?? "nobody"}`;
    case "era":
      return `is in era ${change.number}, without ${change.forgotten.join(", ") || "anything"} old`;
    case "tick":
      return `sees ${change.phase} of tick ${change.tick} ${change.state}`;
    case "warning":
      return `warns ${change.code}: ${change.message}`;
  }
}
