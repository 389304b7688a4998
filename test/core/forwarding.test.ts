import { describe, expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import { CALLS_MAX, PASSED_ON_MAX } from "../../src/core/limits.ts";
import type { Message, Value } from "../../src/core/message.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { Cluster } from "./cluster.ts";
import {
  allocationEntry,
  beat,
  effectsOf,
  HandDriven,
  persisted,
  rowEntry,
  sentTo,
} from "./machines.ts";

/** a, founded and ready, of three members: b on link 1, c on link 2; b hosts shard-1. */
function trio(): HandDriven {
  const driven = new HandDriven("a");
  driven.start();
  driven.open(1, "b");
  driven.open(2, "c");
  driven.delta(1, "members", rowEntry("b", 1), rowEntry("c", 1));
  driven.delta(1, "allocations", allocationEntry("shard-1", "b", 2));
  return driven;
}

const metrics = (shard: string, documents = 7) => {
  return { type: "shard-metrics", shard, documents, memoryBytes: 9 } as const;
};

const callOf = (shard: string, documents = 7): Value => [1, shard, documents, 9];

const request = (number: number, fields: object = {}): Message =>
  ({
    type: "request",
    request: number,
    hops: 1,
    deadlineMs: 5000,
    call: callOf("shard-0"),
    ...fields,
  }) as Message;

const answers = (effects: readonly Effect[]) =>
  effectsOf(effects, "answer").map(({ call, outcome }) =>
    outcome.ok ? [call, outcome.value] : [call, outcome.code],
  );

const responses = (effects: readonly Effect[], link: number) =>
  sentTo(effects, link).filter((message) => message.type === "response");

const requests = (effects: readonly Effect[], link: number) =>
  sentTo(effects, link).filter((message) => message.type === "request");

describe("the peer that is called", () => {
  test("[P1] a call that another peer must carry out is sent to it, with the time that is left", () => {
    const driven = trio();
    const { effects } = driven.call(metrics("shard-1"));
    expect(effects).toEqual([
      {
        type: "send",
        links: [1],
        message: {
          type: "request",
          request: 1,
          hops: 1,
          deadlineMs: 10_000,
          call: [1, "shard-1", 7, 9],
        },
      },
    ]);
  });

  test("[P1] a call that this peer must carry out is not passed on", () => {
    const driven = trio();
    const { effects, outcome } = driven.call(metrics("shard-0"));
    expect(outcome).toEqual({ ok: true, value: undefined });
    expect(persisted(effects)).toEqual(["metrics shard-0"]);
    expect(requests(effects, 1)).toEqual([]);
  });

  test("[P2] the outcome comes back to whoever called", () => {
    const driven = trio();
    driven.call(metrics("shard-1"));
    driven.call(metrics("shard-1"));
    const refused = { ok: false, code: "NOT_READY", message: "Cannot" } as const;
    const effects = driven.receive(
      1,
      { type: "response", request: 2, outcome: refused },
      { type: "response", request: 1, outcome: { ok: true, value: null } },
    );
    expect(answers(effects)).toEqual([
      [2, "NOT_READY"],
      [1, undefined],
    ]);
  });

  test("[P2] a response that nobody waits for, of another peer or a second one changes nothing", () => {
    const driven = trio();
    driven.call(metrics("shard-1"));
    const response = (number: number): Message => {
      return { type: "response", request: number, outcome: { ok: true, value: null } };
    };
    expect(driven.receive(2, response(1))).toEqual([]);
    expect(driven.receive(1, response(2))).toEqual([]);
    expect(answers(driven.receive(1, response(1)))).toEqual([[1, undefined]]);
    expect(driven.receive(1, response(1))).toEqual([]);
  });

  test("[P3] an answer that cannot be one is a refusal", () => {
    const driven = trio();
    driven.call(metrics("shard-1"));
    const outcome = { ok: true, value: ["?"] } as const;
    expect(answers(driven.receive(1, { type: "response", request: 1, outcome }))).toEqual([
      [1, "BAD_REQUEST"],
    ]);
  });

  test("[P2] when the link ends, the outcome of what was sent is unknown, and that is said", () => {
    const driven = trio();
    driven.call(metrics("shard-1"));
    const effects = driven.step({ type: "link-closed", link: 1, clean: false });
    const [answer] = effectsOf(effects, "answer");
    expect(answer?.outcome).toEqual({
      ok: false,
      code: "TIMEOUT",
      message: 'Cannot tell whether to shard-metrics was done: the link to "b" has ended',
    });
  });

  test("[P2] an answer may come over another link to the same life of the peer", () => {
    const driven = trio();
    driven.call(metrics("shard-1"));
    driven.open(3, "b");
    expect(answers(driven.step({ type: "link-closed", link: 1, clean: true }))).toEqual([]);
    const outcome = { ok: true, value: null } as const;
    expect(answers(driven.receive(3, { type: "response", request: 1, outcome }))).toEqual([
      [1, undefined],
    ]);
  });

  test("[P2] when the time is over, the outcome of what was sent is unknown", () => {
    const driven = trio();
    driven.call(metrics("shard-1"));
    const seen: [number, unknown][] = [];
    driven.pass(10_500, (effects, now) => {
      driven.receive(1, beat(now));
      for (const answer of answers(effects)) seen.push([now, answer]);
    });
    expect(seen).toEqual([[10_000, [1, "TIMEOUT"]]]);
  });

  test("[P1] a carrier without a link is dialled, and gets the call when the link stands", () => {
    const driven = trio();
    driven.step({ type: "link-closed", link: 1, clean: true, code: "DUPLICATE" });
    const { effects, outcome } = driven.call(metrics("shard-1"));
    expect(outcome).toBeUndefined();
    const dial = effectsOf(effects, "dial").find(({ address }) => address === "b:1");
    driven.call(metrics("shard-1"));
    const opened = driven.open(3, "b", {}, dial?.dial);
    expect(requests(opened, 3).map((message) => message.request)).toEqual([1, 2]);
  });

  test("[P2] a carrier that cannot be dialled did nothing, and that is said", () => {
    const driven = trio();
    driven.step({ type: "link-closed", link: 1, clean: true, code: "DUPLICATE" });
    const { effects } = driven.call(metrics("shard-1"));
    const dial = effectsOf(effects, "dial").find(({ address }) => address === "b:1")?.dial ?? 0;
    const failed = driven.step({ type: "dial-failed", dial, failure: "unreachable" });
    expect(effectsOf(failed, "answer")[0]?.outcome).toEqual({
      ok: false,
      code: "UNREACHABLE",
      message: 'Cannot shard-metrics: "b" cannot be reached; nothing was done',
    });
  });

  test("[P2] a carrier whose name nobody knows yet cannot be reached", () => {
    const driven = trio();
    driven.delta(1, "allocations", allocationEntry("shard-1", "z", 3));
    expect(driven.call(metrics("shard-1")).outcome).toMatchObject({ code: "UNREACHABLE" });
  });

  test("[S4] calls on their way are bounded", () => {
    const driven = trio();
    for (let count = 0; count < CALLS_MAX; count += 1) driven.call(metrics("shard-1"));
    expect(driven.call(metrics("shard-1")).outcome).toMatchObject({ code: "BUFFER_FULL" });
    driven.step({ type: "link-closed", link: 1, clean: false });
    expect(driven.call(metrics("shard-0")).outcome).toMatchObject({ ok: true });
  });
});

describe("the peer that is asked", () => {
  test("[P1] it carries the call out as if it had been called there, and answers when it is durable", () => {
    const driven = trio();
    const effects = driven.receive(1, request(1));
    expect(effects.map(({ type }) => type)).toEqual(["persist", "send", "send"]);
    expect(persisted(effects)).toEqual(["metrics shard-0"]);
    expect(responses(effects, 1)).toEqual([
      { type: "response", request: 1, outcome: { ok: true, value: null } },
    ]);
  });

  test("[P1] a refusal is an answer, too", () => {
    const driven = trio();
    const effects = driven.receive(1, request(1, { call: callOf("shard-9") }));
    expect(responses(effects, 1)).toEqual([
      {
        type: "response",
        request: 1,
        outcome: {
          ok: false,
          code: "SHARD_NOT_FOUND",
          message: 'Cannot shard-metrics "shard-9": there is no such shard',
        },
      },
    ]);
  });

  test("[P2] what comes twice is carried out once", () => {
    const driven = trio();
    expect(persisted(driven.receive(1, request(5)))).toEqual(["metrics shard-0"]);
    expect(driven.receive(1, request(5), request(4))).toEqual([]);
  });

  test("[P2] a call is passed on once more by a peer that is not the carrier, and no further", () => {
    const driven = trio();
    const ball = (number: number, hops: number) =>
      driven.receive(2, request(number, { hops, call: callOf("shard-1") }));
    const passedOn = ball(1, 1);
    expect(requests(passedOn, 1)).toMatchObject([{ request: 1, hops: 2, deadlineMs: 5000 }]);
    expect(responses(ball(2, 2), 2)).toMatchObject([{ outcome: { code: "UNREACHABLE" } }]);
    const outcome = { ok: true, value: null } as const;
    const back = driven.receive(1, { type: "response", request: 1, outcome });
    expect(responses(back, 2)).toEqual([{ type: "response", request: 1, outcome }]);
  });

  test("[P2, G7] a response waits for the link that stays when it opens later than the other one ends", () => {
    const waited = (ms: number) => {
      const driven = trio();
      driven.receive(2, request(1, { call: callOf("shard-1") }));
      driven.step({ type: "link-closed", link: 2, clean: true, code: "DUPLICATE" });
      const outcome = { ok: true, value: null } as const;
      driven.receive(1, { type: "response", request: 1, outcome });
      driven.now += ms;
      return responses(driven.open(9, "c"), 9);
    };
    expect(waited(50)).toMatchObject([{ request: 1, outcome: { ok: true } }]);
    expect(waited(2 * TIMINGS.lan.dialTimeoutMs)).toEqual([]);
  });

  test("[P1] what comes when its time is over is not carried out", () => {
    const effects = trio().receive(1, request(1, { deadlineMs: 0 }));
    expect(persisted(effects)).toEqual([]);
    expect(responses(effects, 1)).toMatchObject([{ outcome: { code: "TIMEOUT" } }]);
  });

  test.each<[string, Value]>([
    ["an unknown call", [99, "shard-0"]],
    ["a call with a field too few", [1, "shard-0", 7]],
    ["a call with a field too many", [1, "shard-0", 7, 9, 9]],
    ["a shard that is no name", [1, "../shard", 7, 9]],
    ["a negative count", [1, "shard-0", -1, 9]],
    ["a fraction", [1, "shard-0", 7, 0.5]],
    ["a count of text", [1, "shard-0", "7", 9]],
    ["nothing", []],
  ])("[P3] %s is refused, and changes nothing", (_, call) => {
    const effects = trio().receive(1, request(1, { call }));
    expect(effects).toEqual([
      {
        type: "send",
        links: [1],
        message: {
          type: "response",
          request: 1,
          outcome: {
            ok: false,
            code: "BAD_REQUEST",
            message: "Cannot carry out a call: it is unknown, or malformed",
          },
        },
      },
    ]);
  });

  test("[P1] a peer that is not ready answers so", () => {
    const driven = new HandDriven("a", { join: ["b:1"] });
    driven.start();
    driven.open(1, "b");
    const effects = driven.receive(1, request(1));
    expect(responses(effects, 1)).toMatchObject([{ outcome: { code: "NOT_READY" } }]);
  });

  test("[S4] what one peer can have passed on at once is bounded", () => {
    const driven = trio();
    const asked = Array.from({ length: PASSED_ON_MAX + 1 }, (_, index) =>
      request(index + 1, { call: callOf("shard-1") }),
    );
    const effects = driven.receive(2, ...asked);
    expect(requests(effects, 1)).toHaveLength(PASSED_ON_MAX);
    expect(responses(effects, 2)).toMatchObject([{ outcome: { code: "BUFFER_FULL" } }]);
    const ended = driven.step({ type: "link-closed", link: 1, clean: false });
    expect(responses(ended, 2)).toHaveLength(PASSED_ON_MAX);
  });
});

describe("a cluster", () => {
  test("[P1] a call reaches the region of its shard from any peer", () => {
    const cluster = new Cluster("a b c").settled();
    for (const [shard, region] of cluster.table("a")) {
      for (const name of ["a", "b", "c"]) {
        const answered = cluster.callUntil(name, metrics(shard, region.charCodeAt(0)), 1000);
        expect(answered).toEqual({ ok: true, value: undefined });
      }
    }
    cluster.run(100);
    for (const [key, entry] of cluster.entries("c")) {
      if (key.startsWith("metrics "))
        expect(entry.writer).toContain(`-${cluster.table("c").get(entry.key)}:`);
    }
    expect(cluster.isEqual).toBe(true);
  });

  test("[P2] a call to a region that is killed ends, and says that its outcome is unknown", () => {
    const cluster = new Cluster("a b c").settled();
    const [shard = ""] = [...cluster.table("a")].find(([, region]) => region === "b") ?? [];
    cluster.peer("b").pause();
    const answer = cluster.later("a", metrics(shard));
    cluster.run(10);
    expect(answer()).toBeUndefined();
    cluster.peer("b").kill();
    cluster.runUntil(() => answer() !== undefined, 5000);
    expect(answer()).toMatchObject({ ok: false, code: "TIMEOUT" });
  });

  test("[P2] a call to a region behind a cut ends in time", () => {
    const cluster = new Cluster("a b c").settled();
    const [shard = ""] = [...cluster.table("a")].find(([, region]) => region === "b") ?? [];
    cluster.cut("b", "a c");
    const answer = cluster.later("a", metrics(shard));
    cluster.runUntil(() => answer() !== undefined, 10_100);
    expect(answer()).toMatchObject({ ok: false, code: "TIMEOUT" });
  });
});
