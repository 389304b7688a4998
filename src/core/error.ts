/**
 * The stable codes of what can go wrong, and the error that carries one.
 *
 * A code is API: users branch on it, links close with it, HTTP and the command line print it. Its
 * meaning never changes; README lists them. The message is for people and may change.
 */

/** Every code, in the order of README. */
export const ERROR_CODES = [
  "NO_SHARDS",
  "NO_REGION",
  "NOT_OWNER",
  "SHARD_NOT_FOUND",
  "REGION_NOT_FOUND",
  "REGION_NOT_ALIVE",
  "BUFFER_FULL",
  "TICK_IN_PROGRESS",
  "TICK_NOT_FOUND",
  "TICK_ABORTED",
  "STALE_TICK",
  "NOT_A_PARTICIPANT",
  "PHASE_TIMEOUT",
  "HANDOFF_TIMEOUT",
  "HANDLER_FAILED",
  "CLOCK_DRIFT",
  "NAME_TAKEN",
  "ADDRESS_IN_USE",
  "UNREACHABLE",
  "AUTH_FAILED",
  "FORBIDDEN",
  "RATE_LIMITED",
  "CLUSTER_MISMATCH",
  "VERSION_MISMATCH",
  "FRAME_TOO_LARGE",
  "MALFORMED_FRAME",
  "TIMEOUT",
  "CLOSED",
  "NOT_READY",
  "BAD_REQUEST",
  "STORE_CORRUPT",
  "STORE_LOCKED",
  "STORE_FAILED",
  "INSECURE_LISTEN",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Whether `value` is one of the codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return (ERROR_CODES as readonly unknown[]).includes(value);
}

/** Codes after which the same call may succeed later without anything being changed by hand. */
const RETRYABLE: ReadonlySet<string> = new Set<ErrorCode>([
  "NO_REGION",
  "REGION_NOT_ALIVE",
  "BUFFER_FULL",
  "TICK_IN_PROGRESS",
  "PHASE_TIMEOUT",
  "HANDOFF_TIMEOUT",
  "CLOCK_DRIFT",
  "UNREACHABLE",
  "RATE_LIMITED",
  "TIMEOUT",
  "NOT_READY",
]);

/** An operation that could not be done. Branch on `code`; the message is for people. */
export class HearsayError extends Error {
  override readonly name = "HearsayError";
  readonly code: ErrorCode;
  /** Whether the same call may succeed later as it is. */
  readonly retryable: boolean;
  /** With `PHASE_TIMEOUT` and `TICK_ABORTED`: the shards that were waited for, by id. */
  readonly stragglers: readonly string[] | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; stragglers?: readonly string[] | undefined } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.stragglers = options.stragglers;
    this.retryable = RETRYABLE.has(code);
  }
}

/** An expected failure as a value, for pure code that does not throw. */
export interface Refusal {
  readonly ok: false;
  readonly code: ErrorCode;
  /** For people: action and state, sentence case, no full stop, no stranger's payload. */
  readonly message: string;
  /** The shards that were waited for, by id. */
  readonly stragglers?: readonly string[];
}
