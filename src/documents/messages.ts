/**
 * What a peer whose clients edit a document and the region of that document say to each other.
 *
 * A subscription is numbered by the peer that subscribes. What the region says in it is numbered from 1:
 * whoever misses a number begins anew. Edits are numbered by the peer, and acknowledged when they are
 * durable. Beside these, peers ask regions to search.
 */
import { type Body, isCount, OWN_MESSAGES_FROM } from "../items/item-messages.ts";

export type DocumentMessage =
  /** `state`: the state vector of what the peer has; `own`: what its own clients are aware of. */
  | {
      readonly type: "subscribe";
      readonly sub: number;
      readonly name: string;
      readonly state: Uint8Array;
    }
  /** What the peer lacks, and the state vector of what the region has. */
  | {
      readonly type: "subscribed";
      readonly sub: number;
      readonly update: Uint8Array;
      readonly state: Uint8Array;
      /** Empty where there is nobody. */
      readonly awareness: Uint8Array;
    }
  | {
      readonly type: "update";
      readonly sub: number;
      readonly number: number;
      readonly update: Uint8Array;
    }
  | {
      readonly type: "edit";
      readonly sub: number;
      readonly number: number;
      readonly update: Uint8Array;
    }
  /** All edits up to this one are durable in enough copies. */
  | { readonly type: "edited"; readonly sub: number; readonly number: number }
  /** An edit is not taken, for good: the document is too large, or it is read-only. */
  | { readonly type: "rejected"; readonly sub: number; readonly reason: string }
  /** Who is there: told by the region, and told to it. */
  | { readonly type: "awareness"; readonly sub: number; readonly update: Uint8Array }
  | { readonly type: "aware"; readonly sub: number; readonly update: Uint8Array }
  | { readonly type: "unsubscribe"; readonly sub: number }
  /** The document is not, or no longer, here. */
  | { readonly type: "refused"; readonly sub: number }
  /** Something was left out: begin anew. */
  | { readonly type: "resync"; readonly sub: number }
  /** The document was deleted. */
  | { readonly type: "gone"; readonly sub: number }
  /** Asks for the best `limit` documents by `terms`, each of which weighs so much. */
  | {
      readonly type: "query";
      readonly query: number;
      readonly terms: readonly string[];
      readonly weights: readonly number[];
      readonly limit: number;
    }
  /**
   * `rows`: document, shard, score and snippet in turn. `shards`: those that were searched. `truncated`: how many
   * documents are searched in part.
   */
  | {
      readonly type: "found";
      readonly query: number;
      readonly rows: readonly Body[];
      readonly shards: readonly string[];
      readonly truncated: number;
    };

/** The fields of each message after its number, in order, and what each is. */
const FORMS = {
  subscribe: { sub: "count", name: "text", state: "bytes" },
  subscribed: { sub: "count", update: "bytes", state: "bytes", awareness: "bytes" },
  update: { sub: "count", number: "count", update: "bytes" },
  edit: { sub: "count", number: "count", update: "bytes" },
  edited: { sub: "count", number: "count" },
  rejected: { sub: "count", reason: "text" },
  awareness: { sub: "count", update: "bytes" },
  aware: { sub: "count", update: "bytes" },
  unsubscribe: { sub: "count" },
  refused: { sub: "count" },
  resync: { sub: "count" },
  gone: { sub: "count" },
  query: { query: "count", terms: "texts", weights: "numbers", limit: "count" },
  found: { query: "count", rows: "list", shards: "texts", truncated: "count" },
} as const;

type Kind = "count" | "text" | "bytes" | "list" | "texts" | "numbers";

const TYPES = Object.keys(FORMS) as DocumentMessage["type"][];

const IS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  count: isCount,
  text: (value) => typeof value === "string",
  bytes: (value) => value instanceof Uint8Array,
  list: Array.isArray,
  texts: (value) => Array.isArray(value) && value.every((each) => typeof each === "string"),
  numbers: (value) => Array.isArray(value) && value.every((each) => typeof each === "number"),
};

/** The message as an array that can be encoded. */
export function writeDocumentMessage(message: DocumentMessage): Body {
  const fields = Object.keys(FORMS[message.type]).map(
    (field) => (message as unknown as Record<string, Body>)[field],
  );
  return [OWN_MESSAGES_FROM + TYPES.indexOf(message.type), ...fields];
}

/** Reads the elements of a message; undefined when they are none. */
export function readDocumentMessage(elements: readonly Body[]): DocumentMessage | undefined {
  const [number, ...values] = elements;
  const type = TYPES[(number as number) - OWN_MESSAGES_FROM];
  if (type === undefined) return undefined;
  const fields = Object.entries(FORMS[type]);
  if (!fields.every(([, kind], index) => IS[kind as Kind](values[index]))) return undefined;
  const read = fields.map(([field], index) => [field, values[index]]);
  return { type, ...Object.fromEntries(read) } as DocumentMessage;
}
