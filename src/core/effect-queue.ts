/**
 * Carries out effects strictly in order, one step's after another's.
 *
 * "Told nobody before it was written" is a property of the order of a list [G1], so the order has
 * this one home: the runtime and the simulator both perform their effects through it. An effect that
 * is not done when it returns (a `persist` on its way to the disk) holds back everything after it,
 * effects of later steps included. While nothing is held back, effects are performed where they are
 * pushed: no copy, no promise.
 *
 * What several steps want to be durable is made so at once: when the queue goes on, every `persist` that
 * waits is joined to the first (group commit), so a disk that needs 0.3 ms for each write keeps up with
 * many steps in that time. That is earlier than their turn, which nobody can tell from a disk that was
 * faster; what is told of them keeps its place behind.
 *
 * Performing an effect may bring about the next event, and so push more effects: they wait for
 * their turn. Should performing throw, nothing is ever performed again.
 */
import { assert } from "./assert.ts";
import type { Effect } from "./effect.ts";

/** Carries out one effect. `"pending"`: it is under way, and `resume()` is called when it is done. */
export type Perform = (effect: Effect) => "pending" | undefined;

export class EffectQueue {
  readonly #perform: Perform;
  #state: "idle" | "performing" | "pending" = "idle";
  /** Effects that wait, from `#next` on. */
  #waiting: Effect[] = [];
  #next = 0;

  constructor(perform: Perform) {
    this.#perform = perform;
  }

  /** Whether every effect that was pushed is done. */
  get isIdle(): boolean {
    return this.#state === "idle";
  }

  /** Performs `effects` after all earlier ones: at once, unless one of those is not done. */
  push(effects: readonly Effect[]): void {
    if (effects.length === 0) return;
    if (!this.isIdle) {
      for (const effect of effects) this.#waiting.push(effect);
      return;
    }
    const performed = this.#performFrom(effects, 0);
    if (this.#isHeldBack()) {
      // What was pushed while performing comes after the rest of this list.
      this.#waiting = [...effects.slice(performed), ...this.#waiting];
    } else {
      this.#performWaiting();
    }
  }

  /** The effect under way is done: goes on with those behind it. */
  resume(): void {
    assert(this.#isHeldBack(), "an effect is under way");
    this.#performWaiting();
  }

  #isHeldBack(): boolean {
    return this.#state === "pending";
  }

  #performWaiting(): void {
    this.#joinPersists();
    this.#next = this.#performFrom(this.#waiting, this.#next);
    if (this.#isHeldBack()) {
      this.#forgetPerformed();
      return;
    }
    this.#waiting = [];
    this.#next = 0;
    this.#state = "idle";
  }

  /**
   * Makes the first persist that waits take the others with it, up to one that drops keys: a later step
   * may have written them anew.
   */
  #joinPersists(): void {
    const waiting = this.#waiting.slice(this.#next);
    const persists = waiting.filter((effect) => effect.type === "persist");
    const drops = persists.findIndex(({ dropped = [] }) => dropped.length > 0);
    const together = drops < 0 ? persists : persists.slice(0, drops + 1);
    const [first, second] = together;
    if (first === undefined || second === undefined) return;
    const joined: Effect = {
      type: "persist",
      maps: together.flatMap(({ maps }) => maps),
      clockBound: together.reduce((highest, each) => Math.max(highest, each.clockBound), 0),
      dropped: together.at(-1)?.dropped ?? [],
    };
    const done = new Set<Effect>(together);
    this.#next = 0;
    this.#waiting = waiting.flatMap((effect) =>
      effect === first ? joined : done.has(effect) ? [] : effect,
    );
  }

  /** A queue that is never empty must not keep what it has done; half of it is cheap to move. */
  #forgetPerformed(): void {
    if (this.#next * 2 < this.#waiting.length) return;
    this.#waiting.splice(0, this.#next);
    this.#next = 0;
  }

  /** Performs until one is under way or none is left; returns how many of the list are performed. */
  #performFrom(effects: readonly Effect[], start: number): number {
    this.#state = "performing";
    // The length is read anew each time, since performing may push.
    for (let index = start; index < effects.length; index += 1) {
      const effect = effects[index];
      if (effect !== undefined && this.#perform(effect) === "pending") {
        this.#state = "pending";
        return index + 1;
      }
    }
    return effects.length;
  }
}
