/**
 * One open link, seen from this end: is it alive both ways, do the clocks agree, is it in sync?
 *
 * Heartbeats are frames of our own and not WebSocket pings: they carry the wall clock [C4], they say
 * how long ago the other side was heard, which shows a link that works in one direction only [F2],
 * and they give the round trip that the comparison of the clocks allows for.
 *
 * A link is `gated` while the two clocks differ by more than the drift bound, or while the other end
 * belongs to a founding that must give way: it then carries heartbeats and nothing else.
 */
import type { Remote } from "./event.ts";
import { FailureDetector } from "./failure-detector.ts";
import { hash32 } from "./hash.ts";
import type { Entry, Heartbeat, Pulse } from "./message.ts";
import { Reconciliation } from "./reconciliation.ts";
import type { Replica } from "./replica.ts";
import type { Timings } from "./timings.ts";
import type { Instant, LinkId, PeerName, WallMs } from "./units.ts";

export class Link {
  readonly id: LinkId;
  readonly remote: Remote;
  /** Whether this end dialled. */
  readonly isDialled: boolean;
  readonly openedAt: Instant;
  readonly sync: Reconciliation;
  /** Judges how long the other end may be silent. */
  readonly detector: FailureDetector;
  /** When this end said anything. */
  saidAt: Instant;
  /** When this end compared clocks. */
  beatAt: Instant = Number.NEGATIVE_INFINITY;
  /** When this end answered a sign of life that asked for one. */
  answeredAt: Instant = Number.NEGATIVE_INFINITY;
  /** How often this end has promised to be heard, in ms. */
  everyMs: number;
  /** No deltas go out: the socket is full [G6]. */
  isCongested = false;
  /** Deltas were left out, so an exchange is due as soon as possible. */
  isBehind = true;
  /** An exchange has ended since the link opened. */
  isSynced = false;
  /** The other end was a member when this end's exchange began: it has the whole table [A0]. */
  asksMember = false;
  /** The same of the other end's exchange, which this one answers. */
  answersMember = false;
  /** The same of the exchange that has just ended. */
  isWithMember = false;
  /** A newer era that came with the exchange under way, and is taken over at its end [M5]. */
  comingEra: Entry | undefined;
  /**
   * The other end sent its row of this life, stamped by a clock that is not ahead: it is a member, even if
   * a higher row of it stands here.
   */
  hasSoundRow = false;
  /** The other end's founding must give way to ours: nothing of it is merged [A0]. */
  isAlien = false;
  /** Where the other end stands in the ring of the members: the hash of its name. */
  readonly hash: number;
  /** Whether this end has a use for the link, as it last said, and the other end [G7]. */
  isWanted = true;
  isWantedThere = true;
  /** Asks of this end that the other one has not answered [H3]. */
  asksUnderWay = 0;
  /** Services need this link [N3]. */
  isPosted = false;
  /** The conversation over it has ended: its posts are not delivered any more [N2]. */
  isRetired = false;
  /** It was closed because neither end wanted it: what comes now is not taken, and is sent elsewhere. */
  isGivenUp = false;
  /** Since when neither end wants it. */
  unwantedSince: Instant | undefined;
  /** The other end sent more than this one can take [G10]. */
  isOverfull = false;
  /** The highest number of a request that came over this link [P2]. */
  lastRequest = 0;
  /** This end asked for the end of the link: it still listens, but sends nothing more. */
  isClosing = false;
  #echo = -1;
  #echoAt: Instant = 0;
  #roundTripMs: number | undefined;
  #differenceMs: number;
  #stepDifferenceMs: number;
  #leadMs: number | undefined;

  constructor(
    options: {
      id: LinkId;
      remote: Remote;
      isDialled: boolean;
      self: PeerName;
      replica: Replica;
      timings: Timings;
    },
    now: Instant,
    wallMs: WallMs,
  ) {
    this.id = options.id;
    this.remote = options.remote;
    this.isDialled = options.isDialled;
    this.openedAt = now;
    this.detector = new FailureDetector(options.timings, now);
    this.saidAt = now;
    this.everyMs = options.timings.heartbeatMs;
    this.hash = hash32(options.remote.name);
    this.sync = new Reconciliation(options.replica, {
      yields: options.self > options.remote.name,
    });
    this.#differenceMs = options.remote.wallMs - wallMs;
    this.#stepDifferenceMs = this.#differenceMs;
  }

  /** Round trip of the last heartbeat that was answered, in ms. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** Their wall clock minus ours, in ms, half the round trip allowed for. */
  get differenceMs(): number {
    return this.#differenceMs;
  }

  /** The same for their raw clock, before any step of it was doubted [C7]. */
  get rawDifferenceMs(): number {
    return this.#stepDifferenceMs;
  }

  /** How far their hybrid clock was ahead of their wall clock, in ms; undefined until they say so. */
  get leadMs(): number | undefined {
    return this.#leadMs;
  }

  /** When any bytes came. */
  get heardAt(): Instant {
    return this.detector.heardAt;
  }

  /** [C4] Whether the clocks differ too much for anything but heartbeats. */
  drifts(maxDriftMs: number): boolean {
    return Math.abs(this.#differenceMs) > maxDriftMs + (this.#roundTripMs ?? 0) / 2;
  }

  /** Whether the link carries heartbeats only. */
  isGated(maxDriftMs: number): boolean {
    return this.isAlien || this.drifts(maxDriftMs);
  }

  /** The heartbeat to send now. */
  heartbeat(now: Instant, wallMs: WallMs, stepMs: number, leadMs: number): Heartbeat {
    return {
      type: "heartbeat",
      sentAt: Math.floor(now),
      echo: this.#echo,
      echoDelayMs: this.#echo < 0 ? 0 : Math.round(now - this.#echoAt),
      heardMs: Math.round(now - this.heardAt),
      wallMs: Math.floor(wallMs),
      stepMs: Math.round(stepMs),
      leadMs: Math.round(leadMs),
      everyMs: Math.round(this.everyMs),
    };
  }

  /** The short sign of life to send now; one that `asks` is answered at once. */
  pulse(now: Instant, asks: boolean): Pulse {
    const heardMs = Math.round(now - this.heardAt);
    return { type: "pulse", heardMs, everyMs: Math.round(this.everyMs), asks };
  }

  /** Takes in the other end's heartbeat. */
  onHeartbeat(heartbeat: Heartbeat, now: Instant, wallMs: WallMs): void {
    this.#echo = heartbeat.sentAt;
    this.#echoAt = now;
    this.detector.expect(heartbeat.everyMs);
    this.#leadMs = heartbeat.leadMs;
    if (heartbeat.echo >= 0) {
      const roundTripMs = now - heartbeat.echo - heartbeat.echoDelayMs;
      // A link has no longer round trip than it has been open, whatever the other end says.
      this.#roundTripMs = Math.min(Math.max(0, roundTripMs), now - this.openedAt);
    }
    this.#differenceMs = heartbeat.wallMs + (this.#roundTripMs ?? 0) / 2 - wallMs;
    this.#stepDifferenceMs = this.#differenceMs + heartbeat.stepMs;
  }
}
