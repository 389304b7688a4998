/**
 * The words of the documents that a region hosts: which are in which, and how often.
 *
 * Theory of operation
 *
 * A word in a document is a *posting*: five numbers and a count in arrays, 22 bytes. It hangs in two chains, that of
 * its word, which a search walks, and that of its document, by which it is taken out again; the chain of a word
 * is linked both ways, so that taking out costs the words of the document and nothing else. What is free is
 * chained, too, and used again, so nothing ever has to be built anew at one go. Words are numbered, and each
 * is kept once, whatever the number of shards.
 *
 * The score of a document is the sum over the terms of a query of `(1 + ln count) x weight`, in the order
 * of the query. Weights come with the query, from numbers that are the same everywhere, so a document
 * scores alike wherever it is.
 *
 * Source: Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988.
 */
import type { ShardId } from "../core/units.ts";

/** A document that has some of the words. */
export interface Hit {
  readonly document: string;
  readonly shard: ShardId;
  readonly score: number;
}

/** A word that is oftener in a document counts as if it were so often. */
const COUNT_MAX = 0xffff;

/** Postings that there is room for at first, and how much is added when it is full. */
const POSTINGS_INITIAL = 1024;
const GROWTH = 1.5;

interface Indexed {
  readonly document: string;
  readonly shard: ShardId;
  /** The first of its postings. */
  head: number;
}

/** No posting. */
const NONE = 0;

export class WordIndex {
  readonly #numbers = new Map<string, number>();
  /** By number. */
  readonly #terms: string[] = [];
  /** The first posting of each term, by number; its documents, by number. */
  readonly #heads: number[] = [];
  readonly #freeTerms: number[] = [];
  readonly #documents: (Indexed | undefined)[] = [];
  readonly #freeDocuments: number[] = [];
  /** By shard, then by name: numbers of documents. */
  readonly #shards = new Map<ShardId, Map<string, number>>();
  /** Of each posting. */
  #term = new Uint32Array(POSTINGS_INITIAL);
  #document = new Uint32Array(POSTINGS_INITIAL);
  #count = new Uint16Array(POSTINGS_INITIAL);
  #before = new Uint32Array(POSTINGS_INITIAL);
  #after = new Uint32Array(POSTINGS_INITIAL);
  #next = new Uint32Array(POSTINGS_INITIAL);
  /** Postings that were ever used, and the first that is free by now. */
  #used = 1;
  #free = NONE;

  /** Documents of a shard. */
  documents(shard: ShardId): number {
    return this.#shards.get(shard)?.size ?? 0;
  }

  /** Different words. */
  get terms(): number {
    return this.#numbers.size;
  }

  /** In how many documents of a shard each term is. */
  frequencies(shard: ShardId): Map<string, number> {
    const counts = new Map<number, number>();
    for (const number of this.#shards.get(shard)?.values() ?? []) {
      for (let at = this.#headOf(number); at !== NONE; at = this.#next[at] as number) {
        const term = this.#term[at] as number;
        counts.set(term, (counts.get(term) ?? 0) + 1);
      }
    }
    return new Map([...counts].map(([term, count]) => [this.#terms[term] as string, count]));
  }

  /** Puts a document in, in place of what was known of it. `counts`: how often each word is in it. */
  set(shard: ShardId, document: string, counts: ReadonlyMap<string, number>): void {
    this.delete(shard, document);
    const documents = this.#shards.get(shard) ?? new Map<string, number>();
    this.#shards.set(shard, documents);
    const number = this.#freeDocuments.pop() ?? this.#documents.length;
    documents.set(document, number);
    const indexed: Indexed = { document, shard, head: NONE };
    this.#documents[number] = indexed;
    for (const [term, count] of counts) {
      const at = this.#allocate();
      const termNumber = this.#numberOf(term);
      const after = this.#heads[termNumber] as number;
      this.#term[at] = termNumber;
      this.#document[at] = number;
      this.#count[at] = Math.min(count, COUNT_MAX);
      this.#before[at] = NONE;
      this.#after[at] = after;
      if (after !== NONE) this.#before[after] = at;
      this.#heads[termNumber] = at;
      this.#next[at] = indexed.head;
      indexed.head = at;
    }
  }

  delete(shard: ShardId, document: string): boolean {
    const documents = this.#shards.get(shard);
    const number = documents?.get(document);
    if (documents === undefined || number === undefined) return false;
    documents.delete(document);
    if (documents.size === 0) this.#shards.delete(shard);
    for (let at = this.#headOf(number); at !== NONE; ) {
      const next = this.#next[at] as number;
      this.#unlink(at);
      this.#next[at] = this.#free;
      this.#free = at;
      at = next;
    }
    this.#documents[number] = undefined;
    this.#freeDocuments.push(number);
    return true;
  }

  /** Takes all documents of a shard out. */
  drop(shard: ShardId): void {
    for (const document of [...(this.#shards.get(shard)?.keys() ?? [])])
      this.delete(shard, document);
  }

  /** The best documents of the shards that are meant, at most `limit`, in the order of `compareHits`. */
  search(
    terms: readonly string[],
    weights: readonly number[],
    limit: number,
    isMeant: (shard: ShardId) => boolean = () => true,
  ): Hit[] {
    const scores = new Map<number, number>();
    for (const [index, term] of terms.entries()) {
      const weight = weights[index] ?? 0;
      const number = this.#numbers.get(term);
      let at = number === undefined ? NONE : (this.#heads[number] as number);
      for (; at !== NONE; at = this.#after[at] as number) {
        const document = this.#document[at] as number;
        const score = (1 + Math.log(this.#count[at] as number)) * weight;
        scores.set(document, (scores.get(document) ?? 0) + score);
      }
    }
    const hits: Hit[] = [];
    for (const [number, score] of scores) {
      const { document, shard } = this.#documents[number] as Indexed;
      if (isMeant(shard)) hits.push({ document, shard, score });
    }
    return hits.sort(compareHits).slice(0, limit);
  }

  #headOf(document: number): number {
    return this.#documents[document]?.head ?? NONE;
  }

  #numberOf(term: string): number {
    const known = this.#numbers.get(term);
    if (known !== undefined) return known;
    const number = this.#freeTerms.pop() ?? this.#terms.length;
    const own = copyOf(term);
    this.#numbers.set(own, number);
    this.#terms[number] = own;
    this.#heads[number] = NONE;
    return number;
  }

  /** Takes a posting out of the chain of its term, and a term without any out of the numbers. */
  #unlink(at: number): void {
    const [before, after] = [this.#before[at] as number, this.#after[at] as number];
    if (after !== NONE) this.#before[after] = before;
    if (before !== NONE) {
      this.#after[before] = after;
      return;
    }
    const number = this.#term[at] as number;
    this.#heads[number] = after;
    if (after !== NONE) return;
    this.#numbers.delete(this.#terms[number] as string);
    this.#terms[number] = "";
    this.#freeTerms.push(number);
  }

  #allocate(): number {
    const at = this.#free;
    if (at !== NONE) {
      this.#free = this.#next[at] as number;
      return at;
    }
    if (this.#used === this.#term.length) this.#grow();
    this.#used += 1;
    return this.#used - 1;
  }

  #grow(): void {
    const length = Math.ceil(this.#used * GROWTH);
    const grown = (array: Uint32Array): Uint32Array<ArrayBuffer> => {
      const larger = new Uint32Array(length);
      larger.set(array);
      return larger;
    };
    this.#term = grown(this.#term);
    this.#document = grown(this.#document);
    this.#before = grown(this.#before);
    this.#after = grown(this.#after);
    this.#next = grown(this.#next);
    const counts = new Uint16Array(length);
    counts.set(this.#count);
    this.#count = counts;
  }
}

/** How often each word is among these. */
export function countWords(
  words: Iterable<string>,
  counts = new Map<string, number>(),
): Map<string, number> {
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** The higher score first, and of equal ones the lower name by UTF-16 code units. */
export function compareHits(a: Omit<Hit, "shard">, b: Omit<Hit, "shard">): number {
  if (a.score !== b.score) return b.score - a.score;
  return a.document < b.document ? -1 : a.document > b.document ? 1 : 0;
}

/** The same text, apart from the one that it is a piece of: a piece keeps the whole in memory. */
function copyOf(term: string): string {
  let copy = "";
  for (let at = 0; at < term.length; at += COPY_LENGTH) {
    const units: number[] = [];
    for (let unit = at; unit < Math.min(term.length, at + COPY_LENGTH); unit += 1) {
      units.push(term.charCodeAt(unit));
    }
    copy += String.fromCharCode(...units);
  }
  return copy;
}

/** Code units that are put together at a time. */
const COPY_LENGTH = 256;
