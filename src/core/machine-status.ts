/**
 * One peer in numbers: what `status` shows.
 */
import { whyNotReady } from "./calls.ts";
import type { PeerState } from "./peer-state.ts";
import type { PlanSettings } from "./plan-settings.ts";
import type { PeerName } from "./units.ts";

/** What `status` shows. */
export interface MachineStatus {
  readonly name: PeerName;
  readonly incarnation: string;
  readonly cluster: string;
  readonly viewId: string;
  readonly fingerprint: string;
  readonly clock: { readonly time: number; readonly driftMs: number };
  readonly members: Record<"alive" | "suspect" | "dead" | "left", number>;
  readonly shards: number;
  readonly allocations: number;
  readonly links: number;
  readonly tick: number;
  /** Number of the present era [M5]; 0 since the founding, and for a newcomer. */
  readonly era: number;
  /** Whether it serves and takes writes; if not, `why` says what it waits for. */
  readonly ready: boolean;
  readonly why: string;
  /** Whether it gives its shards away. */
  readonly draining: boolean;
  /** What regions plan by; null when this peer cannot read it. */
  readonly plan: PlanSettings | null;
  /** Entries of the whole replica, tombstones included. */
  readonly entries: number;
  /** Names the content of the whole replica, all maps of it. */
  readonly replica: string;
  /** Entries from outside that were refused, by reason. */
  readonly refused: { readonly malformed: number; readonly drift: number };
}

/** What a peer in this state shows; `refused` counts entries from outside. */
export function statusOf(
  state: PeerState,
  isReady: boolean,
  refused: MachineStatus["refused"],
): MachineStatus {
  const { options, view, clock, leadMs, replica, links, eras } = state;
  const members = { alive: 0, suspect: 0, dead: 0, left: 0 };
  for (const { status } of view.membership.all()) members[status] += 1;
  return {
    name: options.name,
    incarnation: options.incarnation,
    cluster: options.cluster,
    viewId: view.viewId(),
    fingerprint: view.fingerprint(),
    clock: { time: clock.last, driftMs: leadMs },
    members,
    shards: view.shards().length,
    allocations: view.allocationCount,
    links: links.open().length,
    tick: view.ticks.current?.tick ?? 0,
    era: eras.era?.number ?? 0,
    ready: isReady,
    why: whyNotReady(state),
    draining: state.draining,
    plan: view.planSettings() ?? null,
    entries: replica.entryCount,
    replica: replica.fingerprint(),
    refused: { ...refused },
  };
}
