import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import type { MachineEvent } from "../../src/core/event.ts";
import type { Instant } from "../../src/core/units.ts";
import { SYSTEM_CLOCK } from "../../src/io/clock.ts";
import { Runtime, type Steppable } from "../../src/io/runtime.ts";
import { FakeClock } from "./fake-clock.ts";

const STARTED: MachineEvent = { type: "started" };
const PERSIST: Effect = { type: "persist", maps: [], clockBound: 1 };
const CLOSE: Effect = { type: "close", link: 1, code: "LEAVING" };
const STOP: Effect = { type: "stop", code: "NAME_TAKEN", message: "Cannot start" };

/** A machine that answers every event with the effects and the deadline it was given. */
class ScriptedMachine implements Steppable {
  readonly events: { type: string; now: Instant }[] = [];
  effects: Effect[] = [];
  nextDeadline: Instant = Number.POSITIVE_INFINITY;

  step(event: MachineEvent, now: Instant): Effect[] {
    this.events.push({ type: event.type, now });
    if (event.type === "woken") this.nextDeadline = Number.POSITIVE_INFINITY;
    return this.effects;
  }

  deadline(): Instant {
    return this.nextDeadline;
  }
}

function start(perform: (effect: Effect) => Promise<void> | undefined = () => undefined) {
  const machine = new ScriptedMachine();
  const clock = new FakeClock();
  const performed: string[] = [];
  const fatal: unknown[] = [];
  const runtime = new Runtime({
    machine,
    clock,
    perform: (effect) => {
      performed.push(effect.type);
      return perform(effect);
    },
    onFatal: (error) => fatal.push(error),
  });
  return { machine, clock, performed, fatal, runtime };
}

/** A promise to settle by hand: the disk of these tests. */
function disk() {
  let finish = (): void => {};
  let fail = (_error: Error): void => {};
  const done = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  return { done, finish, fail };
}

test("effects are performed before deliver returns while nothing is under way", () => {
  const { machine, performed, runtime } = start();
  machine.effects = [PERSIST, CLOSE];
  runtime.deliver(STARTED);
  expect(performed).toEqual(["persist", "close"]);
});

test("[G1] effects of this and later events wait until a persist is durable", async () => {
  const { done, finish } = disk();
  const { machine, performed, runtime } = start((effect) =>
    effect.type === "persist" ? done : undefined,
  );
  machine.effects = [PERSIST, CLOSE];
  runtime.deliver(STARTED);
  machine.effects = [STOP];
  runtime.deliver(STARTED);
  expect(performed).toEqual(["persist"]);
  finish();
  await runtime.close();
  expect(performed).toEqual(["persist", "close", "stop"]);
});

test("the machine is woken when its deadline comes", () => {
  const { machine, clock, runtime } = start();
  machine.nextDeadline = 100;
  runtime.deliver(STARTED);
  clock.advanceTo(99);
  expect(machine.events).toHaveLength(1);
  clock.advanceTo(250);
  expect(machine.events).toEqual([
    { type: "started", now: 0 },
    { type: "woken", now: 100 },
  ]);
  expect(clock.alarmsPending).toBe(0);
});

test("a deadline that moves away sets no timer until the one that is set has fired", () => {
  const { machine, clock, runtime } = start();
  for (let deadline = 100; deadline <= 1000; deadline += 1) {
    machine.nextDeadline = deadline;
    runtime.deliver(STARTED);
  }
  expect(clock.alarmsSet).toBe(1);
  clock.advanceTo(999);
  expect(machine.events.at(-1)).toEqual({ type: "started", now: 0 });
  expect(clock.alarmsSet).toBe(2);
  clock.advanceTo(1000);
  expect(machine.events.at(-1)).toEqual({ type: "woken", now: 1000 });
});

test("a deadline that comes nearer replaces the timer", () => {
  const { machine, clock, runtime } = start();
  machine.nextDeadline = 100;
  runtime.deliver(STARTED);
  machine.nextDeadline = 50;
  runtime.deliver(STARTED);
  expect(clock.alarmsPending).toBe(1);
  clock.advanceTo(60);
  expect(machine.events.at(-1)).toEqual({ type: "woken", now: 50 });
});

test("an event that an effect brings about is stepped at once and its effects come later", () => {
  const { machine, performed, runtime } = start((effect) => {
    if (effect === PERSIST) {
      machine.effects = [STOP];
      runtime.deliver(STARTED);
    }
    return undefined;
  });
  machine.effects = [PERSIST, CLOSE];
  runtime.deliver(STARTED);
  expect(machine.events).toHaveLength(2);
  expect(performed).toEqual(["persist", "close", "stop"]);
});

test("an effect that throws is fatal, and nothing runs after it", async () => {
  const error = new Error("no space left on device");
  const { machine, clock, performed, fatal, runtime } = start((effect) => {
    if (effect.type === "persist") throw error;
    return undefined;
  });
  machine.effects = [PERSIST, CLOSE];
  machine.nextDeadline = 10;
  runtime.deliver(STARTED);
  runtime.deliver(STARTED);
  expect(fatal).toEqual([error]);
  expect(performed).toEqual(["persist"]);
  expect(machine.events).toHaveLength(1);
  expect(clock.alarmsPending).toBe(0);
  await runtime.close();
});

test("an effect that rejects is fatal, and what waited for it is never done", async () => {
  const { done, fail } = disk();
  const { machine, performed, fatal, runtime } = start(() => done);
  machine.effects = [PERSIST, CLOSE];
  runtime.deliver(STARTED);
  const closed = runtime.close();
  const error = new Error("input/output error");
  fail(error);
  await closed;
  expect(fatal).toEqual([error]);
  expect(performed).toEqual(["persist"]);
});

test("a machine that throws is fatal", () => {
  const { machine, fatal, runtime } = start();
  const error = new Error("Broken invariant");
  machine.deadline = () => {
    throw error;
  };
  runtime.deliver(STARTED);
  expect(fatal).toEqual([error]);
});

test("a closed runtime takes no event and keeps no timer", async () => {
  const { machine, clock, runtime } = start();
  machine.nextDeadline = 100;
  runtime.deliver(STARTED);
  await runtime.close();
  await runtime.close();
  runtime.deliver(STARTED);
  expect(machine.events).toHaveLength(1);
  expect(clock.alarmsPending).toBe(0);
});

test("the system clock never wakes early, and not at all once cancelled", async () => {
  const { now, alarm } = SYSTEM_CLOCK;
  const cancel = alarm(now(), () => expect.unreachable("it was cancelled"));
  cancel();
  const at = now() + 5;
  await new Promise<void>((resolve) => {
    // A timeout may fire a fraction of a millisecond early; the runtime then asks again.
    const wake = (): unknown => (now() >= at ? resolve() : alarm(at, wake));
    alarm(at, wake);
  });
  expect(now()).toBeGreaterThanOrEqual(at);
});
