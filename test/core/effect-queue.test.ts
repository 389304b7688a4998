import fc from "fast-check";
import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import { EffectQueue } from "../../src/core/effect-queue.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";

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
  queue.push([close(1), persist(2), close(3)]);
  queue.push([close(4), persist(5)]);
  queue.push([close(6)]);
  expect(performed).toEqual([1, 2]);

  queue.resume();
  expect(performed).toEqual([1, 2, 3, 4, 5]);
  expect(queue.isIdle).toBe(false);

  queue.resume();
  expect(performed).toEqual([1, 2, 3, 4, 5, 6]);
  expect(queue.isIdle).toBe(true);
});

test("[G1] all that waits to be durable is made so by one write, in the order of the steps", () => {
  const entry = (key: string): Entry => ({ key, value: 1, time: 1, writer: "w" });
  const write = (key: string, clockBound: number) => ({
    type: "persist" as const,
    maps: [{ map: "members", entries: [entry(key)] }],
    clockBound,
  });
  const performed: Effect[] = [];
  const queue = new EffectQueue((effect) => {
    performed.push(effect);
    return effect.type === "persist" ? "pending" : undefined;
  });
  queue.push([write("a", 1), close(1)]);
  queue.push([write("b", 9), close(2)]);
  queue.push([write("c", 5), close(3)]);
  queue.resume();
  expect(performed.slice(1)).toEqual([
    close(1),
    {
      type: "persist",
      maps: [...write("b", 9).maps, ...write("c", 5).maps],
      clockBound: 9,
      dropped: [],
    },
  ]);
  queue.resume();
  expect(performed.slice(3)).toEqual([close(2), close(3)]);
});

test("[M5] what a step drops stays dropped before a later step writes it anew", () => {
  const dropped = [{ map: "members", keys: ["a"] }];
  const performed: Effect[] = [];
  const queue = new EffectQueue((effect) => {
    performed.push(effect);
    return "pending";
  });
  queue.push([persist(1)]);
  queue.push([persist(2)]);
  queue.push([{ type: "persist", maps: [], clockBound: 3, dropped }]);
  queue.push([persist(4)]);
  queue.resume();
  expect(performed.at(-1)).toEqual({ type: "persist", maps: [], clockBound: 3, dropped });
  queue.resume();
  expect(performed.at(-1)).toEqual(persist(4));
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

test("[G1] any pushes and completions perform the others in order, and none before its own persist", () => {
  const push = fc.array(fc.boolean(), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(fc.option(push), { maxLength: 30 }), (steps) => {
      const performed: number[] = [];
      let durable = 0;
      let writing: readonly MapEntries[] | undefined;
      const queue = new EffectQueue((effect) => {
        expect(writing).toBeUndefined();
        if (effect.type === "persist") {
          writing = effect.maps;
          return "pending";
        }
        // Every persist that was pushed before this effect is done.
        expect(durable).toBeGreaterThanOrEqual(persistsBefore[numberOf(effect)] ?? 0);
        performed.push(numberOf(effect));
        return undefined;
      });
      const resume = (): void => {
        durable += writing?.length ?? 0;
        writing = undefined;
        queue.resume();
      };
      const persistsBefore: number[] = [];
      let persists = 0;
      const effectOf = (isPersist: boolean): Effect => {
        if (!isPersist) {
          persistsBefore.push(persists);
          return close(persistsBefore.length - 1);
        }
        persists += 1;
        return { type: "persist", maps: [{ map: "m", entries: [] }], clockBound: 1 };
      };
      for (const step of steps) {
        // A null stands for the disk being done.
        if (step !== null) queue.push(step.map(effectOf));
        else if (writing !== undefined) resume();
      }
      while (writing !== undefined) resume();
      expect(performed).toEqual(persistsBefore.map((_, index) => index));
      expect(durable).toBe(persists);
      expect(queue.isIdle).toBe(true);
    }),
  );
});
