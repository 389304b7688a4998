/**
 * What waits for one client, bounded.
 *
 * A client takes news as fast as it can. When too many wait they are all forgotten, and so is what comes
 * after them: the client is told that it has lagged, and then gets all of its window as it is by then. A
 * reset makes what waits before it superfluous, so a client that is slow and not reading gets at most that.
 *
 * Rules: SPEC.md, V9.
 */
import type { Refusal } from "../core/error.ts";
import { CLIENT_BATCHES_MAX } from "./bounds.ts";
import type { News } from "./gateway.ts";

export class ClientQueue {
  readonly #max: number;
  #news: News[] = [];
  #hasLagged = false;
  #ended: Refusal | undefined;

  constructor(max: number = CLIENT_BATCHES_MAX) {
    this.#max = max;
  }

  /** Whether `take` has something. */
  get isEmpty(): boolean {
    return this.#news.length === 0 && !this.#hasLagged && this.#ended === undefined;
  }

  put(news: News): void {
    if (news.type === "ended") this.#ended = news.refusal;
    if (this.#hasLagged || news.type === "ended") return; // `current` has it.
    if (news.type === "reset") this.#news = [];
    this.#news.push(news);
    if (this.#news.length <= this.#max) return;
    this.#news = []; // [V9]
    this.#hasLagged = true;
  }

  /**
   * The next for the client. After `lagged` it is to be given all that it should have, at once. What ended
   * comes last.
   */
  take(): News | "lagged" | undefined {
    if (this.#hasLagged) {
      this.#hasLagged = false;
      return "lagged";
    }
    const next = this.#news.shift();
    if (next !== undefined || this.#ended === undefined) return next;
    return { type: "ended", refusal: this.#ended };
  }
}
