/**
 * What a planted bug is, and a request that many of them share.
 */
import type { RunRequest } from "../../../sim/options.ts";
import type { Edit } from "./planting.ts";

export interface PlantedBug {
  /** The rule that the core breaks. */
  readonly rule: string;
  /** Goes on with "a core that". */
  readonly does: string;
  readonly edits: readonly Edit[];
  /** The rules of which the simulator reports at least one. */
  readonly by: readonly string[];
  readonly request: Omit<RunRequest, "seed">;
  readonly seeds: number;
}

/** Few peers that write one or two shards all the time. */
export const BUSY = {
  peers: 3,
  shards: 2,
  operationEveryMs: 10,
  durationMs: 8000,
  isCoreHealed: false,
};
