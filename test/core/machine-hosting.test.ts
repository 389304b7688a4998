import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import type { HostTask, HostTraits } from "../../src/core/host-task.ts";
import { ASKS_MAX, SHARD_QUEUE_MAX } from "../../src/core/limits.ts";
import type { MachineOptions } from "../../src/core/machine.ts";
import type { Answer, Ask } from "../../src/core/message.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { encodeAllocation } from "../../src/core/view.ts";
import {
  allocationEntry,
  effectsOf,
  HandDriven,
  life,
  rowEntry,
  sentTo,
  verdictEntry,
} from "./machines.ts";

const TRAITS: HostTraits = {
  ...{ exports: false, imports: false, remembers: false },
  passivateAfterMs: Number.POSITIVE_INFINITY,
};
const B = 7;
/** Nobody answers in these tests, and nobody is to be missed for that. */
const TIMINGS_PATIENT = { ...TIMINGS.lan, silenceMs: 60_000 };
const { claimSettleMs, drainMs, handoffMs, silenceMs } = TIMINGS_PATIENT;

const tasks = (effects: readonly Effect[]): HostTask[] =>
  effectsOf(effects, "host").map(({ task }) => task);
const answers = (effects: readonly Effect[]): Answer[] =>
  sentTo(effects, B).filter((message): message is Answer => message.type === "answer");
const token = (a: HandDriven, shard: string) => a.machine.view.allocation(shard)?.token ?? 0;

/** Peer `a`, alone with its shards and a host, all of them taken; and a link to `b`, a member. */
function hosting(
  traits: Partial<HostTraits> = {},
  options: Partial<MachineOptions> = {},
): HandDriven {
  const a = new HandDriven("a", { downing: "off", timings: TIMINGS_PATIENT, ...options });
  a.start();
  a.pass(100);
  const begun = a.step({ type: "host-registered", traits: { ...TRAITS, ...traits } });
  const taken = [...begun, ...a.pass(100 + 2 * claimSettleMs)];
  for (const task of tasks(taken)) if (task.type === "acquire") acquired(a, task);
  a.open(B, "b");
  a.delta(B, "members", rowEntry("b", a.now, { hosts: true }));
  return a;
}

function acquired(a: HandDriven, { shard, token }: { shard: string; token: number }): Effect[] {
  return a.step({ type: "hosted", report: { type: "acquired", shard, token, error: undefined } });
}

function released(a: HandDriven, { shard, token }: { shard: string; token: number }): Effect[] {
  return a.step({ type: "hosted", report: { type: "released", shard, token, error: undefined } });
}

function ask(a: HandDriven, number: number, fields: Partial<Ask> = {}): Ask {
  const known = token(a, fields.shard ?? "shard-0");
  return {
    ...{ type: "ask", ask: number, since: 1, shard: "shard-0", entity: "e", remainingMs: 1000 },
    ...{ token: known, writer: life("a"), body: new Uint8Array([number]) },
    ...fields,
  };
}

const done = (a: HandDriven, work: number): Effect[] =>
  a.step({ type: "hosted", report: { type: "handled", work, body: new Uint8Array([9]) } });

test("[A7] a shard is another's in the step that says so, before the rest of the same frame", () => {
  const a = hosting();
  a.receive(B, ask(a, 1), ask(a, 2));
  const entry = allocationEntry("shard-0", "b", a.now + 1, life("b"));
  const effects = a.receive(
    B,
    { type: "delta", maps: [{ map: "allocations", entries: [entry] }] },
    ask(a, 3, { since: 3 }),
  );
  expect(tasks(effects).map(({ type }) => type)).toEqual(["cancel", "release"]);
  expect(effectsOf(effects, "notify").map(({ change }) => change.type)).toContain("release");
  expect(answers(effects)).toMatchObject([
    { ask: 2, outcome: { how: "refused" } },
    { ask: 3, outcome: { how: "refused", code: "NOT_OWNER" } },
  ]);
  // What was being handled is answered when it ends, though nothing after it is begun.
  const ended = done(a, 1);
  expect(answers(ended)).toMatchObject([{ ask: 1, outcome: { how: "done" } }]);
  expect(tasks(ended)).toEqual([]);
});

test("[H3] the messages of one entity are handled one after another, those of two at once", () => {
  const a = hosting();
  const effects = a.receive(B, ask(a, 1), ask(a, 2), ask(a, 3, { entity: "other" }));
  expect(tasks(effects)).toMatchObject([
    { type: "handle", work: 1, entity: "e", from: "b", token: token(a, "shard-0") },
    { type: "handle", work: 2, entity: "other" },
  ]);
  const next = done(a, 1);
  expect(answers(next)).toMatchObject([{ ask: 1, outcome: { how: "done" } }]);
  expect(tasks(next)).toMatchObject([{ type: "handle", work: 3, entity: "e" }]);
});

test("[H3] a message that comes twice is handled once", () => {
  const a = hosting();
  const message = ask(a, 1);
  expect(tasks(a.receive(B, message)).length).toBe(1);
  expect(a.receive(B, message, message)).toEqual([]);
});

test("[H3] a host that throws fails the ask, and the next message is handled", () => {
  const a = hosting();
  a.receive(B, ask(a, 1), ask(a, 2));
  const effects = a.step({ type: "hosted", report: { type: "handled", work: 1, error: "No" } });
  expect(answers(effects)).toMatchObject([
    { ask: 1, outcome: { how: "failed", code: "HANDLER_FAILED", message: "No" } },
  ]);
  expect(tasks(effects)).toMatchObject([{ type: "handle", work: 2 }]);
});

test("[H3] what was sent before a refusal was known is refused, too", () => {
  const a = hosting();
  const entry = allocationEntry("shard-0", "b", a.now + 1, life("b"));
  a.delta(B, "allocations", entry);
  a.receive(B, ask(a, 1));
  a.delta(B, "allocations", allocationEntry("shard-0", "a", a.now + 2, life("b")));
  for (const task of tasks(a.pass(a.now + 2 * claimSettleMs))) {
    if (task.type === "acquire") acquired(a, task);
  }
  const late = a.receive(B, ask(a, 2, { since: 1 }), ask(a, 3, { since: 3 }));
  expect(answers(late)).toMatchObject([{ ask: 2, outcome: { how: "refused" } }]);
  expect(tasks(late)).toMatchObject([{ type: "handle", body: new Uint8Array([3]) }]);
});

test("[H2, H4] work in progress has its time, and then its sender is told that nobody knows", () => {
  const a = hosting();
  a.receive(B, ask(a, 1), ask(a, 2));
  const begin = encodeAllocation("a", { successor: "b" });
  const time = allocationEntry("shard-0", "a", a.now + 1).time;
  const began = a.delta(B, "allocations", {
    key: "shard-0",
    value: begin,
    time,
    writer: life("b"),
  });
  expect(answers(began)).toMatchObject([{ ask: 2, outcome: { how: "refused" } }]);
  expect(tasks(a.pass(a.now + drainMs - 1))).toEqual([]);
  const overdue = a.pass(a.now + 2);
  expect(tasks(overdue).map(({ type }) => type)).toEqual(["cancel", "release"]);
  expect(answers(overdue)).toMatchObject([{ ask: 1, outcome: { how: "failed", code: "TIMEOUT" } }]);
  expect(done(a, 1)).toEqual([]);
});

test("[H3, H4] the successor's entry is written when the host has let go, or has had its time", () => {
  for (const answersIn of ["time", "never"]) {
    const a = hosting();
    const { effects } = a.call({ type: "allocate", shard: "shard-0", region: "b" });
    const [task] = tasks(effects);
    expect(task).toMatchObject({ type: "release", shard: "shard-0" });
    expect(a.machine.view.course("shard-0")).toMatchObject({ successor: "b" });
    if (answersIn === "time") released(a, task as { shard: string; token: number });
    else a.pass(a.now + handoffMs + 1);
    expect(a.machine.view.regionFor("shard-0")).toBe("b");
    expect(a.machine.view.course("shard-0")).toMatchObject({ from: "a" });
  }
});

test("[H0] a handoff that somebody has overtaken ends without a word", () => {
  const a = hosting();
  const { effects } = a.call({ type: "allocate", shard: "shard-0", region: "b" });
  const [task] = tasks(effects);
  a.open(8, "c");
  a.delta(8, "members", rowEntry("c", a.now));
  const mine = allocationEntry("shard-0", "c", a.now + 5, life("c"));
  a.delta(8, "allocations", mine);
  released(a, task as { shard: string; token: number });
  expect(a.machine.view.allocation("shard-0")).toMatchObject({ region: "c", token: mine.time });
});

test("[H5] a region that was asked to stop answers when nothing is in progress any more", () => {
  const a = hosting();
  a.receive(B, ask(a, 1));
  const entry = allocationEntry("shard-0", "b", a.now + 1, life("b"));
  a.delta(B, "allocations", entry);
  const stop = { type: "stop" as const, shard: "shard-0", token: entry.time };
  expect(sentTo(a.receive(B, stop), B)).toEqual([]);
  expect(sentTo(done(a, 1), B)).toContainEqual({ ...stop, type: "stopped" });
});

test("[F9] who learns in one frame that it may not host, and that a shard is free, does not take it", () => {
  for (const isMinority of [false, true]) {
    const a = hosting({}, { downing: "majority" });
    const [b, c] = [rowEntry("b", a.now, { hosts: true }), rowEntry("c", a.now)];
    a.delta(B, "members", b, c);
    const value = encodeAllocation("a", { from: "b" });
    const given = { ...allocationEntry("shard-0", "a", a.now + 2, life("c")), value };
    a.delta(B, "allocations", allocationEntry("shard-0", "b", a.now + 1, life("b")));
    a.delta(B, "allocations", given);
    const stopped = { type: "stopped" as const, shard: "shard-0", token: given.time };
    const verdicts = [
      verdictEntry("b", "c", "dead", b, a.now + 2),
      verdictEntry("c", "b", "dead", c, a.now + 2),
    ];
    const news = { type: "delta" as const, maps: [{ map: "verdicts", entries: verdicts }] };
    a.receive(B, ...(isMinority ? [news] : []), stopped);
    expect(a.machine.isReady).toBe(!isMinority);
    expect(a.entry("allocations", "shard-0")?.writer).toBe(life(isMinority ? "c" : "a"));
  }
});

test("[H7] a shard that somebody else gives back while it is served is taken anew, under a new token", () => {
  const a = hosting();
  const served = token(a, "shard-0");
  a.delta(B, "allocations", allocationEntry("shard-1", "b", a.now + 1, life("b")));
  // What `b` did meanwhile was overwritten before it came here.
  const given = allocationEntry("shard-0", "a", a.now + 5, life("b"));
  const effects = [...a.delta(B, "allocations", given), ...a.pass(a.now + 2 * claimSettleMs)];
  expect(tasks(effects)).toMatchObject([
    { type: "cancel", shard: "shard-0" },
    { type: "release", shard: "shard-0", token: served },
    { type: "acquire", shard: "shard-0", token: token(a, "shard-0") },
  ]);
  expect(token(a, "shard-0")).toBeGreaterThan(given.time);
});

test("[H7] a region that serves on under a new entry tells its host the token of it", () => {
  const a = hosting();
  // It may have won over a claim that never came here.
  const { effects } = a.call({ type: "allocate", shard: "shard-0", region: "a" });
  const renewed = {
    type: "renew",
    shard: "shard-0",
    token: token(a, "shard-0"),
    writer: life("a"),
  };
  expect(tasks(effects)).toEqual([renewed]);
  // A handoff that comes to nothing, as its successor has died.
  a.receive(B, ask(a, 1)); // Something is being handled.
  a.call({ type: "allocate", shard: "shard-0", region: "b" });
  const row = rowEntry("b", a.now, { hosts: true });
  const kept = a.delta(B, "verdicts", verdictEntry("b", "c", "dead", row, a.now + 1));
  expect(tasks(kept)).toEqual([{ ...renewed, token: token(a, "shard-0") }]);
});

test("[A1, H7] a shard that is moved to where it is served stays as it is", () => {
  const a = hosting();
  const entry = allocationEntry("shard-0", "b", a.now + 1, life("b"));
  a.delta(B, "allocations", entry);
  const { effects, outcome } = a.call({ type: "allocate", shard: "shard-0", region: "b" });
  expect(outcome).toMatchObject({ ok: true, value: { region: "b", token: entry.time } });
  expect(effectsOf(effects, "persist")).toEqual([]);
});

test("[A7, H7] a claim that is answered by another claim in one step ends what was served before", () => {
  const a = hosting({}, { downing: "majority" });
  const served = token(a, "shard-0");
  const row = rowEntry("b", a.now, { hosts: true });
  const claim = allocationEntry("shard-0", "b", a.now + 5, life("b"));
  a.delta(B, "members", row);
  const effects = a.receive(B, {
    type: "delta",
    maps: [
      { map: "allocations", entries: [claim] },
      { map: "verdicts", entries: [verdictEntry("b", "c", "removed", row, a.now + 6)] },
    ],
  });
  expect(a.entry("allocations", "shard-0")?.writer).toBe(life("a"));
  const later = a.pass(a.now + 2 * claimSettleMs);
  expect(tasks([...effects, ...later])).toMatchObject([
    { type: "cancel", shard: "shard-0" },
    { type: "release", shard: "shard-0", token: served },
    { type: "acquire", shard: "shard-0", token: token(a, "shard-0") },
  ]);
});

test("[H4] a host that cannot take a shard is asked again, and people hear of it", () => {
  const a = new HandDriven("a", { downing: "off", shardCount: 1 });
  a.start();
  a.pass(100);
  a.step({ type: "host-registered", traits: TRAITS });
  const shard = "shard-0";
  expect(tasks(a.pass(500))).toMatchObject([{ type: "acquire", shard }]);
  const failure = { type: "acquired" as const, shard, token: token(a, shard), error: "No" };
  const failed = a.step({ type: "hosted", report: failure });
  expect(effectsOf(failed, "notify")).toMatchObject([{ change: { code: "HANDLER_FAILED" } }]);
  expect(tasks(a.pass(a.now + 2000))).toMatchObject([{ type: "acquire", shard: "shard-0" }]);
});

test("[S4, H1] what waits for a shard is bounded, at the region and at the router", () => {
  const a = hosting();
  const flood = Array.from({ length: SHARD_QUEUE_MAX + 2 }, (_, index) => ask(a, index + 1));
  const full = answers(a.receive(B, ...flood));
  expect(full).toMatchObject([
    { ask: SHARD_QUEUE_MAX + 2, outcome: { how: "failed", code: "BUFFER_FULL" } },
  ]);
  a.delta(B, "allocations", {
    ...allocationEntry("shard-1", "b", a.now + 1, life("b")),
    value: encodeAllocation("b", { successor: "a" }),
  });
  const last = Array.from({ length: ASKS_MAX + 1 }, (_, number) => {
    const common = { type: "asked", ask: number, shard: "shard-1", entity: "" } as const;
    return a.step({ ...common, timeoutMs: 5000, body: new Uint8Array() });
  }).at(-1);
  const [refused] = effectsOf(last ?? [], "settle-ask");
  expect(refused?.outcome).toMatchObject({ ok: false, code: "BUFFER_FULL" });
});

test("[H3] an ask that nobody takes ends with its deadline and says that it was not handled", () => {
  const a = hosting();
  const entry = allocationEntry("shard-0", "c", a.now + 1, life("c"));
  a.delta(B, "members", rowEntry("c", a.now));
  a.delta(B, "allocations", entry);
  const common = { type: "asked", ask: 1, shard: "shard-0", entity: "" } as const;
  a.step({ ...common, timeoutMs: 700, body: new Uint8Array() });
  const [settled] = effectsOf(a.pass(a.now + 701), "settle-ask");
  expect(settled?.outcome).toMatchObject({ ok: false, code: "NOT_READY" });
});

/** Two asks are under way over the link to `b`, which is closed as a duplicate. */
function adrift(): { a: HandDriven; asks: readonly Ask[] } {
  const a = hosting();
  a.delta(B, "allocations", allocationEntry("shard-1", "b", a.now + 1, life("b")));
  const asks = [1, 2].flatMap((ask) => {
    const common = { type: "asked", ask, shard: "shard-1", entity: "" } as const;
    const effects = a.step({ ...common, timeoutMs: 5000, body: new Uint8Array() });
    return sentTo(effects, B).filter((message): message is Ask => message.type === "ask");
  });
  const closed = a.step({ type: "link-closed", link: B, clean: true, code: "DUPLICATE" });
  expect(effectsOf(closed, "settle-ask")).toEqual([]);
  return { a, asks };
}

test("[G7, H3] what went over a duplicate is answered over the link that stays, and opens later", () => {
  const { a, asks } = adrift();
  const OTHER = 8;
  expect(effectsOf(a.open(OTHER, "b"), "settle-ask")).toEqual([]);
  const outcome = { how: "done", body: new Uint8Array([5]) } as const;
  const answered = a.receive(OTHER, { type: "answer", ask: asks[0]?.ask ?? 0, outcome });
  expect(effectsOf(answered, "settle-ask")).toMatchObject([{ ask: 1, outcome: { ok: true } }]);
  const lost = a.step({ type: "link-closed", link: OTHER, clean: false });
  expect(effectsOf(lost, "settle-ask")).toMatchObject([{ ask: 2, outcome: { code: "TIMEOUT" } }]);
});

test("[G7, H3] what went over a duplicate is lost when no other link opens", () => {
  const { a } = adrift();
  const ended = a.pass(a.now + TIMINGS_PATIENT.dialTimeoutMs + 1);
  expect(effectsOf(ended, "settle-ask")).toMatchObject([
    { ask: 1, outcome: { code: "TIMEOUT" } },
    { ask: 2, outcome: { code: "TIMEOUT" } },
  ]);
});

test("[G7, H3] the answer of what came over a duplicate waits for the link that stays, and opens later", () => {
  const OTHER = 8;
  for (const [code, isWaited] of [
    ["DUPLICATE", true],
    ["TIMEOUT", false], // Whoever asked has been told that nobody knows.
  ] as const) {
    const a = hosting();
    a.receive(B, ask(a, 1), ask(a, 2));
    a.step({ type: "link-congested", link: B });
    expect(answers(done(a, 1))).toEqual([]);
    a.step({ type: "link-closed", link: B, clean: true, code });
    if (isWaited) done(a, 2);
    const effects = [...a.open(OTHER, "b"), ...a.pass(a.now + 2 * TIMINGS_PATIENT.heartbeatMs)];
    const sent = sentTo(effects, OTHER).filter(({ type }) => type === "answer");
    expect(sent).toHaveLength(isWaited ? 2 : 0);
  }
  const late = hosting();
  late.receive(B, ask(late, 1));
  late.step({ type: "link-closed", link: B, clean: true, code: "DUPLICATE" });
  done(late, 1);
  late.pass(late.now + 2 * TIMINGS_PATIENT.dialTimeoutMs);
  expect(sentTo(late.open(OTHER, "b"), OTHER).some(({ type }) => type === "answer")).toBe(false);
});

test("[G7, H3] what was answered over a link that ends as a duplicate is answered again over the other", () => {
  const OTHER = 8;
  for (const [ageMs, count] of [
    [100, 1], // It may not have left this process, behind a slow disk.
    [3 * TIMINGS_PATIENT.dialTimeoutMs, 0], // By then links are no duplicates any more.
  ] as const) {
    const a = hosting();
    a.pass(a.now + ageMs);
    a.receive(B, ask(a, 1));
    expect(answers(done(a, 1))).toHaveLength(1);
    a.open(OTHER, "b");
    const effects = a.step({ type: "link-closed", link: B, clean: true, code: "DUPLICATE" });
    const again = sentTo(effects, OTHER).filter(({ type }) => type === "answer");
    expect(again).toHaveLength(count);
  }
});

test("[A9] a step that comes late serves nothing, and asks what was missed", () => {
  const a = hosting();
  const late = a.now + silenceMs + 1000;
  const effects = a.step({ type: "received", link: B, messages: [ask(a, 1)], refused: 0 }, late);
  expect(answers(effects)).toMatchObject([
    { ask: 1, outcome: { how: "refused", code: "NOT_READY" } },
  ]);
  expect(sentTo(effects, B).some(({ type }) => type === "head")).toBe(true);
});
