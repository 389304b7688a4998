/**
 * What a peer finds on its disk when it starts: all that its `persist` effects made durable.
 */
import type { MapEntries } from "./message.ts";
import type { Timestamp } from "./units.ts";

export interface DiskImage {
  /** No timestamp above this was ever used [C6]; 0 on a disk that was never written. */
  readonly clockBound: Timestamp;
  /** Every entry, tombstones included; empty on a disk that was never written. */
  readonly maps: readonly MapEntries[];
}

/** What a disk that was never written holds. */
export const EMPTY_IMAGE: DiskImage = { clockBound: 0, maps: [] };
