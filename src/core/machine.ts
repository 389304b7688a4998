/**
 * One peer as a state machine: `step(event, now, wallMs)` gives effects, `deadline()` says when next.
 *
 * This is the only module that speaks events, and the parts that it hands them to are plain objects
 * that are called and answer. A step runs to completion. It ends with the same sequence whatever
 * the event was: this peer looks after its own place (`standing.ts`), acts on a plan (`planner.ts`),
 * proceeds with inquests and dials what is due; then what won is made durable, told to others, and the
 * rest of the effects follow.
 *
 * Everything that happens by the clock happens at a pulse, half a heartbeat apart, but for dials, plans
 * and inquiries, which have deadlines of their own. A pulse that comes late is this peer's own fault, and
 * is subtracted from everybody else's silence first, before anything of the step is looked at.
 *
 * Deliberately absent: sockets, files, clocks, randomness and ids. `io/runtime.ts` and `sim/` supply
 * them, each in its own way, to this same code.
 *
 * Rules: SPEC.md, all of it; each part names its own.
 */
import { Calls } from "./calls.ts";
import { Connections } from "./connections.ts";
import type { Effect } from "./effect.ts";
import type { Era } from "./eras.ts";
import type { MachineEvent } from "./event.ts";
import { beginAgain, Gossip, OLDER } from "./gossip.ts";
import { type InquestHooks, Inquests } from "./inquests.ts";
import type { Link } from "./link.ts";
import { type MachineStatus, statusOf } from "./machine-status.ts";
import type { VerdictKind } from "./membership.ts";
import { type Entry, isHostMessage, type MapEntries } from "./message.ts";
import { type MachineOptions, PeerState } from "./peer-state.ts";
import { Planner } from "./planner.ts";
import { Posts } from "./posts.ts";
import { Service } from "./service.ts";
import { Standing } from "./standing.ts";
import { Surveillance } from "./surveillance.ts";
import { pulseOf } from "./suspicion.ts";
import type { Incarnation, Instant, PeerName, Stamp, Timestamp, WallMs } from "./units.ts";
import { ALLOCATIONS, type View } from "./view.ts";
import { agrees } from "./wall-clock.ts";

export type { MachineStatus } from "./machine-status.ts";
export type { MachineOptions } from "./peer-state.ts";

/** What the handshake says of this peer. */
export interface Identity {
  readonly cluster: string;
  readonly name: PeerName;
  readonly incarnation: string;
  readonly address: string;
  readonly shardCount: number;
  readonly wallMs: WallMs;
  readonly founding: Stamp | undefined;
  readonly era: Era | undefined;
  readonly isHosting: boolean;
  readonly isAccompanied: boolean;
}

export class Machine {
  readonly #state: PeerState;
  readonly #gossip: Gossip;
  readonly #inquests: Inquests;
  readonly #connections: Connections;
  readonly #standing: Standing;
  readonly #planner: Planner;
  readonly #surveillance: Surveillance;
  readonly #calls: Calls;
  readonly #service: Service;
  readonly #posts: Posts;
  readonly #hooks: InquestHooks = {
    dial: (address, subject) => this.#connections.dial(address, { type: "inquest", subject }),
    dead: (subject, incarnation, kind, why) => this.#buried(subject, incarnation, kind, why),
  };
  #couldSideHost = true;
  readonly #pulseMs: number;
  #pulseAt: Instant;

  constructor(options: MachineOptions, now: Instant, wallMs: WallMs) {
    const state = new PeerState(options, now, wallMs);
    this.#state = state;
    this.#gossip = new Gossip(state);
    this.#inquests = new Inquests(state);
    this.#connections = new Connections(state, this.#gossip, this.#inquests);
    this.#standing = new Standing(state, this.#connections);
    this.#planner = new Planner(state, (shard, to) => this.#service.hosting.begin(shard, to));
    const [connections, standing] = [this.#connections, this.#standing];
    this.#service = new Service(state, {
      synchronise: (link) => this.#gossip.synchronise(link),
      dial: (address, carrier) => void connections.dial(address, { type: "request", carrier }),
      hosting: () => standing.refresh(),
      moved: (shard) => this.#calls.moved(shard),
    });
    this.#calls = new Calls(state, { connections, standing, service: this.#service });
    this.#posts = new Posts(state, (address, carrier) => {
      connections.dial(address, { type: "request", carrier });
    });
    this.#surveillance = new Surveillance(state, this.#connections);
    this.#pulseMs = pulseOf(options.timings);
    this.#pulseAt = now;
  }

  /** The view, always current. Do not keep what it returns across steps. */
  get view(): View {
    return this.#state.view;
  }

  /** Whether this peer serves and takes writes, and goes on doing so. */
  get isReady(): boolean {
    return this.#state.isReady && !this.#state.isLeaving;
  }

  /** Whether this peer may serve shards now [F9, A9]. */
  get isServing(): boolean {
    return this.#state.isReady && !this.#state.isStale;
  }

  /** Whether a post to this peer would be taken now [N1]. */
  canPost(to: PeerName): boolean {
    return this.#posts.canPost(to);
  }

  /** What this peer says of itself in a handshake that begins now. */
  identity(now: Instant, wallMs: WallMs): Identity {
    const { options, founding, joined, wallClock, eras, view } = this.#state;
    const { cluster, name, incarnation, address, shardCount } = options;
    const used = wallClock.read(wallMs, now);
    return {
      cluster,
      name,
      incarnation,
      address,
      shardCount,
      wallMs: used,
      // A newcomer may have the founding before it has the table that belongs to it.
      founding: joined || founding.isFromDisk ? founding.stamp : undefined,
      era: eras.era,
      isHosting: this.#standing.isHosting,
      isAccompanied: view.membership.size > 1,
    };
  }

  /**
   * Takes one event and returns what is to be done about it, in order. `now` never runs backwards;
   * `wallMs` may.
   */
  step(event: MachineEvent, now: Instant, wallMs: WallMs): Effect[] {
    const state = this.#state;
    if (state.halted) return [];
    state.now = now;
    state.wallMs = state.wallClock.read(wallMs, now);
    const lateMs = now - this.#pulseAt;
    if (lateMs > this.#pulseMs) this.#surveillance.forgive(lateMs); // [F2]
    this.#noticePause();
    this.#handle(event);
    if (now >= this.#pulseAt) this.#pulse();
    this.#surveillance.proceed();
    this.#standing.settle();
    this.#inquests.proceed(this.#hooks);
    this.#service.catchUp(); // [A7] Before this region claims again what another one has.
    this.#planner.settle(); // After the inquests: the shards of the dead are claimed at once.
    this.#service.settle();
    this.#calls.settle();
    this.#posts.settle();
    if (!state.left) this.#connections.dialDue();
    state.membersChanged = false;
    this.#watchSide();
    state.view.frequencies.settle();
    return state.finish(this.#gossip);
  }

  /** When the machine wants to be woken, whatever happens until then. */
  deadline(): Instant {
    if (this.#state.halted) return Number.POSITIVE_INFINITY;
    return Math.min(
      this.#pulseAt,
      this.#connections.deadline(),
      this.#surveillance.deadline(),
      this.#inquests.deadline(),
      this.#planner.deadline(),
      this.#service.deadline(),
      this.#calls.deadline(),
      this.#posts.deadline(),
    );
  }

  /** Every entry of the replica's allocations, tombstones included. */
  allocationEntries(): Entry[] {
    return this.#state.replica.map(ALLOCATIONS).all();
  }

  /** Every entry of every map, tombstones included. */
  entries(): MapEntries[] {
    return this.#state.replica.everything();
  }

  /** The entry of a key of a map, which may be a tombstone. */
  entry(map: string, key: string): Entry | undefined {
    return this.#state.replica.entry(map, key);
  }

  get incarnation(): Incarnation {
    return this.#state.options.incarnation;
  }

  /** The wall clock that this peer used in its last step, in Unix ms. */
  get wallMs(): WallMs {
    return this.#state.wallMs;
  }

  /** The highest timestamp that this peer has issued or seen. */
  get clockTime(): Timestamp {
    return this.#state.clock.last;
  }

  status(): MachineStatus {
    return statusOf(this.#state, this.isReady, this.#gossip.refused);
  }

  #handle(event: MachineEvent): void {
    switch (event.type) {
      case "link-opened": {
        const purpose = this.#connections.opened(event);
        this.#standing.met(event.remote);
        if (purpose?.type === "inquest") this.#inquests.dialled(purpose.subject, "reached");
        if (purpose?.type === "claim") this.#standing.claimed(purpose, event.remote);
        if (purpose?.type === "request") this.#calls.forwarding.dialled(purpose.carrier);
        else this.#calls.forwarding.linked();
        break;
      }
      case "dial-failed": {
        const purpose = this.#connections.dialFailed(event.dial, event.failure, event.code);
        const isGone = event.failure === "refused" || event.failure === "reset";
        const outcome = isGone ? event.failure : "unknown";
        if (purpose?.type === "inquest") this.#inquests.dialled(purpose.subject, outcome);
        if (purpose?.type === "claim") this.#standing.claimed(purpose, undefined);
        if (purpose?.type === "request") this.#calls.forwarding.dialled(purpose.carrier);
        break;
      }
      case "link-closed": {
        const remote = this.#state.links.get(event.link)?.remote;
        this.#connections.closed(event);
        this.#service.linkClosed(event, remote?.incarnation);
        break;
      }
      case "received":
        this.#received(event);
        break;
      case "link-congested":
      case "link-drained":
        this.#gossip.congested(event.link, event.type === "link-congested");
        if (event.type === "link-drained") this.#service.router.drained();
        this.#posts.congested();
        break;
      case "addresses-found":
        this.#connections.joinBy(event.addresses);
        break;
      case "called":
        this.#calls.called(event.call, event.request);
        break;
      case "abandoned":
        this.#calls.ticks.abandoned(event.call);
        break;
      case "host-registered":
      case "hosted":
      case "asked":
      case "ask-given-up":
        this.#service.handle(event);
        break;
      case "posted":
        this.#posts.posted(event.to, event.service, event.body);
        break;
      case "peer-needed":
        this.#posts.need(event.peer, event.isNeeded);
        break;
      case "started":
      case "woken":
        break; // What is due by the clock is done after every event.
    }
  }

  #received(event: Extract<MachineEvent, { type: "received" }>): void {
    const { links, liveness, timings, now } = this.#state;
    const link = links.get(event.link);
    if (link === undefined) return;
    link.detector.heard(now); // [F2] Any bytes are a sign of life.
    liveness.heard(link.remote.name, now);
    this.#gossip.refused.malformed += event.refused;
    let chunks = 0;
    for (const message of event.messages) {
      // [S5] An exchange asks for one chunk at a time; thousands at once would build them all.
      if (message.type === "snapshot-request") chunks += 1;
      if (chunks > 1 && message.type === "snapshot-request") continue;
      if (message.type === "heartbeat") this.#connections.received(link, message);
      else if (message.type === "keep") link.isWantedThere = message.wanted;
      else if (message.type === "pulse") this.#connections.pulsed(link, message);
      else if (link.isGated(timings.maxDriftMs))
        this.#posts.missed(link); // [C4]
      else if (message.type === "post") this.#posts.received(link, message);
      else if (isHostMessage(message)) this.#service.received(link, message);
      else if (message.type === "probe") this.#inquests.asked(link, message);
      else if (message.type === "probe-answer") this.#inquests.testified(link, message);
      else if (message.type === "inquiry" || message.type === "inquiry-answer")
        this.#surveillance.received(link, message);
      else if (message.type === "request") this.#calls.requested(link, message);
      else if (message.type === "response") this.#calls.forwarding.responded(link, message);
      else if (this.#gossip.receive(link, message)) {
        this.#exchanged(link);
        // [A9] Its own exchange, that is: another may have begun before this peer was paused.
        if (message.type === "done" && link.isWithMember) this.#service.resume();
      } else this.#followFounding();
    }
  }

  #exchanged(link: Link): void {
    const { hasTable } = this.#state;
    this.#standing.exchanged(link);
    if (!hasTable && this.#state.hasTable) this.#gossip.partOthers();
  }

  /** [A0] A founding that was pushed here is joined by an exchange. */
  #followFounding(): void {
    const { joined, founding, links, timings } = this.#state;
    if (joined || founding.stamp === undefined) return;
    for (const link of links.usable(timings.maxDriftMs)) {
      if (this.#state.isMember(link.remote)) this.#gossip.synchronise(link);
    }
  }

  #pulse(): void {
    this.#pulseAt = this.#state.now + this.#pulseMs;
    this.#watchClock();
    this.#surveillance.pulse();
    this.#connections.pulse();
    this.#gossip.pulse();
    this.#state.eras.pulse();
    this.#service.pulse();
    this.#posts.pulse();
    if (this.#state.isStale && this.#isAlone()) this.#service.resume();
  }

  /**
   * [A9] A step that comes this late finds a peer that was stopped: others may have taken it for dead,
   * and what it is about to hear is old. It serves nothing until an exchange that begins now has ended.
   */
  #noticePause(): void {
    const state = this.#state;
    const lateMs = state.now - this.#pulseAt;
    if (lateMs <= state.timings.silenceMs || this.#isAlone()) return;
    this.#service.suspend();
    for (const link of state.links.usable(state.timings.maxDriftMs)) {
      link.sync.abandon();
      this.#gossip.synchronise(link);
    }
  }

  /** Whether there is nobody who could know what this peer does not. */
  #isAlone(): boolean {
    const { view, options } = this.#state;
    return view.membership.all().every(({ name, status, removed }) => {
      return name === options.name || removed || status === "dead" || status === "left";
    });
  }

  /** [F9] Tells people when this side has lost the majority, or has it again. */
  #watchSide(): void {
    const state = this.#state;
    const { maySideHost } = state;
    if (maySideHost === this.#couldSideHost) return;
    this.#couldSideHost = maySideHost;
    if (!state.joined || state.left) return;
    if (maySideHost) state.notify({ type: "ready", how: "rejoined" });
    else state.warn("NOT_READY", `${this.#lostSide()}: it serves and writes nothing`);
  }

  #lostSide(): string {
    const { downing } = this.#state.options;
    if (downing === "majority") return "This side has no majority";
    if (downing === "oldest") return "This side has not the oldest member";
    return `This side has no quorum (${downing})`;
  }

  #watchClock(): void {
    const state = this.#state;
    const { timings, wallClock } = state;
    const all = state.links.open();
    const ofMembers = all.filter(({ remote }) => state.hasRow(remote));
    const links = ofMembers.length > 0 ? ofMembers : all; // [C5] Strangers have no say.
    const stepMs = wallClock.stepMs();
    if (stepMs !== 0) {
      const differences = links.map((link) => link.rawDifferenceMs);
      if (agrees(differences, stepMs)) wallClock.adopt(); // [C7]
    }
    const drifting = links.filter((link) => link.drifts(timings.maxDriftMs));
    const [only] = links;
    const drifted =
      links.length === 1
        ? drifting.length === 1 && only !== undefined && only.differenceMs < 0
        : 2 * drifting.length > links.length;
    if (drifted && !state.drifted) {
      const ms = Math.round(drifting[0]?.differenceMs ?? 0);
      state.warn("CLOCK_DRIFT", `This clock differs from that of other peers by ${-ms} ms`);
    }
    state.drifted = drifted;
    this.#yieldFounding();
    if (!drifted) this.#dropUntakable();
  }

  /**
   * [A0, C5] This peer founded in this life, alone, by a clock that most others call wrong, or that
   * differs from that of a founding which somebody has joined. Were the clock put right, this founding
   * could look older than theirs, so it is given up now.
   */
  #yieldFounding(): void {
    const state = this.#state;
    const { founding, options, links, view, drifted, timings } = state;
    if (founding.stamp?.writer !== options.incarnation || view.membership.size > 1) return;
    const other = links.open().find((link) => {
      const { remote } = link;
      if (remote.founding === undefined || founding.compare(remote.founding) === "same")
        return false;
      return drifted || (remote.isAccompanied === true && link.drifts(timings.maxDriftMs));
    });
    if (other !== undefined) beginAgain(state, other, OLDER, other.remote.founding);
  }

  /**
   * [C5] This clock was far ahead and is right again: what it stamped meanwhile, and all that it would
   * stamp from now on, nobody takes. If a peer with a sound clock is there, this one begins again.
   */
  #dropUntakable(): void {
    const state = this.#state;
    const leadMsMax = 2 * state.timings.maxDriftMs;
    if (state.leadMs <= leadMsMax) return;
    const sound = state.links
      .usable(state.timings.maxDriftMs)
      .filter(({ leadMs }) => (leadMs ?? Infinity) <= leadMsMax)
      // One that has just begun again is sound until it has a table, which may be ahead again. And what a
      // member wrote in an earlier life may be ahead, too, and hide its row of this one.
      .filter(({ remote: { name, incarnation }, hasSoundRow }) => {
        const member = state.view.membership.get(name);
        const isPresent =
          member?.row.incarnation === incarnation && state.isCredible(member.stamp.time);
        return hasSoundRow || isPresent;
      });
    if (sound.length === 0) return; // A peer alone never resets, nor do all of them.
    const join = [
      ...new Set([...sound.map(({ remote }) => remote.address), ...state.options.join]),
    ];
    const message = `Dropping writes stamped ${state.leadMs} ms ahead of the clock: no peer takes them`;
    state.halt({ type: "reset", join, older: undefined, message });
  }

  #buried(subject: PeerName, incarnation: string, kind: VerdictKind, why: string): void {
    const member = this.#state.view.membership.get(subject);
    if (member === undefined || member.row.incarnation !== incarnation) return;
    const { joined, left, drifted } = this.#state;
    if (member.status === "left" || member.removed || !joined || left || drifted) return;
    // [F5, F9] A dead process is no partition: this is said by a side without a majority, too, which
    // may have one again when those who are dead no longer count.
    if (kind !== "dead" || member.status !== "dead") this.#surveillance.accuse(subject, kind, why);
  }
}
