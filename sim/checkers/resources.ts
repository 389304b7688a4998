/**
 * What peers may use: queues and tables are bounded while things go wrong, and idle peers are quiet.
 */
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** Links for each other peer: one, a duplicate about to close, and handshakes under way. */
const LINKS_PER_PEER_MAX = 12;
/** Bytes that a peer may send in a second to each other one when nothing happens. */
const IDLE_BYTES_PER_LINK_MAX = 160;
/** Frames of one change for each other peer: the push, and what a crossing exchange adds. */
const FRAMES_PER_CHANGE_MAX = 12;

export class ResourcesChecker implements Checker {
  readonly #report: Report;
  readonly #peerCount: number;

  constructor(report: Report, peerCount: number) {
    this.#report = report;
    this.#peerCount = peerCount;
  }

  /** [U3] Links and what waits in them. */
  stepped(peer: SimulatedPeer): void {
    const max = LINKS_PER_PEER_MAX * (this.#peerCount + 2);
    if (peer.links.size > max) this.#report("U3", `${peer.name} has ${peer.links.size} links`);
  }

  /** [U1] What `peers` sent in a second in which nothing happened. */
  idle(peers: number, bytesPerSecond: number): void {
    const max = peers * (peers - 1) * IDLE_BYTES_PER_LINK_MAX;
    if (bytesPerSecond > max) this.#report("U1", `${bytesPerSecond} bytes/s while idle`);
  }

  /** [U2] What one change cost. */
  change(peers: number, frames: number): void {
    const max = peers * FRAMES_PER_CHANGE_MAX;
    if (frames > max) this.#report("U2", `${frames} frames for one change`);
  }
}
