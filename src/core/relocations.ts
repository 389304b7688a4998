/**
 * Shards that users move by hand.
 *
 * Where no host serves a shard, or its region is not there, its entry is written at once [A1]. A region
 * that serves it hands it over: its entry names the successor, and the call is answered when the
 * successor's own entry stands, or refused when it took too long or the shard came back [H1].
 *
 * Rules: SPEC.md, A1, H0 and H1.
 */
import type { Allocation, Outcome } from "./effect.ts";
import type { Refusal } from "./error.ts";
import type { CallRequest } from "./event.ts";
import { type Caller, refuse } from "./forwarding.ts";
import type { Hosting } from "./hosting.ts";
import type { PeerState } from "./peer-state.ts";
import { encodePin, PINS } from "./plan-settings.ts";
import type { Instant, PeerName, ShardId } from "./units.ts";
import { ALLOCATIONS, encodeAllocation } from "./view.ts";

type AllocateCall = Extract<CallRequest, { type: "allocate" }>;

interface Relocation {
  readonly caller: Caller;
  readonly region: PeerName;
  readonly superseded: Allocation;
  readonly deadlineAt: Instant;
}

export class Relocations {
  readonly #state: PeerState;
  readonly #hosting: Hosting;
  readonly #answer: (caller: Caller, outcome: Outcome) => void;
  readonly #waiting = new Map<ShardId, Relocation[]>();
  /** Not later than the earliest deadline. */
  #dueAt: Instant = Number.POSITIVE_INFINITY;

  constructor(
    state: PeerState,
    hosting: Hosting,
    answer: (caller: Caller, outcome: Outcome) => void,
  ) {
    this.#state = state;
    this.#hosting = hosting;
    this.#answer = answer;
  }

  allocate(caller: Caller, { shard, region, pin }: AllocateCall): void {
    const refusal = this.#refusal(shard, region);
    if (refusal !== undefined) {
      this.#answer(caller, refusal);
      return;
    }
    if (pin === true) this.#state.write(PINS, shard, encodePin(region));
    const { view } = this.#state;
    const superseded = view.allocation(shard);
    if (superseded !== undefined && this.#isServed(superseded) && superseded.region !== region) {
      this.#handOver(caller, superseded, region);
      return;
    }
    // [H7] It is there, and served: an entry of somebody else would make its host let go of it.
    const isThere = superseded?.region === region && this.#isServed(superseded);
    const isMoving = view.course(shard).successor !== undefined;
    if (isThere && !isMoving && region !== this.#state.options.name) {
      this.#answer(caller, { ok: true, value: { ...superseded, superseded } });
      return;
    }
    // [A1] Who had it may still serve it, for all that is known here: then it has to stop [H5].
    const member = superseded && view.membership.get(superseded.region);
    const from = member?.row.hosts === true && !member.removed ? { from: member.name } : {};
    const course = superseded?.region === region ? {} : from;
    const value = encodeAllocation(region, course);
    const { time, writer } = this.#state.write(ALLOCATIONS, shard, value);
    const allocation: Allocation = { shard, region, token: time, writer };
    this.#answer(caller, {
      ok: true,
      value: superseded ? { ...allocation, superseded } : allocation,
    });
  }

  /** The entry of a shard has changed. */
  moved(shard: ShardId): void {
    const waiting = this.#waiting.get(shard);
    if (waiting === undefined) return;
    this.#waiting.delete(shard);
    const { view } = this.#state;
    const allocation = view.allocation(shard);
    const { successor } = view.course(shard);
    const left: Relocation[] = [];
    for (const relocation of waiting) {
      const { caller, region, superseded } = relocation;
      const isThere = allocation?.region === region && successor === undefined;
      if (isThere && this.#isConfirmed(allocation)) {
        this.#answer(caller, { ok: true, value: { ...allocation, superseded } });
      } else if (isThere || successor === region) left.push(relocation);
      else this.#answer(caller, timeout(shard, region, "the handoff has come to nothing"));
    }
    if (left.length > 0) this.#waiting.set(shard, left);
  }

  /** [H4] Nobody waits for ever. */
  settle(): void {
    const { now } = this.#state;
    if (now < this.#dueAt) return;
    this.#dueAt = Number.POSITIVE_INFINITY;
    for (const [shard, waiting] of this.#waiting) {
      const left = waiting.filter(({ deadlineAt }) => deadlineAt > now);
      for (const { caller, region, deadlineAt } of waiting) {
        if (deadlineAt > now) this.#dueAt = Math.min(this.#dueAt, deadlineAt);
        else this.#answer(caller, timeout(shard, region, "it was not handed over in time"));
      }
      if (left.length > 0) this.#waiting.set(shard, left);
      else this.#waiting.delete(shard);
    }
  }

  deadline(): Instant {
    return this.#dueAt;
  }

  #refusal(shard: ShardId, region: PeerName): Refusal | undefined {
    const { view, replica } = this.#state;
    if (replica.isFull) return fullReplica("allocate");
    if (!view.hasShard(shard)) return noSuchShard("allocate", shard);
    const what = `Cannot allocate "${shard}" to "${region}"`;
    const member = view.membership.get(region);
    if (member === undefined) return refuse("REGION_NOT_FOUND", `${what}: no such region`);
    if (member.status === "alive") return undefined;
    const state = member.status === "left" ? "has left" : `is ${member.status}`;
    return refuse("REGION_NOT_ALIVE", `${what}: "${region}" ${state}`);
  }

  /** [H7] Whether the entry stays as it is: a region with a host writes it anew before it serves. */
  #isConfirmed({ region, writer }: Allocation): boolean {
    const member = this.#state.view.membership.get(region);
    return member?.row.hosts !== true || member.row.incarnation === writer;
  }

  /** Whether a shard's region is there and serves by a host. */
  #isServed({ region }: Allocation): boolean {
    const member = this.#state.view.membership.get(region);
    return member?.status === "alive" && member.row.hosts === true;
  }

  /** [H1] Names the successor; the region does the rest. */
  #handOver(caller: Caller, superseded: Allocation, region: PeerName): void {
    const { options, timings, now } = this.#state;
    const { shard } = superseded;
    const { drainMs, handoffMs } = timings;
    const deadlineAt = now + drainMs + handoffMs;
    const waiting = this.#waiting.get(shard) ?? [];
    waiting.push({ caller, region, superseded, deadlineAt });
    this.#waiting.set(shard, waiting);
    this.#dueAt = Math.min(this.#dueAt, deadlineAt);
    if (superseded.region === options.name) this.#hosting.begin(shard, region);
    else {
      const value = encodeAllocation(superseded.region, { successor: region });
      this.#state.write(ALLOCATIONS, shard, value);
    }
  }
}

export function noSuchShard(what: string, shard: ShardId): Refusal {
  return refuse("SHARD_NOT_FOUND", `Cannot ${what} "${shard}": there is no such shard`);
}

export function fullReplica(what: string): Refusal {
  return refuse("BUFFER_FULL", `Cannot ${what}: the replica is full`);
}

function timeout(shard: ShardId, region: PeerName, why: string): Refusal {
  return refuse("HANDOFF_TIMEOUT", `Cannot allocate "${shard}" to "${region}": ${why}`);
}
