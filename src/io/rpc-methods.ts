/**
 * The table of methods that a client may call on a peer: one line each.
 *
 *   release: write(name("shard")),
 *
 * A line says what kind of call a method of `Peer` is and what its arguments must look like, and that is
 * all there is to do. The peer calls its own method of that name; the client's type (`client.ts`) is
 * derived from it, with the same parameters, and a promise of the same result; the compiler compares
 * both with this table. A method whose arguments are of a kind that is not there yet takes a function
 * more in `rpc-parameters.ts`. Results need nothing: any value that `rpc-values.ts` can say will do.
 *
 * Kinds
 *
 *   read      tells something, and changes nothing
 *   repeat    changes something, and doing it twice is doing it once: setting, marking, registering
 *   write     everything else. What may have been done is never done again by itself [Q2]
 *   wait      tells when something has happened, however long that takes. Its last parameter is options,
 *             and the peer is given a `signal` in them, which aborts when nobody waits any more [Q3]
 *   stream    tells again and again: an async iterable. Its last parameter as that of `wait`
 *
 * The first, `wait` and `stream` need a token with the scope `read`, where there are tokens at all, the
 * others one with `write`; what decides who is in the cluster or where everything is, is `forAdmins` [S2].
 *
 * Deliberately absent: what belongs to the process that runs the peer, such as hosting and leaving.
 *
 * Rules: SPEC.md, section Q.
 */
import { PHASE_TIMEOUT_MS_MAX, SHARDS_MAX } from "../core/limits.ts";
import { TICK_MAX } from "../core/tick-view.ts";
import type { Scope } from "./client-access.ts";
import {
  type ArgumentOf,
  contribution,
  fields,
  flag,
  integer,
  key,
  list,
  name,
  optional,
  options,
  orNull,
  type Parameter,
  phases,
  text,
  weight,
} from "./rpc-parameters.ts";

export type MethodKind = "read" | "repeat" | "write" | "wait" | "stream";

/** One line of the table. */
export interface Method {
  readonly kind: MethodKind;
  readonly parameters: readonly Parameter<unknown>[];
  /** What a client's token must allow. */
  readonly scope: Scope;
}

type Line<Kind extends MethodKind, P> = {
  readonly kind: Kind;
  readonly parameters: P;
  readonly scope: Scope;
};
type Parameters = readonly Parameter<unknown>[];

const line =
  <const Kind extends MethodKind>(kind: Kind, scope: Scope) =>
  <const P extends Parameters>(...parameters: P): Line<Kind, P> => ({ kind, parameters, scope });

/** Documents and bytes of a shard: as many as a number counts. */
const COUNT_MAX = Number.MAX_SAFE_INTEGER;

/** Terms that one call asks for. */
const TERMS_MAX = 16_384;

const read = line("read", "read");
const repeat = line("repeat", "write");
const write = line("write", "write");
const wait = line("wait", "read");
const stream = line("stream", "read");

const forAdmins = <L extends Method>(each: L): L => ({ ...each, scope: "admin" });

export const METHODS = {
  status: read(),
  members: read(),
  shards: read(),
  onlineShards: read(),
  shard: read(name("shard")),
  allocations: read(),
  regionFor: read(name("shard")),
  routeDocument: read(text("document")),
  routeNode: read(text("node")),
  snapshot: read(),
  pins: read(),
  allocate: write(name("shard"), name("region"), options({ pin: flag("pin") })),
  release: write(name("shard")),
  rebalance: forAdmins(
    write(
      options({
        ...{ dryRun: flag("dryRun"), strategy: name("strategy") },
        movesMax: orNull(integer("movesMax", 0, SHARDS_MAX)),
      }),
    ),
  ),
  drain: forAdmins(repeat(optional(name("region")), options({ undo: flag("undo") }))),
  registerShard: write(options({ key: key("key"), weight: weight("weight") })),
  deregisterShard: forAdmins(repeat(name("shard"))),
  updateShardMetrics: repeat(
    name("shard"),
    fields({
      documents: integer("documents", 0, COUNT_MAX),
      memoryBytes: integer("memoryBytes", 0, COUNT_MAX),
    }),
  ),
  replicaShards: read(text("document"), optional(integer("count", 1, SHARDS_MAX))),
  totalDocuments: read(),
  clusterStats: read(),
  leastLoadedShard: read(),
  startTick: write(
    options({
      phases: phases("phases"),
      timeoutMs: integer("timeoutMs", 1, PHASE_TIMEOUT_MS_MAX),
    }),
  ),
  phaseComplete: repeat(name("shard"), text("phase"), integer("tick", 0, TICK_MAX)),
  waitForPhase: wait(
    text("phase"),
    integer("tick", 0, TICK_MAX),
    options({ timeoutMs: integer("timeoutMs", 1, PHASE_TIMEOUT_MS_MAX) }),
  ),
  barrierReady: read(text("phase"), integer("tick", 0, TICK_MAX)),
  currentTick: read(),
  tickStatus: read(),
  publishFrequencies: repeat(name("shard"), contribution("contribution")),
  globalDf: read(list("terms", text("term"), TERMS_MAX)),
  idf: read(text("term")),
  ready: wait(options({})),
  watch: stream(options({})),
} as const satisfies Readonly<Record<string, Method>>;

export type MethodName = keyof typeof METHODS;

/** The names of the methods of one kind. */
export type MethodOfKind<Kind extends MethodKind> = {
  [Name in MethodName]: (typeof METHODS)[Name]["kind"] extends Kind ? Name : never;
}[MethodName];

type ArgumentsOf<P extends Parameters> = { readonly [Index in keyof P]: ArgumentOf<P[Index]> };

/** What a peer must be to be called: everything in the table. */
export type RpcTarget = {
  readonly [Name in MethodName]: (
    ...args: ArgumentsOf<(typeof METHODS)[Name]["parameters"]>
  ) => unknown;
};

const METHODS_BY_NAME: ReadonlyMap<string, Method> = new Map(Object.entries(METHODS));

/** Finds a method by what a stranger calls it. */
export function methodNamed(method: string): Method | undefined {
  return METHODS_BY_NAME.get(method);
}

/** Says why `args` are none for the method, in words for "Cannot call ...: "; undefined when they are. */
export function problemOf({ parameters }: Method, args: readonly unknown[]): string | undefined {
  if (args.length > parameters.length) return "there are too many arguments";
  for (const [index, { problem }] of parameters.entries()) {
    const wrong = problem(args[index]);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
