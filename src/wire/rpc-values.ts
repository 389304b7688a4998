/**
 * Arguments and results of calls, in the narrow language of `byte-check.ts`.
 *
 * That language has null, booleans, numbers, text, bytes and arrays. What else a call may be given or
 * give back is an array that says by its first element what it stands for:
 *
 *   []                             undefined
 *   [0, item, ...]                 a list
 *   [1, field, value, ...]         an object
 *   [2, key, value, ...]           a Map
 *   [3, count, field, ..., value, ...]   a list of objects with the same fields, row by row
 *
 * The last one is what tables are: their fields are named once.
 *
 * Text is copied out of its frame, and what comes again and again is shared, since results are kept.
 * `__proto__` is an ordinary field.
 *
 * Rules: SPEC.md, S4 and S5.
 */
import { isWellFormed } from "../core/canonical.ts";
import { RPC_FIELDS_MAX, RPC_VALUE_DEPTH_MAX } from "../core/limits.ts";
import { ownText, sharedText } from "./sharing.ts";

const LIST = 0;
const OBJECT = 1;
const MAP = 2;
const ROWS = 3;

/** Longer text hardly comes twice. */
const SHARED_TEXT_LENGTH_MAX = 128;

/** What `decodeValue` returns for what `encodeValue` never wrote. */
export const MALFORMED: unique symbol = Symbol("malformed");

/**
 * Turns a value into what may stand in a frame. Throws a TypeError for what cannot: numbers that are
 * not finite, text that is not well-formed, functions, instances of classes, circles.
 */
export function encodeValue(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case "string":
      if (!isWellFormed(value)) throw new TypeError("Cannot send text that is not well-formed");
      return value;
    case "number":
      if (!Number.isFinite(value)) throw new TypeError("Cannot send a number that is not finite");
      return value + 0; // -0 is 0.
    case "boolean":
      return value;
    case "undefined":
      return [];
    case "object":
      if (value === null || value instanceof Uint8Array) return value;
      if (depth === RPC_VALUE_DEPTH_MAX) throw new TypeError("Cannot send what is nested so deep");
      return encodeObject(value, depth + 1);
    default:
      throw new TypeError(`Cannot send a ${typeof value}`);
  }
}

function encodeObject(value: object, depth: number): unknown[] {
  if (Array.isArray(value)) return encodeList(value, depth);
  if (value instanceof Map) {
    const elements: unknown[] = [MAP];
    for (const [key, each] of value) {
      elements.push(encodeValue(key, depth), encodeValue(each, depth));
    }
    return elements;
  }
  const elements: unknown[] = [OBJECT];
  for (const field of fieldsOf(value)) {
    elements.push(encodeValue(field), encodeValue((value as Row)[field], depth));
  }
  return elements;
}

type Row = Record<string, unknown>;

function encodeList(values: readonly unknown[], depth: number): unknown[] {
  const fields = sharedFields(values);
  if (fields === undefined)
    return [LIST, ...Array.from(values, (each) => encodeValue(each, depth))];
  const elements: unknown[] = [ROWS, fields.length, ...fields.map((field) => encodeValue(field))];
  for (const row of values) {
    for (const field of fields) elements.push(encodeValue((row as Row)[field], depth));
  }
  return elements;
}

/** The fields that all of `values` have, in the same order; undefined when naming them once saves nothing. */
function sharedFields(values: readonly unknown[]): string[] | undefined {
  const [first] = values;
  if (values.length < 2 || !isPlain(first)) return undefined;
  const fields = fieldsOf(first);
  const isSame = (row: unknown): boolean => {
    if (!isPlain(row)) return false;
    const own = Object.keys(row);
    return own.length === fields.length && own.every((field, index) => field === fields[index]);
  };
  return fields.length > 0 && values.every(isSame) ? fields : undefined;
}

function fieldsOf(value: object): string[] {
  if (!isPlain(value)) throw new TypeError("Cannot send an instance of a class");
  const fields = Object.keys(value);
  if (fields.length > RPC_FIELDS_MAX)
    throw new TypeError("Cannot send an object of so many fields");
  return fields;
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Turns an element of a frame that `byte-check.ts` has passed into the value that it stands for. */
export function decodeValue(element: unknown, depth = 0): unknown {
  if (typeof element === "string") {
    return element.length <= SHARED_TEXT_LENGTH_MAX ? sharedText(element) : ownText(element);
  }
  if (!Array.isArray(element)) return element;
  const elements = element as readonly unknown[];
  if (elements.length === 0) return undefined;
  if (depth === RPC_VALUE_DEPTH_MAX) return MALFORMED; // [S5]
  switch (elements[0]) {
    case LIST:
      return decodeItems(elements, 1, depth + 1);
    case OBJECT:
      return decodeRecord(elements, depth + 1);
    case MAP:
      return decodeMap(elements, depth + 1);
    case ROWS:
      return decodeRows(elements, depth + 1);
    default:
      return MALFORMED;
  }
}

/** The values of `elements` from `start` on. */
function decodeItems(
  elements: readonly unknown[],
  start: number,
  depth: number,
): unknown[] | typeof MALFORMED {
  const items: unknown[] = [];
  for (let index = start; index < elements.length; index += 1) {
    const item = decodeValue(elements[index], depth);
    if (item === MALFORMED) return MALFORMED;
    items.push(item);
  }
  return items;
}

function decodeRecord(elements: readonly unknown[], depth: number): unknown {
  // [S4] An object of many fields costs more than its bytes: it is a table of hashes.
  if (elements.length % 2 === 0 || elements.length > 1 + 2 * RPC_FIELDS_MAX) return MALFORMED;
  const record: Row = {};
  for (let index = 1; index < elements.length; index += 2) {
    const field = decodeValue(elements[index], depth);
    const value = decodeValue(elements[index + 1], depth);
    if (typeof field !== "string" || value === MALFORMED) return MALFORMED;
    setField(record, field, value);
  }
  return record;
}

function decodeMap(elements: readonly unknown[], depth: number): unknown {
  if (elements.length % 2 === 0) return MALFORMED;
  const map = new Map<unknown, unknown>();
  for (let index = 1; index < elements.length; index += 2) {
    const key = decodeValue(elements[index], depth);
    const value = decodeValue(elements[index + 1], depth);
    if (key === MALFORMED || value === MALFORMED) return MALFORMED;
    map.set(key, value);
  }
  return map;
}

function decodeRows(elements: readonly unknown[], depth: number): unknown {
  const count = elements[1];
  if (!Number.isInteger(count) || (count as number) < 1) return MALFORMED;
  const fieldCount = count as number;
  const start = 2 + fieldCount;
  if (fieldCount > RPC_FIELDS_MAX || start > elements.length) return MALFORMED; // [S4]
  if ((elements.length - start) % fieldCount !== 0) return MALFORMED;
  const fields = decodeItems(elements.slice(0, start), 2, depth);
  const values = decodeItems(elements, start, depth);
  if (fields === MALFORMED || values === MALFORMED) return MALFORMED;
  if (!fields.every((field) => typeof field === "string")) return MALFORMED;
  const rows: Row[] = [];
  for (let index = 0; index < values.length; index += fieldCount) {
    const row: Row = {};
    for (let place = 0; place < fieldCount; place += 1) {
      setField(row, fields[place] as string, values[index + place]);
    }
    rows.push(row);
  }
  return rows;
}

function setField(record: Row, field: string, value: unknown): void {
  if (field !== "__proto__") record[field] = value;
  else {
    // Assigned, it would become the prototype.
    const own = { value, writable: true, enumerable: true, configurable: true };
    Object.defineProperty(record, field, own);
  }
}
