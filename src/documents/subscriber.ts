/**
 * The room of another peer that follows one here: a client of it, over messages.
 *
 * What it is told is numbered. When too much waits on its link it is told nothing more, and to begin anew
 * once that has drained: by then one update says all that it has missed.
 *
 * Rules: SPEC.md, Y2 and S4.
 */
import type { DocumentMessage } from "./messages.ts";
import type { Room } from "./room.ts";
import type { RoomClient } from "./room-client.ts";

export interface SubscriberPort {
  send(message: DocumentMessage): void;
  isBusy(): boolean;
  now(): number;
  /** It does not follow any more. */
  ended(): void;
}

const NOBODY = new Uint8Array();

export class Subscriber implements RoomClient {
  readonly room: Room;
  readonly #port: SubscriberPort;
  readonly #sub: number;
  #state: Uint8Array | undefined;
  #number = 0;
  /** Something was left out. */
  #isBehind = false;
  /** The last edit of the room that is durable. */
  #acknowledged = 0;
  /** The numbers of its edits that wait, by the room's. */
  readonly #edits: { readonly own: number; readonly number: number }[] = [];

  constructor(port: SubscriberPort, room: Room, sub: number, state: Uint8Array) {
    this.#port = port;
    this.room = room;
    this.#sub = sub;
    this.#state = state;
  }

  /** It says something. */
  told(message: DocumentMessage): void {
    if (message.type === "unsubscribe") {
      this.#port.ended();
      this.leave();
    } else if (message.type === "aware") {
      this.room.aware(message.update, this);
    } else if (message.type === "edit") {
      if (this.room.isReadOnly) return; // Of what it was told before; its clients may not edit.
      const expected = { own: message.number, number: -1 };
      this.#edits.push(expected);
      const number = this.room.edit(this, message.update, message.number === 1);
      const at = this.#edits.indexOf(expected);
      if (at !== -1) this.#edits[at] = { own: message.number, number };
      this.#flush();
    }
  }

  leave(): void {
    this.room.leave(this, this.#port.now());
  }

  /** Its link has drained. */
  opened(): void {
    if (this.#isBehind) this.#send({ type: "resync", sub: this.#sub });
  }

  ready(): void {
    const state = this.#state;
    if (state === undefined) return;
    this.#state = undefined;
    const update = this.room.updateForRoom(state);
    if (update === undefined) return; // It has been told to come again.
    const awareness = this.room.awarenessFor(this) ?? NOBODY;
    const own = this.room.state();
    this.#send({ type: "subscribed", sub: this.#sub, update, state: own, awareness });
  }

  updated(update: Uint8Array): void {
    if (this.#state !== undefined || this.#isBehind) return; // Told when it is told everything.
    if (this.#port.isBusy()) {
      this.#isBehind = true; // [S4]
      return;
    }
    this.#number += 1;
    this.#send({ type: "update", sub: this.#sub, number: this.#number, update });
  }

  awareness(update: Uint8Array): void {
    if (this.#state !== undefined || this.#isBehind || this.#port.isBusy()) return;
    this.#send({ type: "awareness", sub: this.#sub, update });
  }

  acknowledged(edit: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, edit);
    this.#flush();
  }

  resync(): void {
    this.#send({ type: "resync", sub: this.#sub });
  }

  rejected(reason: string): void {
    this.#send({ type: "rejected", sub: this.#sub, reason });
  }

  gone(): void {
    this.#port.ended();
    this.#send({ type: "gone", sub: this.#sub });
  }

  moved(): void {
    this.#port.ended();
    this.leave();
    this.#send({ type: "refused", sub: this.#sub });
  }

  /** Numbers of the room may be acknowledged before it has said which they are. */
  #flush(): void {
    let done: number | undefined;
    for (let first = this.#edits[0]; first !== undefined; first = this.#edits[0]) {
      if (first.number < 0 || first.number > this.#acknowledged) break;
      done = first.own;
      this.#edits.shift();
    }
    if (done !== undefined) this.#send({ type: "edited", sub: this.#sub, number: done });
  }

  #send(message: DocumentMessage): void {
    this.#port.send(message);
  }
}
