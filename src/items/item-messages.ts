/**
 * What those say to each other who have copies of the items of a shard, and its leader.
 *
 * A message is an array in the form of `wire/body.ts`: its number, then its fields in order. What makes no
 * sense is dropped, as if it had never come; a copy that lacks it finds out by the numbers.
 */
import { NAME_PATTERN, type ShardId } from "../core/units.ts";
import { type Body, decodeBody, encodeBody } from "../wire/body.ts";
import type { Version } from "./version.ts";

export type { Body } from "../wire/body.ts";

/** Length of an item's name, in UTF-16 code units. */
const ITEM_NAME_LENGTH_MAX = 256;

export type ItemMessage =
  /** The leader asks for all that a peer has of a shard, and will have it as a follower. */
  | { readonly type: "invite"; readonly shard: ShardId; readonly token: number }
  /** What a follower has, in several messages; `session` numbers its attempts. */
  | {
      readonly type: "offer";
      readonly shard: ShardId;
      readonly session: number;
      readonly isLast: boolean;
      readonly items: readonly (readonly [item: string, version: Version])[];
    }
  /** The leader asks for the content of copies that it cannot tell to hold nothing new. */
  | {
      readonly type: "want";
      readonly shard: ShardId;
      readonly session: number;
      readonly items: readonly string[];
    }
  | ({ readonly type: "content" } & Copied)
  /** All of an item, in place of what the follower has. `seq` numbers what the leader tells to store. */
  | ({ readonly type: "put"; readonly seq: number } & Copied)
  /** One more part of an item that the follower has. */
  | ({ readonly type: "append"; readonly seq: number } & Copied)
  /** Everything up to `seq` is durable. */
  | {
      readonly type: "ack";
      readonly shard: ShardId;
      readonly session: number;
      readonly seq: number;
    }
  /** The follower may forget an item, if it has no other version than this. */
  | ({ readonly type: "drop" } & Copied);

/** An item, or part of it. */
interface Copied {
  readonly shard: ShardId;
  readonly session: number;
  readonly item: string;
  readonly version: Version;
  readonly parts: readonly Uint8Array[];
}

const NUMBERS = ["invite", "offer", "want", "content", "put", "append", "ack", "drop"] as const;

/** Numbers below this are taken. Users of items number their own messages from here on. */
export const OWN_MESSAGES_FROM = 32;

export function encodeItemMessage(message: ItemMessage): Uint8Array {
  const number = NUMBERS.indexOf(message.type);
  return encodeMessage([number, message.shard, ...fieldsOf(message)]);
}

/** Encodes an array that is a message, which must be sayable. */
export function encodeMessage(message: Body): Uint8Array {
  const encoded = encodeBody(message, Number.POSITIVE_INFINITY);
  if ("bytes" in encoded) return encoded.bytes;
  throw new Error(`A message ${encoded.reason}`);
}

/** The elements of a message; undefined when it is none. */
export function decodeMessage(bytes: Uint8Array): readonly Body[] | undefined {
  const decoded = decodeBody(bytes, Number.MAX_SAFE_INTEGER)?.body;
  return Array.isArray(decoded) && typeof decoded[0] === "number" ? decoded : undefined;
}

export function readItemMessage(elements: readonly Body[]): ItemMessage | undefined {
  const [number, shard, ...fields] = elements;
  const type = NUMBERS[number as number];
  if (type === undefined || typeof shard !== "string" || !NAME_PATTERN.test(shard))
    return undefined;
  if (type === "invite") {
    const [token] = fields;
    return isCount(token) ? { type, shard, token } : undefined;
  }
  const [session, ...rest] = fields;
  if (!isCount(session)) return undefined;
  if (type === "offer") {
    const [isLast, list] = rest;
    const items = readOffer(list);
    return items && { type, shard, session, isLast: isLast === true, items };
  }
  if (type === "want") {
    const [items] = rest;
    const isList = Array.isArray(items) && items.every(isItem);
    return isList ? { type, shard, session, items: items as string[] } : undefined;
  }
  if (type === "ack") {
    const [seq] = rest;
    return isCount(seq) ? { type, shard, session, seq } : undefined;
  }
  const [seq, item, ...copied] = rest;
  const version = readVersion(copied);
  const parts = copied[4];
  if (!isCount(seq) || !isItem(item) || version === undefined || !Array.isArray(parts)) {
    return undefined;
  }
  if (!parts.every((part) => part instanceof Uint8Array)) return undefined;
  return { type, shard, session, seq, item, version, parts: parts as Uint8Array[] };
}

function fieldsOf(message: ItemMessage): Body[] {
  switch (message.type) {
    case "invite":
      return [message.token];
    case "offer": {
      const items = message.items.flatMap(([item, version]) => [item, ...versionFields(version)]);
      return [message.session, message.isLast, items];
    }
    case "want":
      return [message.session, message.items];
    case "ack":
      return [message.session, message.seq];
    default: {
      const { session, item, version, parts } = message;
      const seq = "seq" in message ? message.seq : 0;
      return [session, seq, item, ...versionFields(version), parts];
    }
  }
}

/** How many items one offer may hold: a message of a good size. */
export const OFFER_ITEMS_MAX = 2048;

/** Items asked for in one message. */
export const WANT_ITEMS_MAX = 64;

const FIELDS_OF_OFFER = 5;

function readOffer(list: Body): [string, Version][] | undefined {
  if (!Array.isArray(list) || list.length % FIELDS_OF_OFFER !== 0) return undefined;
  const items: [string, Version][] = [];
  for (let at = 0; at < list.length; at += FIELDS_OF_OFFER) {
    const item = list[at] as Body;
    const version = readVersion(list.slice(at + 1, at + FIELDS_OF_OFFER) as Body[]);
    if (!isItem(item) || version === undefined) return undefined;
    items.push([item, version]);
  }
  return items;
}

function versionFields({ generation, token, mark, count }: Version): number[] {
  return [generation, token, mark, count];
}

function readVersion([generation, token, mark, count]: readonly Body[]): Version | undefined {
  const isSane = isCount(generation) && isCount(token) && isCount(mark) && isCount(count);
  return isSane ? { generation, token, mark, count } : undefined;
}

function isItem(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= ITEM_NAME_LENGTH_MAX;
}

/** Whether `value` counts something. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
