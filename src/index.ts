/**
 * What the library exports, and nothing else.
 */
export { AllocationTable, type AllocationTableOptions } from "./allocation-table.ts";
export {
  type CallOptions,
  type Client,
  type ConnectionEvents,
  type ConnectOptions,
  connect,
  type Gap,
} from "./client.ts";
export type { RegisterOptions, StartTickOptions, TickReport, WaitOptions } from "./coordinator.ts";
export {
  type Move,
  type Pin,
  type PlanOptions,
  type PlanRegion,
  type PlanView,
  planMoves,
} from "./core/allocation.ts";
export {
  TickBarrier,
  type TickBarrierOptions,
  type TickState,
  type TickStatus,
} from "./core/barrier.ts";
export {
  HybridClock,
  type HybridClockOptions,
  timestampCounter,
  timestampMs,
} from "./core/clock.ts";
export type { Contribution } from "./core/contribution.ts";
export {
  aggregateGlobalDf,
  type FrequencyCoverage,
  type GlobalDf,
  type TermIdf,
} from "./core/document-frequency.ts";
export type { Downing } from "./core/downing.ts";
export type { Allocation, Change, Member, MemberStatus } from "./core/effect.ts";
export { type ErrorCode, HearsayError } from "./core/error.ts";
export { LwwMap, type LwwMapOptions } from "./core/lww-map.ts";
export type { Entry } from "./core/message.ts";
export { rendezvousOwner, rendezvousRank } from "./core/rendezvous.ts";
export type { Replicas } from "./core/replicas.ts";
export { HashRing, type HashRingOptions } from "./core/ring.ts";
export { shardOf } from "./core/shard-of.ts";
export type { ClusterStats, Released, ShardState, ShardStatus } from "./core/shard-state.ts";
export type { Strategy, StrategyName, StrategyRegion, StrategyView } from "./core/strategy.ts";
export type { PastTick } from "./core/tick-view.ts";
export type { Timings, TimingsPreset } from "./core/timings.ts";
export { compareTokens, type FencingToken } from "./core/token.ts";
export type { Address, PeerName, ShardId, Stamp, Timestamp } from "./core/units.ts";
export type { DocumentHandle } from "./documents/shell/handle.ts";
export type {
  DocumentInfo,
  DocumentList,
  PeerDocuments,
  SearchOptions,
} from "./documents/shell/peer-documents.ts";
export type { FoundDocument, SearchResult } from "./documents/shell/search.ts";
export type {
  AcquireContext,
  AskOptions,
  EntityContext,
  Host,
  ImportContext,
  MessageContext,
  ShardContext,
} from "./host.ts";
export type { ChangeListener, ChangeOf } from "./io/change-feed.ts";
export type { Join } from "./io/discovery.ts";
export type { LiveCounts } from "./io/live-counts.ts";
export type { Origins } from "./io/origin.ts";
export type { PeerStatus, RebalanceOptions } from "./io/served-peer.ts";
export type { LiveDelta, LiveRow } from "./live/live-delta.ts";
export type {
  Clause,
  Condition,
  LiveQuery,
  Operator,
  SortColumn,
} from "./live/query.ts";
export type { ColumnType, Declarations, Scalar } from "./live/row.ts";
export type { Written } from "./live/row-table.ts";
export type { Authorise, LiveRequest } from "./live/shell/live-door.ts";
export type { DeleteRow, PutRow } from "./live/shell/live-service.ts";
export type { LiveSource } from "./live/shell/source-reader.ts";
export type { SourceChange, SourceQuery, SourceRow, SourceRows } from "./live/source.ts";
export type { LiveOptions, LiveQueries, SubscribeOptions } from "./live-queries.ts";
export { type Peer, type Route, startPeer } from "./peer.ts";
export type { DocumentsOption, Logger, PeerOptions } from "./peer-options.ts";
export type { Body } from "./wire/body.ts";
