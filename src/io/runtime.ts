/**
 * Runs a state machine against the real world: the one loop in the program.
 *
 * The runtime owns the clock, the timer and the order of effects. It holds no cluster state and
 * takes no decision; a bug that depends on an `if` in here is a bug in the layering.
 *
 * Most steps need no timer of their own: they push the deadline further away. So the timer that is
 * set stays, and when it fires too early it is set again for what the deadline is by then. That is one
 * `setTimeout` for each time the deadline comes near, and none for each frame.
 */
import type { Effect } from "../core/effect.ts";
import { EffectQueue } from "../core/effect-queue.ts";
import type { MachineEvent } from "../core/event.ts";
import type { Instant, WallMs } from "../core/units.ts";
import type { Clock } from "./clock.ts";

/** What a runtime runs: `Machine`, or a stand-in in tests. */
export interface Steppable {
  step(event: MachineEvent, now: Instant, wallMs: WallMs): readonly Effect[];
  /** When it wants to be woken. Infinity: only events wake it. */
  deadline(): Instant;
}

export interface RuntimeOptions {
  readonly machine: Steppable;
  readonly clock: Clock;
  /**
   * Carries out one effect. Returns a promise only when the effect is not done yet; it holds back
   * every later effect until it resolves.
   */
  readonly perform: (effect: Effect) => Promise<void> | undefined;
  /** A step or an effect failed, and nothing runs any more. The process must stop. Called once. */
  readonly onFatal: (error: unknown) => void;
}

export class Runtime {
  readonly #options: RuntimeOptions;
  readonly #effects: EffectQueue;
  #state: "running" | "closing" | "failed" = "running";
  /** What the timer is set for; Infinity when it is not. */
  #alarmAt: Instant = Number.POSITIVE_INFINITY;
  #cancelAlarm: () => void = () => {};
  #onIdle: () => void = () => {};

  /** Does nothing until the first event is delivered. */
  constructor(options: RuntimeOptions) {
    this.#options = options;
    this.#effects = new EffectQueue((effect) => this.#perform(effect));
  }

  /**
   * Steps the machine now; what it wants done is done after the effects of every earlier event.
   * Does nothing once the runtime is closed or has failed.
   */
  deliver(event: MachineEvent): void {
    if (this.#state !== "running") return;
    const { machine, clock } = this.#options;
    try {
      const effects = machine.step(event, clock.now(), clock.wallMs());
      this.#arm();
      this.#effects.push(effects);
      if (this.#effects.isIdle) this.#onIdle();
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Takes no more events, stops the timer, and resolves when all effects so far are done, or when
   * one of them fails.
   */
  async close(): Promise<void> {
    if (this.#state === "running") this.#state = "closing";
    this.#disarm();
    if (this.#state === "failed" || this.#effects.isIdle) return;
    await new Promise<void>((resolve) => {
      const earlier = this.#onIdle;
      this.#onIdle = () => {
        earlier();
        resolve();
      };
    });
  }

  #perform(effect: Effect): "pending" | undefined {
    const done = this.#options.perform(effect);
    if (done === undefined) return undefined;
    done.then(
      () => this.#resume(),
      (error) => this.#fail(error),
    );
    return "pending";
  }

  #resume(): void {
    if (this.#state === "failed") return;
    try {
      this.#effects.resume();
    } catch (error) {
      this.#fail(error);
    }
    if (this.#effects.isIdle) this.#onIdle();
  }

  #fail(error: unknown): void {
    if (this.#state === "failed") return;
    this.#state = "failed";
    this.#disarm();
    this.#options.onFatal(error);
    this.#onIdle();
  }

  #arm(): void {
    const deadline = this.#options.machine.deadline();
    if (deadline >= this.#alarmAt) return;
    this.#cancelAlarm();
    this.#alarmAt = deadline;
    this.#cancelAlarm = this.#options.clock.alarm(deadline, () => this.#wake());
  }

  #disarm(): void {
    this.#cancelAlarm();
    this.#alarmAt = Number.POSITIVE_INFINITY;
  }

  #wake(): void {
    this.#alarmAt = Number.POSITIVE_INFINITY;
    if (this.#options.machine.deadline() <= this.#options.clock.now()) {
      this.deliver({ type: "woken" });
    } else {
      this.#arm();
    }
  }
}
