/**
 * What has changed in a document since everybody was told, and by whom.
 */
import { mergeUpdates } from "yjs";

export interface Changed {
  /** All of it. */
  readonly update: Uint8Array;
  /** All of it that did not come from elsewhere; undefined where that is nothing. */
  readonly own: Uint8Array | undefined;
  /** Who made all of it; undefined where several did. */
  readonly author: unknown;
}

export class Changes {
  readonly #elsewhere: unknown;
  #updates: Uint8Array[] = [];
  #origins: unknown[] = [];
  #bytes = 0;

  /** `elsewhere` is the origin of what no client made. */
  constructor(elsewhere: unknown) {
    this.#elsewhere = elsewhere;
  }

  get isEmpty(): boolean {
    return this.#updates.length === 0;
  }

  /** Whether a client made some of it. */
  get hasOwn(): boolean {
    return this.#origins.some((origin) => origin !== this.#elsewhere);
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(update: Uint8Array, origin: unknown): void {
    this.#updates.push(update);
    this.#origins.push(origin);
    this.#bytes += update.length;
  }

  /** What there is, as one update, and no more of it from then on; undefined when there is nothing. */
  take(): Changed | undefined {
    const updates = this.#updates;
    const origins = this.#origins;
    if (updates.length === 0) return undefined;
    this.clear();
    const update = merged(updates);
    const isOwn = (_: Uint8Array, index: number): boolean => origins[index] !== this.#elsewhere;
    const own = updates.filter(isOwn);
    const [author] = origins;
    return {
      update,
      own: own.length === updates.length ? update : own.length === 0 ? undefined : merged(own),
      author: origins.every((origin) => origin === author) ? author : undefined,
    };
  }

  clear(): void {
    this.#updates = [];
    this.#origins = [];
    this.#bytes = 0;
  }
}

function merged(updates: Uint8Array[]): Uint8Array {
  return updates.length === 1 ? (updates[0] as Uint8Array) : mergeUpdates(updates);
}
