/**
 * What carries the messages of live queries: controls from gateways to regions, and deltas back.
 *
 * A bus carries them in *conversations* of two peers. Within one they arrive in order, each once, and none
 * is missing; when that cannot be kept any more, the conversation ends, and both ends are told (`lost`). They
 * begin anew then: the region has forgotten what the gateway had asked for, and the gateway asks again. So
 * whatever a bus loses is made good by all rows.
 *
 * Nothing waits in a bus for long: what it cannot carry now it does not take (`canSend`), and says when that
 * has changed (`opened`). Queues, and what happens when they are full, are the business of `region.ts`.
 *
 * Three buses pass one suite: the links between peers, Redis, and one in memory for tests.
 *
 * Rules: SPEC.md, V14.
 */
import type { PeerName, ShardId } from "../core/units.ts";
import type { Answer, Control } from "./message.ts";

/** Where shards are. */
export interface Membership {
  /** The region of a shard; undefined while it has none that lives. */
  regionOf(shard: ShardId): PeerName | undefined;
}

interface Bus {
  /** Whether messages to a peer would be taken now. If not, `opened` says when they are. */
  canSend(to: PeerName): boolean;
}

/** Carries controls to the region of a name. False: they were not taken, and nothing is kept. */
export interface ControlBus extends Bus {
  sendControl(region: PeerName, controls: readonly Control[]): boolean;
}

/** Carries deltas to the gateway of a name. False: they were not taken, and nothing is kept. */
export interface DeltaBus extends Bus {
  sendDeltas(gateway: PeerName, answers: readonly Answer[]): boolean;
}

/** Hears what a bus brings. */
export interface BusListener {
  /** A gateway asks. */
  controls(gateway: PeerName, controls: readonly Control[]): void;
  /** A region answers. */
  deltas(region: PeerName, answers: readonly Answer[]): void;
  /** Messages to a peer are taken, after they were not, or as was needed. */
  opened(peer: PeerName): void;
  /** The conversation with a peer is over: what was on its way may be lost. */
  lost(peer: PeerName): void;
}

/** Both, as one peer has them. */
export interface LiveBus extends ControlBus, DeltaBus {
  /** Keeps conversations with these regions, and no others that this peer began. */
  need(regions: ReadonlySet<PeerName>): void;
  /** This peer begins again: it needs nobody, and all conversations are over, without `lost`. */
  reset(): void;
  close(): void;
}

export type CreateBus = (listener: BusListener) => LiveBus;
