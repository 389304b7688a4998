/**
 * Which links are opened, kept alive and given up.
 *
 * Dialled are members without a link, dead ones included, and the addresses to join by that are no
 * known member's [G8]. The higher name of a pair waits a moment before its first dial, so that the two
 * seldom meet halfway. A link that has been silent for too long, or whose other end does not hear this
 * one, is terminated and dialled anew [S9]. One that ended without goodbye starts an inquest [F5].
 *
 * A newcomer that finds its name held by another life of it dials the address given there: if that life
 * answers, the newcomer stops [F7].
 */
import { Dialler } from "./dialler.ts";
import type { CloseCode } from "./effect.ts";
import type { ErrorCode } from "./error.ts";
import type { DialFailure, MachineEvent, Remote } from "./event.ts";
import type { Gossip } from "./gossip.ts";
import { beginAgain } from "./gossip.ts";
import type { Inquests } from "./inquests.ts";
import { Link } from "./link.ts";
import type { Heartbeat } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Address, Incarnation, Instant } from "./units.ts";

/** How long the higher name of a pair leaves the first dial to the lower, in ms. */
const COURTESY_MS = 100;

/** Dials of one address that may fail before people are told: it may be starting, too. */
const QUIET_FAILURES = 5;

type Opened = Extract<MachineEvent, { type: "link-opened" }>;
type Closed = Extract<MachineEvent, { type: "link-closed" }>;

/** What a dial is for. */
export type DialPurpose =
  | { readonly type: "link"; readonly address: Address }
  | { readonly type: "inquest"; readonly subject: string }
  | { readonly type: "claim"; readonly incarnation: Incarnation };

export class Connections {
  readonly #state: PeerState;
  readonly #gossip: Gossip;
  readonly #inquests: Inquests;
  readonly #dialler: Dialler;
  readonly #dials = new Map<number, DialPurpose>();
  #join: readonly Address[];
  /** Names that answered at an address to join by, which may be spelt unlike theirs. */
  readonly #answered = new Map<Address, string>();
  /** Addresses that turned out to be this peer's own. */
  readonly #own = new Set<Address>();
  /** Rejections that have been reported. */
  readonly #reported = new Set<string>();
  #dialCount = 0;
  #targetsChanged = true;
  #heartbeatAt: Instant;

  constructor(state: PeerState, gossip: Gossip, inquests: Inquests) {
    this.#state = state;
    this.#gossip = gossip;
    this.#inquests = inquests;
    this.#dialler = new Dialler(state.timings, state.options.random);
    this.#join = state.options.join;
    this.#heartbeatAt = state.now;
  }

  joinBy(addresses: readonly Address[]): void {
    this.#join = addresses;
    this.#targetsChanged = true;
  }

  /** Starts a dial for something other than a link that is wanted anyway. */
  dial(address: Address, purpose: DialPurpose): number {
    this.#dialCount += 1;
    this.#dials.set(this.#dialCount, purpose);
    this.#state.effect({ type: "dial", dial: this.#dialCount, address });
    return this.#dialCount;
  }

  /** Takes in a new link; returns what the dial was for. */
  opened(event: Opened): DialPurpose | undefined {
    const state = this.#state;
    const purpose = event.dial === undefined ? undefined : this.#dials.get(event.dial);
    if (event.dial !== undefined) this.#dials.delete(event.dial);
    this.#targetsChanged = true;
    const { remote } = event;
    if (purpose?.type === "link") {
      this.#dialler.opened(purpose.address, state.now);
      this.#answered.set(purpose.address, remote.name);
    }
    if (remote.name === state.options.name) {
      // [F7] Another life of this peer: the one that dialled draws the conclusion.
      state.effect({ type: "close", link: event.link, code: "NAME_TAKEN" });
      return purpose;
    }
    this.#open(event.link, remote, event.dial !== undefined);
    return purpose;
  }

  #open(id: number, remote: Remote, isDialled: boolean): void {
    const state = this.#state;
    const self = state.options.name;
    const { replica, now, wallMs } = state;
    const link = new Link({ id, remote, isDialled, self, replica }, now, wallMs);
    const relation = state.founding.compare(remote.founding);
    // A founding by a clock that is an hour slow only looks older: nobody gives way across a drift.
    const isDrifting = link.drifts(state.timings.maxDriftMs);
    if (relation === "older" && !isDrifting) {
      beginAgain(state, link);
      return;
    }
    link.isAlien = relation !== "same";
    for (const loser of state.links.add(link)) this.#close(loser, "DUPLICATE");
    const member = state.view.membership.get(remote.name);
    if (member !== undefined && member.status !== "alive") this.#dialler.hurry(now); // [G8]
    state.liveness.heard(remote.name, now);
    if (link.isClosing) return;
    this.#beat(link);
    if (link.isGated(state.timings.maxDriftMs)) return;
    // [G5] One end starts: the one that knows first that the link stands.
    if (isDialled) this.#gossip.synchronise(link);
  }

  closed(event: Closed): void {
    const { links } = this.#state;
    const link = links.get(event.link);
    if (link === undefined) return;
    links.delete(event.link);
    this.#targetsChanged = true;
    this.#inquests.lostWitness(event.link);
    const { remote } = link;
    // Who closes without leaving has said why, but not goodbye.
    const isExplained = event.clean && event.code !== "CLOSED";
    if (isExplained || links.to(remote.incarnation) !== undefined) return;
    this.#inquests.lost(remote.name, remote.incarnation); // [F5]
  }

  /** Takes in a dial that came to nothing; returns what it was for. */
  dialFailed(dial: number, failure: DialFailure, code?: ErrorCode): DialPurpose | undefined {
    const purpose = this.#dials.get(dial);
    this.#dials.delete(dial);
    if (purpose?.type === "link") {
      const failures = this.#dialler.failed(purpose.address, this.#state.now);
      if (failure === "self") this.#own.add(purpose.address); // [G7]
      if (failure === "refused") this.#refusedBy(purpose.address);
      this.#targetsChanged = true;
      if (failure === "rejected" || failures === QUIET_FAILURES) {
        this.#report(purpose.address, failure, code);
      }
    }
    return purpose;
  }

  /** A member that was silent before may be dead by now: who refuses is found out about [F5]. */
  #refusedBy(address: Address): void {
    const { view, links, options } = this.#state;
    for (const { name, row, removed } of view.membership.all()) {
      const isGone = row.address === address && !removed && name !== options.name;
      if (isGone && links.to(row.incarnation) === undefined) {
        this.#inquests.refused(name, row.incarnation);
      }
    }
  }

  received(link: Link, heartbeat: Heartbeat): void {
    const { now, wallMs, timings } = this.#state;
    const wasGated = link.isGated(timings.maxDriftMs);
    link.onHeartbeat(heartbeat, now, wallMs);
    const isGated = link.isGated(timings.maxDriftMs);
    if (wasGated && !isGated) this.#gossip.synchronise(link);
    if (isGated && !wasGated) link.isBehind = true;
    if (heartbeat.heardMs > timings.silenceMs) this.#giveUp(link); // [F2] It does not hear us.
  }

  /** Heartbeats that are due, and links that have been silent for too long. */
  pulse(): void {
    const { now, links, timings } = this.#state;
    for (const link of links.open()) {
      if (now - link.heardAt > timings.silenceMs) this.#giveUp(link);
    }
    if (now < this.#heartbeatAt) return;
    this.#heartbeatAt = now + timings.heartbeatMs;
    for (const link of links.open()) this.#beat(link);
  }

  /** This peer was late: nobody else was silent meanwhile [F2]. */
  forgive(lateMs: number): void {
    const { links, now } = this.#state;
    for (const link of links.open()) link.heardAt = Math.min(now, link.heardAt + lateMs);
  }

  /** Dials what is due. */
  dialDue(): void {
    const { now } = this.#state;
    if (this.#targetsChanged || this.#state.membersChanged) this.#retarget();
    for (const address of this.#dialler.due(now)) this.dial(address, { type: "link", address });
  }

  deadline(): Instant {
    if (this.#state.left) return Number.POSITIVE_INFINITY; // Who has left dials nobody.
    return this.#dialler.deadline();
  }

  /** Says goodbye to everybody, after what this step has still to push to them [F6]. */
  closeAll(code: CloseCode): void {
    for (const { id } of this.#state.links.open())
      this.#state.effect({ type: "close", link: id, code });
  }

  /** [A0] Ends links to other foundings: whoever is to give way learns of it by a new handshake. */
  closeAliens(): void {
    for (const link of this.#state.links.open()) {
      if (link.isAlien) this.#close(link, "CLUSTER_MISMATCH");
    }
  }

  #retarget(): void {
    this.#targetsChanged = false;
    const { view, links, options, now } = this.#state;
    const wanted = new Map<Address, { readonly delayMs: number }>();
    const linked = new Set(links.open().map((link) => link.remote.name));
    const known = new Set<Address>([options.address, ...this.#own]);
    for (const { name, row, status } of view.membership.all()) {
      if (name === options.name || status === "left") continue;
      known.add(row.address);
      if (linked.has(name) || this.#inquests.has(name)) continue;
      wanted.set(row.address, { delayMs: options.name < name ? 0 : COURTESY_MS });
    }
    for (const address of this.#join) {
      const name = this.#answered.get(address);
      if (known.has(address) || (name !== undefined && linked.has(name))) continue;
      wanted.set(address, { delayMs: 0 });
    }
    this.#dialler.want(wanted, now);
  }

  #beat(link: Link): void {
    const { now, wallMs, wallClock, leadMs } = this.#state;
    this.#state.send(link, link.heartbeat(now, wallMs, wallClock.stepMs(), leadMs));
  }

  #close(link: Link, code: CloseCode): void {
    this.#state.links.close(link);
    this.#state.effect({ type: "close", link: link.id, code });
  }

  /** [S9] A close frame would never arrive: the link is cut. */
  #giveUp(link: Link): void {
    link.isClosing = true;
    this.#state.links.delete(link.id);
    this.#inquests.lostWitness(link.id);
    this.#targetsChanged = true;
    this.#state.effect({ type: "close", link: link.id, code: "TIMEOUT", silent: true });
  }

  /** Tells people once what stands in the way of a link. */
  #report(address: Address, failure: DialFailure, code: ErrorCode | undefined): void {
    const state = this.#state;
    const known = state.view.membership.all().some(({ row }) => row.address === address);
    if (failure === "self" || known) return;
    const what = failure === "rejected" ? (code ?? "CLOSED") : "UNREACHABLE";
    if (this.#reported.has(`${address} ${what}`)) return;
    this.#reported.add(`${address} ${what}`);
    const because = failure === "rejected" ? `it answers ${what}` : `it is ${failure}`;
    state.warn(what, `Cannot link with ${address} yet: ${because}; dialling on`);
  }
}
