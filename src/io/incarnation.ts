/**
 * Names for one life of a peer, and for whoever else writes entries.
 *
 *   <start in ms, base 36>-<hyperid>
 *
 * The start comes first because of two lives of one name the later-started counts. The rest tells apart
 * those that start within one millisecond, also in one process, and on machines that were cloned:
 * hyperid draws 128 bits once, and counts from there.
 *
 * Rules: SPEC.md, F7.
 */
import hyperid from "hyperid";
import type { Incarnation, WallMs } from "../core/units.ts";

// Letters, digits, hyphen and underscore: an incarnation can stand in a URL and in a log as it is.
const uniqueId = hyperid({ urlSafe: true });

/** Makes an incarnation that nobody else has had. About 32 characters. */
export function createIncarnation(wallMs: WallMs): Incarnation {
  return `${Math.max(0, Math.floor(wallMs)).toString(36)}-${uniqueId()}`;
}
