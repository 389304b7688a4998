import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import type { Peer } from "../../src/peer.ts";
import { start, startCluster, until } from "../peers.ts";

/** Sends a request; answers the status and the body. */
async function ask(peer: Peer, method: string, path: string, body?: unknown) {
  const [host, port] = peer.address.split(":");
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const sent = httpRequest({ ...{ host, port, method, path, headers }, agent: false });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode, json: JSON.parse(Buffer.concat(chunks).toString()) };
}

const SHARDS = ["shard-0", "shard-1", "shard-2"];

test("[B1, B2] ticks by HTTP answer what the contract says", async () => {
  const a = await start("a", { shards: 3 });
  await until([a], () => a.allocations().length === 3);
  const idle = { tick: 0, phase: null, phases: [], completed: [], pending: [], state: "idle" };
  expect(await ask(a, "GET", "/v1/ticks/current")).toEqual({ status: 200, json: idle });
  const running = {
    ...{ tick: 1, phase: "sense", phases: ["sense", "act"], completed: [], pending: SHARDS },
    state: "running",
  };
  const asked = { phases: ["Sense", "ACT"], timeoutMs: 60_000 };
  expect(await ask(a, "POST", "/v1/ticks", asked)).toEqual({ status: 200, json: running });
  expect(await ask(a, "POST", "/v1/ticks")).toMatchObject({
    status: 409,
    json: { error: { code: "TICK_IN_PROGRESS" } },
  });
  const complete = (shard: string, phase: string) =>
    ask(a, "POST", `/v1/ticks/1/phases/${phase}`, { shard });
  expect((await complete("shard-1", "sense")).json).toEqual({
    ...{ ...running, completed: ["shard-1"], pending: ["shard-0", "shard-2"] },
  });
  for (const phase of ["sense", "act"]) for (const shard of SHARDS) await complete(shard, phase);
  expect((await ask(a, "GET", "/v1/ticks/current")).json).toEqual({
    ...{ ...running, phase: "act", completed: SHARDS, pending: [], state: "complete" },
  });
  expect((await ask(a, "GET", "/v1/ticks")).json).toEqual([
    { tick: 1, phases: ["sense", "act"], state: "complete", stragglers: [] },
  ]);
  expect((await complete("shard-0", "act")).json.error.code).toBe("STALE_TICK");
});

test("[R3, R6, R7] shards, replicas and totals by HTTP", async () => {
  const [a, b] = await startCluster("a", "b");
  const registered = await ask(a, "POST", "/v1/shards", { key: "k", weight: 2 });
  const { shard } = registered.json;
  expect(registered).toMatchObject({ status: 200, json: { shard, documents: 0 } });
  await until([b], () => b.regionFor(shard) !== undefined);
  expect((await ask(b, "POST", "/v1/shards", { key: "k" })).json.shard).toBe(shard);
  expect((await ask(a, "POST", "/v1/shards")).json.shard).toMatch(/^shard-[0-9a-f]{16}$/);
  const metrics = { documents: 3, memoryBytes: 4096 };
  expect(await ask(b, "PUT", `/v1/shards/${shard}/metrics`, metrics)).toEqual({
    status: 200,
    json: { shard, ...metrics },
  });
  await until([a], () => a.totalDocuments() === 3);
  expect((await ask(a, "GET", "/v1/stats")).json).toEqual(a.clusterStats());
  const { status, json } = await ask(a, "GET", "/v1/replicas?document=__proto__&count=2");
  expect([status, json]).toEqual([200, a.replicaShards("__proto__", 2)]);
  expect((await ask(a, "GET", "/v1/replicas?document=x")).json.complete).toBe(false);
  expect(await ask(a, "DELETE", `/v1/shards/${shard}`)).toEqual({
    status: 200,
    json: { shard, status: "removed" },
  });
});

test.each<[string, string, unknown, number, string]>([
  ["POST", "/v1/shards", { key: 7 }, 400, "BAD_REQUEST"],
  ["POST", "/v1/shards", { key: "" }, 400, "BAD_REQUEST"],
  ["POST", "/v1/shards", { key: "k".repeat(257) }, 400, "BAD_REQUEST"],
  ["POST", "/v1/shards", { weight: 1000 }, 400, "BAD_REQUEST"],
  ["POST", "/v1/shards", [], 400, "BAD_REQUEST"],
  ["DELETE", "/v1/shards/shard-99", undefined, 404, "SHARD_NOT_FOUND"],
  ["DELETE", "/v1/shards/__proto__", undefined, 400, "BAD_REQUEST"],
  ["PUT", "/v1/shards/shard-0/metrics", {}, 400, "BAD_REQUEST"],
  ["PUT", "/v1/shards/shard-0/metrics", { documents: -1, memoryBytes: 0 }, 400, "BAD_REQUEST"],
  ["PUT", "/v1/shards/shard-0/metrics", { documents: 1, memoryBytes: 0.5 }, 400, "BAD_REQUEST"],
  ["PUT", "/v1/shards/shard-9/metrics", { documents: 1, memoryBytes: 0 }, 404, "SHARD_NOT_FOUND"],
  ["GET", "/v1/replicas", undefined, 400, "BAD_REQUEST"],
  ["GET", "/v1/replicas?document=a&document=b", undefined, 400, "BAD_REQUEST"],
  ["GET", "/v1/replicas?document=a&count=0", undefined, 400, "BAD_REQUEST"],
  ["GET", "/v1/replicas?document=a&count=1e9", undefined, 400, "BAD_REQUEST"],
  ["GET", "/v1/replicas?document=a&count=1&count=2", undefined, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks", { phases: [] }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks", { phases: "sense" }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks", { phases: ["<b>"] }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks", { phases: [7] }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks", { timeoutMs: 0 }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks", { timeoutMs: "1" }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks/9/phases/sense", { shard: "shard-0" }, 404, "TICK_NOT_FOUND"],
  ["POST", "/v1/ticks/0/phases/sense", { shard: "shard-0" }, 404, "TICK_NOT_FOUND"],
  ["POST", "/v1/ticks/-1/phases/sense", { shard: "shard-0" }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks/1e9/phases/sense", { shard: "shard-0" }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks/1/phases/sense", {}, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks/1/phases/sense", { shard: "../x" }, 400, "BAD_REQUEST"],
  ["POST", "/v1/ticks/1/phases/sense", { shard: "shard-9" }, 404, "SHARD_NOT_FOUND"],
])("%s %s %j is answered %i %s", async (method, path, body, status, code) => {
  const a = await start("a", { shards: 1 });
  await until([a], () => a.allocations().length === 1);
  const answer = await ask(a, method, path, body);
  expect([answer.status, answer.json.error.code]).toEqual([status, code]);
  expect(JSON.stringify(answer.json)).not.toContain("<b>");
});
