/**
 * Messages of users as bytes: null, booleans, finite numbers, text, byte strings, arrays and objects.
 *
 * Objects cannot travel as they are: msgpack's maps are read by every decoder in a way of its own, and
 * ours are refused. So an array begins with `false`, an object with `true` and then has its keys and
 * values in turn. Nothing at all takes no bytes.
 *
 * What has no such form (functions, symbols, BigInts, NaN, instances of classes, lone surrogates, cycles) is
 * refused where it is sent: a message arrives as it was, or not at all. As in JSON, properties
 * whose value is undefined are left out, and -0 is 0.
 *
 * Rules: SPEC.md, H3, S4 and S5.
 */
import { isWellFormed } from "../core/canonical.ts";
import {
  CHUNK_BYTES_MAX,
  FRAME_DEPTH_MAX,
  FRAME_ELEMENTS_MAX,
  MESSAGE_BYTES_MAX,
} from "../core/limits.ts";
import { pack, unpack } from "./msgpack.ts";

/** What a message and an answer may be. */
export type Body =
  | undefined
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Body[]
  | { readonly [key: string]: Body };

/** Nesting of arrays and objects. */
const DEPTH_MAX = FRAME_DEPTH_MAX - 2;

/** Says why a value is no message, in words for "... that ...". */
class Unsayable extends Error {}

/**
 * The bytes of a message, at most `bytesMax`, or why it has none: `reason` completes "a message that
 * ...".
 */
export function encodeBody(
  body: unknown,
  bytesMax = MESSAGE_BYTES_MAX,
): { readonly bytes: Uint8Array } | { readonly reason: string; readonly isTooLarge: boolean } {
  if (body === undefined) return { bytes: new Uint8Array() };
  try {
    const packed = pack([flatten(body, 0)]);
    if (packed.length > bytesMax) {
      return { reason: `takes over ${bytesMax} bytes`, isTooLarge: true };
    }
    return { bytes: packed };
  } catch (error) {
    // A getter or a proxy of the user's may throw anything.
    const reason = error instanceof Unsayable ? error.message : "cannot be read";
    return { reason, isTooLarge: false };
  }
}

/**
 * The message that at most `bytesMax` bytes hold; `undefined` in place of a result when they hold none.
 */
export function decodeBody(
  bytes: Uint8Array,
  bytesMax = CHUNK_BYTES_MAX,
): { readonly body: Body } | undefined {
  if (bytes.length === 0) return { body: undefined };
  const unpacked = unpack(bytes, { bytesMax, elementsMax: FRAME_ELEMENTS_MAX });
  if ("reason" in unpacked || unpacked.elements.length !== 1) return undefined;
  try {
    return { body: unflatten(unpacked.elements[0]) };
  } catch (error) {
    if (error instanceof Unsayable) return undefined;
    throw error;
  }
}

function flatten(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case "string":
      if (isWellFormed(value)) return value;
      throw new Unsayable("has text with half a character");
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value + 0; // -0 becomes 0.
      throw new Unsayable("has a number that is not finite");
    case "object":
      break;
    default:
      throw new Unsayable(`has a ${typeof value}`);
  }
  if (value === null) return value;
  if (value instanceof Uint8Array) return value;
  if (depth >= DEPTH_MAX) throw new Unsayable(`is nested more than ${DEPTH_MAX} deep`);
  return Array.isArray(value) ? flattenArray(value, depth) : flattenObject(value, depth);
}

function flattenArray(values: readonly unknown[], depth: number): unknown[] {
  if (values.length >= FRAME_ELEMENTS_MAX) throw new Unsayable("has too long an array"); // [S4]
  const elements: unknown[] = [false];
  for (const value of values) elements.push(flatten(value ?? null, depth + 1));
  return elements;
}

function flattenObject(object: object, depth: number): unknown[] {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new Unsayable("has an instance of a class");
  }
  const elements: unknown[] = [true];
  for (const [key, value] of Object.entries(object)) {
    if (value === undefined) continue;
    if (!isWellFormed(key)) throw new Unsayable("has a key with half a character");
    elements.push(key, flatten(value, depth + 1));
  }
  if (elements.length > FRAME_ELEMENTS_MAX) throw new Unsayable("has too large an object"); // [S4]
  return elements;
}

function unflatten(value: unknown): Body {
  if (!Array.isArray(value)) return value as Body;
  const [isObject, ...rest] = value as unknown[];
  if (isObject === false) return rest.map(unflatten);
  if (isObject !== true || rest.length % 2 !== 0) throw new Unsayable("is malformed");
  const object: Record<string, Body> = {};
  for (let index = 0; index < rest.length; index += 2) {
    const key = rest[index];
    if (typeof key !== "string") throw new Unsayable("is malformed");
    const property = unflatten(rest[index + 1]);
    // A key like any other, and no way to the prototype.
    if (key === "__proto__") {
      const options = { value: property, enumerable: true, configurable: true, writable: true };
      Object.defineProperty(object, key, options);
    } else object[key] = property;
  }
  return object;
}
