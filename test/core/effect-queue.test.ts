import fc from "fast-check";
import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import { EffectQueue } from "../../src/core/effect-queue.ts";

/** Effects told apart by a number; even those that stand for a `persist` on its way to a disk. */
const close = (link: number): Effect => ({ type: "close", link, code: "LEAVING" });
const persist = (clockBound: number): Effect => ({ type: "persist", maps: [], clockBound });

const numberOf = (effect: Effect): number =>
  effect.type === "close" ? effect.link : effect.type === "persist" ? effect.clockBound : -1;

test("effects are performed at once and in order while none is under way", () => {
  const performed: number[] = [];
  const queue = new EffectQueue((effect) => {
    performed.push(numberOf(effect));
    return undefined;
  });
  queue.push([close(1), close(2)]);
  queue.push([close(3)]);
  expect(performed).toEqual([1, 2, 3]);
  expect(queue.isIdle).toBe(true);
});

test("[G1] nothing behind a persist is performed before it is durable, in this step or a later one", () => {
  const performed: number[] = [];
  const queue = new EffectQueue((effect) => {
    performed.push(numberOf(effect));
    return effect.type === "persist" ? "pending" : undefined;
  });
  queue.push([close(1), persist(2), close(3), persist(4)]);
  queue.push([close(5)]);
  expect(performed).toEqual([1, 2]);

  queue.resume();
  expect(performed).toEqual([1, 2, 3, 4]);
  expect(queue.isIdle).toBe(false);

  queue.resume();
  expect(performed).toEqual([1, 2, 3, 4, 5]);
  expect(queue.isIdle).toBe(true);
});

test("effects that performing brings about come after those of the step under way", () => {
  const performed: number[] = [];
  const queue = new EffectQueue((effect) => {
    performed.push(numberOf(effect));
    if (numberOf(effect) === 1) queue.push([close(4), persist(5), close(6)]);
    return effect.type === "persist" ? "pending" : undefined;
  });
  queue.push([close(1), persist(2), close(3)]);
  expect(performed).toEqual([1, 2]);
  queue.resume();
  expect(performed).toEqual([1, 2, 3, 4, 5]);
  queue.resume();
  expect(performed).toEqual([1, 2, 3, 4, 5, 6]);
});

test("nothing is performed any more once performing has thrown", () => {
  const performed: number[] = [];
  const queue = new EffectQueue((effect) => {
    if (numberOf(effect) === 2) throw new Error("the disk is full");
    performed.push(numberOf(effect));
    return undefined;
  });
  expect(() => queue.push([close(1), close(2), close(3)])).toThrow("the disk is full");
  queue.push([close(4)]);
  expect(performed).toEqual([1]);
  expect(queue.isIdle).toBe(false);
});

test("any pushes and completions perform every effect once and in the order of the pushes", () => {
  const push = fc.array(fc.boolean(), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(fc.option(push), { maxLength: 30 }), (steps) => {
      const performed: number[] = [];
      let isPending = false;
      const queue = new EffectQueue((effect) => {
        expect(isPending).toBe(false);
        performed.push(numberOf(effect));
        isPending = effect.type === "persist";
        return isPending ? "pending" : undefined;
      });
      const resume = (): void => {
        isPending = false;
        queue.resume();
      };
      let pushed = 0;
      for (const step of steps) {
        // A null stands for the disk being done.
        if (step !== null) {
          queue.push(step.map((isPersist) => (isPersist ? persist(pushed++) : close(pushed++))));
        } else if (isPending) resume();
      }
      while (isPending) resume();
      expect(performed).toEqual(Array.from({ length: pushed }, (_, index) => index));
      expect(queue.isIdle).toBe(true);
    }),
  );
});
