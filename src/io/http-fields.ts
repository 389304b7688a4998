/**
 * The fields of a request, read by hand. What cannot be one is refused here, so that no message ever
 * quotes what a stranger sent.
 */
import type { FastifyRequest } from "fastify";
import { HearsayError } from "../core/error.ts";
import { NAME_PATTERN } from "../core/units.ts";

/** What a query says once or more often. */
export function valuesOf(query: unknown, name: "document" | "term" | "q"): string[] {
  const value = (query as Readonly<Record<string, string | string[]>>)[name];
  if (value === undefined) throw badRequest(`the query names no ${name}`);
  return typeof value === "string" ? [value] : value;
}

/** The frequencies in a body. `__proto__` is an ordinary term. */
export function frequenciesOf(value: unknown): Map<string, number> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badRequest("terms is not an object");
  }
  return new Map(Object.entries(value));
}

/** Frequencies as an object without a prototype. */
export function objectOf(frequencies: ReadonlyMap<string, number>): Record<string, number> {
  const object: Record<string, number> = Object.create(null);
  for (const [term, count] of frequencies) object[term] = count;
  return object;
}

/** The shard in the path. */
export function shardOf(request: FastifyRequest): string {
  return checkedName("shard", (request.params as { shard: string }).shard);
}

/** A field of a body that may be absent; so may its field. */
export function fieldOf(body: unknown, field: string): unknown {
  if (body === undefined) return undefined;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw badRequest("the body is not an object");
  }
  return Object.hasOwn(body, field) ? (body as Record<string, unknown>)[field] : undefined;
}

/** The name of a peer or a shard. */
export function checkedName(what: string, value: unknown): string {
  if (typeof value === "string" && NAME_PATTERN.test(value)) return value;
  throw badRequest(`${what} is not a name of 1 to 64 letters, digits, ".", "_" and "-"`);
}

/** An integer from `min` to `max`. */
export function checkedInteger(what: string, value: unknown, min: number, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) {
    return value as number;
  }
  throw badRequest(`${what} is not an integer from ${min} to ${max}`);
}

/** An integer that stands in a path or a query: decimal digits. */
export function readInteger(what: string, text: unknown, min: number, max: number): number {
  const isDigits = typeof text === "string" && /^[0-9]{1,16}$/.test(text);
  return checkedInteger(what, isDigits ? Number(text) : undefined, min, max);
}

/** The refusal of a request that makes no sense; `what` says in what way. */
export function badRequest(what: string): HearsayError {
  return new HearsayError("BAD_REQUEST", `Cannot answer: ${what}`);
}
