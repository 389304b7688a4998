/**
 * Ways to cut a network, as lists of directions between peers.
 */
import type { Random } from "../src/core/random.ts";

/** From one name to another. */
export type Direction = readonly [from: string, to: string];

/** Both directions between every peer of one random side and every peer of the other. */
export function halves(names: readonly string[], random: Random): Direction[] {
  const side = new Set(names.filter(() => random.chance(0.5)));
  return directions(names, (from, to) => side.has(from) !== side.has(to));
}

/** One peer against all others. */
export function isolated(names: readonly string[], random: Random): Direction[] {
  const one = random.pick(names);
  return directions(names, (from, to) => from === one || to === one);
}

/** A single direction. */
export function oneWay(names: readonly string[], random: Random): Direction[] {
  const from = random.pick(names);
  const to = random.pick(names.filter((name) => name !== from));
  return from === undefined || to === undefined ? [] : [[from, to]];
}

/** A ring of majorities: everybody hears its neighbours, and no two hear the same. */
export function ring(names: readonly string[]): Direction[] {
  const count = names.length;
  const reach = Math.max(1, Math.floor(count / 4));
  return directions(names, (from, to) => {
    const distance = Math.abs(names.indexOf(from) - names.indexOf(to));
    return Math.min(distance, count - distance) > reach;
  });
}

/** Every direction that touches one of a random set of peers, in random order. */
export function swizzled(names: readonly string[], random: Random): Direction[] {
  const chosen = new Set(names.filter(() => random.chance(0.4)));
  return shuffled(
    directions(names, (from, to) => chosen.has(from) || chosen.has(to)),
    random,
  );
}

export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let index = result.length - 1; index > 0; index -= 1) {
    const other = random.below(index + 1);
    [result[index], result[other]] = [result[other] as T, result[index] as T];
  }
  return result;
}

function directions(
  names: readonly string[],
  isCut: (from: string, to: string) => boolean,
): Direction[] {
  return names.flatMap((from) =>
    names.filter((to) => from !== to && isCut(from, to)).map((to): Direction => [from, to]),
  );
}
