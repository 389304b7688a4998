/**
 * Virtual time: a heap of things that will happen, and the order in which they do.
 *
 * Two things due at the same moment happen in the order in which they were planned, so that a run
 * depends on its seed alone. Time moves only from one to the next; nothing ever waits.
 */
interface Planned {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

export class World {
  /** Ms since the run began: the monotonic clock behind every peer's. */
  now = 0;
  /** How many things have happened. */
  eventCount = 0;
  readonly #heap: Planned[] = [];
  #order = 0;

  /** Plans `run` for `delayMs` from now, 0 or more. Returns what cancels it. */
  plan(delayMs: number, run: () => void): () => void {
    const planned = {
      at: this.now + Math.max(0, delayMs),
      order: this.#order,
      run,
      cancelled: false,
    };
    this.#order += 1;
    this.#heap.push(planned);
    this.#rise(this.#heap.length - 1);
    return () => {
      planned.cancelled = true;
    };
  }

  /** Lets everything happen that is due until `until`, and then it is `until`. */
  runUntil(until: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#take();
      if (next.cancelled) continue;
      this.now = next.at;
      this.eventCount += 1;
      next.run();
    }
    this.now = Math.max(this.now, until);
  }

  #take(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(start: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfSooner(index, parent)) return;
      index = parent;
    }
  }

  #sink(start: number): void {
    let index = start;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const sooner = right < this.#heap.length && this.#isSooner(right, left) ? right : left;
      if (!this.#swapIfSooner(sooner, index)) return;
      index = sooner;
    }
  }

  #isSooner(a: number, b: number): boolean {
    const first = this.#heap[a] as Planned;
    const second = this.#heap[b] as Planned;
    return first.at < second.at || (first.at === second.at && first.order < second.order);
  }

  #swapIfSooner(child: number, parent: number): boolean {
    if (!this.#isSooner(child, parent)) return false;
    const moved = this.#heap[child] as Planned;
    this.#heap[child] = this.#heap[parent] as Planned;
    this.#heap[parent] = moved;
    return true;
  }
}
