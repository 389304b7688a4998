import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hash32 } from "../../src/core/hash.ts";
import { MESH_MAX, Overlay } from "../../src/core/overlay.ts";

const named = (count: number): string[] => Array.from({ length: count }, (_, at) => `peer-${at}`);

/** Distinct names that nobody chose. */
const crowds = (minLength: number, maxLength: number) =>
  fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/), { minLength, maxLength });

function overlayOf(self: string, names: readonly string[], meshMax?: number): Overlay {
  const overlay = new Overlay(self, meshMax);
  for (const name of names) overlay.set(name, true);
  return overlay;
}

/** The rule as one would say it: two successors, those 4, 8, 16, ... on, and whoever says so of me. */
function neighboursByRule(self: string, names: readonly string[], meshMax: number): string[] {
  const ring = [...names].sort((a, b) => hash32(a) - hash32(b) || (a < b ? -1 : 1));
  if (ring.length <= meshMax) return ring.filter((name) => name !== self).sort();
  const outOf = (name: string): string[] => {
    const at = ring.indexOf(name);
    const places = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].filter((step) => step < ring.length);
    return places.map((step) => ring[(at + step) % ring.length] as string);
  };
  const into = ring.filter((name) => outOf(name).includes(self));
  return [...new Set([...outOf(self), ...into])].filter((name) => name !== self).sort();
}

/** All links of a cluster, by name. */
function linksOf(names: readonly string[], meshMax?: number): Map<string, ReadonlySet<string>> {
  return new Map(names.map((name) => [name, overlayOf(name, names, meshMax).neighbours()]));
}

/** How many of `names` one reaches from the first, over links among them. */
function reached(names: ReadonlySet<string>, links: Map<string, ReadonlySet<string>>): number {
  const [first = ""] = names;
  const seen = new Set([first]);
  for (const name of seen) {
    for (const next of links.get(name) ?? []) if (names.has(next)) seen.add(next);
  }
  return seen.size;
}

describe("who is a neighbour", () => {
  test("[G7] up to the limit everybody is everybody's neighbour, and beyond it nobody has all", () => {
    const mesh = overlayOf("peer-0", named(MESH_MAX));
    expect(mesh.isMesh).toBe(true);
    expect([...mesh.neighbours()].sort()).toEqual(named(MESH_MAX).slice(1).sort());
    mesh.set("one-more", true);
    expect(mesh.isMesh).toBe(false);
    expect(mesh.neighbours().size).toBeLessThan(MESH_MAX / 2);
  });

  test("[G7] neighbours are those that the rule names, whatever has come and gone before", () => {
    const turns = fc.array(fc.tuple(fc.nat(30), fc.boolean()), { maxLength: 120 });
    fc.assert(
      fc.property(crowds(1, 30), turns, fc.integer({ min: 1, max: 8 }), (names, turns, meshMax) => {
        const [self = ""] = names;
        const overlay = new Overlay(self, meshMax);
        const present = new Set([self]);
        for (const [at, isPresent] of turns) {
          const name = names[at % names.length] as string;
          overlay.set(name, isPresent);
          if (isPresent) present.add(name);
          else if (name !== self) present.delete(name);
        }
        const expected = neighboursByRule(self, [...present], meshMax);
        expect([...overlay.neighbours()].sort()).toEqual(expected);
        for (const name of names) {
          const wouldBe = neighboursByRule(self, [...new Set([...present, name])], meshMax);
          expect(overlay.isNeighbour(name)).toBe(wouldBe.includes(name));
          expect(overlay.has(name)).toBe(present.has(name));
        }
      }),
    );
  });

  test("[G7] whoever knows the members knows all links: two neighbours name each other", () => {
    fc.assert(
      fc.property(crowds(2, 60), (names) => {
        const links = linksOf(names, 4);
        for (const [name, neighbours] of links) {
          for (const other of neighbours) expect(links.get(other)?.has(name)).toBe(true);
        }
      }),
    );
  });

  test("[G7] nobody has more than twice log2(n) neighbours, and one more", () => {
    for (const count of [33, 64, 100, 300, 1000]) {
      for (const neighbours of linksOf(named(count)).values()) {
        expect(neighbours.size).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(count)) + 1);
      }
    }
  });
});

describe("what happens to the links when members come and go", () => {
  test("[G7] a cluster holds together when a third of it is lost at once", () => {
    const names = named(120);
    const links = linksOf(names);
    const lost = fc.shuffledSubarray(names, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(lost, (lost) => {
        const left = new Set(names.filter((name) => !lost.includes(name)));
        expect(reached(left, links)).toBe(left.size);
      }),
    );
  });

  test("[G7] it holds together when some who stand next to each other are lost", () => {
    const names = named(120);
    const links = linksOf(names);
    const ring = [...names].sort((a, b) => hash32(a) - hash32(b));
    for (let start = 0; start < ring.length; start += 1) {
      const lost = Array.from({ length: 12 }, (_, step) => ring[(start + step) % ring.length]);
      const left = new Set(names.filter((name) => !lost.includes(name)));
      expect(reached(left, links)).toBe(left.size);
    }
  });

  test("[G7] one who comes changes few of the links of the others", () => {
    const names = named(500);
    const before = linksOf(names);
    const after = linksOf([...names, "one-more"]);
    let changed = 0;
    for (const [name, neighbours] of before) {
      for (const other of neighbours) if (!after.get(name)?.has(other)) changed += 1;
    }
    const all = [...before.values()].reduce((sum, { size }) => sum + size, 0);
    // Every finger of 2^k places passes a newcomer at 2^k of the peers: each link moves for one in n/2^k.
    expect(changed / all).toBeLessThan(0.2);
    expect(after.get("one-more")?.size).toBeLessThan(20);
  });

  test("[G7] a change among 1000 members costs a search, and not a look at all of them", () => {
    const overlay = overlayOf("peer-0", named(1000));
    let asked = 0;
    for (let round = 0; round < 2000; round += 1) {
      overlay.set(`peer-${1 + (round % 999)}`, round % 2 === 0);
      asked += overlay.neighbours().size;
    }
    expect(asked / 2000).toBeLessThan(22);
  });
});

describe("who stands in", () => {
  test("[G7] for a neighbour that cannot be linked the next who can is wanted, and it still is", () => {
    fc.assert(
      fc.property(crowds(9, 60), fc.infiniteStream(fc.boolean()), (names, coins) => {
        const [self = ""] = names;
        const overlay = overlayOf(self, names, 4);
        const ring = [...names].sort((a, b) => hash32(a) - hash32(b));
        const bad = new Set(names.filter(() => coins.next().value));
        const wanted = overlay.wanted((name) => !bad.has(name));
        const neighbours = overlay.neighbours();
        for (const name of neighbours) expect(wanted.has(name)).toBe(true);
        const standIns = [...wanted].filter((name) => !neighbours.has(name));
        const lacking = [...neighbours].filter((name) => bad.has(name));
        const others = names.filter(
          (name) => name !== self && !neighbours.has(name) && !bad.has(name),
        );
        expect(standIns).toHaveLength(Math.min(lacking.length, others.length));
        for (const name of standIns) expect(bad.has(name)).toBe(false);
        const [first] = neighbours;
        if (first === undefined || !bad.has(first) || others.length === 0) return;
        let at = ring.indexOf(first);
        do at = (at + 1) % ring.length;
        while (!others.includes(ring[at] as string));
        expect(standIns).toContain(ring[at]);
      }),
    );
  });

  test("[G7] in a full mesh nobody needs a stand-in", () => {
    const overlay = overlayOf("peer-0", named(10));
    expect([...overlay.wanted(() => false)]).toEqual([...overlay.neighbours()]);
  });
});
