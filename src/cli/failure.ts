/**
 * A command that could not be carried out, with the code and the exit status that say so.
 *
 * Every command throws one of these, or a `HearsayError`, and `cli.ts` is the only place that turns
 * it into text and an exit: 1 for what failed, 2 for wrong usage. A code may be one that this version
 * does not know, since it may come from a newer peer.
 */
import { HearsayError } from "../core/error.ts";

/** Exit status of a command that did what it was asked. */
export const EXIT_DONE = 0;
/** Exit status of a command that failed. */
const EXIT_FAILED = 1;
/** Exit status of a command that cannot be understood; nothing was done. */
const EXIT_USAGE = 2;

export class Failure extends Error {
  override readonly name = "Failure";
  readonly code: string;
  readonly exitCode: number;

  constructor(code: string, message: string, exitCode: number = EXIT_FAILED) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** A flag, a variable or a configuration file that says nothing that can be done. */
export function wrongUsage(message: string): Failure {
  return new Failure("BAD_REQUEST", message, EXIT_USAGE);
}

/** Any error as a failure. What nobody foresaw keeps its stack, since it is a bug of ours. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof HearsayError) return new Failure(error.code, error.message);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Failure("INTERNAL", text);
}
