/**
 * Who is at a document: the awareness states of its clients, as y-protocols has them, without a timer.
 *
 * An `Awareness` object checks by a timer of its own whether clients are still there. Here it is known: a
 * state belongs to where it came from, and goes when that is gone. So a document that nobody looks at
 * costs nothing, and ten thousand of them no timers.
 *
 * An update is a count, then for each client its id, a clock that grows, and its state as JSON text; the
 * text `null` takes it away. Of two states the one with the higher clock counts, and of equal ones the
 * removal.
 *
 * Source: y-protocols 1.0.7, awareness.js.
 */
import { createDecoder, readVarString, readVarUint } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarString, writeVarUint } from "lib0/encoding";
import { AWARENESS_LENGTH_MAX, AWARENESS_STATES_MAX } from "./limits.ts";

interface State {
  clock: number;
  /** JSON; undefined once it was taken away. */
  text: string | undefined;
  /** Where it came from. */
  from: unknown;
}

const NONE = "null";

export class AwarenessStates {
  readonly #states = new Map<number, State>();

  /** Whether there is anybody. */
  get isEmpty(): boolean {
    return this.#states.size === 0;
  }

  /**
   * Takes an update; returns what was news in it, to be passed on. Undefined when nothing was; throws on
   * bytes that are none.
   */
  apply(update: Uint8Array, from: unknown): Uint8Array | undefined {
    const decoder = createDecoder(update);
    const count = readVarUint(decoder);
    const news: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const client = readVarUint(decoder);
      const clock = readVarUint(decoder);
      const text = readVarString(decoder);
      if (text.length > AWARENESS_LENGTH_MAX) continue; // [S4]
      if (this.#take(client, clock, text === NONE ? undefined : text, from)) news.push(client);
    }
    return news.length === 0 ? undefined : this.#encode(news);
  }

  /** Whoever came from there is gone; returns the news of that. */
  leave(from: unknown): Uint8Array | undefined {
    const gone: number[] = [];
    for (const [client, state] of this.#states) {
      if (state.from !== from) continue;
      state.text = undefined;
      gone.push(client);
    }
    if (gone.length === 0) return undefined;
    const news = this.#encode(gone);
    for (const client of gone) this.#states.delete(client);
    return news;
  }

  /** All states, or those that came from there; undefined where there are none. */
  all(isMeant: (from: unknown) => boolean = () => true): Uint8Array | undefined {
    const clients = [...this.#states].filter(
      ([, { text, from }]) => text !== undefined && isMeant(from),
    );
    return clients.length === 0 ? undefined : this.#encode(clients.map(([client]) => client));
  }

  #take(client: number, clock: number, text: string | undefined, from: unknown): boolean {
    const known = this.#states.get(client);
    if (known === undefined) {
      if (text === undefined || this.#states.size >= AWARENESS_STATES_MAX) return false;
      this.#states.set(client, { clock, text, from });
      return true;
    }
    const isRemoval = clock === known.clock && text === undefined && known.text !== undefined;
    if (clock <= known.clock && !isRemoval) return false;
    known.clock = clock;
    known.text = text;
    known.from = from;
    return true;
  }

  #encode(clients: readonly number[]): Uint8Array {
    const encoder = createEncoder();
    writeVarUint(encoder, clients.length);
    for (const client of clients) {
      const { clock, text = NONE } = this.#states.get(client) as State;
      writeVarUint(encoder, client);
      writeVarUint(encoder, clock);
      writeVarString(encoder, text);
    }
    return toUint8Array(encoder);
  }
}
