/**
 * The documents of a cluster, as a user of one peer has them.
 *
 * Rules: SPEC.md, Y9.
 */
import { isWellFormed } from "../../core/canonical.ts";
import { HearsayError } from "../../core/error.ts";
import type { ShardId } from "../../core/units.ts";
import type { DocumentNumbers } from "../../io/served-peer.ts";
import { DOCUMENT_NAME_LENGTH_MAX, SYSTEM_PREFIX } from "../limits.ts";
import type { DocumentService } from "./document-service.ts";
import type { DocumentHandle } from "./handle.ts";
import type { SearchResult } from "./search.ts";

/** A document that is stored somewhere in the cluster. */
export interface DocumentInfo {
  readonly document: string;
  /** As it is stored at its region, before compaction. */
  readonly bytes: number;
}

/** All documents that could be found. */
export interface DocumentList {
  /** By name. */
  readonly documents: readonly DocumentInfo[];
  /** Shards that did not answer, by id. */
  readonly missing: readonly ShardId[];
}

export interface SearchOptions {
  /** How many documents to find at most, 1 to 1000. Default 20. */
  readonly limit?: number;
}

const SEARCH_LIMIT = 20;
/** Documents that one search may ask for: a page that somebody looks at. */
const SEARCH_LIMIT_MAX = 1000;

/** The documents of the cluster that a peer belongs to. */
export class PeerDocuments {
  readonly #service: DocumentService;
  readonly #now: () => number;

  /** @internal */
  constructor(service: DocumentService, now: () => number) {
    this.#service = service;
    this.#now = now;
  }

  /**
   * Opens a document, which need not exist; resolves when its content is here. Names have 1 to 256
   * characters; those that begin with "hearsay/" can only be read. Rejects with `NO_SHARDS` while no shard
   * is registered, and with `CLOSED` when the peer ends first.
   */
  async open(name: string): Promise<DocumentHandle> {
    checkName(name);
    const [documents, { DocumentHandle: Handle }] = await Promise.all([
      this.#service.load(),
      import("./handle.ts"),
    ]);
    const room = documents.open(name);
    if (room === undefined) {
      throw new HearsayError("NO_SHARDS", `Cannot open "${name}": no shard is registered`);
    }
    const handle = new Handle(name, name.startsWith(SYSTEM_PREFIX), this.#now);
    handle.enter(room);
    await handle.loaded();
    return handle;
  }

  /** The documents of this peer in numbers. */
  status(): DocumentNumbers {
    return this.#service.numbers();
  }

  /** All documents, by name. */
  list(): Promise<DocumentList> {
    return this.#service.list();
  }

  /**
   * The best documents for some words, at most `limit` (1 to 1000): scored alike wherever they are, the best
   * first, and of equal ones the lower name.
   */
  async search(words: string, { limit = SEARCH_LIMIT }: SearchOptions = {}): Promise<SearchResult> {
    if (typeof words !== "string") throw new TypeError("Cannot search: the words are no text");
    if (!Number.isInteger(limit) || limit < 1 || limit > SEARCH_LIMIT_MAX) {
      throw new RangeError(`Cannot search: limit is no integer from 1 to ${SEARCH_LIMIT_MAX}`);
    }
    return this.#service.search.search(words, limit);
  }

  /**
   * Deletes a document: whoever has it open is told, and its content is gone. Resolves to whether there was
   * one, when that is durable. Rejects as `peer.ask` does.
   */
  async delete(name: string): Promise<boolean> {
    checkName(name);
    return (await this.#service.ask(name, ["delete", name])) === true;
  }

  /**
   * The content of a document as one update of Yjs; undefined where there is none. Rejects as `peer.ask`
   * does.
   */
  async export(name: string): Promise<Uint8Array | undefined> {
    checkName(name);
    const parts = (await this.#service.ask(name, ["export", name])) as Uint8Array[];
    if (parts.length === 0) return undefined;
    const { merged } = await import("../contents.ts");
    return merged(parts);
  }
}

function checkName(name: unknown): void {
  const isName =
    typeof name === "string" &&
    name.length > 0 &&
    name.length <= DOCUMENT_NAME_LENGTH_MAX &&
    isWellFormed(name);
  if (!isName) {
    const limit = `well-formed text of 1 to ${DOCUMENT_NAME_LENGTH_MAX} characters`;
    throw new TypeError(`Cannot use a document whose name is not ${limit}`);
  }
}
