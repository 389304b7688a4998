/**
 * How this region gives a shard away [H1 to H4].
 *
 * It names the successor, and routers hold back what they have for the shard. It takes no new work, and
 * what is in progress finishes, within `drainMs`. It hands over state, where the host has any. It tells
 * the host to let go. Then it writes the successor's entry, and has nothing more to do with the shard.
 *
 * Until the host was told, the shard can be kept: under a new token, since the table has said otherwise
 * meanwhile. Every step has a deadline, whoever does not come back.
 *
 * Rules: SPEC.md, H0 to H4.
 */
import { HANDOFF } from "./handoff.ts";
import type { HostedShard, HostedShards } from "./hosted-shards.ts";
import type { StateTransfer } from "./state-transfer.ts";
import type { PeerName, ShardId, Timestamp } from "./units.ts";
import { encodeAllocation } from "./view.ts";

export class Giving {
  readonly #shards: HostedShards;
  readonly #transfer: StateTransfer;
  readonly #takeBack: (record: HostedShard) => void;

  /** `takeBack` makes the region serve a shard that its host has let go of already. */
  constructor(
    shards: HostedShards,
    transfer: StateTransfer,
    takeBack: (record: HostedShard) => void,
  ) {
    this.#shards = shards;
    this.#transfer = transfer;
    this.#takeBack = takeBack;
  }

  /** Gives a shard of this region to another one: at once, unless its host was told of it. */
  begin(shard: ShardId, successor: PeerName): void {
    const { state, reception } = this.#shards;
    const record = this.#shards.get(shard);
    const { name } = state.options;
    if (state.view.regionFor(shard) !== name) return; // [H0] Another region's to give.
    const next = record === undefined ? null : HANDOFF[record.state].begin;
    if (record === undefined || next === null || next === "gone") {
      const course = state.isHosting ? { from: name } : {};
      this.#shards.write(shard, encodeAllocation(successor, course));
      return;
    }
    const before = record.state;
    record.begin = this.#shards.write(shard, encodeAllocation(name, { successor })); // [H1]
    record.successor = successor;
    if (before === "exporting") this.#transfer.abandon(record);
    this.#shards.go(record, "begin");
    if (before === "releasing") return;
    if (before === "acquiring") {
      this.#release(record);
      return;
    }
    if (before === "serving") {
      const waiting = reception.work.suspend(shard);
      reception.refuse(waiting, "NOT_READY", `"${shard}" is moving`); // [H2]
    }
    if (before !== "draining") this.#shards.wait(record, state.timings.drainMs); // [H4]
    if (!reception.work.isBusy(shard)) this.#drained(record);
  }

  /** No work for a shard is in progress any more. */
  idle(record: HostedShard): void {
    if (record.state === "draining") this.#drained(record);
  }

  /** The successor has the state of a shard. */
  exported(record: HostedShard): void {
    this.#shards.go(record, "exported");
    this.#release(record);
  }

  /** [H3] The host has let go: the shard is the successor's. */
  released(record: HostedShard): void {
    const { shard, successor, begin } = record;
    const { view, options, isStale } = this.#shards.state;
    const { token, writer } = view.allocation(shard) ?? {};
    record.hasReleased = true;
    if (isStale) {
      this.#shards.wait(record, 0); // [A9] Not knowing what it missed, it writes nothing.
      return;
    }
    // [H0] Only while its own begin still wins.
    if (token !== begin || writer !== options.incarnation || successor === undefined) return;
    if (view.membership.get(successor)?.status === "alive") {
      this.#shards.go(record, "released");
      this.#shards.forget(record, successor);
      this.#shards.write(shard, encodeAllocation(successor, { from: options.name, begun: begin }));
      return;
    }
    this.#shards.confirm(shard); // [H4] Its successor is not there any more.
    this.#shards.go(record, "aborted");
    this.#takeBack(record);
  }

  /** [H4] The shard stays, under a new token. */
  abort(record: HostedShard, why: string): void {
    const { state } = this.#shards;
    if (state.isStale) {
      this.#shards.wait(record, 0);
      return;
    }
    state.warn("HANDOFF_TIMEOUT", `"${record.shard}" stays with this region: ${why}`);
    this.keep(record, this.#shards.confirm(record.shard));
    state.returned.push(record.shard);
  }

  /** Serves on, under an entry that has been written. */
  keep(record: HostedShard, token: Timestamp): void {
    if (record.state === "exporting") this.#transfer.abandon(record);
    this.#shards.renew(record, token);
    record.successor = undefined;
    this.#shards.go(record, "aborted");
    this.#shards.wait(record, Number.POSITIVE_INFINITY);
    this.#shards.reception.work.open(record.shard, this.#shards.state.now);
  }

  /** [H4] A state has lasted too long. */
  overdue(record: HostedShard): void {
    const { shard, state } = record;
    if (state === "draining") {
      this.#shards.giveUpWork(shard);
      this.#drained(record);
    } else if (state === "exporting") {
      const why = "its state was not handed over in time";
      if (this.#shards.state.isLeaving) {
        this.#transfer.abandon(record);
        this.exported(record);
      } else this.abort(record, why);
    } else if (state === "releasing") {
      const message = `The host takes long to release "${shard}"`;
      if (!record.hasReleased) this.#shards.state.warn("HANDOFF_TIMEOUT", message);
      this.released(record);
    }
  }

  /** [H4] A successor that died or left takes nothing over. */
  watchSuccessor(record: HostedShard): void {
    const { state, successor } = record;
    if (state !== "draining" && state !== "exporting") return;
    const { membership } = this.#shards.state.view;
    const status = successor === undefined ? undefined : membership.get(successor)?.status;
    if (status === "alive" || status === "suspect") return;
    this.abort(record, `"${successor}" is not there any more`);
  }

  #drained(record: HostedShard): void {
    this.#shards.go(record, "drained");
    this.#shards.wait(record, this.#shards.state.timings.handoffMs);
    const exports = this.#shards.traits?.exports === true;
    if (!exports || !this.#transfer.start(record)) this.exported(record);
  }

  #release(record: HostedShard): void {
    const { shard, token } = record;
    record.told = token;
    record.hasReleased = false;
    this.#shards.wait(record, this.#shards.state.timings.handoffMs);
    this.#shards.closeWork(shard);
    this.#shards.task({ type: "release", shard, token });
  }
}
