/**
 * Peers that checkers are shown: as broken as a test wants them.
 */
import { type Checker, Violations } from "../../sim/checker.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import type { MachineEvent } from "../../src/core/event.ts";
import type { Entry, Message } from "../../src/core/message.ts";
import { TIMINGS } from "../../src/core/timings.ts";

/** As much of a peer as checkers look at. Each test shows them a broken one. */
export interface Shown {
  readonly incarnation?: string;
  readonly entries?: readonly Entry[];
  readonly status?: object;
  readonly regions?: Record<string, string | undefined>;
  readonly members?: readonly string[];
  readonly clockTime?: number;
  readonly wallMs?: number;
  readonly links?: number;
  /** Names of those whom links lead to. */
  readonly heard?: readonly string[];
}

/** The one between any two of them. */
const CONNECTION = {};

export function peerOf(name: string, shown: Shown = {}): SimulatedPeer {
  const { regions = {}, entries = [], members = ["a", "b"] } = shown;
  const allocation = (shard: string) => {
    const region = regions[shard];
    return region === undefined ? undefined : { shard, region, token: 5, writer: "w" };
  };
  const allocations = () => Object.keys(regions).flatMap((shard) => allocation(shard) ?? []);
  const status: Record<string, unknown> = {
    ...{ ready: true, why: "waits", fingerprint: "f", replica: "r", viewId: "v" },
    ...{ members: { alive: 2 }, refused: { malformed: 0, drift: 0 } },
    ...shown.status,
  };
  const machine = {
    ...shown,
    isReady: status.ready,
    entries: () => [{ map: "m", entries }],
    allocationEntries: () => entries,
    entry: (map: string, key: string) =>
      map === "m" ? entries.find((entry) => entry.key === key) : undefined,
    status: () => status,
    view: {
      fingerprint: () => status.fingerprint,
      viewId: () => status.viewId,
      shards: () => Object.keys(regions),
      regionFor: (shard: string) => regions[shard],
      allocation,
      course: () => ({}),
      allocations,
      allocationFor: (document: string) =>
        allocation(Object.keys(regions)[document.length % 2] ?? ""),
      membership: {
        get: (member: string) => (members.includes(member) ? { status: "alive" } : undefined),
      },
    },
  };
  const options = { timings: TIMINGS.lan, join: ["x:1"], diskMs: 0, downing: "majority" };
  const links = {
    openCount: shown.links ?? 0,
    isOpen: () => true,
    connectionOf: () => CONNECTION,
    remotes: () => shown.heard ?? [],
  };
  const clocks = { now: 0, wallMs: shown.wallMs ?? 0 };
  const { fingerprint: table, viewId: view, replica } = status;
  const summary = { table, view, replica, alive: (status.members as { alive: number }).alive };
  const rest = { ...clocks, lives: 1, changes: 1, summary };
  return { name, machine, options, links, ...rest } as unknown as SimulatedPeer;
}

/** The rules that a checker finds broken when it is shown something. */
export function rulesOf<C extends Checker>(
  make: (report: Violations["report"]) => C,
  show: (checker: C) => void,
): string[] {
  const violations = new Violations(() => 0);
  show(make(violations.report));
  return violations.list.map(({ rule }) => rule);
}

export const entry = (time: number, value: string, writer = "w"): Entry => ({
  ...{ key: "k", value, time, writer },
});
export const maps = (...entries: Entry[]) => [{ map: "m", entries }];
/** A peer in its first life, and what others call it by. */
export const alive = (name: string, shown: Shown = {}) =>
  peerOf(name, { incarnation: name, ...shown });

export const opened = (link: number, incarnation: string): MachineEvent => ({
  ...{ type: "link-opened", link },
  remote: { name: incarnation, incarnation, address: "x:1", wallMs: 0, founding: undefined },
});

export const received = (link: number, ...messages: Message[]): MachineEvent => ({
  ...{ type: "received", link, messages, refused: 0 },
});
