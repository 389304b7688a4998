import { describe, expect, test } from "vitest";
import type { Contribution } from "../../src/core/contribution.ts";
import { encodeInParts, encodeTerms } from "../../src/core/contribution.ts";
import { hashOfTerm } from "../../src/core/frequency-chunks.ts";
import { SHARD_TERMS_MAX, STAGED_MAX, STAGED_PART_LENGTH } from "../../src/core/limits.ts";
import type { Message } from "../../src/core/message.ts";
import { encodeFrames } from "../../src/wire/frames.ts";
import { Cluster } from "./cluster.ts";
import { effectsOf, HandDriven, persisted, sentTo, WALL_MS } from "./machines.ts";
import { publishAt, vocabulary } from "./vocabularies.ts";

const SHARD = "shard-1";

function region(): HandDriven {
  const driven = new HandDriven("a");
  driven.start();
  driven.pass(2000);
  return driven;
}

const publication = (contribution: Contribution, shard = SHARD) =>
  ({ type: "publish-frequencies", shard, contribution }) as const;

/** What a peer says of a few terms. */
function df(cluster: Cluster, name: string, ...terms: string[]) {
  const { view } = cluster.machine(name);
  const { documents, frequencies, missing } = view.frequencies.globalDf(terms, cluster.now);
  return { documents, counts: terms.map((term) => frequencies.get(term)), missing: missing.length };
}

/** A shard that `name` hosts. */
function shardOf(cluster: Cluster, name: string): string {
  const [shard] = [...cluster.table(name)].find(([, owner]) => owner === name) ?? [];
  if (shard === undefined) throw new Error(`"${name}" hosts nothing`);
  return shard;
}

describe("what is written", () => {
  test("[D3] changing k terms writes at most k chunks and the header", () => {
    const driven = region();
    const { documents, terms } = vocabulary(5000);
    publishAt(driven, SHARD, { documents, terms });
    for (const count of [1, 7, 100]) {
      const changed = new Map(terms);
      for (let n = 0; n < count; n += 1) changed.set(`w${n * 41}`, 1 + ((n + count) % 99));
      for (let n = 0; n < count; n += 3) changed.delete(`w${n * 41}`);
      const { entries, result } = publishAt(driven, SHARD, { documents, terms: changed });
      expect(entries.length).toBe(result[1] + 1);
      expect(result[1]).toBeGreaterThan(0);
      expect(result[1]).toBeLessThanOrEqual(count);
      publishAt(driven, SHARD, { documents, terms });
    }
  });

  test("[D3] changing 100 terms of 100 000 takes less than 24 kB", () => {
    const driven = region();
    const { documents, terms } = vocabulary(100_000, 1000);
    const named = new Map([...terms].map(([term, n]) => [`${term}-term`, n]));
    publishAt(driven, SHARD, { documents, terms: named });
    for (let n = 0; n < 100; n += 1) named.set(`w${n * 997}-term`, 999);
    const { entries } = publishAt(driven, SHARD, { documents, terms: named });
    const frames = encodeFrames([{ type: "delta", maps: [{ map: "frequencies", entries }] }]);
    expect(frames.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(24_000);
  });

  test("[D3] publishing the same again writes nothing", () => {
    const driven = region();
    publishAt(driven, SHARD, vocabulary(500));
    const { entries, result } = publishAt(driven, SHARD, vocabulary(500));
    expect([entries, result]).toEqual([[], [32, 0]]);
  });

  test("[D3] a vocabulary that shrinks leaves no chunk behind", () => {
    const driven = region();
    publishAt(driven, SHARD, vocabulary(500));
    publishAt(driven, SHARD, vocabulary(0, 0));
    const kept = driven.machine.entries().find(({ map }) => map === "frequencies")?.entries ?? [];
    const live = kept.filter(({ value }) => value !== undefined).map(({ key }) => key);
    expect(live.sort()).toEqual([SHARD, `${SHARD}/0`]);
    expect(driven.machine.view.frequencies.termCount).toBe(0);
  });

  test("[D1] what documents come to is published by their region alone, and passed on to nobody", () => {
    const cluster = new Cluster("a b").settled();
    const shard = shardOf(cluster, "b");
    const contribution = vocabulary(3);
    const request = { type: "publish-hosted-frequencies", shard, contribution } as const;
    expect(cluster.call("a", request)).toMatchObject({ ok: false, code: "NOT_OWNER" });
    expect(cluster.call("b", request)).toMatchObject({ ok: true });
  });

  test("[D1] a region that is new to a shard writes all of it anew, under its own token", () => {
    const driven = region();
    publishAt(driven, SHARD, vocabulary(500));
    driven.call({ type: "allocate", shard: SHARD, region: "a" });
    const { entries, result } = publishAt(driven, SHARD, vocabulary(500));
    expect(result).toEqual([32, 32]);
    const { token, writer } = driven.machine.view.allocation(SHARD) ?? {};
    const header = entries.find(({ key }) => key === SHARD)?.value;
    expect((header as readonly unknown[]).slice(0, 2)).toEqual([token, writer]);
  });

  test("[D1] what somebody else wrote in between is put right by publishing again", () => {
    const driven = region();
    publishAt(driven, SHARD, vocabulary(500));
    const stamp = { time: driven.machine.clockTime + 1, writer: "z" };
    const strange = { key: `${SHARD}/3`, value: "nothing of ours", ...stamp };
    driven.open(1, "b");
    driven.delta(1, "frequencies", strange, { ...strange, key: SHARD, value: [1] });
    const { frequencies } = driven.machine.view;
    expect(frequencies.globalDf([], WALL_MS).missing).toContain(SHARD);
    const { entries } = publishAt(driven, SHARD, vocabulary(500));
    expect(entries.map(({ key }) => key).sort()).toEqual([SHARD, `${SHARD}/3`]);
    expect(frequencies.globalDf([], WALL_MS).missing).toEqual(["shard-0"]);
  });
});

test("[D1] what came in the same frame as the call is put right, too", () => {
  const driven = region();
  const { documents, terms } = vocabulary(20);
  publishAt(driven, SHARD, { documents, terms });
  driven.open(1, "b");
  const stamp = { time: driven.machine.clockTime + 1, writer: "z" };
  const strange = { key: SHARD, value: [1], ...stamp };
  driven.receive(
    1,
    { type: "delta", maps: [{ map: "frequencies", entries: [strange] }] },
    {
      ...{ type: "request", request: 1, hops: 1, deadlineMs: 5000 },
      call: [16, SHARD, documents, encodeTerms(terms)],
    },
  );
  const { frequencies } = driven.machine.view;
  expect(frequencies.globalDf([], WALL_MS).missing).toEqual(["shard-0"]);
});

describe("what is refused", () => {
  test.each([
    ["BAD_REQUEST", { documents: -1, terms: new Map() }],
    ["BAD_REQUEST", { documents: 9, terms: new Map([...vocabulary(9, 9).terms, ["x", 1.5]]) }],
    [
      "BAD_REQUEST",
      {
        documents: 9,
        terms: new Map([
          ["a", 1],
          ["x".repeat(10_000), 1],
        ] as const),
      },
    ],
    ["FRAME_TOO_LARGE", vocabulary(SHARD_TERMS_MAX + 1)],
    // Terms that were made to share a chunk.
    ["BAD_REQUEST", colliding(200)],
  ] as [string, Contribution][])("[D1] %s: nothing is written", (code, contribution) => {
    const driven = region();
    publishAt(driven, SHARD, vocabulary(20));
    const before = driven.machine.status().replica;
    const { effects, outcome } = driven.call(publication(contribution));
    expect(outcome).toMatchObject({ ok: false, code });
    expect([persisted(effects), driven.machine.status().replica]).toEqual([[], before]);
  });

  test("[D1] a shard that is not there, or has no region, publishes nothing", () => {
    const driven = region();
    const { outcome } = driven.call(publication(vocabulary(1), "shard-9"));
    expect(outcome).toMatchObject({ ok: false, code: "SHARD_NOT_FOUND" });
    const alone = new HandDriven("a", { join: ["b:1"] });
    alone.start();
    expect(alone.call(publication(vocabulary(1))).outcome).toMatchObject({ code: "NOT_READY" });
  });
});

/** Terms whose hashes begin alike, so that they are in one chunk of 16. */
function colliding(count: number): Contribution {
  const terms = new Map<string, number>();
  for (let n = 0; terms.size < count; n += 1)
    if (hashOfTerm(`w${n}`) >>> 28 === 3) terms.set(`w${n}`, 1);
  return { documents: 1, terms };
}

describe("from another peer", () => {
  test("[D1] a call is passed on to the shard's region, which alone writes", () => {
    const cluster = new Cluster("a b c").settled();
    const shard = shardOf(cluster, "b");
    cluster.peer("a").call(publication(vocabulary(200), shard));
    cluster.run(1000);
    for (const name of ["a", "b", "c"]) {
      expect(df(cluster, name, "w0", "w5", "w200")).toEqual({
        ...{ documents: 100, counts: [1, 6, 0], missing: 11 },
      });
    }
    const writers = [...cluster.entries("c")]
      .filter(([key]) => key.startsWith("frequencies "))
      .map(([, { writer }]) => writer);
    expect(new Set(writers)).toEqual(new Set([cluster.machine("b").incarnation]));
  });

  test("[D1] a vocabulary in parts is published with the last of them, and not before", () => {
    const driven = region();
    driven.open(1, "b");
    const { documents, terms } = vocabulary(40_000);
    const parts = encodeInParts(terms, STAGED_PART_LENGTH);
    expect(parts.length).toBeGreaterThan(2);
    const call = (number: number, ...fields: (string | number)[]): Message => ({
      ...{ type: "request", request: number, hops: 1, deadlineMs: 5000, call: fields },
    });
    const responseTo = (message: Message) => sentTo(driven.receive(1, message), 1).at(-1);
    const { frequencies } = driven.machine.view;
    for (const [part, text] of parts.entries()) {
      const answer = responseTo(call(part + 1, 17, SHARD, "b-1", part, text));
      expect(answer).toMatchObject({ outcome: { ok: true, value: null } });
      expect(frequencies.termCount).toBe(0);
    }
    const last = call(900, 18, SHARD, "b-1", parts.length, documents);
    expect(responseTo(last)).toMatchObject({ outcome: { ok: true, value: [4096, 4096] } });
    expect(frequencies.termCount).toBe(40_000);
    // They are handed out once, and nothing is published without them.
    const again = responseTo(call(901, 18, SHARD, "b-1", parts.length, documents));
    expect(again).toMatchObject({ outcome: { ok: false, code: "NOT_OWNER" } });
  });

  test("[D1] parts that are out of order, malformed or given up publish nothing", () => {
    const driven = region();
    const stage = (part: number, text: string, id = "x") =>
      driven.call({
        ...{ type: "stage-frequencies", shard: SHARD, publication: id, part, text },
      }).outcome;
    const publish = (parts: number, id = "x") =>
      driven.call({
        ...{ type: "publish-staged-frequencies", shard: SHARD, publication: id, parts },
        documents: 9,
      }).outcome;
    expect(stage(1, "AAa")).toMatchObject({ code: "NOT_OWNER" });
    expect(publish(0)).toMatchObject({ code: "NOT_OWNER" });
    expect([stage(0, "AAa"), stage(2, "AAb")]).toMatchObject([{ ok: true }, { code: "NOT_OWNER" }]);
    expect([stage(0, "AAa"), stage(1, "AAa"), publish(2)]).toMatchObject([
      ...[{ ok: true }, { ok: true }, { code: "BAD_REQUEST" }],
    ]);
    expect([stage(0, "Aja"), publish(1)]).toMatchObject([{ ok: true }, { code: "BAD_REQUEST" }]);
    expect([stage(0, "A@a"), publish(1)]).toMatchObject([{ ok: true }, { code: "BAD_REQUEST" }]);
    stage(0, "AAa");
    driven.pass(driven.now + 31_000);
    stage(0, "AAb", "y");
    expect(publish(1)).toMatchObject({ code: "NOT_OWNER" });
    expect(driven.machine.view.frequencies.termCount).toBe(0);
    expect(publish(1, "y")).toMatchObject({ ok: true });
  });

  test("[S4] only so many vocabularies wait for the rest of themselves", () => {
    const driven = region();
    const outcomes = Array.from({ length: STAGED_MAX + 1 }, (_, n) => {
      const part = { shard: SHARD, publication: `p${n}`, part: 0, text: "AAa" };
      return driven.call({ type: "stage-frequencies", ...part }).outcome;
    });
    expect(outcomes.filter((outcome) => outcome?.ok).length).toBe(STAGED_MAX);
    expect(outcomes.at(-1)).toMatchObject({ ok: false, code: "BUFFER_FULL" });
  });

  test("[D1, D4] what a shard has published survives its region, and counts once after it moved", () => {
    const cluster = new Cluster("a b c", { downing: "off" }).settled();
    for (const [shard, owner] of cluster.table("a")) {
      cluster.call(owner, publication(vocabulary(100, 10), shard));
    }
    cluster.run(1000);
    const expected = { documents: 120, counts: [12, 24], missing: 0 };
    expect(df(cluster, "b", "w0", "w1")).toEqual(expected);
    cluster.peer("c").kill();
    cluster.runUntil(() => ![...cluster.table("a").values()].includes("c"), 20_000);
    expect(df(cluster, "a", "w0", "w1")).toEqual(expected);
    for (const [shard, owner] of cluster.table("a")) {
      cluster.call(owner, publication(vocabulary(100, 10), shard));
    }
    cluster.run(2000);
    for (const name of ["a", "b"]) expect(df(cluster, name, "w0", "w1")).toEqual(expected);
  });
});

test("[G1] a publication is one piece of news, in as few messages as hold it", () => {
  const driven = region();
  driven.open(1, "b");
  const { effects } = driven.call(publication(vocabulary(2000)));
  const deltas = sentTo(effects, 1).filter(({ type }) => type === "delta");
  expect([deltas.length, effectsOf(effects, "persist").length]).toEqual([1, 1]);
});
