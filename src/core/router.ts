/**
 * Asks of this peer's users, on their way to whoever serves the shard.
 *
 * Theory of operation
 *
 * Each shard has a lane: asks that wait, in the order in which users made them, and asks that were sent
 * and have no answer yet. The head of the lane goes out when the table names a region that is there,
 * no handoff is under way [H1], and the link has room. Nothing is ever dropped silently: an ask ends with
 * the host's answer, with a code, or with its deadline. What all lanes hold is bounded: `BUFFER_FULL`.
 *
 * An ask that was sent is never sent again, unless its region has said that it was not handled, or has
 * left the cluster without answering: who says goodbye has answered all that it took. If the link ends in
 * any other way, nobody knows: `TIMEOUT` [H3].
 *
 * Order. While asks are under way to one region, none go to another. After a refusal nothing is
 * sent until all that is under way has been answered; then what was refused goes first, and says
 * so (`since`), so that the region refuses whatever it gets out of turn.
 *
 * One hop more than needed, at most: a region that has not got the shard any more says who has it [A8].
 *
 * Deliberately absent: time-outs of single asks as timers. Their deadlines are looked at when the
 * earliest of them has come, so an ask that is answered costs nothing more.
 *
 * Rules: SPEC.md, A8, H1, H3 and S4.
 */
import { Adrift } from "./adrift.ts";
import { assert } from "./assert.ts";
import type { AskOutcome } from "./effect.ts";
import type { ErrorCode, Refusal } from "./error.ts";
import type { MachineEvent } from "./event.ts";
import { refuse } from "./forwarding.ts";
import { ASK_BYTES_MAX, ASK_WINDOW_BYTES, ASKS_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Ask } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { AnswerOutcome } from "./reception.ts";
import type {
  Address,
  Incarnation,
  Instant,
  LinkId,
  PeerName,
  ShardId,
  Timestamp,
} from "./units.ts";
import { ALLOCATIONS } from "./view.ts";
import { OWN_LINK } from "./work.ts";

export interface RouterHooks {
  /** Hands a message to this peer's own region. */
  deliver(ask: Ask): void;
  /** Dials a region to which there is no link. */
  dial(address: Address, region: PeerName): void;
}

/** What a user asked. */
interface Pending {
  /** The number that the user's side knows it by. */
  readonly call: number;
  /** Its place among all that were asked. */
  readonly place: number;
  readonly lane: Lane;
  readonly entity: string;
  readonly body: Uint8Array;
  readonly deadlineAt: Instant;
  /** The number that it was sent under; 0 while it waits. */
  sent: number;
  link: LinkId;
  /** To which life of a peer. */
  to: Incarnation;
  /** The last refusal, for people, should its time be over. */
  refusal: { readonly code: ErrorCode; readonly message: string } | undefined;
}

interface Lane {
  readonly shard: ShardId;
  /** By place. */
  waiting: Pending[];
  /** How many are under way, and over which link. */
  underWay: number;
  link: LinkId;
  /** The first ask that was sent after every refusal was known. */
  since: number;
  /** A refusal has come: nothing is sent until all that is under way is answered. */
  isBroken: boolean;
  /** When to try again after a refusal, and how long to wait after the next one, in ms. */
  retryAt: Instant;
  retryMs: number;
  /** The token of the allocation that was last sent by. */
  token: Timestamp;
}

/** How long a lane waits after a refusal that came without news; doubled up to the longest, in ms. */
const RETRY_MS = 10;
const RETRY_MS_MAX = 250;

/** How long after a dial for a region another one may be made, in ms. */
const DIAL_AGAIN_MS = 500;

/** What a message takes besides its body, about. */
const ASK_BYTES = 64;

export class Router {
  readonly #state: PeerState;
  readonly #hooks: RouterHooks;
  readonly #lanes = new Map<ShardId, Lane>();
  /** All asks without an answer, by the number that the user's side knows. */
  readonly #pending = new Map<number, Pending>();
  /** Those that are under way, by the number that they were sent under. */
  readonly #sent = new Map<number, Pending>();
  /** Bytes under way on each link, and lanes that wait for room there or for the socket to drain. */
  readonly #windows = new Map<LinkId, number>();
  readonly #held = new Set<Lane>();
  readonly #dialledAt = new Map<PeerName, Instant>();
  readonly #adrift: Adrift;
  /** What goes to this peer's own region, and its answers: at the end of a step, and never within. */
  readonly #toOwn: Ask[] = [];
  readonly #fromOwn: { readonly ask: number; readonly outcome: AnswerOutcome }[] = [];
  #lastPlace = 0;
  #lastAsk = 0;
  #bytes = 0;
  /** Not later than the earliest deadline, and the earliest time to try again. */
  #dueAt: Instant = Number.POSITIVE_INFINITY;
  #retryAt: Instant = Number.POSITIVE_INFINITY;
  #linkChanges = 0;
  #wasReady = false;

  constructor(state: PeerState, hooks: RouterHooks) {
    this.#state = state;
    this.#hooks = hooks;
    this.#adrift = new Adrift(state, {
      moved: (from, to) => this.#transfer(from, to),
      lost: (from) => this.linkClosed(from, false),
    });
  }

  /** How many asks have no answer. */
  get size(): number {
    return this.#pending.size;
  }

  /** A user has a message for a shard. */
  asked(event: Extract<MachineEvent, { type: "asked" }>): void {
    const { ask: call, shard, entity, body, timeoutMs } = event;
    const refusal = this.#refusal(shard, body);
    if (refusal !== undefined) {
      this.#settleAsk(call, refusal);
      return;
    }
    const lane = this.#laneOf(shard);
    this.#lastPlace += 1;
    const deadlineAt = this.#state.now + timeoutMs;
    const pending: Pending = {
      call,
      place: this.#lastPlace,
      lane,
      entity,
      body,
      deadlineAt,
      sent: 0,
      link: OWN_LINK,
      to: "",
      refusal: undefined,
    };
    this.#pending.set(call, pending);
    this.#bytes += body.length;
    this.#dueAt = Math.min(this.#dueAt, deadlineAt);
    lane.waiting.push(pending);
    this.#flush(lane);
  }

  /** A user does not wait any more: what was not sent never is. */
  givenUp(call: number): void {
    const pending = this.#pending.get(call);
    if (pending !== undefined) this.#remove(pending);
  }

  /** An answer over a link. */
  answered(link: Link, ask: number, outcome: AnswerOutcome): void {
    // What was asked of somebody else changes nothing.
    const isFrom = this.#sent.get(ask)?.to === link.remote.incarnation;
    if (isFrom) this.#answered(ask, outcome);
  }

  /** An answer of this peer's own region. */
  answeredHere(ask: number, outcome: AnswerOutcome): void {
    this.#fromOwn.push({ ask, outcome });
  }

  /** The entry of a shard has changed. */
  moved(shard: ShardId): void {
    const lane = this.#lanes.get(shard);
    if (lane === undefined) return;
    lane.retryAt = 0;
    lane.retryMs = RETRY_MS;
    this.#flush(lane);
  }

  /**
   * A link was closed as a duplicate of another one to this life of a peer: what was sent over it is
   * answered over that one. Where that is open at its other end only, it will be here soon, or never.
   */
  replaced(link: LinkId, to: Incarnation): void {
    this.#windows.delete(link);
    this.#adrift.add(link, to);
  }

  /** A link has ended. `isFarewell`: its other end has answered what it took. */
  linkClosed(link: LinkId, isFarewell: boolean): void {
    this.#windows.delete(link);
    for (const pending of [...this.#sent.values()]) {
      if (pending.link !== link) continue;
      if (isFarewell)
        this.#refused(pending, "NOT_READY", "Its region takes nothing over that link any more");
      else {
        const message = `The link was lost on which the answer of "${pending.lane.shard}" was to come`;
        this.#end(pending, refuse("TIMEOUT", `${message}: it may have been handled`));
      }
    }
    this.#flushAll();
  }

  /** What is due, and what waits for a link or for this peer. */
  settle(): void {
    const { links, now, isReady } = this.#state;
    const isNews = links.changes !== this.#linkChanges || isReady !== this.#wasReady;
    this.#linkChanges = links.changes;
    this.#wasReady = isReady;
    if (isNews || now >= this.#retryAt) {
      this.#retryAt = Number.POSITIVE_INFINITY;
      this.#flushAll();
    }
    if (now >= this.#dueAt) this.#expire();
    this.#adrift.settle();
    while (this.#toOwn.length > 0 || this.#fromOwn.length > 0) {
      for (const ask of this.#toOwn.splice(0)) this.#hooks.deliver(ask);
      for (const { ask, outcome } of this.#fromOwn.splice(0)) this.#answered(ask, outcome);
    }
  }

  /** A socket has drained. */
  drained(): void {
    this.#flushHeld();
  }

  deadline(): Instant {
    return Math.min(this.#dueAt, this.#retryAt, this.#adrift.deadline());
  }

  /** The link that stays has the asks of one that was closed as its duplicate. */
  #transfer(from: LinkId, link: Link): void {
    let bytes = this.#windows.get(link.id) ?? 0;
    for (const pending of this.#sent.values()) {
      if (pending.link !== from) continue;
      pending.link = link.id;
      bytes += pending.body.length + ASK_BYTES;
      link.asksUnderWay += 1;
    }
    this.#windows.set(link.id, bytes);
  }

  #refusal(shard: ShardId, body: Uint8Array): Refusal | undefined {
    const { view, isReady, isLeaving } = this.#state;
    if (!isReady) return refuse("NOT_READY", "Cannot ask: this peer is not ready");
    if (isLeaving) return refuse("NOT_READY", "Cannot ask: this peer is leaving");
    if (!view.hasShard(shard)) {
      return refuse("SHARD_NOT_FOUND", `Cannot ask "${shard}": there is no such shard`);
    }
    const isFull = this.#pending.size >= ASKS_MAX || this.#bytes + body.length > ASK_BYTES_MAX;
    if (!isFull) return undefined;
    const message = `Cannot ask "${shard}": ${this.#pending.size} asks have no answer yet`;
    return refuse("BUFFER_FULL", message); // [S4, H1]
  }

  #laneOf(shard: ShardId): Lane {
    const known = this.#lanes.get(shard);
    if (known !== undefined) return known;
    const lane: Lane = {
      ...{ shard, waiting: [], underWay: 0, link: OWN_LINK, since: 0, isBroken: false },
      ...{ retryAt: 0, retryMs: RETRY_MS, token: 0 },
    };
    this.#lanes.set(shard, lane);
    return lane;
  }

  #flushAll(): void {
    if (this.#pending.size === 0) return;
    for (const lane of this.#lanes.values()) if (lane.waiting.length > 0) this.#flush(lane);
  }

  #flushHeld(): void {
    const lanes = [...this.#held];
    this.#held.clear();
    for (const lane of lanes) this.#flush(lane);
  }

  /** Sends what may be sent of a lane. */
  #flush(lane: Lane): void {
    if (lane.waiting.length === 0 || (lane.isBroken && lane.underWay > 0)) return;
    const { view, now, isReady } = this.#state;
    if (!isReady) return;
    if (now < lane.retryAt) {
      this.#retryAt = Math.min(this.#retryAt, lane.retryAt);
      return;
    }
    const allocation = view.allocation(lane.shard);
    if (allocation === undefined || view.course(lane.shard).successor !== undefined) return; // [H1]
    const link = this.#linkTo(allocation.region, lane);
    if (link === undefined) return;
    const id = link === "own" ? OWN_LINK : link.id;
    if (lane.underWay > 0 && lane.link !== id) return; // Those come first.
    if (lane.underWay === 0) {
      if (lane.isBroken || lane.link !== id || lane.since === 0) lane.since = this.#lastAsk + 1;
      lane.isBroken = false;
      lane.link = id;
    }
    if (lane.token !== allocation.token && link !== "own") this.#introduce(lane, link);
    lane.token = allocation.token;
    let count = 0;
    for (const pending of lane.waiting) {
      if (!this.#hasRoom(link)) {
        this.#held.add(lane);
        break;
      }
      count += 1;
      this.#send(link, pending, allocation);
    }
    lane.waiting = count === lane.waiting.length ? [] : lane.waiting.slice(count);
  }

  /** A link to the region that carries more than heartbeats; dials one where there is none. */
  #linkTo(region: PeerName, lane: Lane): Link | "own" | undefined {
    const { view, links, options, timings, now } = this.#state;
    if (region === options.name) return "own";
    const member = view.membership.get(region);
    if (member === undefined || member.status === "left") return undefined;
    const { incarnation } = member.row;
    const last = this.#openLink(lane.link);
    const link = last?.remote.incarnation === incarnation ? last : links.to(incarnation);
    if (link !== undefined) {
      return link.isGated(timings.maxDriftMs) ? undefined : link;
    }
    if (
      member.status === "alive" &&
      now - (this.#dialledAt.get(region) ?? -Infinity) > DIAL_AGAIN_MS
    ) {
      this.#dialledAt.set(region, now);
      this.#hooks.dial(member.row.address, region);
    }
    this.#retryAt = Math.min(this.#retryAt, now + DIAL_AGAIN_MS);
    return undefined;
  }

  #openLink(id: LinkId): Link | undefined {
    const link = this.#state.links.get(id);
    return link?.isClosing === false ? link : undefined;
  }

  #hasRoom(link: Link | "own"): boolean {
    if (link === "own") return true;
    return !link.isCongested && (this.#windows.get(link.id) ?? 0) < ASK_WINDOW_BYTES;
  }

  /** [A8] A region may not know yet what others wrote of it: it is told before it is asked. */
  #introduce(lane: Lane, link: Link): void {
    const entry = this.#state.replica.map(ALLOCATIONS).entry(lane.shard);
    if (entry === undefined || entry.writer === link.remote.incarnation) return;
    this.#state.send(link, { type: "delta", maps: [{ map: ALLOCATIONS, entries: [entry] }] });
  }

  #send(
    link: Link | "own",
    pending: Pending,
    { token, writer }: { readonly token: number; readonly writer: string },
  ): void {
    const { lane, entity, body, deadlineAt } = pending;
    this.#lastAsk += 1;
    pending.sent = this.#lastAsk;
    pending.link = lane.link;
    lane.underWay += 1;
    this.#sent.set(pending.sent, pending);
    const remainingMs = Math.max(0, Math.floor(deadlineAt - this.#state.now));
    const to = link === "own" ? this.#state.options.incarnation : link.remote.incarnation;
    pending.to = to;
    const ask: Ask = {
      type: "ask",
      ask: pending.sent,
      since: lane.since,
      shard: lane.shard,
      entity,
      remainingMs,
      token,
      writer: writer === to ? "" : writer,
      body,
    };
    if (link === "own") this.#toOwn.push(ask);
    else {
      this.#windows.set(link.id, (this.#windows.get(link.id) ?? 0) + body.length + ASK_BYTES);
      link.asksUnderWay += 1;
      link.isWanted = true; // [G7] An ask says so.
      this.#state.send(link, ask);
    }
  }

  #answered(ask: number, outcome: AnswerOutcome): void {
    const pending = this.#sent.get(ask);
    if (pending === undefined) return;
    if (outcome.how === "refused") {
      this.#refused(pending, outcome.code, outcome.message);
      return;
    }
    pending.lane.retryMs = RETRY_MS;
    if (outcome.how === "done") this.#end(pending, { ok: true, body: outcome.body });
    else this.#end(pending, refuse(outcome.code, outcome.message));
  }

  /** [H3] It was not handled: it goes back to its place. */
  #refused(pending: Pending, code: ErrorCode, message: string): void {
    const { lane } = pending;
    this.#land(pending);
    pending.refusal = { code, message };
    const at = lane.waiting.findIndex(({ place }) => place > pending.place);
    if (at === -1) lane.waiting.push(pending);
    else lane.waiting.splice(at, 0, pending);
    if (!lane.isBroken) {
      lane.isBroken = true;
      const token = this.#state.view.allocation(lane.shard)?.token ?? 0;
      if (token === lane.token) {
        lane.retryAt = this.#state.now + lane.retryMs;
        lane.retryMs = Math.min(2 * lane.retryMs, RETRY_MS_MAX);
      }
    }
    this.#flush(lane);
  }

  #expire(): void {
    const { now } = this.#state;
    this.#dueAt = Number.POSITIVE_INFINITY;
    for (const pending of [...this.#pending.values()]) {
      if (pending.deadlineAt <= now) this.#end(pending, this.#lateness(pending));
      else this.#dueAt = Math.min(this.#dueAt, pending.deadlineAt);
    }
  }

  /** Why there is no answer: whether it was handled is known only of what was not sent. */
  #lateness({ lane: { shard }, sent, refusal }: Pending): Refusal {
    if (sent !== 0) {
      return refuse("TIMEOUT", `"${shard}" has not answered in time: it may have been handled`);
    }
    if (refusal !== undefined) {
      return refuse(refusal.code, `${refusal.message}; it was not handled`);
    }
    const region = this.#state.view.regionFor(shard);
    return region === undefined
      ? refuse("NO_REGION", `No region hosts "${shard}"; it was not handled`)
      : refuse("NOT_READY", `"${region}" could not be asked in time; it was not handled`);
  }

  #end(pending: Pending, outcome: AskOutcome): void {
    this.#remove(pending);
    this.#settleAsk(pending.call, outcome);
  }

  #remove(pending: Pending): void {
    const { lane } = pending;
    this.#pending.delete(pending.call);
    this.#bytes -= pending.body.length;
    if (pending.sent !== 0) {
      this.#land(pending);
      this.#flush(lane);
    } else {
      const at = lane.waiting.indexOf(pending);
      if (at !== -1) lane.waiting.splice(at, 1);
    }
    if (lane.waiting.length === 0 && lane.underWay === 0) this.#held.delete(lane);
  }

  /** It is not under way any more. */
  #land(pending: Pending): void {
    const { lane, link, sent, body } = pending;
    assert(sent !== 0 && this.#sent.delete(sent), "what lands was under way");
    pending.sent = 0;
    lane.underWay -= 1;
    const via = this.#state.links.get(link);
    if (via !== undefined) via.asksUnderWay -= 1;
    const bytes = this.#windows.get(link);
    if (bytes === undefined) return;
    const left = Math.max(0, bytes - body.length - ASK_BYTES);
    this.#windows.set(link, left);
    if (this.#held.size > 0 && left < ASK_WINDOW_BYTES / 2) this.#flushHeld();
  }

  #settleAsk(ask: number, outcome: AskOutcome): void {
    this.#state.effect({ type: "settle-ask", ask, outcome });
  }
}
