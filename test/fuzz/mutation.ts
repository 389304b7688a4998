/**
 * Makes inputs from inputs: by changing bytes, and by changing what MessagePack bytes stand for.
 *
 * Bytes alone hardly get past the first gate, since lengths no longer fit. So most inputs are changed as
 * trees: a leaf becomes a value that hurts elsewhere, an element is left out, doubled, or taken from another
 * input.
 */
import { Packr, Unpackr } from "msgpackr";
import type { Random } from "../../src/core/random.ts";

/** Longest input, in bytes: what is wrong with longer ones is wrong with these. */
const INPUT_BYTES_MAX = 16_384;

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: false, int64AsType: "number" });

/** Values that are at the edge of something. */
const EDGES: readonly unknown[] = [
  ...[null, true, false, "", "__proto__", "constructor", "toString", "shard-0", "shard-99999", "a"],
  ...["a/b", "b/a", "0", "\ud83d\ude00", "x".repeat(300), "\u0000", "é"],
  ...[0, -1, 1, 127, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32, 2 ** 32 - 1, 2 ** 53 - 1, 2 ** 53],
  ...[-(2 ** 31), -(2 ** 53), 0.5, -0, 1e308, Number.NaN, Infinity, -Infinity],
  ...[new Uint8Array(0), new Uint8Array([0]), new Uint8Array(64).fill(255), new Uint8Array(2000)],
  ...[[], [[]], [null, null], [0, 0, 0, 0], new Array(40).fill(0)],
];

/** Bytes that mean something: lengths, types, and what we refuse. */
const LEADS = [
  ...[0x00, 0x7f, 0x80, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb],
  ...[0xcc, 0xcf, 0xd3, 0xd4, 0xd6, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff],
];

/** An input made from those of `corpus`. `head` bytes in front are not MessagePack. */
export function mutate(random: Random, corpus: readonly Uint8Array[], head: number): Uint8Array {
  let bytes = random.pick(corpus) ?? new Uint8Array(0);
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    const tree = random.chance(0.75) ? treeOf(bytes.subarray(head)) : undefined;
    bytes =
      tree === undefined
        ? changeBytes(random, bytes, random.pick(corpus) ?? bytes)
        : withHead(
            bytes,
            head,
            changeTree(random, tree, treeOf(random.pick(corpus)?.subarray(head))),
          );
  }
  return bytes.length > INPUT_BYTES_MAX ? bytes.slice(0, INPUT_BYTES_MAX) : bytes;
}

function treeOf(bytes: Uint8Array | undefined): unknown {
  try {
    return bytes === undefined ? undefined : unpackr.unpack(bytes);
  } catch {
    return undefined;
  }
}

function withHead(bytes: Uint8Array, head: number, tree: unknown): Uint8Array {
  try {
    return Uint8Array.from([...bytes.subarray(0, head), ...packr.pack(tree)]);
  } catch {
    return bytes;
  }
}

function changeTree(random: Random, tree: unknown, other: unknown): unknown {
  const places = placesIn(tree);
  const place = random.pick(places);
  if (place === undefined) return random.pick(EDGES);
  const { list, index } = place;
  switch (random.below(7)) {
    case 0:
      list.splice(index, 1);
      break;
    case 1:
      list.splice(index, 0, list[index]);
      break;
    case 2: {
      const donor = random.pick(placesIn(other));
      list[index] = donor === undefined ? random.pick(EDGES) : donor.list[donor.index];
      break;
    }
    case 3: {
      const donor = random.pick(places);
      if (donor !== undefined) list[index] = structuredClone(donor.list[donor.index]);
      break;
    }
    case 4: {
      const value = list[index];
      list[index] = typeof value === "number" ? value + random.below(5) - 2 : random.pick(EDGES);
      break;
    }
    case 5:
      if (random.chance(0.1)) list.push(...new Array(random.below(3000)).fill(list[index]));
      else list.push(random.pick(EDGES));
      break;
    default:
      list[index] = random.pick(EDGES);
  }
  return tree;
}

interface Place {
  readonly list: unknown[];
  readonly index: number;
}

/** All elements of all lists of a tree. */
function placesIn(tree: unknown, places: Place[] = []): Place[] {
  if (!Array.isArray(tree)) return places;
  tree.forEach((value, index) => {
    places.push({ list: tree, index });
    placesIn(value, places);
  });
  return places;
}

function changeBytes(random: Random, given: Uint8Array, other: Uint8Array): Uint8Array {
  const at = random.below(given.length + 1);
  switch (random.below(6)) {
    case 0:
      return given.slice(0, at);
    case 1:
      return Uint8Array.from([
        ...given.subarray(0, at),
        ...other.subarray(random.below(other.length + 1)),
      ]);
    case 2:
      return Uint8Array.from([...given.subarray(0, at), random.below(256), ...given.subarray(at)]);
    default: {
      const bytes = given.slice();
      for (let times = 1 + random.below(4); times > 0 && bytes.length > 0; times -= 1) {
        const byte = random.chance(0.5) ? random.pick(LEADS) : random.below(256);
        bytes[random.below(bytes.length)] = byte ?? 0;
      }
      return bytes;
    }
  }
}
