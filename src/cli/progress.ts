/**
 * A bar for whoever waits at a terminal; nothing for anybody else.
 */
import { printable } from "./output.ts";

export interface Progress {
  /** So much more is done. */
  advance(): void;
  /** The bar gives way to what is printed next. */
  stop(): void;
}

const SILENT: Progress = { advance: () => {}, stop: () => {} };

/** Starts a bar that is full after `total` steps. It is drawn on stderr, if that is a terminal. */
export async function startProgress(title: string, total: number): Promise<Progress> {
  if (process.stderr.isTTY !== true || total === 0) return SILENT;
  const { default: progress } = await import("cli-progress");
  const bar = new progress.SingleBar({
    format: `${printable(title)} {bar} {value}/{total}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return { advance: () => bar.increment(), stop: () => bar.stop() };
}
