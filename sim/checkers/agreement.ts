/**
 * Whether peers agree: equal tables, replicas, views and routes, and every shard somewhere alive.
 *
 * `unsettled` is asked again and again once faults have ended, and must become undefined within a
 * bound. What it compares is complete: fingerprints of all maps, not only values.
 */
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

const DOCUMENTS = Array.from({ length: 20 }, (_, index) => `document-${index}`);

/** What a peer showed when it was looked at last. */
interface Look {
  readonly name: string;
  readonly fingerprint: string;
  readonly table: string;
  readonly viewId: string;
  readonly routes: string;
}

export class AgreementChecker implements Checker {
  readonly #report: Report;
  /** What peers showed that are up, and how often each had changed by then: until then it is so. */
  readonly #looks = new Map<SimulatedPeer, Look>();
  readonly #changes = new Map<SimulatedPeer, number>();

  constructor(report: Report) {
    this.#report = report;
  }

  /**
   * Why `peers`, which are all that work, have not settled yet; undefined when they have. With
   * `isWhole` there is nobody else; otherwise others are in trouble for ever, and keep writing as
   * long as somebody hears them, so that only what users see must be equal. `all` are those that there are.
   */
  unsettled(
    peers: readonly SimulatedPeer[],
    isWhole: boolean,
    all: readonly SimulatedPeer[] = peers,
  ): string | undefined {
    const [first] = peers;
    const isOutvoted = (peer: SimulatedPeer): boolean => !isWhole && isMisled(peer, all);
    const serving = peers.find((peer) => !isOutvoted(peer))?.machine;
    const { machine, summary } = first ?? {};
    if (first === undefined || machine === undefined || summary === undefined) {
      return "the first peer is down";
    }
    for (const peer of peers) {
      const other = peer.summary;
      if (other === undefined) return `${peer.name} is down`;
      if (other.table !== summary.table) return `${peer.name} has another table`;
      const isReady = peer.machine?.isReady;
      if (!isOutvoted(peer) && isReady !== serving?.isReady) {
        return `${peer.name} is ${isReady ? "" : "not "}ready: ${peer.machine?.status().why}`;
      }
      if (!isWhole) continue;
      if (!isReady) return `${peer.name} is not ready: ${peer.machine?.status().why}`;
      if (other.replica !== summary.replica) return `${peer.name} has another replica`;
      if (other.view !== summary.view) return `${peer.name} has another view`;
      if (other.alive !== peers.length) return `${peer.name} counts ${other.alive}`;
    }
    return serving?.isReady ? unplaced(first, peers, isWhole) : undefined;
  }

  /** [I8, I10] Equal names exactly for equal content; equal views route alike. */
  compare(peers: readonly SimulatedPeer[]): void {
    const changed = peers.filter((peer) => this.#changes.get(peer) !== peer.changes);
    if (changed.length === 0) return;
    for (const peer of changed) this.#look(peer);
    const seen = new Map<string, Look>();
    const routes = new Map<string, Look>();
    const names = new Map<string, string>();
    for (const peer of peers) {
      const look = this.#looks.get(peer);
      if (look === undefined) continue;
      const { name, fingerprint, table, viewId } = look;
      const known = seen.get(fingerprint);
      if (known !== undefined && known.table !== table) {
        this.#report("I8", `${known.name} and ${name} differ under one fingerprint`);
      }
      const other = names.get(table);
      if (other !== undefined && other !== fingerprint) {
        this.#report("I8", `${name} gives an equal table another fingerprint`);
      }
      seen.set(fingerprint, look);
      names.set(table, fingerprint);
      const agreed = routes.get(viewId);
      if (agreed !== undefined && agreed.routes !== look.routes) {
        this.#report("I10", `${agreed.name} and ${name} route differently in one view`);
      }
      routes.set(viewId, look);
    }
  }

  #look(peer: SimulatedPeer): void {
    const { machine, summary, name } = peer;
    this.#changes.set(peer, peer.changes);
    if (machine === undefined || summary === undefined) {
      this.#looks.delete(peer);
      return;
    }
    const { table: fingerprint, view: viewId } = summary;
    const table = JSON.stringify(machine.allocationEntries());
    const routes = JSON.stringify(DOCUMENTS.map((id) => machine.view.allocationFor(id) ?? null));
    this.#looks.set(peer, { name, fingerprint, table, viewId, routes });
  }

  settled(peers: readonly SimulatedPeer[]): void {
    this.compare(peers);
  }
}

/**
 * [C5] Whether the clocks of most peers that a peer hears are far from its own. Where those that are outside
 * the core are wrong for ever, it may be right and has no way to know: it stops, and so it should.
 */
function isMisled(peer: SimulatedPeer, all: readonly SimulatedPeer[]): boolean {
  const heard = new Set(peer.links.remotes());
  const others = all.filter((other) => other !== peer && heard.has(other.name));
  const { maxDriftMs } = peer.options.timings;
  const far = others.filter(({ wallMs }) => Math.abs(wallMs - peer.wallMs) > maxDriftMs);
  return 2 * far.length > others.length;
}

/** [L2] A shard without a region that lives. */
function unplaced(
  first: SimulatedPeer,
  peers: readonly SimulatedPeer[],
  isWhole: boolean,
): string | undefined {
  const view = first.machine?.view;
  if (view === undefined) return "no view";
  const names = new Set(peers.map(({ name }) => name));
  for (const shard of view.shards()) {
    const region = view.regionFor(shard);
    if (region === undefined) return `${shard} has no region`;
    const { successor } = view.course(shard);
    if (successor !== undefined && names.has(region)) return `${shard} is in handoff`; // [H4]
    if (names.has(region)) continue;
    // One that only part of the core hears may keep its shards as long as nobody calls it dead.
    const status = view.membership.get(region)?.status;
    if (isWhole || status === undefined || status === "dead") {
      return `${shard} is at ${region}, which is ${status}`;
    }
  }
  return undefined;
}
