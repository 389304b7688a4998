/**
 * Nobody is told that a phase is over before every participant has completed it, and all who hear of
 * ticks hear of them in one order.
 *
 * The checker knows of every completion that was ever sent, under which number of a tick and for which
 * phase; a phase that ends without one of them has not counted participants but something else.
 */
import type { Change } from "../../src/core/effect.ts";
import { compareStamps } from "../../src/core/lww-map.ts";
import { PROGRESS } from "../../src/core/tick-view.ts";
import type { Stamp } from "../../src/core/units.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

type TickChange = Extract<Change, { type: "tick" }>;

/** What a life of a peer was told last, and the definition that its tick had when it was told of first. */
interface Told {
  readonly life: number;
  readonly last: TickChange;
  readonly index: number;
  readonly identity: Stamp | undefined;
}

/** The order of what may be told of one tick. */
const STATES = ["running", "aborted", "complete"];

export class TicksChecker implements Checker {
  readonly #report: Report;
  /** `tick phase shard` of every completion that was sent. */
  readonly #attempted = new Set<string>();
  readonly #told = new Map<SimulatedPeer, Told>();
  /** By peer and life: the ticks of which it was told that they are complete, in that order. */
  readonly #complete = new Map<string, number[]>();
  /** Whether nothing has gone wrong in the whole run. */
  readonly #isCalm: () => boolean;

  constructor(report: Report, isCalm: () => boolean) {
    this.#report = report;
    this.#isCalm = isCalm;
  }

  /** A completion is about to be sent. */
  attempted(shard: string, phase: string, tick: number): void {
    this.#attempted.add(`${tick} ${phase} ${shard}`);
  }

  changed(peer: SimulatedPeer, change: Change): void {
    if (change.type !== "tick") return;
    this.#compareOrder(peer, change);
    this.#checkPhases(peer, change);
    if (change.state !== "complete") return;
    const name = `${peer.name} ${peer.lives}`;
    this.#complete.set(name, [...(this.#complete.get(name) ?? []), change.tick]);
  }

  /** [B7] Peers that agree have the same ticks, and what follows from the rows is what they show. */
  settled(peers: readonly SimulatedPeer[]): void {
    const shown = new Map<string, string>();
    for (const { name, machine } of peers) {
      if (machine === undefined) continue;
      const { ticks } = machine.view;
      shown.set(JSON.stringify([ticks.status(), ticks.history()]), name);
      this.#recompute(name, machine);
    }
    if (this.#isCalm()) this.#compareComplete();
    if (shown.size > 1) {
      this.#report("B7", `${[...shown.values()].join(" and ")} see different ticks`);
    }
  }

  /** [B2, B3] Where nobody was ever cut off, rows say at all times what is seen of a tick that runs. */
  sampled(peers: readonly SimulatedPeer[]): void {
    if (!this.#isCalm()) return;
    for (const { name, machine } of peers) {
      if (machine !== undefined) this.#recompute(name, machine);
    }
  }

  /** [B7] Where nobody was ever cut off, all that heard of a tick's end have heard of those after it. */
  #compareComplete(): void {
    const lists = [...this.#complete.values()];
    const from = Math.max(0, ...lists.map(([first = 0]) => first));
    const tails = lists.map((list) => list.filter((tick) => tick >= from).join());
    if (new Set(tails).size > 1) {
      this.#report("B7", `Some were told of the ticks ${[...new Set(tails)].join(", others of ")}`);
    }
  }

  /** [B7] Numbers only grow, and of one tick it is told how it goes on, and never back. */
  #compareOrder(peer: SimulatedPeer, change: TickChange): void {
    const definition = peer.machine?.view.ticks.definition(change.tick);
    const index = definition?.phases.indexOf(change.phase) ?? 0;
    const told = this.#told.get(peer);
    const known = told?.life === peer.lives ? told : undefined;
    const isAnother =
      known?.last.tick === change.tick && isLater(definition?.identity, known.identity);
    const isSame = known?.last.tick === change.tick && !isAnother;
    const identity = isSame ? known.identity : definition?.identity;
    this.#told.set(peer, { life: peer.lives, last: change, index, identity });
    if (known === undefined) return;
    const { last } = known;
    const steps = [
      change.tick - last.tick,
      STATES.indexOf(change.state) - STATES.indexOf(last.state),
      index - known.index,
    ];
    const step = steps.find((difference) => difference !== 0) ?? 0;
    // A tick that was started anew begins again, also where the other has ended [B6]. What is told after a
    // write to a disk may be of a definition that has been replaced by now.
    const isAnew = isSame && last.state !== "complete" && index <= known.index;
    if (step < 0 && !isAnother && !isAnew) {
      const texts = [last, change].map(({ tick, phase, state }) => `${tick} ${phase} ${state}`);
      this.#report("B7", `${peer.name} was told of ${texts.join(", then of ")}`);
    }
  }

  /** [I12] All phases before the present one were completed by all participants. */
  #checkPhases(peer: SimulatedPeer, { tick, phase, state }: TickChange): void {
    const view = peer.machine?.view;
    const definition = view?.ticks.definition(tick);
    if (view === undefined || definition === undefined) return;
    const ended = definition.phases.indexOf(phase) + (state === "complete" ? 1 : 0);
    for (const over of definition.phases.slice(0, ended)) {
      for (const shard of definition.participants) {
        if (this.#attempted.has(`${tick} ${over} ${shard}`)) continue;
        if (view.registry.isRemoved(shard)) continue;
        const what = `"${over}" of tick ${tick} is over, and ${shard} has not completed it`;
        this.#report("I12", `${peer.name} sees that ${what}`);
        return;
      }
    }
  }

  /** [B2] Who has completed the present phase, by a naive look at every row. */
  #recompute(name: string, machine: NonNullable<SimulatedPeer["machine"]>): void {
    const { ticks, registry } = machine.view;
    const { current } = ticks;
    if (current === undefined) return;
    const { phase, phases, state, pending } = ticks.status();
    const rows = machine.entries().find(({ map }) => map === PROGRESS)?.entries ?? [];
    const bit = 1 << phases.indexOf(phase ?? "");
    const { time, writer } = current.identity;
    const expected = current.participants.filter((shard) => {
      const row = rows.find(({ key }) => key === shard)?.value as unknown[] | undefined;
      const isDone = row?.[0] === time && row[1] === writer && ((row[2] as number) & bit) !== 0;
      return !isDone && !registry.isRemoved(shard);
    });
    // The rows may be about the next tick by now, or about one that a peer knew that was cut off.
    if (state !== "running") return;
    if (expected.sort().join() !== pending.join()) {
      const rowsSay = `and the rows for ${expected.join()}`;
      this.#report("B2", `${name} waits for ${pending.join()}, ${rowsSay}`);
    }
  }
}

function isLater(a: Stamp | undefined, b: Stamp | undefined): boolean {
  return a !== undefined && b !== undefined && compareStamps(a, b) > 0;
}
