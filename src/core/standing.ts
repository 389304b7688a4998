/**
 * This peer's own place among the members: how it founds, joins, defends its row, and leaves.
 *
 * A peer writes nothing before it is a member, which it becomes by founding or by the end of an
 * exchange with a founded peer [A0]. Before it writes its row it makes sure that no other life of its
 * name is alive [F7]; from then on it writes the row anew whenever somebody accuses it, or another life
 * wrote it [F1, S8], and once in every era [M5].
 *
 * Two lives of one name may both become members where they cannot reach each other. When they meet, the
 * one that is not on a side that hosts stops, and of two of a kind the later started. Who was cut off
 * is not back until an exchange has shown that nobody took its name meanwhile.
 */
import type { Connections, DialPurpose } from "./connections.ts";
import { mayAdmit } from "./downing.ts";
import type { Remote } from "./event.ts";
import { FOUNDING_KEY, type FoundingReason, SETTINGS } from "./founding.ts";
import { MEMBERS_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import { encodeRow, isSameRow, MEMBERS, type MemberRow, type MemberState } from "./membership.ts";
import type { PeerState } from "./peer-state.ts";
import { movesOf } from "./planner.ts";
import { RowWrites } from "./row-writes.ts";
import type { Timestamp, WallMs } from "./units.ts";
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
  /** This peer was on a side that may not host, and has not exchanged with the others since. */
  #isAway = false;
  /** What its row says of when it became a member, and since when it is alive. */
  #joined: Timestamp = 0;
  #since: WallMs = 0;
  readonly #rowWrites: RowWrites;

  constructor(state: PeerState, connections: Connections) {
    this.#state = state;
    this.#connections = connections;
    this.#startedMs = startOf(state.options.incarnation);
    this.#rowWrites = new RowWrites(state.now);
  }

  /** Whether this peer is on a side that may host, and nobody else can have taken its name. */
  get isHosting(): boolean {
    return this.#state.joined && this.#state.maySideHost && !this.#isAway;
  }

  /** An exchange ended. If it began with a member, it makes this peer one. */
  exchanged(link: Link): void {
    const { founding, maySideHost } = this.#state;
    if (!link.isWithMember || founding.stamp === undefined) return;
    this.#isSynchronised = true;
    this.#state.hasTable = true;
    if (maySideHost && this.#isOwnRow()) this.#isAway = false;
  }

  /** What follows from everything that happened in this step. */
  settle(): void {
    const state = this.#state;
    if (state.halted || state.left) return;
    this.#found();
    state.isWaiting = this.#isSynchronised && !state.joined && !this.#isAdmitted();
    if (this.#isSynchronised && !state.joined) {
      if (!state.isWaiting) this.#enter("joined");
    } else if (state.joined) {
      if (!state.maySideHost) this.#isAway = true;
      this.#defend();
    }
    if (state.eras.settle().isRefreshDue) this.#writeRow("alive"); // [M5]
  }

  /** The end of a dial that asked whether another life of this name is alive [F7]. */
  claimed(purpose: Extract<DialPurpose, { type: "claim" }>, answer: Remote | undefined): void {
    const state = this.#state;
    this.#isContested = false;
    const { name } = state.options;
    if (answer?.name === name && answer.incarnation === purpose.incarnation) {
      if (!state.joined || this.#givesWayTo(answer)) {
        this.#stop(answer);
        return;
      }
    }
    if (state.joined) this.#beAlive();
    else this.#admit("joined");
  }

  /**
   * A link shows another life of this peer's name [F7]. Of two members, of two newcomers, or against a
   * life that belongs to a founding, the one that is to stop can tell without asking.
   */
  met(remote: Remote): void {
    const state = this.#state;
    const { name, incarnation } = state.options;
    if (remote.name !== name || remote.incarnation === incarnation) return;
    if (!state.joined) {
      if (remote.founding !== undefined || this.#isLaterThan(remote)) this.#stop(remote);
    } else if (
      remote.founding !== undefined &&
      state.founding.compare(remote.founding) === "same"
    ) {
      if (this.#givesWayTo(remote)) this.#stop(remote);
    }
  }

  /** [F7] Both lives judge by what both said when they met, so exactly one gives way. */
  #givesWayTo(remote: Remote): boolean {
    const isTheirs = remote.isHosting ?? false;
    return isTheirs === this.isHosting ? this.#isLaterThan(remote) : isTheirs;
  }

  #isLaterThan({ incarnation }: Remote): boolean {
    const [own, other] = [this.#startedMs, startOf(incarnation)];
    return own > other || (own === other && this.#state.options.incarnation > incarnation);
  }

  /** Writes this peer's row anew where it says something else than is true now. */
  refresh(): void {
    if (this.#state.joined && !this.#state.left && !this.#isContested) this.#writeRow("alive");
  }

  /** Says goodbye: shards first, then the row [F6]. */
  leave(): void {
    const state = this.#state;
    if (state.left) return;
    if (state.isReady) {
      const { name } = state.options;
      for (const { shard, from, to } of movesOf(state, name)) {
        const isOurs = from === name && state.view.regionFor(shard) === name;
        if (isOurs) state.write(ALLOCATIONS, shard, encodeAllocation(to));
      }
    }
    if (state.joined) this.#writeRow("left");
    state.left = true;
  }

  /** Gives all shards away from now on, or takes some again [A4]. */
  drain(draining: boolean): void {
    if (this.#state.draining === draining) return;
    this.#state.draining = draining;
    this.#writeRow("alive");
  }

  #found(): void {
    const state = this.#state;
    const { founding, links, timings } = state;
    const isFounded = founding.stamp !== undefined;
    if (isFounded && (state.joined || this.#isSynchronised)) return;
    const isNew = (link: Link) =>
      !link.isSynced && state.now - link.openedAt < timings.exchangeTimeoutMs;
    if (isFounded) {
      // A table from the disk will do when nobody is there who could have a newer one.
      this.#isSynchronised = founding.isPatienceOver(state.now, links.open().some(isNew));
      return;
    }
    if (founding.hasTired(state.now)) this.#connections.closeAliens();
    // What is stamped an hour ahead is no founding: nobody could take it over [C4].
    const leadsToOne = (link: Link) => {
      const { founding: stamp } = link.remote;
      return stamp !== undefined && state.isCredible(stamp.time);
    };
    const open = links.open();
    const company = open.filter((link) => !leadsToOne(link) && !link.isGated(timings.maxDriftMs));
    const isLeading = open.some((link) => leadsToOne(link) || link.drifts(timings.maxDriftMs));
    const names = company.map((link) => link.remote.name);
    const answer = isLeading ? "founded" : open.some(isNew) ? "new" : "none";
    const reason = founding.due(state.now, names, answer);
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
    if (!this.#state.replica.canAddMember(this.#state.options.name)) {
      const message = `Cannot join: the cluster has ${MEMBERS_MAX} members, gone ones included`;
      this.#state.halt({ type: "stop", code: "BUFFER_FULL", message }); // [G10]
      return;
    }
    this.#state.joined = true;
    this.#isSynchronised = true;
    this.#joined = this.#state.clock.last; // [F9] Above those of all members that were before.
    this.#beAlive();
    this.#connections.closeAliens(); // Only now do handshakes tell them what this peer belongs to.
    this.#state.notify({ type: "ready", how });
  }

  #defend(): void {
    const { self, now } = this.#state;
    if ((self !== undefined && self === this.#defended) || this.#isContested) return;
    if (self !== undefined && this.#isOwnRow()) {
      // [F1, S8] Refutes every verdict, and every row that says what this peer did not.
      const isTrue = isSameRow(self.row, this.#row("alive")) && self.row.status === "alive";
      if (self.status !== "alive") this.#state.health.worsen(now); // [F2]
      if (self.status !== "alive" || !isTrue) {
        if (!this.#rowWrites.take(now)) return;
        this.#beAlive();
      }
    } else if (!this.#rowWrites.take(now)) {
      return;
    } else if (this.#isDoubtful(self) && this.#isHeldByAnother()) {
      this.#contest();
    } else {
      this.#writeRow("alive"); // [S8]
    }
    this.#defended = self;
  }

  /** [F7] Whether it may be this life, and not the one in the row, that is to stop. */
  #isDoubtful(self: MemberState | undefined): boolean {
    return self !== undefined && (self.row.started < this.#startedMs || this.#isAway);
  }

  /** Says that it is alive from now on. */
  #beAlive(): void {
    this.#since = Math.max(0, Math.floor(this.#state.wallMs));
    this.#writeRow("alive");
  }

  #isOwnRow(): boolean {
    const { self, options } = this.#state;
    return self?.row.incarnation === options.incarnation;
  }

  /** [F9] Whether the members that it has met may take it in. */
  #isAdmitted(): boolean {
    const { options, view } = this.#state;
    return mayAdmit(options.downing, view.membership.all(), options.name);
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
    const [started, joined, since] = [this.#startedMs, this.#joined, this.#since];
    const { draining, isLeaving, isHosting } = this.#state;
    const own = { incarnation, started, address, zone, weight, joined, since };
    const row = { status, ...own, draining: draining || isLeaving };
    return isHosting ? { ...row, hosts: true } : row;
  }
}

/** When an incarnation started, in Unix ms: what stands before its first hyphen, in base 36. */
function startOf(incarnation: string): number {
  const started = Number.parseInt(incarnation.split("-")[0] ?? "", 36);
  return Number.isSafeInteger(started) ? started : 0;
}
