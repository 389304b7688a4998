/**
 * What users may pass to a peer. Whatever cannot be meant is a TypeError or a RangeError at once, before
 * anything is done about it.
 */
import { whyNoPhases } from "./core/barrier.ts";
import { NAME_PATTERN } from "./core/units.ts";

/** Throws a TypeError unless `name` can be that of a peer or a shard. */
export function checkName(action: string, what: string, name: unknown): void {
  if (typeof name === "string" && NAME_PATTERN.test(name)) return;
  const wanted = '1 to 64 letters, digits, ".", "_" and "-"';
  throw new TypeError(`Cannot ${action}: the ${what} is no name of ${wanted}`);
}

/** Throws a TypeError unless `value` is text. */
export function checkText(action: string, what: string, value: unknown): void {
  if (typeof value !== "string") throw new TypeError(`Cannot ${action}: the ${what} is no string`);
}

/** Throws a RangeError unless `value` is an integer from `min` to `max`. */
export function checkInteger(
  action: string,
  what: string,
  value: unknown,
  min: number,
  max: number,
): void {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw new RangeError(`Cannot ${action}: ${what} is no integer from ${min} to ${max}`);
}

/** Phases as they are written: in lower case. Throws a RangeError when they are none. */
export function readPhases(phases: readonly string[]): string[] {
  if (!Array.isArray(phases)) throw new TypeError("Cannot start a tick: phases is no list");
  for (const phase of phases) checkText("start a tick", "phase", phase);
  const lowered = phases.map((phase) => phase.toLowerCase());
  const why = whyNoPhases(lowered);
  if (why !== undefined) throw new RangeError(`Cannot start a tick: ${why}`);
  return lowered;
}
