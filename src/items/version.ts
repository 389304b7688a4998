/**
 * How much of an item a copy of it holds.
 *
 * Whoever leads a shard counts what it appends to an item, under its fencing token; one process at most
 * leads under a token [H7], and a copy takes what the leader appends in order. So two copies with equal
 * versions are equal, and of two under one token the one with the lower count is the beginning of the
 * other. Between versions of different tokens nothing is known: then contents are merged.
 *
 * A deletion begins a new generation, and content of an earlier one is void.
 */
import { hash32 } from "../core/hash.ts";
import type { Timestamp } from "../core/units.ts";

export interface Version {
  /** How often the item has been deleted. */
  readonly generation: number;
  /** The fencing token of whoever appended last: its time, and a hash of its writer. */
  readonly token: Timestamp;
  readonly mark: number;
  /** What was appended to the item in this generation, as that leader counts. */
  readonly count: number;
}

/** The part of a fencing token that tells two with one time apart. */
export const markOf = (writer: string): number => hash32(writer);

export function isSame(a: Version, b: Version): boolean {
  return isBeginning(a, b) && a.count === b.count;
}

/** Whether a copy of version `a` holds nothing that one of version `b` lacks, as far as that is known. */
export function isBeginning(a: Version, b: Version): boolean {
  if (a.generation !== b.generation) return a.generation < b.generation;
  return a.token === b.token && a.mark === b.mark && a.count <= b.count;
}
