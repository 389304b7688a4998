/**
 * All checkers of a run, and who among them is told what.
 *
 * A new feature's checker is added here, to the list; those that the simulation itself asks something have a
 * name besides.
 */
import type { Change } from "../src/core/effect.ts";
import type { Checker, Report } from "./checker.ts";
import { AgreementChecker } from "./checkers/agreement.ts";
import { AsksChecker } from "./checkers/asks.ts";
import { BalanceChecker } from "./checkers/balance.ts";
import { CallsChecker } from "./checkers/calls.ts";
import { ClocksChecker } from "./checkers/clocks.ts";
import { DetectionChecker } from "./checkers/detection.ts";
import { DurabilityChecker } from "./checkers/durability.ts";
import { EntriesChecker } from "./checkers/entries.ts";
import { ErasChecker } from "./checkers/eras.ts";
import { ExchangesChecker } from "./checkers/exchanges.ts";
import { FencesChecker } from "./checkers/fences.ts";
import { FoundingChecker } from "./checkers/founding.ts";
import { FrequenciesChecker } from "./checkers/frequencies.ts";
import { HostingChecker } from "./checkers/hosting.ts";
import { IntrusionChecker } from "./checkers/intrusion.ts";
import { LiveChecker } from "./checkers/live.ts";
import { NamesChecker } from "./checkers/names.ts";
import { OverlayChecker } from "./checkers/overlay.ts";
import { RegistryChecker } from "./checkers/registry.ts";
import { ResourcesChecker } from "./checkers/resources.ts";
import { ServingChecker } from "./checkers/serving.ts";
import { SidesChecker } from "./checkers/sides.ts";
import { SpreadChecker } from "./checkers/spread.ts";
import { SuspicionsChecker } from "./checkers/suspicions.ts";
import { TicksChecker } from "./checkers/ticks.ts";
import { Coordination } from "./coordination.ts";
import type { Network } from "./network.ts";
import type { RunOptions } from "./options.ts";
import type { Observer, SimulatedPeer } from "./peer.ts";

/** Faults by which no two processes are kept from each other, nor one of them ends. */
const HARMLESS: ReadonlySet<string> = new Set([
  "clone",
  "delay",
  "duplicate",
  "narrow",
  "stranger",
]);
/** Faults by which strangers and liars come in. */
const INTRUDERS: ReadonlySet<string> = new Set(["hostile", "stranger"]);
/** Faults that cut the network, and nothing else. */
const CUTS: ReadonlySet<string> = new Set([
  ...["partition", "isolate", "oneway", "ring", "swizzle", "delay", "duplicate", "stranger"],
]);

/** More checkers for a run: those of a test, or of a bug that is planted. */
export type MoreCheckers = (report: Report) => readonly Checker[];

export interface JuryOptions {
  readonly options: RunOptions;
  readonly network: Network;
  readonly report: Report;
  /** Who hosts documents, which is told everything, too. */
  readonly documents: Checker;
  readonly now: () => number;
  /** What has gone wrong so far: kinds of fault, and "abandon" when peers were left to a bad fate. */
  readonly struck: () => readonly string[];
  readonly more: MoreCheckers;
}

export class Jury {
  readonly checkers: readonly Checker[];
  readonly agreement: AgreementChecker;
  readonly asks: AsksChecker;
  readonly calls: CallsChecker;
  readonly coordination: Coordination;
  readonly frequencies: FrequenciesChecker;
  readonly live: LiveChecker;
  readonly overlay: OverlayChecker;
  readonly resources: ResourcesChecker;
  readonly spread: SpreadChecker;

  constructor({ options, network, report, now, struck, more, documents }: JuryOptions) {
    const isCalm = (): boolean => struck().length === 0;
    const has = (allowed: ReadonlySet<string>) => () => struck().every((kind) => allowed.has(kind));
    const areSidesJudged = (): boolean => options.downing !== "off" && has(CUTS)();
    const isIntruded = (): boolean => struck().some((kind) => INTRUDERS.has(kind));
    const ticks = new TicksChecker(report, isCalm);
    const registry = new RegistryChecker(report, options.shards);
    this.calls = new CallsChecker(report, now);
    this.coordination = new Coordination(this.calls, ticks, registry);
    this.asks = new AsksChecker(report, now);
    this.agreement = new AgreementChecker(report);
    this.resources = new ResourcesChecker(report, options.peers, options.meshMax, now);
    this.overlay = new OverlayChecker(report, network, options.meshMax);
    this.spread = new SpreadChecker(report, now, options);
    this.frequencies = new FrequenciesChecker(report);
    this.live = new LiveChecker(report);
    this.checkers = [
      ...[new EntriesChecker(report), new ClocksChecker(report), this.calls, this.agreement],
      ...[new ServingChecker(report), new BalanceChecker(report, now, options.workload)],
      ...[new IntrusionChecker(report, isIntruded), this.resources],
      ...[new DurabilityChecker(report), new SuspicionsChecker(report)],
      ...[new ExchangesChecker(report, now), new FoundingChecker(report, now, isCalm)],
      ...[new HostingChecker(report), new DetectionChecker(report, network, options)],
      new FencesChecker(report),
      ...[this.spread, new ErasChecker(report), ticks, registry, this.frequencies, this.asks],
      new NamesChecker(report, now, has(HARMLESS)),
      new SidesChecker(report, now, () => network.cuts(), areSidesJudged),
      this.live,
      documents,
      ...more(report),
    ];
  }

  /** What peers tell, once `onChange` has been told of a change. */
  observer(onChange: (peer: SimulatedPeer, change: Change) => void): Observer {
    // Most checkers listen to few things, and steps are many.
    const [persisted, changed] = [this.#listeners("persisted"), this.#listeners("changed")];
    const [answered, stepped] = [this.#listeners("answered"), this.#listeners("stepped")];
    const [booted, wiped] = [this.#listeners("booted"), this.#listeners("wiped")];
    const [asked, handled] = [this.#listeners("asked"), this.#listeners("handled")];
    const [acquired, released] = [this.#listeners("acquired"), this.#listeners("released")];
    const [tasked, delivered] = [this.#listeners("tasked"), this.#listeners("delivered")];
    return {
      persisted: (peer, maps) => {
        for (const listener of persisted) listener(peer, maps);
      },
      wiped: (peer) => {
        for (const listener of wiped) listener(peer);
      },
      changed: (peer, change) => {
        onChange(peer, change);
        for (const listener of changed) listener(peer, change);
      },
      tasked: (peer, task) => {
        for (const listener of tasked) listener(peer, task);
      },
      delivered: (peer, delivery) => {
        for (const listener of delivered) listener(peer, delivery);
      },
      answered: (peer, call, outcome) => {
        for (const listener of answered) listener(peer, call, outcome);
      },
      booted: (peer) => {
        for (const listener of booted) listener(peer);
      },
      asked: (peer, ask, outcome) => {
        for (const listener of asked) listener(peer, ask, outcome);
      },
      handled: (peer, task, operation) => {
        for (const listener of handled) listener(peer, task, operation);
      },
      acquired: (peer, task, imported) => {
        for (const listener of acquired) listener(peer, task, imported);
      },
      released: (peer, shard, counts) => {
        for (const listener of released) listener(peer, shard, counts);
      },
      stepped: (peer, event) => {
        for (const listener of stepped) listener(peer, event);
      },
    };
  }

  /** What the checkers do about something, of those that do anything. */
  #listeners<Hook extends keyof Checker>(hook: Hook): NonNullable<Checker[Hook]>[] {
    return this.checkers.flatMap((checker) => {
      const listener = checker[hook] as ((...args: unknown[]) => void) | undefined;
      return listener === undefined ? [] : [listener.bind(checker) as NonNullable<Checker[Hook]>];
    });
  }
}
