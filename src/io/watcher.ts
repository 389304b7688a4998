/**
 * The reader's end of a feed: a bounded queue that can be waited for.
 *
 * A reader takes what it has not read at its own pace. One that falls behind too far is cut off, and told
 * so by an error once it has read what was kept for it. Nothing is ever left out silently.
 */
import { HearsayError } from "../core/error.ts";

type Result<Item> = IteratorResult<Item, undefined>;

interface Reader<Item> {
  readonly resolve: (result: Result<Item>) => void;
  readonly reject: (error: unknown) => void;
}

export class Watcher<Item> implements AsyncIterableIterator<Item> {
  readonly #itemsMax: number;
  readonly #onEnd: () => void;
  #unread: Item[] = [];
  #read = 0;
  #waiting: Reader<Item>[] = [];
  #isOpen = true;
  /** What the reader is told once it has read everything; undefined when that is just the end. */
  #error: unknown;

  /** Keeps up to `itemsMax` for the reader. `onEnd` is called when it takes no more. */
  constructor(itemsMax: number, onEnd: () => void) {
    this.#itemsMax = itemsMax;
    this.#onEnd = onEnd;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  put(item: Item): void {
    if (!this.#isOpen) return;
    const reader = this.#waiting.shift();
    if (reader !== undefined) reader.resolve({ done: false, value: item });
    else if (this.#unread.length - this.#read < this.#itemsMax) this.#unread.push(item);
    else {
      const message = `Cannot watch on: over ${this.#itemsMax} changes were left unread`;
      this.end(new HearsayError("BUFFER_FULL", message)); // [S4]
    }
  }

  /** Takes no more. The reader gets what there is, and then `error`, if there is one. */
  end(error?: unknown): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#error = error;
    this.#onEnd();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const reader of waiting) this.#finish(reader);
  }

  async next(): Promise<Result<Item>> {
    if (this.#read < this.#unread.length) {
      const value = this.#unread[this.#read] as Item;
      this.#read += 1;
      // An array that is read to the end, or half of a long one, is given back.
      if (this.#read * 2 > this.#unread.length) {
        this.#unread = this.#unread.slice(this.#read);
        this.#read = 0;
      }
      return { done: false, value };
    }
    return new Promise((resolve, reject) => {
      if (this.#isOpen) this.#waiting.push({ resolve, reject });
      else this.#finish({ resolve, reject });
    });
  }

  async return(): Promise<Result<Item>> {
    this.end();
    this.#unread = [];
    this.#read = 0;
    this.#error = undefined;
    return { done: true, value: undefined };
  }

  /** An error is told once. */
  #finish({ resolve, reject }: Reader<Item>): void {
    const error = this.#error;
    this.#error = undefined;
    if (error === undefined) resolve({ done: true, value: undefined });
    else reject(error);
  }
}
