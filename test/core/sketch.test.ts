import fc from "fast-check";
import { expect, test } from "vitest";
import { Random } from "../../src/core/random.ts";
import {
  estimateDifference,
  type Ids,
  isSameSet,
  Sketch,
  SketchDecoder,
  SUMMARY_BYTES,
  SYMBOL_BYTES,
  SYMBOLS_MAX,
} from "../../src/core/sketch.ts";

type Id = readonly [low: number, high: number];

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const id: fc.Arbitrary<Id> = fc.tuple(word, word);
/** Few ids, so that the same ones come and go. */
const fewIds = fc.constantFrom<Id>([1, 2], [1, 3], [2, 1], [0xffff_ffff, 0], [7, 0x8000_0000]);

function sketchOf(ids: Iterable<Id>): Sketch {
  const sketch = new Sketch();
  for (const [low, high] of ids) sketch.add(low, high);
  return sketch;
}

const randomIds = (random: Random, count: number): Id[] =>
  Array.from({ length: count }, () => [random.uint32(), random.uint32()] as const);

/** Feeds `theirs` to a decoder in batches until it is complete; returns it. */
function decode(mine: Sketch, theirs: Sketch, batch = 1): SketchDecoder {
  const decoder = new SketchDecoder(mine.copy());
  while (!decoder.isComplete && decoder.symbolCount < SYMBOLS_MAX) {
    const from = decoder.symbolCount;
    decoder.push(theirs.symbols(from, Math.min(SYMBOLS_MAX, from + batch)));
  }
  return decoder;
}

const sorted = (ids: Ids | readonly Id[]): string[] => {
  const words = ids.flat();
  return Array.from(
    { length: words.length / 2 },
    (_, at) => `${words[2 * at]},${words[2 * at + 1]}`,
  ).sort();
};

test("[G4] adding and removing cancel out exactly, in any order", () => {
  const toggles = fc.array(fc.tuple(fc.boolean(), fc.oneof(fewIds, id)));
  fc.assert(
    fc.property(toggles, (all) => {
      const sketch = new Sketch();
      for (const [isAdded, [low, high]] of all) {
        if (isAdded) sketch.add(low, high);
        else sketch.remove(low, high);
      }
      for (const [isAdded, [low, high]] of all.toReversed()) {
        if (isAdded) sketch.remove(low, high);
        else sketch.add(low, high);
      }
      expect(sketch.symbols(0, SYMBOLS_MAX).every((byte) => byte === 0)).toBe(true);
      expect(sketch.idCount).toBe(0);
    }),
  );
});

test("[G3] equal sets have equal summaries, however they came about; others do not", () => {
  const ids = fc.uniqueArray(fc.oneof(fewIds, id), { selector: String });
  fc.assert(
    fc.property(ids, ids, (x, y) => {
      const detour = sketchOf([...x.toReversed(), ...y]);
      for (const [low, high] of y) detour.remove(low, high);
      expect(detour.summary()).toEqual(sketchOf(x).summary());
      const isSame = sorted(x).join() === sorted(y).join();
      expect(isSameSet(sketchOf(x).summary(), sketchOf(y).summary())).toBe(isSame);
    }),
  );
  expect(new Sketch().summary().length).toBe(SUMMARY_BYTES);
  expect(isSameSet(new Uint8Array(3), new Uint8Array(4))).toBe(false);
});

test("[G4] from two sketches, exactly the ids that the sets do not share are read", () => {
  const placed = fc.tuple(id, fc.constantFrom("both", "mine", "theirs"));
  const sets = fc.uniqueArray(placed, { selector: ([each]) => String(each), maxLength: 140 });
  fc.assert(
    fc.property(sets, fc.integer({ min: 1, max: 30 }), (all, batch) => {
      const only = (place: string) =>
        all.filter(([, where]) => where === place).map(([each]) => each);
      const [shared, mine, theirs] = [only("both"), only("mine"), only("theirs")];
      const decoder = decode(
        sketchOf([...shared, ...mine]),
        sketchOf([...shared, ...theirs]),
        batch,
      );
      expect(decoder.isComplete).toBe(true);
      expect(sorted(decoder.ids("mine"))).toEqual(sorted(mine));
      expect(sorted(decoder.ids("theirs"))).toEqual(sorted(theirs));
    }),
  );
});

test("[G4] a difference of no id or of one is read from one symbol, whatever the counts", () => {
  const random = new Random(1);
  for (const sharedCount of [0, 1, 127, 128, 254, 255, 256, 300]) {
    const shared = randomIds(random, sharedCount);
    const [mine, theirs] = [randomIds(random, 1), randomIds(random, 1)];
    expect(decode(sketchOf(shared), sketchOf(shared)).symbolCount).toBe(1);
    const more = decode(sketchOf([...shared, ...mine]), sketchOf(shared));
    expect([more.symbolCount, sorted(more.ids("mine"))]).toEqual([1, sorted(mine)]);
    const less = decode(sketchOf(shared), sketchOf([...shared, ...theirs]));
    expect([less.symbolCount, sorted(less.ids("theirs"))]).toEqual([1, sorted(theirs)]);
  }
});

test.each([20, 200, 2000])(
  "[G4] a difference of %d ids is read from 1.2 to 2 symbols for each",
  (count) => {
    const random = new Random(count);
    const rounds = 4000 / count;
    let needed = 0;
    for (let round = 0; round < rounds; round += 1) {
      const shared = randomIds(random, 50);
      // Far more on one side: counts beyond 127 wrap around and must do no harm.
      const [x, y] = [randomIds(random, count / 10), randomIds(random, (9 * count) / 10)];
      const decoder = decode(sketchOf([...shared, ...x]), sketchOf([...shared, ...y]));
      expect(sorted(decoder.ids("mine"))).toEqual(sorted(x));
      expect(sorted(decoder.ids("theirs"))).toEqual(sorted(y));
      needed += decoder.symbolCount;
    }
    expect(needed / (rounds * count)).toBeGreaterThan(1.2);
    expect(needed / (rounds * count)).toBeLessThan(2);
  },
);

test("[G4] batches read the same as single symbols", () => {
  const random = new Random(3);
  const [mine, theirs] = [sketchOf(randomIds(random, 90)), sketchOf(randomIds(random, 80))];
  const single = decode(mine, theirs);
  const whole = new SketchDecoder(mine.copy());
  whole.push(theirs.symbols(0, 1000));
  expect(whole.symbolCount).toBe(1000);
  expect(sorted(whole.ids("mine"))).toEqual(sorted(single.ids("mine")));
  expect(sorted(whole.ids("theirs"))).toEqual(sorted(single.ids("theirs")));
});

test("[G4] a copy does not change when the sketch does", () => {
  const sketch = sketchOf([[1, 2]]);
  const copy = sketch.copy();
  sketch.add(3, 4);
  expect(copy.summary()).toEqual(sketchOf([[1, 2]]).summary());
  expect(copy.idCount).toBe(1);
  copy.remove(1, 2);
  expect(sketch.summary()).toEqual(
    sketchOf([
      [1, 2],
      [3, 4],
    ]).summary(),
  );
});

test("[G4] the estimate is within a factor of 2.5 in most of many trials, and never below 1", () => {
  const random = new Random(7);
  let within = 0;
  let trials = 0;
  for (const count of [8, 80, 800, 2400]) {
    for (const mineShare of [0.5, 0, 1, 0.2]) {
      for (let round = 0; round < 10; round += 1) {
        const shared = randomIds(random, 100);
        const [x, y] = [count * mineShare, count * (1 - mineShare)].map((size) =>
          sketchOf([...shared, ...randomIds(random, Math.round(size))]),
        ) as [Sketch, Sketch];
        const estimate = estimateDifference(x.summary(), y.summary(), x.idCount - y.idCount);
        expect(estimate).toBeGreaterThanOrEqual(1);
        const ratio = estimate / count;
        within += Number(ratio > 0.4 && ratio < 2.5);
        trials += 1;
      }
    }
  }
  expect(within / trials).toBeGreaterThan(0.95);
});

test("[G4] a difference in size is never estimated as less than it is", () => {
  const sketch = sketchOf(randomIds(new Random(9), 500));
  expect(estimateDifference(new Sketch().summary(), sketch.summary(), -500)).toBeGreaterThanOrEqual(
    500,
  );
  expect(estimateDifference(sketch.summary(), sketch.summary(), 0)).toBe(1);
});

test("[S5] garbage symbols end: no throw, and never more ids than symbols", () => {
  const cells = fc.uint8Array({ maxLength: 40 * SYMBOL_BYTES });
  const garbage = fc.array(
    cells.map((bytes) => bytes.slice(0, bytes.length - (bytes.length % SYMBOL_BYTES))),
  );
  fc.assert(
    fc.property(garbage, fc.array(id, { maxLength: 5 }), (batches, ids) => {
      const decoder = new SketchDecoder(sketchOf(ids));
      for (const batch of batches) decoder.push(batch);
      const recovered = decoder.ids("mine").length + decoder.ids("theirs").length;
      expect(recovered / 2).toBeLessThanOrEqual(SYMBOLS_MAX);
    }),
  );
});

test("[S5] symbols that make each other pure for ever are read 4096 times and no more", () => {
  // Symbol 0 says that there is one id, and all others that there is none: taking the id out of those
  // leaves it there with the opposite sign, and taking that out puts it back into symbol 0.
  const bytes = new Uint8Array(SYMBOLS_MAX * SYMBOL_BYTES);
  bytes.set(sketchOf([[5, 6]]).symbols(0, 1));
  const decoder = new SketchDecoder(new Sketch());
  decoder.push(bytes);
  const recovered = decoder.ids("mine").length + decoder.ids("theirs").length;
  expect(recovered / 2).toBe(SYMBOLS_MAX);
});

test("[S5] an id in a symbol that it does not select is not read from it", () => {
  const theirs = sketchOf([[5, 6]]);
  const [first, all] = [theirs.symbols(0, 1), theirs.symbols(0, 50)];
  const bytes = new Uint8Array(all.length);
  for (let at = 0; at < all.length; at += SYMBOL_BYTES) {
    if (all[at + SYMBOL_BYTES - 1] === 0) bytes.set(first, at);
  }
  expect(bytes.some((byte) => byte !== 0)).toBe(true);
  const decoder = new SketchDecoder(new Sketch());
  decoder.push(bytes);
  expect(decoder.ids("mine")).toEqual([]);
  expect(decoder.ids("theirs")).toEqual([]);
});

test("a sketch is asked for no symbols that it does not hold", () => {
  const sketch = new Sketch();
  expect(() => sketch.symbols(0, SYMBOLS_MAX + 1)).toThrow(/Broken invariant/);
  expect(() => sketch.symbols(-1, 0)).toThrow(/Broken invariant/);
  expect(() => sketch.symbols(2, 1)).toThrow(/Broken invariant/);
  expect(sketch.symbols(SYMBOLS_MAX, SYMBOLS_MAX).length).toBe(0);
});
