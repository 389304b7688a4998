/**
 * A central count of the words in a folder, and what peers say that differs from it.
 *
 * It shares nothing with what it is compared with but the definition of a word: it walks the folder by
 * itself, and has Unicode's segmenter cut every line.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { PeerApi } from "../../src/cli/peer-api.ts";
import { TERM_LENGTH_MAX } from "../../src/core/limits.ts";

export interface CentralCount {
  readonly documents: number;
  readonly terms: ReadonlyMap<string, number>;
}

/** Length of the part of a URL that names terms. */
const QUERY_LENGTH_MAX = 8000;

const segmenter = new Intl.Segmenter("und", { granularity: "word" });

/** Counts all Markdown below `folder`. */
export function countMarkdown(folder: string): CentralCount {
  const terms = new Map<string, number>();
  let documents = 0;
  const paths = readdirSync(join(folder, "."), { recursive: true, encoding: "utf8" });
  for (const path of paths.sort()) {
    if (!/\.(md|mdx|markdown)$/i.test(path) || /(^|\/)\./.test(path)) continue;
    documents += 1;
    for (const term of wordsIn(readFileSync(join(folder, path), "utf8"))) {
      terms.set(term, (terms.get(term) ?? 0) + 1);
    }
  }
  return { documents, terms };
}

function wordsIn(text: string): Set<string> {
  const words = new Set<string>();
  for (const line of text
    .normalize("NFKC")
    .toLowerCase()
    .split(/[\r\n]/)) {
    for (const { segment, isWordLike } of segmenter.segment(line)) {
      if (isWordLike && segment.length <= TERM_LENGTH_MAX) words.add(segment);
    }
  }
  return words;
}

interface Answer {
  readonly documents: number;
  readonly frequencies: Readonly<Record<string, number>>;
  readonly complete: boolean;
}

/** What a peer says otherwise than the central count, term by term. `also` are terms of earlier counts. */
export async function differences(
  api: PeerApi,
  { documents, terms }: CentralCount,
  also: Iterable<string> = [],
): Promise<string[]> {
  const found: string[] = [];
  const ask = async (asked: readonly string[]): Promise<void> => {
    const query = asked.map((term) => `term=${encodeURIComponent(term)}`).join("&");
    const answer = (await api.ask("GET", `/v1/df?${query}`)) as Answer;
    if (!answer.complete) found.push("incomplete");
    if (answer.documents !== documents) found.push(`${answer.documents} documents`);
    for (const term of asked) {
      const count = answer.frequencies[term];
      if (count !== (terms.get(term) ?? 0)) found.push(`${term}: ${count}`);
    }
  };
  let asked: string[] = [];
  let length = 0;
  for (const term of new Set([...terms.keys(), ...also, "in no document"])) {
    asked.push(term);
    length += encodeURIComponent(term).length + 6;
    if (length < QUERY_LENGTH_MAX) continue;
    await ask(asked);
    asked = [];
    length = 0;
  }
  if (asked.length > 0) await ask(asked);
  return found;
}
