/**
 * Cheap clients for the `documents` bench: they send edits that were made beforehand, and read answers
 * without looking into them.
 *
 * A client of Yjs costs as much for each edit as a server, so on a small machine it is the clients that would be
 * measured. The edits are those of one person who types; they are the same for all documents.
 */
import { once } from "node:events";
import { WebSocket } from "ws";
import { Doc, encodeStateVector } from "yjs";
import { say } from "../documents/raw-client.ts";

/** Frames that each type one more letter into an empty document. */
export function typing(count: number): Uint8Array[] {
  const doc = new Doc();
  const frames: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => frames.push(say(0, 2, update)));
  const text = doc.getText("text");
  for (let edit = 0; edit < count; edit += 1) text.insert(text.length, "x");
  return frames;
}

/** What does somebody lack who has nothing? Answered when all edits before it are durable. */
const QUESTION = say(0, 0, encodeStateVector(new Doc()));

const SYNC = 0;
const ANSWER = 1;

/** One client at one document. */
export class Typist {
  readonly socket: WebSocket;
  readonly #frames: readonly Uint8Array[];
  /** Edits that have been sent, and that are acknowledged. */
  sent = 0;
  acknowledged = 0;
  /** Bytes that came. */
  bytes = 0;
  /** When each question was asked that has no answer yet, and how many edits there were. */
  readonly #asked: { readonly edits: number; readonly done: () => void }[] = [];

  constructor(address: string, document: string, frames: readonly Uint8Array[]) {
    this.#frames = frames;
    this.socket = new WebSocket(`ws://${address}/documents/${document}`);
    this.socket.on("message", (message: Buffer) => {
      this.bytes += message.length;
      if (message[0] !== SYNC || message[1] !== ANSWER) return;
      const asked = this.#asked.shift();
      if (asked === undefined) return;
      this.acknowledged = asked.edits;
      asked.done();
    });
  }

  async open(): Promise<this> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, "open");
    await this.ask();
    return this;
  }

  /** Resolves when all edits so far are durable. */
  ask(): Promise<void> {
    const edits = this.sent;
    const answered = new Promise<void>((done) => this.#asked.push({ edits, done }));
    this.socket.send(QUESTION);
    return answered;
  }

  /** Sends `count` edits at a stretch; false when it has no more. */
  type(count: number): boolean {
    const frames = this.#frames.slice(this.sent, this.sent + count);
    for (const frame of frames) this.socket.send(frame);
    this.sent += frames.length;
    return frames.length === count;
  }
}
