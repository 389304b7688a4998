/**
 * What users ask for: each call is carried out here, or passed on to the peer that must do it.
 *
 * A call is refused for what this peer is (not ready, its clock off) before anything else; so a
 * request that came from another peer meets the same answer as a user would have got here.
 *
 * Rules: SPEC.md, A1 and P1 to P3.
 */
import { assert } from "./assert.ts";
import type { Connections } from "./connections.ts";
import { type Contribution, refusalOf, refuseToPublish } from "./contribution.ts";
import type { Outcome } from "./effect.ts";
import type { CallRequest } from "./event.ts";
import { type Caller, Forwarding, refuse } from "./forwarding.ts";
import { SETTINGS } from "./founding.ts";
import { FrequencyPublisher } from "./frequency-publisher.ts";
import { Leaving } from "./leaving.ts";
import type { Link } from "./link.ts";
import type { RequestMessage } from "./message.ts";
import { isPassedCall, type PassedCall } from "./passed-call.ts";
import type { PeerState } from "./peer-state.ts";
import { encodePlan, PINS, PLAN_DEFAULT, PLAN_KEY, type PlanSettings } from "./plan-settings.ts";
import { planOf, planView, REBALANCE_KEY } from "./planner.ts";
import { Registrar } from "./registrar.ts";
import { fullReplica, noSuchShard, Relocations } from "./relocations.ts";
import type { Service } from "./service.ts";
import type { Standing } from "./standing.ts";
import { Ticks } from "./ticks.ts";
import type { Instant, PeerName, ShardId } from "./units.ts";
import { ALLOCATIONS } from "./view.ts";

/** How long a user's call may take when it has to be passed on, in ms. */
const CALL_TIMEOUT_MS = 10_000;

/** Every call but a farewell, which comes from users only and needs no readiness. */
type ServedCall = Exclude<CallRequest, { readonly type: "leave" }>;

type AnsweredAtOnce = Exclude<
  ServedCall,
  { readonly type: "allocate" | "phase-complete" | "phase-wait" }
>;

/** The parts of the state machine that calls are about. */
export interface CallParts {
  readonly connections: Connections;
  readonly standing: Standing;
  readonly service: Service;
}

export class Calls {
  readonly forwarding: Forwarding;
  readonly registrar: Registrar;
  readonly ticks: Ticks;
  readonly #state: PeerState;
  readonly #parts: CallParts;
  readonly #publisher: FrequencyPublisher;
  readonly #relocations: Relocations;
  readonly #leaving: Leaving;

  constructor(state: PeerState, parts: CallParts) {
    this.#state = state;
    this.#publisher = new FrequencyPublisher(state);
    this.#parts = parts;
    const answer = (caller: Caller, outcome: Outcome): void => this.#answer(caller, outcome);
    this.registrar = new Registrar(state);
    this.ticks = new Ticks(state, answer);
    this.forwarding = new Forwarding(state, {
      dial: (address, carrier) => {
        parts.connections.dial(address, { type: "request", carrier });
      },
      answer,
    });
    this.#relocations = new Relocations(state, parts.service.hosting, answer);
    this.#leaving = new Leaving(state, parts, answer);
  }

  /** The entry of a shard has changed. */
  moved(shard: ShardId): void {
    this.#relocations.moved(shard);
  }

  /** A user calls. */
  called(call: number, request: CallRequest): void {
    const caller: Caller = { type: "user", call };
    if (request.type === "leave") this.#leaving.leave(caller);
    else {
      this.#serve(caller, request, this.#state.now + CALL_TIMEOUT_MS);
    }
  }

  /** Another peer passes a call on. */
  requested(link: Link, message: RequestMessage): void {
    const requested = this.forwarding.requested(link, message);
    if (requested === undefined) return;
    this.#serve(requested.caller, requested.call, requested.deadlineAt);
  }

  /** What is due by the clock. */
  settle(): void {
    this.forwarding.settle();
    this.registrar.settle();
    this.ticks.settle();
    this.#relocations.settle();
    this.#leaving.settle();
  }

  deadline(): Instant {
    const { forwarding, registrar, ticks } = this;
    const [relocations, leaving] = [this.#relocations.deadline(), this.#leaving.deadline()];
    const own = Math.min(forwarding.deadline(), registrar.deadline(), ticks.deadline());
    return Math.min(own, relocations, leaving);
  }

  #serve(caller: Caller, request: ServedCall, deadlineAt: Instant): void {
    const { drifted, isReady, options } = this.#state;
    const what = request.type;
    if (drifted || !isReady) {
      const code = drifted ? "CLOCK_DRIFT" : "NOT_READY";
      this.#answer(caller, refuse(code, `Cannot ${what}: ${whyNotReady(this.#state)}`));
      return;
    }
    // Before it is written down for another peer, which only what makes sense can be.
    const senseless = "contribution" in request ? refusalOf(request.contribution) : undefined;
    if (senseless !== undefined) {
      this.#answer(caller, senseless);
      return;
    }
    const carrier = isPassedCall(request) ? this.#carrierOf(request) : options.name;
    if (typeof carrier !== "string") this.#answer(caller, carrier);
    else if (carrier === options.name || !isPassedCall(request)) {
      this.#perform(caller, request, deadlineAt);
    } else this.forwarding.pass(caller, request, carrier, deadlineAt); // [P1]
  }

  #answer(caller: Caller, outcome: Outcome): void {
    if (caller.type === "peer") this.forwarding.respond(caller, outcome);
    else this.#state.effect({ type: "answer", call: caller.call, outcome });
  }

  /** Which peer must carry out a call, or why none can. */
  #carrierOf(request: PassedCall): PeerName | Extract<Outcome, { ok: false }> {
    const { view } = this.#state;
    if (request.type === "tick-start") return this.ticks.starter; // [B1]
    if (request.type === "drain") {
      // [A4] Nobody but a region writes its row.
      const { region } = request;
      return this.#refusalOf(region, `drain "${region}"`) ?? region;
    }
    const { type, shard } = request;
    if (!view.hasShard(shard)) return noSuchShard(type, shard);
    const region = view.regionFor(shard);
    return region ?? refuse("NO_REGION", `Cannot ${type}: no region hosts "${shard}"`);
  }

  #perform(caller: Caller, request: ServedCall, deadlineAt: Instant): void {
    if (request.type === "phase-complete") this.ticks.complete(caller, request, deadlineAt);
    else if (request.type === "allocate") this.#relocations.allocate(caller, request);
    else if (request.type === "phase-wait") this.ticks.wait(caller, request);
    else this.#answer(caller, this.#performed(request));
  }

  #performed(request: AnsweredAtOnce): Outcome {
    const state = this.#state;
    if (request.type === "rebalance") return this.#rebalance(request);
    if (state.replica.isFull) {
      return fullReplica(request.type);
    }
    switch (request.type) {
      case "release":
        return this.#release(request.shard);
      case "register-shard":
        return this.registrar.register(request);
      case "deregister-shard":
        if (!state.view.hasShard(request.shard)) return noSuchShard("deregister", request.shard);
        return this.registrar.deregister(request);
      case "tick-start":
        return this.ticks.start(request);
      case "shard-metrics":
        return this.registrar.report(request);
      case "publish-frequencies":
        return this.#publish(request.shard, request.contribution);
      case "publish-hosted-frequencies":
        return this.#publishHosted(request.shard, request.contribution);
      case "stage-frequencies": {
        const { shard, publication, part, text } = request;
        const refusal = this.#publisher.stage(shard, publication, part, text);
        return refusal ?? { ok: true, value: undefined };
      }
      case "publish-staged-frequencies": {
        const { shard, publication, parts, documents } = request;
        const staged = this.#publisher.unstage(shard, publication, parts);
        if (!staged.ok) return staged;
        const contribution = { documents, terms: staged.terms };
        return refusalOf(contribution) ?? this.#publish(shard, contribution);
      }
      case "drain":
        this.#parts.standing.drain(request.draining);
        return { ok: true, value: undefined };
    }
  }

  /** [D1] Only the region does that: the call has been passed on to it. */
  #publish(shard: ShardId, contribution: Contribution): Outcome {
    const allocation = this.#state.view.allocation(shard);
    assert(allocation?.region === this.#state.options.name, "a call is carried out by its carrier");
    return this.#publisher.publish(allocation, contribution, "users");
  }

  /** [D1] Nobody but the region knows its documents, so a shard that has moved is another one's to publish. */
  #publishHosted(shard: ShardId, contribution: Contribution): Outcome {
    const allocation = this.#state.view.allocation(shard);
    if (allocation?.region !== this.#state.options.name) {
      return refuseToPublish("NOT_OWNER", `another region hosts "${shard}"`);
    }
    return this.#publisher.publish(allocation, contribution, "documents");
  }

  /** Answers the moves that all regions together have to make. */
  #rebalance({ dryRun, strategy, movesMax }: Extract<ServedCall, { type: "rebalance" }>): Outcome {
    const state = this.#state;
    const before = state.view.planSettings() ?? PLAN_DEFAULT;
    const settings: PlanSettings = {
      strategy: strategy ?? before.strategy,
      movesMax: movesMax === undefined ? before.movesMax : movesMax,
    };
    // The budget is for one round; whoever asks wants to know where it all leads. None is a stop.
    const whole = settings.movesMax === 0 ? settings : { ...settings, movesMax: null };
    const plan = planOf(state, planView(state), whole);
    if (!plan.ok) return refuse("BAD_REQUEST", `Cannot rebalance: ${plan.why}`); // [A4]
    if (dryRun) return { ok: true, value: plan.moves };
    if (strategy !== undefined || movesMax !== undefined) {
      state.write(SETTINGS, PLAN_KEY, encodePlan(settings));
    }
    // Every region carries out its own part, so all of them must hear of it.
    state.write(SETTINGS, REBALANCE_KEY, [state.options.name]);
    return { ok: true, value: plan.moves };
  }

  #release(shard: ShardId): Outcome {
    const { view } = this.#state;
    if (!view.hasShard(shard)) return noSuchShard("release", shard);
    const superseded = view.allocation(shard);
    if (view.isPinned(shard)) this.#state.write(PINS, shard, undefined); // The plan is to decide.
    const { time, writer } = this.#state.write(ALLOCATIONS, shard, undefined);
    const released = { shard, region: undefined, token: time, writer };
    return { ok: true, value: superseded ? { ...released, superseded } : released };
  }

  /** Why a region cannot be dealt with; undefined when it is alive. */
  #refusalOf(region: PeerName, what: string): Extract<Outcome, { ok: false }> | undefined {
    const member = this.#state.view.membership.get(region);
    if (member === undefined) {
      return refuse("REGION_NOT_FOUND", `Cannot ${what}: no such region`);
    }
    if (member.status === "alive") return undefined;
    const state = member.status === "left" ? "has left" : `is ${member.status}`;
    return refuse("REGION_NOT_ALIVE", `Cannot ${what}: "${region}" ${state}`);
  }
}

/** What a peer waits for that does not serve, in words for "..., because ...". */
export function whyNotReady(state: PeerState): string {
  const { left, drifted, joined, founding, links, maySideHost, options } = state;
  if (left) return "it has left the cluster";
  if (drifted) return "its clock differs too much from that of other peers";
  if (joined && maySideHost) return "it serves";
  if (joined) return `it is on a side that may not go on (downing: ${options.downing})`;
  if (state.isWaiting) return "the members that it has met may not go on without others";
  if (founding.stamp !== undefined) return "it is synchronising";
  return links.size === 0 ? "no address to join by has answered" : "no cluster is founded yet";
}
