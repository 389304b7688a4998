/**
 * What each shard contributes, from the documents of a folder: counted file by file.
 *
 * A document counts once for each term in it, however often the term occurs.
 */
import { readFile } from "node:fs/promises";
import { wordsOf } from "../io/tokeniser.ts";

/** The documents of one shard, counted. */
export interface Vocabulary {
  documents: number;
  readonly terms: Map<string, number>;
}

/** Adds a document to its shard's vocabulary. */
export function countDocument(vocabulary: Vocabulary, text: string): void {
  vocabulary.documents += 1;
  for (const term of new Set(wordsOf(text))) {
    vocabulary.terms.set(term, (vocabulary.terms.get(term) ?? 0) + 1);
  }
}

/** The text of a file; undefined when it is no UTF-8, or cannot be read. */
export async function textOf(path: string): Promise<string | undefined> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch {
    return undefined;
  }
}
