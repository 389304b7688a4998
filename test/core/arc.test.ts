import fc from "fast-check";
import { expect, test } from "vitest";
import { type Arc, divide, ringAround } from "../../src/core/arc.ts";
import { hash32 } from "../../src/core/hash.ts";
import { Overlay } from "../../src/core/overlay.ts";

const HASHES = 2 ** 32;

interface Spread {
  /** How often each was told. */
  readonly told: Map<string, number>;
  readonly messages: number;
  readonly hops: number;
}

interface Member {
  readonly name: string;
  readonly hash: number;
}

/** Tells everybody, as peers do who pass on what they have not heard; `isLinked` may take links out. */
function spread(
  names: readonly string[],
  writer: string,
  isLinked: (a: string, b: string) => boolean = () => true,
): Spread {
  const links = new Map<string, Member[]>();
  for (const name of names) {
    const overlay = new Overlay(name);
    for (const other of names) overlay.set(other, true);
    const linked = [...overlay.neighbours()].filter((other) => isLinked(name, other));
    links.set(
      name,
      linked.map((other) => ({ name: other, hash: hash32(other) })),
    );
  }
  const told = new Map([[writer, 1]]);
  let messages = 0;
  let hops = -1;
  let round: { name: string; arc?: Arc }[] = [{ name: writer, arc: ringAround(hash32(writer)) }];
  for (; round.length > 0; hops += 1) {
    const next: typeof round = [];
    for (const { name, arc } of round) {
      if (arc === undefined) continue;
      for (const { link, ...piece } of divide(arc, hash32(name), links.get(name) ?? [])) {
        messages += 1;
        told.set(link.name, (told.get(link.name) ?? 0) + 1);
        if (told.get(link.name) === 1) next.push({ name: link.name, ...piece });
      }
    }
    round = next;
  }
  return { told, messages, hops };
}

const named = (count: number): string[] => Array.from({ length: count }, (_, at) => `peer-${at}`);

test.each([33, 100, 300, 1000])("[G1] among %i members n - 1 messages tell everybody", (count) => {
  const names = named(count);
  const { told, messages, hops } = spread(names, "peer-7");
  expect(told.size).toBe(count);
  expect(messages).toBe(count - 1);
  expect(hops).toBeLessThanOrEqual(Math.ceil(Math.log2(count) / 2) + 2);
});

test("[G1] whoever writes, and whoever the members are, each is told once", () => {
  const crowd = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/), {
    minLength: 34,
    maxLength: 90,
  });
  fc.assert(
    fc.property(crowd, fc.nat(), (names, at) => {
      const { told, messages } = spread(names, names[at % names.length] as string);
      expect(told.size).toBe(names.length);
      expect(messages).toBe(names.length - 1);
    }),
  );
});

test("[G1] members that cannot link with each other are told by others", () => {
  const names = named(60);
  const ring = [...names].sort((a, b) => hash32(a) - hash32(b));
  let missed = 0;
  for (let at = 0; at < ring.length; at += 1) {
    const [one, other] = [ring[at], ring[(at + 1) % ring.length]];
    const isCut = (a: string, b: string) =>
      (a === one && b === other) || (a === other && b === one);
    const { told } = spread(names, one as string, (a, b) => !isCut(a, b));
    missed += names.length - told.size;
  }
  expect(missed).toBe(0);
});

test("[G1] two members of one hash are both told", () => {
  const names = named(40);
  const twins = (name: string) => hash32(name === "peer-3" ? "peer-4" : name);
  const links = names
    .filter((name) => name !== "peer-3")
    .map((name) => ({ name, hash: twins(name) }));
  const pieces = divide(ringAround(twins("peer-9")), twins("peer-3"), links);
  expect(pieces.map(({ link }) => link.name)).toContain("peer-4");
});

const hashes = fc.oneof(fc.nat(HASHES - 1), fc.constantFrom(0, 1, HASHES - 1), fc.nat(20));
const within = ({ from, until }: Arc, hash: number) => (hash - from) >>> 0 < (until - from) >>> 0;

test("[G1] pieces lie in their arc, do not overlap, leave nothing out, and hold nobody who cut them", () => {
  const arcs = fc.tuple(hashes, hashes).filter(([from, until]) => from !== until);
  const links = fc.uniqueArray(hashes, { maxLength: 12 });
  fc.assert(
    fc.property(arcs, hashes, links, fc.array(hashes), ([from, until], self, links, asked) => {
      const arc = { from, until };
      const others = links.filter((hash) => hash !== self).map((hash) => ({ hash }));
      const pieces = divide(arc, self, others);
      expect(new Set(pieces.map(({ link }) => link.hash))).toEqual(
        new Set(links.filter((hash) => hash !== self && within(arc, hash))),
      );
      for (const { link, arc: piece } of pieces) {
        expect(piece === undefined || within(piece, link.hash)).toBe(true);
      }
      const isRightServed = pieces.some(({ link }) => isBetween(self, link.hash, until));
      const isLeftServed = pieces.some(({ link }) => isBetween(from, link.hash, self));
      for (const hash of [...asked, self, from, until, ...links]) {
        const holders = pieces.filter(({ arc: piece }) => piece && within(piece, hash));
        const isOwed =
          within(arc, hash) &&
          hash !== self &&
          (!within(arc, self)
            ? pieces.length > 0
            : isBetween(self, hash, until)
              ? isRightServed
              : isLeftServed);
        expect(holders).toHaveLength(isOwed ? 1 : 0);
      }
    }),
  );
});

/** Whether one comes to `hash` on the way from `from` to `until`. */
function isBetween(from: number, hash: number, until: number): boolean {
  return (hash - from) >>> 0 < (until - from) >>> 0;
}

test("[G1] an arc that somebody makes up comes to an end", () => {
  fc.assert(
    fc.property(
      hashes,
      hashes,
      fc.uniqueArray(hashes, { maxLength: 12 }),
      (from, until, places) => {
        fc.pre(from !== until);
        let pieces: { at: number; arc?: Arc }[] = places.map((at) => ({
          at,
          arc: { from, until },
        }));
        let total = 0;
        // Nobody remembers what it has heard: only that arcs shrink ends this.
        while (pieces.length > 0 && total < 100_000) {
          total += pieces.length;
          pieces = pieces.flatMap(({ at, arc }) => {
            const others = places.filter((hash) => hash !== at).map((hash) => ({ hash }));
            if (arc === undefined) return [];
            return divide(arc, at, others).map(({ link, ...piece }) => ({
              at: link.hash,
              ...piece,
            }));
          });
        }
        expect(total).toBeLessThan(12 * 13);
      },
    ),
  );
});
