/**
 * The words of the documents of one shard: which are in which, and how often.
 *
 * The score of a document is the sum over the terms of a query of `(1 + ln count) x weight`, in the order
 * of the query. Weights come with the query, from numbers that are the same everywhere, so a document
 * scores alike wherever it is.
 *
 * Source: Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988.
 */

/** A document that has some of the words. */
export interface Hit {
  readonly document: string;
  readonly score: number;
}

export class ShardIndex {
  /** By term, then by document: how often. */
  readonly #counts = new Map<string, Map<string, number>>();
  /** The terms of each document. */
  readonly #terms = new Map<string, readonly string[]>();

  get documents(): number {
    return this.#terms.size;
  }

  /** In how many documents each term is. */
  frequencies(): Map<string, number> {
    return new Map([...this.#counts].map(([term, documents]) => [term, documents.size]));
  }

  /** Puts a document in, in place of what was known of it. */
  set(document: string, words: Iterable<string>): void {
    const counts = new Map<string, number>();
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
    const before = this.#terms.get(document) ?? [];
    for (const term of before) if (!counts.has(term)) this.#drop(term, document);
    for (const [term, count] of counts) {
      const documents = this.#counts.get(term) ?? new Map<string, number>();
      this.#counts.set(term, documents);
      documents.set(document, count);
    }
    this.#terms.set(document, [...counts.keys()]);
  }

  delete(document: string): boolean {
    for (const term of this.#terms.get(document) ?? []) this.#drop(term, document);
    return this.#terms.delete(document);
  }

  /** The best documents, at most `limit`, in the order of `compareHits`. */
  search(terms: readonly string[], weights: readonly number[], limit: number): Hit[] {
    const scores = new Map<string, number>();
    for (const [index, term] of terms.entries()) {
      const weight = weights[index] ?? 0;
      for (const [document, count] of this.#counts.get(term) ?? []) {
        scores.set(document, (scores.get(document) ?? 0) + (1 + Math.log(count)) * weight);
      }
    }
    const hits = [...scores].map(([document, score]) => ({ document, score }));
    return hits.sort(compareHits).slice(0, limit);
  }

  #drop(term: string, document: string): void {
    const documents = this.#counts.get(term);
    documents?.delete(document);
    if (documents?.size === 0) this.#counts.delete(term);
  }
}

/** The higher score first, and of equal ones the lower name by UTF-16 code units. */
export function compareHits(a: Hit, b: Hit): number {
  if (a.score !== b.score) return b.score - a.score;
  return a.document < b.document ? -1 : a.document > b.document ? 1 : 0;
}
