import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packTimestamp } from "../../src/core/clock.ts";
import type { Contribution } from "../../src/core/contribution.ts";
import { aggregateGlobalDf, DocumentFrequency, idfOf } from "../../src/core/document-frequency.ts";
import {
  type Contributor,
  decodeChunk,
  decodeHeader,
  parseKey,
  tagOf,
} from "../../src/core/frequency-chunks.ts";
import { LwwMap } from "../../src/core/lww-map.ts";
import type { Entry, Value } from "../../src/core/message.ts";
import { HandDriven, WALL_MS } from "./machines.ts";
import { contribution, countCentrally, publishAt, vocabulary } from "./vocabularies.ts";

const SHARDS = ["shard-0", "shard-1", "shard-2"];

/** A region that is alone, founded, and hosts all shards. */
function region(): HandDriven {
  const driven = new HandDriven("a", { shardCount: SHARDS.length });
  driven.start();
  driven.pass(2000);
  return driven;
}

/** An index, its map, and what it says of all terms that it might know. */
class Reader {
  readonly map = new LwwMap<Value>();
  readonly index = new DocumentFrequency(this.map, 12_345);
  readonly registered = new Set(SHARDS);

  constructor() {
    for (const shard of SHARDS) this.index.register(shard);
    this.index.settle();
  }

  take(entries: readonly Entry[]): void {
    for (const entry of this.map.merge(entries)) this.index.apply(entry);
    this.index.settle();
  }

  read(terms: Iterable<string>) {
    const { documents, frequencies, complete, missing } = this.index.globalDf(terms, WALL_MS);
    return {
      documents,
      terms: new Map([...frequencies].filter(([, n]) => n > 0)),
      complete,
      missing,
    };
  }

  /** The same, counted anew from the entries, with no index. */
  readNaively() {
    const parts: Contribution[] = [];
    for (const { key, value } of this.map.all()) {
      const header = decodeHeader(value);
      const { shard = "", chunk } = parseKey(key) ?? {};
      if (!this.registered.has(shard) || chunk !== -1 || header === undefined) continue;
      const terms = new Map<string, number>();
      for (const { key: chunkKey, value: text } of this.map.all()) {
        const place = parseKey(chunkKey);
        if (place === undefined || place.header !== key || typeof text !== "string") continue;
        if (place.chunk < 0 || place.chunk >= header.chunks) continue;
        if (!text.startsWith(tagOf(header, header.chunks))) continue;
        const content = decodeChunk(text, place.chunk, header.chunks);
        content?.terms.forEach((term, n) => void terms.set(term, content.counts[n] as number));
      }
      parts.push({ documents: header.documents, terms });
    }
    return countCentrally(parts);
  }
}

const answerOf = ({ documents, terms }: Contribution, missing: readonly string[] = []) => ({
  ...{ documents, terms, complete: missing.length === 0, missing },
});

/** Publications one after the other: by shard, whether the shard has moved before, and by whom. */
type Published = [shard: string, what: Contribution, hasMoved: boolean, by: Contributor];

const history: fc.Arbitrary<Published[]> = fc.array(
  fc.tuple(
    ...[fc.constantFrom(...SHARDS), contribution, fc.boolean()],
    fc.constantFrom<Contributor>("users", "documents"),
  ) as fc.Arbitrary<Published>,
  { maxLength: 12 },
);

/** Publishes a history; returns what was written, and what stands of each shard in the end. */
function publishAll(publications: readonly Published[]) {
  const driven = region();
  const entries: Entry[] = [];
  const latest = new Map<string, Contribution>();
  for (const [shard, what, hasMoved, by] of publications) {
    if (hasMoved) driven.call({ type: "allocate", shard, region: "a" }); // A new token.
    entries.push(...publishAt(driven, shard, what, by).entries);
    latest.set(`${shard} ${by}`, what);
  }
  return { driven, entries, latest };
}

const termsOf = (entries: readonly Published[]): Set<string> =>
  new Set(entries.flatMap(([, { terms }]) => [...terms.keys()]));

const missingOf = (present: ReadonlyMap<string, unknown>): string[] =>
  SHARDS.filter((shard) => !present.has(`${shard} users`) && !present.has(`${shard} documents`));

describe("an index against a central count", () => {
  test("[D1, D2] sums are those of a central count, whatever was published and moved before", () => {
    fc.assert(
      fc.property(history, (publications) => {
        const { driven, latest } = publishAll(publications);
        const terms = termsOf(publications);
        const expected = countCentrally(latest.values());
        const { documents, frequencies, complete, missing } =
          driven.machine.view.frequencies.globalDf(terms, WALL_MS);
        const found = new Map([...frequencies].filter(([, count]) => count > 0));
        expect({ documents, terms: found, complete, missing }).toEqual(
          answerOf(expected, missingOf(latest)),
        );
      }),
      { numRuns: 60 },
    );
  });

  test("[D1] entries count once, in whatever order and however often they come", () => {
    const order = fc.array(fc.nat(), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(history, order, (publications, picks) => {
        const { entries, latest } = publishAll(publications);
        const terms = termsOf(publications);
        const reader = new Reader();
        for (const pick of picks) {
          const from = entries.length === 0 ? 0 : pick % entries.length;
          reader.take(entries.slice(from, from + 1 + (pick % 5)));
          const { documents, terms: found } = reader.read(terms);
          expect({ documents, terms: found }).toEqual(reader.readNaively());
        }
        for (const entry of [...entries].reverse()) reader.take([entry]);
        const expected = answerOf(countCentrally(latest.values()), missingOf(latest));
        expect(reader.read(terms)).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test("[D2] a shard that is registered counts, and one that is not does not", () => {
    fc.assert(
      fc.property(history, fc.infiniteStream(fc.boolean()), (publications, coins) => {
        const { entries } = publishAll(publications);
        const terms = termsOf(publications);
        const reader = new Reader();
        for (const entry of entries) {
          const shard = parseKey(entry.key)?.shard as string;
          if (coins.next().value && reader.registered.delete(shard)) reader.index.deregister(shard);
          else if (coins.next().value) {
            reader.registered.add(shard);
            reader.index.register(shard);
          }
          reader.take([entry]);
          const { documents, terms: found, missing } = reader.read(terms);
          expect({ documents, terms: found }).toEqual(reader.readNaively());
          expect(missing.every((name) => reader.registered.has(name))).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("[D1] what is malformed counts for nothing, and hides nothing else", () => {
    const junk: fc.Arbitrary<Value> = fc.oneof(
      fc.string(),
      fc.constantFrom<Value>(null, 1, [], [1, "w", 2, 3], [0, "", 1, 0, 0, 0], new Uint8Array(9)),
      fc.tuple(fc.nat(9), fc.constant("w"), fc.nat(9), fc.nat(9), fc.nat(), fc.nat()),
    );
    const place = fc.constantFrom(
      ...SHARDS.flatMap((shard) => [shard, `${shard}/0`, `${shard}/1`, `${shard}/3`]),
      ...["shard-0:hosted", "shard-0:hosted/0", "shard-1:hosted/1", "shard-0:x", ":hosted"],
      ...["shard-0/00", "shard-0/-1", "shard-0/x", "shard-0/99999", "shard-0/1/1", "/", "", "zz/0"],
    );
    const bad = fc.array(fc.tuple(place, junk), { maxLength: 8 });
    const turns = fc.array(fc.tuple(fc.constantFrom(...SHARDS), contribution, bad), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(turns, (all) => {
        const driven = region();
        const reader = new Reader();
        let time = packTimestamp(WALL_MS + 1e6);
        const terms = new Set(all.flatMap(([, what]) => [...what.terms.keys()]));
        for (const [shard, what, entries] of all) {
          reader.take(publishAt(driven, shard, what).entries);
          for (const [key, value] of entries) {
            time += 1;
            reader.take([{ key, value, time, writer: "zz" }]);
            const { documents, terms: found } = reader.read(terms);
            expect({ documents, terms: found }).toEqual(reader.readNaively());
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("two contributions of one shard", () => {
  const users = {
    documents: 3,
    terms: new Map([
      ["a", 3],
      ["b", 1],
    ]),
  };
  const hosted = {
    documents: 2,
    terms: new Map([
      ["a", 1],
      ["c", 2],
    ]),
  };

  test("[D1] what users publish and what documents come to add up, and replace only themselves", () => {
    const driven = region();
    const read = () => {
      const { documents, frequencies } = driven.machine.view.frequencies.globalDf("abc", WALL_MS);
      return [documents, ...frequencies.values()];
    };
    publishAt(driven, "shard-0", hosted, "documents");
    publishAt(driven, "shard-0", users);
    expect(read()).toEqual([5, 4, 1, 2]);
    publishAt(driven, "shard-0", { documents: 0, terms: new Map() });
    expect(read()).toEqual([2, 1, 0, 2]);
    publishAt(driven, "shard-0", users);
    publishAt(driven, "shard-0", { documents: 0, terms: new Map() }, "documents");
    expect(read()).toEqual([3, 3, 1, 0]);
    expect(publishAt(driven, "shard-0", users).entries).toEqual([]);
  });

  test("[D4] a shard is missing while anything of either is, whichever came first", () => {
    const driven = region();
    const own = publishAt(driven, "shard-1", users).entries;
    const other = publishAt(driven, "shard-1", hosted, "documents").entries;
    for (const [first, second] of [
      [own, other],
      [other, own],
    ] as const) {
      for (const absent of second) {
        const reader = new Reader();
        reader.take(first);
        expect(reader.read([]).missing).toEqual(["shard-0", "shard-2"]);
        const rest = second.filter((entry) => entry !== absent);
        reader.take(rest);
        const isHeaderHere = rest.some(({ key }) => !key.includes("/"));
        expect(reader.read([]).missing.includes("shard-1")).toBe(isHeaderHere);
        reader.take([absent]);
        expect(reader.read([]).missing).toEqual(["shard-0", "shard-2"]);
      }
    }
  });
});

describe("what an answer says of itself", () => {
  test("[D4] before anything is published every shard is missing", () => {
    const { index } = new Reader();
    expect(index.globalDf(["a"], WALL_MS)).toEqual({
      ...{ documents: 0, frequencies: new Map([["a", 0]]) },
      ...{ complete: false, missing: SHARDS, ageMs: 0 },
    });
  });

  test("[D4] a shard is missing while one entry of its publication is, whichever it is", () => {
    const driven = region();
    const before = publishAt(driven, "shard-1", vocabulary(300)).entries;
    const changed = new Map([...vocabulary(300).terms].map(([term, n]) => [term, 101 - n]));
    const after = publishAt(driven, "shard-1", { documents: 101, terms: changed }).entries;
    expect(after.length).toBeGreaterThan(20);
    for (const absent of after) {
      const reader = new Reader();
      reader.take(before);
      expect(reader.read([]).missing).toEqual(["shard-0", "shard-2"]);
      reader.take(after.filter((entry) => entry !== absent));
      expect(reader.read([]).missing).toEqual(SHARDS);
      reader.take([absent]);
      expect(reader.read([]).missing).toEqual(["shard-0", "shard-2"]);
    }
  });

  test("[D4] chunks under an older token count no longer once the header names a newer one", () => {
    const driven = region();
    const reader = new Reader();
    reader.take(publishAt(driven, "shard-0", vocabulary(40)).entries);
    driven.call({ type: "allocate", shard: "shard-0", region: "a" });
    const { entries, result } = publishAt(driven, "shard-0", vocabulary(40));
    const [chunks, written] = result;
    expect(written).toBe(chunks);
    reader.take(entries.filter(({ key }) => key === "shard-0"));
    expect(reader.read(["w1"])).toMatchObject({ documents: 100, terms: new Map() });
    expect(reader.read(["w1"]).missing).toContain("shard-0");
    reader.take(entries);
    expect(reader.read(["w1"])).toMatchObject({ documents: 100, terms: new Map([["w1", 2]]) });
  });

  test("[D4] an answer is as old as the oldest of its parts", () => {
    const driven = region();
    for (const shard of SHARDS) {
      driven.now += 1000;
      publishAt(driven, shard, vocabulary(3));
    }
    const { frequencies } = driven.machine.view;
    const first = WALL_MS + 3000;
    expect(frequencies.globalDf([], first + 9000).ageMs).toBe(9000);
    publishAt(driven, "shard-0", vocabulary(4)); // At first + 2000, as the third.
    expect(frequencies.globalDf([], first + 9000).ageMs).toBe(8000);
    expect(frequencies.globalDf([], first - 9000).ageMs).toBe(0); // A clock that stepped back.
    publishAt(driven, "shard-1", vocabulary(4));
    expect(frequencies.idf("w0", first + 9000)).toMatchObject({ ageMs: 7000, complete: true });
  });
});

describe("how much a term tells", () => {
  test("[D5] idf is ln(N / df) + 1, and 0 when either is 0", () => {
    expect(idfOf(1000, 10)).toBeCloseTo(Math.log(100) + 1, 12);
    expect([idfOf(5, 5), idfOf(5, 0), idfOf(0, 0)]).toEqual([1, 0, 0]);
    expect(idfOf(3, 4)).toBe(1); // Never negative, though parts of two publications be here.
  });

  test("[D5] idf is by the documents and frequencies of all shards", () => {
    const driven = region();
    publishAt(driven, "shard-0", { documents: 90, terms: new Map([["a", 1]]) });
    publishAt(driven, "shard-2", { documents: 10, terms: new Map([["a", 9]]) });
    expect(driven.machine.view.frequencies.idf("a", WALL_MS)).toMatchObject({
      ...{ idf: Math.log(10) + 1, complete: false, missing: ["shard-1"] },
    });
    expect(driven.machine.view.frequencies.idf("b", WALL_MS).idf).toBe(0);
  });

  test("[D2] local frequencies add up by term, in any order", () => {
    const locals = fc.array(contribution.map(({ terms }) => terms));
    fc.assert(
      fc.property(locals, (maps) => {
        const expected = countCentrally(maps.map((terms) => ({ documents: 1, terms }))).terms;
        expect(aggregateGlobalDf(maps)).toEqual(expected);
        expect(aggregateGlobalDf([...maps].reverse())).toEqual(expected);
      }),
    );
    expect(aggregateGlobalDf([])).toEqual(new Map());
  });
});
