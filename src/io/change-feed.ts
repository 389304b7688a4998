/**
 * Tells users what changes, as it happens: to listeners at once, to watchers when they are ready for it.
 *
 * Listeners are called from within a step of the peer. One that throws must not take the step with it,
 * so its exception is thrown again a moment later, where it ends the process unless somebody handles
 * it: the usual fate of an exception in a listener.
 *
 * A watcher reads at its own pace, and what it has not read is kept for it, up to a limit. One that
 * falls behind further is told so by an error, and has to look at the whole table before it watches
 * again. Nothing is ever left out silently.
 */
import type { Change } from "../core/effect.ts";
import { HearsayError } from "../core/error.ts";

/** Changes that are kept for a watcher who has not read them yet. At 100 bytes each 1.6 MB. */
const WATCH_CHANGES_MAX = 16_384;

/** The changes of one type. */
export type ChangeOf<Type extends Change["type"]> = Extract<Change, { readonly type: Type }>;

export type ChangeListener<Type extends Change["type"]> = (change: ChangeOf<Type>) => void;

type AnyListener = (change: Change) => void;

/** Every type of change: a listener for anything else would wait for ever. */
const TYPES: ReadonlySet<string> = new Set<Change["type"]>([
  ...(["ready", "allocation", "member", "acquire", "release", "era", "warning"] as const),
]);

export class ChangeFeed {
  readonly #changesMax: number;
  readonly #listeners = new Map<Change["type"], Set<AnyListener>>();
  readonly #watchers = new Set<Watcher>();
  #isClosed = false;

  constructor(changesMax = WATCH_CHANGES_MAX) {
    this.#changesMax = changesMax;
  }

  /** Calls `listener` for every change of that type. Adding it twice is adding it once. */
  on<Type extends Change["type"]>(type: Type, listener: ChangeListener<Type>): void {
    if (!TYPES.has(type))
      throw new TypeError(`Cannot listen: there is no event ${JSON.stringify(type)}`);
    if (typeof listener !== "function") throw new TypeError("Cannot listen: no function was given");
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener as AnyListener));
  }

  /** Calls it no longer. */
  off<Type extends Change["type"]>(type: Type, listener: ChangeListener<Type>): void {
    this.#listeners.get(type)?.delete(listener as AnyListener);
  }

  /**
   * The changes from this call on, for one reader. The iteration ends when the signal aborts or the
   * feed is closed, and throws `BUFFER_FULL` once too many changes were left unread.
   */
  watch(signal?: AbortSignal): AsyncIterableIterator<Change> {
    const watcher = new Watcher(this.#changesMax, () => {
      this.#watchers.delete(watcher);
      signal?.removeEventListener("abort", stop);
    });
    const stop = (): void => watcher.end();
    this.#watchers.add(watcher);
    if (this.#isClosed || signal?.aborted) stop();
    else signal?.addEventListener("abort", stop);
    return watcher;
  }

  publish(change: Change): void {
    for (const watcher of this.#watchers) watcher.put(change);
    for (const listener of this.#listeners.get(change.type) ?? []) {
      try {
        listener(change);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** Ends all watchers, once they have read what there is. Listeners stay, and are not called. */
  close(): void {
    this.#isClosed = true;
    for (const watcher of this.#watchers) watcher.end();
  }
}

type Result = IteratorResult<Change, undefined>;

const END: Result = { done: true, value: undefined };

/** The reader's end of a feed: a bounded queue that can be waited for. */
class Watcher implements AsyncIterableIterator<Change> {
  readonly #changesMax: number;
  readonly #onEnd: () => void;
  #unread: Change[] = [];
  #read = 0;
  #waiting: ((result: Result) => void)[] = [];
  #state: "open" | "lagged" | "ended" = "open";

  constructor(changesMax: number, onEnd: () => void) {
    this.#changesMax = changesMax;
    this.#onEnd = onEnd;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  put(change: Change): void {
    if (this.#state !== "open") return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) waiting({ done: false, value: change });
    else if (this.#unread.length - this.#read < this.#changesMax) this.#unread.push(change);
    else this.#finish("lagged"); // [S4]
  }

  end(): void {
    if (this.#state === "open") this.#finish("ended");
  }

  async next(): Promise<Result> {
    const change = this.#unread[this.#read];
    if (change !== undefined) {
      this.#read += 1;
      // An array that is read to the end, or half of a long one, is given back.
      if (this.#read * 2 > this.#unread.length) {
        this.#unread = this.#unread.slice(this.#read);
        this.#read = 0;
      }
      return { done: false, value: change };
    }
    if (this.#state === "lagged") {
      this.#state = "ended";
      const message = `Cannot watch on: over ${this.#changesMax} changes were left unread`;
      throw new HearsayError("BUFFER_FULL", message);
    }
    if (this.#state === "ended") return END;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async return(): Promise<Result> {
    this.end();
    this.#unread = [];
    this.#read = 0;
    return END;
  }

  #finish(state: "lagged" | "ended"): void {
    this.#state = state;
    this.#onEnd();
    for (const waiting of this.#waiting) waiting(END);
    this.#waiting = [];
  }
}
