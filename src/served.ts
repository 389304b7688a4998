/**
 * A peer as its HTTP server sees it, and why it has no answer for a document.
 */
import type { FastifyInstance } from "fastify";
import type { Contribution } from "./core/contribution.ts";
import type { Change } from "./core/effect.ts";
import { HearsayError } from "./core/error.ts";
import type { ShardId } from "./core/units.ts";
import type { View } from "./core/view.ts";
import type { Publication } from "./io/publication.ts";
import type { DocumentNumbers, ServedCoordinator, ServedPeer } from "./io/served-peer.ts";
import type { Traffic } from "./io/websocket-transport.ts";

/** Whoever hosts documents. */
interface Hosting {
  readonly documents: { status(): DocumentNumbers };
  addRoutes(app: FastifyInstance): void;
}

/** What only the peer itself can do. */
export interface Served {
  sent(): Traffic;
  view(): View;
  publish(shard: ShardId, contribution: Contribution): Promise<Publication>;
  depart(): Promise<void>;
  addRoutes(app: FastifyInstance): void;
  /** Undefined where no documents are hosted. */
  hosting(): Hosting | undefined;
}

/** `Peer`, as far as it is asked. */
type Servable = ServedCoordinator &
  Omit<
    ServedPeer,
    | ("coordinator" | "sent" | "locate" | "publishFrequencies" | "watch" | "depart" | "leave")
    | ("addRoutes" | "documents" | "hostsDocuments")
  > & {
    watch(options: { readonly signal: AbortSignal }): AsyncIterable<Change>;
    leave(): Promise<void>;
  };

/** Says why there is no route in this view. */
export function noRoute(view: View): never {
  if (view.shards().length === 0) {
    throw new HearsayError("NO_SHARDS", "Cannot route: no shard is registered"); // [R1]
  }
  throw new HearsayError("NO_REGION", "Cannot route: no region hosts the document's shard");
}

/** What the HTTP server asks for. */
export function servedBy(peer: Servable, own: Served): ServedPeer {
  return {
    status: () => peer.status(),
    sent: () => own.sent(),
    documents: () => own.hosting()?.documents.status(),
    members: () => peer.members(),
    allocations: () => peer.allocations(),
    shards: () => peer.shards(),
    shard: (shard) => peer.shard(shard),
    locate: (document) => {
      const view = own.view();
      return { shard: view.shardFor(document), allocation: view.allocationFor(document) };
    },
    allocate: (shard, region, options) => peer.allocate(shard, region, options),
    release: (shard) => peer.release(shard),
    coordinator: peer,
    addRoutes: (app) => {
      own.addRoutes(app);
      own.hosting()?.addRoutes(app);
    },
    hostsDocuments: () => own.hosting() !== undefined,
    publishFrequencies: (shard, contribution) => own.publish(shard, contribution),
    globalDf: (terms) => peer.globalDf(terms),
    search: async (words, options) => peer.search(words, options),
    rebalance: (options) => peer.rebalance(options),
    pins: () => peer.pins(),
    drain: (region, options) => peer.drain(region, options),
    watch: (signal) => peer.watch({ signal }),
    depart: () => own.depart(),
    leave: () => void peer.leave(),
  };
}
