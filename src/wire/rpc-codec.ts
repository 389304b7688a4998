/**
 * What a client and a peer say to each other, as bytes and back.
 *
 *   frame     version byte, then [message, message, ...]
 *   message   [number, field, ...]
 *
 * The version byte comes before anything else, and no frame between peers begins with it: what was
 * meant for the one kind of connection is refused by the other at its first byte [S2]. A client speaks
 * the version that it was built with, and is told by the close code when the peer speaks another.
 *
 * Messages are encoded one by one, so that whoever sends knows what they weigh, and a frame is put
 * together from those of one turn. Decoding never throws; like frames of peers, these pass
 * `byte-check.ts` before anything is built from them.
 *
 * What a method's arguments and results mean is not known here: they are values (`rpc-values.ts`).
 *
 * Rules: SPEC.md, S2, S4, S5 and section Q.
 */
import { assert } from "../core/assert.ts";
import type { ErrorCode } from "../core/error.ts";
import {
  FRAME_ELEMENTS_MAX,
  FRAME_MESSAGES_MAX,
  RPC_ANSWER_BYTES_MAX,
  RPC_ANSWER_ELEMENTS_MAX,
  RPC_FRAME_BYTES_MAX,
  RPC_ID_LENGTH_MAX,
  RPC_TIMEOUT_MS_MAX,
  SHARDS_MAX,
} from "../core/limits.ts";
import { type ByteLimits, TOO_LARGE } from "./byte-check.ts";
import { isIncarnation, isIntegerWithin, isName, isText } from "./guards.ts";
import { pack, unpack } from "./msgpack.ts";
import { decodeValue, encodeValue, MALFORMED } from "./rpc-values.ts";
import { ownText, sharedText } from "./sharing.ts";

/** Version of what clients and peers say to each other: the first byte of every frame. */
const RPC_VERSION = 1;

/** Versions end here: what peers say to each other begins with a higher byte [S2]. */
const RPC_VERSION_MAX = 0x7f;

/** What a client says. */
export type ClientMessage =
  | {
      readonly type: "call";
      /** Names the call in everything that is said about it. */
      readonly id: string;
      readonly method: string;
      /** How long the client waits for the answer, in ms, 0 without end. */
      readonly timeoutMs: number;
      readonly args: readonly unknown[];
    }
  /** The client does not wait for the answer any more. */
  | { readonly type: "cancel"; readonly id: string }
  | { readonly type: "ping" };

/** What a peer says to a client. */
export type ServerMessage =
  /** The first message: before it, a client does not know that it was let in. */
  | {
      readonly type: "welcome";
      readonly name: string;
      readonly incarnation: string;
      readonly cluster: string;
    }
  /** The result of a call; of a stream, that it has begun. */
  | { readonly type: "answer"; readonly id: string; readonly value: unknown }
  /** The call has failed. The code is that of a `HearsayError`. */
  | {
      readonly type: "refusal";
      readonly id: string;
      readonly code: string;
      readonly message: string;
      /** Of a phase that was waited for: the shards that have not completed it. */
      readonly stragglers?: readonly string[];
    }
  /** The next of a stream. */
  | { readonly type: "item"; readonly id: string; readonly value: unknown }
  /** A stream is over. */
  | { readonly type: "end"; readonly id: string }
  | { readonly type: "pong" };

/** Who a peer is, as its clients know it. */
export type PeerIdentity = Omit<Extract<ServerMessage, { readonly type: "welcome" }>, "type">;

type RpcMessage = ClientMessage | ServerMessage;

/** What frames in one direction may hold. */
export interface Direction<M extends RpcMessage> {
  readonly limits: ByteLimits;
  readonly read: (number: unknown, fields: readonly unknown[]) => M | undefined;
}

export type DecodedRpcFrame<M extends RpcMessage> =
  | { readonly ok: true; readonly messages: readonly M[] }
  | {
      readonly ok: false;
      readonly code: Extract<ErrorCode, "MALFORMED_FRAME" | "FRAME_TOO_LARGE" | "VERSION_MISMATCH">;
      /** For people, and nothing of the bytes is in it. */
      readonly message: string;
    };

/** Length of a code and of the message beside it, in UTF-16 code units. */
const CODE_PATTERN = /^[A-Z][A-Z_]{0,31}$/;
const REASON_LENGTH_MAX = 4096;

/** Length of the name of a method, in UTF-16 code units. Ours are below 32. */
const METHOD_LENGTH_MAX = 64;

/** The number that each message begins with. Never given to another; 0 is none. */
const NUMBERS: Readonly<Record<RpcMessage["type"], number>> = {
  call: 1,
  cancel: 2,
  ping: 3,
  welcome: 16,
  answer: 17,
  refusal: 18,
  item: 19,
  end: 20,
  pong: 21,
};

/** Bytes of a frame that are not its messages: the version, and how many messages there are. */
const RPC_FRAME_HEAD_BYTES = 4;

/** The largest encoded messages that a frame can hold, in bytes. */
export const REQUEST_BYTES_MAX = RPC_FRAME_BYTES_MAX - RPC_FRAME_HEAD_BYTES;
export const ANSWER_BYTES_MAX = RPC_ANSWER_BYTES_MAX - RPC_FRAME_HEAD_BYTES;

/** Lead byte of a msgpack array whose length has 16 bits. */
const ARRAY_16 = 0xdc;

/** Encodes one message. Throws a TypeError for values that cannot travel. Read-only. */
export function encodeRpcMessage(message: RpcMessage): Uint8Array {
  return pack([NUMBERS[message.type], ...fieldsOf(message)]);
}

function fieldsOf(message: RpcMessage): readonly unknown[] {
  switch (message.type) {
    case "call": {
      const args = message.args.map((argument) => encodeValue(argument));
      return [message.id, message.method, message.timeoutMs, ...args];
    }
    case "cancel":
    case "end":
      return [message.id];
    case "welcome":
      return [message.name, message.incarnation, message.cluster];
    case "answer":
    case "item":
      return [message.id, encodeValue(message.value)];
    case "refusal": {
      const { id, code, message: reason, stragglers } = message;
      return stragglers === undefined ? [id, code, reason] : [id, code, reason, stragglers];
    }
    case "ping":
    case "pong":
      return [];
  }
}

/** Puts encoded messages into one frame. The caller keeps them within the limits, which is asserted. */
export function encodeRpcFrame(messages: readonly Uint8Array[]): Uint8Array {
  assert(messages.length <= FRAME_MESSAGES_MAX, "a frame has a limited number of messages");
  const length = messages.reduce((sum, { length }) => sum + length, RPC_FRAME_HEAD_BYTES);
  assert(length <= RPC_ANSWER_BYTES_MAX, "a frame is no larger than its receiver allows");
  const frame = new Uint8Array(length);
  frame[0] = RPC_VERSION;
  frame[1] = ARRAY_16;
  frame[2] = messages.length >> 8;
  frame[3] = messages.length & 0xff;
  let offset = RPC_FRAME_HEAD_BYTES;
  for (const message of messages) {
    frame.set(message, offset);
    offset += message.length;
  }
  return frame;
}

/** Frames from clients to peers. */
export const TO_PEER: Direction<ClientMessage> = {
  limits: { bytesMax: RPC_FRAME_BYTES_MAX - 1, elementsMax: FRAME_ELEMENTS_MAX },
  read: (number, fields) => {
    switch (number) {
      case NUMBERS.call:
        return readCall(fields);
      case NUMBERS.cancel:
        return fields.length === 1 && isId(fields[0])
          ? { type: "cancel", id: fields[0] }
          : undefined;
      case NUMBERS.ping:
        return fields.length === 0 ? { type: "ping" } : undefined;
      default:
        return undefined;
    }
  },
};

/** Frames from peers to clients. */
export const TO_CLIENT: Direction<ServerMessage> = {
  limits: { bytesMax: RPC_ANSWER_BYTES_MAX - 1, elementsMax: RPC_ANSWER_ELEMENTS_MAX },
  read: (number, fields) => {
    const [id, value] = fields;
    switch (number) {
      case NUMBERS.answer:
        return fields.length === 2 && isId(id) ? withValue("answer", id, value) : undefined;
      case NUMBERS.item:
        return fields.length === 2 && isId(id) ? withValue("item", id, value) : undefined;
      case NUMBERS.refusal:
        return readRefusal(fields);
      case NUMBERS.end:
        return fields.length === 1 && isId(id) ? { type: "end", id } : undefined;
      case NUMBERS.pong:
        return fields.length === 0 ? { type: "pong" } : undefined;
      case NUMBERS.welcome:
        return readWelcome(fields);
      default:
        return undefined;
    }
  },
};

/**
 * Decodes a frame of one direction. Never throws, whatever the bytes. An id may keep the text of the
 * frame alive, so who keeps one for long copies it; nothing else does.
 */
export function decodeRpcFrame<M extends RpcMessage>(
  bytes: Uint8Array,
  direction: Direction<M>,
): DecodedRpcFrame<M> {
  const version = bytes[0] ?? 0;
  if (version !== RPC_VERSION) {
    const isVersion = version > 0 && version <= RPC_VERSION_MAX;
    return refusal(isVersion ? "VERSION_MISMATCH" : "MALFORMED_FRAME", "is not of version 1");
  }
  const unpacked = unpack(bytes.subarray(1), direction.limits);
  if ("reason" in unpacked) {
    const code = unpacked.reason === TOO_LARGE ? "FRAME_TOO_LARGE" : "MALFORMED_FRAME";
    return refusal(code, unpacked.reason);
  }
  const { elements } = unpacked;
  if (elements.length > FRAME_MESSAGES_MAX) return refusal("MALFORMED_FRAME", "is too long"); // [S4]
  const messages: M[] = [];
  for (const element of elements) {
    const [number, ...fields] = Array.isArray(element) ? (element as unknown[]) : [];
    const message = direction.read(number, fields);
    if (message === undefined) return refusal("MALFORMED_FRAME", "has a malformed message");
    messages.push(message);
  }
  return { ok: true, messages };
}

function readCall(fields: readonly unknown[]): ClientMessage | undefined {
  const [id, method, timeoutMs, ...elements] = fields;
  if (!isId(id) || !isText(method, METHOD_LENGTH_MAX)) return undefined;
  if (!isIntegerWithin(timeoutMs, 0, RPC_TIMEOUT_MS_MAX)) return undefined;
  const args = elements.map((element) => decodeValue(element));
  return args.includes(MALFORMED) ? undefined : { type: "call", id, method, timeoutMs, args };
}

function readWelcome(fields: readonly unknown[]): ServerMessage | undefined {
  const [name, incarnation, cluster] = fields;
  return fields.length === 3 && isName(name) && isIncarnation(incarnation) && isName(cluster)
    ? {
        type: "welcome",
        name: sharedText(name),
        incarnation: sharedText(incarnation),
        cluster: sharedText(cluster),
      }
    : undefined;
}

function readRefusal(fields: readonly unknown[]): ServerMessage | undefined {
  const [id, code, reason, stragglers] = fields;
  if (!isId(id) || !isCode(code) || !isReason(reason)) return undefined;
  const refusal = { type: "refusal", id, code, message: ownText(reason) } as const;
  if (fields.length === 3) return refusal;
  return fields.length === 4 && isNames(stragglers)
    ? { ...refusal, stragglers: stragglers.map(ownText) }
    : undefined;
}

function withValue(
  type: "answer" | "item",
  id: string,
  element: unknown,
): ServerMessage | undefined {
  const value = decodeValue(element);
  return value === MALFORMED ? undefined : { type, id, value };
}

function isId(value: unknown): value is string {
  return isText(value, RPC_ID_LENGTH_MAX);
}

function isCode(value: unknown): value is string {
  return typeof value === "string" && CODE_PATTERN.test(value);
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= SHARDS_MAX && value.every(isName); // [S4]
}

function isReason(value: unknown): value is string {
  return typeof value === "string" && value.length <= REASON_LENGTH_MAX;
}

function refusal(
  code: "MALFORMED_FRAME" | "FRAME_TOO_LARGE" | "VERSION_MISMATCH",
  what: string,
): { ok: false; code: typeof code; message: string } {
  return { ok: false, code, message: `Cannot read a frame that ${what}` };
}
