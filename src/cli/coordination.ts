/**
 * The commands for what a coordinator would do: copies of documents, and ticks by hand.
 */
import type { TickStatus } from "../core/barrier.ts";
import type { Allocation } from "../core/effect.ts";
import { type AnyCommand, defineCommand } from "./command.ts";
import { wrongUsage } from "./failure.ts";
import { type Column, listOf, printable, tableOf } from "./output.ts";
import type { PeerApi } from "./peer-api.ts";
import { ask } from "./queries.ts";

/** Shards that are named in the text for people, at most. */
const SHARDS_NAMED_MAX = 8;

const REPLICA_COLUMNS: readonly Column<Allocation>[] = [
  { title: "SHARD", cell: ({ shard }) => shard },
  { title: "REGION", cell: ({ region }) => region },
  { title: "TOKEN", cell: ({ token }) => token },
];

const replicas = defineCommand({
  usage: "replicas <document> [count]",
  summary: "the shards for copies of a document, in distinct regions and zones",
  settings: ["peer", "ca"],
  example: "hearsay replicas notes/monday.md 3",
  run: (call) => {
    const [document = "", count] = call.operands;
    const query = new URLSearchParams({ document, ...(count === undefined ? {} : { count }) });
    return ask(
      call,
      (api) => api.ask("GET", `/v1/replicas?${query}`),
      ({ shards, complete }: { shards: Allocation[]; complete: boolean }) => [
        ...tableOf(REPLICA_COLUMNS, shards),
        ...(complete ? [] : ["There are not as many regions as copies"]),
      ],
    );
  },
});

const tick = defineCommand({
  usage: "tick <action> [shard] [phase]",
  summary: "ticks by hand: start, status, or complete a phase for a shard",
  settings: ["peer", "ca"],
  example: "hearsay tick complete shard-7 sense",
  run: async (call) => {
    const [action, shard, phase] = call.operands;
    await ask(call, questionOf(action, shard, phase), linesOf);
  },
});

/** What `tick` asks. Throws a `Failure` for wrong usage, before anything is asked. */
function questionOf(
  action: string | undefined,
  shard: string | undefined,
  phase: string | undefined,
): (api: PeerApi) => Promise<unknown> {
  if (action === "complete") {
    if (shard === undefined || phase === undefined) {
      throw wrongUsage("Name a shard and a phase: hearsay tick complete SHARD PHASE");
    }
    return async (api) => {
      const present = (await api.ask("GET", "/v1/ticks/current")) as TickStatus;
      const path = `/v1/ticks/${present.tick}/phases/${encodeURIComponent(phase)}`;
      return api.ask("POST", path, { shard });
    };
  }
  if (shard !== undefined)
    throw wrongUsage(`hearsay tick ${printable(action ?? "")} takes no shard`);
  if (action === "start") return (api) => api.ask("POST", "/v1/ticks", {});
  if (action === "status") return (api) => api.ask("GET", "/v1/ticks/current");
  throw wrongUsage("Say what to do: hearsay tick start, status or complete");
}

function linesOf({ tick: number, phase, phases, completed, pending, state }: TickStatus): string[] {
  if (phase === null) return ["No tick has started yet"];
  return listOf([
    ["tick", `${number}, ${state}`],
    ["phase", `${phase}, of ${phases.join(", ")}`],
    ["completed", namesOf(completed)],
    ["pending", namesOf(pending)],
  ]);
}

function namesOf(shards: readonly string[]): string {
  const names = shards.slice(0, SHARDS_NAMED_MAX).map(printable);
  const more = shards.length - names.length;
  return [...names, ...(more > 0 ? [`${more} more`] : [])].join(", ") || "nobody";
}

/** In the order of `hearsay --help`. */
export const COORDINATION: readonly AnyCommand[] = [replicas, tick];
