/**
 * Plants a bug: makes a copy of the core and the simulator in which one line of the core is wrong.
 *
 * What is private in the core cannot be replaced from outside, and should not become public for the
 * sake of a test. So the bug is a change of the source, as a person would make it. The copy is compiled
 * file by file, without its types, into a directory of its own: no other test can meet it.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import ts from "typescript";
import type { RunRequest } from "../../../sim/options.ts";
import type { RunReport, simulate } from "../../../sim/simulation.ts";

/** A line of the core, and what stands there instead. */
export interface Edit {
  readonly file: string;
  readonly line: string;
  readonly bug: string;
}

const PARTS = ["src/core", "src/wire", "src/items", "src/documents", "src/live", "sim"];

/** Shells, which nothing pure imports. */
const SHELLS = new Set(["sim/main.ts", "sim/jobs.ts"]);

const load = createRequire(import.meta.url);

export class Nursery {
  readonly #directory = mkdtempSync(join(tmpdir(), "hearsay-planted-"));
  readonly #sound = join(this.#directory, "sound");
  #count = 0;

  constructor() {
    for (const part of PARTS) {
      for (const name of readdirSync(part, { recursive: true, encoding: "utf8" })) {
        const path = join(part, name);
        if (!path.endsWith(".ts") || SHELLS.has(path) || path.includes("/shell/")) continue;
        write(join(this.#sound, path), readFileSync(path, "utf8"));
      }
    }
    writeFileSync(join(this.#sound, "package.json"), '{ "type": "module" }');
  }

  /** The simulator over a core with these edits. Throws when the core has no such line, or several. */
  plant(edits: readonly Edit[]): typeof simulate {
    this.#count += 1;
    const copy = join(this.#directory, `${this.#count}`);
    cpSync(this.#sound, copy, { recursive: true });
    symlinkSync(resolve("node_modules"), join(copy, "node_modules"), "junction");
    const texts = new Map<string, string>();
    for (const { file, line, bug } of edits) {
      const pieces = (texts.get(file) ?? readFileSync(file, "utf8")).split(line);
      if (pieces.length !== 2) {
        const times = pieces.length - 1;
        throw new Error(`Cannot plant a bug: ${file} has this line ${times} times: ${line}`);
      }
      texts.set(file, pieces.join(bug));
    }
    for (const [file, text] of texts) write(join(copy, file), text);
    return (load(join(copy, "sim/simulation.js")) as { simulate: typeof simulate }).simulate;
  }

  clear(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Runs seeds from 0 on until one reports one of `rules`; undefined when none of `seeds` does. */
export function firstToFind(
  run: (request: RunRequest) => RunReport,
  request: Omit<RunRequest, "seed">,
  rules: readonly string[],
  seeds: number,
): number | undefined {
  for (let seed = 0; seed < seeds; seed += 1) {
    const { violations } = run({ ...request, seed });
    if (violations.some(({ rule }) => rules.includes(rule))) return seed;
  }
  return undefined;
}

function write(path: string, text: string): void {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path.replace(/\.ts$/, ".js"), outputText);
}
