/**
 * Which links are opened, kept alive and given up.
 *
 * Wanted are links with neighbours (`neighbours.ts` says who that is), dead ones included, and by the
 * addresses to join by that are no known member's [G8]. The higher name of a pair waits a moment before
 * its first dial, so that the two seldom meet halfway. A link that has been silent for too long, or
 * whose other end does not hear this one, is terminated and dialled anew [S9]. One that ended without
 * goodbye starts an inquest [F5].
 *
 * A link stays as long as either end wants it, which each tells the other, and a while longer: views
 * change faster than links should [G7]. Who brought more than this peer can take is left alone [G10].
 *
 * A newcomer that finds its name held by another life of it dials the address given there: if that life
 * answers, the newcomer stops [F7].
 */
import { Dialler } from "./dialler.ts";
import type { CloseCode } from "./effect.ts";
import type { ErrorCode } from "./error.ts";
import type { DialFailure, MachineEvent, Remote } from "./event.ts";
import type { Gossip } from "./gossip.ts";
import { beginAgain, MISSED, OLDER } from "./gossip.ts";
import type { Inquests } from "./inquests.ts";
import { ADDRESSES_REMEMBERED_MAX, SHUNNED_MAX } from "./limits.ts";
import { Link } from "./link.ts";
import type { Heartbeat, Pulse } from "./message.ts";
import { MONITORS } from "./monitors.ts";
import { Neighbours } from "./neighbours.ts";
import type { PeerState } from "./peer-state.ts";
import { detectionTimes } from "./suspicion.ts";
import type { Address, Incarnation, Instant, PeerName } from "./units.ts";

/** How long a link stays that neither end wants any more, in ms. */
const LINGER_MS = 10_000;

/** Between two dials of a dead member that is nobody's turn, in ms. */
const STRAY_MS = 1000;

/** Part of a heartbeat by which a sign of life may come early, to fall together with a pulse. */
const EARLY = 0.25;

/** Change of a step of the wall clock that others are told at once, in ms: any but its jitter [C7]. */
const STEP_NEWS_MS = 500;

/** Dials of one address that may fail before people are told: it may be starting, too. */
const QUIET_FAILURES = 5;

type Opened = Extract<MachineEvent, { type: "link-opened" }>;
type Closed = Extract<MachineEvent, { type: "link-closed" }>;

/** What a dial is for. */
export type DialPurpose =
  | { readonly type: "link"; readonly address: Address }
  | { readonly type: "inquest"; readonly subject: string }
  | { readonly type: "claim"; readonly incarnation: Incarnation }
  /** A call waits for this member. */
  | { readonly type: "request"; readonly carrier: PeerName };

export class Connections {
  readonly #state: PeerState;
  readonly #gossip: Gossip;
  readonly #inquests: Inquests;
  readonly #dialler: Dialler;
  readonly #neighbours: Neighbours;
  readonly #dials = new Map<number, DialPurpose>();
  #join: readonly Address[];
  /** Names that answered at an address to join by, which may be spelt unlike theirs. */
  readonly #answered = new Map<Address, string>();
  /** Until when this peer will have no link with whom [G10]. */
  readonly #shunned = new Map<PeerName, { readonly address: Address; readonly until: Instant }>();
  /** Addresses that turned out to be this peer's own. */
  readonly #own = new Set<Address>();
  /** Rejections that have been reported. */
  readonly #reported = new Set<string>();
  #dialCount = 0;
  #targetsChanged = true;
  #strayAt: Instant;
  /** When anybody was heard last, over whichever link. */
  #reachedAt: Instant;
  /** What others were told last: the step that is held back, and wall clock minus monotonic one [C7]. */
  #toldClock: { readonly stepMs: number; readonly offsetMs: number };
  /** The neighbours that `#far` follows from. */
  #ranked: ReadonlySet<PeerName> = new Set();
  /** Members that do not monitor this peer, and are content to hear it rarely [F2]. */
  #far: ReadonlySet<PeerName> = new Set();

  constructor(state: PeerState, gossip: Gossip, inquests: Inquests) {
    this.#state = state;
    this.#gossip = gossip;
    this.#inquests = inquests;
    this.#dialler = new Dialler(state.timings, state.options.random);
    this.#neighbours = new Neighbours(state, inquests, (address) =>
      this.#dialler.failures(address),
    );
    this.#join = state.options.join;
    this.#strayAt = state.now + STRAY_MS;
    this.#reachedAt = state.now;
    this.#toldClock = { stepMs: 0, offsetMs: state.wallMs - state.now };
  }

  joinBy(addresses: readonly Address[]): void {
    this.#join = addresses;
    const wanted = new Set(addresses);
    for (const address of this.#answered.keys()) {
      if (!wanted.has(address)) this.#answered.delete(address);
    }
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
      if (this.#join.includes(purpose.address)) this.#answered.set(purpose.address, remote.name);
    }
    if (remote.name === state.options.name) {
      // [F7] Another life of this peer: the one that dialled draws the conclusion.
      state.effect({ type: "close", link: event.link, code: "NAME_TAKEN" });
      return purpose;
    }
    if (this.#shunned.has(remote.name)) {
      state.effect({ type: "close", link: event.link, code: "BUFFER_FULL" });
      return purpose;
    }
    this.#open(event.link, remote, event.dial !== undefined);
    return purpose;
  }

  #open(id: number, remote: Remote, isDialled: boolean): void {
    const state = this.#state;
    const self = state.options.name;
    const { replica, timings, now, wallMs } = state;
    const link = new Link({ id, remote, isDialled, self, replica, timings }, now, wallMs);
    const relation = state.founding.compare(remote.founding);
    // A founding by a clock that is an hour slow only looks older: nobody gives way across a drift.
    const isDrifting = link.drifts(state.timings.maxDriftMs);
    if (relation === "older" && !isDrifting) {
      beginAgain(state, link, OLDER, remote.founding);
      return;
    }
    const line = relation === "same" && !isDrifting ? state.eras.relate(remote.era) : "mergeable";
    if (line === "ahead")
      beginAgain(state, link, MISSED); // [M5]
    else if (line === "behind") {
      state.effect({ type: "close", link: id, code: "CLUSTER_MISMATCH" });
    }
    if (line !== "mergeable") return;
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
    if (link.isOverfull) this.#shun(remote);
    // Who closes without leaving has said why, but not goodbye.
    const isExplained = event.clean && event.code !== "CLOSED";
    if (isExplained || links.to(remote.incarnation) !== undefined) return;
    this.#excuse(link);
    this.#inquests.lost(remote.name, remote.incarnation); // [F5]
  }

  /**
   * [F2] A link that ends before its next sign of life was due is no silence, however rare these were: the
   * other end counts as heard when it would have been by a monitor.
   */
  #excuse({ detector, remote }: Link): void {
    const { liveness, now, timings } = this.#state;
    const isSilent = now - detector.heardAt >= detector.limitMs;
    if (isSilent || liveness.isSuspect(remote.name)) return;
    liveness.heard(remote.name, now - timings.heartbeatMs);
  }

  /** [G10] It would bring the same again. */
  #shun({ name, address }: Remote): void {
    const { now, timings } = this.#state;
    const [oldest] = this.#shunned.keys();
    if (this.#shunned.size >= SHUNNED_MAX && oldest !== undefined) this.#shunned.delete(oldest);
    this.#shunned.set(name, { address, until: now + timings.redialIdleMs });
  }

  #forgetShunned(): void {
    for (const [name, { until }] of this.#shunned) {
      if (until > this.#state.now) return; // They come in the order in which they end.
      this.#shunned.delete(name);
      this.#targetsChanged = true;
    }
  }

  /** Takes in a dial that came to nothing; returns what it was for. */
  dialFailed(dial: number, failure: DialFailure, code?: ErrorCode): DialPurpose | undefined {
    const purpose = this.#dials.get(dial);
    this.#dials.delete(dial);
    if (purpose?.type === "link") {
      const failures = this.#dialler.failed(purpose.address, this.#state.now);
      if (failure === "self") addOf(this.#own, purpose.address); // [G7]
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
    this.#heard(link, heartbeat);
  }

  /** Takes in a short sign of life. */
  pulsed(link: Link, pulse: Pulse): void {
    link.detector.expect(pulse.everyMs);
    this.#heard(link, pulse);
    if (!pulse.asks || link.isClosing || link.answeredAt === this.#state.now) return;
    link.answeredAt = this.#state.now; // [S4] One answer at a time, however often it is asked for.
    this.#state.send(link, link.pulse(this.#state.now, false));
  }

  /** Signs of life that are due. */
  pulse(): void {
    const { now, links } = this.#state;
    this.#rank();
    const hasStepped = this.#hasStepped();
    for (const link of links.open()) {
      this.#tellWhetherWanted(link);
      if (this.#isUnused(link)) {
        link.isGivenUp = true;
        this.#close(link, "UNUSED");
      } else this.#sayAlive(link, hasStepped);
    }
    this.#watchReach();
    this.#forgetShunned();
    if (now < this.#strayAt || this.#state.left) return;
    this.#strayAt = now + STRAY_MS;
    const address = this.#neighbours.stray();
    if (address !== undefined) this.dial(address, { type: "link", address });
  }

  /** [C7] Whether a step was seen or taken since others were told: they judge theirs by it. */
  #hasStepped(): boolean {
    const { now, wallMs, wallClock } = this.#state;
    const stepMs = wallClock.stepMs();
    const told = this.#toldClock;
    const isNews = (ms: number): boolean => Math.abs(ms) > STEP_NEWS_MS;
    if (!isNews(stepMs - told.stepMs) && !isNews(wallMs - now - told.offsetMs)) return false;
    this.#toldClock = { stepMs, offsetMs: wallMs - now };
    return true;
  }

  /** [F2] Says that this peer lives when that is due: shortly, or at length for who compares clocks. */
  #sayAlive(link: Link, hasStepped: boolean): void {
    const { now, timings } = this.#state;
    const earlyMs = timings.heartbeatMs * EARLY;
    const everyMs = this.#far.has(link.remote.name) ? timings.keepAliveMs : timings.heartbeatMs;
    const isNew = link.everyMs !== everyMs;
    link.everyMs = everyMs;
    const isBeatDue = now - link.beatAt >= timings.keepAliveMs - earlyMs;
    if (isBeatDue || hasStepped) this.#beat(link);
    else if (isNew || now - link.saidAt >= everyMs - earlyMs) {
      this.#state.send(link, link.pulse(now, false));
    }
  }

  /** [G7] Neither end has wanted the link for a while, and this end has all that it wants. */
  #isUnused(link: Link): boolean {
    const { now } = this.#state;
    if (link.isWanted || link.isWantedThere) link.unwantedSince = undefined;
    else link.unwantedSince ??= now;
    const { unwantedSince } = link;
    if (unwantedSince === undefined || now - unwantedSince < LINGER_MS) return false;
    return this.#neighbours.missing === 0;
  }

  /**
   * [F9] Beyond a full mesh a peer calls only its neighbours dead, some at a time, so one that is cut off
   * from all others would take long to find them a majority. It need not count them: who has heard nobody
   * for as long as it takes to call somebody dead is on the wrong side.
   */
  #watchReach(): void {
    const { now, overlay, timings, joined, links } = this.#state;
    if (!joined || overlay.isMesh) {
      this.#reachedAt = now;
      this.#state.isCutOff = false;
      return;
    }
    for (const { heardAt } of links.open()) this.#reachedAt = Math.max(this.#reachedAt, heardAt);
    const { deadAloneMs } = detectionTimes(timings, overlay.size);
    this.#state.isCutOff = now - this.#reachedAt >= deadAloneMs;
  }

  /** [F2] This peer was late: nobody else was silent meanwhile. */
  forgive(lateMs: number): void {
    this.#reachedAt = Math.min(this.#state.now, this.#reachedAt + lateMs);
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
    const { links, options, now } = this.#state;
    const wanted = this.#neighbours.refresh();
    const linked = links.names();
    for (const address of this.#join) {
      const name = this.#answered.get(address);
      if (address === options.address || this.#own.has(address)) continue;
      if (this.#neighbours.isAddressKnown(address)) continue;
      if (name === undefined || !linked.has(name)) wanted.set(address, { delayMs: 0 });
    }
    for (const { address } of this.#shunned.values()) wanted.delete(address);
    this.#dialler.want(wanted, now);
    for (const link of links.open()) this.#tellWhetherWanted(link);
  }

  #tellWhetherWanted(link: Link): void {
    const wanted = this.#neighbours.wants(link) || link.asksUnderWay > 0 || link.isPosted;
    if (wanted === link.isWanted) return;
    link.isWanted = wanted;
    this.#state.send(link, { type: "keep", wanted });
  }

  /** [F2] A link is alive only when both ends hear each other. */
  #heard(link: Link, { heardMs }: Heartbeat | Pulse): void {
    if (heardMs > link.everyMs + this.#state.timings.silenceMs) this.giveUp(link);
  }

  /** Tells the members that monitor this peer, the next of its neighbours, from the others. */
  #rank(): void {
    const neighbours = this.#state.overlay.neighbours();
    if (neighbours === this.#ranked) return;
    this.#ranked = neighbours;
    this.#far = new Set([...neighbours].slice(MONITORS));
  }

  #beat(link: Link): void {
    const { now, wallMs, wallClock, leadMs } = this.#state;
    link.beatAt = now;
    this.#state.send(link, link.heartbeat(now, wallMs, wallClock.stepMs(), leadMs));
  }

  #close(link: Link, code: CloseCode): void {
    this.#state.links.close(link);
    this.#state.effect({ type: "close", link: link.id, code });
  }

  /** [S9] A close frame would never arrive: the link is cut, and dialled anew. */
  giveUp(link: Link): void {
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
    addOf(this.#reported, `${address} ${what}`);
    const because = failure === "rejected" ? `it answers ${what}` : `it is ${failure}`;
    state.warn(what, `Cannot link with ${address} yet: ${because}; dialling on`);
  }
}

/** [U3] Adds to what is remembered of addresses; the oldest gives way when there are too many. */
function addOf(remembered: Set<string>, text: string): void {
  remembered.add(text);
  const [oldest] = remembered;
  if (remembered.size > ADDRESSES_REMEMBERED_MAX && oldest !== undefined) remembered.delete(oldest);
}
