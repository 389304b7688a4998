/**
 * What gateways and regions say to each other.
 *
 *   gateway                                    region
 *     subscribe { sub, shard, query }  ---->
 *                                      <----   subscribed { sub, token }   or refused { code }, or moved
 *                                      <----   rows { sequence } ...       the whole window, in parts
 *                                      <----   deltas { after, sequence }  and so on
 *     reanchor { sub, from, query }    ---->                               another window instead
 *     unsubscribe { sub }              ---->
 *
 * They travel in order, and a conversation that loses anything ends; then both begin anew. A gateway uses
 * each number `sub` once. `deltas` say which sequence they follow, so that a receiver sees a gap though its
 * transport did not; `token` and `writer` are the fencing token under which the region serves.
 *
 * What comes from another peer is checked here: whatever it is, it becomes messages or nothing.
 *
 * Rules: SPEC.md, section V (V7, V8).
 */
import { type ErrorCode, isErrorCode } from "../core/error.ts";
import type { ShardId, Timestamp } from "../core/units.ts";
import type { Delta } from "./delta.ts";
import type { LiveQuery } from "./query.ts";
import { isRecord, isRowId, isVersion, type Row, type Scalar } from "./row.ts";

/** From a gateway to a region. */
export type Control =
  | {
      readonly type: "subscribe";
      readonly sub: number;
      readonly shard: ShardId;
      readonly query: LiveQuery;
      /** The fingerprint of the entity's columns at the gateway. */
      readonly columns: number;
    }
  | {
      readonly type: "reanchor";
      readonly sub: number;
      /** The subscription that this one takes the place of. */
      readonly from: number;
      readonly shard: ShardId;
      readonly query: LiveQuery;
      readonly columns: number;
    }
  | { readonly type: "unsubscribe"; readonly sub: number };

/** From a region to a gateway. */
export type Answer =
  | {
      readonly type: "subscribed";
      readonly sub: number;
      readonly token: Timestamp;
      readonly writer: string;
    }
  | {
      readonly type: "refused";
      readonly sub: number;
      readonly code: ErrorCode;
      readonly message: string;
    }
  | { readonly type: "moved"; readonly sub: number }
  | {
      readonly type: "rows";
      readonly sub: number;
      readonly token: Timestamp;
      readonly writer: string;
      readonly sequence: number;
      readonly isFirst: boolean;
      readonly isLast: boolean;
      readonly rows: readonly Row[];
    }
  | {
      readonly type: "deltas";
      readonly sub: number;
      readonly token: Timestamp;
      readonly writer: string;
      readonly after: number;
      readonly sequence: number;
      readonly deltas: readonly Delta[];
    };

export type LiveMessage = Control | Answer;

/** What a message takes in a post, about, in UTF-16 code units. */
export function lengthOf(message: LiveMessage): number {
  if (message.type === "rows") {
    return message.rows.reduce((sum, row) => sum + rowLength(row), 64);
  }
  if (message.type !== "deltas") return 256;
  return message.deltas.reduce((sum, delta) => {
    return sum + 32 + (delta.type === "leave" ? delta.id.length : rowLength(delta.row));
  }, 64);
}

export function rowLength({ values }: Row): number {
  let length = 16;
  for (const value of values) length += typeof value === "string" ? value.length + 3 : 9;
  return length;
}

/** What travels in place of a message: nothing but arrays, objects and scalars. */
export function wordsOf(message: LiveMessage): object {
  if (message.type === "rows") return { ...message, rows: message.rows.map(wordsOfRow) };
  if (message.type !== "deltas") return message;
  return { ...message, deltas: message.deltas.map(wordsOfDelta) };
}

const wordsOfRow = ({ version, values }: Row): unknown[] => [version, ...values];

function wordsOfDelta(delta: Delta): unknown[] {
  switch (delta.type) {
    case "enter":
      return [0, delta.index, wordsOfRow(delta.row)];
    case "leave":
      return [1, delta.index, delta.id];
    case "move":
      return [2, delta.index, wordsOfRow(delta.row), delta.changed, delta.from];
    case "update":
      return [3, delta.index, wordsOfRow(delta.row), delta.changed];
  }
}

/** The message that these words say; undefined when they say none. */
export function readMessage(words: unknown): LiveMessage | undefined {
  if (!isRecord(words) || !isCount(words.sub)) return undefined;
  const { type, sub } = words;
  switch (type) {
    case "subscribe":
    case "reanchor": {
      const { shard, query, columns, from } = words;
      if (typeof shard !== "string" || !isRecord(query) || !isCount(columns)) return undefined;
      // The query itself is judged like any other one.
      const asked = { sub, shard, query: query as unknown as LiveQuery, columns };
      if (type === "subscribe") return { type, ...asked };
      return isCount(from) ? { type, from, ...asked } : undefined;
    }
    case "unsubscribe":
    case "moved":
      return { type, sub };
    case "refused": {
      const { code, message } = words;
      if (!isErrorCode(code) || typeof message !== "string") return undefined;
      return { type, sub, code, message };
    }
    default:
      return readTold(words, sub);
  }
}

/** What carries a token. */
function readTold(words: Record<string, unknown>, sub: number): LiveMessage | undefined {
  const { type, token, writer, sequence } = words;
  if (!isCount(token) || typeof writer !== "string") return undefined;
  if (type === "subscribed") return { type, sub, token, writer };
  if (!isCount(sequence)) return undefined;
  if (type === "rows") {
    const { isFirst, isLast, rows } = words;
    if (typeof isFirst !== "boolean" || typeof isLast !== "boolean") return undefined;
    const read = readAll(rows, readRow);
    return read && { type, sub, token, writer, sequence, isFirst, isLast, rows: read };
  }
  if (type !== "deltas" || !isCount(words.after)) return undefined;
  const deltas = readAll(words.deltas, readDelta);
  return deltas && { type, sub, token, writer, after: words.after, sequence, deltas };
}

function readAll<T>(words: unknown, read: (word: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(words)) return undefined;
  const all: T[] = [];
  for (const word of words as readonly unknown[]) {
    const one = read(word);
    if (one === undefined) return undefined;
    all.push(one);
  }
  return all;
}

function readRow(words: unknown): Row | undefined {
  if (!Array.isArray(words)) return undefined;
  const [version, ...values] = words as readonly unknown[];
  if (!isVersion(version) || !isRowId(values[0]) || !values.every(isScalar)) return undefined;
  return { id: values[0], version, values: values as Scalar[] };
}

function readDelta(words: unknown): Delta | undefined {
  if (!Array.isArray(words)) return undefined;
  const [kind, index, what, changed, from] = words as readonly unknown[];
  if (!isCount(index)) return undefined;
  if (kind === 1) return isRowId(what) ? { type: "leave", index, id: what } : undefined;
  const row = readRow(what);
  if (row === undefined) return undefined;
  if (kind === 0) return { type: "enter", index, row };
  if (!Array.isArray(changed) || !changed.every(isCount)) return undefined;
  if (kind === 3) return { type: "update", index, row, changed };
  return kind === 2 && isCount(from) ? { type: "move", from, index, row, changed } : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ["boolean", "number", "string"].includes(typeof value);
}
