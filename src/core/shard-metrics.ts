/**
 * What a shard holds, as the region that serves it reports.
 *
 * Rules: SPEC.md, section R.
 */
import type { Value } from "./message.ts";

/** What a shard holds. */
export interface ShardMetrics {
  readonly documents: number;
  readonly memoryBytes: number;
}

/** The replicated map of what shards hold: a row by shard, written by its region. */
export const METRICS = "metrics";

/** The value of a `metrics` entry. Later versions append fields. */
export function encodeMetrics({ documents, memoryBytes }: ShardMetrics): Value {
  return [documents, memoryBytes];
}

/** What a `metrics` value says; zeros when it says nothing that makes sense. */
export function decodeMetrics(value: Value | undefined): ShardMetrics {
  const [documents, memoryBytes] = Array.isArray(value) ? (value as Value[]) : [];
  return isCount(documents) && isCount(memoryBytes)
    ? { documents, memoryBytes }
    : { documents: 0, memoryBytes: 0 };
}

/** Whether `value` counts something: a safe integer from 0. */
export function isCount(value: Value | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
