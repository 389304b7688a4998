/**
 * What the HTTP server asks of the peer it belongs to.
 *
 * The server is a shell around a peer like the library's own `Peer`, and knows nothing of it but this.
 * Everything here may throw or reject with a `HearsayError`, whose code becomes the answer's status.
 */
import type { FastifyInstance } from "fastify";
import type { Move, Pin } from "../core/allocation.ts";
import type { TickStatus } from "../core/barrier.ts";
import type { Contribution } from "../core/contribution.ts";
import type { GlobalDf } from "../core/document-frequency.ts";
import type { Allocation, Change, Member } from "../core/effect.ts";
import type { MachineStatus } from "../core/machine.ts";
import type { Replicas } from "../core/replicas.ts";
import type { ShardMetrics } from "../core/shard-metrics.ts";
import type { ClusterStats, Released, ShardState } from "../core/shard-state.ts";
import type { PastTick } from "../core/tick-view.ts";
import type { PeerName, ShardId } from "../core/units.ts";
import type { LiveCounts } from "./live-counts.ts";
import type { Publication } from "./publication.ts";
import type { Traffic } from "./websocket-transport.ts";

/** Where a document belongs, as far as that is known. */
export interface Location {
  readonly shard: ShardId | undefined;
  readonly allocation: Allocation | undefined;
}

/** The documents of one peer in numbers; what is counted is counted since it was started. */
export interface DocumentNumbers {
  /** Documents in memory, and clients that are at them here: sockets and handles, and rooms of other peers. */
  readonly loaded: number;
  readonly clients: number;
  /** How often a document was brought into memory, and let go of. */
  readonly loads: number;
  readonly unloads: number;
  /** Edits of clients, and bytes of them. */
  readonly edits: number;
  readonly editBytes: number;
  /** Copies that are kept here, of documents hosted here and elsewhere, and bytes of them. */
  readonly copies: number;
  readonly copyBytes: number;
}

/** The coordinator's part of a peer: as the library has it. */
export interface ServedCoordinator {
  registerShard(options: { readonly key?: string; readonly weight?: number }): Promise<ShardId>;
  deregisterShard(shard: ShardId): Promise<void>;
  updateShardMetrics(shard: ShardId, metrics: ShardMetrics): Promise<void>;
  replicaShards(document: string, count?: number): Replicas;
  clusterStats(): ClusterStats;
  startTick(options: {
    readonly phases?: readonly string[];
    readonly timeoutMs?: number;
  }): Promise<number>;
  phaseComplete(shard: ShardId, phase: string, tick: number): Promise<void>;
  tickStatus(): TickStatus & { readonly history: readonly PastTick[] };
}

/** How to plan anew. */
export interface RebalanceOptions {
  /** Only says what would move. Default false. */
  readonly dryRun?: boolean;
  /**
   * What to plan by from now on, on all peers: "balanced", "rendezvous", "ring", "pinned", or the name of
   * one of the `strategies` that all of them were started with. Default: as before, at first "balanced".
   */
  readonly strategy?: string;
  /** Moves between regions at a time, 0 (none at all) to 65 536, null without limit. Default: as before. */
  readonly movesMax?: number | null;
}

/** What a peer shows of itself. */
export interface PeerStatus extends MachineStatus {
  /** Null where no entities of rows are declared. */
  readonly live: LiveCounts | null;
}

export interface ServedPeer {
  readonly coordinator: ServedCoordinator;
  /** Adds the routes of what runs on the peer beside its coordinator. */
  addRoutes(app: FastifyInstance): void;
  hostsDocuments(): boolean;
  status(): PeerStatus;
  /** What this life of it has sent to other peers. */
  sent(): Traffic;
  /** Undefined where no documents are hosted. */
  documents(): DocumentNumbers | undefined;
  members(): Member[];
  allocations(): Allocation[];
  shards(): ShardState[];
  shard(shard: ShardId): ShardState | undefined;
  locate(document: string): Location;
  allocate(shard: ShardId, region: PeerName, options: { pin: boolean }): Promise<Allocation>;
  release(shard: ShardId): Promise<Released>;
  publishFrequencies(shard: ShardId, contribution: Contribution): Promise<Publication>;
  globalDf(terms: Iterable<string>): GlobalDf;
  /** The best documents for some words. */
  search(words: string, options: { readonly limit?: number }): Promise<unknown>;
  rebalance(options: RebalanceOptions): Promise<Move[]>;
  pins(): Pin[];
  drain(region: PeerName, options: { undo: boolean }): Promise<void>;
  /** The changes from now on; ends with the signal or the peer. */
  watch(signal: AbortSignal): AsyncIterable<Change>;
  /** Says goodbye to the cluster, and still answers. */
  depart(): Promise<void>;
  /** Ends the peer, this server included, once it has said goodbye. */
  leave(): void;
}
