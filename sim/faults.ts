/**
 * What goes wrong, and how it is made good again: one method for each kind of fault.
 *
 * Each kind draws from a stream of its own, so that a run without one kind has the others as before:
 * that is what makes a failing run easy to shrink.
 *
 * Faults that pass undo themselves after a while. At the end of the first phase everything that still
 * is wrong is made good, or only what concerns a core of peers: then what lies outside stays wrong for
 * ever, since healing everything hides peers that wait for each other.
 */
import { Random } from "../src/core/random.ts";
import type { Network } from "./network.ts";
import { FAULT_KINDS, type FaultKind, type StrikeKind } from "./options.ts";
import {
  type Direction,
  halves,
  isolated,
  oneWay,
  ring,
  shuffled,
  swizzled,
} from "./partitions.ts";
import type { SimulatedPeer } from "./peer.ts";
import type { World } from "./world.ts";

/** Longest stay of a fault that passes, in ms. */
const FAULT_MS_MAX = 12_000;
const CLOG_MS_MAX = 5000;
/** In a rolling restart: from one peer to the next, and how long each is down, in ms. */
const ROLL_MS = 900;
const DOWN_MS = 300;
const STEPS_MS = [1500, 4000, -1500, -4000, 60_000, -60_000];
const HOUR_MS = 3_600_000;
/** How long a process lives on after it said goodbye, in ms. */
const LEAVE_MS = 50;
/** Who has left may be away for long: until eras forget it, where they are short, in ms. */
const AWAY_MS_MAX = 40_000;

/** Faults that need more than the peers: the simulation supplies them. */
export interface Intruders {
  clone(original: SimulatedPeer): void;
  hostile(): void;
  stranger(): void;
}

export class Faults {
  readonly counts: Partial<Record<FaultKind, number>> = {};
  /** Whether peers were left to a bad fate in the end: no kind of fault that is drawn, and as bad as some. */
  #hasAbandoned = false;
  readonly #world: World;
  readonly #network: Network;
  readonly #peers: readonly SimulatedPeer[];
  readonly #names: readonly string[];
  readonly #randoms: ReadonlyMap<FaultKind, Random>;
  readonly #fates: Random;
  readonly #intruders: Intruders;
  /** The stream of what happens now. */
  #random: Random;
  #isOver = false;
  /** When all peers will have been restarted. */
  #rollsUntil = 0;

  constructor(
    world: World,
    network: Network,
    peers: readonly SimulatedPeer[],
    random: Random,
    intruders: Intruders,
  ) {
    this.#world = world;
    this.#network = network;
    this.#peers = peers;
    this.#names = peers.map(({ name }) => name);
    this.#randoms = new Map(FAULT_KINDS.map((kind) => [kind, new Random(random.uint32())]));
    this.#fates = new Random(random.uint32());
    this.#random = this.#fates;
    this.#intruders = intruders;
  }

  /** The stream that `kind` draws from. */
  randomOf(kind: FaultKind): Random {
    return this.#randoms.get(kind) as Random;
  }

  /** Lets a fault happen now. */
  strike(kind: StrikeKind): void {
    this.count(kind);
    this.#random = this.randomOf(kind);
    this.#strikes[kind]();
  }

  /** Counts a fault that does not strike: it is there all along. */
  count(kind: FaultKind): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
  }

  /** Makes good everything that is wrong within `core`. Nothing is undone any more outside. */
  heal(core: readonly SimulatedPeer[]): void {
    this.#isOver = true;
    const names = new Set(core.map(({ name }) => name));
    for (const [from, to] of this.#network.cuts()) {
      if (names.has(from) && names.has(to)) this.#network.heal(from, to);
    }
    for (const peer of core) {
      peer.wallDrift = 0;
      peer.wallOffsetMs = 0;
      peer.slowMs = 0;
      peer.crashInEffects = undefined;
      peer.resume();
      if (peer.isLeaving) peer.kill(); // It does not come back by itself.
      peer.start();
    }
  }

  /** Starts those again who have given way to a clone that is gone by now: they had only just met it. */
  restart(core: readonly SimulatedPeer[]): void {
    if (this.counts.clone === undefined) return;
    for (const peer of core) {
      if (peer.state === "down" && peer.stoppedWith === "NAME_TAKEN") peer.start();
    }
  }

  /** What has gone wrong so far: kinds of fault, and "abandon". */
  get struck(): string[] {
    return [...Object.keys(this.counts), ...(this.#hasAbandoned ? ["abandon"] : [])];
  }

  /** A random state for a peer that is left outside the core, for ever. */
  abandon(peer: SimulatedPeer, core: readonly SimulatedPeer[]): void {
    this.#random = this.#fates;
    this.#hasAbandoned = true;
    const fate = this.#random.below(4);
    if (fate === 0) peer.kill(this.#random.chance(0.5));
    if (fate === 1) peer.pause();
    for (const { name } of core) {
      if (this.#random.chance(0.5)) this.#network.cut(peer.name, name);
      if (this.#random.chance(0.5)) this.#network.cut(name, peer.name);
    }
  }

  readonly #strikes: Record<StrikeKind, () => void> = {
    clog: () => this.#clog(),
    reset: () => this.#reset(),
    dark: () => this.#crash({ isDark: true }),
    partition: () => this.#cut(halves(this.#names, this.#random)),
    isolate: () => this.#cut(isolated(this.#names, this.#random)),
    oneway: () => this.#cut(oneWay(this.#names, this.#random)),
    ring: () => this.#cut(ring(this.#names)),
    swizzle: () => this.#swizzle(),
    crash: () => this.#crash({}),
    torn: () => this.#tear(),
    rolling: () => this.#roll(),
    wipe: () => this.#crash({ wipe: true }),
    pause: () => this.#pause(),
    slow: () => this.#slow(),
    skew: () => this.#skew(),
    step: () => this.#step(this.#random.pick(STEPS_MS) ?? 0),
    hour: () => this.#step(this.#random.chance(0.5) ? HOUR_MS : -HOUR_MS),
    clone: () => this.#intruders.clone(this.#any()),
    hostile: () => this.#intruders.hostile(),
    stranger: () => this.#intruders.stranger(),
    leave: () => this.#leave(),
    reject: () => this.#cut(halves(this.#names, this.#random), true),
  };

  #leave(): void {
    const peer = this.#any();
    const wipe = this.#random.chance(0.5);
    peer.leave();
    this.#world.plan(LEAVE_MS, () => {
      if (peer.isLeaving) peer.kill();
    });
    this.#undo(this.#random.below(AWAY_MS_MAX), () => {
      if (!peer.isLeaving) peer.start({ wipe });
    });
  }

  #clog(): void {
    for (const from of this.#names) {
      for (const to of this.#names) {
        if (from === to || this.#random.chance(0.7)) continue;
        this.#cutFor([[from, to]], this.#random.below(CLOG_MS_MAX));
      }
    }
  }

  #reset(): void {
    const share = this.#random.unit();
    this.#network.reset(() => this.#random.chance(share));
  }

  #crash({ wipe = false, isDark = false }: { wipe?: boolean; isDark?: boolean }): void {
    const peer = this.#any();
    peer.kill(isDark);
    this.#later(() => peer.start({ wipe }));
  }

  #tear(): void {
    const peer = this.#any();
    peer.crashInEffects = this.#random.below(12);
    this.#later(() => peer.start());
  }

  /** Nobody begins to restart all peers before the last time is over. */
  #roll(): void {
    const order = shuffled(this.#peers, this.#random);
    if (this.#world.now < this.#rollsUntil) return;
    this.#rollsUntil = this.#world.now + order.length * ROLL_MS;
    order.forEach((peer, index) => {
      this.#world.plan(index * ROLL_MS, () => {
        if (!this.#isOver) peer.kill();
      });
      this.#world.plan(index * ROLL_MS + DOWN_MS, () => peer.start());
    });
  }

  #pause(): void {
    const peer = this.#any();
    peer.pause();
    this.#later(() => peer.resume());
  }

  #slow(): void {
    const peer = this.#any();
    peer.slowMs = this.#random.pick([1, 10, 60]) ?? 1;
    this.#later(() => {
      peer.slowMs = 0;
    });
  }

  /** Everyday life: half of what the drift bound allows, so that no two clocks differ by more. */
  #skew(): void {
    const peer = this.#any();
    peer.wallOffsetMs = this.#random.pick([50, 900, -900, 2400, -2400]) ?? 0;
    peer.wallDrift = 1e-4 * (this.#random.unit() - 0.5);
  }

  #step(byMs: number): void {
    const peer = this.#any();
    peer.wallOffsetMs += byMs;
    this.#later(() => {
      peer.wallOffsetMs -= byMs;
    });
  }

  #swizzle(): void {
    const cut = swizzled(this.#names, this.#random);
    cut.forEach(([from, to], index) => {
      this.#world.plan(index * 40, () => this.#isOver || this.#network.cut(from, to));
    });
    const startMs = cut.length * 40 + this.#random.below(FAULT_MS_MAX);
    shuffled(cut, this.#random).forEach(([from, to], index) => {
      this.#undo(startMs + index * 40, () => this.#network.heal(from, to));
    });
  }

  #cut(cut: readonly Direction[], rejects = false): void {
    this.#cutFor(cut, this.#random.below(FAULT_MS_MAX), rejects);
  }

  #cutFor(cut: readonly Direction[], ms: number, rejects = false): void {
    for (const [from, to] of cut) this.#network.cut(from, to, rejects);
    this.#undo(ms, () => {
      for (const [from, to] of cut) this.#network.heal(from, to);
    });
  }

  #any(): SimulatedPeer {
    return this.#peers[this.#random.below(this.#peers.length)] as SimulatedPeer;
  }

  #later(undo: () => void): void {
    this.#undo(this.#random.below(FAULT_MS_MAX), undo);
  }

  /** Undoes something later, unless the end of the faults has decided otherwise meanwhile. */
  #undo(delayMs: number, undo: () => void): void {
    this.#world.plan(delayMs, () => {
      if (!this.#isOver) undo();
    });
  }
}
