/**
 * Search over the documents of all shards: each region indexes its own, and one question finds all.
 *
 * A document is indexed a moment after it has changed, and what its shard's words come to is published
 * like any other frequencies [D1]. So every peer knows how much each word tells, and asks all regions once,
 * with these weights: no second round trip, and a score is the same wherever its document is.
 *
 * What comes in is put in order by score and name. A shard whose region does not answer in time, or has
 * not indexed it yet, is named as missing.
 *
 * Rules: SPEC.md, Y11.
 */
import type { Contribution } from "../../core/contribution.ts";
import { type GlobalDf, idfOf } from "../../core/document-frequency.ts";
import type { PeerName, ShardId } from "../../core/units.ts";
import { wordsOf } from "../../io/tokeniser.ts";
import type { Items } from "../../items/items.ts";
import type { Body } from "../../wire/body.ts";
import type { Documents } from "../documents.ts";
import type { DocumentMessage } from "../messages.ts";
import { compareHits, type Hit, ShardIndex } from "../shard-index.ts";
import { snippetOf } from "./snippet.ts";

/** How long a document that has changed may wait to be indexed, and a shard to be published, in ms. */
const INDEX_MS = 200;
const PUBLISH_MS = 1000;

/** How long the loop may be held for indexing at a time, in ms. */
const SLICE_MS = 5;

/** How long regions may take to answer, in ms. */
const ANSWER_MS = 2000;

/** Words of one search; the rest are not looked at. */
const WORDS_MAX = 32;

/** Length of a document's text that is kept for snippets, in UTF-16 code units. */
const TEXT_LENGTH_MAX = 32_768;

/** A document that was found. */
export interface FoundDocument {
  readonly document: string;
  readonly shard: ShardId;
  readonly score: number;
  /** A piece of its text around the first word that was asked for. */
  readonly snippet: string;
}

/** What a search came to: the best documents first, of equal ones the lower name. */
export interface SearchResult {
  readonly documents: readonly FoundDocument[];
  /** Whether every shard has been searched. */
  readonly complete: boolean;
  /** The shards that have not, by id. */
  readonly missing: readonly ShardId[];
}

export interface SearchPort {
  readonly name: PeerName;
  readonly items: Items;
  readonly shards: () => readonly ShardId[];
  /** The regions that have shards. */
  readonly regions: () => ReadonlySet<PeerName>;
  readonly send: (to: PeerName, message: DocumentMessage) => void;
  readonly load: () => Promise<Documents>;
  readonly globalDf: (terms: readonly string[]) => GlobalDf;
  readonly publish: (shard: ShardId, contribution: Contribution) => Promise<unknown>;
  readonly onFault: (error: unknown) => void;
}

interface Searched {
  readonly index: ShardIndex;
  readonly texts: Map<string, string>;
  /** What has changed and is not indexed. */
  readonly dirty: Set<string>;
  isPublished: boolean;
}

interface Query {
  readonly waits: Set<PeerName>;
  readonly found: FoundDocument[];
  readonly searched: Set<ShardId>;
  readonly done: () => void;
}

export class Search {
  readonly #port: SearchPort;
  readonly #shards = new Map<ShardId, Searched>();
  readonly #queries = new Map<number, Query>();
  #lastQuery = 0;
  #isIndexDue = false;
  #isPublishDue = false;

  constructor(port: SearchPort) {
    this.#port = port;
  }

  /** The region serves a shard from now on: all of it is to be indexed. */
  acquired(shard: ShardId): void {
    const dirty = new Set(this.#port.items.store.items(shard).keys());
    this.#shards.set(shard, {
      index: new ShardIndex(),
      texts: new Map(),
      dirty,
      isPublished: true,
    });
    if (dirty.size > 0) this.#planIndex(0);
  }

  released(shard: ShardId): void {
    this.#shards.delete(shard);
  }

  reset(): void {
    this.#shards.clear();
  }

  /** A document that the region hosts has changed, or is gone. */
  changed(shard: ShardId, document: string): void {
    this.#shards.get(shard)?.dirty.add(document);
    this.#planIndex(INDEX_MS);
  }

  /** The best documents for some words, at most `limit`. */
  async search(words: string, limit: number): Promise<SearchResult> {
    const terms = [...new Set(wordsOf(words))].sort().slice(0, WORDS_MAX);
    const { documents, frequencies } = this.#port.globalDf(terms);
    // [D5] What is in no frequencies yet is in a document that was just written: it weighs as if in one.
    const weights = terms.map((term) =>
      idfOf(Math.max(1, documents), Math.max(1, frequencies.get(term) ?? 0)),
    );
    this.#lastQuery += 1;
    const query = this.#lastQuery;
    const waits = new Set(this.#port.regions());
    const state = await new Promise<Query>((resolve) => {
      const done = (): void => {
        clearTimeout(timeout);
        this.#queries.delete(query);
        resolve(asked);
      };
      const timeout = setTimeout(done, ANSWER_MS);
      const asked: Query = { waits, found: [], searched: new Set(), done };
      this.#queries.set(query, asked);
      const message = { type: "query" as const, query, terms, weights, limit };
      for (const region of [...waits]) {
        if (region === this.#port.name) this.#answered(region, this.#answer(message));
        else this.#port.send(region, message);
      }
      if (waits.size === 0) done();
    });
    const found = state.found.sort(compareHits).slice(0, limit);
    const missing = this.#port.shards().filter((shard) => !state.searched.has(shard));
    return { documents: found, complete: missing.length === 0, missing: missing.sort() };
  }

  received(from: PeerName, message: DocumentMessage): void {
    if (message.type === "query") this.#port.send(from, this.#answer(message));
    else if (message.type === "found") this.#answered(from, message);
  }

  #answer({
    query,
    terms,
    weights,
    limit,
  }: Extract<DocumentMessage, { type: "query" }>): Extract<DocumentMessage, { type: "found" }> {
    const shards: ShardId[] = [];
    const hits: (Hit & { readonly shard: ShardId })[] = [];
    for (const [shard, { index, dirty }] of this.#shards) {
      if (dirty.size > 0 && index.documents === 0) continue; // Not indexed yet.
      shards.push(shard);
      for (const hit of index.search(terms, weights, limit)) hits.push({ ...hit, shard });
    }
    const rows = hits
      .sort(compareHits)
      .slice(0, limit)
      .flatMap(({ document, score, shard }): Body[] => {
        const text = this.#shards.get(shard)?.texts.get(document) ?? "";
        return [document, shard, score, snippetOf(text, terms)];
      });
    return { type: "found", query, rows, shards };
  }

  #answered(
    from: PeerName,
    { query, rows, shards }: Extract<DocumentMessage, { type: "found" }>,
  ): void {
    const asked = this.#queries.get(query);
    if (asked?.waits.delete(from) !== true) return;
    for (let at = 0; at + 3 < rows.length; at += 4) {
      const [document, shard, score, snippet] = rows.slice(at, at + 4) as [
        ...[string, string, number, string],
      ];
      asked.found.push({ document, shard, score, snippet });
    }
    for (const shard of shards) asked.searched.add(shard);
    if (asked.waits.size === 0) asked.done();
  }

  #planIndex(ms: number): void {
    if (this.#isIndexDue) return;
    this.#isIndexDue = true;
    setTimeout(() => {
      this.#port
        .load()
        .then((documents) => {
          this.#isIndexDue = false;
          this.#index(documents);
        })
        .catch(this.#port.onFault);
    }, ms).unref();
  }

  /** Indexes what has changed, for a few ms at a time. */
  #index(documents: Documents): void {
    const until = performance.now() + SLICE_MS;
    for (const [shard, searched] of this.#shards) {
      for (const document of searched.dirty) {
        if (performance.now() > until) {
          this.#planIndex(0);
          return;
        }
        searched.dirty.delete(document);
        const text = documents.textOf(shard, document);
        if (text === undefined) {
          searched.index.delete(document);
          searched.texts.delete(document);
        } else {
          searched.index.set(document, wordsOf(text));
          searched.texts.set(document, text.slice(0, TEXT_LENGTH_MAX));
        }
        searched.isPublished = false;
      }
    }
    this.#planPublish();
  }

  #planPublish(): void {
    if (this.#isPublishDue) return;
    this.#isPublishDue = true;
    setTimeout(() => {
      this.#isPublishDue = false;
      void this.#publish();
    }, PUBLISH_MS).unref();
  }

  async #publish(): Promise<void> {
    for (const [shard, searched] of [...this.#shards]) {
      if (searched.isPublished || this.#shards.get(shard) !== searched) continue;
      searched.isPublished = true;
      const { index } = searched;
      try {
        await this.#port.publish(shard, { documents: index.documents, terms: index.frequencies() });
      } catch {
        searched.isPublished = false; // The shard moves, or the peer does not serve: later.
        this.#planPublish();
      }
    }
  }
}
