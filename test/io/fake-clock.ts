/**
 * A clock that stands still until a test moves it. Its alarms fire in order, as the real one's do.
 */
import type { Instant } from "../../src/core/units.ts";
import type { Clock } from "../../src/io/clock.ts";

export class FakeClock implements Clock {
  /** How many alarms were ever set. */
  alarmsSet = 0;
  #now: Instant = 0;
  #alarms: { readonly at: Instant; readonly wake: () => void }[] = [];

  now(): Instant {
    return this.#now;
  }

  wallMs(): number {
    return 1_800_000_000_000 + this.#now;
  }

  alarm(at: Instant, wake: () => void): () => void {
    const alarm = { at, wake };
    this.alarmsSet += 1;
    this.#alarms.push(alarm);
    return () => {
      this.#alarms = this.#alarms.filter((other) => other !== alarm);
    };
  }

  /** How many alarms are set and have not fired. */
  get alarmsPending(): number {
    return this.#alarms.length;
  }

  /** Moves time forward and fires what has come due, the earliest first. */
  advanceTo(now: Instant): void {
    for (;;) {
      const due = this.#alarms.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#alarms = this.#alarms.filter((alarm) => alarm !== due);
      this.#now = Math.max(this.#now, due.at);
      due.wake();
    }
    this.#now = now;
  }
}
