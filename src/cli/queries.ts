/**
 * The commands that ask a peer one thing and print the answer.
 *
 * With `--json` they print what the peer answered, unchanged, so that a script sees the same as one
 * that speaks HTTP. The tables for people leave out what nobody reads.
 */
import type { Allocation, Member } from "../core/effect.ts";
import type { LiveCounts } from "../io/live-counts.ts";
import { type AnyCommand, defineCommand } from "./command.ts";
import { type Column, colours, listOf, paintStatus, printable, tableOf } from "./output.ts";
import { PeerApi, type PeerCall, type RoutedDocument } from "./peer-api.ts";

/** Asks the peer and prints: its answer as JSON, or what `lines` makes of it. */
export async function ask<Answer>(
  call: PeerCall,
  question: (api: PeerApi) => Promise<unknown>,
  lines: (answer: Answer) => readonly string[],
): Promise<void> {
  const api = PeerApi.of(call);
  try {
    const answer = await question(api);
    const text = call.json ? JSON.stringify(answer) : lines(answer as Answer).join("\n");
    call.output.out(`${text}\n`);
  } finally {
    api.close();
  }
}

interface Status {
  readonly name: string;
  readonly incarnation: string;
  readonly cluster: string;
  readonly viewId: string;
  readonly fingerprint: string;
  readonly clock: { readonly driftMs: number };
  readonly members: Readonly<Record<"alive" | "suspect" | "dead" | "left", number>>;
  readonly shards: number;
  readonly allocations: number;
  readonly links: number;
  readonly tick: number;
  readonly ready?: boolean;
  readonly why?: string;
  readonly live?: LiveCounts | null;
}

interface ShardRow {
  readonly shard: string;
  readonly region: string | null;
  readonly status: string;
  readonly documents: number;
  readonly memoryBytes: number;
}

interface Move {
  readonly shard: string;
  readonly from?: string | null;
  readonly to: string;
}

const status = defineCommand({
  usage: "status",
  summary: "what a peer is and sees",
  settings: ["peer", "ca"],
  run: (call) =>
    ask(
      call,
      (api) => api.ask("GET", "/v1/status"),
      (answer: Status) => {
        const { members, clock, live } = answer;
        const counts = Object.entries(members).map(([state, count]) => `${count} ${state}`);
        return listOf([
          ["name", answer.name],
          ["state", answer.why],
          ["cluster", answer.cluster],
          ["incarnation", answer.incarnation],
          ["members", counts.join(", ")],
          ["links", String(answer.links)],
          ["shards", `${answer.shards}, ${answer.allocations} allocated`],
          ["fingerprint", answer.fingerprint],
          ["view", answer.viewId],
          ["clock", `${clock.driftMs} ms ahead of the wall`],
          ["tick", String(answer.tick)],
          ...(live == null ? [] : [["live queries", liveText(live)] as const]),
        ]);
      },
    ),
});

/** `3 subscriptions of 2 shapes; answers 2 in 2 views; 17 deltas, 4 resets, 0 lagged, 1 refused`. */
function liveText(live: LiveCounts): string {
  const { subscriptions, shapes, upstreams, views, deltas, resets, lagged } = live;
  const refused = Object.values(live.refused).reduce((sum, count) => sum + count, 0);
  const told = `${deltas} deltas, ${resets} resets, ${lagged} lagged, ${refused} refused`;
  return `${subscriptions} subscriptions of ${shapes} shapes; answers ${upstreams} in ${views} views; ${told}`;
}

const MEMBER_COLUMNS: readonly Column<Member>[] = [
  { title: "NAME", cell: ({ name }) => name },
  { title: "ADDRESS", cell: ({ address }) => address },
  {
    title: "STATUS",
    cell: ({ status: state }) => state,
    paint: ({ status: state }) => paintStatus(state),
  },
  { title: "SINCE", cell: ({ since }) => dateOf(since) },
  { title: "ZONE", cell: ({ zone }) => zone },
  { title: "WHY", cell: ({ why }) => why },
];

const members = defineCommand({
  usage: "members",
  summary: "who belongs to the cluster, the dead and those that left included",
  settings: ["peer", "ca"],
  run: (call) =>
    ask(
      call,
      (api) => api.ask("GET", "/v1/members"),
      (answer: Member[]) => tableOf(MEMBER_COLUMNS, answer),
    ),
});

const ALLOCATION_COLUMNS: readonly Column<Allocation>[] = [
  { title: "SHARD", cell: ({ shard }) => shard },
  { title: "REGION", cell: ({ region }) => region },
  { title: "TOKEN", cell: ({ token }) => token },
  { title: "WRITER", cell: ({ writer }) => writer },
];

const allocations = defineCommand({
  usage: "allocations",
  summary: "which region hosts which shard",
  settings: ["peer", "ca"],
  run: (call) =>
    ask(
      call,
      (api) => api.ask("GET", "/v1/allocations"),
      (answer: Allocation[]) => tableOf(ALLOCATION_COLUMNS, answer),
    ),
});

const SHARD_COLUMNS: readonly Column<ShardRow>[] = [
  { title: "SHARD", cell: ({ shard }) => shard },
  { title: "REGION", cell: ({ region }) => region },
  { title: "STATUS", cell: ({ status: state }) => state },
  { title: "DOCUMENTS", cell: ({ documents }) => documents },
  { title: "MEMORY", cell: ({ memoryBytes }) => memoryBytes },
];

const shards = defineCommand({
  usage: "shards",
  summary: "every registered shard and what it holds",
  settings: ["peer", "ca"],
  run: (call) =>
    ask(
      call,
      (api) => api.ask("GET", "/v1/shards"),
      (answer: ShardRow[]) => tableOf(SHARD_COLUMNS, answer),
    ),
});

/** One line about an allocation that was written. */
function allocated({ shard, region, token, superseded }: Partial<Allocation>): string[] {
  const before = superseded === undefined ? "" : `, before in ${printable(superseded.region)}`;
  const where = region ? `is in ${colours.bold(printable(region))}` : "is released";
  return [`${printable(shard ?? "")} ${where}${before} (token ${token})`];
}

const pathOf = (shard: string | undefined): string =>
  `/v1/allocations/${encodeURIComponent(shard ?? "")}`;

const allocate = defineCommand({
  usage: "allocate <shard> <region>",
  summary: "put a shard into a region",
  settings: ["peer", "ca"],
  flags: { pin: "it belongs there from now on, and not only until the next plan" },
  example: "hearsay allocate shard-7 peer-2",
  run: (call) => {
    const [shard, region] = call.operands;
    const body = { region, pin: call.flags.pin };
    return ask(call, (api) => api.ask("PUT", pathOf(shard), body), allocated);
  },
});

const release = defineCommand({
  usage: "release <shard>",
  summary: "take a shard from its region, for the plan to place anew",
  settings: ["peer", "ca"],
  run: (call) => ask(call, (api) => api.ask("DELETE", pathOf(call.operands[0])), allocated),
});

const ROUTE_COLUMNS: readonly Column<RoutedDocument>[] = [
  { title: "DOCUMENT", cell: ({ document }) => document },
  { title: "SHARD", cell: ({ shard }) => shard },
  { title: "REGION", cell: ({ region }) => region },
  { title: "TOKEN", cell: ({ token }) => token },
];

const route = defineCommand({
  usage: "route <document...>",
  summary: "which shard documents belong to, and which region hosts it",
  settings: ["peer", "ca"],
  example: "hearsay route notes/monday.md notes/tuesday.md",
  run: (call) =>
    ask(
      call,
      (api) => api.route(call.operands),
      (answer: RoutedDocument[]) => tableOf(ROUTE_COLUMNS, answer),
    ),
});

const MOVE_COLUMNS: readonly Column<Move>[] = [
  { title: "SHARD", cell: ({ shard }) => shard },
  { title: "FROM", cell: ({ from }) => from },
  { title: "TO", cell: ({ to }) => to },
];

const rebalance = defineCommand({
  usage: "rebalance",
  summary: "make the loads of all regions equal",
  settings: ["peer", "ca"],
  flags: { "dry-run": "only print the moves" },
  run: (call) =>
    ask(
      call,
      (api) => api.ask("POST", "/v1/rebalance", { dryRun: call.flags["dry-run"] }),
      (answer: Move[]) =>
        answer.length === 0 ? ["Nothing to move"] : tableOf(MOVE_COLUMNS, answer),
    ),
});

const drain = defineCommand({
  usage: "drain <region>",
  summary: "make a region give its shards away and take none, until it is restarted",
  settings: ["peer", "ca"],
  flags: { undo: "let it take shards again" },
  run: (call) => {
    const path = `/v1/regions/${encodeURIComponent(call.operands[0] ?? "")}/drain`;
    return ask(
      call,
      (api) => api.ask("POST", path, { undo: call.flags.undo }),
      ({ region, draining }: { readonly region: string; readonly draining: boolean }) => [
        `${printable(region)} ${draining ? "gives its shards away" : "takes shards again"}`,
      ],
    );
  },
});

const leave = defineCommand({
  usage: "leave",
  summary: "make the peer give its shards to others and stop",
  settings: ["peer", "ca"],
  run: (call) =>
    ask(
      call,
      (api) => api.ask("POST", "/v1/leave"),
      () => [`${call.settings.peer} leaves the cluster`],
    ),
});

function dateOf(unixMs: number): string {
  const date = new Date(unixMs);
  return Number.isNaN(date.getTime()) ? "-" : date.toISOString().replace("T", " ").slice(0, 19);
}

/** In the order of `hearsay --help`. */
export const QUERIES: readonly AnyCommand[] = [
  ...[status, members, allocations, shards, allocate, release, route, rebalance, drain, leave],
];
