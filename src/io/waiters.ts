/**
 * Callers who wait for one thing to happen, each until it does, fails, or is no longer wanted.
 */
export class Waiters {
  readonly #settlers = new Set<(error: unknown) => void>();

  /** Resolves or rejects with the next `resolve` or `reject`, or rejects with the reason of `signal`. */
  wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const settle = (error: unknown): void => {
        this.#settlers.delete(settle);
        signal?.removeEventListener("abort", abort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const abort = (): void => settle(signal?.reason);
      this.#settlers.add(settle);
      signal?.addEventListener("abort", abort);
    });
  }

  /** It has happened: lets all who wait go on. */
  resolve(): void {
    for (const settle of [...this.#settlers]) settle(undefined);
  }

  /** It will not happen. */
  reject(error: Error): void {
    for (const settle of [...this.#settlers]) settle(error);
  }
}
