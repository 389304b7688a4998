/**
 * The state of a shard on its way from one region to the next, in chunks [H2].
 *
 * One chunk is under way at a time. The host of the giving region is asked for the next one when the
 * taking host has done with the one before, so neither end holds more than one, whoever is slower.
 *
 * State is used only by the region to which its handoff came to its end: what came for one that was
 * aborted, or whose giver died, is forgotten, since the giver may have gone on with the shard.
 *
 * A successor whose host takes no state gets the shard without it; one whose host fails on it does not
 * get the shard.
 *
 * Rules: SPEC.md, H2 and H4.
 */
import type { HostReport, HostTask } from "./host-task.ts";
import type { HostedShard } from "./hosted-shards.ts";
import type { Link } from "./link.ts";
import type { Chunk, ChunkTaken } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Incarnation, PeerName, ShardId, Timestamp } from "./units.ts";

export interface TransferHooks {
  shard(shard: ShardId): HostedShard | undefined;
  task(task: HostTask): void;
  /** A first or further chunk has come. */
  importing(record: HostedShard): void;
  /** The successor has all of the state. */
  exported(record: HostedShard): void;
  aborted(record: HostedShard, why: string): void;
  takesState(): boolean;
}

/** State that goes out. */
interface Outgoing {
  readonly incarnation: Incarnation;
  readonly begin: Timestamp;
  number: number;
  isLast: boolean;
}

/** State that comes in. */
interface Incoming {
  readonly from: PeerName;
  readonly incarnation: Incarnation;
  readonly begin: Timestamp;
  /** The chunk that is expected next. */
  next: number;
  /** Whether the last chunk has come, and whether the host has done with it. */
  isLast: boolean;
  isWhole: boolean;
}

export class StateTransfer {
  readonly #state: PeerState;
  readonly #hooks: TransferHooks;
  readonly #outgoing = new Map<ShardId, Outgoing>();
  readonly #incoming = new Map<ShardId, Incoming>();

  constructor(state: PeerState, hooks: TransferHooks) {
    this.#state = state;
    this.#hooks = hooks;
  }

  /** Asks the host for the state of a drained shard; false when it cannot be given to anybody. */
  start({ shard, begin, successor }: HostedShard): boolean {
    const { links, timings } = this.#state;
    const link = links.usable(timings.maxDriftMs).find(({ remote }) => remote.name === successor);
    if (link === undefined) return false;
    const { incarnation } = link.remote;
    this.#outgoing.set(shard, { incarnation, begin, number: 0, isLast: false });
    this.#hooks.task({ type: "export", shard, token: begin });
    return true;
  }

  /** Forgets a transfer that has come to nothing. */
  abandon({ shard }: HostedShard): void {
    this.#outgoing.delete(shard);
    this.#incoming.delete(shard);
    this.#hooks.task({ type: "abandon", shard });
  }

  /** The table gives a shard to this region: its state counts if its giver says so. */
  given(record: HostedShard): void {
    const { shard, from } = record;
    const incoming = this.#incoming.get(shard);
    this.#incoming.delete(shard);
    if (incoming === undefined) return;
    const { begun } = this.#state.view.course(shard);
    const isIts = incoming.from === from && incoming.begin === begun;
    if (isIts && incoming.isWhole) return;
    this.#hooks.task({ type: "abandon", shard });
  }

  /** The host has given a chunk. */
  exported({
    shard,
    token,
    chunk,
    isLast,
    error,
  }: Extract<HostReport, { type: "exported" }>): void {
    const outgoing = this.#outgoing.get(shard);
    const record = this.#hooks.shard(shard);
    if (outgoing?.begin !== token || record?.state !== "exporting") return;
    if (error !== undefined) {
      this.abandon(record);
      this.#hooks.aborted(record, `its host could not give its state: ${error}`);
      return;
    }
    const link = this.#state.links.to(outgoing.incarnation);
    if (link === undefined) return; // `linkClosed` has told.
    outgoing.isLast = isLast;
    const { number } = outgoing;
    this.#state.send(link, { type: "chunk", shard, token, number, isLast, chunk });
  }

  /** The successor has done with a chunk. */
  taken(link: Link, { shard, token, number, how }: ChunkTaken): void {
    const outgoing = this.#outgoing.get(shard);
    const record = this.#hooks.shard(shard);
    const isExpected =
      outgoing?.incarnation === link.remote.incarnation &&
      outgoing.begin === token &&
      outgoing.number === number;
    if (!isExpected || record?.state !== "exporting") return;
    if (how === "failed") {
      this.abandon(record);
      this.#hooks.aborted(record, `the host of "${record.successor}" could not take its state`);
    } else if (how === "unwanted" || outgoing.isLast) {
      this.#outgoing.delete(shard);
      if (how === "unwanted") this.#hooks.task({ type: "abandon", shard });
      this.#hooks.exported(record);
    } else {
      outgoing.number += 1;
      this.#hooks.task({ type: "export", shard, token });
    }
  }

  /** A chunk has come. */
  received(link: Link, { shard, token, number, isLast, chunk }: Chunk): void {
    const { name, incarnation } = link.remote;
    const record = this.#hooks.shard(shard);
    const isAwaited =
      (record?.state === "waiting" || record?.state === "importing") &&
      record.begin === token &&
      this.#state.view.regionFor(shard) === name;
    if (record === undefined || !isAwaited || !this.#hooks.takesState()) {
      this.#state.send(link, { type: "chunk-taken", shard, token, number, how: "unwanted" });
      return;
    }
    const known = this.#incoming.get(shard);
    const isSame = known?.begin === token && known.incarnation === incarnation;
    const incoming = isSame
      ? known
      : { from: name, incarnation, begin: token, next: 0, isLast: false, isWhole: false };
    if (number !== incoming.next) return; // It has come twice.
    incoming.next += 1;
    incoming.isLast = isLast;
    this.#incoming.set(shard, incoming);
    this.#hooks.importing(record);
    this.#hooks.task({ type: "import", shard, token, from: name, number, chunk, isLast });
  }

  /** The host has done with a chunk. */
  imported({ shard, token, number, error }: Extract<HostReport, { type: "imported" }>): void {
    const incoming = this.#incoming.get(shard);
    if (incoming?.begin !== token || incoming.next !== number + 1) return;
    const link = this.#state.links.to(incoming.incarnation);
    if (error !== undefined) {
      this.#state.warn("HANDLER_FAILED", `The host could not take state of "${shard}": ${error}`);
      this.#incoming.delete(shard);
      this.#hooks.task({ type: "abandon", shard });
    }
    incoming.isWhole = error === undefined && incoming.isLast;
    const how = error === undefined ? "taken" : "failed";
    if (link !== undefined) {
      this.#state.send(link, { type: "chunk-taken", shard, token, number, how });
    }
  }

  /** State that was going to a life of a peer to which no link is left. */
  linkClosed(): void {
    for (const [shard, { incarnation }] of this.#outgoing) {
      const record = this.#hooks.shard(shard);
      if (this.#state.links.to(incarnation) !== undefined) continue;
      if (record?.state !== "exporting") this.#outgoing.delete(shard);
      else {
        this.abandon(record);
        this.#hooks.aborted(record, `the link to "${record.successor}" has ended`);
      }
    }
  }
}
