/**
 * Many deadlines on one alarm.
 *
 * Most deadlines are for what comes in time, and are taken back long before they are due. So setting and
 * taking one back is an entry of a set, and the alarm that is set stays where it is: when it fires, all
 * are looked at, and it is set again for the earliest that is left.
 *
 * Cost: constant to set and to take back; an alarm, linear in what is set.
 */
import type { Instant } from "../core/units.ts";
import type { Clock } from "./clock.ts";

/** What is to happen, and when. */
export interface Deadline {
  readonly at: Instant;
  readonly expire: () => void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #set = new Set<Deadline>();
  #alarmAt: Instant = Number.POSITIVE_INFINITY;
  #cancelAlarm: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `expire` once, at `at` or a little later, unless the deadline is taken back first. */
  set(at: Instant, expire: () => void): Deadline {
    const deadline = { at, expire };
    this.#set.add(deadline);
    this.#arm(at);
    return deadline;
  }

  /** Takes a deadline back. One that is over, or was never set, is no error. */
  clear(deadline: Deadline | undefined): void {
    if (deadline !== undefined) this.#set.delete(deadline);
  }

  /** Takes all of them back, and the alarm with them. */
  clearAll(): void {
    this.#set.clear();
    this.#cancelAlarm();
    this.#alarmAt = Number.POSITIVE_INFINITY;
  }

  #arm(at: Instant): void {
    if (at >= this.#alarmAt) return;
    this.#cancelAlarm();
    this.#alarmAt = at;
    this.#cancelAlarm = this.#clock.alarm(at, () => this.#wake());
  }

  #wake(): void {
    this.#alarmAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    const due: Deadline[] = [];
    let next: Instant = Number.POSITIVE_INFINITY;
    for (const deadline of this.#set) {
      if (deadline.at <= now) due.push(deadline);
      else next = Math.min(next, deadline.at);
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
    for (const deadline of due) {
      // What expires first may take others back.
      if (this.#set.delete(deadline)) deadline.expire();
    }
  }
}
