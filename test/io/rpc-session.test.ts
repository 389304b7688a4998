import { expect, test } from "vitest";
import { HearsayError } from "../../src/core/error.ts";
import {
  RPC_BUFFERED_BYTES_HIGH,
  RPC_CALLS_MAX,
  RPC_SILENCE_MS,
  RPC_STALL_BYTES,
  RPC_STALL_MS,
  RPC_STREAMS_MAX,
} from "../../src/core/limits.ts";
import type { Scope } from "../../src/io/client-access.ts";
import type { RpcTarget } from "../../src/io/rpc-methods.ts";
import { RpcSession } from "../../src/io/rpc-session.ts";
import { Watcher } from "../../src/io/watcher.ts";
import { type ClientMessage, type ServerMessage, TO_CLIENT } from "../../src/wire/rpc-codec.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeChannel, frameOf, turn } from "./rpc-fakes.ts";

type Methods = { readonly [Name in keyof RpcTarget]?: (...args: never[]) => unknown };

/** A session with a peer that has only these methods. */
function openSession(methods: Methods = {}, scope: Scope = "admin") {
  const channel = new FakeChannel();
  const clock = new FakeClock();
  const faults: unknown[] = [];
  const session = new RpcSession({
    ...{ channel, clock, target: methods as RpcTarget },
    welcome: { type: "welcome", name: "a", incarnation: "a-1", cluster: "c" },
    onFault: (error) => faults.push(error),
    scope: () => scope,
  });
  return {
    ...{ channel, clock, session, faults },
    /** Says these to the peer, and returns what it says in that turn. */
    async say(...messages: readonly ClientMessage[]): Promise<ServerMessage[]> {
      await turn();
      channel.take(TO_CLIENT);
      session.receive(frameOf(...messages));
      await turn();
      return channel.take(TO_CLIENT);
    },
    async hear(): Promise<ServerMessage[]> {
      await turn();
      return channel.take(TO_CLIENT);
    },
  };
}

const call = (id: string, method: string, args: readonly unknown[] = [], timeoutMs = 0) =>
  ({ type: "call", id, method, timeoutMs, args }) as const;

const answer = (id: string, value: unknown) => ({ type: "answer", id, value }) as const;

test("[Q1] the peer says who it is first", async () => {
  const { hear } = openSession();
  expect(await hear()).toEqual([{ type: "welcome", name: "a", incarnation: "a-1", cluster: "c" }]);
});

test("[Q1] calls are carried out in order, and what one turn brings is answered in one frame", async () => {
  const carriedOut: unknown[] = [];
  const { session, channel, hear } = openSession({
    regionFor: (shard: string) => carriedOut.push(shard),
  });
  await hear();
  const ids = Array.from({ length: 100 }, (_, index) => `${index}`);
  for (const id of ids) session.receive(frameOf(call(id, "regionFor", [`shard-${id}`])));
  expect(carriedOut).toEqual([]);
  await turn();
  expect(carriedOut).toEqual(ids.map((id) => `shard-${id}`));
  expect(channel.frames).toHaveLength(1);
  expect(channel.take(TO_CLIENT)).toEqual(ids.map((id, index) => answer(id, index + 1)));
});

test("[Q1] what a method throws or rejects with arrives as its code", async () => {
  const { say, faults } = openSession({
    routeDocument: () => {
      throw new HearsayError("NO_SHARDS", "Cannot route: no shard is registered");
    },
    allocate: async () => {
      throw new HearsayError("NOT_READY", "Cannot allocate: it has left");
    },
    members: () => {
      throw new TypeError("x is not a function");
    },
    waitForPhase: () =>
      Promise.reject(new HearsayError("PHASE_TIMEOUT", "Late", { stragglers: ["shard-1"] })),
    release: () => Promise.reject(new RangeError("Too far")),
    status: () => ({ links: Number.NaN }),
  });
  const heard = await say(
    ...[call("1", "routeDocument", ["d"]), call("2", "allocate", ["s", "a"])],
    ...[call("3", "members"), call("4", "release", ["s"]), call("5", "status")],
    call("6", "waitForPhase", ["sense", 1]),
  );
  const failed = { code: "HANDLER_FAILED", message: "Cannot answer: the peer has failed" };
  expect(heard.sort((a, b) => ("id" in a && "id" in b ? Number(a.id) - Number(b.id) : 0))).toEqual([
    {
      type: "refusal",
      id: "1",
      code: "NO_SHARDS",
      message: "Cannot route: no shard is registered",
    },
    { type: "refusal", id: "2", code: "NOT_READY", message: "Cannot allocate: it has left" },
    ...["3", "4", "5"].map((id) => ({ type: "refusal", id, ...failed })),
    { type: "refusal", id: "6", code: "PHASE_TIMEOUT", message: "Late", stragglers: ["shard-1"] },
  ]);
  expect(faults).toHaveLength(3); // These are the peer's own, and say nothing to strangers.
});

test("[S4] what is no call of the table is refused before the peer hears of it", async () => {
  const reached: unknown[] = [];
  const method = (...args: unknown[]): void => void reached.push(args);
  const { say, channel } = openSession({
    ...{ allocate: method, routeDocument: method, rebalance: method, status: method },
  });
  const wrong = [
    ...[call("1", "close"), call("2", "__proto__"), call("3", "constructor"), call("4", "leave")],
    ...[call("5", "allocate"), call("6", "allocate", ["s"]), call("7", "allocate", ["a b", "a"])],
    ...[call("8", "allocate", ["s", "a", "more"]), call("9", "routeDocument", [7])],
    ...[call("10", "routeDocument", ["x".repeat(65_537)]), call("11", "rebalance", ["yes"])],
    ...[call("12", "rebalance", [{ dryRun: 1 }]), call("13", "rebalance", [{ dryrun: true }])],
    ...[call("14", "status", [{}]), call("15", "rebalance", [{ __proto__: null, signal: true }])],
  ];
  const heard = await say(...wrong);
  expect(heard.map((each) => "code" in each && each.code)).toEqual(wrong.map(() => "BAD_REQUEST"));
  expect(heard.some((each) => "message" in each && /dryrun|a b|xxx/.test(each.message))).toBe(
    false,
  );
  expect(reached).toEqual([]);
  expect(channel.endedWith).toBeUndefined(); // It may make sense next time.
});

test("[S2] a client may call what its token allows, and nothing of the rest is begun", async () => {
  const method = (): null => null;
  const methods = { members: method, watch: method, allocate: method, rebalance: method };
  const calls = [
    ...[call("1", "members"), call("2", "allocate", ["s", "a"])],
    call("3", "rebalance", [{ dryRun: true }]),
  ];
  const forbidden = (id: string, name: string, scope: string): ServerMessage => ({
    ...{ type: "refusal", id, code: "FORBIDDEN" },
    message: `Cannot call ${name}: the token has no scope "${scope}"`,
  });
  expect(await openSession(methods, "read").say(...calls)).toEqual([
    answer("1", null),
    forbidden("2", "allocate", "write"),
    forbidden("3", "rebalance", "admin"),
  ]);
  expect(await openSession(methods, "write").say(...calls)).toEqual([
    ...[answer("1", null), answer("2", null), forbidden("3", "rebalance", "admin")],
  ]);
  expect(await openSession(methods, "admin").say(...calls)).toEqual(
    ["1", "2", "3"].map((id) => answer(id, null)),
  );
});

test("[S5] a malformed frame ends the session, and calls under way hear of it", async () => {
  let signal: AbortSignal | undefined;
  const { session, channel, say } = openSession({
    ready: (options: { signal: AbortSignal }) => {
      signal = options.signal;
      return new Promise(() => {});
    },
  });
  await say(call("1", "ready", [{}]));
  expect(signal?.aborted).toBe(false);
  session.receive(Uint8Array.of(1, 0x93, 1, 2));
  expect(channel.endedWith).toBe("MALFORMED_FRAME");
  expect(signal?.aborted).toBe(true);
  session.receive(frameOf({ type: "ping" }));
  expect(await turn().then(() => channel.frames)).toEqual([]);
});

test("[S5] a second call of the same name ends the session: answers could not be told apart", async () => {
  for (const method of ["members", "ready"]) {
    const { session, channel } = openSession({
      members: () => [],
      ready: () => new Promise(() => {}),
    });
    session.receive(frameOf(call("1", method)));
    if (method === "ready") await turn();
    session.receive(frameOf(call("1", "members")));
    expect(channel.endedWith).toBe("MALFORMED_FRAME");
  }
});

test("[Q3] a method that waits is told when its deadline is over, or it was cancelled", async () => {
  const signals: AbortSignal[] = [];
  const { say, hear, clock } = openSession({
    ready: ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    },
  });
  expect(await say(call("1", "ready", [{}], 100), call("2", "ready"))).toEqual([]);
  expect(await say({ type: "cancel", id: "2" }, { type: "cancel", id: "9" })).toEqual([]);
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, true]);
  clock.advanceTo(100);
  const message = "Cannot call ready: no answer within 100 ms";
  expect(await hear()).toEqual([{ type: "refusal", id: "1", code: "TIMEOUT", message }]);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test("[Q3] a call that is cancelled before its turn is never begun, and a late answer is dropped", async () => {
  const carriedOut: string[] = [];
  let resolve: (value: unknown) => void = () => {};
  const { say, hear } = openSession({
    regionFor: (shard: string) => void carriedOut.push(shard),
    allocate: () =>
      new Promise((done) => {
        resolve = done;
      }),
  });
  expect(await say(call("1", "regionFor", ["s"]), { type: "cancel", id: "1" })).toEqual([]);
  expect(carriedOut).toEqual([]);
  await say(call("2", "allocate", ["s", "a"]));
  await say({ type: "cancel", id: "2" });
  resolve({ shard: "s" });
  expect(await hear()).toEqual([]);
  expect(await say(call("2", "allocate", ["s", "a"]))).toEqual([]); // The name is free again.
});

test("[Q4] one call too many is refused, and the others are not", async () => {
  const { say } = openSession({ ready: () => new Promise(() => {}), members: () => [] });
  const calls = Array.from({ length: RPC_CALLS_MAX + 2 }, (_, index) => call(`${index}`, "ready"));
  const full = { code: "BUFFER_FULL", message: "Cannot call: 1000 calls wait for an answer" };
  expect(await say(...calls)).toEqual(
    ["1000", "1001"].map((id) => ({ type: "refusal", id, ...full })),
  );
  expect(await say({ type: "cancel", id: "0" }, call("x", "members"))).toEqual([answer("x", [])]);
});

test("[Q4] a long list of calls is carried out bit by bit, so that others have their turn", async () => {
  const test = openSession({ regionFor: () => test.clock.advanceTo(test.clock.now() + 2) });
  await test.hear();
  const calls = Array.from({ length: 30 }, (_, index) => call(`${index}`, "regionFor", ["s"]));
  test.session.receive(frameOf(...calls));
  const counts: number[] = [];
  while (counts.length < 20 && counts.reduce((a, b) => a + b, 0) < 30) {
    await new Promise((resolve) => setImmediate(resolve));
    counts.push(test.channel.take(TO_CLIENT).length);
  }
  expect(Math.max(...counts)).toBe(3); // 5 ms of calls that take 2 ms each.
  expect(counts.reduce((a, b) => a + b, 0)).toBe(30);
});

test("[Q4] for a client that does not read nothing is done, until it does", async () => {
  let carriedOut = 0;
  const { say, hear, channel, session } = openSession({
    regionFor: () => {
      carriedOut += 1;
    },
  });
  channel.bufferedBytes = RPC_BUFFERED_BYTES_HIGH;
  await say(call("1", "regionFor", ["s"]));
  expect(channel.isPaused).toBe(true);
  await say(call("2", "regionFor", ["s"])); // Was on its way.
  expect(carriedOut).toBe(1);
  session.noticeWritten();
  expect(channel.isPaused).toBe(true);
  channel.bufferedBytes = 0;
  session.noticeWritten();
  expect(channel.isPaused).toBe(false);
  expect(await hear()).toEqual([answer("2", undefined)]);
});

test("[Q4] a client that does not read on is closed, and one that reads slowly is not", async () => {
  const { say, channel, clock } = openSession({ members: () => [] });
  channel.bufferedBytes = 2 * RPC_BUFFERED_BYTES_HIGH;
  await say(call("1", "members"));
  channel.bufferedBytes -= RPC_STALL_BYTES + 100;
  clock.advanceTo(RPC_STALL_MS);
  expect(channel.endedWith).toBeUndefined();
  channel.bufferedBytes -= 100;
  clock.advanceTo(2 * RPC_STALL_MS);
  expect(channel.endedWith).toBe("BUFFER_FULL");
  expect(channel.isTerminated).toBe(true);
  expect(clock.alarmsPending).toBe(0);
});

test("[Q4] a client to whom far too much is on its way is closed at once", async () => {
  const { say, channel } = openSession({ members: () => [] });
  channel.bufferedBytes = 2 ** 30;
  await say(call("1", "members"));
  expect(channel.endedWith).toBe("BUFFER_FULL");
});

test("[S4] a result that no frame holds is an error of its call", async () => {
  const { say } = openSession({ snapshot: () => new Uint8Array(17_000_000), members: () => [] });
  expect(await say(call("1", "snapshot"), call("2", "members"))).toMatchObject([
    { type: "refusal", id: "1", code: "FRAME_TOO_LARGE" },
    answer("2", []),
  ]);
});

test("[S9] a client that is silent keeps no session, and a ping is a sign of life", async () => {
  const { say, channel, clock } = openSession();
  clock.advanceTo(RPC_SILENCE_MS - 1);
  expect(await say({ type: "ping" })).toEqual([{ type: "pong" }]);
  clock.advanceTo(2 * RPC_SILENCE_MS - 2);
  expect(channel.endedWith).toBeUndefined();
  clock.advanceTo(2 * RPC_SILENCE_MS - 1);
  expect(channel.endedWith).toBe("TIMEOUT");
  expect(channel.isTerminated).toBe(true);
});

test("[Q5] a stream says that it has begun, then each item, then that it is over", async () => {
  const changes = new Watcher<unknown>(10, () => {});
  const { say, hear } = openSession({ watch: () => changes });
  expect(await say(call("1", "watch", [{}]))).toEqual([answer("1", undefined)]);
  changes.put({ type: "ready" });
  changes.put({ type: "release" });
  expect(await hear()).toEqual([
    { type: "item", id: "1", value: { type: "ready" } },
    { type: "item", id: "1", value: { type: "release" } },
  ]);
  changes.end();
  expect(await hear()).toEqual([{ type: "end", id: "1" }]);
});

test("[Q5] a stream waits for a slow client, and ends with a code if it waited too long", async () => {
  const changes = new Watcher<unknown>(3, () => {});
  const { say, hear, channel, session } = openSession({ watch: () => changes });
  await say(call("1", "watch"));
  channel.bufferedBytes = RPC_BUFFERED_BYTES_HIGH;
  changes.put(0);
  expect(await hear()).toHaveLength(1);
  for (let item = 1; item <= 5; item += 1) changes.put(item);
  expect(await hear()).toEqual([]);
  channel.bufferedBytes = 0;
  session.noticeWritten();
  expect(await hear()).toMatchObject([
    ...[1, 2, 3].map((value) => ({ type: "item", id: "1", value })),
    { type: "refusal", id: "1", code: "BUFFER_FULL" },
  ]);
});

test("[Q5] a stream ends with its cancellation and with its session, and there are not too many", async () => {
  const signals: AbortSignal[] = [];
  let ended = 0;
  const { say, session } = openSession({
    watch: ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      const changes = new Watcher<unknown>(3, () => {
        ended += 1;
      });
      signal.addEventListener("abort", () => changes.end());
      return changes;
    },
  });
  const ids = Array.from({ length: RPC_STREAMS_MAX }, (_, index) => `${index}`);
  await say(...ids.map((id) => call(id, "watch", [{}])));
  expect(await say(call("x", "watch"))).toMatchObject([{ id: "x", code: "RATE_LIMITED" }]);
  expect(await say({ type: "cancel", id: "3" })).toEqual([]);
  expect(ended).toBe(1);
  expect(await say(call("x", "watch"))).toEqual([answer("x", undefined)]);
  session.dispose();
  await turn();
  expect(ended).toBe(RPC_STREAMS_MAX + 1);
  expect(signals.every(({ aborted }) => aborted)).toBe(true);
});
