/**
 * How long a suspicion lasts, and how long it takes in all until a hung member is dead to everybody.
 *
 * A suspicion gives its subject time to speak up. News reaches n members in a number of hops that grows
 * with log n, and so does that time. One accuser may be the one that is wrong; every further one that
 * came to the same finding by itself makes that less likely, and the time shorter. With both of two
 * expected confirmations it is a third.
 *
 * Source: Dadgar et al., "Lifeguard", 2018, section IV.B, with the bounds of SPEC.md, F4.
 */
import { MONITORS } from "./monitors.ts";
import type { Timings } from "./timings.ts";

/** The longest suspicion is so many times as long as one that was confirmed in full. */
const SHORTENING = 3;

/**
 * How long a suspicion lasts among `members` alive or suspect ones when `confirmations` others, 0 or
 * more, suspect the same member, in ms.
 */
export function suspicionMs(timings: Timings, members: number, confirmations: number): number {
  const longestMs = 4 * Math.log10(members + 1) * timings.probeIntervalMs; // [F4]
  // As many as can be expected: the other monitors, as far as there are so many members.
  const expected = Math.min(MONITORS - 1, members - 2);
  if (expected < 1) return longestMs; // Nobody is there who could confirm or deny it.
  const share = Math.log(Math.min(confirmations, expected) + 1) / Math.log(expected + 1);
  return longestMs - share * (longestMs - longestMs / SHORTENING);
}

/** Bounds on when a member that hangs among n even links is what to everybody, in ms. */
export interface DetectionTimes {
  readonly suspectMs: number;
  /** When all of its monitors confirm each other. */
  readonly deadMs: number;
  /** When one monitor is left to itself. */
  readonly deadAloneMs: number;
}

/** What the presets promise: the table in SPEC.md is computed from this. */
export function detectionTimes(timings: Timings, members: number): DetectionTimes {
  const pulseMs = pulseOf(timings);
  const suspectMs = timings.silenceMs + pulseMs + timings.probeTimeoutMs;
  const lasting = (confirmations: number): number =>
    suspectMs + suspicionMs(timings, members, confirmations) + pulseMs;
  return { suspectMs, deadMs: lasting(MONITORS - 1), deadAloneMs: lasting(0) };
}

/** How often a peer looks at its links and members, in ms. */
export function pulseOf({ heartbeatMs }: Timings): number {
  return heartbeatMs / 2;
}
