/**
 * How a long-running command learns that it should end.
 *
 * The first SIGTERM or SIGINT asks, the second does not wait. A process that was started with an IPC
 * channel is asked too when the channel ends: its parent is gone.
 */

/** Exit status of a process that a signal ended, by the convention of shells. */
const EXIT_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const;

/** Resolves at the first request to end. From then on a further signal ends the process at once. */
export function stopRequested(): Promise<void> {
  return new Promise((resolve) => {
    let isAsked = false;
    const onSignal = (signal: keyof typeof EXIT_BY_SIGNAL) => (): void => {
      if (isAsked) process.exit(EXIT_BY_SIGNAL[signal]);
      isAsked = true;
      resolve();
    };
    process.on("SIGINT", onSignal("SIGINT"));
    process.on("SIGTERM", onSignal("SIGTERM"));
    process.once("disconnect", resolve);
  });
}

/** Resolves to what `work` does, or to undefined when that takes longer. */
export async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timeout: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timeout = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timeout);
  }
}
