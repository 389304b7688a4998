/**
 * Who links to whom: a pure function of the members that are alive or suspect [G7].
 *
 * Theory of operation
 *
 * Up to `meshMax` members everybody links to everybody. Beyond that the members stand in a ring, in the
 * order of the hashes of their names, which no name tells in advance. Each links to its two
 * successors and to those 4, 8, 16, ... places on. Neighbours are both ends of such a link, so each
 * has about twice log2(n) of them, everybody who knows the members knows all links, and no place is
 * more than log2(n) hops away. Many random members must be lost at once before the rest falls apart.
 *
 * A member that cannot be linked (its host is cut off from this one, and not from others) is stood in
 * for by the next in the order who is no neighbour yet, so that trouble costs nobody its links.
 *
 * Members that are dead stand in no ring. Whether one would be a neighbour if it were alive is
 * answered all the same: those who would be are the ones that look for it [G8].
 *
 * The order is kept as a sorted array, so a change costs a search and a shift, and questions about one
 * member cost a search. Deliberately absent: links. This module knows names only.
 *
 * Source: the fingers are those of Stoica et al., "Chord", SIGCOMM 2001, section 4.3, used both ways.
 * Rules: SPEC.md, G7.
 */
import { hash32 } from "./hash.ts";
import { compareText, type PeerName } from "./units.ts";

/** The most members that link each to each, this one included. All have the same limit. */
export const MESH_MAX = 32;

interface Place {
  readonly hash: number;
  readonly name: PeerName;
}

export class Overlay {
  readonly #self: Place;
  readonly #meshMax: number;
  /** By hash, then name. This peer is always among them: it asks for its own neighbours. */
  readonly #places: Place[];
  readonly #present = new Set<PeerName>();
  /** What `neighbours` returns; undefined after a change. */
  #neighbours: ReadonlySet<PeerName> | undefined;

  constructor(self: PeerName, meshMax: number = MESH_MAX) {
    this.#self = placeOf(self);
    this.#meshMax = meshMax;
    this.#places = [this.#self];
    this.#present.add(self);
  }

  /** Where this peer stands: the hash of its name. */
  get hash(): number {
    return this.#self.hash;
  }

  /** How many members there are, this peer included. */
  get size(): number {
    return this.#places.length;
  }

  /** Whether everybody links to everybody. */
  get isMesh(): boolean {
    return this.#places.length <= this.#meshMax;
  }

  has(name: PeerName): boolean {
    return this.#present.has(name);
  }

  /** Says whether `name` is alive or suspect. */
  set(name: PeerName, isPresent: boolean): void {
    if (name === this.#self.name || this.#present.has(name) === isPresent) return;
    const place = placeOf(name);
    this.#places.splice(this.#search(place), isPresent ? 0 : 1, ...(isPresent ? [place] : []));
    if (isPresent) this.#present.add(name);
    else this.#present.delete(name);
    this.#neighbours = undefined;
  }

  /** The neighbours, in the order of the ring from this peer on. */
  neighbours(): ReadonlySet<PeerName> {
    this.#neighbours ??= this.#findNeighbours();
    return this.#neighbours;
  }

  #findNeighbours(): ReadonlySet<PeerName> {
    const count = this.#places.length;
    const self = this.#search(this.#self);
    const steps = this.isMesh
      ? Array.from({ length: count - 1 }, (_, index) => index + 1)
      : fingers(count);
    return new Set(steps.map((step) => this.#at(self + step)));
  }

  /** Whether `name` is a neighbour, or would be if it were alive. This peer is none of its own. */
  isNeighbour(name: PeerName): boolean {
    if (this.#present.has(name)) return this.neighbours().has(name);
    const count = this.#places.length + 1;
    if (count <= this.#meshMax) return true;
    // Whoever comes back takes the place before `index`, and all from there on move up.
    const index = this.#search(placeOf(name));
    const self = this.#search(this.#self);
    const step = (index - (self >= index ? self + 1 : self) + count) % count;
    return isPowerOfTwo(step) || isPowerOfTwo(count - step);
  }

  /**
   * Whom this peer wants to be linked with: the neighbours, and for each that cannot be linked the next
   * in the order after it that can. In a full mesh everybody is wanted anyway.
   */
  wanted(canLink: (name: PeerName) => boolean): Set<PeerName> {
    const neighbours = this.neighbours();
    const wanted = new Set(neighbours);
    if (this.isMesh) return wanted;
    for (const neighbour of neighbours) {
      if (canLink(neighbour)) continue;
      const standIn = this.#standInFor(neighbour, wanted, canLink);
      if (standIn !== undefined) wanted.add(standIn);
    }
    return wanted;
  }

  #standInFor(
    neighbour: PeerName,
    wanted: ReadonlySet<PeerName>,
    canLink: (name: PeerName) => boolean,
  ): PeerName | undefined {
    const start = this.#search(placeOf(neighbour));
    for (let step = 1; step < this.#places.length; step += 1) {
      const name = this.#at(start + step);
      if (name !== this.#self.name && !wanted.has(name) && canLink(name)) return name;
    }
    return undefined;
  }

  #at(index: number): PeerName {
    return (this.#places[index % this.#places.length] as Place).name;
  }

  /** The index of a place, or of the first one after it. */
  #search(place: Place): number {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (comparePlaces(this.#places[middle] as Place, place) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** How far on in a ring of `count` the neighbours of a member stand: fingers out, and in. */
function fingers(count: number): number[] {
  const steps = new Set<number>();
  for (let step = 1; step < count; step *= 2) steps.add(step).add(count - step);
  return [...steps].sort((a, b) => a - b);
}

function isPowerOfTwo(step: number): boolean {
  return step > 0 && (step & (step - 1)) === 0;
}

function placeOf(name: PeerName): Place {
  return { hash: hash32(name), name };
}

function comparePlaces(a: Place, b: Place): number {
  return a.hash - b.hash || compareText(a.name, b.name);
}
