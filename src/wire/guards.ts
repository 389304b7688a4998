/**
 * What one field of a message must look like. Hand-written: these run on every frame, and on every
 * hostile one.
 *
 * They take what `byte-check.ts` has passed, so text is well-formed and numbers are finite and not -0.
 *
 * Rules: SPEC.md, S4.
 */
import { ADDRESS_LENGTH_MAX, WRITER_LENGTH_MAX } from "../core/limits.ts";
import { NAME_PATTERN } from "../core/units.ts";

/** Longest span and latest moment that a field in ms may say: a wall clock reaches it in 2109. */
export const MS_MAX = 2 ** 42;

/** A DNS name, an IPv4 address or an IPv6 address in brackets, then a port. */
const ADDRESS_PATTERN = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/;

/** The highest port: 16 bits. */
const PORT_MAX = 65_535;

/** Whether `value` is an integer from `min` to `max`, both included. */
export function isIntegerWithin(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

/** Whether `value` is a time in ms that is sane in size; fractions are allowed. */
export function isMsWithin(value: unknown, min: number): value is number {
  return typeof value === "number" && value >= min && value <= MS_MAX;
}

/** Whether `value` is text of 1 to `lengthMax` UTF-16 code units. */
export function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= lengthMax;
}

/** Whether `value` is bytes, a multiple of `unit` and at most `bytesMax` of them. */
export function isBytes(value: unknown, unit: number, bytesMax: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length <= bytesMax && value.length % unit === 0;
}

/** Whether `value` is the name of a peer. */
export function isName(value: unknown): value is string {
  return typeof value === "string" && NAME_PATTERN.test(value);
}

/** Whether `value` can be an incarnation. */
export function isIncarnation(value: unknown): value is string {
  return isText(value, WRITER_LENGTH_MAX);
}

/** Whether `value` is an address `host:port` that can be dialled. Says nothing about who is there. */
export function isAddress(value: unknown): value is string {
  if (!isText(value, ADDRESS_LENGTH_MAX)) return false;
  const port = Number(ADDRESS_PATTERN.exec(value)?.[1] ?? 0);
  return port > 0 && port <= PORT_MAX;
}
