import { describe, expect, test } from "vitest";
import { encodeVerdict, verdictKey } from "../../src/core/membership.ts";
import type { Entry, Value } from "../../src/core/message.ts";
import { encodeShardSet } from "../../src/core/shard-set.ts";
import { encodeDefinition, encodeEnd, encodeProgress } from "../../src/core/tick-view.ts";
import {
  allocationEntry,
  at,
  beat,
  effectsOf,
  HandDriven,
  life,
  persisted,
  rowEntry,
  WALL_MS,
} from "./machines.ts";

const PHASES = ["sense", "act"];

const start = (phaseTimeoutMs = 5000, phases: readonly string[] = PHASES) => {
  return { type: "tick-start", phases, phaseTimeoutMs } as const;
};
const done = (shard: string, phase: string, tick = 1) => {
  return { type: "phase-complete", shard, phase, tick } as const;
};
const wait = (phase: string, tick = 1, timeoutMs = 60_000) => {
  return { type: "phase-wait", phase, tick, timeoutMs } as const;
};

/** `name`, founded, with b on link 1 hosting shard-1 and the lowest of the two as starter. */
function pair(name = "a"): HandDriven {
  const driven = new HandDriven(name);
  driven.start();
  driven.open(1, "b");
  driven.delta(1, "members", rowEntry("b", 1));
  driven.delta(1, "allocations", allocationEntry("shard-1", "b", 2));
  return driven;
}

const identity = (ms: number, writer = life("b")) => ({ time: at(ms), writer });

const definition = (ms: number, tick = 1, writer = life("b"), phases = PHASES): Entry => {
  const participants = ["shard-0", "shard-1"];
  const value = encodeDefinition({ tick, phases, participants, phaseTimeoutMs: 5000 });
  return { key: `${tick % 16}`, value, ...identity(ms, writer) };
};

const row = (key: string, value: Value | undefined, ms: number, writer?: string): Entry => {
  return { key, value, ...identity(ms, writer) };
};

const progress = (shard: string, of: { time: number; writer: string }, mask: number, ms: number) =>
  row(shard, encodeProgress(of, mask), ms);

const answers = (effects: Parameters<typeof effectsOf>[0]) =>
  effectsOf(effects, "answer").map(({ call, outcome }) =>
    outcome.ok ? [call, outcome.value] : [call, outcome.code],
  );

const changes = (effects: Parameters<typeof effectsOf>[0]) =>
  effectsOf(effects, "notify").flatMap(({ change: { type, ...rest } }) =>
    type === "tick" ? [rest] : [],
  );

/** The stamp of the tick that a machine has just started. */
function identityOf(driven: HandDriven, tick = 1): { time: number; writer: string } {
  const entry = driven.entry("ticks", `${tick % 16}`);
  return { time: entry?.time ?? 0, writer: entry?.writer ?? "" };
}

describe("the starter", () => {
  test("[B1] it is the lowest-named member that nobody has seen dead, and others pass the call on", () => {
    const a = pair("a");
    expect(a.call(start()).outcome).toEqual({ ok: true, value: 1 });
    const c = pair("c");
    const { effects, outcome } = c.call(start());
    expect(outcome).toBeUndefined();
    expect(effects).toMatchObject([
      { type: "send", links: [1], message: { type: "request", call: [2, PHASES, 5000] } },
    ]);
    const answered = { type: "response", request: 1, outcome: { ok: true, value: 7 } } as const;
    expect(answers(c.receive(1, answered))).toEqual([[1, 7]]);
  });

  test("[B1] starting pins the registered shards and the phases, and tells of it", () => {
    const driven = pair();
    const { effects } = driven.call(start());
    expect(persisted(effects)).toEqual(["ticks 1"]);
    expect(driven.entry("ticks", "1")?.value).toEqual([
      ...[1, PHASES, encodeShardSet(["shard-0", "shard-1"]), 5000],
    ]);
    expect(changes(effects)).toEqual([{ tick: 1, phase: "sense", state: "running" }]);
    expect(driven.machine.status().tick).toBe(1);
    expect(driven.machine.view.ticks.status()).toEqual({
      ...{ tick: 1, phase: "sense", phases: PHASES, state: "running", completed: [] },
      pending: ["shard-0", "shard-1"],
    });
  });

  test("[B1] while a tick runs there is no other, and without shards there is none", () => {
    const driven = pair();
    driven.call(start());
    expect(driven.call(start()).outcome).toMatchObject({ code: "TICK_IN_PROGRESS" });
    const empty = new HandDriven("a", { shardCount: 0 });
    empty.start();
    expect(empty.call(start()).outcome).toMatchObject({ code: "NO_SHARDS" });
  });

  test("[B5] it ends a phase when every participant's row says so, and not before", () => {
    const driven = pair();
    driven.call(start());
    driven.call(done("shard-0", "sense"));
    const repeated = driven.call(done("shard-0", "sense"));
    expect([repeated.outcome, persisted(repeated.effects)]).toEqual([
      { ok: true, value: undefined },
      [],
    ]);
    const of = identityOf(driven);
    const effects = driven.delta(1, "progress", progress("shard-1", of, 1, 9));
    expect(persisted(effects)).toEqual(["progress shard-1", "ticks 1/0"]);
    expect(driven.entry("ticks", "1/0")?.value).toEqual(encodeEnd(of));
    expect(changes(effects)).toEqual([{ tick: 1, phase: "act", state: "running" }]);
  });

  test("[B2] a row about another tick is no completion", () => {
    const driven = pair();
    driven.call(start());
    driven.call(done("shard-0", "sense"));
    const { time, writer } = identityOf(driven);
    for (const of of [
      { time: time - 1, writer },
      { time, writer: "x" },
    ]) {
      driven.delta(1, "progress", progress("shard-1", of, 3, 9));
    }
    driven.delta(1, "progress", row("shard-1", ["?"], 10), row("shard-9", [time, writer, 3], 10));
    expect(driven.machine.view.ticks.status().pending).toEqual(["shard-1"]);
  });

  test("[C4, B1] who is known by heartbeats only is passed over", () => {
    const driven = new HandDriven("c");
    driven.start();
    driven.open(1, "b", { wallMs: WALL_MS + 60_000 });
    driven.open(2, "d");
    driven.delta(2, "members", rowEntry("b", 1), rowEntry("d", 1));
    expect(driven.call(start()).outcome).toEqual({ ok: true, value: 1 });
  });

  test("[B5] it aborts a phase that takes too long, and no row gives it more time", () => {
    const driven = pair();
    driven.call(start(5000));
    driven.now = 4000;
    driven.receive(1, beat(4000));
    driven.call(done("shard-0", "sense"));
    driven.delta(1, "ticks", row("1/1", encodeEnd(identity(0)), 4000));
    const seen: unknown[] = [];
    driven.pass(5500, (effects, now) => {
      driven.receive(1, beat(now));
      for (const change of changes(effects)) seen.push([now, change]);
    });
    const aborted = { tick: 1, phase: "sense", state: "aborted", stragglers: ["shard-1"] };
    expect(seen).toEqual([[5000, aborted]]);
    expect(driven.call(done("shard-0", "act")).outcome).toMatchObject({ code: "TICK_ABORTED" });
    expect(driven.call(start()).outcome).toEqual({ ok: true, value: 2 });
  });

  test("[B5] the next lowest takes over when the starter has died, with the time that is left", () => {
    const driven = pair("c");
    driven.open(2, "a");
    driven.delta(2, "members", rowEntry("a", 3));
    driven.delta(2, "ticks", definition(4, 1, life("a")));
    driven.now = 1000;
    // "a" is gone, and "b" has left: this is the lowest.
    const about = { time: at(3), writer: life("a") };
    const verdict = { kind: "removed", about, accuser: life("b"), why: "refused" } as const;
    driven.delta(1, "verdicts", row(verdictKey("a", "b"), encodeVerdict(verdict), 1000));
    driven.delta(1, "members", rowEntry("b", 1001, { status: "left" }));
    driven.delta(1, "progress", progress("shard-1", identity(4, life("a")), 1, 1002));
    const seen: unknown[] = [];
    driven.pass(6000, (effects, now) => {
      for (const change of changes(effects)) seen.push([now, change]);
    });
    const aborted = { tick: 1, phase: "sense", state: "aborted", stragglers: ["shard-0"] };
    expect(seen).toEqual([[5000, aborted]]);
  });

  test("[B5] a suspect starter is not replaced", () => {
    const driven = pair("c");
    const about = { time: at(1), writer: life("b") };
    const verdict = { kind: "suspect", about, accuser: life("x"), why: "silent" } as const;
    driven.delta(1, "verdicts", row(verdictKey("b", "x"), encodeVerdict(verdict), 5, life("x")));
    expect(driven.call(start()).outcome).toBeUndefined();
  });

  test("[B5] an end that another tick's row has overwritten is written again", () => {
    const driven = pair();
    driven.call(start());
    const of = identityOf(driven);
    driven.call(done("shard-0", "sense"));
    driven.delta(1, "progress", progress("shard-1", of, 1, 9));
    const effects = driven.delta(1, "ticks", row("1/0", encodeEnd(identity(0)), 10));
    expect(persisted(effects)).toEqual(["ticks 1/0", "ticks 1/0"]);
    expect(driven.entry("ticks", "1/0")?.value).toEqual(encodeEnd(of));
    expect(changes(effects)).toEqual([]);
  });
});

describe("completions", () => {
  test.each<[string, ReturnType<typeof done>, string]>([
    ["of an unknown shard", done("shard-9", "sense"), "SHARD_NOT_FOUND"],
    ["of an unknown phase", done("shard-0", "dream"), "BAD_REQUEST"],
    ["of tick 0", done("shard-0", "sense", 0), "TICK_NOT_FOUND"],
    ["of a tick far ahead", done("shard-0", "sense", 9), "TICK_NOT_FOUND"],
  ])("[B2] one %s is an error and changes nothing", (_, call, code) => {
    const driven = pair();
    driven.call(start());
    const { effects, outcome } = driven.call(call);
    expect([outcome, persisted(effects)]).toMatchObject([{ ok: false, code }, []]);
  });

  test("[B2] one of a shard that was registered later is one of a stranger", () => {
    const driven = pair();
    driven.call(start());
    const registered = driven.call({ type: "register-shard", key: "k", weight: undefined });
    const shard = (registered.outcome as { value: string }).value;
    expect(driven.call(done(shard, "sense")).outcome).toMatchObject({ code: "NOT_A_PARTICIPANT" });
  });

  test("[B2] one of a phase that is over, and one for yesterday, is stale", () => {
    const driven = pair();
    driven.call(start());
    const of = identityOf(driven);
    driven.call(done("shard-0", "sense"));
    driven.delta(1, "progress", progress("shard-1", of, 3, 9));
    expect(driven.call(done("shard-0", "sense")).outcome).toMatchObject({ code: "STALE_TICK" });
    expect(driven.call(done("shard-0", "act")).outcome).toEqual({ ok: true, value: undefined });
    expect(driven.call(done("shard-0", "act")).outcome).toMatchObject({ code: "STALE_TICK" });
    driven.call(start());
    expect(driven.call(done("shard-0", "act", 1)).outcome).toMatchObject({ code: "STALE_TICK" });
    expect(driven.machine.view.ticks.status().completed).toEqual([]);
  });

  test("[B2] it is written by the shard's region, to which others pass it on", () => {
    const driven = pair();
    driven.call(start());
    const { effects } = driven.call(done("shard-1", "sense"));
    expect(effects).toMatchObject([
      { type: "send", links: [1], message: { call: [3, "shard-1", "sense", 1] } },
    ]);
    const asked = { type: "request", request: 1, hops: 1, deadlineMs: 900 } as const;
    const performed = driven.receive(1, { ...asked, call: [3, "shard-0", "sense", 1] });
    expect(persisted(performed)).toEqual(["progress shard-0"]);
  });

  test("[B2] a row that says less than its region wrote is written again", () => {
    const driven = pair();
    driven.call(start());
    const of = identityOf(driven);
    driven.call(done("shard-0", "sense"));
    const effects = driven.delta(1, "progress", progress("shard-0", of, 0, 9));
    expect(persisted(effects)).toEqual(["progress shard-0", "progress shard-0"]);
    expect(driven.entry("progress", "shard-0")?.value).toEqual(encodeProgress(of, 1));
    // That of another region is not this one's to write.
    driven.delta(1, "progress", progress("shard-1", of, 2, 10));
    expect(persisted(driven.delta(1, "progress", progress("shard-1", of, 0, 11)))).toEqual([
      "progress shard-1",
    ]);
    expect(driven.machine.view.ticks.current?.progress.maskOf("shard-1")).toBe(2);
  });

  test("[B3] one that comes before its tick is kept, and answered when the tick starts", () => {
    const driven = pair("c");
    driven.delta(1, "allocations", allocationEntry("shard-0", "c", 3));
    expect(driven.call(done("shard-0", "sense")).outcome).toBeUndefined();
    const effects = driven.delta(1, "ticks", definition(4));
    expect(answers(effects)).toEqual([[1, undefined]]);
    expect(persisted(effects)).toEqual(["ticks 1", "progress shard-0"]);
  });

  test("[B3] one whose tick does not start is refused in the end", () => {
    const driven = pair("c");
    driven.delta(1, "allocations", allocationEntry("shard-0", "c", 3));
    driven.call(done("shard-0", "sense"));
    const seen: unknown[] = [];
    driven.pass(3000, (effects, now) => {
      driven.receive(1, beat(now));
      for (const answer of answers(effects)) seen.push([now, answer]);
    });
    expect(seen).toEqual([[2000, [1, "TICK_NOT_FOUND"]]]);
  });

  test("[B3] rows that come before their definition count when it comes", () => {
    const driven = pair("c");
    const of = identity(9);
    driven.delta(1, "progress", progress("shard-1", of, 1, 10));
    driven.delta(1, "ticks", definition(9));
    expect(driven.machine.view.ticks.status().completed).toEqual(["shard-1"]);
  });

  test("[B4] a shard that is deregistered is no longer waited for, and waiters wake", () => {
    const driven = pair();
    driven.call(start());
    driven.call(done("shard-0", "sense"));
    driven.call(wait("sense"));
    const { effects } = driven.call({ type: "deregister-shard", shard: "shard-1" });
    expect(answers(effects)).toEqual([
      [4, undefined],
      [3, undefined],
    ]);
    expect(driven.machine.view.ticks.status()).toMatchObject({ phase: "act", completed: [] });
    expect(driven.machine.view.ticks.status().pending).toEqual(["shard-0"]);
  });

  test("[B4] a shard that was deregistered before the definition came is not waited for either", () => {
    const driven = pair("c");
    driven.call({ type: "deregister-shard", shard: "shard-1" });
    driven.delta(1, "ticks", definition(4));
    expect(driven.machine.view.ticks.status().pending).toEqual(["shard-0"]);
  });

  test("[B4] when a region dies its shards are waited for until the new region completes them", () => {
    const driven = pair();
    driven.call(start());
    const of = identityOf(driven);
    driven.call(done("shard-0", "sense"));
    driven.delta(1, "members", rowEntry("b", 20, { status: "left" }));
    driven.delta(1, "allocations", allocationEntry("shard-1", "a", 21));
    expect(driven.machine.view.ticks.status().pending).toEqual(["shard-1"]);
    expect(driven.call(done("shard-1", "sense")).outcome).toEqual({ ok: true, value: undefined });
    expect(driven.machine.view.ticks.status().phase).toBe("act");
    expect(driven.entry("ticks", "1/0")?.value).toEqual(encodeEnd(of));
  });
});

describe("waits", () => {
  test("[B5] who waits wakes by the end of the phase and by nothing else", () => {
    const driven = pair("c");
    driven.delta(1, "ticks", definition(4));
    driven.call(wait("sense"));
    const of = identity(4);
    for (const shard of ["shard-0", "shard-1"]) {
      expect(answers(driven.delta(1, "progress", progress(shard, of, 3, 5)))).toEqual([]);
    }
    expect(answers(driven.delta(1, "ticks", row("1/0", encodeEnd(of), 6)))).toEqual([
      [1, undefined],
    ]);
    expect(driven.call(wait("sense")).outcome).toEqual({ ok: true, value: undefined });
  });

  test("[B5] the end of a phase says that all earlier ones are over", () => {
    const driven = pair("c");
    driven.delta(1, "ticks", definition(4), row("1/1", encodeEnd(identity(4)), 6));
    expect(driven.call(wait("sense")).outcome).toEqual({ ok: true, value: undefined });
  });

  test("[B5] a wait for a tick that was aborted names the stragglers", () => {
    const driven = pair("c");
    driven.delta(1, "ticks", definition(4));
    driven.call(wait("act"));
    const aborted = row("1/aborted", encodeEnd(identity(4), ["shard-0", "shard-1"]), 6);
    const [answer] = effectsOf(driven.delta(1, "ticks", aborted), "answer");
    expect(answer?.outcome).toEqual({
      ok: false,
      code: "TICK_ABORTED",
      message:
        'Cannot wait for a phase of tick 1: it was aborted, waiting for "shard-0", "shard-1"',
      stragglers: ["shard-0", "shard-1"],
    });
    expect(driven.call(wait("sense")).outcome).toMatchObject({ code: "TICK_ABORTED" });
  });

  test("[B5] a wait that takes too long names the stragglers", () => {
    const driven = pair("c");
    driven.delta(1, "ticks", definition(4));
    driven.delta(1, "progress", progress("shard-0", identity(4), 1, 5));
    driven.call(wait("sense", 1, 1000));
    const outcomes: unknown[] = [];
    driven.pass(1500, (effects, now) => {
      driven.receive(1, beat(now));
      for (const { outcome } of effectsOf(effects, "answer")) outcomes.push(outcome);
    });
    expect(outcomes).toEqual([
      {
        ok: false,
        code: "PHASE_TIMEOUT",
        message: '"sense" of tick 1 is not over in time: it waits for "shard-1"',
        stragglers: ["shard-1"],
      },
    ]);
  });

  test("[B3] a wait for the next tick begins before it starts; one for a later tick is refused", () => {
    const driven = pair("c");
    expect(driven.call(wait("sense", 9)).outcome).toMatchObject({ code: "TICK_NOT_FOUND" });
    expect(driven.call(wait("sense", 0)).outcome).toMatchObject({ code: "TICK_NOT_FOUND" });
    expect(driven.call(wait("sense", 1)).outcome).toBeUndefined();
    driven.delta(1, "ticks", definition(4));
    const effects = driven.delta(1, "ticks", row("1/0", encodeEnd(identity(4)), 6));
    expect(answers(effects)).toEqual([[3, undefined]]);
  });

  test("[B5] a wait for a phase that its tick does not have is refused", () => {
    const driven = pair();
    driven.call(start());
    expect(driven.call(wait("dream")).outcome).toMatchObject({ code: "BAD_REQUEST" });
  });

  test("[B6] of two definitions of one tick the later counts, and waits for the other are stale", () => {
    const driven = pair("c");
    driven.delta(1, "ticks", definition(4));
    driven.delta(1, "progress", progress("shard-0", identity(4), 1, 5));
    driven.call(wait("sense"));
    const effects = driven.delta(1, "ticks", definition(6, 1, life("a")));
    expect(answers(effects)).toEqual([[1, "STALE_TICK"]]);
    expect(driven.machine.view.ticks.status().completed).toEqual([]);
    // What the other definition still brings is about another tick.
    driven.delta(1, "ticks", row("1/1", encodeEnd(identity(4)), 7));
    expect(driven.machine.view.ticks.status()).toMatchObject({ state: "running", phase: "sense" });
    expect(driven.machine.entries().length).toBeGreaterThan(0);
  });

  test("[B5] a wait that was given up is not answered", () => {
    const driven = pair();
    driven.call(start());
    driven.call(wait("sense", 1, 1000));
    expect(driven.step({ type: "abandoned", call: 2 })).toEqual([]);
    expect(driven.step({ type: "abandoned", call: 99 })).toEqual([]);
    const seen: unknown[] = [];
    driven.pass(1500, (effects) => void seen.push(...answers(effects)));
    expect(seen).toEqual([]);
  });
});

describe("what is told", () => {
  test("[B7] a tick that is aborted at one peer and complete at another is complete", () => {
    const driven = pair("c");
    driven.delta(1, "ticks", definition(4));
    const aborted = row("1/aborted", encodeEnd(identity(4), ["shard-0"]), 9);
    driven.delta(1, "ticks", aborted);
    const effects = driven.delta(1, "ticks", row("1/1", encodeEnd(identity(4)), 6));
    expect(changes(effects)).toEqual([{ tick: 1, phase: "act", state: "complete" }]);
    expect(driven.machine.view.ticks.history()).toEqual([
      { tick: 1, phases: PHASES, state: "complete", stragglers: [] },
    ]);
  });

  test("[B7] the next tick is told of when it is known how the one before has ended", () => {
    const driven = pair("c");
    driven.delta(1, "ticks", definition(4, 1));
    const early = driven.delta(1, "ticks", definition(8, 2), row("2/1", encodeEnd(identity(8)), 9));
    expect(changes(early)).toEqual([]);
    expect(driven.machine.status().tick).toBe(2);
    const effects = driven.delta(1, "ticks", row("1/1", encodeEnd(identity(4)), 6));
    expect(changes(effects)).toEqual([
      { tick: 1, phase: "act", state: "complete" },
      { tick: 2, phase: "act", state: "complete" },
    ]);
  });

  test("[B7] what had ended before a peer began is no news", () => {
    const first = pair("c");
    first.delta(1, "ticks", definition(4, 1), row("1/1", encodeEnd(identity(4)), 6));
    const image = { clockBound: at(9000), maps: first.machine.entries() };
    const again = new HandDriven("c", { image, incarnation: life("c", 10_000) }, 10_000);
    expect(changes(again.start())).toEqual([]);
    expect(again.machine.status().tick).toBe(1);
  });

  test("[B1] only the last sixteen ticks are kept, whatever their number", () => {
    const driven = new HandDriven("a", { shardCount: 1 });
    driven.start();
    for (let tick = 1; tick <= 40; tick += 1) {
      driven.call(start(5000, ["only"]));
      expect(driven.call(done("shard-0", "only", tick)).outcome).toMatchObject({ ok: true });
    }
    expect(driven.machine.view.ticks.history().map(({ tick }) => tick)).toEqual(
      Array.from({ length: 16 }, (_, index) => 25 + index),
    );
    const keys = driven.machine.entries().find(({ map }) => map === "ticks")?.entries.length;
    expect(keys).toBe(32);
  });

  test.each<[string, Value | undefined]>([
    ["nothing", undefined],
    ["text", "tick"],
    ["tick 0", [0, PHASES, [[0, 1], new Uint8Array(0)], 5000]],
    ["a tick of another place", [2, PHASES, [[0, 1], new Uint8Array(0)], 5000]],
    ["a tick beyond all", [2 ** 40 + 1, PHASES, [[0, 1], new Uint8Array(0)], 5000]],
    ["no phases", [1, [], [[0, 1], new Uint8Array(0)], 5000]],
    ["phases that are no text", [1, [1], [[0, 1], new Uint8Array(0)], 5000]],
    ["no participants", [1, PHASES, null, 5000]],
    ["no time", [1, PHASES, [[0, 1], new Uint8Array(0)], 0]],
  ])("[S5] a definition that is %s defines nothing", (_, value) => {
    const driven = pair("c");
    driven.delta(1, "ticks", row("1", value, 5));
    driven.delta(1, "ticks", row("17", definition(6).value, 6), row("", definition(6).value, 6));
    expect(driven.machine.status().tick).toBe(0);
    expect(driven.call(wait("sense", 3)).outcome).toMatchObject({ code: "TICK_NOT_FOUND" });
  });
});
