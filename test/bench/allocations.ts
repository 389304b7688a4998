/**
 * Entries of the allocation map as the benches need them: many, and the same in every run.
 *
 * Stamps are one millisecond apart, as those of a busy cluster, and lie in the past, so that every
 * clock takes them. Writers look like the incarnations that they are.
 */
import { packTimestamp, TICKS_PER_MS } from "../../src/core/clock.ts";
import type { Entry } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import type { Timestamp } from "../../src/core/units.ts";
import { encodeAllocation } from "../../src/core/view.ts";

const FIRST_WRITE = packTimestamp(Date.UTC(2025, 0, 1));

export const REGIONS: readonly string[] = Array.from({ length: 8 }, (_, n) => `region-${n}`);

/** What incarnations look like. */
export const WRITERS: readonly string[] = REGIONS.map(
  (_, n) => `m5d1x4k${n}-Zk3vT9qRTqW8yR2bN7cXaQ-${n}`,
);

/** One write of a history: the indexes of its key, writer and region, and when. */
export interface Write {
  readonly key: number;
  readonly writer: number;
  readonly region: number;
  readonly time: Timestamp;
}

/** The stamp of the write number `order` of a history. */
export function timeOf(order: number): Timestamp {
  return FIRST_WRITE + order * TICKS_PER_MS;
}

/** Every key once, by turns of the writers, and then `overwrites` of random keys by random writers. */
export function createHistory(keyCount: number, overwrites: number): Write[] {
  const random = new Random(1);
  return Array.from({ length: keyCount + overwrites }, (_, order) => ({
    key: order < keyCount ? order : random.below(keyCount),
    writer: order < keyCount ? order % WRITERS.length : random.below(WRITERS.length),
    region: random.below(REGIONS.length),
    time: timeOf(order),
  }));
}

/** `count` entries with keys `keyOf(0)`, `keyOf(1)`, ..., each written once. */
export function createEntries(count: number, keyOf: (index: number) => string): Entry[] {
  return createHistory(count, 0).map(({ key, writer, region, time }) => ({
    key: keyOf(key),
    value: encodeAllocation(REGIONS[region] as string),
    time,
    writer: WRITERS[writer] as string,
  }));
}
