/**
 * The peers of a run that host documents, and what becomes of their documents in the end.
 *
 * A checker, since it hears of everything that happens to peers; what it finds is in `checkers/documents.ts`.
 */
import type { Delivery } from "../src/core/delivery.ts";
import type { Change } from "../src/core/effect.ts";
import type { HostTask } from "../src/core/host-task.ts";
import type { Checker, Report } from "./checker.ts";
import { DocumentsChecker } from "./checkers/documents.ts";
import { SimulatedDocuments } from "./documents.ts";
import type { RunOptions } from "./options.ts";
import type { SimulatedPeer } from "./peer.ts";
import type { World } from "./world.ts";

export class DocumentPeers implements Checker {
  readonly #world: World;
  readonly #checker = new DocumentsChecker();
  readonly #peers = new Map<SimulatedPeer, SimulatedDocuments>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Whether no documents are hosted in this run. */
  get isEmpty(): boolean {
    return this.#peers.size === 0;
  }

  populate(peers: readonly SimulatedPeer[], { hosts, workload }: RunOptions): void {
    if (!hosts || !workload.includes("documents")) return;
    for (const peer of peers) {
      this.#peers.set(peer, new SimulatedDocuments(peer, this.#world, this.#checker));
    }
  }

  get(peer: SimulatedPeer): SimulatedDocuments | undefined {
    return this.#peers.get(peer);
  }

  booted(peer: SimulatedPeer): void {
    this.get(peer)?.booted();
  }

  /** A reset is none: documents are not part of what it drops. */
  wiped(peer: SimulatedPeer): void {
    if (peer.state !== "down") return;
    this.get(peer)?.wiped();
    this.#checker.wiped();
  }

  changed(peer: SimulatedPeer, { type }: Change): void {
    if (type === "allocation" || type === "member") this.get(peer)?.viewChanged();
  }

  tasked(peer: SimulatedPeer, task: HostTask): void {
    this.get(peer)?.tasked(task);
  }

  delivered(peer: SimulatedPeer, delivery: Delivery): void {
    this.get(peer)?.delivered(delivery);
  }

  /** Why documents are not at rest; undefined when they are. */
  unsettled(): string | undefined {
    return this.#checker.unsettled([...this.#peers.values()]);
  }

  /** [I14] Judges what they came to. */
  judge(report: Report): void {
    this.#checker.judge([...this.#peers.values()], report);
  }
}
