/**
 * What the library exports, and nothing else.
 */
export { AllocationTable, type AllocationTableOptions } from "./allocation-table.ts";
export {
  type Move,
  type Pin,
  type PlanOptions,
  type PlanRegion,
  type PlanView,
  planMoves,
} from "./core/allocation.ts";
export {
  HybridClock,
  type HybridClockOptions,
  timestampCounter,
  timestampMs,
} from "./core/clock.ts";
export type { Downing } from "./core/downing.ts";
export type { Allocation, Change, Member, MemberStatus } from "./core/effect.ts";
export { type ErrorCode, HearsayError } from "./core/error.ts";
export { LwwMap, type LwwMapOptions } from "./core/lww-map.ts";
export type { MachineStatus as PeerStatus } from "./core/machine.ts";
export type { Entry } from "./core/message.ts";
export { rendezvousOwner, rendezvousRank } from "./core/rendezvous.ts";
export { HashRing, type HashRingOptions } from "./core/ring.ts";
export { shardOf } from "./core/shard-of.ts";
export type { Released, ShardState, ShardStatus } from "./core/shard-state.ts";
export type { Timings, TimingsPreset } from "./core/timings.ts";
export { compareTokens, type FencingToken } from "./core/token.ts";
export type { Address, PeerName, ShardId, Stamp, Timestamp } from "./core/units.ts";
export type { ChangeListener, ChangeOf } from "./io/change-feed.ts";
export type { Join } from "./io/discovery.ts";
export { type Peer, type Route, startPeer } from "./peer.ts";
export type { Logger, PeerOptions } from "./peer-options.ts";
