/**
 * What peers may use: queues and tables are bounded while things go wrong, and idle peers are quiet.
 */
import type { MachineEvent } from "../../src/core/event.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** Links for each other peer: one, and those that are about to close. */
const LINKS_PER_PEER_MAX = 12;
/** Bytes that a peer may send in a second to each other one when nothing happens. */
const IDLE_BYTES_PER_LINK_MAX = 160;
/** Frames of one change for each other peer: the push, and what now and then follows from it. */
const FRAMES_PER_LINK_MAX = 1.5;

export class ResourcesChecker implements Checker {
  readonly #report: Report;
  readonly #peerCount: number;
  readonly #meshMax: number;
  readonly #now: () => number;
  /** By name: links opened in one second. */
  readonly #opened = new Map<string, { second: number; count: number }>();

  constructor(report: Report, peerCount: number, meshMax: number, now: () => number) {
    this.#report = report;
    this.#peerCount = peerCount;
    this.#meshMax = meshMax;
    this.#now = now;
  }

  /** [U3] Links that there are, and links that come and go. */
  stepped(peer: SimulatedPeer, event: MachineEvent): void {
    if (event.type !== "link-opened") return;
    const max = LINKS_PER_PEER_MAX * (this.#peerCount + 2);
    const count = peer.links.openCount;
    if (count > max) this.#report("U3", `${peer.name} has ${count} links`);
    const second = Math.floor(this.#now() / 1000);
    const opened = this.#opened.get(peer.name) ?? { second, count: 0 };
    if (opened.second !== second) Object.assign(opened, { second, count: 0 });
    opened.count += 1;
    this.#opened.set(peer.name, opened);
    if (opened.count === max + 1) {
      this.#report("U3", `${peer.name} opens more than ${max} links in a second`);
    }
  }

  /** [U1, G7] What all `peers` sent in a second in which nothing happened, and over which links. */
  idle(peers: readonly SimulatedPeer[], bytesPerSecond: number): void {
    const others = peers.length - 1;
    const max = peers.length * others * IDLE_BYTES_PER_LINK_MAX;
    if (bytesPerSecond > max) this.#report("U1", `${bytesPerSecond} bytes/s while idle`);
    if (peers.length > this.#meshMax) return; // `overlay.ts` looks at those.
    for (const { name, machine } of peers) {
      const count = machine?.status().links;
      if (count !== others) this.#report("G7", `${name} has ${count} links to ${others} others`);
    }
  }

  /** [U2] What one change cost beyond what is sent in any case, as a mean over several. */
  change(peers: number, frames: number): void {
    const max = (peers - 1) * FRAMES_PER_LINK_MAX + 1;
    if (frames > max) this.#report("U2", `${frames} frames for one change`);
  }
}
