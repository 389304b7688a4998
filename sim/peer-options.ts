/**
 * The options of the peers of a run: alike but for their names.
 */
import { TIMINGS } from "../src/core/timings.ts";
import type { RunOptions } from "./options.ts";
import type { PeerOptions } from "./peer.ts";

/** What eras forget is older than this before the era that came before, where eras are short, in ms. */
const ERA_GRACE_MS = 20_000;

/** All join by all, and an era's grace is a part of it. */
export function peerOptions(options: RunOptions): PeerOptions[] {
  const { diskMs, downing, meshMax, eraMs, hosts, shards: shardCount } = options;
  const eraGraceMs = Math.min(TIMINGS.lan.eraGraceMs, Math.max(eraMs / 24, ERA_GRACE_MS));
  const timings = { ...TIMINGS.lan, eraMs, eraGraceMs };
  const names = Array.from({ length: options.peers }, (_, index) => `peer-${index}`);
  const join = names.map((name) => `${name}:7100`);
  return names.map((name) => ({
    ...{ name, cluster: "simulated", address: `${name}:7100`, shardCount, diskMs, hosts },
    ...{ zone: null, weight: 1, join, downing, meshMax, timings },
  }));
}
