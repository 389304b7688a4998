/**
 * Targets that need a peer: its HTTP port, byte by byte, and the calls of its clients.
 *
 * The peer is one for all inputs, so what an input breaks may show only later. It has no tokens: whoever
 * comes may do everything, and nothing of it may be a fault of the peer.
 */
import assert from "node:assert";
import { once } from "node:events";
import { connect } from "node:net";
import { SYSTEM_CLOCK } from "../../src/io/clock.ts";
import { METHODS } from "../../src/io/rpc-methods.ts";
import { RpcSession } from "../../src/io/rpc-session.ts";
import { startPeer } from "../../src/peer.ts";
import { TO_CLIENT } from "../../src/wire/rpc-codec.ts";
import { FakeChannel, frameOf } from "../io/rpc-fakes.ts";
import { type Target, wordOf } from "./targets.ts";

/** A connection that is not over by then hangs, in ms. */
const ANSWER_MS_MAX = 15_000;

/** How long a request that may not be whole is waited for, in ms. */
const PATIENCE_MS = 20;

/** What must not be asked for: nothing would be left to be fuzzed. */
const FATAL = /leave|drain|pause/;

const REQUESTS: readonly (readonly [line: string, body?: string])[] = [
  ...["/healthz", "/readyz", "/metrics", "/v1/status", "/v1/members", "/v1/allocations"],
  ...["/v1/shards", "/v1/route?document=a&document=b", "/v1/stats", "/v1/df?term=a", "/v1/pins"],
  ...[
    "/v1/replicas?document=a&count=2",
    "/v1/ticks",
    "/v1/ticks/current",
    "/",
    "/v1/shards/shard-1",
  ],
].map((path) => [`GET ${path}`] as const);

const WRITES: typeof REQUESTS = [
  ["PUT /v1/allocations/shard-1", '{"region":"a","pin":true}'],
  ["DELETE /v1/allocations/shard-1"],
  ["POST /v1/shards", '{"key":"k","weight":2}'],
  ["DELETE /v1/shards/shard-3"],
  ["PUT /v1/shards/shard-1/metrics", '{"documents":1,"memoryBytes":2}'],
  ["PUT /v1/shards/shard-1/frequencies", '{"documents":3,"terms":{"a":1}}'],
  ["POST /v1/ticks", '{"phases":["a","b"],"timeoutMs":50}'],
  ["POST /v1/ticks/1/phases/a", '{"shard":"shard-1"}'],
  ["POST /v1/rebalance", '{"dryRun":true,"strategy":"balanced","movesMax":3}'],
];

/** Of which each method takes some. */
const ARGUMENTS: readonly unknown[][] = [
  ...[[], [{}], ["shard-1"], ["shard-1", "a"], ["shard-1", "a", { pin: true }], [["a", "b"]]],
  ...[["a", 2], [{ key: "k", weight: 2 }], [{ dryRun: true, movesMax: 3 }], ["shard-1", "a", 1]],
  ...[["shard-1", { documents: 1, memoryBytes: 2 }], [{ phases: ["a"], timeoutMs: 9 }], ["a", 1]],
  [["shard-1", { documents: 3, terms: new Map([["a", 1]]) }]].flat(),
];

const requestOf = ([line, body]: readonly [string, string?]): Buffer => {
  const content =
    body === undefined
      ? ""
      : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
  return Buffer.from(
    `${line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${content}\r\n${body ?? ""}`,
  );
};

export async function serverTargets(): Promise<{ targets: Target[]; close: () => Promise<void> }> {
  const faults: unknown[] = [];
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (fields: object) => faults.push(fields),
  };
  const peer = await startPeer({ name: "a", listen: "127.0.0.1:0", shards: 8, logger });
  const [host = "", port = ""] = peer.address.split(":");
  const judge = (): void => {
    assert.deepStrictEqual(faults, []);
    assert(peer.isReady, "the peer serves");
  };

  const http: Target = {
    ...{ name: "http", head: 0, isSlow: true },
    seeds: [...REQUESTS, ...WRITES].map(requestOf),
    async run(bytes) {
      if (FATAL.test(Buffer.from(bytes).toString("latin1"))) return "left out";
      const socket = connect(Number(port), host).on("error", () => {});
      const timeout = setTimeout(() => socket.destroy(new Error("late")), ANSWER_MS_MAX);
      let answer = "";
      socket.on("data", (chunk) => {
        answer += answer.length < 1000 ? chunk.toString("latin1") : "";
      });
      socket.write(bytes);
      // Who ends first is not answered: what is whole has its answer by then.
      const ends = setTimeout(() => socket.end(), PATIENCE_MS);
      await once(socket, "close");
      clearTimeout(timeout);
      clearTimeout(ends);
      judge();
      return (answer.match(/HTTP\/1\.1 \d+/g) ?? ["none"]).slice(0, 3).join(" ");
    },
  };

  const call = (method: string, args: unknown[], id: string) =>
    frameOf({ type: "call", id, method, args, timeoutMs: 100 }).slice();
  const methods = Object.keys(METHODS).filter((method) => !FATAL.test(method));
  const session: Target = {
    ...{ name: "session", head: 4, isSlow: true },
    seeds: ARGUMENTS.flatMap((args, index) =>
      methods.map((method) => call(method, args, `${index}${method}`)),
    ),
    async run(bytes) {
      if (FATAL.test(Buffer.from(bytes).toString("latin1"))) return "left out";
      const channel = new FakeChannel();
      const { name, incarnation } = peer;
      const client = new RpcSession({
        ...{ channel, target: peer, clock: SYSTEM_CLOCK, scope: () => "admin" },
        onFault: (error) => faults.push(error),
        welcome: { type: "welcome", name, incarnation, cluster: "hearsay" },
      });
      client.receive(bytes);
      for (let turns = 0; turns < 3; turns += 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      const said = channel
        .take(TO_CLIENT)
        .map((each) =>
          each.type === "refusal" ? `${each.code} ${wordOf(each.message)}` : each.type,
        );
      client.dispose();
      judge();
      return `${said.slice(0, 4).join(" ")} ${channel.endedWith ?? ""}`;
    },
  };
  return { targets: [http, session], close: () => peer.close() };
}
