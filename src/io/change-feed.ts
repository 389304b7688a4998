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
import { Watcher } from "./watcher.ts";

/** Changes that are kept for a watcher who has not read them yet. At 100 bytes each 1.6 MB. */
export const WATCH_CHANGES_MAX = 16_384;

/** The changes of one type. */
export type ChangeOf<Type extends Change["type"]> = Extract<Change, { readonly type: Type }>;

export type ChangeListener<Type extends Change["type"]> = (change: ChangeOf<Type>) => void;

type AnyListener = (change: Change) => void;

/** Every type of change: a listener for anything else would wait for ever. */
const TYPES: ReadonlySet<string> = new Set<Change["type"]>([
  ...(["ready", "allocation", "member", "acquire", "release", "tick", "era", "warning"] as const),
]);

export class ChangeFeed {
  readonly #changesMax: number;
  readonly #listeners = new Map<Change["type"], Set<AnyListener>>();
  readonly #watchers = new Set<Watcher<Change>>();
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
    const watcher = new Watcher<Change>(this.#changesMax, () => {
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
