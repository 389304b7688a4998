import { request } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { expect, test, vi } from "vitest";
import type { Peer } from "../../src/peer.ts";
import { start, startCluster } from "../peers.ts";

/** Sends a body as it is, and reads the answer as JSON. */
function send(peer: Peer, method: string, path: string, body = "") {
  const [host, port] = peer.address.split(":");
  const headers = body === "" ? {} : { "content-type": "application/json" };
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = request({ host, port, method, path, agent: false, headers }, (response) => {
      textOf(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Frequencies come without an event of their own. */
const until = (isSo: () => boolean): Promise<unknown> =>
  vi.waitUntil(isSo, { timeout: 20_000, interval: 5 });

const put = (peer: Peer, shard: string, body: string) =>
  send(peer, "PUT", `/v1/shards/${shard}/frequencies`, body);

const get = (peer: Peer, ...terms: string[]) =>
  send(peer, "GET", `/v1/df?${terms.map((term) => `term=${encodeURIComponent(term)}`).join("&")}`);

test("[D1, D4] frequencies are published for any shard at any peer, and asked of every peer", async () => {
  const [a, b] = await startCluster("a", "b");
  const shards = a.shards().map(({ shard }) => shard);
  for (const shard of shards) {
    const answer = await put(a, shard, '{"documents": 3, "terms": {"gossip": 2, "é": 1}}');
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toEqual({
      shard,
      documents: 3,
      terms: 2,
      chunks: 1,
      changed: 1,
    });
  }
  await until(() => b.globalDf([]).complete);
  for (const peer of [a, b]) {
    const { status, text } = await get(peer, "gossip", "é", "absent");
    const { ageMs, ...rest } = JSON.parse(text);
    expect(status).toBe(200);
    expect(ageMs).toBeGreaterThanOrEqual(0);
    expect(rest).toEqual({
      ...{ documents: 48, frequencies: { gossip: 32, é: 16, absent: 0 } },
      ...{ complete: true, missing: [] },
    });
  }
});

test("[D1] __proto__ and its like are ordinary terms", async () => {
  const a = await start("a");
  const body = '{"documents": 5, "terms": {"__proto__": 4, "constructor": 3, "toString": 2}}';
  expect(await put(a, "shard-0", body)).toMatchObject({ status: 200 });
  const { text } = await get(a, "__proto__", "constructor", "toString", "valueOf");
  expect(text).toContain('"frequencies":{"__proto__":4,"constructor":3,"toString":2,"valueOf":0}');
  expect(a.globalDf(["__proto__"]).frequencies.get("__proto__")).toBe(4);
});

test.each([
  [
    "a shard that is not there",
    "shard-99",
    '{"documents": 1, "terms": {}}',
    404,
    "SHARD_NOT_FOUND",
  ],
  ["nothing", "shard-0", "{}", 400, "BAD_REQUEST"],
  ["a list", "shard-0", "[]", 400, "BAD_REQUEST"],
  ["no terms", "shard-0", '{"documents": 1}', 400, "BAD_REQUEST"],
  ["a list of terms", "shard-0", '{"documents": 1, "terms": [1]}', 400, "BAD_REQUEST"],
  ["a count that is text", "shard-0", '{"documents": 1, "terms": {"a": "1"}}', 400, "BAD_REQUEST"],
  ["a negative count", "shard-0", '{"documents": 9, "terms": {"a": -1}}', 400, "BAD_REQUEST"],
  ["a fractional count", "shard-0", '{"documents": 9, "terms": {"a": 0.5}}', 400, "BAD_REQUEST"],
  ["huge counts", "shard-0", '{"documents": 1e300, "terms": {"a": 1e300}}', 400, "BAD_REQUEST"],
  ["minus zero documents", "shard-0", '{"documents": -0, "terms": {}}', 400, "BAD_REQUEST"],
  [
    "a term that is no text",
    "shard-0",
    '{"documents": 9, "terms": {"\\ud800": 1}}',
    400,
    "BAD_REQUEST",
  ],
  [
    "a term of 10 kB",
    "shard-0",
    `{"documents": 9, "terms": {"${"x".repeat(10_000)}": 1}}`,
    400,
    "BAD_REQUEST",
  ],
  ["a shard that is no name", "-", '{"documents": 1, "terms": {}}', 400, "BAD_REQUEST"],
])("[D1] %s is refused, and nothing changes", async (_, shard, body, status, code) => {
  const a = await start("a");
  const before = a.status().replica;
  const answer = await put(a, shard, body);
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.text)).toEqual({ error: { code, message: expect.any(String) } });
  expect(answer.text).not.toContain("xxxx");
  expect(a.status().replica).toBe(before);
});

test("[D1] a million terms are too many, and nothing changes", async () => {
  const a = await start("a");
  const before = a.status().replica;
  const terms = Array.from({ length: 1_000_000 }, (_, n) => `"t${n}":1`).join(",");
  const answer = await put(a, "shard-0", `{"documents":1,"terms":{${terms}}}`).catch(
    () => undefined,
  );
  // Where the answer is not lost: the peer closes before it has read all of it.
  if (answer !== undefined) {
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: "FRAME_TOO_LARGE" } });
  }
  const many = new Map(Array.from({ length: 1_000_000 }, (_, n) => [`t${n}`, 1] as const));
  const publishing = a.publishFrequencies("shard-0", { documents: 1, terms: many });
  await expect(publishing).rejects.toMatchObject({ code: "FRAME_TOO_LARGE" });
  expect(a.status().replica).toBe(before);
});

test("[D1] whoever asks for no term is told so", async () => {
  const a = await start("a");
  expect((await send(a, "GET", "/v1/df")).status).toBe(400);
});

test("[D1] a vocabulary that no request holds reaches the region in parts", async () => {
  const [a, b] = await startCluster("a", "b");
  const shard = a.allocations().find(({ region }) => region === "b")?.shard as string;
  const terms = new Map(
    Array.from({ length: 60_000 }, (_, n) => [`term-${n}`, 1 + (n % 9)] as const),
  );
  await a.publishFrequencies(shard, { documents: 10, terms });
  const isThere = (peer: Peer) => !peer.globalDf([]).missing.includes(shard);
  await until(() => isThere(a) && isThere(b));
  for (const peer of [a, b]) {
    const { documents, frequencies } = peer.globalDf(terms.keys());
    expect(documents).toBe(10);
    expect(frequencies).toEqual(terms);
  }
  await expect(
    a.publishFrequencies(shard, { documents: 10, terms: new Map([...terms, ["bad", 11]]) }),
  ).rejects.toMatchObject({ code: "BAD_REQUEST" });
});

test("[D5] every peer gives a term the same weight", async () => {
  const [a, b] = await startCluster("a", "b");
  const terms = new Map([["rare", 1]]);
  for (const { shard } of a.shards()) await b.publishFrequencies(shard, { documents: 10, terms });
  await until(() => a.globalDf([]).complete && b.globalDf([]).complete);
  const expected = { idf: Math.log(10) + 1, complete: true, missing: [] };
  expect([a.idf("rare"), b.idf("rare")]).toMatchObject([expected, expected]);
  expect(a.idf("absent").idf).toBe(0);
  await expect(
    a.publishFrequencies("shard-0", { documents: 1, terms: {} as Map<string, number> }),
  ).rejects.toThrow(TypeError);
});
