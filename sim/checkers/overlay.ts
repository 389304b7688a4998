/**
 * Beyond a full mesh, peers have the links that the rule gives them, and others for those they cannot have.
 *
 * The rule is told here as in SPEC.md, over lists and without any cache. What a peer lacks it may lack
 * for as long as dials take, but not for longer while its members stay the same.
 */
import { hash32 } from "../../src/core/hash.ts";
import type { Report } from "../checker.ts";
import type { Network } from "../network.ts";
import type { SimulatedPeer } from "../peer.ts";

/** How long two dials across a cut, and one of somebody else, may take, with waits between, in ms. */
const LACK_MS_MAX = 4000;
/** How much longer it may take for each other one that is dialled in vain before, in ms. */
const VAIN_MS = 1500;

/** What a peer lacks, among which members, and since when. */
interface Lack {
  readonly what: string;
  readonly since: number;
}

export class OverlayChecker {
  readonly #report: Report;
  readonly #network: Network;
  readonly #meshMax: number;
  readonly #lacks = new Map<SimulatedPeer, Lack>();

  constructor(report: Report, network: Network, meshMax: number) {
    this.#report = report;
    this.#network = network;
    this.#meshMax = meshMax;
  }

  /** [G7] Looks at the links of `peers`, which all are well; `all` are those that there are. */
  look(peers: readonly SimulatedPeer[], all: readonly SimulatedPeer[]): void {
    const now = this.#network.world.now;
    for (const peer of peers) {
      const members = (peer.machine?.view.membership.all() ?? [])
        .filter(({ status }) => status === "alive" || status === "suspect")
        .map(({ name }) => name);
      const others = members.filter((name) => name !== peer.name);
      const reachable = others.filter((name) => this.#canLink(peer.name, name, all));
      const hasOverlay = members.length > this.#meshMax && members.includes(peer.name);
      const missing = hasOverlay ? missingOf(peer, members, reachable) : undefined;
      const lack = missing ?? (hasOverlay ? lackOf(peer, members, reachable) : undefined);
      const what = `${lack} of ${members.join()}`;
      const before = this.#lacks.get(peer);
      const inVain = missing === undefined ? Math.max(0, others.length - reachable.length - 1) : 0;
      if (lack === undefined) this.#lacks.delete(peer);
      else if (before?.what !== what) this.#lacks.set(peer, { what, since: now });
      else if (now - before.since > LACK_MS_MAX + inVain * VAIN_MS) {
        this.#report("G7", `${peer.name} ${lack}`);
      }
    }
  }

  /** Who comes to a handshake too late, among all that waits there, is as good as cut off. */
  #canLink(a: string, b: string, all: readonly SimulatedPeer[]): boolean {
    const other = all.find(({ name }) => name === b);
    if (other?.state !== "up") return false;
    if (other.lagMs > other.options.timings.dialTimeoutMs / 2) return false;
    const isCut = (from: string, to: string) => this.#network.cutBetween(from, to) !== undefined;
    return !isCut(a, b) && !isCut(b, a);
  }
}

/** A neighbour that is dialled, whoever else is not there. */
function missingOf(
  peer: SimulatedPeer,
  members: readonly string[],
  reachable: readonly string[],
): string | undefined {
  const linked = new Set(peer.links.remotes());
  const missing = neighboursByRule(peer.name, members).find(
    (name) => reachable.includes(name) && !linked.has(name),
  );
  return missing && `has no link with its neighbour ${missing}`;
}

/** Somebody who would stand in. */
function lackOf(
  peer: SimulatedPeer,
  members: readonly string[],
  reachable: readonly string[],
): string | undefined {
  const linked = new Set(peer.links.remotes());
  const least = Math.min(neighboursByRule(peer.name, members).length, reachable.length);
  const count = members.filter((name) => linked.has(name)).length;
  return count < least ? `has ${count} links where ${least} are to be had` : undefined;
}

/** Two successors, those 4, 8, 16, ... places on, and everybody who has `self` among these. */
function neighboursByRule(self: string, members: readonly string[]): string[] {
  const ring = [...members].sort((a, b) => hash32(a) - hash32(b) || (a < b ? -1 : 1));
  const isLink = (from: string, to: string): boolean => {
    const steps = (ring.indexOf(to) - ring.indexOf(from) + ring.length) % ring.length;
    return [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].includes(steps);
  };
  return ring.filter((name) => name !== self && (isLink(self, name) || isLink(name, self)));
}
