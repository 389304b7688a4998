/**
 * Buses in memory: what one peer says, another hears in a later turn. A peer that is removed takes what was on
 * its way along.
 */
import type { BusListener, LiveBus } from "../../src/live/bus.ts";
import {
  type Answer,
  type Control,
  type LiveMessage,
  readMessage,
  wordsOf,
} from "../../src/live/message.ts";

/** Posts to one peer that it has not heard. */
const WAITING_MAX = 16;

interface Member {
  readonly listener: BusListener;
  readonly needed: Set<string>;
  /** Whom it is in conversation with. */
  readonly partners: Set<string>;
  readonly waiting: Map<string, number>;
}

/** Where the buses of all peers meet. */
export class MemoryHub {
  readonly #members = new Map<string, Member>();

  bus(name: string, listener: BusListener): LiveBus {
    const own: Member = { listener, needed: new Set(), partners: new Set(), waiting: new Map() };
    this.#members.set(name, own);
    for (const [other, { needed, listener: theirs }] of this.#members) {
      if (needed.has(name)) later(() => this.#members.has(other) && theirs.opened(name));
    }
    return {
      canSend: (to) => this.#members.has(to) && (own.waiting.get(to) ?? 0) < WAITING_MAX,
      sendControl: (to, controls) => this.#send(name, own, to, controls),
      sendDeltas: (to, answers) => this.#send(name, own, to, answers),
      need: (regions) => {
        for (const region of regions) {
          if (own.needed.has(region)) continue;
          own.needed.add(region);
          if (this.#members.has(region)) later(() => listener.opened(region));
        }
        for (const region of own.needed) if (!regions.has(region)) own.needed.delete(region);
      },
      reset: () => own.needed.clear(),
      close: () => this.remove(name),
    };
  }

  /** A peer is gone: who was in conversation with it is told. */
  remove(name: string): void {
    const gone = this.#members.get(name);
    this.#members.delete(name);
    for (const partner of gone?.partners ?? []) {
      const member = this.#members.get(partner);
      member?.partners.delete(name);
      member?.waiting.delete(name);
      member?.listener.lost(name);
    }
  }

  #send(from: string, own: Member, to: string, messages: readonly (Control | Answer)[]): boolean {
    const other = this.#members.get(to);
    const waiting = own.waiting.get(to) ?? 0;
    if (other === undefined || waiting >= WAITING_MAX) return false;
    own.waiting.set(to, waiting + 1);
    own.partners.add(to);
    other.partners.add(from);
    const text = JSON.stringify(messages.map(wordsOf));
    later(() => {
      if (this.#members.get(to) !== other || this.#members.get(from) !== own) return;
      const left = (own.waiting.get(to) ?? 1) - 1;
      own.waiting.set(to, left);
      const read = (JSON.parse(text) as unknown[]).map((each) => readMessage(each) as LiveMessage);
      const isControl = (message: LiveMessage): message is Control =>
        "query" in message || message.type === "unsubscribe";
      const controls = read.filter(isControl);
      const answers = read.filter((message): message is Answer => !isControl(message));
      if (controls.length > 0) other.listener.controls(from, controls);
      if (answers.length > 0) other.listener.deltas(from, answers);
      if (left === WAITING_MAX - 1) own.listener.opened(to);
    });
    return true;
  }
}

function later(what: () => unknown): void {
  setImmediate(what);
}
