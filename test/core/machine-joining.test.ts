import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";

import { type Message, NO_ERA } from "../../src/core/message.ts";
import { SUMMARY_BYTES } from "../../src/core/sketch.ts";
import {
  allocationEntry,
  at,
  effectsOf,
  HandDriven,
  life,
  persisted,
  rowEntry,
  sentTo,
} from "./machines.ts";

/** Ends every exchange that was begun on a link, and those that follow; returns the effects. */
function endExchanges(driven: HandDriven, link: number, begun: readonly Effect[]): Effect[] {
  const heads = sentTo(begun, link).filter((message) => message.type === "head");
  return heads.flatMap(({ exchange }) => {
    const effects = driven.receive(link, { type: "done", exchange });
    return [...effects, ...endExchanges(driven, link, effects)];
  });
}

test("[F7] a newcomer dials the address held for its name, and stops when that life answers", () => {
  const driven = new HandDriven("a", { join: ["b:1"], incarnation: life("a", 9), address: "a2:1" });
  const [toB] = effectsOf(driven.start(), "dial");
  const founding = { time: at(-9), writer: life("b") };
  const [, head] = sentTo(driven.open(1, "b", { founding }, toB?.dial), 1);
  const settings = { key: "founding", value: ["b"], ...founding };
  driven.receive(1, {
    type: "repair",
    maps: [
      { map: "settings", entries: [settings] },
      { map: "members", entries: [rowEntry("a", 1), rowEntry("b", 1)] },
    ],
  });
  const effects = endExchanges(driven, 1, [{ type: "send", links: [1], message: head as Message }]);
  const [claim] = effectsOf(effects, "dial");
  expect(claim).toMatchObject({ address: "a:1" });
  expect(persisted(effects)).toEqual([]);
  expect(driven.machine.isReady).toBe(false);

  const met = driven.open(2, "a", { founding }, claim?.dial);
  expect(effectsOf(met, "stop")).toEqual([
    {
      type: "stop",
      code: "NAME_TAKEN",
      message: 'Cannot run as "a": a peer of that name is alive at a:1',
    },
  ]);
});

test("[F7] a newcomer whom the other life of its name answers at an address to join by stops", () => {
  const driven = new HandDriven("a", {
    join: ["a1:1"],
    incarnation: life("a", 9),
    address: "a2:1",
  });
  const [dial] = effectsOf(driven.start(), "dial");
  const old = { incarnation: life("a"), address: "a1:1", founding: { time: at(-9), writer: "w" } };
  const effects = driven.open(1, "a", old, dial?.dial);
  expect(effectsOf(effects, "stop")).toMatchObject([{ code: "NAME_TAKEN" }]);
});

test("[A0] an exchange that began before its other end was a member makes nobody one", () => {
  const driven = new HandDriven("b", { join: ["a:1", "c:1"] });
  const [toA, toC] = effectsOf(driven.start(), "dial");
  const founding = { time: at(-9), writer: life("a") };
  const nobody = { founding: undefined };
  const [, head] = sentTo(driven.open(1, "c", nobody, toC?.dial), 1);
  driven.open(2, "a", { founding }, toA?.dial);
  // The first chunk of a's table: one shard of two, with the founding.
  const settings = { key: "founding", value: ["a"], ...founding };
  const chunk = [
    { map: "settings", entries: [settings] },
    { map: "members", entries: [rowEntry("a", -8)] },
    { map: "allocations", entries: [allocationEntry("shard-0", "a", -8)] },
  ];
  driven.receive(2, { type: "snapshot", exchange: 0, next: 3, maps: chunk });
  // Meanwhile c has got all of it, and has become a member.
  driven.delta(1, "members", rowEntry("c", 0));
  const exchange = head?.type === "head" ? head.exchange : -1;
  const effects = driven.receive(1, { type: "done", exchange });
  expect(persisted(effects)).toEqual([]);
  expect(driven.machine.isReady).toBe(false);

  // The next one with either of them counts.
  const end = (begun: readonly Effect[]): void => {
    for (const link of [1, 2]) endExchanges(driven, link, begun);
  };
  end(effects);
  driven.pass(1900, (begun) => {
    const alive = { type: "pulse", heardMs: 0, everyMs: 250, asks: false } as const;
    for (const link of [1, 2]) driven.receive(link, alive);
    end(begun);
  });
  expect(driven.machine.isReady).toBe(true);
});

test("[A0] nor does answering one that began before its other end was a member", () => {
  const driven = new HandDriven("b", { join: ["a:1"] });
  driven.start();
  driven.open(1, "c", { founding: undefined });
  const summary = new Uint8Array(SUMMARY_BYTES).fill(1);
  driven.receive(1, {
    type: "head",
    exchange: 2,
    entryCount: 4,
    summary,
    pulled: false,
    era: NO_ERA,
  });
  const founding = { key: "founding", value: ["a"], time: at(-9), writer: life("a") };
  driven.delta(1, "settings", founding);
  driven.delta(1, "members", rowEntry("c", 0));
  const effects = driven.receive(1, { type: "want", exchange: 2, ids: new Uint8Array() });
  expect(sentTo(effects, 1)).toContainEqual({ type: "done", exchange: 2 });
  expect(persisted(effects)).toEqual([]);
  expect(driven.machine.isReady).toBe(false);
});
