/**
 * Edits of a room's clients that are not durable yet.
 *
 * Edits are numbered, and what is acknowledged to a client is a number: all its edits up to that. An edit waits for
 * a *mark*, which is a count of the item where the document is, or a number of the subscription elsewhere. All
 * edits of a client that wait for the same mark are one record here, so what waits is small, however fast it
 * comes. After a move there are no marks until the new place has what was there.
 *
 * A client is *late* while something that its edits depend on is missing: none of them is marked until then.
 *
 * Rules: SPEC.md, Y1 and Y3.
 */

interface Waiting {
  /** The last edit that waits for a mark, and that mark; in order of both. */
  readonly marked: { edit: number; readonly mark: number }[];
  /** The last edit of those that have no mark yet. */
  unmarked: number | undefined;
  isLate: boolean;
  /** How often an edit of a client that is late depended on what is missing. */
  gaps: number;
}

export class WaitingEdits<Client> {
  readonly #clients = new Map<Client, Waiting>();

  get isEmpty(): boolean {
    return this.#clients.size === 0;
  }

  /** Whose edits wait. */
  get clients(): Client[] {
    return [...this.#clients.keys()];
  }

  /** A client makes an edit, which is missing until it is `filled`; returns whether the client was late before. */
  begin(client: Client, edit: number): boolean {
    const waiting = this.#clients.get(client) ?? {
      marked: [],
      unmarked: edit,
      isLate: false,
      gaps: 0,
    };
    this.#clients.set(client, waiting);
    const { isLate } = waiting;
    waiting.unmarked = edit;
    waiting.isLate = true;
    return isLate;
  }

  /** Nothing of what a client depends on is missing. */
  filled(client: Client): void {
    const waiting = this.#clients.get(client);
    if (waiting === undefined) return;
    waiting.isLate = false;
    waiting.gaps = 0;
  }

  /** An edit depends on what is missing; returns how often that has been so since nothing was. */
  missed(client: Client): number {
    const waiting = this.#clients.get(client);
    if (waiting === undefined) return 0;
    waiting.gaps += 1;
    return waiting.gaps;
  }

  drop(client: Client): void {
    this.#clients.delete(client);
  }

  clear(): void {
    this.#clients.clear();
  }

  /** What was promised is void. `isLost`: what was edited is so, too, and has to come again. */
  unmark(isLost = false): void {
    for (const waiting of this.#clients.values()) {
      waiting.unmarked ??= waiting.marked.at(-1)?.edit;
      waiting.marked.length = 0;
      if (isLost) waiting.isLate = true;
    }
  }

  /** What has no mark waits for this one from now on, which is no lower than any before. */
  mark(mark: number, client: Client): void {
    const waiting = this.#clients.get(client);
    if (waiting?.unmarked === undefined || waiting.isLate) return;
    const last = waiting.marked.at(-1);
    if (last?.mark === mark) last.edit = waiting.unmarked;
    else waiting.marked.push({ edit: waiting.unmarked, mark });
    waiting.unmarked = undefined;
  }

  markAll(mark: number): void {
    for (const client of this.#clients.keys()) this.mark(mark, client);
  }

  /** Everything up to this mark is durable; returns the last edit of each client for whom that is news. */
  acknowledged(mark: number): Map<Client, number> {
    const done = new Map<Client, number>();
    for (const [client, { marked, unmarked }] of this.#clients) {
      for (let first = marked[0]; first !== undefined && first.mark <= mark; first = marked[0]) {
        done.set(client, first.edit);
        marked.shift();
      }
      if (marked.length === 0 && unmarked === undefined) this.#clients.delete(client);
    }
    return done;
  }
}
