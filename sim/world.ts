/**
 * Virtual time: a heap of things that will happen, and the order in which they do.
 *
 * Two things due at the same moment happen in the order in which they were planned, so that a run
 * depends on its seed alone. Time moves only from one to the next; nothing ever waits.
 */
/** Something that will happen, unless it is cancelled before. */
export class Planned {
  readonly at: number;
  readonly order: number;
  /** Undefined once it has happened, or will not any more. */
  #run: (() => void) | undefined;

  constructor(at: number, order: number, run: () => void) {
    this.at = at;
    this.order = order;
    this.#run = run;
  }

  get isPending(): boolean {
    return this.#run !== undefined;
  }

  cancel(): void {
    this.#run = undefined;
  }

  happen(): void {
    const run = this.#run;
    this.#run = undefined;
    run?.();
  }
}

export class World {
  /** Ms since the run began: the monotonic clock behind every peer's. */
  now = 0;
  /** How many things have happened. */
  eventCount = 0;
  /** A heap: what happens next stands first, and everything before the two at twice its place. */
  readonly #heap: Planned[] = [];
  #order = 0;

  /** How many things will happen. Costs O(n). */
  get pendingCount(): number {
    return this.#heap.filter(({ isPending }) => isPending).length;
  }

  /** Plans `run` for `delayMs` from now, 0 or more. */
  plan(delayMs: number, run: () => void): Planned {
    const planned = new Planned(this.now + Math.max(0, delayMs), this.#order, run);
    this.#order += 1;
    this.#rise(planned);
    return planned;
  }

  /** Lets everything happen that is due until `until`, and then it is `until`. */
  runUntil(until: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#take();
      if (!next.isPending) continue;
      this.now = next.at;
      this.eventCount += 1;
      next.happen();
    }
    this.now = Math.max(this.now, until);
  }

  #take(): void {
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) this.#sink(last);
  }

  /** Adds `planned`: what comes later makes room for it on its way up from the end. */
  #rise(planned: Planned): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(planned);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Planned;
      if (!isSooner(planned, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = planned;
  }

  /** Puts `planned` in the place of the first: what comes sooner makes room for it on its way down. */
  #sink(planned: Planned): void {
    const heap = this.#heap;
    const { length } = heap;
    let index = 0;
    for (let child = 1; child < length; child = 2 * index + 1) {
      const right = child + 1;
      if (right < length && isSooner(heap[right] as Planned, heap[child] as Planned)) child = right;
      const below = heap[child] as Planned;
      if (!isSooner(below, planned)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = planned;
  }
}

function isSooner(a: Planned, b: Planned): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
