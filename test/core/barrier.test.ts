import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PHASES_DEFAULT, TickBarrier, TickProgress } from "../../src/core/barrier.ts";
import type { HearsayError } from "../../src/core/error.ts";
import { EARLY_COMPLETIONS_MAX, PHASES_MAX } from "../../src/core/limits.ts";

const SHARDS = ["a", "b", "c"];

function started(phases?: readonly string[]): TickBarrier {
  const barrier = new TickBarrier(phases === undefined ? {} : { phases });
  barrier.start(SHARDS);
  return barrier;
}

/** The code that a call fails with. */
function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return (error as HearsayError).code ?? (error as Error).name;
  }
}

describe("a tick", () => {
  test("[B1] before the first tick there is none", () => {
    const barrier = new TickBarrier();
    expect(barrier.status()).toEqual({
      ...{ tick: 0, phase: null, phases: [], completed: [], pending: [], state: "idle" },
    });
    expect([barrier.tick, barrier.phase, barrier.stragglers()]).toEqual([0, null, []]);
    expect(barrier.isReady("sense", 0)).toBe(false);
  });

  test("[B1] starting pins participants and phases, and is refused while a tick runs", () => {
    const barrier = new TickBarrier();
    expect(barrier.start(SHARDS)).toBe(1);
    expect(codeOf(() => barrier.start(SHARDS))).toBe("TICK_IN_PROGRESS");
    expect(barrier.status()).toEqual({
      ...{ tick: 1, phase: "sense", phases: PHASES_DEFAULT, completed: [], pending: SHARDS },
      state: "running",
    });
  });

  test("[B1] a tick needs participants, and phases that can be told apart", () => {
    expect(codeOf(() => new TickBarrier().start([]))).toBe("NO_SHARDS");
    const many = Array.from({ length: PHASES_MAX + 1 }, (_, index) => `p${index}`);
    for (const phases of [[], ["a", "a"], ["A"], [""], ["a b"], ["p".repeat(33)], many]) {
      expect(() => new TickBarrier({ phases })).toThrow(RangeError);
      expect(() => new TickBarrier().start(SHARDS, phases)).toThrow(RangeError);
    }
    expect(new TickBarrier({ phases: many.slice(1) }).start(SHARDS)).toBe(1);
  });

  test("[B1] a tick may have phases of its own", () => {
    const barrier = new TickBarrier({ phases: ["one"] });
    barrier.start(["a"], ["two"]);
    expect(codeOf(() => barrier.complete("a", "one", 1))).toBe("BAD_REQUEST");
    barrier.complete("a", "two", 1);
    barrier.start(["a"]);
    expect(barrier.status().phases).toEqual(["one"]);
  });

  test("[B2] a phase is over when every participant has completed it, not when three have", () => {
    const barrier = started();
    expect(barrier.complete("a", "sense", 1)).toBe(true);
    expect(barrier.complete("a", "sense", 1)).toBe(false);
    expect(barrier.complete("a", "sense", 1)).toBe(false);
    expect(barrier.complete("b", "sense", 1)).toBe(true);
    expect([barrier.isReady("sense", 1), barrier.stragglers()]).toEqual([false, ["c"]]);
    expect(barrier.status()).toMatchObject({ completed: ["a", "b"], pending: ["c"] });
    barrier.complete("c", "sense", 1);
    expect([barrier.isReady("sense", 1), barrier.phase]).toEqual([true, "act"]);
  });

  test("[B2] after its last phase a tick is complete, and the next may start", () => {
    const barrier = started(["sense", "act"]);
    for (const phase of ["sense", "act"]) {
      for (const shard of SHARDS) barrier.complete(shard, phase, 1);
    }
    expect(barrier.status()).toMatchObject({ state: "complete", phase: "act", pending: [] });
    expect(barrier.start(["d"])).toBe(2);
    expect(barrier.isReady("act", 1)).toBe(true);
    expect(barrier.isReady("sense", 2)).toBe(false);
  });

  test.each<[string, string, string, number, string]>([
    ["of a stranger", "d", "act", 1, "NOT_A_PARTICIPANT"],
    ["of an unknown phase", "a", "dream", 1, "BAD_REQUEST"],
    ["of a phase that is over", "a", "sense", 1, "STALE_TICK"],
    ["of a tick that cannot start next", "a", "sense", 3, "TICK_NOT_FOUND"],
    ["of tick 0", "a", "sense", 0, "TICK_NOT_FOUND"],
    ["of a negative tick", "a", "sense", -1, "TICK_NOT_FOUND"],
    ["of half a tick", "a", "sense", 0.5, "TICK_NOT_FOUND"],
    ["of no number", "a", "sense", Number.NaN, "TICK_NOT_FOUND"],
  ])("[B2] a completion %s is an error and changes nothing", (_, shard, phase, tick, code) => {
    const barrier = started();
    for (const each of SHARDS) barrier.complete(each, "sense", 1);
    const before = barrier.status();
    expect(codeOf(() => barrier.complete(shard, phase, tick))).toBe(code);
    expect(barrier.status()).toEqual(before);
  });

  test("[B2] a completion for yesterday is an error and changes nothing", () => {
    const barrier = started(["sense"]);
    for (const shard of SHARDS) barrier.complete(shard, "sense", 1);
    expect(codeOf(() => barrier.complete("a", "sense", 1))).toBe("STALE_TICK");
    barrier.start(SHARDS);
    expect(codeOf(() => barrier.complete("a", "sense", 1))).toBe("STALE_TICK");
    expect(barrier.stragglers()).toEqual(SHARDS);
  });

  test("[B3] a completion that comes before its tick counts when it starts", () => {
    const barrier = started(["sense", "act"]);
    expect(barrier.complete("a", "sense", 2)).toBe(true);
    expect(barrier.complete("a", "sense", 2)).toBe(false);
    barrier.complete("stranger", "sense", 2);
    expect(barrier.stragglers()).toEqual(SHARDS);
    barrier.abort();
    barrier.start(SHARDS);
    expect(barrier.stragglers()).toEqual(["b", "c"]);
  });

  test("[B3] a completion of a later phase counts for that phase", () => {
    const barrier = started(["sense", "act"]);
    for (const shard of SHARDS) barrier.complete(shard, "act", 1);
    expect(barrier.isReady("act", 1)).toBe(false);
    for (const shard of SHARDS) barrier.complete(shard, "sense", 1);
    expect(barrier.state).toBe("complete");
  });

  test("[B3] completions that wait for their tick are bounded", () => {
    const barrier = new TickBarrier();
    for (let index = 0; index < EARLY_COMPLETIONS_MAX; index += 1) {
      barrier.complete(`s${index}`, "sense", 1);
    }
    expect(codeOf(() => barrier.complete("one more", "sense", 1))).toBe("BUFFER_FULL");
    barrier.withdraw("s0");
    expect(barrier.complete("one more", "sense", 1)).toBe(true);
  });

  test("[B4] a shard that is withdrawn is no longer waited for", () => {
    const barrier = started(["sense"]);
    barrier.complete("a", "sense", 1);
    barrier.complete("b", "sense", 1);
    expect(barrier.withdraw("c")).toBe(true);
    expect(barrier.withdraw("c")).toBe(false);
    expect(barrier.state).toBe("complete");
    expect(barrier.status().completed).toEqual(["a", "b"]);
  });

  test("[B5] a tick that is aborted names its stragglers, and takes nothing more", () => {
    const barrier = started();
    barrier.complete("b", "sense", 1);
    expect(barrier.abort()).toEqual(["a", "c"]);
    expect(barrier.status()).toMatchObject({ state: "aborted", pending: ["a", "c"] });
    expect(codeOf(() => barrier.complete("a", "sense", 1))).toBe("TICK_ABORTED");
    expect(codeOf(() => barrier.abort())).toBe("TICK_NOT_FOUND");
    barrier.withdraw("a");
    barrier.withdraw("c");
    expect(barrier.state).toBe("aborted");
    expect(barrier.start(SHARDS)).toBe(2);
  });

  test("[B2] of older ticks only the last sixteen are remembered", () => {
    const barrier = new TickBarrier({ phases: ["p"] });
    for (let tick = 1; tick <= 18; tick += 1) {
      barrier.start(["a"]);
      barrier.complete("a", "p", tick);
    }
    expect([1, 2, 3, 18].map((tick) => barrier.isReady("p", tick))).toEqual([
      ...[false, true, true, true],
    ]);
  });
});

describe("progress", () => {
  const phaseCount = 3;
  const steps = fc.array(
    fc.oneof(
      fc.record({
        type: fc.constant("mark" as const),
        shard: fc.constantFrom(...SHARDS, "stranger"),
        mask: fc.integer({ min: 0, max: 15 }),
      }),
      fc.record({ type: fc.constant("withdraw" as const), shard: fc.constantFrom(...SHARDS, "d") }),
    ),
  );

  test("[B2, B4] it is what sets of completed phases would be", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const progress = new TickProgress(SHARDS, phaseCount);
        const model = new Map(SHARDS.map((shard) => [shard, new Set<number>()]));
        for (const step of all) {
          if (step.type === "withdraw") {
            expect(progress.withdraw(step.shard)).toBe(model.delete(step.shard));
            continue;
          }
          const done = model.get(step.shard);
          const before = done?.size;
          for (let phase = 0; phase < phaseCount; phase += 1) {
            if ((step.mask & (1 << phase)) !== 0) done?.add(phase);
          }
          expect(progress.mark(step.shard, step.mask)).toBe(done?.size !== before);
        }
        for (let phase = 0; phase < phaseCount; phase += 1) {
          const entries = [...model];
          const of = (isDone: boolean) =>
            entries.filter(([, done]) => done.has(phase) === isDone).map(([shard]) => shard);
          expect(progress.shards(phase, true)).toEqual(of(true));
          expect(progress.shards(phase, false)).toEqual(of(false));
          expect(progress.isComplete(phase)).toBe(of(false).length === 0);
        }
      }),
    );
  });
});
