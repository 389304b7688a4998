/**
 * Which blocks of the code have ever run, as V8 counts them.
 */
import { Session } from "node:inspector";

interface Block {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Script {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly Block[] }[];
}

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  constructor() {
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Blocks of `src` that have run so far. */
  get size(): number {
    return this.#seen.size;
  }

  /** How many blocks have run since the last call that never had before. */
  take(): number {
    let found = 0;
    this.#session.post("Profiler.takePreciseCoverage", (_, answer) => {
      for (const { url, functions } of (answer as { result: Script[] }).result) {
        if (!url.includes("/src/")) continue;
        for (const { ranges } of functions) {
          for (const { startOffset, endOffset, count } of ranges) {
            const block = `${url}:${startOffset}:${endOffset}`;
            if (count === 0 || this.#seen.has(block)) continue;
            this.#seen.add(block);
            found += 1;
          }
        }
      }
    });
    return found;
  }

  close(): void {
    this.#session.disconnect();
  }
}
