/**
 * What a room uses and whom it tells, as fakes that remember everything.
 */
import * as Y from "yjs";
import type { DocumentMessage } from "../../src/documents/messages.ts";
import { Room, type RoomPort } from "../../src/documents/room.ts";
import type { RoomClient } from "../../src/documents/room-client.ts";

const SHARD = "shard-0";
const NAME = "note";

/** The peer "a" with one room, which may host its document or follow that of another region. */
export class FakePeer implements RoomPort {
  readonly name = "a";
  region: string | undefined;
  /** Whether this region has all of the shard. */
  isServing = true;
  readonly sent: (DocumentMessage & { readonly to: string })[] = [];
  readonly parts: Uint8Array[] = [];
  /** How much of it is durable. */
  durable = 0;
  bytes: number | undefined;
  readonly room: Room;
  #sub = 0;
  #isDue = false;

  constructor(region: string | undefined, isReadOnly = false) {
    this.region = region;
    this.room = this.#inTurns(new Room(this, NAME, SHARD, isReadOnly));
    this.room.settle();
  }

  /** Every call of the room is a turn of its own, at the end of which it tells what has changed. */
  #inTurns(room: Room): Room {
    return new Proxy(room, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          const result: unknown = value.apply(target, args);
          if (this.#isDue) target.flush();
          this.#isDue = false;
          return result;
        };
      },
    });
  }

  due(): void {
    this.#isDue = true;
  }

  edited(): void {}

  regionFor(): string | undefined {
    return this.region;
  }

  isReady(): boolean {
    return this.isServing;
  }

  send(to: string, message: DocumentMessage): void {
    this.sent.push({ ...message, to });
  }

  nextSubscription(): number {
    this.#sub += 1;
    return this.#sub;
  }

  read(): Uint8Array[] {
    return [...this.parts];
  }

  append(_shard: string, _document: string, update: Uint8Array): void {
    this.parts.push(update);
  }

  stored() {
    const bytes = this.bytes ?? this.parts.reduce((sum, { length }) => sum + length, 0);
    return { count: this.parts.length, bytes, isWaiting: this.durable < this.parts.length };
  }

  changed(): void {}
  hosted(): void {}

  nextClient(): number {
    return 1;
  }

  /** Everything up to now is durable. */
  sync(): void {
    this.durable = this.parts.length;
    this.room.acknowledged(this.durable);
  }

  /** The region to which the document has moved, or undefined while nobody knows. */
  moves(region: string | undefined): void {
    this.region = region;
    this.room.settle();
  }

  /** What was sent of one type, the last first. */
  last<Type extends DocumentMessage["type"]>(type: Type) {
    const found = this.sent.findLast((message) => message.type === type);
    return found as
      | (Extract<DocumentMessage, { type: Type }> & { readonly to: string })
      | undefined;
  }

  /** The region answers the last subscription with a document. */
  answers(doc: Y.Doc): number {
    const { sub, state: theirs } = this.last("subscribe") as { sub: number; state: Uint8Array };
    const update = Y.encodeStateAsUpdate(doc, theirs);
    const state = Y.encodeStateVector(doc);
    this.room.told({ type: "subscribed", sub, update, state, awareness: new Uint8Array() });
    return sub;
  }
}

/** A client of a room that writes down what it is told. */
export class FakeClient implements RoomClient {
  readonly told: string[] = [];
  readonly updates: Uint8Array[] = [];
  acknowledgedTo = 0;
  readonly #room: Room;

  constructor(room: Room) {
    this.#room = room;
    room.enter(this);
  }

  edit(update: Uint8Array, isWhole = false): number {
    return this.#room.edit(this, update, isWhole);
  }

  ready(): void {
    this.told.push("ready");
  }

  updated(update: Uint8Array): void {
    this.updates.push(update);
  }

  awareness(): void {
    this.told.push("awareness");
  }

  acknowledged(edit: number): void {
    this.acknowledgedTo = edit;
  }

  resync(): void {
    this.told.push("resync");
  }

  rejected(reason: string): void {
    this.told.push(`rejected: ${reason}`);
  }

  gone(): void {
    this.told.push("gone");
  }
}

/** Updates of somebody who types these texts one after the other. */
export function typed(...texts: readonly string[]): {
  readonly doc: Y.Doc;
  readonly updates: Uint8Array[];
} {
  const doc = new Y.Doc();
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  const own = doc.getText("text");
  for (const each of texts) own.insert(own.length, each);
  return { doc, updates };
}

export const textOf = (doc: Y.Doc): string => doc.getText("text").toString();
