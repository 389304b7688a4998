/**
 * Reads rows from a source of the user's (`source.ts`), for the views of this peer's shards.
 *
 * The first thing that is read of a shard says from which position on its changes are to be told; only then are
 * they asked for, and only then is anything else read. When nobody follows the shard any more the changes
 * are not asked for either.
 *
 * A source is slow, fails, or contradicts itself, sooner or later. A read is given a deadline and tried again
 * once; then those who follow that view are told so by a code. When changes end, fail or contradict what was
 * told before, nothing that was told of the shard can be relied on: its views are dropped, and whoever
 * follows them asks anew and gets all rows. If that happens again and again they get the code, too. Changes
 * that come without end take their turns with everything else that the process has to do.
 *
 * Rules: SPEC.md, V15.
 */
import { setTimeout } from "node:timers/promises";
import type { ErrorCode } from "../../core/error.ts";
import { shardOf } from "../../core/shard-of.ts";
import type { FencingToken } from "../../core/token.ts";
import type { Instant, ShardId } from "../../core/units.ts";
import type { Clock } from "../../io/clock.ts";
import type { AcquireContext } from "../../io/host-runner.ts";
import type { Service, Services } from "../../io/services.ts";
import type { RegionRead } from "../region.ts";
import type { Answered, RowWrite } from "../replicated-rows.ts";
import type { Table } from "../row.ts";
import {
  believeRows,
  KnownRows,
  type SourceChange,
  type SourceQuery,
  type SourceRows,
  sourceQueryOf,
} from "../source.ts";
import type { ReadResult } from "../view.ts";
import type { RegionRows, SourceHooks } from "./region-rows.ts";

/** Reads that a source has to answer at once. */
const READS_MAX = 16;

/** How long a source may take with one read, in ms: less than a gateway waits for it. */
const READ_MS = 4000;

/** How often a read is tried. */
const TRIES_MAX = 2;

/** How long after a failure a source is asked again for the same shard, in ms: twice as long each time. */
const RETRY_MS = 50;
const RETRY_MS_MAX = 5000;

/** Failures in a row after which whoever follows a shard is told so, and asks when it likes. */
const FAILURES_MAX = 5;

/** How long changes must have been told before earlier failures are forgotten, in ms. */
const SOUND_MS = 10_000;

/** How long changes may be dealt with before others have their turn, in ms. */
const TURN_MS = 4;

/** How often is looked whether a shard is still followed, in ms. */
const IDLE_MS = 1000;

/** Where rows are, if not in the peers. Both functions may be asked for several shards at a time. */
export interface LiveSource {
  read(query: SourceQuery): Promise<SourceRows> | SourceRows;
  /** All changes of rows of a shard behind position `since`, in order, until `signal` aborts. */
  changes(shard: ShardId, since: number, signal: AbortSignal): AsyncIterable<SourceChange>;
}

export interface SourceReaderOptions {
  readonly source: LiveSource;
  readonly tables: ReadonlyMap<string, Table>;
  readonly services: Services;
  readonly clock: Clock;
  readonly shardCount: number;
  /** Hears why a source was not believed, or did not answer. */
  readonly onProblem: (problem: string) => void;
}

interface Tailed {
  readonly shard: ShardId;
  readonly token: FencingToken;
  /** Ends what was asked for this shard. */
  stop: AbortController;
  /** Whether changes are being told. */
  isTold: boolean;
  startedAt: Instant;
  /** Reads that wait for the first one. */
  readonly waiting: RegionRead[];
  isFirstRead: boolean;
  failures: number;
  retryAt: Instant;
}

/** What a source has done wrong, in words for "The source ...". */
class Doubt extends Error {}

export class SourceReader implements RegionRows, Service {
  readonly #options: SourceReaderOptions;
  readonly #hooks: SourceHooks;
  readonly #known: KnownRows;
  readonly #shards = new Map<ShardId, Tailed>();
  readonly #timer: NodeJS.Timeout;
  #reads = 0;

  constructor(options: SourceReaderOptions, hooks: SourceHooks) {
    this.#options = options;
    this.#hooks = hooks;
    const { tables, shardCount, services } = options;
    const shardFor = (tenant: string, entity: string): ShardId =>
      `shard-${shardOf(tenant, entity, shardCount)}`;
    this.#known = new KnownRows(tables, shardFor);
    services.register("rows", this);
    this.#timer = setInterval(() => this.#endIdle(), IDLE_MS).unref();
  }

  get canRead(): boolean {
    return this.#reads < READS_MAX;
  }

  read(read: RegionRead): void {
    const tailed = this.#shards.get(read.shard);
    if (tailed === undefined || !this.#hooks.isWanted(read)) return; // It has gone meanwhile.
    if (tailed.failures >= FAILURES_MAX && this.#now() < tailed.retryAt) {
      this.#hooks.refused(read, "HANDLER_FAILED", "the source of its rows does not answer");
    } else if (tailed.isTold) void this.#read(tailed, read);
    else if (tailed.isFirstRead) tailed.waiting.push(read);
    else {
      tailed.isFirstRead = true;
      void this.#readFirst(tailed, read);
    }
  }

  write(_shard: ShardId, _write: RowWrite, answered: Answered): void {
    const message = "Cannot write: rows are written where they live, at their source";
    answered({ ok: false, code: "BAD_REQUEST", message });
  }

  viewChanged(): void {}

  close(): void {
    clearInterval(this.#timer);
    for (const { stop } of this.#shards.values()) stop.abort();
    this.#shards.clear();
  }

  // What a service is told.

  onAcquire(shard: ShardId, { token, writer }: AcquireContext): void {
    this.#shards.get(shard)?.stop.abort();
    const own = { token, writer };
    this.#shards.set(shard, {
      ...{ shard, token: own, stop: new AbortController(), isTold: false, isFirstRead: false },
      ...{ waiting: [], failures: 0, retryAt: 0, startedAt: 0 },
    });
    this.#hooks.serving(shard, own, 0);
  }

  /** [H7] Subscribers believe the highest token only. */
  onRenew(shard: ShardId, context: AcquireContext): void {
    this.onRelease(shard);
    this.onAcquire(shard, context);
  }

  onRelease(shard: ShardId): void {
    this.#shards.get(shard)?.stop.abort();
    this.#shards.delete(shard);
    this.#known.forget(shard);
  }

  onReset(): void {
    for (const shard of [...this.#shards.keys()]) this.onRelease(shard);
  }

  /** The first read of a shard: from its position on changes are told. */
  async #readFirst(tailed: Tailed, read: RegionRead): Promise<void> {
    const { signal } = tailed.stop;
    const wait = tailed.retryAt - this.#now();
    if (wait > 0) await pause(wait, signal);
    const position = signal.aborted ? undefined : await this.#read(tailed, read);
    if (signal.aborted) return;
    tailed.isFirstRead = false;
    const waiting = tailed.waiting.splice(0);
    if (position !== undefined) {
      tailed.isTold = true;
      tailed.startedAt = this.#now();
      void this.#tail(tailed, position, signal);
    } else this.#countFailure(tailed);
    for (const each of waiting) this.read(each);
  }

  /** Resolves to the position that was read at, when there is one. */
  async #read(tailed: Tailed, read: RegionRead): Promise<number | undefined> {
    const { shard, stop } = tailed;
    this.#reads += 1;
    let code: ErrorCode = "HANDLER_FAILED";
    let why = "";
    for (let tries = 1; tries <= TRIES_MAX && !stop.signal.aborted; tries += 1) {
      try {
        const result = await this.#ask(tailed, read);
        this.#reads -= 1;
        if (stop.signal.aborted) return undefined;
        // Before the rows, so that what is told next is taken for what follows.
        if (!tailed.isTold) this.#hooks.startAt(shard, result.position);
        this.#hooks.wasRead(read, result);
        return result.position;
      } catch (error) {
        code = error instanceof Late ? "TIMEOUT" : "HANDLER_FAILED";
        why = (error as Error).message;
        if (tries < TRIES_MAX) await pause(RETRY_MS, stop.signal);
      }
    }
    this.#reads -= 1;
    if (stop.signal.aborted) return undefined;
    this.#options.onProblem(`The source of rows ${why}`);
    this.#hooks.refused(
      read,
      code,
      `the source of its rows ${code === "TIMEOUT" ? why : "failed"}`,
    );
    return undefined;
  }

  async #ask(tailed: Tailed, { shard, request }: RegionRead): Promise<ReadResult> {
    const { signal, end } = within(READ_MS, tailed.stop.signal);
    // What was known when it began [V4]: later changes are kept for it, or will be told.
    const knownTo = this.#hooks.positionOf(shard);
    const asked = (async () => this.#options.source.read(sourceQueryOf(shard, request, signal)))();
    const answer = await firstOf(asked, signal).finally(end);
    if (answer === GIVEN_UP) throw new Late(`did not answer in ${READ_MS} ms`);
    const believed = believeRows(answer, request, knownTo, this.#known);
    if (!believed.ok) throw new Doubt(believed.why);
    return believed.result;
  }

  /** Tells of changes until the shard goes, or the source fails. */
  async #tail(tailed: Tailed, since: number, signal: AbortSignal): Promise<void> {
    const { shard } = tailed;
    let position = since;
    let turnBegan = this.#now();
    let changes: AsyncIterator<unknown> | undefined;
    try {
      changes = this.#options.source.changes(shard, since, signal)[Symbol.asyncIterator]();
      while (!signal.aborted) {
        const next = await firstOf(changes.next(), signal);
        if (next === GIVEN_UP) break;
        if (next.done === true) throw new Doubt("told of no more changes");
        const believed = this.#known.believe(next.value, shard, position);
        if (!believed.ok) throw new Doubt(believed.why);
        position = believed.position;
        if (believed.change !== undefined) this.#hooks.changed(shard, believed.change);
        if (this.#now() - turnBegan < TURN_MS) continue;
        await new Promise((resolve) => setImmediate(resolve));
        turnBegan = this.#now();
      }
    } catch (error) {
      if (!signal.aborted) this.#failed(tailed, error as Error);
    }
    // It may hang: nobody waits for that.
    if (changes?.return !== undefined) Promise.resolve(changes.return()).catch(() => {});
  }

  /** Nothing that was told of the shard can be relied on. */
  #failed(tailed: Tailed, error: Error): void {
    const isDoubt = error instanceof Doubt;
    this.#options.onProblem(`The source of rows ${isDoubt ? "" : "failed: "}${error.message}`);
    if (this.#now() - tailed.startedAt >= SOUND_MS) tailed.failures = 0;
    this.#countFailure(tailed);
    this.#beginAnew(tailed);
  }

  #countFailure(tailed: Tailed): void {
    tailed.retryAt = this.#now() + Math.min(RETRY_MS * 2 ** tailed.failures, RETRY_MS_MAX);
    tailed.failures += 1;
  }

  #beginAnew(tailed: Tailed): void {
    const { shard, token } = tailed;
    tailed.stop.abort();
    tailed.stop = new AbortController();
    tailed.isTold = false;
    tailed.isFirstRead = false;
    tailed.waiting.length = 0; // Their views go.
    this.#known.forget(shard);
    this.#hooks.serving(shard, token, 0);
  }

  #endIdle(): void {
    for (const tailed of this.#shards.values()) {
      if (tailed.isTold && this.#hooks.viewsOf(tailed.shard) === 0) this.#beginAnew(tailed);
    }
  }

  #now(): Instant {
    return this.#options.clock.now();
  }
}

/** A source did not answer in time. */
class Late extends Error {}

const GIVEN_UP = Symbol("given up");

/** What comes first. Nothing is left behind in `signal`, which may outlive many of these. */
async function firstOf<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | typeof GIVEN_UP> {
  let giveUp = (): void => {};
  const over = new Promise<typeof GIVEN_UP>((resolve) => {
    giveUp = () => resolve(GIVEN_UP);
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp);
  });
  try {
    return await Promise.race([promise, over]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** A signal that aborts with another one, or after so many ms unless it is ended. */
function within(ms: number, parent: AbortSignal): { signal: AbortSignal; end: () => void } {
  const own = new AbortController();
  const abort = (): void => own.abort();
  const timer = globalThis.setTimeout(abort, ms);
  parent.addEventListener("abort", abort);
  if (parent.aborted) abort();
  const end = (): void => {
    clearTimeout(timer);
    parent.removeEventListener("abort", abort);
  };
  return { signal: own.signal, end };
}

/** Resolves after so many ms, or when `signal` aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => {});
}
