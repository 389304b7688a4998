import { expect, test } from "vitest";
import { Founding } from "../../src/core/founding.ts";
import { TIMINGS, type Timings } from "../../src/core/timings.ts";
import type { Stamp } from "../../src/core/units.ts";

const T: Timings = { ...TIMINGS.lan, foundAfterMs: 3000, joinTimeoutMs: 30_000 };

interface Given {
  readonly name?: string;
  readonly joins?: boolean;
  readonly stamp?: Stamp;
  readonly older?: Stamp;
}

function founding({ name = "b", joins = true, stamp, older }: Given = {}): Founding {
  return new Founding({ name, timings: T, joins, stamp, older }, 100);
}

test("[A0] a peer without addresses to join founds at once", () => {
  expect(founding({ joins: false }).due(100, [], "none")).toBe("first");
});

test("[A0] of unfounded peers that hear each other, the lowest founds after foundAfterMs", () => {
  const lowest = founding({ name: "a" });
  expect(lowest.due(500, ["b", "c"], "none")).toBeUndefined();
  expect(lowest.due(3499, ["b", "c"], "none")).toBeUndefined();
  expect(lowest.due(3500, ["b", "c"], "none")).toBe("lowest");
  const middle = founding({ name: "b" });
  expect(middle.due(500, ["a", "c"], "none")).toBeUndefined();
  expect(middle.due(30_000, ["a", "c"], "none")).toBeUndefined();
  expect(middle.due(30_001, ["c"], "none")).toBe("lowest");
});

test("[A0] the wait begins when company is heard, and anew when it was lost", () => {
  const peer = founding({ name: "a" });
  expect(peer.due(2000, ["b"], "none")).toBeUndefined();
  expect(peer.due(3000, [], "none")).toBeUndefined();
  expect(peer.due(4000, ["b"], "none")).toBeUndefined();
  expect(peer.due(6999, ["b"], "none")).toBeUndefined();
  expect(peer.due(7000, ["b"], "none")).toBe("lowest");
});

test("[A0] nobody founds while a link may still lead to a founding", () => {
  const peer = founding({ name: "a" });
  expect(peer.due(100, ["b"], "none")).toBeUndefined();
  expect(peer.due(50_000, ["b"], "founded")).toBeUndefined();
  expect(peer.due(50_001, [], "founded")).toBeUndefined();
});

test("[A0] a peer that hears nobody founds after joinTimeoutMs", () => {
  const peer = founding({ name: "z" });
  expect(peer.due(30_099, [], "none")).toBeUndefined();
  expect(peer.due(30_100, [], "none")).toBe("alone");
});

test("[A0] a peer that has a founding founds no more", () => {
  const stamp = { time: 5, writer: "w" };
  expect(founding({ stamp, joins: false }).due(1e6, [], "none")).toBeUndefined();
  const joined = founding({ name: "a" });
  joined.settle(stamp);
  expect(joined.stamp).toEqual(stamp);
  expect(joined.due(1e6, ["b"], "none")).toBeUndefined();
});

test("[A0] of two foundings the one with the lower stamp is the older, and neither before it is one", () => {
  const own = founding({ stamp: { time: 5, writer: "m" } });
  expect(own.compare({ time: 4, writer: "z" })).toBe("older");
  expect(own.compare({ time: 5, writer: "l" })).toBe("older");
  expect(own.compare({ time: 5, writer: "m" })).toBe("same");
  expect(own.compare({ time: 5, writer: "n" })).toBe("younger");
  expect(own.compare({ time: 6, writer: "a" })).toBe("younger");
  expect(own.compare(undefined)).toBe("same");
  expect(founding().compare({ time: 1, writer: "a" })).toBe("same");
});

test("[A0] two ends of a link agree which founding gives way", () => {
  const stamps = [4, 5].flatMap((time) => ["l", "m"].map((writer) => ({ time, writer })));
  const opposite = { same: "same", older: "younger", younger: "older" } as const;
  for (const a of stamps) {
    for (const b of stamps) {
      const relation = founding({ stamp: a }).compare(b);
      expect(founding({ stamp: b }).compare(a)).toBe(opposite[relation]);
    }
  }
});

test("[A0] with a table from the disk a peer serves when it joins nobody, or when nobody answers", () => {
  const stamp = { time: 5, writer: "w" };
  expect(founding({ stamp, joins: false }).isPatienceOver(100, true)).toBe(true);
  const joining = founding({ stamp });
  expect(joining.isPatienceOver(3099, false)).toBe(false);
  expect(joining.isPatienceOver(3100, false)).toBe(true);
  expect(joining.isPatienceOver(1e6, true)).toBe(false);
});

const at = (time: number): Stamp => ({ time, writer: "w" });

test("[A0] who gave way to a founding takes no younger one until it has waited joinTimeoutMs", () => {
  const [older, younger] = [at(5), at(6)];
  const peer = founding({ older });
  expect(peer.compare(younger)).toBe("younger");
  expect(peer.compare(older)).toBe("same");
  expect(peer.compare(at(4))).toBe("same");
  expect(peer.compare(undefined)).toBe("same");
  expect(peer.hasTired(30_099)).toBe(false);
  expect(peer.compare(younger)).toBe("younger");
  expect(peer.hasTired(30_100)).toBe(true);
  expect(peer.hasTired(30_101)).toBe(false);
  expect(peer.compare(younger)).toBe("same");
});
