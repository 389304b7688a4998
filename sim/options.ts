/**
 * What a run is like: everything that was not asked for is drawn from the seed.
 *
 * Swarm testing: each run has some kinds of fault and lacks others altogether, since a fault that is
 * always there hides what only happens without it. Everything is drawn in the same order whatever was
 * asked for, so that a run which leaves something out is otherwise the run that it was.
 *
 * Source: Groce et al., "Swarm testing", ISSTA 2012.
 */
import type { Downing } from "../src/core/downing.ts";
import { MESH_MAX } from "../src/core/overlay.ts";
import { Random } from "../src/core/random.ts";

const DAY_MS = 86_400_000;

/** Eras that are shorter than this cost more than nothing while a cluster is idle, in ms. */
export const ERA_MS_MIN = 3_600_000;

/** Kinds of fault, each with what it does. */
export const FAULTS = {
  loss: "segments are lost: late frames, links that go silent in one direction, links that are reset",
  duplicate: "frames arrive twice",
  delay: "frames take long",
  clog: "a direction holds all frames back for up to five seconds, then lets them go at once",
  narrow: "links carry few bytes, so that buffers fill",
  reset: "links are reset",
  dark: "a host loses its power: nobody is told, and nobody refuses",
  partition: "peers are cut into two sides",
  isolate: "one peer is cut off",
  oneway: "one direction between two peers is cut",
  ring: "each peer hears only its neighbours",
  swizzle: "the links of some peers are cut one by one and restored in another order",
  crash: "a process is killed and restarted from its disk",
  torn: "a process is killed between two effects of a step",
  rolling: "all processes are restarted, one after another",
  wipe: "a process is killed and restarted with an empty disk",
  pause: "a process is stopped and goes on later",
  slow: "a process takes long for everything",
  skew: "a wall clock is off by less than the drift bound, and drifts",
  step: "a wall clock steps back or forth by up to a minute",
  hour: "a wall clock is an hour off",
  clone: "a second process is started with the name and the disk of another",
  hostile: "an admitted peer sends bytes, entries and exchanges that make no sense",
  stranger: "a peer of another cluster dials everybody",
  leave: "a peer leaves, and comes back later, with its disk or with an empty one",
  reject: "a firewall between two sides answers dials and frames with resets",
} as const;

export type FaultKind = keyof typeof FAULTS;
export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[];

/** Kinds that do not strike but are there all along, each with the options of a network without it. */
export const CALM = {
  loss: { lossProbability: 0 },
  duplicate: { duplicateProbability: 0 },
  delay: { delayMsMean: 1 },
  narrow: { bytesPerMs: 100_000 },
} as const;

export type StandingKind = keyof typeof CALM;
export type StrikeKind = Exclude<FaultKind, StandingKind>;

export function isStanding(kind: FaultKind): kind is StandingKind {
  return Object.hasOwn(CALM, kind);
}

/** Kinds of operation, each with what it does. */
export const WORKLOADS = {
  allocate: "a shard is allocated to a region",
  release: "a shard is released",
  route: "a document is routed",
  ticks: "ticks are started, and phases completed by regions and by strangers",
  registry: "shards are registered and removed, and say what they hold",
  frequencies: "a shard's document frequencies are published",
  ask: "an entity is asked to count, where hosts serve the shards",
  live: "rows are written, and queries over them followed, where hosts serve the shards",
  documents: "a document is edited, where hosts serve the shards",
} as const;

export type WorkloadKind = keyof typeof WORKLOADS;
export const WORKLOAD_KINDS = Object.keys(WORKLOADS) as WorkloadKind[];

/** How many peers there are, each as likely: every pair of them costs time, and most bugs need few. */
const PEERS = [2, 3, 3, 3, 4, 4, 5, 5, 6, 7] as const;

/** Share of the runs that have an overlay, and how many peers more: each takes as long as six others. */
const SPARSE_SHARE = 0.05;
const MORE_PEERS = 6;

/** The phase with faults, in ms: most runs are short, since most bugs need little time, and some are long. */
const DURATION_MS_MIN = 5000;
const DURATION_MS_MAX = 60_000;

/** What a run is made of. */
export interface RunOptions {
  readonly seed: number;
  readonly peers: number;
  readonly shards: number;
  /** Length of the phase with faults, in ms. */
  readonly durationMs: number;
  readonly faults: readonly FaultKind[];
  readonly workload: readonly WorkloadKind[];
  /** Mean ms between two faults of one kind. */
  readonly faultEveryMs: number;
  /** Mean ms between two operations of a busy workload. */
  readonly operationEveryMs: number;
  readonly delayMsMean: number;
  /** How long a disk takes, in ms; 0 where there is none. */
  readonly diskMs: number;
  readonly lossProbability: number;
  readonly duplicateProbability: number;
  readonly bytesPerMs: number;
  readonly downing: Downing;
  /** Length of an era, in ms: a day, unless eras are to come and go in a run. */
  readonly eraMs: number;
  /** Members up to which everybody links to everybody. */
  readonly meshMax: number;
  /** Over how many ms peers are started. */
  readonly startSpreadMs: number;
  /** Whether in the end only some peers are healed, and all other trouble stays. */
  readonly isCoreHealed: boolean;
  /** Whether hosts serve the shards, so that these move by handoff. */
  readonly hosts: boolean;
}

/** What the caller asks for; the rest is drawn. */
export type RunRequest = { readonly seed: number } & {
  readonly [Name in Exclude<keyof RunOptions, "seed" | "faults">]?: RunOptions[Name];
} & { readonly faults?: "swarm" | "none" | readonly FaultKind[] };

/** Draws what was not asked for. Equal requests give equal options. */
export function drawOptions(request: RunRequest): RunOptions {
  const random = new Random(request.seed);
  const swarm = drawSwarm(random);
  const { faults = "swarm", ...asked } = request;
  const kinds = faults === "swarm" ? swarm : faults === "none" ? [] : faults;
  const has = (kind: FaultKind) => kinds.includes(kind);
  const rates = [random.unit(), random.unit(), random.unit(), random.unit()] as const;
  const peers = random.pick(PEERS) ?? 2;
  const drawn: RunOptions = {
    seed: request.seed,
    peers,
    shards: 1 + random.below(24),
    durationMs: drawDuration(random),
    faults: kinds,
    workload: [],
    // As many faults in a run whether these are of few kinds or of many.
    faultEveryMs: (300 + random.below(6000)) * Math.max(1, kinds.length),
    operationEveryMs: 10 + random.below(1500),
    delayMsMean: has("delay") ? 5 + 95 * rates[0] : (random.pick([0.2, 1, 5]) ?? 1),
    diskMs: random.pick([0, 0, 0.3, 8]) ?? 0,
    lossProbability: has("loss") ? 0.3 * rates[1] ** 2 : 0,
    duplicateProbability: has("duplicate") ? 0.5 * rates[2] : 0,
    bytesPerMs: has("narrow") ? 20 + 500 * rates[3] : CALM.narrow.bytesPerMs,
    downing: random.chance(0.7) ? "majority" : "off",
    meshMax: MESH_MAX,
    startSpreadMs: random.pick([0, 50, 6000]) ?? 0,
    isCoreHealed: random.chance(0.4),
    eraMs: random.pick([DAY_MS, DAY_MS, 8000, 20_000]) ?? DAY_MS,
    hosts: random.chance(0.6),
  };
  const sparse = drawSparse(random, drawn);
  const quorum = Math.floor((asked.peers ?? sparse.peers ?? peers) / 2) + 1;
  const rules = ["majority", "majority", "oldest", `static-quorum=${quorum}`] as const;
  const rule = random.pick(rules) ?? "majority";
  const downing = drawn.downing === "off" ? drawn.downing : rule;
  return { ...drawn, ...sparse, downing, workload: drawWorkload(random), ...asked };
}

function drawDuration(random: Random): number {
  const share = random.unit() ** 3;
  return Math.round(DURATION_MS_MIN + (DURATION_MS_MAX - DURATION_MS_MIN) * share);
}

/** Swarm testing here, too: what is always done hides what only happens without it. */
function drawWorkload(random: Random): WorkloadKind[] {
  const share = 0.2 + 0.8 * random.unit();
  return WORKLOAD_KINDS.filter(() => random.chance(share));
}

/** Some runs have an overlay, although few peers are enough for most of what can go wrong. */
function drawSparse(random: Random, { peers }: RunOptions): Partial<RunOptions> {
  const [isSparse, meshMax] = [random.chance(SPARSE_SHARE), 2 + random.below(5)];
  return isSparse ? { peers: peers + MORE_PEERS, meshMax } : {};
}

/** Some runs have nearly all kinds of fault, some nearly none. */
function drawSwarm(random: Random): FaultKind[] {
  const share = random.unit() ** 2;
  return FAULT_KINDS.filter(() => random.chance(share));
}

/** The shortest request that draws exactly these options. */
export function requestFor(options: RunOptions): RunRequest {
  const { seed, faults, ...others } = options;
  const isSwarm = isEqual(drawOptions({ seed }).faults, faults);
  const named = faults.length === 0 ? ("none" as const) : faults;
  const whole: RunRequest = isSwarm ? { seed, ...others } : { seed, faults: named, ...others };
  // Some of what is drawn follows from what is asked for: a quorum from the number of peers.
  return Object.keys(others).reduce((request, name) => {
    const { [name as keyof typeof others]: _, ...shorter } = request;
    return isSameRun(drawOptions(shorter), options) ? shorter : request;
  }, whole);
}

function isSameRun(one: RunOptions, other: RunOptions): boolean {
  return Object.entries(one).every(([name, value]) =>
    isEqual(value, other[name as keyof RunOptions]),
  );
}

function isEqual(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other)) return one.join() === other.join();
  return Object.is(one, other);
}
