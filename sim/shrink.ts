/**
 * Makes a failing run as small as it can be while it still fails.
 *
 * Taken away are, in this order: kinds of fault, peers, shards, operations, whatever else is not
 * plain, and time; and again, until nothing more can go. Lists are bisected: halves are left out, then
 * quarters, then single ones, so that one culprit among n is found in about 2 log n tries. Numbers are
 * bisected between the smallest that there is and the one that fails. A failure need not be monotone
 * in any of them, so the result is small and not always the smallest.
 *
 * The search yields a run and is told whether it fails: who runs it, and how long they go on, is not
 * decided here.
 *
 * Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002 (ddmin,
 * with complements only).
 */
import {
  CALM,
  drawOptions,
  type FaultKind,
  isStanding,
  type RunOptions,
  type RunRequest,
  requestFor,
  type WorkloadKind,
} from "./options.ts";

/** Yields what to try, is told whether it fails, and returns the smallest that does. */
type Search<T> = Generator<RunOptions, T, boolean>;

/** Fewest peers that can be cut from each other. */
const PEERS_MIN = 2;
/** Durations are multiples of this, in ms: no bug needs to be known more exactly. */
const DURATION_STEP_MS = 250;
/** Calls and faults as rare as that are as good as none, in ms. */
const EVERY_MS_MAX = 1e6;
const FACTORS = [64, 8, 2];

const PLAIN: readonly Partial<RunOptions>[] = [
  ...[{ isCoreHealed: false }, { hosts: false }, { startSpreadMs: 0 }, { diskMs: 0 }],
  { eraMs: 86_400_000 },
  ...Object.values(CALM),
];

/** A search under way. Its owner runs what `next` returns, and says with `tell` whether it failed. */
export class Shrinker {
  /** The smallest run that is known to fail. */
  smallest: RunOptions;
  tries = 0;
  readonly #search: Search<void>;
  readonly #triesMax: number;
  /** What was tried and did not fail. */
  readonly #passed = new Set<string>();
  #candidate: RunOptions | undefined;
  #didFail = false;

  /** `options` are known to fail. */
  constructor(options: RunOptions, triesMax: number) {
    this.smallest = options;
    this.#triesMax = triesMax;
    this.#search = searchFrom(options);
  }

  /** What to try; undefined when the search is over. */
  next(): RunOptions | undefined {
    if (this.tries >= this.#triesMax) return undefined;
    for (;;) {
      const { done, value } = this.#search.next(this.#didFail);
      if (done) return undefined;
      this.#candidate = value;
      this.#didFail = false;
      if (!this.#passed.has(JSON.stringify(value))) return value;
    }
  }

  tell(didFail: boolean): void {
    const candidate = this.#candidate;
    if (candidate === undefined) return;
    this.tries += 1;
    this.#didFail = didFail;
    if (didFail) this.smallest = candidate;
    else this.#passed.add(JSON.stringify(candidate));
  }
}

export interface Shrunk {
  readonly request: RunRequest;
  readonly tries: number;
}

/** `fails` says whether a request still fails; `request` is known to. */
export function shrink(
  request: RunRequest,
  fails: (request: RunRequest) => boolean,
  triesMax = 200,
): Shrunk {
  const shrinker = new Shrinker(drawOptions(request), triesMax);
  for (let next = shrinker.next(); next !== undefined; next = shrinker.next()) {
    shrinker.tell(fails(next));
  }
  return { request: requestFor(shrinker.smallest), tries: shrinker.tries };
}

function* searchFrom(options: RunOptions): Search<void> {
  let smallest = options;
  for (let before: RunOptions | undefined; before !== smallest; ) {
    before = smallest;
    smallest = yield* fewerOf(smallest.faults, smallest, withFaults);
    smallest = yield* lower(smallest, "peers", PEERS_MIN, 1);
    smallest = yield* lower(smallest, "shards", 1, 1);
    smallest = yield* fewerOf(smallest.workload, smallest, withWorkload);
    smallest = yield* rarer(smallest, "operationEveryMs");
    smallest = yield* rarer(smallest, "faultEveryMs");
    smallest = yield* plainer(smallest);
    smallest = yield* lower(smallest, "durationMs", DURATION_STEP_MS, DURATION_STEP_MS);
  }
}

/** Leaves out as many of `items` as it can. */
function* fewerOf<T>(
  items: readonly T[],
  options: RunOptions,
  without: (options: RunOptions, kept: readonly T[]) => RunOptions,
): Search<RunOptions> {
  if (items.length === 0) return options;
  const none = without(options, []);
  if (yield none) return none;
  let kept = items;
  let smallest = options;
  for (let chunk = Math.ceil(kept.length / 2); kept.length > 1; chunk = Math.ceil(chunk / 2)) {
    for (let start = 0; start < kept.length && kept.length > 1; ) {
      const rest = [...kept.slice(0, start), ...kept.slice(start + chunk)];
      const candidate = without(smallest, rest);
      if (rest.length > 0 && (yield candidate)) {
        kept = rest;
        smallest = candidate;
      } else start += chunk;
    }
    if (chunk === 1) break;
  }
  return smallest;
}

/** Without a kind, the network is as it is without it, and the rates of what never happens as drawn. */
function withFaults(options: RunOptions, faults: readonly FaultKind[]): RunOptions {
  const gone = options.faults.filter((kind) => !faults.includes(kind));
  const calm = gone.map((kind) => (isStanding(kind) ? CALM[kind] : {}));
  const { faultEveryMs } = faults.every(isStanding)
    ? drawOptions({ seed: options.seed, faults })
    : options;
  return Object.assign({}, options, ...calm, { faults, faultEveryMs });
}

function withWorkload(options: RunOptions, workload: readonly WorkloadKind[]): RunOptions {
  if (workload.length > 0) return { ...options, workload };
  const { operationEveryMs } = drawOptions({ seed: options.seed });
  return { ...options, workload, operationEveryMs };
}

/** Bisects a number between `min` and what it is, in whole steps. */
function* lower(
  options: RunOptions,
  name: "peers" | "shards" | "durationMs",
  min: number,
  step: number,
): Search<RunOptions> {
  if (options[name] <= min) return options;
  const least = { ...options, [name]: min };
  if (yield least) return least;
  let smallest = options;
  for (let passes = min; smallest[name] - passes > step; ) {
    const middle = passes + step * Math.ceil((smallest[name] - passes) / step / 2);
    if (middle >= smallest[name]) break;
    const candidate = { ...smallest, [name]: middle };
    if (yield candidate) smallest = candidate;
    else passes = middle;
  }
  return smallest;
}

function* rarer(
  options: RunOptions,
  name: "operationEveryMs" | "faultEveryMs",
): Search<RunOptions> {
  const isVoid =
    name === "operationEveryMs" ? options.workload.length === 0 : options.faults.every(isStanding);
  let smallest = options;
  for (const factor of isVoid ? [] : FACTORS) {
    while (smallest[name] * factor <= EVERY_MS_MAX) {
      const candidate: RunOptions = { ...smallest, [name]: smallest[name] * factor };
      if (!(yield candidate)) break;
      smallest = candidate;
    }
  }
  return smallest;
}

/** Tries for each remaining option the value that is least worth a thought, then a round one. */
function* plainer(options: RunOptions): Search<RunOptions> {
  let smallest = options;
  for (const change of PLAIN) smallest = yield* changed(smallest, change);
  for (const name of ["delayMsMean", "bytesPerMs"] as const) {
    smallest = yield* changed(smallest, { [name]: Math.max(1, Math.round(smallest[name])) });
  }
  for (const name of ["lossProbability", "duplicateProbability"] as const) {
    smallest = yield* changed(smallest, { [name]: Math.round(smallest[name] * 100) / 100 });
  }
  return smallest;
}

function* changed(options: RunOptions, change: Partial<RunOptions>): Search<RunOptions> {
  const candidate = { ...options, ...change };
  if (JSON.stringify(candidate) === JSON.stringify(options)) return options;
  return (yield candidate) ? candidate : options;
}
