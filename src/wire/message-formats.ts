/**
 * The form of each message on the wire: its number, then its fields in this order.
 *
 * This table is protocol version 1, and pinned by test/golden/frames-v1.json. Versions are settled by
 * the handshake, so a type or a field that is not in it is an error and not news from the future.
 *
 * Writing and reading stand side by side, so that they cannot drift apart unseen. A reader gets as
 * many fields as the table says, of any kind, and answers undefined unless all are sane.
 *
 * Rules: SPEC.md, S4 and S5.
 */
import { isErrorCode } from "../core/error.ts";
import {
  HOPS_MAX,
  MESSAGE_BYTES_MAX,
  REFUSAL_LENGTH_MAX,
  REPLICA_ENTRIES_MAX,
  SERVICE_NAME_LENGTH_MAX,
} from "../core/limits.ts";
import type { Message, ProbeOutcome, Value } from "../core/message.ts";
import { CELLS_BYTES_MAX, WANT_BYTES_MAX } from "../core/reconciliation.ts";
import { SUMMARY_BYTES, SYMBOL_BYTES, SYMBOLS_MAX } from "../core/sketch.ts";
import type { StampReader, StampWriter } from "./entries.ts";
import type { Format, MessageOf } from "./format.ts";
import {
  isAddress,
  isBytes,
  isIncarnation,
  isIntegerWithin,
  isMsWithin,
  isName,
  isText,
  MS_MAX,
} from "./guards.ts";
import { HOST_FORMATS } from "./host-formats.ts";
import { copyOf, ownText, sharedText } from "./sharing.ts";

/** Exchanges on one link and direction are numbered up to this, and then from 0 again. */
const EXCHANGE_MAX = 65_535;

/** Highest number of a probe, and highest cursor: what these mean is their sender's affair. */
const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

/** The mark of an era's stamp has 32 bits. */
const MARK_MAX = 0xffff_ffff;
/** Highest hash of a name: where it stands in the ring of the members. */
const HASH_MAX = 0xffff_ffff;

const ID_BYTES = 8;

/** An outcome travels as its place in this list. */
const PROBE_OUTCOMES: readonly ProbeOutcome[] = ["reached", "refused", "unknown"];

type Formats = {
  readonly [T in Message["type"]]: Format<MessageOf<T>>;
};

const FORMATS: Formats = {
  heartbeat: {
    number: 1,
    fieldCount: 8,
    write: ({ sentAt, echo, echoDelayMs, ...m }) => {
      return [sentAt, echo, echoDelayMs, m.heardMs, m.wallMs, m.stepMs, m.leadMs, m.everyMs];
    },
    read: ([sentAt, echo, echoDelayMs, heardMs, wallMs, stepMs, leadMs, everyMs]) =>
      isMsWithin(sentAt, 0) &&
      (echo === -1 || isMsWithin(echo, 0)) &&
      isMsWithin(echoDelayMs, 0) &&
      isMsWithin(heardMs, 0) &&
      isMsWithin(wallMs, 0) &&
      isMsWithin(stepMs, -MS_MAX) &&
      isMsWithin(leadMs, 0) &&
      isMsWithin(everyMs, 0)
        ? { type: "heartbeat", sentAt, echo, echoDelayMs, heardMs, wallMs, stepMs, leadMs, everyMs }
        : undefined,
  },
  delta: {
    number: 2,
    fieldCount: 3,
    optionalCount: 2,
    write: ({ maps, arc }, stamps) => [
      stamps.encode(maps),
      ...(arc === undefined ? [] : [arc.from, arc.until]),
    ],
    read: ([lists, ...arc], stamps) => {
      const [from, until] = arc;
      const isArc = isIntegerWithin(from, 0, HASH_MAX) && isIntegerWithin(until, 0, HASH_MAX);
      if (arc.length > 0 && (!isArc || from === until)) return undefined;
      const maps = stamps.decode(lists);
      return maps && { type: "delta", maps, ...(isArc ? { arc: { from, until } } : {}) };
    },
  },
  repair: {
    number: 3,
    fieldCount: 1,
    write: (m, stamps) => [stamps.encode(m.maps)],
    read: ([lists], stamps) => {
      const maps = stamps.decode(lists);
      return maps && { type: "repair", maps };
    },
  },
  head: {
    number: 4,
    fieldCount: 7,
    write: ({ exchange, entryCount, summary, pulled, era }) => [
      ...[exchange, entryCount, summary, pulled, era.number, era.mark, era.before],
    ],
    read: ([exchange, entryCount, summary, pulled, number, mark, before]) =>
      isExchange(exchange) &&
      isIntegerWithin(entryCount, 0, REPLICA_ENTRIES_MAX) &&
      summary instanceof Uint8Array &&
      summary.length === SUMMARY_BYTES &&
      typeof pulled === "boolean" &&
      isIntegerWithin(number, 0, NUMBER_MAX) &&
      isIntegerWithin(mark, 0, MARK_MAX) &&
      isIntegerWithin(before, 0, MARK_MAX)
        ? { type: "head", exchange, entryCount, summary, pulled, era: { number, mark, before } }
        : undefined,
  },
  symbols: {
    number: 5,
    fieldCount: 3,
    write: (m) => [m.exchange, m.from, m.cells],
    read: ([exchange, from, cells]) =>
      isExchange(exchange) &&
      isIntegerWithin(from, 0, SYMBOLS_MAX) &&
      isBytes(cells, SYMBOL_BYTES, CELLS_BYTES_MAX - from * SYMBOL_BYTES)
        ? { type: "symbols", exchange, from, cells }
        : undefined,
  },
  more: {
    number: 6,
    fieldCount: 3,
    write: (m) => [m.exchange, m.from, m.count],
    read: ([exchange, from, count]) =>
      isExchange(exchange) &&
      isIntegerWithin(from, 0, SYMBOLS_MAX) &&
      isIntegerWithin(count, 0, SYMBOLS_MAX)
        ? { type: "more", exchange, from, count }
        : undefined,
  },
  want: {
    number: 7,
    fieldCount: 2,
    write: (m) => [m.exchange, m.ids],
    read: ([exchange, ids]) =>
      isExchange(exchange) && isBytes(ids, ID_BYTES, WANT_BYTES_MAX)
        ? { type: "want", exchange, ids }
        : undefined,
  },
  done: {
    number: 8,
    fieldCount: 1,
    write: (m) => [m.exchange],
    read: ([exchange]) => (isExchange(exchange) ? { type: "done", exchange } : undefined),
  },
  "snapshot-request": {
    number: 9,
    fieldCount: 2,
    write: (m) => [m.exchange, m.cursor],
    read: ([exchange, cursor]) =>
      isExchange(exchange) && isIntegerWithin(cursor, 0, NUMBER_MAX)
        ? { type: "snapshot-request", exchange, cursor }
        : undefined,
  },
  "snapshot-offer": {
    number: 10,
    fieldCount: 1,
    write: (m) => [m.exchange],
    read: ([exchange]) => (isExchange(exchange) ? { type: "snapshot-offer", exchange } : undefined),
  },
  snapshot: {
    number: 11,
    fieldCount: 3,
    write: (m, stamps) => [m.exchange, m.next, stamps.encode(m.maps)],
    read: ([exchange, next, lists], stamps) => {
      if (!isExchange(exchange) || !isIntegerWithin(next, -1, NUMBER_MAX)) return undefined;
      const maps = stamps.decode(lists);
      return maps && { type: "snapshot", exchange, next, maps };
    },
  },
  probe: {
    number: 12,
    fieldCount: 4,
    write: (m) => [m.probe, m.subject, m.incarnation, m.address],
    read: ([probe, subject, incarnation, address]) =>
      isIntegerWithin(probe, 0, NUMBER_MAX) &&
      isName(subject) &&
      isIncarnation(incarnation) &&
      isAddress(address)
        ? { type: "probe", probe, subject, incarnation, address }
        : undefined,
  },
  "probe-answer": {
    number: 13,
    fieldCount: 2,
    write: (m) => [m.probe, PROBE_OUTCOMES.indexOf(m.outcome)],
    read: ([probe, place]) => {
      const outcome = typeof place === "number" ? PROBE_OUTCOMES[place] : undefined;
      return isIntegerWithin(probe, 0, NUMBER_MAX) && outcome !== undefined
        ? { type: "probe-answer", probe, outcome }
        : undefined;
    },
  },
  keep: {
    number: 19,
    fieldCount: 1,
    write: (m) => [m.wanted],
    read: ([wanted]) => (typeof wanted === "boolean" ? { type: "keep", wanted } : undefined),
  },
  pulse: {
    number: 16,
    fieldCount: 3,
    write: (m) => [m.heardMs, m.everyMs, m.asks],
    read: ([heardMs, everyMs, asks]) =>
      isMsWithin(heardMs, 0) && isMsWithin(everyMs, 0) && typeof asks === "boolean"
        ? { type: "pulse", heardMs, everyMs, asks }
        : undefined,
  },
  inquiry: {
    number: 17,
    fieldCount: 3,
    write: (m) => [m.inquiry, m.subject, m.incarnation],
    read: ([inquiry, subject, incarnation]) =>
      isIntegerWithin(inquiry, 0, NUMBER_MAX) && isName(subject) && isIncarnation(incarnation)
        ? { type: "inquiry", inquiry, subject, incarnation }
        : undefined,
  },
  "inquiry-answer": {
    number: 18,
    fieldCount: 2,
    write: (m) => [m.inquiry, m.heardMs],
    read: ([inquiry, heardMs]) =>
      isIntegerWithin(inquiry, 0, NUMBER_MAX) && (heardMs === -1 || isMsWithin(heardMs, 0))
        ? { type: "inquiry-answer", inquiry, heardMs }
        : undefined,
  },
  request: {
    number: 14,
    fieldCount: 4,
    write: (m) => [m.request, m.hops, m.deadlineMs, m.call],
    // What the call is, and whether it makes sense, is answered and not refused [P3].
    read: ([request, hops, deadlineMs, call]) =>
      isIntegerWithin(request, 1, NUMBER_MAX) &&
      isIntegerWithin(hops, 1, HOPS_MAX) &&
      isMsWithin(deadlineMs, 0) &&
      Array.isArray(call)
        ? { type: "request", request, hops, deadlineMs, call: copyOf(call) }
        : undefined,
  },
  response: {
    number: 15,
    fieldCount: 3,
    write: ({ request, outcome }) =>
      outcome.ok
        ? [request, null, outcome.value]
        : [request, outcome.code, outcome.message.slice(0, REFUSAL_LENGTH_MAX)],
    read: ([request, code, value]) => {
      if (!isIntegerWithin(request, 1, NUMBER_MAX)) return undefined;
      if (code === null) {
        return { type: "response", request, outcome: { ok: true, value: copyOf(value as Value) } };
      }
      const isRefusal = isErrorCode(code) && isText(value, REFUSAL_LENGTH_MAX);
      if (!isRefusal) return undefined;
      return { type: "response", request, outcome: { ok: false, code, message: ownText(value) } };
    },
  },
  post: {
    number: 26,
    fieldCount: 2,
    write: (m) => [m.service, m.body],
    read: ([service, body]) =>
      isText(service, SERVICE_NAME_LENGTH_MAX) && isBytes(body, 1, MESSAGE_BYTES_MAX)
        ? { type: "post", service: sharedText(service), body }
        : undefined,
  },
  ...HOST_FORMATS,
};

const FORMATS_BY_NUMBER: ReadonlyMap<unknown, Format<Message>> = new Map(
  Object.values(FORMATS).map((format) => [format.number, format as unknown as Format<Message>]),
);

/** The elements of a message: its number, then its fields. */
export function writeMessage(message: Message, stamps: StampWriter): unknown[] {
  const format = FORMATS[message.type] as unknown as Format<Message>;
  return [format.number, ...format.write(message, stamps)];
}

/** Reads the elements of a message; undefined when its number or any field is not ours. */
export function readMessage(elements: unknown, stamps: StampReader): Message | undefined {
  if (!Array.isArray(elements)) return undefined;
  const fields: unknown[] = elements.slice(1);
  const format = FORMATS_BY_NUMBER.get(elements[0]);
  if (format === undefined || fields.length > format.fieldCount) return undefined;
  const isWhole = fields.length >= format.fieldCount - (format.optionalCount ?? 0);
  return isWhole ? format.read(fields, stamps) : undefined;
}

function isExchange(value: unknown): value is number {
  return isIntegerWithin(value, 0, EXCHANGE_MAX);
}
