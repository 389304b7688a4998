/**
 * Edits of strangers that may be too much work are tried first, in a thread of its own, on a copy of the document.
 *
 * The loop of a peer must not stand still, and what Yjs does with an update cannot be interrupted, but for ending
 * its thread. So whoever takes too long there is refused before it is done here, and what was tried and is
 * taken holds the loop for no longer than it took there.
 *
 * There is one such thread, made when it is needed and ended when it is not any more: edits of this kind are whole
 * documents that somebody uploads, and attacks. They wait for each other, and nobody else does for them.
 *
 * Rules: SPEC.md, Y7 and S5.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { DOCUMENT_WRITERS_MAX, EDIT_MS_MAX, TYPES_DEPTH_MAX } from "../limits.ts";

/** How long the thread may take for one trial, the copy included, in ms. */
const TRIAL_MS_MAX = 3000;

/** Trials that wait for others; who comes then is to come back. */
const TRIALS_MAX = 32;

/** How long the thread stays without work, in ms. */
const IDLE_MS = 10_000;

/** Memory of the thread, in MB: of the largest document there may be, several times. */
const THREAD_MB_MAX = 1024;

/** What a trial came to. */
export type Verdict = "good" | "slow" | "malformed" | "deep" | "crowded" | "busy";

/** What the thread answers: how long the update took, -1 where it failed, and what the document is like then. */
interface Outcome {
  readonly ms: number;
  readonly writers: number;
  /** Of the deepest type within types. */
  readonly depth: number;
}

/** The whole program of the thread: it has no module of its own, since it must run from source and from `dist`. */
const PROGRAM = `
const { parentPort, workerData } = require("node:worker_threads");
import(workerData).then(({ Doc, applyUpdate }) => {
  parentPort.on("message", ({ state, update }) => {
    let ms = -1, writers = 0, depth = 0;
    try {
      const doc = new Doc();
      applyUpdate(doc, state);
      const start = performance.now();
      applyUpdate(doc, update);
      ms = performance.now() - start;
      writers = doc.store.clients.size;
      const known = new Map();
      for (const structs of doc.store.clients.values()) for (const struct of structs) {
        if (struct.content?.type === undefined) continue;
        const path = [];
        let item = struct;
        while (item && !known.has(item)) { path.push(item); item = item.parent?._item; }
        let own = item ? known.get(item) : 0;
        for (const each of path.reverse()) known.set(each, own += 1);
        depth = Math.max(depth, own);
      }
    } catch {}
    parentPort.postMessage({ ms, writers, depth });
  });
});
`;

interface Trial {
  /** The document as one update. */
  readonly state: Uint8Array;
  readonly update: Uint8Array;
  readonly done: (verdict: Verdict) => void;
}

export class Trials {
  readonly #waiting: Trial[] = [];
  #running: Trial | undefined;
  #worker: Worker | undefined;
  #timeout: NodeJS.Timeout | undefined;

  /** Tries an update on a document; takes the bytes as they are. */
  run(state: Uint8Array, update: Uint8Array): Promise<Verdict> {
    if (this.#waiting.length >= TRIALS_MAX) return Promise.resolve("busy"); // [S4]
    return new Promise((done) => {
      this.#waiting.push({ state, update, done });
      this.#next();
    });
  }

  /** Ends the thread, and all trials with it. */
  close(): void {
    for (const { done } of this.#waiting.splice(0)) done("busy");
    this.#finish("busy");
    this.#end();
  }

  #next(): void {
    if (this.#running !== undefined) return;
    clearTimeout(this.#timeout);
    const trial = this.#waiting.shift();
    this.#running = trial;
    if (trial === undefined) {
      this.#timeout = setTimeout(() => this.#end(), IDLE_MS);
      this.#timeout.unref();
      return;
    }
    this.#worker ??= this.#start();
    this.#worker.postMessage({ state: trial.state, update: trial.update });
    this.#timeout = setTimeout(() => this.#fail(this.#worker), TRIAL_MS_MAX);
  }

  #start(): Worker {
    const yjs = pathToFileURL(createRequire(import.meta.url).resolve("yjs")).href;
    const worker = new Worker(PROGRAM, {
      ...{ eval: true, workerData: yjs, stdout: true, stderr: true },
      resourceLimits: { maxOldGenerationSizeMb: THREAD_MB_MAX },
    });
    worker.unref();
    worker.on("message", (outcome: Outcome) => {
      if (this.#worker !== worker) return;
      this.#finish(verdictOn(outcome));
      this.#next();
    });
    worker.on("error", () => this.#fail(worker)); // It ran out of memory.
    return worker;
  }

  /** The thread has not answered, and never will. */
  #fail(worker: Worker | undefined): void {
    if (worker === undefined || this.#worker !== worker) return;
    this.#end();
    this.#finish("slow");
    this.#next();
  }

  #finish(verdict: Verdict): void {
    const trial = this.#running;
    this.#running = undefined;
    trial?.done(verdict);
  }

  #end(): void {
    clearTimeout(this.#timeout);
    void this.#worker?.terminate();
    this.#worker = undefined;
  }
}

function verdictOn({ ms, writers, depth }: Outcome): Verdict {
  if (ms < 0) return "malformed";
  if (writers > DOCUMENT_WRITERS_MAX) return "crowded"; // [S4]
  if (depth > TYPES_DEPTH_MAX) return "deep"; // [S5]
  return ms > EDIT_MS_MAX ? "slow" : "good";
}
