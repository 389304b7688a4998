/**
 * Stops the process on a bug of ours. Never used for input from outside.
 *
 * Kept in production: a replica that goes on after an impossible state spreads it to every peer.
 */

/** Thrown by `assert`. Nothing catches it: the process ends. */
class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws unless `condition` holds. `message` is the sentence that should have been true. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(`Broken invariant: ${message}`);
}
