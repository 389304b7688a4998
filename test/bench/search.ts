/**
 * Search over all Markdown below node_modules, as documents of three processes.
 *
 * Every text is a document at its region. Queries are words of the texts, drawn by a seed. What one peer
 * finds is compared, score by score, with an index of all texts in one process.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Random } from "../../src/core/random.ts";
import { countWords, WordIndex } from "../../src/documents/word-index.ts";
import { wordsOf } from "../../src/io/tokeniser.ts";
import { Child } from "./child.ts";
import type { Question } from "./documents-child.ts";
import { median, nowMs, percentile } from "./measure.ts";
import type { Bench, Section } from "./report.ts";

const QUERIES = 300;
const WARM_UPS = 50;
const LIMIT = 20;
const TEXT_LENGTH_MAX = 200_000;

/** Where the one process has all texts. */
const SHARD = "shard-0";

/** What is used on and off the heap once what is not is gone. */
function memoryBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

type Found = { hits: [string, number][]; ms: number; complete: boolean }[];

const tell = (child: Child, question: Question) => child.ask(question);

async function markdown(): Promise<[string, string][]> {
  const paths = await readdir("node_modules", { recursive: true });
  const texts: [string, string][] = [];
  for (const path of paths.filter((each) => /\.(?:md|markdown)$/i.test(each)).sort()) {
    const text = await readFile(join("node_modules", path), "utf8").catch(() => "");
    const isText = text.length > 0 && text.length < TEXT_LENGTH_MAX && path.length < 250;
    if (isText) texts.push([path, text]);
  }
  return texts;
}

/** What one process finds that has all texts. */
function reference(index: WordIndex, frequencies: ReadonlyMap<string, number>, query: string) {
  const terms = [...new Set(wordsOf(query))].sort();
  const weights = terms.map((term) => {
    const frequency = frequencies.get(term) ?? 0;
    return frequency === 0 ? 0 : Math.log(index.documents(SHARD) / frequency) + 1;
  });
  return index.search(terms, weights, LIMIT).map(({ document, score }) => [document, score]);
}

export const bench: Bench = {
  summary: "search over all Markdown below node_modules in three processes",
  async run(progress): Promise<readonly Section[]> {
    const texts = await markdown();
    progress(`${texts.length} texts`);
    const children = [0, 1, 2].map(
      () => new Child(new URL("./documents-child.ts", import.meta.url)),
    );
    const addresses: string[] = [];
    for (const [index, child] of children.entries()) {
      const join = addresses.slice(0, 1);
      addresses.push((await tell(child, { type: "peer", name: `p${index}`, join })) as string);
    }
    for (const child of children)
      while ((await tell(child, { type: "members" })) !== 3) await sleep(20);
    const start = nowMs();
    await Promise.all(children.map((child) => tell(child, { type: "write", texts })));
    const first = children[0] as Child;
    while ((await tell(first, { type: "count" })) !== texts.length) await sleep(100);
    const indexedMs = nowMs() - start;
    await sleep(3000); // What was published is at all peers.
    progress("queries");
    const random = new Random(1);
    const words = texts.map(([, text]) => [...wordsOf(text.slice(0, 2000))]);
    const queries = Array.from({ length: QUERIES + WARM_UPS }, () => {
      const some = random.pick(words) ?? [];
      return [random.pick(some), random.pick(some)].join(" ");
    });
    const found = (await tell(first, { type: "search", queries })) as Found;
    await Promise.all(children.map((child) => child.end()));
    const before = memoryBytes();
    const index = new WordIndex();
    for (const [name, text] of texts) index.set(SHARD, name, countWords(wordsOf(text)));
    const indexBytes = memoryBytes() - before;
    const textBytes = texts.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0);
    const frequencies = index.frequencies(SHARD);
    const wrong = found.filter(({ hits }, at) => {
      return (
        JSON.stringify(hits) !== JSON.stringify(reference(index, frequencies, queries[at] ?? ""))
      );
    });
    const tookMs = found.slice(WARM_UPS).map(({ ms }) => ms);
    return [
      {
        title: `${texts.length} documents, ${QUERIES} queries of two words`,
        figures: [
          { name: "a search, p50", value: median(tookMs), unit: "ms", target: { atMost: 10 } },
          { name: "a search, p99", value: percentile(tookMs, 0.99), unit: "ms" },
          {
            name: "ranked unlike one process would",
            value: wrong.length,
            unit: "",
            target: { atMost: 0 },
          },
          { name: "incomplete", value: found.filter(({ complete }) => !complete).length, unit: "" },
          {
            name: "an index of all of it, per byte of text",
            value: indexBytes / textBytes,
            unit: "bytes",
            target: { atMost: 4 },
          },
          { name: "written, indexed and published in", value: indexedMs, unit: "ms" },
        ],
      },
    ];
  },
};
