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
 * Strangers write the documents, and the loop must not stand still for what they write: a text is taken to pieces
 * a little at a time, its end is left out where it is too long, and one that took long and changes again waits in
 * proportion.
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
import { compareHits, countWords, WordIndex } from "../word-index.ts";
import { snippetOf } from "./snippet.ts";
import { Texts } from "./texts.ts";

/** How long a document that has changed may wait to be indexed, and a shard to be published, in ms. */
const INDEX_MS = 200;
const PUBLISH_MS = 1000;

/** How long the loop may be held for indexing at a time, in ms. */
const SLICE_MS = 5;

/** How long regions may take to answer, in ms. */
const ANSWER_MS = 2000;

/** Words of one search; the rest are not looked at. */
const WORDS_MAX = 32;

/** Length of a document's text that is indexed, in UTF-16 code units; what follows cannot be found. */
export const TEXT_INDEXED_MAX = 1_048_576;

/** Length of a text that is taken to pieces at one go. */
const PIECE_LENGTH = 32_768;

/** How many times as long as it took a document waits until it is indexed again, and at most, in ms. */
const PAUSE_SHARE = 10;
const PAUSE_MS_MAX = 10_000;

/** How long documents may be read for the snippets of one answer, in ms. */
const SNIPPETS_MS = 8;

/** A document that was found. */
export interface FoundDocument {
  readonly document: string;
  readonly shard: ShardId;
  readonly score: number;
  /** A piece of its text around the first word that was asked for; empty where it would take too long. */
  readonly snippet: string;
}

/** What a search came to: the best documents first, of equal ones the lower name. */
export interface SearchResult {
  readonly documents: readonly FoundDocument[];
  /** Whether every shard has been searched. */
  readonly complete: boolean;
  /** The shards that have not, by id. */
  readonly missing: readonly ShardId[];
  /** How many documents of those shards are too long to be searched to their end. */
  readonly truncated: number;
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
  /** What has changed and is not indexed. */
  readonly dirty: Set<string>;
  /** Documents that are indexed in part. */
  readonly truncated: Set<string>;
  /** Documents that took long: when they may be indexed again. */
  readonly resting: Map<string, number>;
  isPublished: boolean;
}

/** A document that is being indexed. */
interface Indexing {
  readonly shard: ShardId;
  readonly document: string;
  readonly text: string;
  readonly counts: Map<string, number>;
  at: number;
  /** How long it has held the loop by now, in ms. */
  tookMs: number;
}

interface Query {
  readonly waits: Set<PeerName>;
  readonly found: FoundDocument[];
  readonly searched: Set<ShardId>;
  truncated: number;
  readonly done: () => void;
}

export class Search {
  readonly #port: SearchPort;
  readonly #index = new WordIndex();
  readonly #texts: Texts;
  readonly #shards = new Map<ShardId, Searched>();
  #indexing: Indexing | undefined;
  #documents: Documents | undefined;
  readonly #queries = new Map<number, Query>();
  #lastQuery = 0;
  #isIndexDue = false;
  #isPublishDue = false;

  constructor(port: SearchPort) {
    this.#port = port;
    this.#texts = new Texts((shard, document) => this.#documents?.textOf(shard, document));
  }

  /** The region serves a shard from now on: all of it is to be indexed. */
  acquired(shard: ShardId): void {
    const dirty = new Set(this.#port.items.store.items(shard).keys());
    this.#index.drop(shard);
    this.#shards.set(shard, { dirty, truncated: new Set(), resting: new Map(), isPublished: true });
    if (dirty.size > 0) this.#planIndex(0);
  }

  released(shard: ShardId): void {
    this.#shards.delete(shard);
    this.#index.drop(shard);
  }

  reset(): void {
    for (const shard of [...this.#shards.keys()]) this.released(shard);
    this.#texts.clear();
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
      const asked: Query = { waits, found: [], searched: new Set(), truncated: 0, done };
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
    const { truncated } = state;
    return { documents: found, complete: missing.length === 0, missing: missing.sort(), truncated };
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
    const shards = [...this.#shards].flatMap(([shard, { dirty }]) =>
      dirty.size > 0 && this.#index.documents(shard) === 0 ? [] : [shard],
    ); // The others are not indexed yet.
    const isMeant = new Set(shards);
    let truncated = 0;
    for (const shard of shards) truncated += this.#shards.get(shard)?.truncated.size ?? 0;
    const until = performance.now() + SNIPPETS_MS;
    const rows = this.#index
      .search(terms, weights, limit, (shard) => isMeant.has(shard))
      .flatMap(({ document, score, shard }): Body[] => {
        const text = this.#texts.get(shard, document, performance.now() < until) ?? "";
        return [document, shard, score, snippetOf(text, terms)];
      });
    return { type: "found", query, rows, shards, truncated };
  }

  #answered(
    from: PeerName,
    { query, rows, shards, truncated }: Extract<DocumentMessage, { type: "found" }>,
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
    asked.truncated += truncated;
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
          this.#documents = documents;
          this.#indexSome(documents);
        })
        .catch(this.#port.onFault);
    }, ms).unref();
  }

  /** Indexes what has changed, for a few ms at a time. */
  #indexSome(documents: Documents): void {
    const start = performance.now();
    let isDone = false;
    for (let now = start; now - start < SLICE_MS; now = performance.now()) {
      this.#indexing ??= this.#begin(documents, now);
      const indexing = this.#indexing;
      isDone = indexing === undefined;
      if (indexing === undefined) break;
      this.#advance(indexing);
      indexing.tookMs += performance.now() - now;
      if (this.#indexing === undefined) this.#rest(indexing);
    }
    const resting = [...this.#shards.values()].flatMap(({ dirty, resting: due }) =>
      [...due].flatMap(([document, at]) => (dirty.has(document) ? [at] : [])),
    );
    if (!isDone) this.#planIndex(0);
    else if (resting.length > 0) this.#planIndex(Math.min(...resting) - performance.now());
    this.#planPublish();
  }

  /** The next document that has changed and has a text; undefined when there is none. */
  #begin(documents: Documents, now: number): Indexing | undefined {
    for (const [shard, searched] of this.#shards) {
      for (const document of searched.dirty) {
        if ((searched.resting.get(document) ?? 0) > now) continue;
        searched.resting.delete(document);
        searched.dirty.delete(document);
        searched.truncated.delete(document);
        const text = documents.textOf(shard, document);
        if (text !== undefined) {
          this.#texts.put(shard, document, text);
          const indexed = text.slice(0, TEXT_INDEXED_MAX);
          if (indexed.length < text.length) searched.truncated.add(document);
          return { shard, document, text: indexed, counts: new Map(), at: 0, tookMs: 0 };
        }
        this.#index.delete(shard, document);
        this.#texts.delete(shard, document);
        searched.isPublished = false;
      }
    }
    return undefined;
  }

  #rest({ shard, document, tookMs }: Indexing): void {
    if (tookMs <= SLICE_MS) return;
    const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_SHARE * tookMs);
    this.#shards.get(shard)?.resting.set(document, performance.now() + pauseMs);
  }

  /** Takes one piece of a text to words, which ends where a word does; the last one indexes the document. */
  #advance(indexing: Indexing): void {
    const { shard, document, text, counts, at } = indexing;
    const isLast = text.length - at <= PIECE_LENGTH;
    const piece = text.slice(at, isLast ? text.length : at + PIECE_LENGTH);
    const space = isLast ? -1 : Math.max(piece.lastIndexOf(" "), piece.lastIndexOf("\n"));
    const words = space > 0 ? piece.slice(0, space) : piece;
    countWords(wordsOf(words), counts);
    indexing.at += words.length;
    if (!isLast) return;
    this.#indexing = undefined;
    const searched = this.#shards.get(shard);
    if (searched === undefined) return; // It has moved meanwhile.
    this.#index.set(shard, document, counts);
    searched.isPublished = false;
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
      const documents = this.#index.documents(shard);
      try {
        await this.#port.publish(shard, { documents, terms: this.#index.frequencies(shard) });
      } catch {
        searched.isPublished = false; // The shard moves, or the peer does not serve: later.
        this.#planPublish();
      }
    }
  }
}
