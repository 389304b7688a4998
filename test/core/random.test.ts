import fc from "fast-check";
import { expect, test } from "vitest";
import { Random } from "../../src/core/random.ts";

const seed = fc.maxSafeInteger();

/** `sfc32` as PractRand has it, with BigInt. */
function* sfc32(startSeed: number): Generator<number> {
  const u32 = (value: bigint) => BigInt.asUintN(32, value);
  let a = 0x9e3779b9n;
  let b = u32(BigInt(startSeed) >> 32n);
  let c = u32(BigInt(startSeed));
  let counter = 1n;
  for (let round = 0; ; round += 1) {
    const result = u32(a + b + counter);
    counter = u32(counter + 1n);
    a = b ^ (b >> 9n);
    b = u32(c + (c << 3n));
    c = u32(((c << 21n) | (c >> 11n)) + result);
    if (round >= 15) yield Number(result);
  }
}

const firstOf = (generator: Iterator<number>, count: number): number[] =>
  Array.from({ length: count }, () => generator.next().value as number);

test("a seed gives the sequence of sfc32 that starts from it", () => {
  fc.assert(
    fc.property(seed, (any) => {
      const random = new Random(any);
      const drawn = Array.from({ length: 50 }, () => random.uint32());
      expect(drawn).toEqual(firstOf(sfc32(any), 50));
    }),
  );
});

test("neighbouring seeds have nothing in common", () => {
  const firsts = Array.from({ length: 10_000 }, (_, at) => new Random(at - 5000).uint32());
  expect(new Set(firsts).size).toBeGreaterThan(9990);
});

test("below is uniform, within its bound, also where the bound is 2^32", () => {
  const random = new Random(1);
  const counts = new Array<number>(7).fill(0);
  for (let draw = 0; draw < 70_000; draw += 1) {
    const drawn = random.below(7);
    counts[drawn] = (counts[drawn] as number) + 1;
  }
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
  fc.assert(
    fc.property(seed, fc.integer({ min: 1, max: 0x1_0000_0000 }), (any, bound) => {
      const drawn = new Random(any).below(bound);
      expect(Number.isInteger(drawn) && drawn >= 0 && drawn < bound).toBe(true);
    }),
  );
});

test("chance never comes at 0, always at 1, and as often as it says between", () => {
  const random = new Random(2);
  const outcomes = (probability: number) =>
    Array.from({ length: 20_000 }, () => random.chance(probability)).filter(Boolean).length;
  expect(outcomes(0)).toBe(0);
  expect(outcomes(1)).toBe(20_000);
  expect(Math.abs(outcomes(0.3) - 6000)).toBeLessThan(260);
});

test("pick finds each item in its turn, and nothing among nothing", () => {
  const random = new Random(3);
  const picked = new Set(Array.from({ length: 100 }, () => random.pick(["a", "b", "c"])));
  expect([...picked].sort()).toEqual(["a", "b", "c"]);
  expect(random.pick([])).toBeUndefined();
});

test("a seed that is no safe integer, or a bound out of range, is a bug", () => {
  expect(() => new Random(0.5)).toThrow("a seed is a safe integer");
  expect(() => new Random(2 ** 53)).toThrow("a seed is a safe integer");
  expect(() => new Random(1).below(0)).toThrow("the bound is 1 to 2^32");
  expect(() => new Random(1).below(2 ** 32 + 1)).toThrow("the bound is 1 to 2^32");
});
