import fc from "fast-check";
import { expect, test } from "vitest";
import { Deadlines } from "../../src/io/deadlines.ts";
import { FakeClock } from "./fake-clock.ts";

test("[Q3] every deadline expires once, not before it is due, unless it is taken back", () => {
  const plan = fc.array(fc.tuple(fc.nat(20), fc.option(fc.nat(20))), { maxLength: 20 });
  fc.assert(
    fc.property(plan, (deadlines) => {
      const clock = new FakeClock();
      const set = new Deadlines(clock);
      const expired: [number, number][] = [];
      const expected: [number, number][] = [];
      const made = deadlines.map(([at], index) =>
        set.set(at, () => expired.push([index, clock.now()])),
      );
      for (let now = 0; now <= 21; now += 1) {
        for (const [index, [at, clearedAt]] of deadlines.entries()) {
          if (clearedAt === now) set.clear(made[index]);
          const wasCleared = clearedAt !== null && clearedAt <= now;
          if (at === now && !wasCleared) expected.push([index, now]);
        }
        clock.advanceTo(now);
      }
      expect(expired.sort(([a], [b]) => a - b)).toEqual(expected.sort(([a], [b]) => a - b));
      expect(clock.alarmsPending).toBe(0);
    }),
  );
});

test("deadlines that are taken back in time cost one alarm", () => {
  const clock = new FakeClock();
  const set = new Deadlines(clock);
  for (let index = 0; index < 1000; index += 1) {
    set.clear(set.set(1000 + index, () => expect.unreachable()));
  }
  clock.advanceTo(5000);
  expect(clock.alarmsSet).toBe(1);
});

test("what expires may take others back, and set new ones", () => {
  const clock = new FakeClock();
  const set = new Deadlines(clock);
  const expired: string[] = [];
  set.set(5, () => {
    expired.push("first");
    set.clear(second);
    set.set(7, () => expired.push("third"));
  });
  const second = set.set(5, () => expired.push("second"));
  clock.advanceTo(10);
  expect(expired).toEqual(["first", "third"]);
  set.set(20, () => expired.push("fourth"));
  set.clearAll();
  expect(clock.alarmsPending).toBe(0);
});
