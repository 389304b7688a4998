import { expect, test } from "vitest";
import { CallsChecker } from "../../sim/checkers/calls.ts";
import { RegistryChecker } from "../../sim/checkers/registry.ts";
import { TicksChecker } from "../../sim/checkers/ticks.ts";
import { WORKLOAD_KINDS } from "../../sim/options.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import { simulate } from "../../sim/simulation.ts";
import type { Change } from "../../src/core/effect.ts";
import type { Machine } from "../../src/core/machine.ts";
import { encodeShard, REMOVALS, SHARDS, shardIdOf } from "../../src/core/registry.ts";
import { encodeDefinition, type encodeEnd, encodeProgress } from "../../src/core/tick-view.ts";
import { at, HandDriven, life } from "../core/machines.ts";
import { rulesOf } from "./shown-peers.ts";

const PHASES = ["sense", "act"];
const identity = { time: at(4), writer: life("b") };
const row = (key: string, value: ReturnType<typeof encodeEnd>) => ({ key, value, ...identity });

/** A machine that has taken in these rows, as a checker is shown it. */
function shown(name: string, driven: HandDriven, machine: Machine = driven.machine): SimulatedPeer {
  return { name, machine, lives: 1 } as unknown as SimulatedPeer;
}

function ticking(tick = 1): HandDriven {
  const driven = new HandDriven("a");
  driven.start();
  driven.open(1, "b");
  const participants = ["shard-0", "shard-1"];
  const value = encodeDefinition({ tick, phases: PHASES, participants, phaseTimeoutMs: 5000 });
  driven.delta(1, "ticks", row(`${tick}`, value));
  return driven;
}

const told = (tick: number, phase: string, state: "running" | "complete" | "aborted"): Change => {
  return { type: "tick", tick, phase, state };
};

const ticks = (show: (checker: TicksChecker) => void, isCalm = true): string[] =>
  rulesOf((report) => new TicksChecker(report, () => isCalm), show);

test("[I12] a phase that is over before a participant has completed it is found", () => {
  const peer = shown("a", ticking());
  const show = (...shards: string[]) =>
    ticks((checker) => {
      for (const shard of shards) checker.attempted(shard, "sense", 1);
      checker.attempted("shard-1", "sense", 2);
      checker.attempted("shard-1", "act", 1);
      checker.changed(peer, told(1, "act", "running"));
    });
  expect(show("shard-0", "shard-1")).toEqual([]);
  expect(show("shard-0", "shard-0")).toEqual(["I12"]);
});

test("[B7] ticks that are told of in another order, or taken back, are found", () => {
  const peer = shown("a", ticking());
  const show = (...changes: Change[]) =>
    ticks((checker) => {
      for (const shard of ["shard-0", "shard-1"]) {
        for (const phase of PHASES) checker.attempted(shard, phase, 1);
      }
      for (const change of changes) checker.changed(peer, change);
    });
  const [sense, act] = [told(1, "sense", "running"), told(1, "act", "running")];
  expect(show(sense, act, told(1, "act", "complete"), told(2, "sense", "running"))).toEqual([]);
  expect(show(told(2, "sense", "running"), sense)).toEqual(["B7"]);
  expect(show(told(1, "act", "complete"), told(1, "act", "aborted"))).toEqual(["B7"]);
});

test("[B6, B7] a tick that another peer started anew may begin again when it was complete, and only then", () => {
  const show = (isAnew: boolean) => {
    const driven = ticking();
    const peer = shown("a", driven);
    return ticks((checker) => {
      for (const shard of ["shard-0", "shard-1"]) {
        for (const phase of PHASES) checker.attempted(shard, phase, 1);
      }
      checker.changed(peer, told(1, "act", "complete"));
      const participants = ["shard-0"];
      const value = encodeDefinition({
        tick: 1,
        phases: ["act"],
        participants,
        phaseTimeoutMs: 50,
      });
      const later = { key: "1", value, time: at(6), writer: life("b") };
      if (isAnew) driven.delta(1, "ticks", later);
      checker.changed(peer, told(1, "act", "running"));
    });
  };
  expect(show(true)).toEqual([]);
  expect(show(false)).toEqual(["B7"]);
});

test("[B7] a tick that only some hear of is found where nothing has gone wrong", () => {
  const [a, b] = [shown("a", ticking()), shown("b", ticking())];
  const show = (isCalm: boolean) =>
    ticks((checker) => {
      for (const tick of [7, 8, 9]) checker.changed(a, told(tick, "act", "complete"));
      for (const tick of [7, 9]) checker.changed(b, told(tick, "act", "complete"));
      checker.settled([a]);
    }, isCalm);
  expect(show(true)).toEqual(["B7"]);
  expect(show(false)).toEqual([]);
});

test("[B2, B7] peers that see other ticks than others, or than their rows say, are found", () => {
  const [a, b] = [ticking(), ticking()];
  const both = () => ticks((checker) => checker.settled([shown("a", a), shown("b", b)]));
  expect(both()).toEqual([]);
  b.delta(1, "progress", row("shard-1", encodeProgress(identity, 1)));
  expect(both()).toEqual(["B7"]);
  const { machine } = b;
  const forgetful = { view: machine.view, entries: () => [] } as unknown as Machine;
  expect(ticks((checker) => checker.settled([shown("b", b, forgetful)]))).toEqual(["B2"]);
});

test("[R6] a shard that is back, lost, or given out again is found", () => {
  const driven = new HandDriven("a");
  driven.start();
  const peer = shown("a", driven);
  const id = shardIdOf("k", 0);
  const show = (asked: "register-shard" | "deregister-shard", shard: string) =>
    rulesOf(
      (report) => new RegistryChecker(report, 2),
      (checker) => {
        if (asked === "register-shard") {
          checker.called(peer, 1, { type: asked, key: "k", weight: undefined });
        } else checker.called(peer, 1, { type: asked, shard });
        checker.answered(peer, 1, { ok: true, value: shard });
        checker.settled([peer]);
      },
    );
  expect(show("deregister-shard", "shard-9")).toEqual([]);
  expect(show("deregister-shard", "shard-0")).toEqual(["R6"]);
  expect(show("register-shard", "shard-0")).toEqual([]);
  expect(show("register-shard", id)).toEqual(["R6"]);
});

test("[R6] a view that does not follow from its rows is found", () => {
  const driven = new HandDriven("a");
  driven.start();
  const { machine } = driven;
  const id = shardIdOf("k", 0);
  const show = (map: string, key: string) => {
    const entries = [{ key, value: encodeShard(1), time: 1, writer: "w" }];
    const other = { view: machine.view, entries: () => [{ map, entries }] } as unknown as Machine;
    return rulesOf(
      (report) => new RegistryChecker(report, 2),
      (checker) => checker.settled([shown("a", driven, other)]),
    );
  };
  expect(show("settings", id)).toEqual([]);
  expect(show(SHARDS, id)).toEqual(["R6"]);
  expect(show(REMOVALS, "shard-1")).toEqual(["R6"]);
});

test("[P2] a call that has no answer is found, unless its caller has died", () => {
  let now = 0;
  const peer = shown("a", new HandDriven("a"));
  const show = (life: number, answered: boolean, later: number) =>
    rulesOf(
      (report) => new CallsChecker(report, () => now),
      (checker) => {
        now = 0;
        checker.allow({ ...peer, lives: life } as SimulatedPeer, 1, []);
        checker.allow(peer, 2, ["TIMEOUT"]);
        if (answered) checker.answered(peer, 2, { ok: false, code: "TIMEOUT", message: "late" });
        now = later;
        checker.settled([peer]);
      },
    );
  expect(show(1, true, 60_000)).toEqual([]);
  expect(show(1, false, 1000)).toEqual([]);
  expect(show(1, false, 60_000)).toEqual(["P2"]);
});

test("[L5] ticks go on after all has healed, and shards come and go meanwhile", () => {
  const reports = [1, 2, 3, 4].map((seed) =>
    simulate({
      ...{ seed, peers: 3, shards: 6, durationMs: 10_000, operationEveryMs: 30 },
      ...{ faults: ["crash"], workload: WORKLOAD_KINDS, isCoreHealed: false },
    }),
  );
  for (const { violations, sometimes } of reports) {
    expect(violations).toEqual([]);
    expect(sometimes["a tick is complete"]).toBeGreaterThan(0);
  }
});
