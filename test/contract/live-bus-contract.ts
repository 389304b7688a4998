/**
 * What every bus of live queries must do, whatever it is made of. Run by the tests of each.
 */
import { describe, expect, test } from "vitest";
import type { BusListener, LiveBus } from "../../src/live/bus.ts";
import type { Answer, Control } from "../../src/live/message.ts";

export interface BusHarness {
  /** A peer of this name, with a bus: a new life of it, when there was one before. */
  start(name: string, listener: BusListener): Promise<LiveBus>;
  /** Ends a peer as a crash does. */
  kill(name: string): Promise<void>;
  /** Removes everything. */
  end(): Promise<void>;
}

/** How long something may take that must happen, in ms. */
const WAIT_MS_MAX = 20_000;

/** One peer, as its user: it keeps what it is told of each other peer. */
class BusEnd implements BusListener {
  readonly name: string;
  readonly heard: { readonly from: string; readonly sub: number }[] = [];
  readonly told: string[] = [];
  #bus: LiveBus | undefined;

  constructor(name: string) {
    this.name = name;
  }

  static async start(harness: BusHarness, name: string): Promise<BusEnd> {
    const end = new BusEnd(name);
    end.#bus = await harness.start(name, end);
    return end;
  }

  get bus(): LiveBus {
    if (this.#bus === undefined) throw new Error("It has not been started");
    return this.#bus;
  }

  controls(from: string, controls: readonly Control[]): void {
    for (const { sub } of controls) this.heard.push({ from, sub });
  }

  deltas(from: string, answers: readonly Answer[]): void {
    for (const { sub } of answers) this.heard.push({ from, sub });
  }

  opened(peer: string): void {
    this.told.push(`opened ${peer}`);
  }

  lost(peer: string): void {
    this.told.push(`lost ${peer}`);
  }

  /** What was heard of a peer, as numbers. */
  from(peer: string): number[] {
    return this.heard.filter(({ from }) => from === peer).map(({ sub }) => sub);
  }

  /** Sends numbers from `first` to `last` as controls or deltas, waiting wherever there is no room. */
  async send(to: string, as: "controls" | "deltas", first: number, last: number): Promise<void> {
    for (let sub = first; sub <= last; sub += 1) {
      await soon(() => this.bus.canSend(to));
      const isTaken =
        as === "controls"
          ? this.bus.sendControl(to, [{ type: "unsubscribe", sub }])
          : this.bus.sendDeltas(to, [{ type: "moved", sub }]);
      expect(isTaken).toBe(true);
    }
  }
}

/** Resolves when `condition` holds, which is looked at after every turn. */
export async function soon(condition: () => boolean, waitMs = WAIT_MS_MAX): Promise<void> {
  const until = Date.now() + waitMs;
  while (!condition()) {
    if (Date.now() > until) throw new Error(`This never came true: ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const numbers = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

export function liveBusContract(name: string, create: () => Promise<BusHarness>): void {
  async function withEnds(
    names: readonly string[],
    use: (harness: BusHarness, ...ends: BusEnd[]) => Promise<void>,
  ): Promise<void> {
    const harness = await create();
    try {
      const ends = [];
      for (const each of names) ends.push(await BusEnd.start(harness, each));
      await use(harness, ...ends);
    } finally {
      await harness.end();
    }
  }

  describe(name, () => {
    test("[V14] controls and deltas arrive in order, each once, and its user hears when there is room", async () => {
      await withEnds(["a", "b"], async (_, a, b) => {
        if (a === undefined || b === undefined) return;
        a.bus.need(new Set(["b"]));
        await soon(() => a.told.includes("opened b"));
        const sent = a.send("b", "controls", 1, 500);
        await soon(() => b.heard.length > 0);
        await Promise.all([sent, b.send("a", "deltas", 1, 500)]);
        await soon(() => a.heard.length === 500 && b.heard.length === 500);
        expect(a.from("b")).toEqual(numbers(1, 500));
        expect(b.from("a")).toEqual(numbers(1, 500));
        expect([...a.told, ...b.told].filter((each) => each.startsWith("lost"))).toEqual([]);
      });
    });

    test("[V14] a peer speaks to itself like to any other, and to several at once", async () => {
      await withEnds(["a", "b", "c"], async (_, a, b, c) => {
        if (a === undefined || b === undefined || c === undefined) return;
        a.bus.need(new Set(["a", "b", "c"]));
        expect(a.bus.sendControl("a", [{ type: "unsubscribe", sub: 1 }])).toBe(true);
        const all = [a.send("a", "deltas", 2, 9), a.send("b", "controls", 1, 9)];
        await Promise.all([...all, a.send("c", "controls", 1, 9)]);
        await soon(() => [a, b, c].every((end) => end.from("a").length === 9));
        for (const end of [a, b, c]) expect(end.from("a")).toEqual(numbers(1, 9));
      });
    });

    test("[V14] nothing is taken for who is not there, and nothing of it is kept", async () => {
      await withEnds(["a"], async (harness, a) => {
        if (a === undefined) return;
        a.bus.need(new Set(["b"]));
        expect(a.bus.canSend("b")).toBe(false);
        expect(a.bus.sendControl("b", [{ type: "unsubscribe", sub: 1 }])).toBe(false);
        const b = await BusEnd.start(harness, "b");
        await soon(() => a.told.includes("opened b"));
        await a.send("b", "controls", 2, 3);
        await soon(() => b.heard.length === 2);
        expect(b.from("a")).toEqual([2, 3]);
      });
    });

    test("[V14] the end of a peer is the end of a conversation, and its next life begins another", async () => {
      await withEnds(["a", "b"], async (harness, a, b) => {
        if (a === undefined || b === undefined) return;
        a.bus.need(new Set(["b"]));
        await a.send("b", "controls", 1, 5);
        await soon(() => b.heard.length === 5);
        await harness.kill("b");
        const again = await BusEnd.start(harness, "b");
        await soon(() => a.told.includes("lost b") && a.told.at(-1) === "opened b");
        await a.send("b", "controls", 6, 9);
        await soon(() => again.heard.length === 4);
        expect(again.from("a")).toEqual(numbers(6, 9));
        expect(again.told).not.toContain("lost a");
        await again.send("a", "deltas", 1, 3);
        await soon(() => a.heard.length === 3);
      });
    });

    test("[V14] who is needed no more, and then again, hears what is said from then on", async () => {
      await withEnds(["a", "b"], async (_, a, b) => {
        if (a === undefined || b === undefined) return;
        a.bus.need(new Set(["b"]));
        await a.send("b", "controls", 1, 5);
        await soon(() => b.heard.length === 5);
        a.bus.need(new Set());
        a.bus.need(new Set(["b"]));
        await a.send("b", "controls", 6, 9);
        await soon(() => b.heard.length === 9);
        expect(b.from("a")).toEqual(numbers(1, 9));
      });
    });
  });
}
