/**
 * Ways to push one change over the links of an overlay, as bare as they can be, to be compared.
 *
 * Members are numbers and links take one ms. `arcs` is the rule of the core and uses its `divide`; the
 * other two are what else one might do. Flooding passes everything on to everybody. Plumtree does so at
 * first, prunes the links by which something came twice, and announces by them what it has; who lacks
 * what was announced asks for it after a while, and that link carries changes again.
 *
 * Beside all of them runs the same anti-entropy: each member compares with a random neighbour once a
 * second, and pushes what it was missing as if it had written it.
 *
 * Source: Leitao, Pereira, Rodrigues, "Epidemic Broadcast Trees", SRDS 2007, sections 3.2 to 3.5.
 */
import { World } from "../../sim/world.ts";
import { type Arc, divide, ringAround } from "../../src/core/arc.ts";
import { hash32 } from "../../src/core/hash.ts";
import { Overlay } from "../../src/core/overlay.ts";
import { Random } from "../../src/core/random.ts";

const LINK_MS = 1;
const SYNC_MS = 1000;
/** How long a member waits for what was announced before it asks: a little more than the tree is high. */
const ANNOUNCED_MS = 10;

/** What goes wrong: a share of the messages is lost, and a share of the members has just died. */
export interface Trouble {
  readonly loss: number;
  readonly dead: number;
}

/** How one change fared. Messages are counted until the members had it, or for ten seconds. */
export interface Outcome {
  readonly payloads: number;
  readonly others: number;
  /** Of those alive: when half, 99 of 100, and all had it, in ms. */
  readonly halfMs: number;
  readonly mostMs: number;
  readonly allMs: number;
  /** The longest way that anybody's copy has come. */
  readonly hops: number;
}

export interface Node {
  readonly hash: number;
  readonly neighbours: readonly number[];
}

/** The members of a cluster of `count`, and their links. */
export function nodesOf(count: number): Node[] {
  const names = Array.from({ length: count }, (_, index) => `peer-${index}`);
  const places = new Map(names.map((name, index) => [name, index]));
  return names.map((self) => {
    const overlay = new Overlay(self);
    for (const name of names) overlay.set(name, true);
    const neighbours = [...overlay.neighbours()].map((name) => places.get(name) as number);
    return { hash: hash32(self), neighbours };
  });
}

/** One change under way. */
export class Spread {
  readonly world = new World();
  readonly nodes: readonly Node[];
  readonly hasIt = new Map<number, { readonly at: number; readonly hops: number }>();
  readonly #random: Random;
  readonly #trouble: Trouble;
  readonly #dead: ReadonlySet<number>;
  payloads = 0;
  others = 0;

  constructor(nodes: readonly Node[], trouble: Trouble, seed: number, writer: number) {
    this.nodes = nodes;
    this.#trouble = trouble;
    this.#random = new Random(seed);
    const others = nodes.map((_, node) => node).filter((node) => node !== writer);
    this.#dead = new Set(others.filter(() => this.#random.chance(trouble.dead)));
  }

  get aliveCount(): number {
    return this.nodes.length - this.#dead.size;
  }

  /** Sends something; `arrive` is called unless it is lost or nobody is there. */
  send(to: number, isPayload: boolean, arrive: () => void): void {
    if (isPayload) this.payloads += 1;
    else this.others += 1;
    if (this.#dead.has(to) || this.#random.chance(this.#trouble.loss)) return;
    this.world.plan(LINK_MS, arrive);
  }

  /** Lets everybody compare with a neighbour now and then; `push` is for who found something. */
  synchronise(push: (node: number) => void): void {
    this.nodes.forEach((_, node) => {
      if (!this.#dead.has(node)) this.#recur(node, push, this.#random.unit() * SYNC_MS);
    });
  }

  #recur(node: number, push: (node: number) => void, delayMs: number): void {
    this.world.plan(delayMs, () => {
      const other = this.#random.pick(this.nodes[node]?.neighbours ?? []) ?? 0;
      this.#recur(node, push, SYNC_MS);
      if (this.#dead.has(other) || this.hasIt.has(node) === this.hasIt.has(other)) return;
      const [from, to] = this.hasIt.has(node) ? [node, other] : [other, node];
      // Head, symbols, want and repair: the last of them is the payload.
      this.others += 2;
      this.payloads += 1;
      this.world.plan(4 * LINK_MS, () => {
        if (this.take(to, (this.hasIt.get(from)?.hops ?? 0) + 1)) push(to);
      });
    });
  }

  /** A member has it now; false when it had it before. */
  take(node: number, hops: number): boolean {
    if (this.hasIt.has(node)) return false;
    this.hasIt.set(node, { at: this.world.now, hops });
    return true;
  }

  outcome(): Outcome {
    while (this.hasIt.size < this.aliveCount && this.world.now < 10_000) {
      this.world.runUntil(this.world.now + LINK_MS / 4);
    }
    this.world.runUntil(this.world.now + 20 * LINK_MS); // What is still on its way counts, too.
    const times = [...this.hasIt.values()].map(({ at }) => at).sort((a, b) => a - b);
    const when = (share: number): number =>
      times[Math.ceil(share * this.aliveCount) - 1] ?? Number.POSITIVE_INFINITY;
    const hops = Math.max(...[...this.hasIt.values()].map((each) => each.hops));
    const { payloads, others } = this;
    return { payloads, others, halfMs: when(0.5), mostMs: when(0.99), allMs: when(1), hops };
  }
}

/** Pushes one change of `writer`. What a way of pushing learns from it is kept in its own state. */
export type Push = (spread: Spread, writer: number) => void;

/** The rule of the core [G1]. */
export function arcs(): Push {
  return (spread, writer) => {
    const pass = (node: number, hops: number, arc: Arc | undefined): void => {
      const { hash, neighbours } = spread.nodes[node] as Node;
      if (arc === undefined) return;
      const links = neighbours.map((to) => ({ to, hash: spread.nodes[to]?.hash ?? 0 }));
      for (const { link, arc: piece } of divide(arc, hash, links)) {
        spread.send(link.to, true, () => {
          if (spread.take(link.to, hops + 1)) pass(link.to, hops + 1, piece);
        });
      }
    };
    const begin = (node: number, hops: number): void =>
      pass(node, hops, ringAround(spread.nodes[node]?.hash ?? 0));
    spread.synchronise((node) => begin(node, spread.hasIt.get(node)?.hops ?? 0));
    spread.take(writer, 0);
    begin(writer, 0);
  };
}

/** Everything to everybody. */
export function flooding(): Push {
  return (spread, writer) => {
    const pass = (node: number, from: number, hops: number): void => {
      for (const to of spread.nodes[node]?.neighbours ?? []) {
        if (to === from) continue;
        spread.send(to, true, () => {
          if (spread.take(to, hops + 1)) pass(to, node, hops + 1);
        });
      }
    };
    spread.synchronise((node) => pass(node, -1, spread.hasIt.get(node)?.hops ?? 0));
    spread.take(writer, 0);
    pass(writer, -1, 0);
  };
}

/** Plumtree. Which links are lazy is remembered from one change to the next. */
export function plumtree(): Push {
  const lazy = new Set<string>();
  return (spread, writer) => {
    const link = (from: number, to: number): string => `${from} ${to}`;
    const tell = (from: number, to: number, hops: number): void =>
      spread.send(to, true, () => {
        lazy.delete(link(to, from));
        if (spread.take(to, hops + 1)) pass(to, from, hops + 1);
        else {
          lazy.add(link(to, from));
          spread.send(from, false, () => lazy.add(link(from, to)));
        }
      });
    const ask = (node: number, from: number, hops: number): void => {
      if (spread.hasIt.has(node)) return;
      lazy.delete(link(node, from));
      spread.send(from, false, () => {
        lazy.delete(link(from, node));
        tell(from, node, hops);
      });
    };
    const pass = (node: number, from: number, hops: number): void => {
      for (const to of spread.nodes[node]?.neighbours ?? []) {
        if (to === from) continue;
        if (!lazy.has(link(node, to))) tell(node, to, hops);
        else {
          spread.send(to, false, () => {
            if (!spread.hasIt.has(to)) spread.world.plan(ANNOUNCED_MS, () => ask(to, node, hops));
          });
        }
      }
    };
    spread.synchronise((node) => pass(node, -1, spread.hasIt.get(node)?.hops ?? 0));
    spread.take(writer, 0);
    pass(writer, -1, 0);
  };
}
