/**
 * Everything of a peer that has to do with documents: its store, its service, its clients.
 *
 * Loaded only by peers that host documents.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { FastifyInstance } from "fastify";
import type { PeerName } from "../../core/units.ts";
import type { ClientAccess } from "../../io/client-access.ts";
import type { Clock } from "../../io/clock.ts";
import type { Origins } from "../../io/origin.ts";
import type { Services } from "../../io/services.ts";
import { MemoryItemStore } from "../../items/item-store.ts";
import { type DocumentOptions, DocumentService } from "./document-service.ts";
import { DocumentSockets } from "./document-sockets.ts";
import { LmdbItemStore } from "./lmdb-item-store.ts";
import { addPage } from "./page.ts";
import { PeerDocuments } from "./peer-documents.ts";
import type { SearchPort } from "./search.ts";

export interface DocumentHostingOptions {
  readonly name: PeerName;
  readonly cluster: string;
  readonly documents: DocumentOptions;
  readonly services: Services;
  readonly access: ClientAccess;
  readonly origins: Origins;
  /** The peer's data directory; undefined for memory. */
  readonly data: string | undefined;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
  readonly globalDf: SearchPort["globalDf"];
  readonly publish: SearchPort["publish"];
}

export class DocumentHosting {
  readonly documents: PeerDocuments;
  readonly #service: DocumentService;
  readonly #sockets: DocumentSockets;
  readonly #closeStore: () => Promise<void>;

  /** Opens the store. Rejects with `STORE_LOCKED`, `STORE_CORRUPT` or `STORE_FAILED`. */
  static async start(options: DocumentHostingOptions): Promise<DocumentHosting> {
    const { data, name, cluster, onFault } = options;
    if (data === undefined) return new DocumentHosting(options, new MemoryItemStore());
    const store = await LmdbItemStore.open({ directory: data, name, cluster, onFault });
    return new DocumentHosting(options, store);
  }

  private constructor(options: DocumentHostingOptions, store: MemoryItemStore | LmdbItemStore) {
    const { documents, services, access, origins, clock, onFault } = options;
    const now = (): number => clock.now();
    const { globalDf, publish } = options;
    this.#service = new DocumentService({
      ...{ ...documents, services, store, clock, onFault, globalDf, publish },
    });
    this.#sockets = new DocumentSockets({
      ...{ service: this.#service, access, origins, now, onFault },
    });
    this.documents = new PeerDocuments(this.#service, now);
    this.#closeStore = async () => {
      if (store instanceof LmdbItemStore) await store.close();
    };
  }

  acceptUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets.acceptUpgrade(request, socket, head);
  }

  /** Adds the page that edits documents to an API. */
  addRoutes(app: FastifyInstance): void {
    addPage(app);
  }

  /** Members or allocations have changed. */
  viewChanged(): void {
    this.#service.viewChanged();
  }

  /** Says goodbye to all clients; resolves when they are gone. */
  async closeClients(): Promise<void> {
    await this.#sockets.close();
  }

  /** Ends it, after the peer's life has ended. */
  async close(): Promise<void> {
    this.#service.close();
    await this.#closeStore();
  }
}
