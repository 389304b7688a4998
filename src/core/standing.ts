/**
 * This peer's own place among the members: how it founds, joins, defends its row, and leaves.
 *
 * A peer writes nothing before it is a member, which it becomes by founding or by the end of an
 * exchange with a founded peer [A0]. Before it writes its row it makes sure that no other life of its
 * name is alive [F7]; from then on it writes the row anew whenever somebody accuses it, or another life
 * wrote it [F1, S8].
 */
import { planMoves } from "./allocation.ts";
import type { Connections, DialPurpose } from "./connections.ts";
import type { Remote } from "./event.ts";
import { FOUNDING_KEY, type FoundingReason, SETTINGS } from "./founding.ts";
import type { Link } from "./link.ts";
import { encodeRow, isSameRow, MEMBERS, type MemberRow, type MemberState } from "./membership.ts";
import type { PeerState } from "./peer-state.ts";
import { planView } from "./planner.ts";
import { ALLOCATIONS, encodeAllocation } from "./view.ts";

export class Standing {
  readonly #state: PeerState;
  readonly #startedMs: number;
  readonly #connections: Connections;
  /** The row was written by another life, which is being dialled. */
  #isContested = false;
  /** What was last looked at, and found right or put right. */
  #defended: MemberState | undefined;
  /** An exchange has ended, or is not to be waited for any more. */
  #isSynchronised = false;

  constructor(state: PeerState, connections: Connections) {
    this.#state = state;
    this.#connections = connections;
    this.#startedMs = startOf(state.options.incarnation);
  }

  /** An exchange ended. If it began with a member, it makes this peer one. */
  exchanged(link: Link): void {
    if (link.isWithMember && this.#state.founding.stamp !== undefined) this.#isSynchronised = true;
  }

  /** What follows from everything that happened in this step. */
  settle(): void {
    const state = this.#state;
    if (state.halted || state.left) return;
    this.#found();
    if (this.#isSynchronised && !state.joined) this.#enter("joined");
    else if (state.joined) this.#defend();
  }

  /** The end of a dial that asked whether another life of this name is alive [F7]. */
  claimed(purpose: Extract<DialPurpose, { type: "claim" }>, answer: Remote | undefined): void {
    const state = this.#state;
    this.#isContested = false;
    const { name } = state.options;
    if (answer?.name === name && answer.incarnation === purpose.incarnation) {
      this.#stop(answer);
      return;
    }
    if (state.joined) this.#writeRow("alive");
    else this.#admit("joined");
  }

  /**
   * A link shows another life of this peer's name [F7]. A member defends its row; of two newcomers, or
   * against a life that belongs to a founding, the one that is to stop can tell without asking.
   */
  met(remote: Remote): void {
    const state = this.#state;
    const { name, incarnation } = state.options;
    if (remote.name !== name || state.joined) return;
    const [own, other] = [this.#startedMs, startOf(remote.incarnation)];
    const isLater = own > other || (own === other && incarnation > remote.incarnation);
    if (remote.founding !== undefined || isLater) this.#stop(remote);
  }

  /** Says goodbye: shards first, then the row [F6]. */
  leave(): void {
    const state = this.#state;
    if (state.left) return;
    if (state.isReady) {
      const { name } = state.options;
      const view = planView(state);
      const regions = view.regions.map((region) =>
        region.name === name ? { ...region, draining: true } : region,
      );
      for (const { shard, from, to } of planMoves({ ...view, regions })) {
        if (from === name) state.write(ALLOCATIONS, shard, encodeAllocation(to));
      }
    }
    if (state.joined) this.#writeRow("left");
    state.left = true;
  }

  #found(): void {
    const state = this.#state;
    const { founding, links, timings } = state;
    const isNew = (link: Link) =>
      !link.isSynced && state.now - link.openedAt < timings.exchangeTimeoutMs;
    if (founding.stamp !== undefined) {
      // A table from the disk will do when nobody is there who could have a newer one.
      if (state.joined || this.#isSynchronised) return;
      this.#isSynchronised = founding.isPatienceOver(state.now, links.open().some(isNew));
      return;
    }
    // What is stamped an hour ahead is no founding: nobody could take it over [C4].
    const isFounded = (link: Link) => {
      const { founding: stamp } = link.remote;
      return stamp !== undefined && state.isCredible(stamp.time);
    };
    const open = links.open();
    const company = open.filter((link) => !isFounded(link) && !link.isGated(timings.maxDriftMs));
    const isAnswered = open.some(
      (link) => isFounded(link) || isNew(link) || link.drifts(timings.maxDriftMs),
    );
    const names = company.map((link) => link.remote.name);
    const reason = founding.due(state.now, names, isAnswered);
    if (reason === undefined) return;
    const { time, writer } = state.write(SETTINGS, FOUNDING_KEY, [state.options.name]);
    founding.settle({ time, writer });
    if (reason === "alone") {
      state.warn("UNREACHABLE", "Founding a cluster alone: no address to join by has answered");
    }
    this.#enter(reason);
  }

  #enter(how: FoundingReason | "joined"): void {
    if (this.#isContested) return;
    if (this.#isHeldByAnother()) this.#contest();
    else this.#admit(how === "joined" ? "joined" : "founded");
  }

  #admit(how: "founded" | "joined"): void {
    this.#state.joined = true;
    this.#isSynchronised = true;
    this.#writeRow("alive");
    this.#connections.closeAliens(); // Only now do handshakes tell them what this peer belongs to.
    this.#state.notify({ type: "ready", how });
  }

  #defend(): void {
    const { self, options } = this.#state;
    if (self === undefined || self === this.#defended || this.#isContested) return;
    this.#defended = self;
    if (self.row.incarnation === options.incarnation) {
      // [F1, S8] Refutes every verdict, and every row that says what this peer did not.
      const isTrue = isSameRow(self.row, this.#row("alive")) && self.row.status === "alive";
      if (self.status !== "alive" || !isTrue) this.#writeRow("alive");
    } else if (self.row.started < this.#startedMs && this.#isHeldByAnother()) {
      this.#contest();
    } else {
      this.#writeRow("alive"); // [S8]
    }
  }

  /** Whether somebody else may be running under this name: nobody has seen that life end. */
  #isHeldByAnother(): boolean {
    const { self, options } = this.#state;
    if (self === undefined || self.row.incarnation === options.incarnation) return false;
    // Where this peer listens nobody else does.
    return self.status !== "left" && !self.removed && self.row.address !== options.address;
  }

  #contest(): void {
    const row = this.#state.self?.row as MemberRow;
    this.#isContested = true;
    this.#connections.dial(row.address, { type: "claim", incarnation: row.incarnation });
  }

  #stop(other: Remote): void {
    const { name } = this.#state.options;
    const message = `Cannot run as "${name}": a peer of that name is alive at ${other.address}`;
    this.#state.halt({ type: "stop", code: "NAME_TAKEN", message });
  }

  #writeRow(status: MemberRow["status"]): void {
    this.#state.write(MEMBERS, this.#state.options.name, encodeRow(this.#row(status)));
  }

  #row(status: MemberRow["status"]): MemberRow {
    const { incarnation, address, zone, weight } = this.#state.options;
    const started = this.#startedMs;
    return { status, incarnation, started, address, zone, weight, draining: false };
  }
}

/** When an incarnation started, in Unix ms: what stands before its first hyphen, in base 36. */
function startOf(incarnation: string): number {
  const started = Number.parseInt(incarnation.split("-")[0] ?? "", 36);
  return Number.isSafeInteger(started) ? started : 0;
}
