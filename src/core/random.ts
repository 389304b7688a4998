/**
 * The only randomness of pure code: a seeded generator, handed in from outside.
 *
 * `sfc32` by Chris Doty-Humphrey (PractRand): 128 bits of state, passes PractRand to terabytes, and
 * needs only 32-bit additions and shifts, so that one seed gives one sequence on every machine.
 */
import { assert } from "./assert.ts";

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Starts the sequence of `seed`, any integer. Equal seeds give equal sequences. */
  constructor(seed: number) {
    assert(Number.isSafeInteger(seed), "a seed is a safe integer");
    this.#a = 0x9e3779b9;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = seed | 0;
    for (let round = 0; round < 15; round += 1) this.uint32(); // Mixes a poor seed through.
  }

  /** A uniform integer in [0, 2^32). */
  uint32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    this.#c |= 0;
    return result >>> 0;
  }

  /** A uniform number in [0, 1) with 32 bits. */
  unit(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** A uniform integer in [0, bound). `bound` is 1 to 2^32. */
  below(bound: number): number {
    assert(bound >= 1 && bound <= 0x1_0000_0000, "the bound is 1 to 2^32");
    return Math.floor(this.unit() * bound);
  }

  /** True with the given probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** One of `items`, or undefined when there are none. */
  pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : items[this.below(items.length)];
  }
}
