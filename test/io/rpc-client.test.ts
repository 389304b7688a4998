import fc from "fast-check";
import { expect, test } from "vitest";
import { RPC_CALLS_MAX } from "../../src/core/limits.ts";
import { type Request, RpcClient } from "../../src/io/rpc-client.ts";
import type { ClientMessage } from "../../src/wire/rpc-codec.ts";
import { FakeClock } from "./fake-clock.ts";
import { type FakeAttempt, fakeDial, turn } from "./rpc-fakes.ts";

/** What became of a call, in order. */
type Outcome = readonly [what: "answered" | "item" | "ended" | "failed", value?: unknown];

/** A client whose network and clock the test moves. `random` is the jitter: 1, so that waits are longest. */
function createClient(addresses: readonly string[] = ["a:1"]) {
  const attempts: FakeAttempt[] = [];
  const clock = new FakeClock();
  const events: string[] = [];
  const client = new RpcClient({
    ...{ addresses, clock, dial: fakeDial(attempts), random: () => 1 },
    onConnected: (address, { name }) => events.push(`connected to ${name} at ${address}`),
    onDisconnected: ({ code, reason }) => events.push(`${code}: ${reason}`),
  });
  return {
    ...{ client, attempts, clock, events },
    last: () => attempts.at(-1) as FakeAttempt,
    begin(method: string, options: Partial<Request> = {}) {
      const outcomes: Outcome[] = [];
      const cancel = client.call(
        {
          ...{ method, args: [], isRepeatable: true, isStream: false },
          ...{ timeoutMs: 1000, signal: undefined },
          ...options,
        },
        {
          answered: (value) => outcomes.push(["answered", value]),
          item: (value) => outcomes.push(["item", value]),
          ended: () => outcomes.push(["ended"]),
          failed: (error) => outcomes.push(["failed", error]),
        },
      );
      return { outcomes, cancel };
    },
  };
}

/** The same, connected to the first address. */
async function createConnected(addresses?: readonly string[]) {
  const test = createClient(addresses);
  const connected = test.client.connect();
  test.last().welcome();
  await connected;
  return test;
}

const write: Partial<Request> = { isRepeatable: false };
const stream: Partial<Request> = { isStream: true, timeoutMs: Infinity };

const methodsOf = (messages: readonly ClientMessage[]): string[] =>
  messages.map((message) => (message.type === "call" ? message.method : message.type));

const idOf = (message: ClientMessage | undefined): string =>
  message !== undefined && "id" in message ? message.id : "";

test("[Q1] calls of one turn leave in one frame, in order, each with a name of its own", async () => {
  const { begin, last } = await createConnected();
  const calls = Array.from({ length: 1000 }, (_, index) => begin(`method-${index}`));
  await turn();
  const { channel } = last();
  expect(channel.frames).toHaveLength(1);
  const heard = last().heard();
  expect(methodsOf(heard)).toEqual(calls.map((_, index) => `method-${index}`));
  expect(new Set(heard.map(idOf)).size).toBe(1000);
  // Whatever the order of the answers, each finds its call.
  const answers = heard.map((message, value) => ({
    ...{ type: "answer" as const, id: idOf(message), value },
  }));
  last().say(...answers.reverse());
  expect(calls.map(({ outcomes }) => outcomes)).toEqual(
    calls.map((_, index) => [["answered", index]]),
  );
});

test("[Q1] a refusal arrives with code, message and whether to try again", async () => {
  const { begin, last } = await createConnected();
  const { outcomes } = begin("allocate");
  const later = begin("allocate");
  await turn();
  const [id, other] = last().heard().map(idOf) as [string, string];
  last().say({ type: "refusal", id, code: "NOT_READY", message: "Cannot allocate: it has left" });
  last().say({ type: "refusal", id: other, code: "OF_A_LATER_RELEASE", message: "Cannot" });
  const error = { code: "NOT_READY", message: "Cannot allocate: it has left", retryable: true };
  expect(outcomes).toMatchObject([["failed", { ...error, name: "HearsayError" }]]);
  expect(later.outcomes).toMatchObject([["failed", { code: "OF_A_LATER_RELEASE" }]]);
});

test("[B5] a refusal names the stragglers that the peer names", async () => {
  const { begin, last } = await createConnected();
  const { outcomes } = begin("waitForPhase");
  await turn();
  const [id] = last().heard().map(idOf) as [string];
  const stragglers = ["shard-1", "shard-7"];
  last().say({ type: "refusal", id, code: "TICK_ABORTED", message: "Cannot wait", stragglers });
  expect(outcomes).toMatchObject([["failed", { code: "TICK_ABORTED", stragglers }]]);
});

test("[Q3] a deadline travels as what is left of it, and the peer hears when it is over", async () => {
  const { begin, last, clock, client } = createClient();
  void client.connect();
  const early = begin("status", { timeoutMs: 1000 });
  const endless = begin("ready", { timeoutMs: Infinity });
  clock.advanceTo(400);
  last().welcome();
  await turn();
  expect(last().heard()).toMatchObject([{ timeoutMs: 600 }, { timeoutMs: 0 }]);
  clock.advanceTo(1000);
  const message = "Cannot call status: no answer within 1000 ms";
  expect(early.outcomes).toMatchObject([["failed", { code: "TIMEOUT", message }]]);
  expect(endless.outcomes).toEqual([]);
  await turn();
  expect(last().heard()).toMatchObject([{ type: "cancel" }]);
});

test("[Q3] who stops waiting hears it at once, and so does the peer", async () => {
  const { begin, last } = await createConnected();
  const controller = new AbortController();
  const { outcomes } = begin("allocate", { signal: controller.signal, ...write });
  await turn();
  const id = idOf(last().heard()[0]);
  controller.abort(new Error("The user has left"));
  await turn();
  expect(last().heard()).toEqual([{ type: "cancel", id }]);
  last().say({ type: "answer", id, value: 1 }); // Too late.
  expect(outcomes).toEqual([["failed", new Error("The user has left")]]);
  begin("allocate", { signal: AbortSignal.abort() });
  const { cancel } = begin("members");
  cancel();
  await turn();
  expect(methodsOf(last().heard())).toEqual(["members", "cancel"]);
});

test("[Q4] one call too many is refused before it is sent", async () => {
  const { begin, last } = await createConnected();
  const calls = Array.from({ length: RPC_CALLS_MAX }, () => begin("members"));
  const { outcomes } = begin("members");
  expect(outcomes).toMatchObject([["failed", { code: "BUFFER_FULL", retryable: true }]]);
  calls[0]?.cancel();
  expect(begin("members").outcomes).toEqual([]);
  await turn();
  expect(last().heard()).toHaveLength(RPC_CALLS_MAX + 2); // One of them was cancelled.
});

test("[S4] arguments that no frame holds are an error of their call", async () => {
  const { begin, last } = await createConnected();
  const { outcomes } = begin("publish", { args: [new Uint8Array(1_048_576)] });
  expect(outcomes).toMatchObject([["failed", { code: "FRAME_TOO_LARGE" }]]);
  await turn();
  expect(last().heard()).toEqual([]);
});

test("[Q2] of calls whose connection is lost those that may be repeated are, and no others", async () => {
  const { begin, attempts, clock } = await createConnected(["a:1", "b:1"]);
  const read = begin("members");
  const written = begin("allocate", write);
  await turn();
  clock.advanceTo(300);
  attempts[0]?.close();
  expect(written.outcomes).toMatchObject([
    ["failed", { code: "TIMEOUT", message: expect.stringContaining("whether it was done") }],
  ]);
  const unsent = begin("release", write); // Nobody has got it, so it may wait.
  clock.advanceTo(300);
  expect(attempts.map(({ address }) => address)).toEqual(["a:1", "b:1"]);
  attempts[1]?.welcome();
  await turn();
  const heard = attempts[1]?.heard() ?? [];
  expect(methodsOf(heard)).toEqual(["members", "release"]);
  expect(heard).toMatchObject([{ timeoutMs: 700 }, { timeoutMs: 1000 }]);
  attempts[1]?.say({ type: "answer", id: idOf(heard[0]), value: [] });
  attempts[1]?.say({ type: "answer", id: idOf(heard[1]), value: {} });
  expect(read.outcomes).toEqual([["answered", []]]);
  expect(unsent.outcomes).toEqual([["answered", {}]]);
  expect(written.outcomes).toHaveLength(1);
});

test("[Q2] a call that was never sent says so, and that nothing has happened", async () => {
  const { begin, last, clock, attempts } = await createConnected();
  last().close();
  const { outcomes } = begin("allocate", write);
  clock.advanceTo(1000);
  expect(outcomes).toMatchObject([
    ["failed", { code: "UNREACHABLE", message: expect.stringContaining("nothing was sent") }],
  ]);
  last().welcome();
  await turn();
  expect(attempts.flatMap((attempt) => attempt.heard())).toEqual([]);
});

test("[Q2] whatever is lost and when, no write reaches peers twice, and every call ends once", async () => {
  const step = fc.oneof(
    fc.constantFrom("read", "write", "answer", "lose", "turn", "welcome"),
    fc.nat(300),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { begin, attempts, clock, last, client } = await createConnected(["a:1", "b:1"]);
      const calls: { outcomes: Outcome[] }[] = [];
      const heard: ClientMessage[] = [];
      const hear = (): ClientMessage[] => {
        const messages = attempts.flatMap((attempt) => attempt.heard());
        heard.push(...messages);
        return messages;
      };
      for (const each of steps) {
        if (typeof each === "number") clock.advanceTo(clock.now() + each);
        else if (each === "read") calls.push(begin(`read-${calls.length}`));
        else if (each === "write") calls.push(begin(`write-${calls.length}`, write));
        else if (each === "lose") last().close();
        else if (each === "welcome") last().welcome();
        else await turn();
        if (each !== "answer") continue;
        for (const message of hear()) {
          last().say({ type: "answer", id: idOf(message), value: null });
        }
      }
      clock.advanceTo(clock.now() + 5000);
      hear();
      const writes = methodsOf(heard).filter((method) => method.startsWith("write"));
      expect(new Set(writes).size).toBe(writes.length);
      for (const { outcomes } of calls) expect(outcomes).toHaveLength(1);
      client.close();
      expect(clock.alarmsPending).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test("[Q5] a stream goes on over the next connection, and says that it has begun again", async () => {
  const { begin, attempts, clock } = await createConnected(["a:1", "b:1"]);
  const { outcomes, cancel } = begin("watch", stream);
  await turn();
  const id = idOf(attempts[0]?.heard()[0]);
  attempts[0]?.say({ type: "answer", id, value: undefined }, { type: "item", id, value: 1 });
  attempts[0]?.close();
  clock.advanceTo(0);
  attempts[1]?.welcome();
  await turn();
  expect(methodsOf(attempts[1]?.heard() ?? [])).toEqual(["watch"]);
  attempts[1]?.say({ type: "answer", id, value: undefined }, { type: "item", id, value: 2 });
  expect(outcomes).toEqual([
    ...[
      ["answered", undefined],
      ["item", 1],
      ["answered", undefined],
    ],
    ["item", 2],
  ]);
  cancel();
  await turn();
  expect(attempts[1]?.heard()).toEqual([{ type: "cancel", id }]);
  attempts[1]?.say({ type: "end", id });
  expect(outcomes).toHaveLength(4);
});

test("[Q1] addresses are tried in order, and the first that answers is taken", async () => {
  const { client, attempts, events, clock } = createClient(["a:1", "b:1", "c:1"]);
  const connected = client.connect();
  attempts[0]?.close(undefined, "was refused: nothing listens there");
  clock.advanceTo(2999);
  expect(attempts).toHaveLength(2);
  clock.advanceTo(3000); // Connected, and silent.
  expect(attempts[1]?.channel.isTerminated).toBe(true);
  attempts[1]?.welcome("late");
  attempts[2]?.welcome("c");
  await connected;
  expect(events).toEqual(["connected to c at c:1"]);
  expect(client.peer).toEqual({ name: "c", incarnation: "c-1", cluster: "c" });
});

test("[Q1] a client that nobody lets in says why, and is over", async () => {
  const { client, attempts, begin, clock } = createClient(["a:1", "b:1"]);
  const connected = client.connect();
  attempts[0]?.close("AUTH_FAILED", "was refused: the peer does not take this token");
  attempts[1]?.close(undefined, "was refused: nothing listens there");
  await expect(connected).rejects.toMatchObject({
    code: "AUTH_FAILED",
    message:
      "Cannot connect: the connection to a:1 was refused: the peer does not take this token; " +
      "the connection to b:1 was refused: nothing listens there",
  });
  expect(begin("members").outcomes).toMatchObject([["failed", { code: "CLOSED" }]]);
  expect(clock.alarmsPending).toBe(0);
  const nobody = createClient();
  const refused = nobody.client.connect();
  nobody.last().close();
  await expect(refused).rejects.toMatchObject({ code: "UNREACHABLE" });
});

test("[Q2] a lost connection is made again at once, and then after longer and longer waits", async () => {
  const { attempts, last, clock, events } = await createConnected();
  const dialledAt: number[] = [];
  last().close("LEAVING", "was closed: LEAVING");
  while (dialledAt.length < 11) {
    const before = attempts.length;
    for (let ms = clock.now(); attempts.length === before; ms += 1) clock.advanceTo(ms);
    dialledAt.push(clock.now());
    last().close();
  }
  const waits = dialledAt.map((at, index) => at - (dialledAt[index - 1] ?? 0));
  expect(waits).toEqual([0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
  expect(events).toEqual(["connected to a at a:1", "LEAVING: was closed: LEAVING"]);
});

test("[Q4] a peer that closes what it has just opened is not asked faster and faster", async () => {
  const { attempts, last, clock } = await createConnected();
  const count = (untilMs: number): number => {
    const before = attempts.length;
    while (clock.now() < untilMs) {
      last().welcome();
      last().close("RATE_LIMITED", "was closed: RATE_LIMITED");
      clock.advanceTo(clock.now() + 10);
    }
    return attempts.length - before;
  };
  expect(count(20_000)).toBeLessThan(15);
  let before = attempts.length;
  while (attempts.length === before) clock.advanceTo(clock.now() + 10);
  last().welcome();
  clock.advanceTo(clock.now() + 5000); // It lasted.
  before = attempts.length;
  last().close();
  clock.advanceTo(clock.now());
  expect(attempts).toHaveLength(before + 1);
});

test("[S9] a silent connection is asked for a sign of life, and cut when none comes", async () => {
  const { attempts, last, clock, events } = await createConnected();
  clock.advanceTo(5000);
  await turn();
  expect(last().heard()).toEqual([{ type: "ping" }]);
  last().say({ type: "pong" });
  clock.advanceTo(19_999);
  await turn();
  expect(last().heard()).toEqual([{ type: "ping" }, { type: "ping" }]);
  clock.advanceTo(20_000);
  expect(attempts[0]?.channel.isTerminated).toBe(true);
  expect(events.at(-1)).toBe("TIMEOUT: was cut: the peer has been silent");
  expect(attempts).toHaveLength(2);
});

test("[S5] a peer that sends what is no frame is left, and the calls go to another", async () => {
  const { attempts, begin, clock } = await createConnected(["a:1", "b:1"]);
  const { outcomes } = begin("members");
  await turn();
  attempts[0]?.sayBytes(Uint8Array.of(1, 0x91, 0xc1));
  expect(attempts[0]?.channel.endedWith).toBe("MALFORMED_FRAME");
  clock.advanceTo(0);
  attempts[1]?.welcome();
  await turn();
  const id = idOf(attempts[1]?.heard()[0]);
  attempts[1]?.say({ type: "answer", id: "nobody's", value: 1 }, { type: "answer", id, value: 2 });
  expect(outcomes).toEqual([["answered", 2]]);
});

test("[Q1] a client that is closed says goodbye, and nothing of it is left", async () => {
  const { client, begin, last, clock, attempts } = await createConnected();
  const calls = [begin("members"), begin("allocate", write), begin("watch", stream)];
  client.close();
  client.close();
  for (const { outcomes } of calls)
    expect(outcomes).toMatchObject([["failed", { code: "CLOSED" }]]);
  expect(last().channel.endedWith).toBe("CLOSED");
  last().close("CLOSED");
  clock.advanceTo(60_000);
  expect(attempts).toHaveLength(1);
  expect(clock.alarmsPending).toBe(0);
  expect(client.peer).toBeUndefined();
});
