/**
 * The exchange over one link by which two replicas become equal.
 *
 * Theory of operation
 *
 *   initiator                         responder
 *     head ------------------------>    equal: done
 *          <----------------- symbols   enough of them for the estimated difference
 *     (more ----------------------->
 *          <----------------- symbols)* when they did not suffice
 *     repair, want ---------------->    what only I have; the ids of what only you have
 *          <------------ repair, done  (symbols again if what was wanted is overwritten by then)
 *
 * After the head this is one and a half round trips. The symbols come from copies of both sketches,
 * taken when the exchange starts, so writes go on meanwhile; what is written during an exchange is
 * pushed anyway, and else found by the next one.
 *
 * A difference that would cost more than sending everything ends the sketch: the responder answers
 * `snapshot-offer`, and the initiator fetches all entries chunk by chunk. It then sends a head again,
 * marked `pulled`; if the responder still lacks more than a sketch serves, it fetches in turn, by
 * itself or, when a sketch was tried in vain, because the initiator offers it.
 * Chunks are asked for one by one, so a slow reader is never flooded and the sender keeps no state.
 *
 * Of two heads that cross on one link, that of the lower name is answered and the other ignored:
 * one exchange is enough for both.
 *
 * This module merges nothing. Entries come back from `receive` to be merged by `machine.ts`, which
 * alone knows clocks, limits and who else must hear of them.
 *
 * Source: Yang, Gilad, Alizadeh, SIGCOMM 2024, for the sketch. Rules: SPEC.md, G3 to G5.
 */
import { FRAME_BYTES_TARGET } from "./limits.ts";
import type { ExchangeMessage, MapEntries, Message } from "./message.ts";
import { type Replica, splitEntries } from "./replica.ts";
import {
  estimateDifference,
  type Ids,
  isSameSet,
  type Sketch,
  SketchDecoder,
  SYMBOL_BYTES,
  SYMBOLS_MAX,
} from "./sketch.ts";
import type { Instant } from "./units.ts";

/**
 * First batch: this many symbols for each id of the estimate, and a few more. Measured: it suffices in
 * three of four exchanges or more, although the estimate is half of the truth in one of twenty.
 */
const SYMBOLS_PER_ID = 1.9;
const SYMBOLS_EXTRA = 3;
/** Second batch, as a share of the first, and the least it is. */
const SYMBOLS_MORE_SHARE = 0.4;
const SYMBOLS_MORE_MIN = 8;
/** Each further one doubles what has come, and is no less than this: few ids may need many symbols. */
const SYMBOLS_LATER_MIN = 32;
/**
 * Estimate above which a sketch is not tried. `SYMBOLS_MAX` symbols decode 2900 ids; an estimate of
 * twice that may still be one of these, and a sketch in vain costs little beside all entries.
 */
const SKETCH_IDS_MAX = 6000;
/** Ids that surely differ, by the sizes alone, above which it is not tried either. */
const SKETCH_IDS_SURE = 2800;
/** About what one entry costs in a snapshot, and one differing id in a sketch, in bytes. */
const SNAPSHOT_ENTRY_BYTES = 40;
const SKETCH_ID_BYTES = 26;
const EXCHANGES = 65_536;

/** What an exchange wants done. */
export interface ExchangeStep {
  readonly replies: readonly Message[];
  /** An exchange has ended, whoever began it: this replica has all that the other had. */
  readonly ended: boolean;
}

/** An exchange that this end started. */
interface Started {
  readonly at: Instant;
  /** Once symbols have come. */
  decoder?: SketchDecoder;
  /** This end has fetched all entries of the other. */
  hasPulled?: true;
}

const NOTHING: ExchangeStep = { replies: [], ended: false };
const ENDED: ExchangeStep = { replies: [], ended: true };

/** An exchange that the other end started. */
interface Answering {
  readonly exchange: number;
  /** A copy from its start. */
  readonly sketch: Sketch;
  /** What had been overwritten when it was wanted, so that symbols were sent anew. */
  readonly overwritten?: ReadonlySet<string>;
}

export class Reconciliation {
  readonly #replica: Replica;
  /** Whether this end's head gives way when two cross. */
  readonly #yields: boolean;
  /** Even at one end and odd at the other, so that no number means two exchanges. */
  #exchange: number;
  /** The exchange that this end started and that has not ended. */
  #started: Started | undefined;
  /** The copy that the other end's exchange is answered from. */
  #answering: Answering | undefined;

  constructor(replica: Replica, options: { readonly yields: boolean }) {
    this.#replica = replica;
    this.#yields = options.yields;
    this.#exchange = options.yields ? 1 : 0;
  }

  /** When the exchange that this end started began; undefined when there is none. */
  get startedAt(): Instant | undefined {
    return this.#started?.at;
  }

  /** Starts an exchange, forgetting any unfinished one, and returns the head to send. */
  begin(now: Instant): Message {
    this.#exchange = (this.#exchange + 2) % EXCHANGES;
    this.#start({ at: now });
    return this.#head(false);
  }

  /** Forgets an exchange that went silent. */
  abandon(): void {
    this.#start(undefined);
  }

  /** Takes one message of an exchange. The entries of a snapshot must have been merged before. */
  receive(message: ExchangeMessage): ExchangeStep {
    switch (message.type) {
      case "head":
        return this.#onHead(message);
      case "more":
        return this.#onMore(message.exchange, message.from, message.count);
      case "want":
        return this.#onWant(message.exchange, message.ids);
      case "snapshot-request":
        return this.#onSnapshotRequest(message.exchange, message.cursor);
      default:
        return this.#onAnswer(message);
    }
  }

  #start(started: Started | undefined): void {
    this.#started?.decoder?.release();
    this.#started = started;
  }

  #answer(answering: Answering | undefined): void {
    this.#answering?.sketch.release();
    this.#answering = answering;
  }

  #head(pulled: boolean): Message {
    const { sketch } = this.#replica;
    return {
      type: "head",
      exchange: this.#exchange,
      entryCount: sketch.idCount,
      summary: sketch.summary(),
      pulled,
      era: this.#replica.era,
    };
  }

  #onHead(head: Extract<Message, { type: "head" }>): ExchangeStep {
    const { exchange } = head;
    const { sketch } = this.#replica;
    const summary = sketch.summary();
    if (isSameSet(summary, head.summary)) {
      return { replies: [{ type: "done", exchange }], ended: true };
    }
    if (this.#started !== undefined && !head.pulled) {
      if (!this.#yields) return NOTHING;
      this.#start(undefined); // The other end ignores the head that crossed this one.
    }
    const difference = estimateDifference(summary, head.summary, sketch.idCount - head.entryCount);
    const isSmall =
      difference <= SKETCH_IDS_MAX &&
      Math.abs(sketch.idCount - head.entryCount) <= SKETCH_IDS_SURE &&
      difference * SKETCH_ID_BYTES < (sketch.idCount + head.entryCount) * SNAPSHOT_ENTRY_BYTES;
    if (!isSmall && head.pulled) return reply({ type: "snapshot-request", exchange, cursor: 0 });
    if (!isSmall) return reply({ type: "snapshot-offer", exchange });
    const copy = sketch.copy();
    this.#answer({ exchange, sketch: copy });
    const count = firstCount(difference);
    return reply({ type: "symbols", exchange, from: 0, cells: copy.symbols(0, count) });
  }

  #onMore(exchange: number, from: number, count: number): ExchangeStep {
    const answering = this.#answering;
    if (answering?.exchange !== exchange || from >= SYMBOLS_MAX) return NOTHING;
    const to = Math.min(SYMBOLS_MAX, from + count);
    const cells = answering.sketch.symbols(from, to);
    return reply({ type: "symbols", exchange, from, cells });
  }

  #onWant(exchange: number, ids: Uint8Array): ExchangeStep {
    const answering = this.#answering?.exchange === exchange ? this.#answering : undefined;
    const wanted = decodeIds(ids);
    // It does not follow from the symbols that were sent anew, but came twice: that one is to come.
    const before = answering?.overwritten;
    if (before !== undefined && namesOf(wanted).some((name) => before.has(name))) return NOTHING;
    if (answering !== undefined) this.#answer(undefined);
    const { maps, missing } = this.#replica.withIds(wanted);
    const repairs = repairsOf(maps);
    if (missing.length > 0 && answering !== undefined && before === undefined) {
      // What took their place meanwhile would be missing. Once more, and only once: keys that are
      // written all the time would keep a newcomer waiting for ever.
      const copy = this.#replica.sketch.copy();
      const overwritten = new Set(namesOf(missing));
      this.#answer({ exchange, sketch: copy, overwritten });
      const count = firstCount(2 * overwritten.size);
      const cells = copy.symbols(0, count);
      return { replies: [...repairs, { type: "symbols", exchange, from: 0, cells }], ended: false };
    }
    // Its repairs came before this on the same link: this end has everything, too.
    return { replies: [...repairs, { type: "done", exchange }], ended: true };
  }

  /** Either end may fetch: the initiator after an offer, the responder after a `pulled` head. */
  #onSnapshotRequest(exchange: number, cursor: number): ExchangeStep {
    const { maps, next } = this.#replica.chunk(cursor, FRAME_BYTES_TARGET);
    return reply({ type: "snapshot", exchange, next, maps });
  }

  /** Messages that belong to an exchange which this end started, or fetches in. */
  #onAnswer(
    message: Exclude<ExchangeMessage, { type: "head" | "more" | "want" | "snapshot-request" }>,
  ): ExchangeStep {
    const { exchange } = message;
    const started = exchange === this.#exchange ? this.#started : undefined;
    if (message.type === "snapshot") {
      if (message.next >= 0) {
        return reply({ type: "snapshot-request", exchange, cursor: message.next });
      }
      if (started !== undefined) {
        started.hasPulled = true;
        return reply(this.#head(true));
      }
      return { replies: [{ type: "done", exchange }], ended: true };
    }
    // Either end may be told to fetch: whoever did not have the sketch of it.
    if (message.type === "snapshot-offer") {
      return reply({ type: "snapshot-request", exchange, cursor: 0 });
    }
    if (started === undefined) return NOTHING;
    if (message.type === "symbols") return this.#onSymbols(started, message.from, message.cells);
    this.#start(undefined);
    return ENDED;
  }

  #onSymbols(started: Started, from: number, cells: Uint8Array): ExchangeStep {
    const exchange = this.#exchange;
    if (from === 0) started.decoder ??= new SketchDecoder(this.#replica.sketch.copy());
    const { decoder } = started;
    if (from !== decoder?.symbolCount) return NOTHING;
    decoder.push(cells);
    if (decoder.isComplete) {
      const want = encodeIds(decoder.ids("theirs"));
      const repairs = repairsOf(this.#replica.withIds(decoder.ids("mine")).maps);
      decoder.release();
      delete started.decoder; // If something was overwritten meanwhile, another begins.
      return { replies: [...repairs, { type: "want", exchange, ids: want }], ended: false };
    }
    const have = decoder.symbolCount;
    if (have >= SYMBOLS_MAX || cells.length === 0) {
      decoder.release();
      delete started.decoder; // What follows the snapshot is compared from its start.
      if (started.hasPulled) return reply({ type: "snapshot-offer", exchange });
      return reply({ type: "snapshot-request", exchange, cursor: 0 });
    }
    const more =
      from === 0
        ? Math.max(SYMBOLS_MORE_MIN, Math.ceil(have * SYMBOLS_MORE_SHARE))
        : Math.max(SYMBOLS_LATER_MIN, have);
    const count = Math.min(more, SYMBOLS_MAX - have);
    return reply({ type: "more", exchange, from: have, count });
  }
}

/** How many symbols to begin with where so many ids seem to differ. */
function firstCount(difference: number): number {
  return Math.min(SYMBOLS_MAX, Math.ceil(difference * SYMBOLS_PER_ID) + SYMBOLS_EXTRA);
}

function reply(message: Message): ExchangeStep {
  return { replies: [message], ended: false };
}

function repairsOf(maps: readonly MapEntries[]): Message[] {
  return splitEntries(maps, FRAME_BYTES_TARGET).map((part) => ({ type: "repair", maps: part }));
}

function namesOf(ids: Ids): string[] {
  return Array.from({ length: ids.length / 2 }, (_, at) => `${ids[2 * at]} ${ids[2 * at + 1]}`);
}

function encodeIds(ids: Ids): Uint8Array {
  const bytes = new Uint8Array(ids.length * 4);
  const view = new DataView(bytes.buffer);
  ids.forEach((word, index) => {
    view.setUint32(index * 4, word);
  });
  return bytes;
}

function decodeIds(bytes: Uint8Array): Ids {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(index * 4));
}

/** Bytes that a want for this many ids takes at the most: a sketch never yields more. */
export const WANT_BYTES_MAX = SYMBOLS_MAX * 8;

/** Bytes of symbols that one message may carry. */
export const CELLS_BYTES_MAX = SYMBOLS_MAX * SYMBOL_BYTES;
