/**
 * A query that is followed, as an async iterable of deltas.
 *
 * Rules: SPEC.md, section V.
 */
import { HearsayError } from "../../core/error.ts";
import { type LiveDelta, liveDeltas } from "../live-delta.ts";
import type { Feed } from "./live-service.ts";

type Result = IteratorResult<LiveDelta, undefined>;

interface Reader {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Deltas from this call on, in order. One reader at a time. */
export class LiveSubscription implements AsyncIterableIterator<LiveDelta> {
  readonly #feed: Feed;
  #unread: LiveDelta[] = [];
  #readers: Reader[] = [];
  #isOver = false;
  #error: unknown;
  readonly #onEnd: () => void;

  /** `follow` is given what is to be called when there is news. */
  constructor(follow: (wake: () => void) => Feed, signal: AbortSignal | undefined) {
    const stop = (): void => this.#end(undefined);
    this.#onEnd = () => signal?.removeEventListener("abort", stop);
    this.#feed = follow(() => this.#serve());
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
      this.#serve();
    });
  }

  return(): Promise<Result> {
    this.#end(undefined);
    return Promise.resolve({ done: true, value: undefined });
  }

  #serve(): void {
    while (this.#readers.length > 0) {
      const delta = this.#isOver ? undefined : this.#nextDelta();
      if (delta === undefined && !this.#isOver) return;
      const reader = this.#readers.shift();
      if (reader === undefined) return; // It was told while its delta was looked for.
      const { resolve, reject } = reader;
      if (delta !== undefined) resolve({ done: false, value: delta });
      else if (this.#error === undefined) resolve({ done: true, value: undefined });
      else {
        reject(this.#error);
        this.#error = undefined; // It is told once.
      }
    }
  }

  #nextDelta(): LiveDelta | undefined {
    const unread = this.#unread.shift();
    if (unread !== undefined) return unread;
    const news = this.#feed.take();
    if (news === undefined) return undefined;
    if (news === "lagged") return { type: "lagged" };
    if (news.type === "ended") {
      const { code, message } = news.refusal;
      this.#end(code === "CLOSED" ? undefined : new HearsayError(code, message));
      return undefined;
    }
    this.#unread = liveDeltas(news, this.#feed.query);
    return this.#unread.shift();
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#unread = [];
    this.#onEnd();
    this.#feed.close();
    this.#serve();
  }
}
