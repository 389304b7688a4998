/**
 * One client of one document, over a socket that speaks the y-websocket protocol.
 *
 *   0 sync   0 a state, to be answered   1 the answer: what that state lacks   2 an update
 *   1 awareness   2 a refusal   3 a question for awareness
 *
 * A client that asks what it lacks hears it when all that it has edited before is durable: so whoever
 * waits for the answer of a question that it asked after its edits knows that they are safe. What it lacks
 * itself this end asks as soon as the room has the document, and again whenever it has been without.
 *
 * A state of awareness is sent back to whom it came from, too: a stock provider takes half a minute
 * without any message for a dead connection.
 *
 * Source: y-protocols 1.0.7, PROTOCOL.md; y-websocket 3.1.0. Rules: SPEC.md, Y1, Y7, Y8, S4 and S5.
 */
import { createDecoder, readVarUint, readVarUint8Array } from "lib0/decoding";
import {
  createEncoder,
  type Encoder,
  toUint8Array,
  writeVarString,
  writeVarUint,
  writeVarUint8Array,
} from "lib0/encoding";
import type { WebSocket } from "ws";
import type { Doc } from "yjs";
import {
  CLIENT_BYTES_BURST,
  CLIENT_BYTES_PER_SECOND,
  CLIENT_MESSAGES_BURST,
  CLIENT_MESSAGES_PER_SECOND,
  CLIENT_SLOW_MS_BURST,
  CLIENT_SLOW_MS_PER_SECOND,
  DOCUMENT_WRITERS_MAX,
  EDIT_WEIGHED_BYTES_MAX,
  EDIT_WEIGHT_MAX,
  QUESTIONS_MAX,
  SLOW_MS,
  TYPES_DEPTH_MAX,
} from "../limits.ts";
import type { Room } from "../room.ts";
import type { RoomClient } from "../room-client.ts";
import { weightOf } from "../weight.ts";
import type { Trials, Verdict } from "./trials.ts";

const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;
const QUERY_AWARENESS = 3;

const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;

const DENIED = 0;

/** An update that says nothing has two bytes: no structs, no deletions. */
const EMPTY_UPDATE_BYTES = 2;

/** Bytes that wait in a socket at which its client is given up: it comes back and asks what it lacks. */
const BUFFERED_BYTES_MAX = 16_777_216;

/** Why a client is out. Stock providers do not come back after 4400 to 4499. */
const MALFORMED = 4400;
const DELETED = 4404;
const REJECTED = 4413;
const TOO_FAST = 4529;
const UNAVAILABLE = 4503;
const SLOW = 4508;

/** The reason of a close frame has 123 bytes. */
const REASON_LENGTH_MAX = 100;

/** The frame of the update that was told last: all clients of a room are told the same one. */
let lastUpdate: Uint8Array | undefined;
let lastFrame: Uint8Array = new Uint8Array();

/** Why an edit was not taken. */
const REFUSALS: Readonly<Record<Exclude<Verdict, "good" | "busy">, string>> = {
  slow: "An edit takes too long",
  malformed: "The update is malformed",
  deep: `An edit nests types more than ${TYPES_DEPTH_MAX} deep`,
  crowded: `The document would have more than ${DOCUMENT_WRITERS_MAX} writers`,
};

/** What is known of a short edit at once; "unknown" where it has to be tried. Throws on bytes that are none. */
function verdictOf(doc: Doc, update: Uint8Array): "good" | "deep" | "crowded" | "unknown" {
  const { work, writers, depth } = weightOf(doc, update);
  if (writers > DOCUMENT_WRITERS_MAX) return "crowded"; // [S4]
  if (depth > TYPES_DEPTH_MAX) return "deep"; // [S5]
  return work > EDIT_WEIGHT_MAX ? "unknown" : "good";
}

export interface DocumentClientOptions {
  readonly mayWrite: boolean;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Where edits are tried that may be too much work. */
  readonly trials: Pick<Trials, "run">;
}

interface Question {
  readonly state: Uint8Array;
  /** The last edit before it. */
  readonly after: number;
}

export class DocumentClient implements RoomClient {
  readonly #socket: WebSocket;
  readonly #mayWrite: boolean;
  readonly #now: () => number;
  readonly #trials: Pick<Trials, "run">;
  #room: Room | undefined;
  /** What came before the room was there, or while an edit was tried. */
  #early: Uint8Array[] = [];
  #isTrying = false;
  readonly #questions: Question[] = [];
  #lastEdit = 0;
  #acknowledged = 0;
  #isGreeted = false;
  #bytesLeft = CLIENT_BYTES_BURST;
  #messagesLeft = CLIENT_MESSAGES_BURST;
  #slowMsLeft = CLIENT_SLOW_MS_BURST;
  #refilledAt: number;

  constructor(socket: WebSocket, options: DocumentClientOptions) {
    this.#socket = socket;
    this.#trials = options.trials;
    this.#mayWrite = options.mayWrite;
    this.#now = options.now;
    this.#refilledAt = options.now();
  }

  /** The document is there, though perhaps nothing of it yet. */
  enter(room: Room): void {
    this.#room = room;
    room.enter(this);
    this.#drain();
  }

  /** The document cannot be opened here now. */
  refuse(): void {
    this.#socket.close(UNAVAILABLE, "The document cannot be opened here now");
  }

  received(bytes: Buffer, isBinary: boolean): void {
    if (!isBinary) this.#end(MALFORMED, "A message is bytes");
    else if (!this.#isWithinRate(bytes.length))
      this.#end(TOO_FAST, "Too much at once"); // [S4]
    else if (this.#room !== undefined && !this.#isTrying) this.#take(bytes);
    else this.#early.push(new Uint8Array(bytes));
  }

  closed(): void {
    this.#room?.leave(this, this.#now());
    this.#room = undefined;
  }

  ready(): void {
    const room = this.#room;
    if (room === undefined) return;
    if (this.#mayWrite) this.#ask(room);
    const awareness = this.#isGreeted ? undefined : room.awarenessFor(this);
    this.#isGreeted = true;
    if (awareness !== undefined) this.awareness(awareness);
    this.#answer();
  }

  updated(update: Uint8Array): void {
    if (update !== lastUpdate) {
      lastUpdate = update;
      lastFrame = message(SYNC, (encoder) => {
        writeVarUint(encoder, UPDATE);
        writeVarUint8Array(encoder, update);
      });
    }
    this.#send(lastFrame);
  }

  awareness(update: Uint8Array): void {
    this.#send(message(AWARENESS, (encoder) => writeVarUint8Array(encoder, update)));
  }

  acknowledged(edit: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, edit);
    this.#answer();
  }

  resync(): void {
    if (this.#room !== undefined) this.#ask(this.#room);
  }

  rejected(reason: string): void {
    this.#deny(reason);
    this.#end(REJECTED, reason);
  }

  gone(): void {
    this.#end(DELETED, "The document was deleted");
  }

  #take(bytes: Uint8Array): void {
    const room = this.#room;
    if (room === undefined) return;
    const start = this.#now();
    try {
      const decoder = createDecoder(bytes);
      const type = readVarUint(decoder);
      if (type === SYNC) {
        const step = readVarUint(decoder);
        const content = readVarUint8Array(decoder);
        if (step === STEP_1) this.#asked(content);
        else if (step === STEP_2 || step === UPDATE) this.#edit(room, content, step === STEP_2);
        else this.#end(MALFORMED, "There is no such message");
      } else if (type === AWARENESS) {
        const update = readVarUint8Array(decoder);
        room.aware(update, this);
        this.awareness(update);
      } else if (type === QUERY_AWARENESS) {
        const all = room.awarenessFor(this);
        if (all !== undefined) this.awareness(all);
      } else if (type !== AUTH) this.#end(MALFORMED, "There is no such message");
    } catch {
      this.#end(MALFORMED, "A message is malformed"); // [S5]
    }
    this.#spend(this.#now() - start);
  }

  /** Takes what has waited, up to an edit that has to be tried. */
  #drain(): void {
    const early = this.#early.splice(0);
    for (const [at, bytes] of early.entries()) {
      if (this.#isTrying) {
        this.#early = early.slice(at);
        return;
      }
      this.#take(bytes);
    }
  }

  #edit(room: Room, update: Uint8Array, isWhole: boolean): void {
    if (!this.#mayWrite) {
      if (update.length > EMPTY_UPDATE_BYTES) this.#deny("This document is read-only here"); // [Y8]
      return;
    }
    const own = new Uint8Array(update);
    const verdict = own.length > EDIT_WEIGHED_BYTES_MAX ? "unknown" : verdictOf(room.doc, own);
    if (verdict === "unknown") void this.#try(room, own, isWhole);
    else if (verdict === "good") this.#lastEdit = room.edit(this, own, isWhole);
    else this.rejected(REFUSALS[verdict]);
  }

  /** [S5] Does what may be too much work if it was not, elsewhere. What this client says meanwhile waits. */
  async #try(room: Room, update: Uint8Array, isWhole: boolean): Promise<void> {
    this.#isTrying = true;
    const verdict = await this.#trials.run(room.updateFor(), update);
    this.#isTrying = false;
    if (this.#room !== room) return;
    if (verdict === "good") {
      const start = this.#now();
      this.#lastEdit = room.edit(this, update, isWhole);
      this.#spend(this.#now() - start);
      this.#drain();
    } else if (verdict === "busy") this.#end(UNAVAILABLE, "Too many edits are being tried");
    else this.rejected(REFUSALS[verdict]);
  }

  /** [S4] Counts what held the loop for long. */
  #spend(ms: number): void {
    if (ms > SLOW_MS) this.#slowMsLeft -= ms;
    if (this.#slowMsLeft < 0 && this.#room !== undefined) {
      this.#end(TOO_FAST, "Too much work at once");
    }
  }

  #asked(state: Uint8Array): void {
    if (this.#questions.length >= QUESTIONS_MAX) this.#questions.shift(); // [S4]
    this.#questions.push({ state: new Uint8Array(state), after: this.#lastEdit });
    this.#answer();
  }

  /** [Y1] Answers what may be answered by now. */
  #answer(): void {
    const room = this.#room;
    if (room?.isReady !== true) return;
    for (let first = this.#questions[0]; first !== undefined; first = this.#questions[0]) {
      if (first.after > this.#acknowledged) return;
      this.#questions.shift();
      const update = room.updateFor(first.state);
      this.#send(
        message(SYNC, (encoder) => {
          writeVarUint(encoder, STEP_2);
          writeVarUint8Array(encoder, update);
        }),
      );
    }
  }

  #ask(room: Room): void {
    const state = room.state();
    this.#send(
      message(SYNC, (encoder) => {
        writeVarUint(encoder, STEP_1);
        writeVarUint8Array(encoder, state);
      }),
    );
  }

  #deny(reason: string): void {
    this.#send(
      message(AUTH, (encoder) => {
        writeVarUint(encoder, DENIED);
        writeVarString(encoder, reason);
      }),
    );
  }

  #send(bytes: Uint8Array): void {
    this.#socket.send(bytes);
    if (this.#socket.bufferedAmount > BUFFERED_BYTES_MAX) {
      this.closed();
      this.#socket.close(SLOW, "It does not read"); // [S4]
      this.#socket.terminate();
    }
  }

  #end(code: number, reason: string): void {
    this.closed();
    this.#socket.close(code, reason.slice(0, REASON_LENGTH_MAX));
  }

  #isWithinRate(bytes: number): boolean {
    const now = this.#now();
    const seconds = (now - this.#refilledAt) / 1000;
    this.#refilledAt = now;
    const refill = (left: number, perSecond: number, burst: number): number =>
      Math.min(burst, left + seconds * perSecond);
    this.#bytesLeft = refill(this.#bytesLeft, CLIENT_BYTES_PER_SECOND, CLIENT_BYTES_BURST) - bytes;
    this.#slowMsLeft = refill(this.#slowMsLeft, CLIENT_SLOW_MS_PER_SECOND, CLIENT_SLOW_MS_BURST);
    this.#messagesLeft =
      refill(this.#messagesLeft, CLIENT_MESSAGES_PER_SECOND, CLIENT_MESSAGES_BURST) - 1;
    return this.#bytesLeft >= 0 && this.#messagesLeft >= 0;
  }
}

function message(type: number, write: (encoder: Encoder) => void): Uint8Array {
  const encoder = createEncoder();
  writeVarUint(encoder, type);
  write(encoder);
  return toUint8Array(encoder);
}
