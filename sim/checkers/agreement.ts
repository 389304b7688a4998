/**
 * Whether peers agree: equal tables, replicas, views and routes, and every shard somewhere alive.
 *
 * `unsettled` is asked again and again once faults have ended, and must become undefined within a
 * bound. What it compares is complete: fingerprints of all maps, not only values.
 */
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

const DOCUMENTS = Array.from({ length: 20 }, (_, index) => `document-${index}`);

export class AgreementChecker implements Checker {
  readonly #report: Report;
  /** What was compared last: nothing new can be found while it is the same. */
  #compared = "";

  constructor(report: Report) {
    this.#report = report;
  }

  /**
   * Why `peers`, which are all that work, have not settled yet; undefined when they have. With
   * `isWhole` there is nobody else; otherwise others are in trouble for ever, and keep writing as
   * long as somebody hears them, so that only what users see must be equal.
   */
  unsettled(peers: readonly SimulatedPeer[], isWhole: boolean): string | undefined {
    const [first] = peers;
    const status = first?.machine?.status();
    if (first === undefined || status === undefined) return "the first peer is down";
    for (const peer of peers) {
      const other = peer.machine?.status();
      if (other === undefined) return `${peer.name} is down`;
      if (other.fingerprint !== status.fingerprint) return `${peer.name} has another table`;
      if (other.ready !== status.ready) return `${peer.name} is not ready: ${other.why}`;
      if (!isWhole) continue;
      if (!other.ready) return `${peer.name} is not ready: ${other.why}`;
      if (other.replica !== status.replica) return `${peer.name} has another replica`;
      if (other.viewId !== status.viewId) return `${peer.name} has another view`;
      if (other.members.alive !== peers.length) return `${peer.name} counts ${other.members.alive}`;
    }
    return status.ready ? unplaced(first, peers, isWhole) : undefined;
  }

  /** [I8, I10] Equal names exactly for equal content; equal views route alike. */
  compare(peers: readonly SimulatedPeer[]): void {
    const state = peers
      .map(({ machine }) => `${machine?.view.fingerprint()} ${machine?.view.viewId()}`)
      .join();
    if (state === this.#compared) return;
    this.#compared = state;
    const seen = new Map<string, { peer: string; table: string }>();
    const routes = new Map<string, { peer: string; routes: string }>();
    const names = new Map<string, string>();
    for (const peer of peers) {
      const { machine } = peer;
      if (machine === undefined) continue;
      const fingerprint = machine.view.fingerprint();
      const viewId = machine.view.viewId();
      const table = JSON.stringify(machine.allocationEntries());
      const known = seen.get(fingerprint);
      if (known !== undefined && known.table !== table) {
        this.#report("I8", `${known.peer} and ${peer.name} differ under one fingerprint`);
      }
      const name = names.get(table);
      if (name !== undefined && name !== fingerprint) {
        this.#report("I8", `${peer.name} gives an equal table another fingerprint`);
      }
      seen.set(fingerprint, { peer: peer.name, table });
      names.set(table, fingerprint);
      const routed = JSON.stringify(DOCUMENTS.map((id) => machine.view.allocationFor(id) ?? null));
      const agreed = routes.get(viewId);
      if (agreed !== undefined && agreed.routes !== routed) {
        this.#report("I10", `${agreed.peer} and ${peer.name} route differently in one view`);
      }
      routes.set(viewId, { peer: peer.name, routes: routed });
    }
  }

  settled(peers: readonly SimulatedPeer[]): void {
    this.compare(peers);
  }
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
    if (names.has(region)) continue;
    // One that only part of the core hears may keep its shards as long as nobody calls it dead.
    const status = view.membership.get(region)?.status;
    if (isWhole || status === undefined || status === "dead") {
      return `${shard} is at ${region}, which is ${status}`;
    }
  }
  return undefined;
}
