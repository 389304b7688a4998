/**
 * Which members this peer wants to be linked with now, and whom it dials for that.
 *
 * Wanted are its neighbours in the overlay, and who stands in for those that have not answered a few
 * dials; who has not answered is passed over for a while. Of the dead, those are dialled who would be
 * neighbours if they were alive, the latest first, and now and then one of all others: after a cut, two
 * halves that have buried each other must find each other again, and need only one link for that [G7, G8].
 *
 * What comes out depends on the view and on which links there are, and is computed anew when either
 * changes. Deliberately absent: when to dial (`dialler.ts`), and closing links (`connections.ts`).
 */
import type { Wish } from "./dialler.ts";
import type { Inquests } from "./inquests.ts";
import { DEAD_DIALLED_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import type { MemberState } from "./membership.ts";
import type { PeerState } from "./peer-state.ts";
import type { Address, Instant, PeerName } from "./units.ts";

/** How long the higher name of a pair leaves the first dial to the lower, in ms. */
const COURTESY_MS = 100;

/** Dials in a row that come to nothing before somebody stands in: one may have met a restart. */
const FAILURES_MAX = 2;

export class Neighbours {
  readonly #state: PeerState;
  readonly #inquests: Inquests;
  /** How many dials of an address have failed in a row. */
  readonly #failures: (address: Address) => number;
  /**
   * Until when those are passed over that were to stand in and did not answer: dials of whom nobody wants
   * are forgotten, and two that cannot be linked would stand in for each other in turn.
   */
  readonly #passedOver = new Map<PeerName, Instant>();
  #wanted: ReadonlySet<PeerName> = new Set();
  /** Those that this peer looked after when it last looked. */
  #watched: ReadonlySet<PeerName> = new Set();
  /** Dead members that are dialled only by chance. */
  #strays: readonly Address[] = [];
  /** What follows from the members alone, computed when these change: they are many, and links come and go. */
  #members: readonly MemberState[] = [];
  #addresses: ReadonlySet<Address> = new Set();
  #dead: readonly MemberState[] = [];
  #missing = 0;

  constructor(state: PeerState, inquests: Inquests, failures: (address: Address) => number) {
    this.#state = state;
    this.#inquests = inquests;
    this.#failures = failures;
  }

  /** How many wanted members there is no link with. */
  get missing(): number {
    return this.#missing;
  }

  isAddressKnown(address: Address): boolean {
    return this.#addresses.has(address);
  }

  /** Whether this end has a use for a link. */
  wants({ remote }: Link): boolean {
    const { joined, overlay } = this.#state;
    // Newcomers need whoever answers: both ends of a join keep the link until it is over.
    if (!joined || overlay.isMesh || !this.#state.hasRow(remote)) return true;
    return this.#wanted.has(remote.name) || this.#state.isNeighbour(remote.name);
  }

  /** The address of one dead member that nobody dials otherwise; undefined when there is none. */
  stray(): Address | undefined {
    return this.#state.options.random.pick(this.#strays);
  }

  /** Computes everything anew, and returns the addresses to dial. */
  refresh(): Map<Address, Wish> {
    const { view, links, overlay } = this.#state;
    const linked = links.names();
    this.#wanted = overlay.isMesh ? overlay.neighbours() : this.#choose(linked);
    this.#watch();
    this.#missing = 0;
    const wishes = new Map<Address, Wish>();
    for (const name of this.#wanted) {
      if (linked.has(name)) continue;
      this.#missing += 1;
      const member = view.membership.get(name);
      if (member !== undefined) this.#wish(wishes, member);
    }
    this.#readMembers();
    const dead = this.#dead.filter(({ name }) => !linked.has(name));
    const near = dead.filter(({ name }) => this.#state.isNeighbour(name));
    if (near.length > DEAD_DIALLED_MAX) near.sort((a, b) => b.since - a.since);
    for (const member of near.slice(0, DEAD_DIALLED_MAX)) this.#wish(wishes, member);
    this.#strays = dead.map(({ row }) => row.address).filter((address) => !wishes.has(address));
    return wishes;
  }

  #readMembers(): void {
    const { view, options } = this.#state;
    const members = view.membership.all();
    if (members === this.#members) return;
    this.#members = members;
    const present = members.filter(({ status }) => status !== "left");
    this.#addresses = new Set(present.map(({ row }) => row.address));
    this.#dead = members.filter(({ name, status }) => status === "dead" && name !== options.name);
  }

  #wish(wishes: Map<Address, Wish>, { name, row }: MemberState): void {
    const { options } = this.#state;
    if (name === options.name || this.#inquests.has(name)) return;
    const delayMs = options.name < name ? 0 : COURTESY_MS;
    wishes.set(row.address, { delayMs });
  }

  /** [G7] The neighbours, and who stands in for those that cannot be linked. */
  #choose(linked: ReadonlySet<PeerName>): ReadonlySet<PeerName> {
    const { overlay, now, timings } = this.#state;
    const neighbours = overlay.neighbours();
    const canLink = (name: PeerName) => linked.has(name) || this.#canBeDialled(name);
    for (const [name, until] of this.#passedOver) {
      if (until <= now || linked.has(name)) this.#passedOver.delete(name);
    }
    for (const name of this.#wanted) {
      if (neighbours.has(name) || this.#passedOver.has(name) || canLink(name)) continue;
      this.#passedOver.set(name, now + timings.redialIdleMs);
    }
    const wanted = overlay.wanted((name) => canLink(name) && !this.#passedOver.has(name));
    const missing = [...neighbours].filter((name) => !canLink(name)).length;
    // Who did not answer may do so by now: better than nobody.
    if (wanted.size < neighbours.size + missing) this.#passedOver.clear();
    return wanted;
  }

  #canBeDialled(name: PeerName): boolean {
    const address = this.#state.view.membership.get(name)?.row.address;
    return address !== undefined && this.#failures(address) < FAILURES_MAX;
  }

  /** [F2] Nobody was obliged to be heard before it was a neighbour. */
  #watch(): void {
    const { overlay, liveness, now } = this.#state;
    const neighbours = overlay.neighbours();
    if (neighbours === this.#watched) return;
    for (const name of neighbours) if (!this.#watched.has(name)) liveness.heard(name, now);
    this.#watched = neighbours;
  }
}
