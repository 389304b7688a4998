/**
 * A region takes no shard from one that lives, gives shards to such only, does neither on a side that may
 * not host, and does not give one away again and again.
 *
 * Who writes an allocation is held to what that very peer believes of the others: beliefs may differ for
 * a while, but nobody may act against their own. What users ask for is theirs to decide. A write is seen
 * when it becomes durable, so it is judged only where a disk takes no time.
 */
import type { MachineEvent } from "../../src/core/event.ts";
import { SETTINGS } from "../../src/core/founding.ts";
import { MEMBERS, type MemberState, VERDICTS } from "../../src/core/membership.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";
import { PINS } from "../../src/core/plan-settings.ts";
import { SHARDS } from "../../src/core/registry.ts";
import { ALLOCATIONS, regionOf } from "../../src/core/view.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";
import { goesOn } from "./downing.ts";

/** An allocation that a peer wrote in the step under way. */
interface Written {
  readonly shard: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** Verdicts were written in this step before it: it must be allowed by them. */
  readonly isAfterVerdicts: boolean;
}

/** What plans follow from, but for allocations: a change in one of these is a reason to plan anew. */
const REASONS: ReadonlySet<string> = new Set([MEMBERS, VERDICTS, SETTINGS, PINS, SHARDS]);

const GIVES_MAX = 4;

export class HostingChecker implements Checker {
  readonly #report: Report;
  /** By peer, then shard: the region that it sees. */
  readonly #regions = new Map<SimulatedPeer, Map<string, string | undefined>>();
  readonly #written = new Map<SimulatedPeer, Written[]>();
  /** By peer, then shard: how often it gave it away since the last reason to plan anew. */
  readonly #given = new Map<SimulatedPeer, Map<string, number>>();
  /** Peers that have verdicts from the step under way. */
  readonly #accusing = new Set<SimulatedPeer>();

  constructor(report: Report) {
    this.#report = report;
  }

  booted(peer: SimulatedPeer): void {
    this.#regions.set(peer, new Map());
    this.#written.set(peer, []);
    this.#given.set(peer, new Map());
    this.persisted(peer, peer.machine?.entries() ?? []);
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    let isAfterVerdicts = false;
    for (const { map, entries } of maps) {
      if (REASONS.has(map)) this.#given.set(peer, new Map());
      if (map === VERDICTS) isAfterVerdicts = true;
      if (map !== ALLOCATIONS) continue;
      for (const entry of entries) this.#seen(peer, entry, isAfterVerdicts);
    }
    if (isAfterVerdicts) this.#accusing.add(peer);
  }

  stepped(peer: SimulatedPeer, event: MachineEvent): void {
    const written = this.#written.get(peer) ?? [];
    if (written.length > 0) this.#written.set(peer, []);
    const isAccusing = this.#accusing.delete(peer);
    const request = event.type === "called" ? event.request : undefined;
    // Where hosts hand over, who gives what a user moves is another peer, later.
    if (request?.type === "allocate") {
      for (const given of this.#given.values()) given.delete(request.shard);
    }
    if ((peer.options.diskMs ?? 0) > 0) return;
    for (const move of written) {
      const isAsked = request !== undefined && "shard" in request && request.shard === move.shard;
      if (isAsked || request?.type === "leave") continue;
      this.#judge(peer, move);
      if (move.from === peer.name && move.to !== peer.name) this.#countGift(peer, move.shard);
    }
    // Who leaves counts no longer once it has given its shards away.
    const isLeft = peer.machine?.view.membership.get(peer.name)?.status === "left";
    if (written.length === 0 || isLeft) return;
    const isBeforeVerdicts = isAccusing && written.every((move) => !move.isAfterVerdicts);
    if (peer.options.downing === "off" || isBeforeVerdicts || isBeforeNews(event)) return;
    this.#judgeSide(peer);
  }

  #seen(peer: SimulatedPeer, { key: shard, value, writer }: Entry, isAfterVerdicts: boolean): void {
    const regions = this.#regions.get(peer);
    const [from, to] = [regions?.get(shard), regionOf(value)];
    regions?.set(shard, to);
    if (writer !== peer.machine?.incarnation) return;
    this.#written.get(peer)?.push({ shard, from, to, isAfterVerdicts });
  }

  #judge(peer: SimulatedPeer, { shard, from, to }: Written): void {
    const memberOf = (name: string | undefined) =>
      name === undefined ? undefined : peer.machine?.view.membership.get(name);
    const isOwn = from === peer.name;
    // What is left of a shard that was removed is cleared away by its region.
    if (isOwn && to === undefined && peer.machine?.view.hasShard(shard) === false) return;
    if (!isOwn && memberOf(from)?.removed === false) {
      this.#report("A3", `${peer.name} takes ${shard} from ${from}, which is not gone`);
    }
    if (!isOwn && to !== peer.name) {
      this.#report("A3", `${peer.name} gives ${shard} of ${from} to ${to}`);
    }
    if (isOwn && to !== peer.name && memberOf(to)?.status !== "alive") {
      this.#report("A2", `${peer.name} gives ${shard} to ${to}, which is not alive`);
    }
  }

  /** [L4] Nobody moves shards for ever. */
  #countGift(peer: SimulatedPeer, shard: string): void {
    const given = this.#given.get(peer);
    const count = (given?.get(shard) ?? 0) + 1;
    given?.set(shard, count);
    if (count === GIVES_MAX + 1) {
      this.#report("L4", `${peer.name} gives ${shard} away again and again`);
    }
  }

  /** [F9] Counts as anybody would who was told the rule. */
  #judgeSide(peer: SimulatedPeer): void {
    const members = peer.machine?.view.membership.all() ?? [];
    const counted = members.filter(({ removed, status }) => !removed && status !== "left");
    const isHere = ({ name, status }: MemberState) => name === peer.name || status !== "dead";
    const here = counted.filter(isHere);
    const { downing } = peer.options;
    if (goesOn(downing, here, counted)) return;
    const side = `${here.length} of ${counted.length} members`;
    this.#report("F9", `${peer.name} allocates with ${side}, downing ${downing}`);
  }
}

/** Whether what was written may follow from the start of a frame, before the rest took the majority away. */
function isBeforeNews(event: MachineEvent): boolean {
  const messages = event.type === "received" ? event.messages : [];
  return messages.findIndex((message) => "maps" in message) > 0;
}
