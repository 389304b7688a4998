/**
 * The chunks of a shard's state on their way into a host: one at a time, taken when the host asks.
 *
 * A chunk counts as taken when the host asks for the one after it, and the last one when the host has
 * come to its end: so nothing is sent faster than the host can use it.
 */
import type { Body } from "../wire/body.ts";

type Told = (error: string | undefined) => void;

interface Waiting {
  readonly body: Body;
  readonly taken: () => void;
}

export class Chunks implements AsyncIterableIterator<Body> {
  readonly #controller = new AbortController();
  #waiting: Waiting | undefined;
  /** The chunk that the host has, and is not done with. */
  #current: Waiting | undefined;
  #wanted: ((result: IteratorResult<Body>) => void) | undefined;
  #rejectWanted: ((error: Error) => void) | undefined;
  #isEnded = false;
  #failure: Error | undefined;
  #told: Told | undefined;
  #onEnd: Told | undefined;
  #finish: { readonly error: string | undefined } | undefined;

  /** Aborted when the handoff has come to nothing. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Body>> {
    this.#current?.taken();
    this.#current = undefined;
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#waiting !== undefined) return Promise.resolve(this.#hand());
    if (this.#isEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#wanted = resolve;
      this.#rejectWanted = reject;
    });
  }

  return(): Promise<IteratorResult<Body>> {
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Offers a chunk; `taken` is called when the host has done with it. */
  push(body: Body, taken: () => void): void {
    this.#waiting = { body, taken };
    if (this.#finish !== undefined) {
      this.#tellFinish(this.#finish.error ?? "It did not take all of the state");
      return;
    }
    this.#answer(() => this.#hand());
  }

  /** There are no more; `told` hears when the host has come to its end. */
  end(told: Told): void {
    this.#isEnded = true;
    this.#onEnd = told;
    if (this.#finish !== undefined) this.#tellFinish(this.#finish.error);
    else this.#answer(() => ({ done: true, value: undefined }));
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#rejectWanted?.(error);
    this.#wanted = undefined;
  }

  /** Hears if the host comes to its end before there is one. */
  onFailed(told: Told): void {
    this.#told = told;
    if (this.#finish !== undefined && this.#onEnd === undefined) {
      this.#tellFinish(this.#finish.error ?? "It did not take all of the state");
    }
  }

  /** The host has come to its end. */
  finished(error: string | undefined): void {
    this.#finish = { error };
    if (this.#isEnded) this.#tellFinish(error);
    else this.#tellFinish(error ?? "It did not take all of the state");
  }

  abandon(): void {
    this.#told = undefined;
    this.#onEnd = undefined;
    this.#current = undefined;
    const error = new Error("The handoff has come to nothing");
    this.#controller.abort(error);
    this.fail(error);
  }

  #hand(): IteratorResult<Body> {
    this.#current = this.#waiting;
    this.#waiting = undefined;
    return { done: false, value: this.#current?.body };
  }

  #answer(result: () => IteratorResult<Body>): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    wanted?.(result());
  }

  #tellFinish(error: string | undefined): void {
    const told = this.#onEnd ?? this.#told;
    this.#onEnd = undefined;
    this.#told = undefined;
    told?.(error);
  }
}
