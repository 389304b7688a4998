/**
 * `npm run fuzz -- --minutes 60 [--seed N] [--target NAME] [--keep FILE]`: throws mutated bytes at everything
 * that takes bytes of strangers, for a given time.
 *
 * The search is guided by coverage: inputs are made in batches, and when a batch has reached a block of the
 * code that none before it had, those of its inputs that did are kept and changed further. An input whose
 * outcome is described by a new word is kept, too. `--keep` writes the smallest input for each word, which is
 * how `corpus.json` was made; `corpus.test.ts` runs that with every test.
 *
 * Exit status 1 when something was found; the inputs are printed in hex, those that came before with them.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Random } from "../../src/core/random.ts";
import { bytesOf, hex } from "../wire/messages.ts";
import { Coverage } from "./coverage.ts";
import { mutate } from "./mutation.ts";
import { serverTargets } from "./server-targets.ts";
import { randomFor, type Target, targets } from "./targets.ts";

/** Inputs between two looks at the coverage. */
const BATCH = 2000;

/** The same for targets that answer later, each of which takes a connection. */
const BATCH_LATER = 50;

/** Inputs that are kept for one target; a new one takes the place of a random one. */
const CORPUS_MAX = 4000;

/** An input that takes more of a processor is run again, and is a finding when it always does, in ms. */
const SLOW_MS = 50;

/** Findings of one target after which it is given up. */
const FINDINGS_MAX = 5;

/** Inputs before a finding that are printed with it: some targets have a state. */
const HISTORY = 200;

/** Inputs of one target that `--keep` writes, and the longest of them, in bytes. */
const KEPT_MAX = 64;
const KEPT_BYTES_MAX = 512;

/** What this process has used of a processor: others on the machine do not count. */
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

class Search {
  readonly target: Target;
  readonly #random: Random;
  readonly #coverage: Coverage;
  readonly #corpus: Uint8Array[];
  /** The smallest input for each outcome. */
  readonly words = new Map<string, Uint8Array>();
  readonly findings: string[] = [];
  #history: Uint8Array[] = [];
  count = 0;
  blocks = 0;
  slowestMs = 0;

  constructor(target: Target, seed: number, coverage: Coverage, kept: readonly Uint8Array[]) {
    this.target = target;
    this.#random = randomFor(seed);
    this.#coverage = coverage;
    this.#corpus = [...target.seeds, ...kept];
  }

  /** Looks at what it begins with. */
  async start(): Promise<void> {
    for (const bytes of this.#corpus) await this.#run(bytes);
  }

  /** One batch; what reached something new is kept. */
  async batch(): Promise<void> {
    const inputs = Array.from({ length: this.target.isSlow ? BATCH_LATER : BATCH }, () =>
      mutate(this.#random, this.#corpus, this.target.head),
    );
    this.#coverage.take();
    for (const bytes of inputs) if (await this.#run(bytes)) this.#keep(bytes);
    const found = this.#coverage.take();
    this.blocks += found;
    if (found === 0) return;
    // Which of them it was is not known. So a part of the batch is kept, and the search finds it again.
    for (const bytes of inputs.slice(0, 50)) this.#keep(bytes);
  }

  #keep(bytes: Uint8Array): void {
    if (this.#corpus.length < CORPUS_MAX) this.#corpus.push(bytes);
    else this.#corpus[this.#random.below(CORPUS_MAX)] = bytes;
  }

  /** Whether the outcome has a word that is new, or its input is much smaller than before. */
  async #run(bytes: Uint8Array): Promise<boolean> {
    this.count += 1;
    this.#history.push(bytes);
    if (this.#history.length > 2 * HISTORY) this.#history = this.#history.slice(-HISTORY);
    const start = cpuMs();
    let word: string;
    try {
      word = await this.target.run(bytes);
    } catch (error) {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#report(stack.split("\n").slice(0, 8).join("\n"));
      return false;
    }
    const ms = cpuMs() - start;
    if (ms > SLOW_MS && ms > this.slowestMs) await this.#judgeTime(bytes);
    const known = this.words.get(word);
    if (known === undefined || bytes.length < known.length) this.words.set(word, bytes);
    return known === undefined;
  }

  async #judgeTime(bytes: Uint8Array): Promise<void> {
    const times: number[] = [];
    for (let count = 0; count < 5; count += 1) {
      const start = cpuMs();
      await this.target.run(bytes);
      times.push(cpuMs() - start);
    }
    this.slowestMs = Math.max(this.slowestMs, Math.min(...times));
    if (Math.min(...times) > SLOW_MS) this.#report(`It takes ${Math.min(...times)} ms`);
  }

  #report(what: string): void {
    const before = this.#history.slice(-HISTORY).map(hex).join("\n");
    this.findings.push(what);
    console.log(`FOUND by ${this.target.name}, input ${this.count}: ${what}\n${before}\n`);
  }
}

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    target: { type: "string", default: "all" },
    keep: { type: "string", default: "" },
  },
});
const { target: wanted, keep } = values;
const kept = (existsSync(keep) ? JSON.parse(readFileSync(keep, "utf8")) : {}) as Record<
  string,
  Record<string, string>
>;
const coverage = new Coverage();
const server = await serverTargets();
const searches = [...targets(), ...server.targets]
  .filter(({ name }) => wanted === "all" || wanted === name)
  .map((target, index) => {
    const inputs = Object.values(kept[target.name] ?? {}).map(bytesOf);
    return new Search(target, Number(values.seed) + index, coverage, inputs);
  });
for (const search of searches) await search.start();
const endsAt = performance.now() + Number(values.minutes) * 60_000;
let reportsAt = performance.now();
while (performance.now() < endsAt && searches.some(({ findings }) => findings.length === 0)) {
  for (const search of searches) if (search.findings.length < FINDINGS_MAX) await search.batch();
  if (performance.now() < reportsAt) continue;
  reportsAt = performance.now() + 60_000;
  const lines = searches.map(
    ({ target, count, words, blocks, slowestMs }) =>
      `${target.name} ${count} inputs, ${words.size} outcomes, ${blocks} blocks, slowest ${slowestMs.toFixed(0)} ms`,
  );
  console.log(`seed ${values.seed}, ${coverage.size} blocks: ${lines.join("; ")}`);
}
if (keep !== "") {
  const smallest = searches.map(({ target, words }) => {
    const inputs = [...words]
      .sort(([, a], [, b]) => a.length - b.length)
      .filter(([, bytes]) => bytes.length <= KEPT_BYTES_MAX)
      .slice(0, KEPT_MAX)
      .map(([word, bytes]) => [word, hex(bytes)]);
    return [target.name, Object.fromEntries(inputs)];
  });
  writeFileSync(keep, `${JSON.stringify(Object.fromEntries(smallest), undefined, 2)}\n`);
}
await server.close();
for (const { target, count, words, findings } of searches) {
  console.log(
    `${target.name}: ${count} inputs, ${words.size} outcomes, ${findings.length} findings`,
  );
}
process.exitCode = searches.some(({ findings }) => findings.length > 0) ? 1 : 0;
