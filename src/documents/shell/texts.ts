/**
 * Texts of documents for snippets: those that were needed last, up to a size; the others are read again.
 *
 * A text that is read again costs its document, which may be long, so who asks says how long it may take.
 */
import type { ShardId } from "../../core/units.ts";

/** Length of all texts that are kept, in UTF-16 code units: some thousand documents of usual size. */
const TEXTS_LENGTH_MAX = 8_388_608;

/** Length of a text that is kept: a longer one would drive hundreds of others out. */
const TEXT_LENGTH_MAX = 65_536;

export class Texts {
  readonly #read: (shard: ShardId, document: string) => string | undefined;
  /** By shard and name, the one that was needed last at the end. */
  readonly #kept = new Map<string, string>();
  #length = 0;

  constructor(read: (shard: ShardId, document: string) => string | undefined) {
    this.#read = read;
  }

  /** The text of a document, from memory if `mayRead` is not true. */
  get(shard: ShardId, document: string, mayRead: boolean): string | undefined {
    const key = `${shard}/${document}`;
    const kept = this.#kept.get(key);
    const text = kept ?? (mayRead ? this.#read(shard, document) : undefined);
    if (text !== undefined) this.put(shard, document, text);
    return text;
  }

  put(shard: ShardId, document: string, text: string): void {
    this.delete(shard, document);
    if (text.length > TEXT_LENGTH_MAX) return;
    this.#kept.set(`${shard}/${document}`, text);
    this.#length += text.length;
    for (const [key, oldest] of this.#kept) {
      if (this.#length <= TEXTS_LENGTH_MAX) break;
      this.#kept.delete(key); // [S4]
      this.#length -= oldest.length;
    }
  }

  delete(shard: ShardId, document: string): void {
    const key = `${shard}/${document}`;
    this.#length -= this.#kept.get(key)?.length ?? 0;
    this.#kept.delete(key);
  }

  clear(): void {
    this.#kept.clear();
    this.#length = 0;
  }
}
