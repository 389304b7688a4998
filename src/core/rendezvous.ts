/**
 * Rendezvous hashing: every candidate draws a lot for the key, and the highest wins.
 *
 * Whoever knows the same candidates names the same owner, without a table; when a candidate goes,
 * only its own keys find another. It costs a hash for each candidate, so it is for few of them:
 * beyond a few dozen the ring is faster.
 *
 * The lots must be well mixed. Bare FNV-1a gives names that differ in their last character lots that
 * differ in few bits, and one of 16 owners up to 1.5 times its share. Ours are a candidate's
 * MurmurHash3 seeded with that of the key.
 *
 * Source: Thaler, Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998.
 * Rules: SPEC.md, section R.
 */
import { hash32 } from "./hash.ts";
import { compareText } from "./units.ts";

/**
 * The candidate with the highest lot for `key`; undefined when there is none. Neither their order
 * nor a repetition matters. Of equal lots the lower name's wins.
 */
export function rendezvousOwner(key: string, candidates: Iterable<string>): string | undefined {
  const seed = hash32(key);
  let owner: string | undefined;
  let highest = -1;
  for (const candidate of candidates) {
    const lot = hash32(candidate, seed);
    if (lot < highest || (lot === highest && candidate >= (owner as string))) continue;
    owner = candidate;
    highest = lot;
  }
  return owner;
}

/**
 * The candidates from the highest lot for `key` down, each once, the owner first: at most `count`,
 * all by default.
 */
export function rendezvousRank(
  key: string,
  candidates: Iterable<string>,
  count = Number.MAX_SAFE_INTEGER,
): string[] {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError("Cannot rank candidates: count is not an integer from 0");
  }
  const seed = hash32(key);
  return [...new Set(candidates)]
    .map((name) => ({ name, lot: hash32(name, seed) }))
    .sort((a, b) => b.lot - a.lot || compareText(a.name, b.name))
    .slice(0, count)
    .map(({ name }) => name);
}
