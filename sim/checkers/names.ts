/**
 * One name is one member: where nothing keeps them from each other, two processes of one name do not
 * both serve for long.
 *
 * A second process is started with the name and the disk of the first by the fault `clone`. While the
 * network is in trouble, or processes die, each may rightly take the other for dead.
 */
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** How long both may serve until they have met, in ms. */
const BOTH_MS_MAX = 15_000;

export class NamesChecker implements Checker {
  readonly #report: Report;
  readonly #now: () => number;
  /** Whether processes can have reached each other all along. */
  readonly #isReachable: () => boolean;
  readonly #serving = new Map<string, Set<SimulatedPeer>>();
  /** Since when several of a name serve. */
  readonly #since = new Map<string, number>();

  constructor(report: Report, now: () => number, isReachable: () => boolean) {
    this.#report = report;
    this.#now = now;
    this.#isReachable = isReachable;
  }

  #servingAs(name: string): Set<SimulatedPeer> {
    const known = this.#serving.get(name);
    if (known !== undefined) return known;
    const serving = new Set<SimulatedPeer>();
    this.#serving.set(name, serving);
    return serving;
  }

  /** [F7] Looks at who serves after a step. */
  stepped(peer: SimulatedPeer): void {
    const serving = this.#servingAs(peer.name);
    if (peer.machine?.isReady) serving.add(peer);
    else serving.delete(peer);
    if (serving.size < 2) {
      if (this.#since.size > 0) this.#since.delete(peer.name);
      return; // The usual case: nobody is cloned.
    }
    for (const one of serving) if (!one.machine?.isReady) serving.delete(one);
    if (serving.size < 2 || !this.#isReachable()) this.#since.delete(peer.name);
    else if (!this.#since.has(peer.name)) this.#since.set(peer.name, this.#now());
    const bothMs = this.#now() - (this.#since.get(peer.name) ?? this.#now());
    if (bothMs > BOTH_MS_MAX) {
      this.#report("F7", `Two processes named ${peer.name} serve for ${Math.round(bothMs)} ms`);
      this.#since.delete(peer.name);
    }
  }
}
