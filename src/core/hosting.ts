/**
 * Which shards this region serves, under which token, and how it takes them.
 *
 * Theory of operation
 *
 * The table says whose a shard is; this says whether that region serves it. A region serves only under
 * an entry that it wrote itself, in its present life, since it last stopped serving [H7]: whoever gives
 * it a shard, it writes the entry anew before it starts. So the writer of a fencing token is the one
 * process that may serve under it, and two never serve under the same.
 *
 * To take a shard it waits for whoever had it: not at all where that region wrote the entry itself, since
 * it writes that last; for its answer where somebody else moved the shard; for `claimSettleMs` where
 * nobody is left to ask [H5].
 *
 * Fencing comes before anything else: an entry that takes a shard away ends its service in the step that
 * merges it [A7], and so does the loss of the majority for all of them [F9]. A peer that finds that it was
 * paused starts nothing, and writes nothing, until an exchange has told it what it missed [A9].
 *
 * Deliberately absent: giving shards away (`giving.ts`), messages (`reception.ts`, `router.ts`), and the
 * decision what moves where (`planner.ts`).
 *
 * Rules: SPEC.md, A7, A9, F9, H0, H5, H6 and H7.
 */
import { assert } from "./assert.ts";
import { Giving } from "./giving.ts";
import type { HandoffState } from "./handoff.ts";
import type { HostReport, HostTraits } from "./host-task.ts";
import { type HostedShard, HostedShards } from "./hosted-shards.ts";
import { ENTITIES_REMEMBERED_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Stop, Stopped } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { AnswerOutcome, Reception } from "./reception.ts";
import { ENTITIES, entityKey, REMEMBERED } from "./remembered.ts";
import { StateTransfer } from "./state-transfer.ts";
import { Stopping } from "./stopping.ts";
import type { Instant, PeerName, ShardId, Timestamp } from "./units.ts";
import { isEntity, type Running } from "./work.ts";

/** How long a host that could not take a shard is left alone, in ms. */
const ACQUIRE_AGAIN_MS = 1000;

/** How often entities are looked at for passivation, at most, in ms. */
const PASSIVATE_EVERY_MS_MIN = 100;

const MOVING: ReadonlySet<HandoffState> = new Set(["draining", "exporting", "releasing"]);

export class Hosting {
  readonly transfer: StateTransfer;
  readonly #stopping: Stopping;
  readonly #giving: Giving;
  readonly #shards: HostedShards;
  readonly #state: PeerState;
  readonly #reception: Reception;
  readonly #onChanged: (shard: ShardId) => void;
  #wasReady = false;
  #isCatchingUp = false;
  /** Entries that are not newer were written before this region last stopped serving [H7]. */
  #notBefore: Timestamp = 0;
  #passivateAt: Instant = Number.POSITIVE_INFINITY;

  /** `onChanged` is told of every shard whose entry has changed, once this region has looked at it. */
  constructor(state: PeerState, reception: Reception, onChanged: (shard: ShardId) => void) {
    this.#state = state;
    this.#reception = reception;
    this.#onChanged = onChanged;
    const shards = new HostedShards(state, reception);
    this.#shards = shards;
    this.#stopping = new Stopping(state, {
      isBusy: (shard) => reception.work.isBusy(shard),
      serves: (shard) => shards.get(shard) !== undefined,
      stopped: (shard, token) => this.#othersStopped(shard, token),
    });
    this.transfer = new StateTransfer(state, {
      shard: (shard) => shards.get(shard),
      task: (task) => shards.task(task),
      importing: (record) => shards.go(record, "chunk"),
      exported: (record) => this.#giving.exported(record),
      aborted: (record, why) => this.#giving.abort(record, why),
      takesState: () => shards.traits?.imports === true,
    });
    this.#giving = new Giving(shards, this.transfer, (record) => this.#settled(record));
  }

  /** A user has given this peer a host: its shards are told to it, one by one. */
  register(traits: HostTraits): void {
    this.#shards.traits = traits;
    this.#state.isHosting = true;
    this.#reception.work.configure(traits.passivateAfterMs);
    if (traits.passivateAfterMs < Number.POSITIVE_INFINITY) this.#planPassivation(traits);
    this.#adoptAll();
  }

  /** Whether this region takes messages of a shard: it serves it, or has told the host to. */
  takes(shard: ShardId): boolean {
    this.catchUp(); // [A7]
    const state = this.#shards.get(shard)?.state;
    return !this.#state.isStale && (state === "serving" || state === "acquiring");
  }

  /** Gives a shard of this region to another one: at once, unless a host serves it. */
  begin(shard: ShardId, successor: PeerName): void {
    this.catchUp();
    this.#giving.begin(shard, successor);
  }

  /** Whether this region gives shards away and has not handed them over yet. */
  isHandingOver(): boolean {
    return this.#shards.all().some(({ state }) => MOVING.has(state));
  }

  /** Stops serving everything, whatever the table says: this peer may not serve [F9]. */
  stopAll(): void {
    for (const record of this.#shards.all()) this.#lose(record, undefined);
    this.#notBefore = this.#state.clock.last;
  }

  /** The same, and whoever waits for work in progress is told that nobody knows how it ends. */
  giveUpAll(): void {
    this.stopAll();
    for (const shard of this.#state.view.shards()) {
      if (this.#reception.work.isBusy(shard)) this.#shards.giveUpWork(shard);
    }
  }

  /** Looks at the entries that have changed: what they take away is served no more [A7]. */
  catchUp(): void {
    const state = this.#state;
    if (state.touched.length === 0 || this.#isCatchingUp) return;
    this.#isCatchingUp = true;
    // Looking may write, and so touch more.
    for (let index = 0; index < state.touched.length; index += 1) {
      const shard = state.touched[index] as ShardId;
      this.#consider(shard);
      this.#onChanged(shard);
    }
    state.touched = [];
    this.#isCatchingUp = false;
  }

  /** The host has done something. */
  reported(report: HostReport): void {
    this.catchUp();
    if (report.type === "handled") this.#handled(report);
    else if (report.type === "exported") this.transfer.exported(report);
    else if (report.type === "imported") this.transfer.imported(report);
    else {
      const record = this.#shards.get(report.shard);
      if (report.type === "acquired") this.#acquired(record, report.token, report.error);
      else this.#released(record, report);
    }
  }

  /** A region asks this one to stop, or says that it has [H5]. */
  asked(link: Link, message: Stop | Stopped): void {
    this.catchUp();
    this.#stopping.received(link, message);
  }

  /** What is due, and what follows from everything that happened in this step. */
  settle(): void {
    this.catchUp();
    const state = this.#state;
    const { isReady, isStale, now } = state;
    if (this.#wasReady && !isReady && state.isHosting) this.stopAll(); // [F9]
    if (!this.#wasReady && isReady) this.#adoptAll(); // [H7]
    this.#wasReady = isReady;
    this.#stopping.settle();
    if (!isReady || isStale) return;
    if (state.membersChanged) this.#watchOthers();
    const { traits } = this.#shards;
    if (now >= this.#passivateAt && traits !== undefined) {
      this.#planPassivation(traits);
      this.#reception.work.passivate(now);
    }
    for (const record of this.#shards.overdue()) this.#overdue(record);
    this.catchUp();
  }

  deadline(): Instant {
    const { isReady, isStale } = this.#state;
    if (!isReady || isStale) return this.#stopping.deadline();
    return Math.min(this.#shards.dueAt, this.#passivateAt, this.#stopping.deadline());
  }

  /** [A9] An exchange has ended, or there is nobody to have one with: serves on. */
  resume(): void {
    this.#adoptAll();
    this.catchUp();
    this.#reception.work.resume(this.#state.now);
  }

  /** Tells the host to handle a message, or to let go of an entity. */
  start(work: number, { shard, entity, item }: Running): void {
    const record = this.#shards.get(shard);
    assert(record !== undefined, "work is started where a shard is served");
    const { token } = record;
    const held = { work, shard, token, writer: this.#state.options.incarnation, entity };
    if (item === undefined) this.#shards.task({ type: "passivate", ...held });
    else this.#shards.task({ type: "handle", ...held, from: item.from, body: item.body });
  }

  /** [H6] An entity has its first message, or has let go. */
  entity(shard: ShardId, entity: string, isStarted: boolean): void {
    const { remembered, replica } = this.#state;
    const isNews = isEntity(entity) && remembered.has(shard, entity) !== isStarted;
    if (this.#shards.traits?.remembers !== true || !isNews) return;
    if (isStarted && (remembered.count >= ENTITIES_REMEMBERED_MAX || replica.isFull)) return; // [S4]
    const value = isStarted ? REMEMBERED : undefined;
    this.#state.write(ENTITIES, entityKey(shard, entity), value);
  }

  /** Looks at what the table says of a shard now. */
  #consider(shard: ShardId): void {
    const { view, options, isReady, isHosting, isStale } = this.#state;
    const record = this.#shards.get(shard);
    const region = view.regionFor(shard);
    if (region !== options.name) {
      const isNext = view.course(shard).successor === options.name && isHosting && isReady;
      if (isNext) this.#await(shard, record);
      else if (record !== undefined) this.#lose(record, region);
      return;
    }
    if (!isReady || isStale) return;
    const { token, writer } = view.allocation(shard) as { token: number; writer: string };
    const isOwn = writer === options.incarnation;
    const { successor } = view.course(shard);
    if (successor !== undefined) {
      if (isOwn && record?.begin === token) return;
      // [H7] A handoff that this region does not run: somebody asks for it, or asked an earlier life.
      const isThere = view.membership.get(successor)?.status === "alive";
      if (isThere) this.#giving.begin(shard, successor);
      else this.#shards.confirm(shard); // [H4]
    } else if (isHosting && !(isOwn && record?.token === token)) {
      this.#given(record ?? this.#shards.add(shard), isOwn ? token : undefined);
    }
  }

  /** An entry names this region as the successor: it will have the shard. */
  #await(shard: ShardId, record: HostedShard | undefined): void {
    const begin = this.#state.view.allocation(shard)?.token ?? 0;
    const isWaiting = record?.state === "waiting" || record?.state === "importing";
    if (isWaiting && record.begin === begin) return;
    if (record !== undefined) this.#lose(record, this.#state.view.regionFor(shard));
    this.#shards.add(shard).begin = begin;
  }

  /** The table gives a shard to this region, or gives it back; `own` is the token of an own entry. */
  #given(record: HostedShard, own: Timestamp | undefined): void {
    switch (record.state) {
      case "waiting":
      case "importing":
      case "settling":
        this.#shards.go(record, "given");
        this.#settle(record);
        break;
      case "acquiring":
      case "serving":
        if (own === undefined) this.#takeAnew(record);
        else {
          this.#shards.go(record, "given");
          this.#shards.renew(record, own);
        }
        break;
      case "draining":
      case "exporting":
        if (own === undefined) this.#takeAnew(record);
        else this.#giving.keep(record, own);
        break;
      case "releasing":
        this.#shards.go(record, "aborted");
        this.#settle(record);
        break;
      case "gone":
        assert(false, "what is gone is forgotten");
    }
  }

  /**
   * [H7] Somebody else gives this region a shard that it serves: another one may have served it meanwhile,
   * under a higher token than this one's host was told.
   */
  #takeAnew(record: HostedShard): void {
    this.#lose(record, this.#state.options.name);
    this.#given(this.#shards.add(record.shard), undefined);
  }

  /** [H5] Waits for whoever had the shard. */
  #settle(record: HostedShard): void {
    const { view, timings } = this.#state;
    const { shard } = record;
    const { token = 0, writer = "" } = view.allocation(shard) ?? {};
    const { from } = view.course(shard);
    const before = from === undefined ? undefined : view.membership.get(from);
    record.token = token;
    record.from = before?.row.incarnation === writer ? from : undefined;
    this.transfer.given(record);
    if (record.from !== undefined || before?.removed === true) this.#settled(record);
    else if (from !== undefined && before?.row.hosts === true) {
      this.#shards.wait(record, timings.handoffMs);
      this.#stopping.ask(shard, from, token);
    } else this.#shards.wait(record, timings.claimSettleMs);
  }

  #othersStopped(shard: ShardId, token: Timestamp): void {
    if (!this.#state.isReady) return; // [F9] What came with it may say so.
    const record = this.#shards.get(shard);
    if (record?.state === "settling" && record.token === token) this.#settled(record);
  }

  /** [H7] Serves from here on, under an entry of its own. */
  #settled(record: HostedShard): void {
    const { view, options, remembered, now } = this.#state;
    const { shard } = record;
    const { token = 0, writer } = view.allocation(shard) ?? {};
    const isFresh = writer === options.incarnation && token > this.#notBefore;
    record.token = isFresh ? token : this.#shards.confirm(shard);
    this.#shards.go(record, "settled");
    this.#reception.work.hold(shard, remembered.of(shard), now);
    this.#tellToAcquire(record);
  }

  #tellToAcquire(record: HostedShard): void {
    const { shard, token, from } = record;
    const { options, remembered, timings } = this.#state;
    record.told = token;
    record.hasFailed = false;
    this.#shards.wait(record, timings.handoffMs);
    const writer = options.incarnation;
    const entities = remembered.of(shard);
    this.#shards.task({ type: "acquire", shard, token, writer, from, entities });
  }

  #acquired(record: HostedShard | undefined, told: Timestamp, error: string | undefined): void {
    if (record?.state !== "acquiring" || record.told !== told) return;
    const { shard, token } = record;
    if (error !== undefined) {
      this.#shards.warnFailed("take", shard, error);
      record.hasFailed = true;
      this.#shards.wait(record, ACQUIRE_AGAIN_MS);
      return;
    }
    this.#shards.go(record, "acquired");
    this.#shards.wait(record, Number.POSITIVE_INFINITY);
    record.isAnnounced = true;
    this.#state.notify({ type: "acquire", shard, token, writer: this.#state.options.incarnation });
    this.#reception.work.open(shard, this.#state.now);
  }

  #released(
    record: HostedShard | undefined,
    { shard, token, error }: Extract<HostReport, { type: "released" }>,
  ): void {
    if (error !== undefined) this.#shards.warnFailed("release", shard, error);
    if (record?.state === "releasing" && record.told === token) this.#giving.released(record);
  }

  #handled(report: Extract<HostReport, { type: "handled" }>): void {
    const { work } = this.#reception;
    const running = work.ended(report.work, this.#state.now);
    if (running === undefined) return;
    const { item, shard } = running;
    const outcome: AnswerOutcome =
      "body" in report
        ? { how: "done", body: report.body }
        : { how: "failed", code: "HANDLER_FAILED", message: report.error };
    if (item !== undefined) this.#reception.answer(item, outcome);
    if (work.isBusy(shard)) return;
    const record = this.#shards.get(shard);
    if (record !== undefined) this.#giving.idle(record);
    this.#stopping.idle(shard);
  }

  /** [A7] Another region's, or nobody's: nothing of it is served any more. */
  #lose(record: HostedShard, to: PeerName | undefined): void {
    const { shard, state, token } = record;
    if (state === "importing" || state === "exporting") this.transfer.abandon(record);
    this.#shards.go(record, "lost");
    this.#shards.forget(record, to);
    if (state === "waiting" || state === "importing" || state === "settling") return;
    if (state === "releasing") return; // The host has been told.
    this.#shards.closeWork(shard);
    this.#shards.task({ type: "cancel", shard });
    this.#shards.task({ type: "release", shard, token });
  }

  /** [H4] A state has lasted too long. */
  #overdue(record: HostedShard): void {
    const { shard, state } = record;
    if (this.#shards.get(shard) !== record) return;
    if (state === "settling") this.#settled(record);
    else if (state === "acquiring" && record.hasFailed) this.#tellToAcquire(record);
    else if (state === "acquiring") {
      this.#state.warn("HANDOFF_TIMEOUT", `The host takes long to take "${shard}"`);
      this.#shards.wait(record, this.#state.timings.handoffMs);
    } else this.#giving.overdue(record);
  }

  #watchOthers(): void {
    for (const record of this.#shards.all()) {
      if (record.state !== "settling") this.#giving.watchSuccessor(record);
      else {
        // [H5] Nobody waits for a region that is gone for good.
        const { from } = this.#state.view.course(record.shard);
        const member = from === undefined ? undefined : this.#state.view.membership.get(from);
        if (member?.removed === true) this.#settled(record);
      }
    }
  }

  /** Looks at every shard that the table gives to this region, or is to. */
  #adoptAll(): void {
    const { view, options } = this.#state;
    for (const { shard, region } of view.allocations()) {
      const isOurs = region === options.name || view.course(shard).successor === options.name;
      if (isOurs) this.#state.touched.push(shard);
    }
  }

  #planPassivation({ passivateAfterMs }: HostTraits): void {
    const everyMs = Math.max(PASSIVATE_EVERY_MS_MIN, passivateAfterMs / 4);
    this.#passivateAt = this.#state.now + everyMs;
  }
}
