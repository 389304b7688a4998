/**
 * Calls that another peer must carry out are passed on to it, and its answers come back.
 *
 * Theory of operation
 *
 * A call has a *carrier*: the one peer that may carry it out. Where that is another one, the call is
 * sent to it as a `request` over the link between the two, and carried out there as if it had been
 * called there; a `response` brings the outcome back. Who receives a request decides anew who the
 * carrier is, since views may differ: it may pass the request on once more, and no further, so that two
 * peers that each believe the other to be the carrier do not play ball with it.
 *
 * A deadline is absolute where the user called, and what travels is the time that is left: clocks of
 * different peers are never compared. Where there is no link to the carrier, one is dialled.
 *
 * Every call is answered, exactly once. What has certainly not been carried out is `UNREACHABLE`. Once a
 * request has left, the loss of its link or the end of its time says nothing about whether it was
 * carried out: that is `TIMEOUT`, and its message says so. Nothing is ever sent twice, and a receiver takes the
 * numbers of one link in ascending order only, so a request is carried out at most once.
 *
 * Answers are expected from a life of a peer and not from a link: when one of two links of a pair is
 * closed as a duplicate, the answer comes over the other.
 *
 * Deliberately absent: who the carrier is, and what carrying out means (`calls.ts`).
 *
 * Rules: SPEC.md, P1 to P3.
 */
import type { Outcome } from "./effect.ts";
import type { Refusal } from "./error.ts";
import { CALLS_MAX, HOPS_MAX, PASSED_ON_MAX, REQUEST_BYTES_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import type { RequestMessage, ResponseMessage, Value } from "./message.ts";
import { type PassedCall, readCall, readResult, writeCall } from "./passed-call.ts";
import type { PeerState } from "./peer-state.ts";
import { valueBytes } from "./replica.ts";
import type { Address, Incarnation, Instant, PeerName } from "./units.ts";

/** Who waits for the outcome of a call. */
export type Caller =
  | { readonly type: "user"; readonly call: number }
  /** The peer that passed the call on; `hops` says how often that has happened. */
  | {
      readonly type: "peer";
      readonly incarnation: Incarnation;
      readonly request: number;
      readonly hops: number;
    };

/** A request that came in and makes sense. */
export interface Requested {
  readonly caller: Caller;
  readonly call: PassedCall;
  readonly deadlineAt: Instant;
}

/** A call on its way. */
interface Passed {
  readonly caller: Caller;
  readonly call: PassedCall;
  readonly carrier: PeerName;
  readonly deadlineAt: Instant;
  /** Whom it was sent to; undefined while a link is being dialled. */
  sentTo: Incarnation | undefined;
}

/** A response that waits for a link. */
interface Unsent {
  readonly incarnation: Incarnation;
  readonly response: ResponseMessage;
  readonly untilAt: Instant;
}

/** Responses that wait for links. Few calls are passed on at any time; whoever is beyond has its time-out. */
const UNSENT_MAX = 1024;

export interface ForwardingHooks {
  /** Dials a member that a request waits for. */
  dial(address: Address, carrier: PeerName): void;
  /** The outcome of a call that was passed on. */
  answer(caller: Caller, outcome: Outcome): void;
}

export class Forwarding {
  readonly #state: PeerState;
  readonly #hooks: ForwardingHooks;
  /** By the number of the request. */
  readonly #passed = new Map<number, Passed>();
  /** Carriers that are being dialled. */
  readonly #dialling = new Set<PeerName>();
  /** How many requests of each life of a peer wait here. */
  readonly #passedFor = new Map<Incarnation, number>();
  /** Responses to lives of peers to which no link is here at the moment, those that came first first. */
  #unsent: Unsent[] = [];
  #lastRequest = 0;
  /** Not later than the earliest deadline. */
  #dueAt: Instant = Number.POSITIVE_INFINITY;
  /** The changes of links that were looked at. */
  #linkChanges = 0;

  constructor(state: PeerState, hooks: ForwardingHooks) {
    this.#state = state;
    this.#hooks = hooks;
  }

  /** Passes a call on to the peer that must carry it out; the hook hears of the outcome. */
  pass(caller: Caller, call: PassedCall, carrier: PeerName, deadlineAt: Instant): void {
    const refusal = this.#refusal(caller, call, carrier, deadlineAt);
    if (refusal !== undefined) {
      this.#hooks.answer(caller, refusal);
      return;
    }
    this.#lastRequest += 1;
    const passed: Passed = { caller, call, carrier, deadlineAt, sentTo: undefined };
    this.#passed.set(this.#lastRequest, passed);
    this.#count(caller, 1);
    this.#dueAt = Math.min(this.#dueAt, deadlineAt);
    const link = this.#linkTo(carrier);
    if (link === undefined) this.#dial(carrier);
    else this.#send(link, this.#lastRequest, passed);
  }

  /** Takes a request in; answers it, and returns undefined, when it is not to be carried out. */
  requested(link: Link, message: RequestMessage): Requested | undefined {
    const { request, hops, deadlineMs } = message;
    if (request <= link.lastRequest) return undefined; // [P2] It has come twice.
    link.lastRequest = request;
    const caller: Caller = { type: "peer", incarnation: link.remote.incarnation, request, hops };
    const call = readCall(message.call);
    if (call === undefined) {
      const why = "Cannot carry out a call: it is unknown, or malformed";
      this.respond(caller, refuse("BAD_REQUEST", why)); // [P3]
      return undefined;
    }
    if (deadlineMs <= 0) {
      const why = `Cannot ${call.type}: the time for it was over on arrival`;
      this.respond(caller, refuse("TIMEOUT", why));
      return undefined;
    }
    return { caller, call, deadlineAt: this.#state.now + deadlineMs };
  }

  /** Sends an outcome back to the peer that passed the call on. */
  respond(caller: Extract<Caller, { type: "peer" }>, outcome: Outcome): void {
    const { links, now, timings } = this.#state;
    const { incarnation, request } = caller;
    const value = outcome.ok ? ((outcome.value ?? null) as Value) : undefined;
    const told = outcome.ok ? { ok: true as const, value: value as Value } : outcome;
    const response: ResponseMessage = { type: "response", request, outcome: told };
    const link = links.to(incarnation);
    if (link !== undefined) this.#state.send(link, response);
    // Its end has told whoever asked, unless another one was open there already.
    else if (this.#unsent.length < UNSENT_MAX) {
      this.#unsent.push({ incarnation, response, untilAt: now + timings.dialTimeoutMs });
    }
  }

  /** Takes a response in. */
  responded(link: Link, { request, outcome }: ResponseMessage): void {
    const passed = this.#passed.get(request);
    // What nobody asked for, or was asked of somebody else, changes nothing.
    if (passed === undefined || passed.sentTo !== link.remote.incarnation) return;
    if (!outcome.ok) {
      this.#end(request, passed, outcome);
      return;
    }
    const result = readResult(passed.call, outcome.value);
    const { type } = passed.call;
    const senseless = `Cannot ${type}: "${passed.carrier}" answers what makes no sense`;
    this.#end(request, passed, result.ok ? result : refuse("BAD_REQUEST", senseless));
  }

  /** A link stands: what waits for it goes out. */
  linked(): void {
    if (this.#dialling.size === 0) return;
    for (const carrier of this.#dialling) {
      const link = this.#linkTo(carrier);
      if (link === undefined) continue;
      this.#dialling.delete(carrier);
      for (const [request, passed] of this.#passed) {
        const waits = passed.carrier === carrier && passed.sentTo === undefined;
        if (waits) this.#send(link, request, passed);
      }
    }
  }

  /** A dial for `carrier` is over; where there is still no link, nothing was carried out. */
  dialled(carrier: PeerName): void {
    this.linked();
    if (!this.#dialling.delete(carrier)) return;
    for (const [request, passed] of this.#passed) {
      if (passed.carrier === carrier && passed.sentTo === undefined) {
        const why = `Cannot ${passed.call.type}: "${carrier}" cannot be reached; nothing was done`;
        this.#end(request, passed, refuse("UNREACHABLE", why));
      }
    }
  }

  /** What is due: calls whose time is over, and those whose link has ended. */
  settle(): void {
    const { links, now } = this.#state;
    if (links.changes !== this.#linkChanges) {
      this.#linkChanges = links.changes;
      this.#dropUnlinked();
      this.#sendUnsent();
    }
    if (now < this.#dueAt) return;
    this.#dueAt = Number.POSITIVE_INFINITY;
    for (const [request, passed] of this.#passed) {
      if (now >= passed.deadlineAt) this.#expire(request, passed);
      else this.#dueAt = Math.min(this.#dueAt, passed.deadlineAt);
    }
  }

  deadline(): Instant {
    return this.#dueAt;
  }

  #refusal(
    caller: Caller,
    { type }: PassedCall,
    carrier: PeerName,
    deadlineAt: Instant,
  ): Refusal | undefined {
    if (caller.type === "peer") {
      if (caller.hops >= HOPS_MAX) {
        const why = `Cannot ${type}: it was passed on ${HOPS_MAX} times; nothing was done`;
        return refuse("UNREACHABLE", why); // [P2]
      }
      const waiting = this.#passedFor.get(caller.incarnation) ?? 0;
      if (waiting >= PASSED_ON_MAX) {
        return refuse(
          "BUFFER_FULL",
          `Cannot ${type}: ${waiting} calls of that peer are on their way`,
        );
      }
    }
    if (this.#passed.size >= CALLS_MAX) {
      const why = `Cannot ${type}: ${CALLS_MAX} calls are on their way to others`;
      return refuse("BUFFER_FULL", why); // [S4]
    }
    if (deadlineAt <= this.#state.now) {
      return refuse("TIMEOUT", `Cannot ${type}: the time for it is over; nothing was done`);
    }
    if (this.#state.view.membership.get(carrier) === undefined) {
      const why = `Cannot ${type}: "${carrier}" is no member yet; nothing was done`;
      return refuse("UNREACHABLE", why);
    }
    return undefined;
  }

  /** A link to a peer of that name that carries more than heartbeats. */
  #linkTo(name: PeerName): Link | undefined {
    const { links, timings } = this.#state;
    const open = links.open().find(({ remote }) => remote.name === name);
    return open?.isGated(timings.maxDriftMs) ? undefined : open;
  }

  #dial(carrier: PeerName): void {
    const member = this.#state.view.membership.get(carrier);
    if (member === undefined || this.#dialling.has(carrier)) return;
    this.#dialling.add(carrier);
    this.#hooks.dial(member.row.address, carrier);
  }

  #send(link: Link, request: number, passed: Passed): void {
    const { caller, call, deadlineAt } = passed;
    const value = writeCall(call);
    if (valueBytes(value) > REQUEST_BYTES_MAX) {
      const why = `Cannot ${call.type}: it takes over ${REQUEST_BYTES_MAX} bytes to pass on`;
      this.#end(request, passed, refuse("FRAME_TOO_LARGE", why)); // [S4]
      return;
    }
    passed.sentTo = link.remote.incarnation;
    const hops = caller.type === "peer" ? caller.hops + 1 : 1;
    // [P1] What is left of the time, since no other clock can be compared with this one.
    const deadlineMs = Math.max(0, Math.floor(deadlineAt - this.#state.now));
    this.#state.send(link, { type: "request", request, hops, deadlineMs, call: value });
  }

  /** [G7] Responses that waited for a link which had yet to open here. */
  #sendUnsent(): void {
    const { links, now } = this.#state;
    this.#unsent = this.#unsent.filter(({ incarnation, response, untilAt }) => {
      const link = now < untilAt ? links.to(incarnation) : undefined;
      if (link !== undefined) this.#state.send(link, response);
      return link === undefined && now < untilAt;
    });
  }

  /** Calls that were sent to a life of a peer to which no link is left. */
  #dropUnlinked(): void {
    for (const [request, passed] of this.#passed) {
      const { sentTo, carrier, call } = passed;
      if (sentTo === undefined || this.#state.links.to(sentTo) !== undefined) continue;
      const why = `Cannot tell whether to ${call.type} was done: the link to "${carrier}" has ended`;
      this.#end(request, passed, refuse("TIMEOUT", why)); // [P2]
    }
  }

  #expire(request: number, passed: Passed): void {
    const { call, carrier, sentTo } = passed;
    const why =
      sentTo === undefined
        ? `Cannot ${call.type}: "${carrier}" was not reached in time; nothing was done`
        : `Cannot tell whether to ${call.type} was done: "${carrier}" has not answered in time`;
    this.#end(request, passed, refuse(sentTo === undefined ? "UNREACHABLE" : "TIMEOUT", why));
  }

  #end(request: number, { caller }: Passed, outcome: Outcome): void {
    this.#passed.delete(request);
    this.#count(caller, -1);
    this.#hooks.answer(caller, outcome); // [P2]
  }

  #count(caller: Caller, change: number): void {
    if (caller.type === "user") return;
    const count = (this.#passedFor.get(caller.incarnation) ?? 0) + change;
    if (count === 0) this.#passedFor.delete(caller.incarnation);
    else this.#passedFor.set(caller.incarnation, count);
  }
}

/** A refusal as a value. */
export function refuse(code: Refusal["code"], message: string): Refusal {
  return { ok: false, code, message };
}
