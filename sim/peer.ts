/**
 * One simulated peer: the real machine, codec, handshake and order of effects, in a pretended shell.
 *
 * The shell is a process that can be killed (between any two effects), paused, slowed down and
 * restarted, with a disk and two clocks: a monotonic one that begins anew with each life, and a wall
 * clock that may be off, drift and step. Links are `SimulatedLinks`; this file is the rest.
 */

import type { Delivery } from "../src/core/delivery.ts";
import type { AskOutcome, Change, Effect } from "../src/core/effect.ts";
import { EffectQueue } from "../src/core/effect-queue.ts";
import type { CallRequest, MachineEvent } from "../src/core/event.ts";
import type { HostTask } from "../src/core/host-task.ts";
import { Machine, type MachineOptions } from "../src/core/machine.ts";
import type { MapEntries, MapKeys } from "../src/core/message.ts";
import { Random } from "../src/core/random.ts";
import type { Stamp } from "../src/core/units.ts";
import { Disk } from "./disk.ts";
import { bodyOf, type Counts, HOST_TRAITS, SimulatedHost } from "./host.ts";
import { SimulatedLinks } from "./links.ts";
import type { Network } from "./network.ts";
import type { Planned, World } from "./world.ts";

/** Unix ms at which every run begins. */
export const WALL_START_MS = 1_800_000_000_000;

const ALARM_MS_MIN = 1e-3;

/** The incarnation of a life that began at `startedMs`. */
export function incarnationOf(address: string, startedMs: number, life: number): string {
  return `${Math.floor(startedMs).toString(36)}-${address}-${life}`;
}

export interface PeerOptions extends Omit<MachineOptions, "incarnation" | "image" | "random"> {
  /** How long a write takes to be durable, in ms. Default 0, as with a memory store. */
  readonly diskMs?: number;
  /** Whether a host serves its shards. */
  readonly hosts?: boolean;
}

type TaskOf<T extends HostTask["type"]> = Extract<HostTask, { type: T }>;

export type Outcome = Extract<Effect, { type: "answer" }>["outcome"];

/** What a peer shows of what it holds. */
export interface Summary {
  /** Names of its table, its view and its whole replica. */
  readonly table: string;
  readonly view: string;
  readonly replica: string;
  /** How many members it counts as alive. */
  readonly alive: number;
}

/** What one may want to hear of simulated peers. */
export interface Observer {
  /** Entries are durable, and may be told from now on. */
  persisted?(peer: SimulatedPeer, maps: readonly MapEntries[]): void;
  changed?(peer: SimulatedPeer, change: Change): void;
  answered?(peer: SimulatedPeer, call: number, outcome: Outcome): void;
  /** A life begins: its machine is there and has not taken a step. */
  booted?(peer: SimulatedPeer): void;
  /** An ask has ended. */
  asked?(peer: SimulatedPeer, ask: number, outcome: AskOutcome): void;
  /** A host has handled a message, taken a shard, or let go of one. */
  handled?(peer: SimulatedPeer, task: TaskOf<"handle">, operation: number): void;
  acquired?(peer: SimulatedPeer, task: TaskOf<"acquire">, imported: Counts | undefined): void;
  released?(peer: SimulatedPeer, shard: string, counts: Counts): void;
  /** The hosts of a peer are told something. */
  tasked?(peer: SimulatedPeer, task: HostTask): void;
  /** Something has come for the services of a peer. */
  delivered?(peer: SimulatedPeer, delivery: Delivery): void;
  /** The machine has taken a step. */
  stepped?(peer: SimulatedPeer, event: MachineEvent): void;
  /** What only this disk held is gone. */
  wiped?(peer: SimulatedPeer): void;
}

export class SimulatedPeer {
  readonly name: string;
  readonly options: PeerOptions;
  readonly disk = new Disk();
  readonly links: SimulatedLinks;
  machine: Machine | undefined;
  state: "up" | "paused" | "down" = "down";
  /** How many lives it has had. */
  lives = 0;
  /** Wall clock: how far it is off, and what it gains in a ms. */
  wallOffsetMs = 0;
  wallDrift = 0;
  /** Dies instead of carrying out the effect that many effects from now. */
  crashInEffects: number | undefined;
  stoppedWith: string | undefined;
  /** It has said goodbye, or is about to, and its process has yet to end. */
  isLeaving = false;
  readonly #world: World;
  readonly #network: Network;
  readonly #random: Random;
  readonly #observer: Observer;
  #join: readonly string[];
  /** The founding that its last life gave way to. */
  #older: Stamp | undefined;
  #effects = new EffectQueue((effect) => this.#perform(effect));
  #slowMs = 0;
  /** What has come and is not done yet, as long as the process is paused or slow, in order. */
  #waiting: (() => void)[] = [];
  #turn: Planned | undefined;
  /** Events that effects have brought about, which come after all effects of their step. */
  readonly #steps: MachineEvent[] = [];
  #isStepping = false;
  #alarm: Planned | undefined;
  #alarmAt = Number.POSITIVE_INFINITY;
  #bootedAt = 0;
  #callCount = 0;
  /** How many steps of any life have changed what the peer holds, and its summary since the last. */
  #changes = 0;
  #summary: Summary | undefined;
  #host: SimulatedHost | undefined;
  #isHostCalm = false;
  readonly #hostRandom: Random;

  constructor(
    world: World,
    network: Network,
    options: PeerOptions,
    random: Random,
    observer: Observer,
  ) {
    this.name = options.name;
    this.options = options;
    this.#world = world;
    this.#network = network;
    this.#random = random;
    this.#observer = observer;
    this.#join = options.join;
    this.#hostRandom = new Random(random.uint32());
    this.links = new SimulatedLinks(this, world, network, random);
  }

  get wallMs(): number {
    return WALL_START_MS + this.#world.now * (1 + this.wallDrift) + this.wallOffsetMs;
  }

  /** The monotonic clock, which means nothing to any other life. */
  get now(): number {
    return this.#world.now - this.#bootedAt;
  }

  /** Starts the process from its disk, or with an empty one. */
  start(options: { readonly wipe?: boolean; readonly join?: readonly string[] } = {}): void {
    if (this.state !== "down") return;
    if (options.wipe) this.#wipe();
    this.state = "up";
    this.stoppedWith = undefined;
    this.#join = options.join ?? this.options.join;
    this.#older = undefined;
    // Before it boots: who dies of the first effects must not listen for ever.
    this.#network.listen(this.options.address, this.name, (connection) =>
      this.links.connect(connection, 1, undefined),
    );
    this.#boot();
  }

  /**
   * Ends the process at once, as SIGKILL does: the system closes its sockets. With `isDark` the host
   * loses its power, and nobody is told.
   */
  kill(isDark = false): void {
    if (this.state === "down") return;
    this.state = "down";
    this.isLeaving = false;
    const kept = this.disk.crash(this.#random);
    if (kept.length > 0) this.#observer.persisted?.(this, kept);
    this.machine = undefined;
    this.#changed();
    this.#forget();
    this.#alarm?.cancel();
    this.crashInEffects = undefined;
    this.#network.unlisten(this.options.address, isDark);
    this.links.drop(isDark);
  }

  /** Stops the process without ending it, as SIGSTOP does. */
  pause(): void {
    if (this.state === "up") this.state = "paused";
  }

  resume(): void {
    if (this.state !== "paused") return;
    this.state = "up";
    this.#goOn();
  }

  /** How long every event takes it, in ms. */
  get slowMs(): number {
    return this.#slowMs;
  }

  /** What it has not come to yet is done at once when nothing takes long any more. */
  set slowMs(slowMs: number) {
    this.#slowMs = slowMs;
    this.#turn?.cancel();
    this.#turn = undefined;
    this.#goOn();
  }

  /** Makes it say goodbye; whoever asks for that ends the process. */
  leave(): void {
    if (this.state === "down") return;
    this.isLeaving = true;
    this.call({ type: "leave" });
  }

  get isPrompt(): boolean {
    return this.state === "up" && this.#slowMs === 0 && this.#waiting.length === 0;
  }

  /** How long what comes now waits for its turn, in ms: a slow process does one thing after another. */
  get lagMs(): number {
    return this.#waiting.length * this.#slowMs;
  }

  /** Grows whenever what the peer holds may have changed: until then all that follows is the same. */
  get changes(): number {
    return this.#changes;
  }

  /** Undefined while there is no machine. */
  get summary(): Summary | undefined {
    if (this.#summary === undefined && this.machine !== undefined) {
      const { fingerprint, viewId, replica, members } = this.machine.status();
      const { alive } = members;
      this.#summary = { table: fingerprint, view: viewId, replica, alive };
    }
    return this.#summary;
  }

  /** The number that the next call will have. */
  get nextCall(): number {
    return this.#callCount + 1;
  }

  /** Calls the machine; the observer hears of the answer under the returned number. */
  call(request: CallRequest): number {
    this.#callCount += 1;
    const call = this.#callCount;
    this.run(() => this.step({ type: "called", call, request }));
    return call;
  }

  /** Asks a shard; the observer hears of the answer under this number. */
  ask(ask: number, shard: string, entity: string, timeoutMs: number): void {
    const message = { shard, entity, timeoutMs, body: bodyOf(ask) };
    this.run(() => this.step({ type: "asked", ask, ...message }));
  }

  /** Posts to a service of another peer; false when it was not taken, or cannot be told now. */
  post(to: string, service: string, body: Uint8Array): boolean {
    if (this.state !== "up" || this.machine?.canPost(to) !== true) return false;
    this.run(() => this.step({ type: "posted", to, service, body }));
    return this.slowMs === 0;
  }

  /** Nothing fails or takes long in its host any more. */
  calmHost(): void {
    this.#isHostCalm = true;
    if (this.#host !== undefined) this.#host.isCalm = true;
  }

  /**
   * Runs something in this life of the process. What happens to a paused process happens when it goes
   * on, what happens to a slow one after what happened before.
   */
  run(run: () => void): void {
    if (this.isPrompt) run();
    else if (this.state !== "down") {
      this.#waiting.push(run);
      this.#goOn();
    }
  }

  #goOn(): void {
    if (this.#turn !== undefined || this.state !== "up" || this.#waiting.length === 0) return;
    this.#turn = this.#world.plan(this.#slowMs, () => {
      this.#turn = undefined;
      if (this.state !== "up") return;
      this.#waiting.shift()?.();
      this.#goOn();
    });
  }

  #forget(): void {
    this.#waiting = [];
    this.#turn?.cancel();
    this.#turn = undefined;
  }

  step(event: MachineEvent): void {
    if (this.#isStepping) {
      this.#steps.push(event);
      return;
    }
    const { machine } = this;
    if (machine === undefined) return;
    const effects = machine.step(event, this.now, this.wallMs);
    if (effects[0]?.type === "persist") this.#changed();
    for (const effect of effects) if (effect.type === "close") this.links.giveUp(effect.link);
    this.#isStepping = true;
    this.#effects.push(effects);
    this.#isStepping = false;
    if (this.machine === machine) {
      this.#arm();
      this.#observer.stepped?.(this, event);
    }
    const next = this.#steps.shift();
    if (next !== undefined) this.step(next);
  }

  #boot(): void {
    this.#steps.length = 0;
    this.lives += 1;
    this.#bootedAt = this.#world.now - this.#random.below(1_000_000);
    this.#forget();
    const incarnation = incarnationOf(this.options.address, this.wallMs, this.lives);
    const random = new Random(this.#random.uint32());
    const { image } = this.disk;
    const older = this.#older;
    const options = { ...this.options, join: this.#join, older, incarnation, image, random };
    this.#effects = new EffectQueue((effect) => this.#perform(effect));
    this.machine = new Machine(options, this.now, this.wallMs);
    this.#changed();
    this.#alarmAt = Number.POSITIVE_INFINITY;
    this.#alarm?.cancel();
    this.#observer.booted?.(this);
    this.step({ type: "started" });
    if (this.options.hosts === true) this.#startHost();
  }

  #startHost(): void {
    const { lives } = this;
    const observer = this.#observer;
    const isPresent = (): boolean => this.lives === lives && this.state !== "down";
    const host = new SimulatedHost(this.#world, this.#hostRandom, {
      handled: (task, operation) => observer.handled?.(this, task, operation),
      acquired: (task, imported) => isPresent() && observer.acquired?.(this, task, imported),
      released: (shard, counts) => isPresent() && observer.released?.(this, shard, counts),
      report: (report) =>
        isPresent() &&
        this.run(() => {
          if (isPresent()) this.step({ type: "hosted", report });
        }),
    });
    host.isCalm = this.#isHostCalm;
    this.#host = host;
    this.step({ type: "host-registered", traits: HOST_TRAITS });
  }

  #arm(): void {
    const deadline = this.machine?.deadline() ?? Number.POSITIVE_INFINITY;
    if (deadline >= this.#alarmAt) return;
    this.#alarm?.cancel();
    this.#alarmAt = deadline;
    const { lives } = this;
    // Sums of fractions are not exact: an alarm that comes a hair too early must not come again at
    // the very same moment, or time would stand still.
    this.#alarm = this.#world.plan(Math.max(ALARM_MS_MIN, deadline - this.now), () =>
      this.run(() => this.#wake(lives)),
    );
  }

  #wake(lives: number): void {
    if (this.lives !== lives) return;
    this.#alarmAt = Number.POSITIVE_INFINITY;
    const due = this.machine?.deadline() ?? Number.POSITIVE_INFINITY;
    if (due <= this.now) this.step({ type: "woken" });
    else this.#arm();
  }

  #perform(effect: Effect): "pending" | undefined {
    if (this.state === "down") return undefined;
    if (this.crashInEffects !== undefined) {
      this.crashInEffects -= 1;
      if (this.crashInEffects < 0) {
        this.kill();
        return undefined;
      }
    }
    switch (effect.type) {
      case "persist":
        return this.#persist(effect.maps, effect.clockBound, effect.dropped ?? []);
      case "send":
      case "close":
      case "dial":
        this.links.perform(effect);
        break;
      case "answer":
        this.#answer(effect.call, effect.outcome);
        break;
      case "notify":
        this.#observer.changed?.(this, effect.change);
        break;
      case "reset":
        this.#beginAgain(effect.join, effect.older);
        break;
      case "host":
        this.#observer.tasked?.(this, effect.task);
        this.#host?.perform(effect.task);
        break;
      case "deliver":
        this.#observer.delivered?.(this, effect.delivery);
        break;
      case "settle-ask":
        this.#observer.asked?.(this, effect.ask, effect.outcome);
        break;
      case "stop":
        this.stoppedWith = effect.code;
        this.#world.plan(0, () => this.kill());
    }
    return undefined;
  }

  /** Told before it is acknowledged, as by a real process. */
  #answer(call: number, outcome: Outcome): void {
    this.links.afterFlush(() => this.#observer.answered?.(this, call, outcome));
  }

  #persist(
    maps: readonly MapEntries[],
    clockBound: number,
    dropped: readonly MapKeys[],
  ): "pending" | undefined {
    this.disk.begin(maps, clockBound, dropped);
    const { diskMs = 0 } = this.options;
    if (diskMs === 0) {
      this.disk.sync();
      this.#observer.persisted?.(this, maps);
      return undefined;
    }
    const effects = this.#effects;
    const { lives } = this;
    this.#world.plan(diskMs * (0.5 + this.#random.unit()), () => {
      if (this.lives !== lives || this.state === "down") return;
      this.disk.sync();
      this.#observer.persisted?.(this, maps);
      // The disk of a paused process still writes; the process hears of it when it goes on.
      this.run(() => effects === this.#effects && effects.resume());
    });
    return "pending";
  }

  /** [A0] A reset: empty disk, new life, the same process. */
  #beginAgain(join: readonly string[], older: Stamp | undefined): void {
    this.#wipe();
    this.machine = undefined;
    this.#changed();
    this.links.drop(false);
    this.#join = join;
    this.#older = older;
    const { lives } = this;
    this.#world.plan(0, () => this.run(() => this.lives === lives && this.#boot()));
  }

  #changed(): void {
    this.#changes += 1;
    this.#summary = undefined;
  }

  #wipe(): void {
    this.disk.wipe();
    this.#observer.wiped?.(this);
  }
}
