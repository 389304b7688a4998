/**
 * Who is at a document, and where: the awareness states of y-protocols, as far as a page needs them.
 *
 * An update is a count, then for each client its id, a clock that grows, and its state as JSON text. What comes
 * is a stranger's: a state that is not what a page shows is shown as nobody's name, and never as markup.
 *
 * Source: y-protocols 1.0.7, awareness.js.
 */
import { createDecoder, readVarString, readVarUint } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarString, writeVarUint } from "lib0/encoding";

/** Somebody at the document. */
export interface Guest {
  readonly client: number;
  readonly name: string;
  /** The end of what is selected, as a relative position of Yjs; undefined while nothing is. */
  readonly head: unknown;
}

/** Length of a name that is shown, in UTF-16 code units. */
const NAME_LENGTH_MAX = 32;

export class Presence {
  readonly #own: number;
  readonly #guests = new Map<
    number,
    { readonly clock: number; readonly guest: Guest | undefined }
  >();
  #clock = 0;
  #state = "null";

  constructor(own: number) {
    this.#own = own;
  }

  /** Others, by id. */
  get guests(): readonly Guest[] {
    return [...this.#guests.values()].flatMap(({ guest }) => (guest === undefined ? [] : [guest]));
  }

  /** Says where this client is; returns the update to send. */
  say(name: string, head: unknown): Uint8Array {
    this.#state = JSON.stringify({ user: { name }, cursor: { anchor: head, head } });
    return this.repeat();
  }

  /** The same again, as news: others forget who has said nothing for half a minute. */
  repeat(): Uint8Array {
    this.#clock += 1;
    const encoder = createEncoder();
    writeVarUint(encoder, 1);
    writeVarUint(encoder, this.#own);
    writeVarUint(encoder, this.#clock);
    writeVarString(encoder, this.#state);
    return toUint8Array(encoder);
  }

  /** Takes an update. Throws on bytes that are none. */
  apply(update: Uint8Array): void {
    const decoder = createDecoder(update);
    for (let left = readVarUint(decoder); left > 0; left -= 1) {
      const client = readVarUint(decoder);
      const clock = readVarUint(decoder);
      const state = JSON.parse(readVarString(decoder));
      const known = this.#guests.get(client);
      if (client === this.#own || (known !== undefined && known.clock > clock)) continue;
      this.#guests.set(client, { clock, guest: guestOf(client, state) });
    }
  }

  /** Nobody is known to be there any more: whoever is will be told of again. */
  clear(): void {
    this.#guests.clear();
  }
}

function guestOf(client: number, state: unknown): Guest | undefined {
  if (typeof state !== "object" || state === null) return undefined;
  const { user, cursor } = state as { user?: { name?: unknown }; cursor?: { head?: unknown } };
  const name = typeof user?.name === "string" ? user.name.slice(0, NAME_LENGTH_MAX) : "somebody";
  return { client, name, head: cursor?.head };
}
