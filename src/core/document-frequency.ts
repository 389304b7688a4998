/**
 * In how many documents each term occurs, over all shards: sums kept up to date entry by entry.
 *
 * Theory of operation
 *
 * Each shard's region publishes what its shard contributes, as a header and chunks of terms
 * (`frequency-chunks.ts`): two of them, one of users and one of documents. A contribution replaces the one before it, like every entry, so a repeated
 * delivery, a move or a partition cannot count anything twice. This index adds a chunk's counts to the
 * sums when the chunk begins to count, and takes the same counts out when it no longer does: when it
 * was overwritten, when the header names another token, when the shard is no longer registered. What was
 * added is read from the very text that was added, so no sum ever drifts.
 *
 * A header that names another token or another number of chunks makes all chunks of its shard change
 * sides. That is done once, at the end of a step, however many such headers a frame held [S5].
 *
 * An answer says whether it is complete. A shard is missing until everything that its header's digest
 * stands for is here; what is here of a missing shard counts already.
 *
 * Deliberately absent: who may publish what (`frequency-publisher.ts`), and what a term is (the tokeniser of
 * whoever publishes).
 *
 * Source: Salton, Buckley, "Term-weighting approaches in automatic text retrieval", 1988, for idf; one is
 * added, so that a term that is everywhere still weighs something. Rules: SPEC.md, section D.
 */
import { assert } from "./assert.ts";
import { timestampMs } from "./clock.ts";
import {
  type ChunkContent,
  type Contributor,
  decodeChunk,
  decodeHeader,
  type FrequencyHeader,
  hashOfTerm,
  hasTag,
  headerKey,
  parseKey,
  tagOf,
  toggleDigest,
} from "./frequency-chunks.ts";
import type { LwwMap } from "./lww-map.ts";
import type { Entry, Value } from "./message.ts";
import { TermTable } from "./term-table.ts";
import { compareText, type ShardId, type WallMs } from "./units.ts";

/** Whether an answer covers all registered shards, and how old it is [D4]. */
export interface FrequencyCoverage {
  /** Whether every registered shard's contribution is in it, whole. */
  readonly complete: boolean;
  /** The shards that have published nothing, or of whose contributions something is not here yet. */
  readonly missing: readonly ShardId[];
  /** How long ago the oldest contribution in it was published, in ms; 0 without any. */
  readonly ageMs: number;
}

/** Frequencies over all registered shards. */
export interface GlobalDf extends FrequencyCoverage {
  /** Documents in all shards. */
  readonly documents: number;
  /** By term, in the order asked: in how many of the documents it occurs. */
  readonly frequencies: ReadonlyMap<string, number>;
}

/** How much a term tells: the rarer, the more. */
export interface TermIdf extends FrequencyCoverage {
  readonly idf: number;
}

/** What is known of one of a shard's contributions. */
interface Part {
  readonly shard: ShardId;
  /** The key of its header. */
  readonly key: string;
  /** Every chunk that is here, by number, whatever its tag: its header may come later. */
  readonly texts: Map<number, string>;
  /** Numbers of those that count. */
  readonly counted: Set<number>;
  /** Over the texts of those that count. */
  readonly digest: Uint32Array;
  /** By which chunks are counted; undefined while there is none, or the shard is not registered. */
  header: FrequencyHeader | undefined;
  tag: string;
  /** When the header was written, in Unix ms. */
  publishedMs: number;
}

const CONTRIBUTORS: readonly Contributor[] = ["users", "documents"];

export class DocumentFrequency {
  readonly #map: LwwMap<Value>;
  readonly #registered = new Set<ShardId>();
  /** By the key of the header: only of what something has come, or a replica of many shards begins slowly. */
  readonly #parts = new Map<string, Part>();
  readonly #sums: TermTable;
  #documents = 0;
  /** Parts that something has happened to in this step, and shards. */
  readonly #touchedParts = new Set<Part>();
  readonly #touched = new Set<ShardId>();
  readonly #incomplete = new Set<ShardId>();
  /** What `missing` shows; undefined after a change. */
  #missing: readonly ShardId[] | undefined;
  /** When the oldest part was published; undefined when that has to be looked for. */
  #oldestMs: number | undefined;

  /** Reads `map`, whose later winners are handed to `apply`. `key` is any integer nobody can guess. */
  constructor(map: LwwMap<Value>, key: number) {
    this.#map = map;
    this.#sums = new TermTable(key);
  }

  /** [D2] Counts a shard from now on, once `settle` was called. */
  register(shard: ShardId): void {
    this.#registered.add(shard);
    this.#touch(shard);
  }

  /** [D2] Counts a shard no longer, once `settle` was called. */
  deregister(shard: ShardId): void {
    this.#registered.delete(shard);
    this.#touch(shard);
  }

  /** Takes in an entry that won. Sums are right once `settle` was called. */
  apply({ key, value }: Entry): void {
    const place = parseKey(key);
    if (place === undefined) return; // [G10] Kept in the replica, and nothing that this version reads.
    const part = this.#partOf(place.shard, place.header);
    this.#touchedParts.add(part);
    this.#touched.add(place.shard);
    if (place.chunk < 0) return; // The header is read once, when all is here that came with it.
    this.#uncount(part, place.chunk);
    part.texts.delete(place.chunk);
    if (typeof value !== "string") return;
    part.texts.set(place.chunk, value);
    this.#count(part, place.chunk, value);
  }

  /** The end of a step: takes in headers, and finds out which shards are complete. */
  settle(): void {
    if (this.#touched.size === 0) return; // The usual case: it is asked after every step.
    for (const part of this.#touchedParts) {
      const entry = this.#registered.has(part.shard) ? this.#map.entry(part.key) : undefined;
      const header = decodeHeader(entry?.value);
      this.#setHeader(part, header, header && entry ? timestampMs(entry.time) : 0);
    }
    for (const shard of this.#touched) {
      const isMissing = this.#registered.has(shard) && !this.#isComplete(shard);
      if (isMissing === this.#incomplete.has(shard)) continue;
      this.#missing = undefined;
      if (!this.#incomplete.delete(shard)) this.#incomplete.add(shard);
    }
    this.#touchedParts.clear();
    this.#touched.clear();
  }

  /** [D2] How many documents there are, and in how many of them each of `terms` occurs. */
  globalDf(terms: Iterable<string>, wallMs: WallMs): GlobalDf {
    const frequencies = new Map<string, number>();
    for (const term of terms) frequencies.set(term, this.#sumOf(term));
    return { documents: this.#documents, frequencies, ...this.#coverage(wallMs) };
  }

  /** [D5] How much `term` tells. */
  idf(term: string, wallMs: WallMs): TermIdf {
    return { idf: idfOf(this.#documents, this.#sumOf(term)), ...this.#coverage(wallMs) };
  }

  /** What a contribution's header says, and the texts of its chunks that are here, for who publishes. */
  published(
    shard: ShardId,
    contributor: Contributor,
  ): {
    readonly header: FrequencyHeader | undefined;
    readonly texts: ReadonlyMap<number, string>;
  } {
    this.settle(); // What came in this step may be what is published on top of.
    const part = this.#parts.get(headerKey(shard, contributor));
    const { header, texts = new Map<number, string>() } = part ?? {};
    return { header, texts };
  }

  /** Different terms that occur anywhere. */
  get termCount(): number {
    return this.#sums.size;
  }

  #touch(shard: ShardId): void {
    this.#touched.add(shard);
    for (const part of this.#partsOf(shard)) this.#touchedParts.add(part);
  }

  #partsOf(shard: ShardId): readonly Part[] {
    if (this.#parts.size === 0) return []; // As long as nobody has published anything.
    return CONTRIBUTORS.flatMap(
      (contributor) => this.#parts.get(headerKey(shard, contributor)) ?? [],
    );
  }

  /** [D4] Whether something is published of a shard, and all of that is here. */
  #isComplete(shard: ShardId): boolean {
    const parts = this.#partsOf(shard).filter(({ header }) => header !== undefined);
    return parts.length > 0 && parts.every(isComplete);
  }

  #partOf(shard: ShardId, key: string): Part {
    const existing = this.#parts.get(key);
    if (existing !== undefined) return existing;
    const part: Part = {
      ...{ shard, key, texts: new Map(), counted: new Set(), digest: new Uint32Array(2) },
      ...{ header: undefined, tag: "", publishedMs: 0 },
    };
    this.#parts.set(key, part);
    return part;
  }

  #sumOf(term: string): number {
    return this.#sums.sumOf(term, hashOfTerm(term));
  }

  #coverage(wallMs: WallMs): FrequencyCoverage {
    this.#missing ??= Object.freeze([...this.#incomplete].sort(compareText));
    this.#oldestMs ??= this.#findOldest();
    const ageMs = this.#oldestMs === Infinity ? 0 : Math.max(0, wallMs - this.#oldestMs);
    return { complete: this.#missing.length === 0, missing: this.#missing, ageMs };
  }

  #findOldest(): number {
    let oldest = Infinity;
    for (const { header, publishedMs } of this.#parts.values()) {
      if (header !== undefined && publishedMs < oldest) oldest = publishedMs;
    }
    return oldest;
  }

  #setHeader(part: Part, header: FrequencyHeader | undefined, publishedMs: number): void {
    const before = part.header;
    const tag = header === undefined ? "" : tagOf(header, header.chunks);
    this.#documents += (header?.documents ?? 0) - (before?.documents ?? 0);
    part.header = header;
    if (tag !== part.tag) {
      for (const chunk of [...part.counted]) this.#uncount(part, chunk, before);
      part.tag = tag;
      for (const [chunk, text] of part.texts) this.#count(part, chunk, text);
    }
    if (publishedMs === part.publishedMs) return;
    // Only what was the oldest, or is now, changes how old the oldest is.
    const wasOldest = before === undefined || part.publishedMs === this.#oldestMs;
    part.publishedMs = publishedMs;
    if (wasOldest || publishedMs < (this.#oldestMs ?? 0)) this.#oldestMs = undefined;
  }

  /** [D1] Counts a chunk, if it is of the contribution that the header stands for. */
  #count(part: Part, chunk: number, text: string): void {
    const { header, tag } = part;
    if (header === undefined || chunk >= header.chunks || !hasTag(text, tag)) return;
    const content = decodeChunk(text, chunk, header.chunks);
    if (content === undefined) return;
    part.counted.add(chunk);
    toggleDigest(part.digest, chunk, text);
    this.#add(content, 1);
  }

  /** Takes out what `#count` added, under the header by which it did. */
  #uncount(part: Part, chunk: number, header = part.header): void {
    if (!part.counted.delete(chunk)) return;
    const text = part.texts.get(chunk) as string;
    toggleDigest(part.digest, chunk, text);
    const content = decodeChunk(text, chunk, header?.chunks ?? 0);
    assert(content !== undefined, "what counts could be read");
    this.#add(content, -1);
  }

  #add({ terms, hashes, counts }: ChunkContent, sign: 1 | -1): void {
    for (let index = 0; index < terms.length; index += 1) {
      const count = sign * (counts[index] as number);
      this.#sums.add(terms[index] as string, hashes[index] as number, count);
    }
  }
}

/** [D4] Whether all of one publication is here. */
function isComplete({ header, counted, digest }: Part): boolean {
  return (
    header !== undefined &&
    counted.size === header.chunks &&
    digest[0] === header.digestLow &&
    digest[1] === header.digestHigh
  );
}

/** [D5] The inverse document frequency of a term that occurs in `df` of `documents`. */
export function idfOf(documents: number, df: number): number {
  if (documents === 0 || df === 0) return 0;
  // Above the number of documents only while parts of two publications are here.
  return Math.log(documents / Math.min(df, documents)) + 1;
}

/** Adds up local frequencies by term. Each map counts once, as given; a term in none is in no sum. */
export function aggregateGlobalDf(
  locals: Iterable<ReadonlyMap<string, number>>,
): Map<string, number> {
  const sums = new Map<string, number>();
  for (const local of locals) {
    for (const [term, count] of local) sums.set(term, (sums.get(term) ?? 0) + count);
  }
  return sums;
}
