/**
 * What the HTTP server asks of the peer it belongs to.
 *
 * The server is a shell around a peer like the library's own `Peer`, and knows nothing of it but this.
 * Everything here may throw or reject with a `HearsayError`, whose code becomes the answer's status.
 */
import type { Move } from "../core/allocation.ts";
import type { Allocation, Change, Member } from "../core/effect.ts";
import type { MachineStatus } from "../core/machine.ts";
import type { Released, ShardState } from "../core/shard-state.ts";
import type { PeerName, ShardId } from "../core/units.ts";
import type { Traffic } from "./websocket-transport.ts";

/** Where a document belongs, as far as that is known. */
export interface Location {
  readonly shard: ShardId | undefined;
  readonly allocation: Allocation | undefined;
}

export interface ServedPeer {
  status(): MachineStatus;
  /** What this life of it has sent to other peers. */
  sent(): Traffic;
  members(): Member[];
  allocations(): Allocation[];
  shards(): ShardState[];
  locate(document: string): Location;
  allocate(shard: ShardId, region: PeerName): Promise<Allocation>;
  release(shard: ShardId): Promise<Released>;
  rebalance(dryRun: boolean): Promise<Move[]>;
  /** The changes from now on; ends with the signal or the peer. */
  watch(signal: AbortSignal): AsyncIterable<Change>;
  /** Says goodbye to the cluster, and still answers. */
  depart(): Promise<void>;
  /** Ends the peer, this server included, once it has said goodbye. */
  leave(): void;
}
