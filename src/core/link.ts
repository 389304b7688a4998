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
import type { Heartbeat } from "./message.ts";
import { Reconciliation } from "./reconciliation.ts";
import type { Replica } from "./replica.ts";
import type { Instant, LinkId, PeerName, WallMs } from "./units.ts";

export class Link {
  readonly id: LinkId;
  readonly remote: Remote;
  /** Whether this end dialled. */
  readonly isDialled: boolean;
  readonly openedAt: Instant;
  readonly sync: Reconciliation;
  /** When any bytes came. */
  heardAt: Instant;
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
  /** The other end's founding must give way to ours: nothing of it is merged [A0]. */
  isAlien = false;
  /** This end asked for the end of the link: it still listens, but sends nothing more. */
  isClosing = false;
  #echo = -1;
  #echoAt: Instant = 0;
  #roundTripMs: number | undefined;
  #differenceMs: number;
  #stepDifferenceMs: number;
  #unheardMs = 0;
  #leadMs: number | undefined;

  constructor(
    options: { id: LinkId; remote: Remote; isDialled: boolean; self: PeerName; replica: Replica },
    now: Instant,
    wallMs: WallMs,
  ) {
    this.id = options.id;
    this.remote = options.remote;
    this.isDialled = options.isDialled;
    this.openedAt = now;
    this.heardAt = now;
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

  /** How long the other end had not heard this one when it last said so, in ms. */
  get unheardMs(): number {
    return this.#unheardMs;
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
    };
  }

  /** Takes in the other end's heartbeat. */
  onHeartbeat(heartbeat: Heartbeat, now: Instant, wallMs: WallMs): void {
    this.#echo = heartbeat.sentAt;
    this.#echoAt = now;
    this.#unheardMs = heartbeat.heardMs;
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
