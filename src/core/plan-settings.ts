/**
 * What all regions plan by: the strategy and how much it may move at once, and the pins of shards.
 *
 * Both are replicated, since regions that planned by different ones would move shards back and forth. The
 * strategy is one entry of `settings`; a pin is an entry of a map of its own, so that two people who
 * pin two shards do not overwrite each other.
 *
 * A strategy travels by name. What a name stands for, beyond the four that everybody knows, each peer is
 * told when it is started.
 *
 * Rules: SPEC.md, A3 and A4.
 */
import type { Pin } from "./allocation.ts";
import { SHARDS_MAX } from "./limits.ts";
import type { Entry, Value } from "./message.ts";
import { NAME_PATTERN, type PeerName } from "./units.ts";

/** The key of the strategy in `settings`. */
export const PLAN_KEY = "plan";

/** The replicated map of pins: by shard, the region that it belongs to. */
export const PINS = "pins";

export interface PlanSettings {
  /** Its name. */
  readonly strategy: string;
  /** Moves between regions at a time, 0 to `SHARDS_MAX`; null without a limit. */
  readonly movesMax: number | null;
}

/** What a cluster plans by until somebody says otherwise. */
export const PLAN_DEFAULT: PlanSettings = { strategy: "balanced", movesMax: null };

/** The value of the entry. Later versions append fields. */
export function encodePlan({ strategy, movesMax }: PlanSettings): Value {
  return [strategy, movesMax];
}

/** What the entry says; undefined when this version cannot read it. */
export function decodePlan(value: Value | undefined): PlanSettings | undefined {
  if (value === undefined) return PLAN_DEFAULT;
  const [strategy, movesMax] = Array.isArray(value) ? (value as Value[]) : [];
  const isPlan =
    typeof strategy === "string" && NAME_PATTERN.test(strategy) && isMovesMax(movesMax);
  return isPlan ? { strategy, movesMax } : undefined;
}

/** Whether `value` can bound moves. */
export function isMovesMax(value: unknown): value is number | null {
  if (value === null) return true;
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= SHARDS_MAX;
}

/** The value of a pin. */
export function encodePin(region: PeerName): Value {
  return [region];
}

/** The pin in an entry of `pins`; undefined when it is none. */
export function decodePin({ key, value }: Entry): Pin | undefined {
  const [region] = Array.isArray(value) ? (value as Value[]) : [];
  return typeof region === "string" && NAME_PATTERN.test(region)
    ? { shard: key, region }
    : undefined;
}
