/**
 * A document in a user's hands: a Y.Doc of its own, bound to the cluster through the room of this peer.
 *
 * Every change of it is an edit of a client like any other, and everybody else's changes appear in it.
 * So what a user does to it can hang or throw without touching the room.
 *
 * Rules: SPEC.md, Y1 and Y9.
 */
import { applyUpdate, Doc, encodeStateAsUpdate, encodeStateVector } from "yjs";
import { HearsayError } from "../../core/error.ts";
import type { Room } from "../room.ts";
import type { RoomClient } from "../room-client.ts";

/** What comes from the cluster, and is not sent back. */
const CLUSTER = Symbol("cluster");

interface Flush {
  readonly edit: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** One document, bound to the cluster until it is closed. */
export class DocumentHandle implements RoomClient {
  /** The name of the document. */
  readonly name: string;
  /** The content. Change it as you like; `flush` says when that is safe. */
  readonly doc: Doc = new Doc();
  readonly #now: () => number;
  readonly #isReadOnly: boolean;
  #room: Room | undefined;
  #lastEdit = 0;
  #acknowledged = 0;
  #flushes: Flush[] = [];
  #ready: Flush[] = [];
  #isReady = false;
  #over: HearsayError | undefined;

  /** @internal */
  constructor(name: string, isReadOnly: boolean, now: () => number) {
    this.name = name;
    this.#isReadOnly = isReadOnly;
    this.#now = now;
    this.doc.on("update", (update: Uint8Array, origin: unknown) => {
      const room = this.#room;
      if (origin === CLUSTER || this.#isReadOnly || room === undefined) return;
      this.#lastEdit = room.edit(this, update);
    });
  }

  /** @internal */
  enter(room: Room): void {
    this.#room = room;
    room.enter(this);
  }

  /** Resolves when the content is here. @internal */
  loaded(): Promise<void> {
    return this.#wait(this.#ready, 0, this.#isReady);
  }

  /**
   * Resolves when everything that was changed so far is durable in as many copies as `acks` asks for.
   * Rejects with `CLOSED` when the document was closed or deleted, or `FORBIDDEN` when an edit was refused.
   */
  flush(): Promise<void> {
    return this.#wait(this.#flushes, this.#lastEdit, this.#lastEdit <= this.#acknowledged);
  }

  /** Lets go of it. What was changed is on its way. Idempotent. */
  close(): void {
    this.#end(new HearsayError("CLOSED", `Document "${this.name}" is closed`));
  }

  /** Lets go of it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  ready(): void {
    const room = this.#room;
    if (room === undefined) return;
    applyUpdate(this.doc, room.updateFor(encodeStateVector(this.doc)), CLUSTER);
    this.resync();
    this.#isReady = true;
    for (const { resolve } of this.#ready.splice(0)) resolve();
  }

  /** @internal */
  updated(update: Uint8Array): void {
    applyUpdate(this.doc, update, CLUSTER);
  }

  /** @internal */
  awareness(): void {}

  /** @internal */
  acknowledged(edit: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, edit);
    const done = this.#flushes.filter((flush) => flush.edit <= this.#acknowledged);
    this.#flushes = this.#flushes.filter((flush) => flush.edit > this.#acknowledged);
    for (const { resolve } of done) resolve();
  }

  /** @internal */
  resync(): void {
    const room = this.#room;
    if (room === undefined || this.#isReadOnly || this.#lastEdit === 0) return;
    const missing = encodeStateAsUpdate(this.doc, room.state());
    this.#lastEdit = room.edit(this, missing, true);
  }

  /** @internal */
  rejected(reason: string): void {
    this.#end(new HearsayError("FORBIDDEN", `Document "${this.name}" refuses an edit: ${reason}`));
  }

  /** @internal */
  gone(): void {
    this.#end(new HearsayError("CLOSED", `Document "${this.name}" was deleted`));
  }

  #wait(list: Flush[], edit: number, isDone: boolean): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    if (isDone) return Promise.resolve();
    return new Promise((resolve, reject) => {
      list.push({ edit, resolve, reject });
    });
  }

  #end(error: HearsayError): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#room?.leave(this, this.#now());
    this.#room = undefined;
    for (const { reject } of [...this.#flushes.splice(0), ...this.#ready.splice(0)]) reject(error);
  }
}
