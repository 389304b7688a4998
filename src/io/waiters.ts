/**
 * Who waits for the same thing to happen, each until a signal of its own.
 */
interface Waiter {
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class Waiters {
  readonly #waiters = new Set<Waiter>();

  /** Resolves or rejects with all others, or rejects with the reason of `signal`, which is not aborted. */
  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener("abort", abort);
      };
      const waiter: Waiter = {
        resolve: () => {
          done();
          resolve();
        },
        reject: (reason) => {
          done();
          reject(reason);
        },
      };
      const abort = (): void => waiter.reject(signal?.reason);
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", abort);
    });
  }

  resolve(): void {
    for (const waiter of [...this.#waiters]) waiter.resolve();
  }

  reject(reason: unknown): void {
    for (const waiter of [...this.#waiters]) waiter.reject(reason);
  }
}
