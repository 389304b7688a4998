/**
 * Collects the messages of one turn of the event loop and writes each link's in one go [G1].
 *
 * A busy peer takes many steps in one turn: one for every frame that its sockets have received.
 * What these steps say to one link leaves in one frame, all of it at the same moment: when the turn is
 * over, or `flushMs` after the first message. When that is, whoever owns the outbox knows: it is given
 * `plan`, since this code has no timers. So the simulator runs the same outbox as a process does.
 *
 * Theory of operation
 *
 * In a full mesh most links are told the same. So a link does not hold a list of its own: it holds a
 * place in a tree whose paths from the root are lists of messages. Links that were told the same stand
 * at the same place, and a place is encoded once, whoever stands there. A place remembers only the
 * last way out of it. If links that are told the same take turns with others, the worst that can
 * happen is that equal lists are encoded twice.
 */
import type { Message } from "../core/message.ts";
import type { LinkId } from "../core/units.ts";
import { encodeFrames } from "./frames.ts";

/** Calls `flush` when it is time, unless what it returns is called before. */
export type PlanFlush = (flush: () => void) => () => void;

/** A list of messages: that of `before`, and then `message`. */
class Place {
  readonly #before: Place | undefined;
  readonly #message: Message | undefined;
  #after: Place | undefined;
  #frames: readonly Uint8Array[] | undefined;

  constructor(before?: Place, message?: Message) {
    this.#before = before;
    this.#message = message;
  }

  /** The list of this place and then `message`. */
  followedBy(message: Message): Place {
    const after = this.#after;
    if (after !== undefined && after.#message === message) return after;
    this.#after = new Place(this, message);
    return this.#after;
  }

  frames(): readonly Uint8Array[] {
    this.#frames ??= encodeFrames(this.#messages());
    return this.#frames;
  }

  #messages(): Message[] {
    const messages: Message[] = [];
    for (let place: Place | undefined = this; place !== undefined; place = place.#before) {
      if (place.#message !== undefined) messages.push(place.#message);
    }
    return messages.reverse();
  }
}

export class Outbox {
  readonly #write: (link: LinkId, frames: readonly Uint8Array[]) => void;
  #root = new Place();
  #places = new Map<LinkId, Place>();
  readonly #plan: PlanFlush;
  /** Cancels the flush that is due; undefined when none is. */
  #cancelFlush: (() => void) | undefined;
  #afterwards: (() => void)[] = [];

  /** `write` is given everything that one link was told until the flush. It must not change the frames. */
  constructor(write: (link: LinkId, frames: readonly Uint8Array[]) => void, plan: PlanFlush) {
    this.#write = write;
    this.#plan = plan;
  }

  /** Adds `message`, which must not be changed any more, to what each of `links` is told. */
  add(links: readonly LinkId[], message: Message): void {
    for (const link of links) {
      this.#places.set(link, (this.#places.get(link) ?? this.#root).followedBy(message));
    }
    this.#cancelFlush ??= this.#plan(() => this.flush());
  }

  /** Calls `run` once all that has been added is written: at once when nothing waits. */
  afterFlush(run: () => void): void {
    if (this.#cancelFlush === undefined) run();
    else this.#afterwards.push(run);
  }

  /** Writes all that has been added, now. */
  flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    const places = this.#places;
    // Writing may bring about events, and what these add belongs to the next flush.
    this.#places = new Map();
    this.#root = new Place();
    for (const [link, place] of places) this.#write(link, place.frames());
    const afterwards = this.#afterwards;
    this.#afterwards = [];
    for (const run of afterwards) run();
  }
}
