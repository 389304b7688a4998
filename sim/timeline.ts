/**
 * What happened in a run, kept for people: the last changes, samples over time, and rare events.
 */
import type { Change } from "../src/core/effect.ts";
import type { Network } from "./network.ts";
import type { SimulatedPeer } from "./peer.ts";
import type { World } from "./world.ts";

/** The cluster at one moment. */
export interface Sample {
  readonly atMs: number;
  /** Directions that are cut. */
  readonly cuts: readonly (readonly [from: string, to: string])[];
  readonly peers: readonly PeerSample[];
  /** Sent so far, by all. */
  readonly frames: number;
  readonly bytes: number;
}

export interface PeerSample {
  readonly name: string;
  readonly state: "up" | "paused" | "down";
  /** Null while the peer is down. */
  readonly fingerprint: string | null;
  readonly ready: boolean;
}

const HISTORY_LENGTH_MAX = 300;

export class Timeline {
  readonly history: string[] = [];
  readonly samples: Sample[] = [];
  readonly sometimes: Record<string, number> = {};
  readonly #world: World;
  readonly #network: Network;
  readonly #peers: readonly SimulatedPeer[];

  constructor(world: World, network: Network, peers: readonly SimulatedPeer[]) {
    this.#world = world;
    this.#network = network;
    this.#peers = peers;
  }

  /** Records a change and returns the line that stands for it. */
  changed(peer: SimulatedPeer, change: Change): string {
    const line = `${this.#world.now.toFixed(3)} ${peer.name} ${describe(change)}`;
    this.history.push(line);
    if (this.history.length > HISTORY_LENGTH_MAX) this.history.shift();
    if (change.type === "member") this.#count(`a member is ${change.status}`);
    if (change.type === "warning") this.#count(`a warning ${change.code}`);
    if (change.type === "ready") this.#count(`a cluster is ${change.how}`);
    if (change.type === "allocation" && change.token % 4096 !== 0) this.#count("a counter is used");
    return line;
  }

  sample(): void {
    const owners = new Map<string, Set<string>>();
    const peers = this.#peers.map((peer): PeerSample => {
      const { name, state, machine } = peer;
      for (const { shard, region } of machine?.view.allocations() ?? []) {
        if (region === name) owners.set(shard, (owners.get(shard) ?? new Set()).add(name));
      }
      const fingerprint = machine?.view.fingerprint() ?? null;
      return { name, state, fingerprint, ready: machine?.isReady ?? false };
    });
    if ([...owners.values()].some((names) => names.size > 1)) this.#count("two owners at once");
    const { frames, bytes } = this.#network;
    const cuts = this.#network.cuts();
    if (cuts.length > 0) this.#count("a cut stands");
    this.samples.push({ atMs: this.#world.now, cuts, peers, frames, bytes });
  }

  #count(what: string): void {
    this.sometimes[what] = (this.sometimes[what] ?? 0) + 1;
  }
}

function describe(change: Change): string {
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
    case "warning":
      return `warns ${change.code}: ${change.message}`;
  }
}
