import fc from "fast-check";
import { expect, test } from "vitest";
import {
  areMergeable,
  decodeEra,
  ERA_KEY,
  type Era,
  isStale,
  markOf,
  relateEras,
} from "../../src/core/eras.ts";
import { MEMBERS, VERDICTS } from "../../src/core/membership.ts";
import { type Entry, NO_ERA, type Value } from "../../src/core/message.ts";
import { Replica } from "../../src/core/replica.ts";
import { compareEntries, modelOf } from "./entries.ts";

const stamp = (time: number, writer = "w") => ({ time, writer });
const era = (number: number, time: number, previous: number): Era => {
  return { number, stamp: stamp(time), previous: stamp(previous) };
};

test("[M5] who is at the same era, or one behind, may be merged", () => {
  expect(relateEras(era(3, 30, 20), era(3, 30, 20))).toBe("mergeable");
  expect(relateEras(era(3, 30, 20), era(4, 40, 30))).toBe("mergeable");
  expect(relateEras(era(4, 40, 30), era(3, 30, 20))).toBe("mergeable");
});

test("[M5] two that wrote the same era at once name the same one before it, and may be merged", () => {
  expect(relateEras(era(3, 30, 20), era(3, 31, 20))).toBe("mergeable");
});

test("[M5] who is two behind gives way", () => {
  expect(relateEras(era(3, 30, 20), era(5, 50, 40))).toBe("ahead");
  expect(relateEras(era(5, 50, 40), era(3, 30, 20))).toBe("behind");
});

test("[M5] of two lines the one with the lower number gives way, then that with the lower stamp", () => {
  expect(relateEras(era(3, 39, 20), era(4, 40, 31))).toBe("ahead");
  expect(relateEras(era(4, 40, 30), era(4, 41, 31))).toBe("ahead");
  expect(relateEras(era(4, 42, 30), era(4, 41, 31))).toBe("behind");
});

const eras = fc
  .record({ number: fc.nat(3), time: fc.integer({ min: 3, max: 6 }), previous: fc.nat(2) })
  .map(({ number, time, previous }) => era(number, time, previous));

test("[M5] two ends never both give way, and never both wait for the other to", () => {
  const opposite = { mergeable: "mergeable", ahead: "behind", behind: "ahead" } as const;
  fc.assert(
    fc.property(eras, eras, (a, b) => {
      const isTwin = a.number === b.number && a.stamp.time === b.stamp.time;
      fc.pre(!isTwin || a.previous.time === b.previous.time); // One stamp names one era.
      expect(relateEras(b, a)).toBe(opposite[relateEras(a, b)]);
      expect(areMergeable(markOf(a), markOf(b))).toBe(relateEras(a, b) === "mergeable");
    }),
  );
});

test("[M5] a newcomer may be merged with any era", () => {
  fc.assert(
    fc.property(eras, (one) => {
      expect(areMergeable(NO_ERA, markOf(one))).toBe(true);
    }),
  );
});

test("[M5] an era entry is one only if it is later than the era before it, and its cut earlier", () => {
  const entry = (value: Value | undefined, time = 50): Entry => {
    return { key: ERA_KEY, value, time, writer: "w" };
  };
  expect(decodeEra(entry([2, 40, "v", 30]))).toEqual({
    ...{ number: 2, stamp: stamp(50), previous: stamp(40, "v"), cut: 30 },
  });
  expect(decodeEra(entry([2, 40, "v", 30, "later"]))?.number).toBe(2);
  const bad: (Value | undefined)[] = [
    ...[undefined, null, 7, [], [2], [2, 40, "v"], [0, 40, "v", 30], [-1, 40, "v", 30]],
    ...[
      [1.5, 40, "v", 30],
      [2, 60, "v", 30],
      [2, 40, "v", 41],
      [2, 40, "v".repeat(97), 30],
    ],
    ...[
      ["2", 40, "v", 30],
      [2, 40, 5, 30],
      [2, 40, "v", -1],
      [2 ** 53, 40, "v", 30],
    ],
  ];
  for (const value of bad) expect([value, decodeEra(entry(value))]).toEqual([value, undefined]);
});

test("[M5] deletions of any map are stale before the cut, rows and verdicts too, live entries never", () => {
  const entry = (value: Value | undefined, time: number): Entry => {
    return { key: "k", value, time, writer: "w" };
  };
  for (const map of ["allocations", "of-a-later-version", MEMBERS, VERDICTS]) {
    expect(isStale(map, entry(undefined, 9), 10)).toBe(true);
    expect(isStale(map, entry(undefined, 10), 10)).toBe(false);
    expect(isStale(map, entry(["v"], 9), 10)).toBe(map === MEMBERS || map === VERDICTS);
    expect(isStale(map, entry(["v"], 10), 10)).toBe(false);
  }
});

/** Entries of few keys and moments in two maps, one of which holds rows. */
const placed = fc.record({
  map: fc.constantFrom("m", MEMBERS),
  entry: fc.record({
    key: fc.constantFrom("a", "b", "c", "__proto__"),
    value: fc.option(fc.constantFrom<Value>(1, "x", ["y"]), { nil: undefined }),
    time: fc.integer({ min: 1, max: 12 }),
    writer: fc.constantFrom("v", "w"),
  }),
});

type Action = { type: "merge"; what: Placed[] } | { type: "cut"; cut: number };
type Placed = { readonly map: string; readonly entry: Entry };

const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant("merge" as const), what: fc.array(placed, { maxLength: 5 }) }),
    fc.record({ type: fc.constant("cut" as const), cut: fc.integer({ min: 0, max: 12 }) }),
  ),
  { maxLength: 12 },
);

/** A replica that does what a peer does with a cut. */
class Collecting {
  readonly replica = new Replica("x");
  #cut = 0;

  take(action: Action): void {
    if (action.type === "cut") {
      this.#cut = Math.max(this.#cut, action.cut);
      this.replica.drop(this.replica.staleKeys((map, entry) => isStale(map, entry, this.#cut)));
      return;
    }
    for (const { map, entry } of action.what) {
      if (!isStale(map, entry, this.#cut)) this.replica.merge([{ map, entries: [entry] }]);
    }
  }

  get entries(): string[] {
    const all = this.replica.everything();
    return all
      .flatMap(({ map, entries }) => entries.map((one) => JSON.stringify([map, one])))
      .sort();
  }
}

/** The naive map: what was ever taken in, then the highest of each key, then what is not stale. */
function naive(all: readonly Action[]): string[] {
  let cut = 0;
  let held: Placed[] = [];
  for (const action of all) {
    if (action.type === "cut") cut = Math.max(cut, action.cut);
    else held.push(...action.what.filter(({ map, entry }) => !isStale(map, entry, cut)));
    const maps = [...new Set(held.map(({ map }) => map))];
    held = maps.flatMap((map) =>
      modelOf(held.filter((one) => one.map === map).map(({ entry }) => entry))
        .filter((entry) => !isStale(map, entry, cut))
        .map((entry) => ({ map, entry })),
    );
  }
  return held.map(({ map, entry }) => JSON.stringify([map, entry])).sort();
}

test("[M5] a replica that collects is what a naive map is, and its sketch is that of its entries alone", () => {
  fc.assert(
    fc.property(actions, (all) => {
      const peer = new Collecting();
      for (const action of all) peer.take(action);
      expect(peer.entries).toEqual(naive(all));
      const fresh = new Replica("x");
      fresh.merge(peer.replica.everything());
      expect(peer.replica.fingerprint()).toBe(fresh.fingerprint());
      expect(peer.replica.sketch.summary()).toEqual(fresh.sketch.summary());
      expect(peer.replica.entryCount).toBe(peer.entries.length);
    }),
    { numRuns: 400 },
  );
});

test("[M5, G10] replicas that have heard of the same entries and the same cut are equal", () => {
  // What is stale by a cut was known to both before it: that is what eras see to.
  fc.assert(
    fc.property(
      fc.array(placed, { maxLength: 20 }),
      fc.nat(12),
      fc.infiniteStream(fc.nat()),
      (all, cut, dice) => {
        const shuffled = [...all].sort(() => ((dice.next().value as number) % 3) - 1);
        const [a, b] = [new Collecting(), new Collecting()];
        a.take({ type: "merge", what: all });
        a.take({ type: "cut", cut });
        a.take({ type: "merge", what: shuffled });
        const deleted = (one: Placed) => one.entry.value === undefined && one.entry.time < cut;
        // Live entries that a stale deletion beats are not there any more: they would come back.
        const beaten = (one: Placed) =>
          all.some(
            (other) =>
              deleted(other) &&
              other.map === one.map &&
              other.entry.key === one.entry.key &&
              compareEntries(other.entry, one.entry) > 0,
          );
        fc.pre(!all.some(beaten));
        b.take({ type: "merge", what: shuffled });
        b.take({ type: "cut", cut });
        expect(a.entries).toEqual(b.entries);
        expect(a.replica.fingerprint()).toBe(b.replica.fingerprint());
      },
    ),
  );
});

test("[M5, G4] a snapshot that is read while entries are dropped lacks none that stayed", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(60), { maxLength: 30 }),
      fc.array(fc.record({ at: fc.nat(12), key: fc.nat(80) }), { maxLength: 30 }),
      (dropped, written) => {
        const replica = new Replica("x");
        const entry = (key: number, time: number): Entry => {
          return { key: `k${key}`, value: "v".repeat(20), time, writer: "w" };
        };
        for (let key = 0; key < 60; key += 1) replica.put("m", `k${key}`, "v".repeat(20), stamp(1));
        const seen = new Set<string>();
        for (let cursor = 0, chunk = 0; cursor >= 0; chunk += 1) {
          const { maps, next } = replica.chunk(cursor, 500);
          for (const { entries } of maps) for (const { key } of entries) seen.add(key);
          const key = dropped[chunk];
          if (key !== undefined) replica.drop([{ map: "m", keys: [`k${key}`] }]);
          for (const one of written.filter(({ at }) => at === chunk)) {
            replica.merge([{ map: "m", entries: [entry(one.key, 2)] }]);
          }
          cursor = next;
        }
        const stayed = Array.from({ length: 60 }, (_, key) => key).filter(
          (key) => !dropped.includes(key) && !written.some((one) => one.key === key),
        );
        for (const key of stayed) expect(seen.has(`k${key}`)).toBe(true);
      },
    ),
  );
});

test("[M5] what was dropped leaves room: a map of few keys stays small whatever was in it", () => {
  const replica = new Replica("x");
  for (let time = 1; time < 20_000; time += 1) {
    replica.put("m", `k${time}`, 1, stamp(2 * time));
    replica.put("m", `k${time}`, undefined, stamp(2 * time + 1));
    if (time % 50 !== 0) continue;
    replica.drop(replica.staleKeys((map, entry) => isStale(map, entry, 2 * time)));
  }
  expect(replica.entryCount).toBeLessThan(60);
  expect(replica.map("m").slotCount).toBeLessThan(60);
});
