import fc from "fast-check";
import { expect, test } from "vitest";
import { Dialler } from "../../src/core/dialler.ts";
import { DIALS_BURST_MAX, DIALS_MAX, DIALS_PER_SECOND_MAX } from "../../src/core/limits.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS, type Timings } from "../../src/core/timings.ts";

const T: Timings = {
  ...TIMINGS.lan,
  redialMinMs: 50,
  redialMaxMs: 500,
  redialPatienceMs: 600_000,
  redialIdleMs: 30_000,
};

const wanting = (...addresses: string[]) =>
  new Map(addresses.map((address) => [address, { delayMs: 0 }] as const));

function dialling(seed: number, ...addresses: string[]): Dialler {
  const dialler = new Dialler(T, new Random(seed));
  dialler.want(wanting(...addresses), 0);
  return dialler;
}

/** Fails every dial of `a` until `untilMs`, and returns when each was. */
function timesOfDials(dialler: Dialler, fromMs: number, untilMs: number): number[] {
  const times: number[] = [];
  for (let now = fromMs; now < untilMs; now = Math.max(now, dialler.deadline())) {
    for (const address of dialler.due(now)) {
      if (address === "a") times.push(now);
      dialler.failed(address, now);
    }
  }
  return times;
}

const gaps = (times: readonly number[]): number[] =>
  times.slice(1).map((time, at) => time - (times[at] as number));

test("[G8] an address that is wanted is dialled after its delay, and once at a time", () => {
  const dialler = new Dialler(T, new Random(1));
  dialler.want(
    new Map([
      ["a", { delayMs: 0 }],
      ["b", { delayMs: 100 }],
    ]),
    7,
  );
  expect(dialler.deadline()).toBe(7);
  expect(dialler.due(7)).toEqual(["a"]);
  expect(dialler.due(8)).toEqual([]);
  expect(dialler.deadline()).toBe(107);
  expect(dialler.due(107)).toEqual(["b"]);
  expect(dialler.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("[G8] waits double up to their cap, jittered downwards by no more than half", () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const waits = gaps(timesOfDials(dialling(seed, "a"), 0, 20_000));
      const nominal = [50, 100, 200, 400, 500, 500, 500];
      nominal.forEach((ms, at) => {
        expect(waits[at]).toBeGreaterThanOrEqual(ms / 2);
        expect(waits[at]).toBeLessThanOrEqual(ms);
      });
      expect(Math.max(...waits)).toBeLessThanOrEqual(500);
    }),
    { numRuns: 30 },
  );
});

test("[G8] waits are jittered, so that peers which lost the same link do not dial in step", () => {
  const waits = [1, 2, 3, 4, 5].map((seed) => gaps(timesOfDials(dialling(seed, "a"), 0, 5000))[4]);
  expect(new Set(waits).size).toBe(5);
});

test("[G8] after ten minutes an address is dialled twice a minute, and that never ends", () => {
  const times = timesOfDials(dialling(1, "a"), 0, 86_400_000);
  const late = times.filter((time) => time > 600_000);
  const waits = gaps(late);
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(15_000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(30_000);
  expect(late.at(-1)).toBeGreaterThan(86_400_000 - 30_001);
  expect(times.filter((time) => time <= 600_000).length).toBeGreaterThan(1200);
});

test("[G8] an address that is wanted again and again keeps its place", () => {
  const dialler = dialling(3, "a");
  const undisturbed = timesOfDials(dialling(3, "a"), 0, 3000);
  const times: number[] = [];
  for (let now = 0; now < 3000; now = Math.max(now, dialler.deadline())) {
    dialler.want(wanting("a"), now);
    for (const address of dialler.due(now)) {
      times.push(now);
      dialler.want(wanting("a"), now);
      dialler.failed(address, now);
    }
  }
  expect(times).toEqual(undisturbed);
});

test("[G8] after a link stood, the next loss is followed by a dial at once", () => {
  const dialler = dialling(4, "a");
  const last = timesOfDials(dialler, 0, 5000).at(-1) as number;
  const now = dialler.deadline();
  expect(dialler.due(now)).toEqual(["a"]);
  dialler.opened("a", now);
  dialler.want(new Map(), now);
  dialler.want(wanting("a"), now + 60_000);
  expect(dialler.due(now + 60_000)).toEqual(["a"]);
  dialler.failed("a", now + 60_000);
  expect(dialler.deadline() - now - 60_000).toBeLessThanOrEqual(50);
  expect(last).toBeLessThan(now);
});

test("[G8] links that do not last are as if the dials had failed: waits grow", () => {
  const dialler = dialling(9, "a");
  const waits: number[] = [];
  let now = 0;
  for (let round = 0; round < 12; round += 1) {
    dialler.want(wanting("a"), now);
    const at = dialler.deadline();
    waits.push(at - now);
    expect(dialler.due(at)).toEqual(["a"]);
    dialler.opened("a", at);
    now = at + 20;
    dialler.want(new Map(), now);
  }
  expect(waits[1]).toBeLessThanOrEqual(50);
  for (const wait of waits.slice(6)) expect(wait).toBeGreaterThanOrEqual(250);
});

test("[G8] what is no longer wanted is not dialled, also when its dial was under way", () => {
  const dialler = dialling(5, "a", "b");
  expect(dialler.due(0)).toEqual(["a", "b"]);
  dialler.failed("a", 0);
  dialler.want(new Map(), 1);
  expect(dialler.deadline()).toBe(Number.POSITIVE_INFINITY);
  dialler.failed("b", 2);
  expect(dialler.deadline()).toBe(Number.POSITIVE_INFINITY);
  expect(dialler.due(1e9)).toEqual([]);
});

test("[G8] an address that is wanted again while its dial is under way is not dialled twice", () => {
  const dialler = dialling(6, "a");
  expect(dialler.due(0)).toEqual(["a"]);
  dialler.want(new Map(), 1);
  dialler.want(wanting("a"), 2);
  expect(dialler.due(3)).toEqual([]);
  dialler.failed("a", 4);
  expect(dialler.deadline()).toBeLessThanOrEqual(4 + 100);
});

test("[G8] when somebody came back, everybody else is dialled within the shortest wait", () => {
  const dialler = dialling(7, "a", "b");
  timesOfDials(dialler, 0, 700_000);
  const now = 700_000;
  expect(dialler.deadline()).toBeGreaterThan(now);
  dialler.hurry(now);
  expect(dialler.deadline()).toBeLessThanOrEqual(now + 50);
  expect(dialler.due(now + 50).toSorted()).toEqual(["a", "b"]);
  dialler.failed("a", now + 50);
  dialler.opened("b", now + 50);
});

test("[G8] waits grow anew after somebody came back", () => {
  const dialler = dialling(8, "a");
  timesOfDials(dialler, 0, 10_000);
  dialler.hurry(10_000);
  const [first, second] = gaps(timesOfDials(dialler, 10_000, 11_000));
  expect(first).toBeLessThanOrEqual(50);
  expect(second).toBeLessThanOrEqual(100);
});

test("[G8] no address leaves the dialler but by not being wanted", () => {
  const turn = fc.constantFrom("due", "fail", "hurry", "want", "pass");
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 80 }), fc.nat(), (turns, seed) => {
      const dialler = dialling(seed, "a", "b");
      const underWay = new Set<string>();
      let now = 0;
      for (const each of turns) {
        if (each === "pass") now = Math.min(now + 1000, Math.max(now, dialler.deadline()));
        if (each === "want") dialler.want(wanting("a", "b"), now);
        if (each === "hurry") dialler.hurry(now);
        if (each === "due") {
          for (const address of dialler.due(now)) {
            expect(underWay).not.toContain(address);
            underWay.add(address);
          }
        }
        if (each === "fail") {
          for (const address of underWay) dialler.failed(address, now);
          underWay.clear();
        }
        const isIdle = underWay.size < 2;
        expect(dialler.deadline() <= now + T.redialIdleMs).toBe(isIdle);
      }
    }),
  );
});

test("[G8] dials under way at once have a cap, and those that waited longest come first", () => {
  const dialler = new Dialler(T, new Random(10));
  const all = Array.from({ length: 3 * DIALS_MAX }, (_, at) => `a${at}`);
  dialler.want(new Map(all.map((address, at) => [address, { delayMs: all.length - at }])), 0);
  const first = dialler.due(1000);
  expect(first).toEqual(all.slice(-DIALS_MAX).reverse());
  expect(dialler.due(1001)).toEqual([]);
  expect(dialler.deadline()).toBe(Number.POSITIVE_INFINITY);
  for (const address of first) dialler.opened(address, 1002);
  expect(dialler.deadline()).toBeLessThanOrEqual(1002);
  expect(dialler.due(1002)).toHaveLength(DIALS_MAX);
});

test("[G8] dials begun in a second have a cap, once a burst of them is over", () => {
  const dialler = new Dialler(T, new Random(11));
  dialler.want(wanting(...Array.from({ length: 500 }, (_, at) => `a${at}`)), 0);
  const perSecond = [0, 0, 0, 0, 0, 0];
  for (let now = 0; now < 6000; now = Math.max(now, dialler.deadline())) {
    for (const address of dialler.due(now)) {
      perSecond[Math.floor(now / 1000)] = (perSecond[Math.floor(now / 1000)] ?? 0) + 1;
      dialler.failed(address, now);
    }
  }
  expect(perSecond[0]).toBeLessThanOrEqual(DIALS_BURST_MAX + DIALS_PER_SECOND_MAX);
  for (const count of perSecond.slice(1)) {
    expect(count).toBeLessThanOrEqual(DIALS_PER_SECOND_MAX + 1);
    expect(count).toBeGreaterThan(DIALS_PER_SECOND_MAX / 2);
  }
});
