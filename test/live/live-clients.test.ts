import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { describe, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import { shardOf } from "../../src/core/shard-of.ts";
import type { Authorise } from "../../src/live/shell/live-door.ts";
import type { Peer } from "../../src/peer.ts";
import type { PeerOptions } from "../../src/peer-options.ts";
import { isSettled, start, until } from "../peers.ts";
import { FollowedWindow } from "./follower.ts";
import { Socket } from "./live-socket.ts";
import { DECLARATIONS } from "./rows.ts";

const QUERY = { tenant: "t", entity: "task", limit: 3 };
const [READER, WRITER, BOUND] = ["reader-of-all-rows", "writer-of-all-rows", "writer-of-tenant-t"];
const TOKENS = [`${READER} read`, `${WRITER} write`, `${BOUND} write tenant=t`];

async function alone(options: Partial<PeerOptions> = {}): Promise<Peer> {
  const peer = await start("a", { live: { entities: DECLARATIONS }, ...options });
  await until([peer], () => peer.allocations().length === peer.shards().length);
  return peer;
}

const row = (id: string, tenant = "t") => ({
  tenant,
  entity: "task",
  id,
  columns: { priority: 1 },
});

/** A request whose answer is read as it comes. */
function send(
  peer: Peer,
  [method, path]: [method: string, path: string],
  body: unknown,
  headers: Record<string, string> = {},
): ClientRequest {
  const [host, port] = peer.address.split(":");
  const sent = request({ host, port, method, path, agent: false });
  for (const [name, value] of Object.entries(headers)) sent.setHeader(name, value);
  const text = typeof body === "string" ? body : JSON.stringify(body);
  sent.setHeader("content-type", "application/json");
  sent.setHeader("content-length", Buffer.byteLength(text));
  sent.end(text);
  return sent;
}

async function answerOf(sent: ClientRequest): Promise<{ status: number; body: unknown }> {
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode ?? 0, body: JSON.parse(text) };
}

/** The events of a stream, each as its fields. */
async function* eventsOf(sent: ClientRequest): AsyncGenerator<Record<string, string>> {
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let pending = "";
  for await (const chunk of response.setEncoding("utf8")) {
    const blocks = (pending + chunk).split("\n\n");
    pending = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => !line.startsWith(":"));
      if (lines.length === 0) continue;
      yield Object.fromEntries(lines.map((line) => line.split(/: (.*)/s).slice(0, 2)));
    }
  }
}

const bearer = (token: string | undefined) => ({ authorization: `Bearer ${token}` });

describe("ws /live", () => {
  test("[V7] subscribes, writes, reanchors and unsubscribes, and answers each by its number", async () => {
    const peer = await alone();
    const client = new Socket(peer);
    await client.say({ op: "put", call: 1, row: row("r1") });
    expect(await client.next()).toEqual({ call: 1, result: { applied: true, version: 1 } });
    await client.say({ op: "subscribe", sub: 5, query: QUERY });
    expect(await client.next()).toEqual({ sub: 5, subscribed: true });
    expect(await client.next()).toMatchObject({
      sub: 5,
      deltas: [
        { type: "reset", rows: 1 },
        { type: "enter", index: 0, row: { id: "r1" } },
      ],
    });
    await peer.live.put(row("r0"));
    expect(await client.next()).toMatchObject({ sub: 5, deltas: [{ type: "enter", index: 0 }] });
    await client.say({ op: "reanchor", sub: 5, query: { ...QUERY, limit: 1 } });
    expect(await client.next()).toEqual({ sub: 5, subscribed: true });
    expect(await client.next()).toMatchObject({ sub: 5, deltas: [{ type: "reset", rows: 1 }, {}] });
    await client.say({ op: "unsubscribe", sub: 5 });
    expect(await client.next()).toEqual({ sub: 5, ended: null });
    await client.say({ op: "delete", call: 2, row: { ...row("r1") } });
    expect(await client.next()).toMatchObject({ call: 2, result: { applied: true } });
  });

  test("[V7] what makes no sense is answered by a code, and the client stays", async () => {
    const client = new Socket(await alone());
    const bad = { code: "BAD_REQUEST" };
    await client.say({ op: "subscribe", sub: 1, query: { ...QUERY, limit: 1e9 } });
    expect(await client.next()).toMatchObject({ sub: 1, ended: bad });
    await client.say({ op: "subscribe", sub: 1, query: QUERY, resume: 7 });
    expect(await client.next()).toMatchObject({ sub: 1, ended: bad });
    await client.say({ op: "reanchor", sub: 9, query: QUERY });
    expect(await client.next()).toMatchObject({ sub: 9, ended: bad });
    await client.say({ op: "put", call: 3, row: { ...row("r"), columns: { nope: 1 } } });
    expect(await client.next()).toMatchObject({ call: 3, error: bad });
    await client.say({ op: "dance", call: 4, sub: 2 });
    expect(await client.next()).toMatchObject({ call: 4, error: bad });
    await client.say({ op: "put", call: 5, row: row("r") });
    expect(await client.next()).toMatchObject({ call: 5, result: { applied: true } });
  });

  test("[V7] what is no message, or says for whom it is to nobody, closes the client and no other", async () => {
    const peer = await alone();
    const other = new Socket(peer);
    await other.say({ op: "subscribe", sub: 1, query: QUERY });
    for (const message of [
      "{",
      "[]",
      '"x"',
      '{"op":"subscribe"}',
      '{"op":"put"}',
      "x".repeat(600_000),
    ]) {
      const client = new Socket(peer);
      await client.say(message);
      expect(await client.next()).toMatchObject({ closed: expect.stringMatching(/^10/) });
    }
    expect(await other.next()).toEqual({ sub: 1, subscribed: true });
  });

  test("[V9] a client that does not read costs a bounded amount, and others are served as ever", async () => {
    const peer = await alone();
    const [slow, quick] = [new Socket(peer), new Socket(peer)];
    for (const client of [slow, quick]) await client.say({ op: "subscribe", sub: 1, query: QUERY });
    for (const client of [slow, quick]) {
      expect(await client.next()).toEqual({ sub: 1, subscribed: true });
      expect(await client.next()).toMatchObject({ sub: 1 });
    }
    slow.socket.pause();
    const title = "x".repeat(20_000);
    for (let n = 0; n < 2000; n += 1) {
      await peer.live.put({ ...row("r"), columns: { title, priority: n } });
      expect(await quick.next()).toMatchObject({ sub: 1 });
    }
    slow.socket.resume();
    let last: unknown;
    let lagged = 0;
    while (last !== 1999) {
      const { deltas } = (await slow.next()) as {
        deltas: { type: string; row?: { columns: object } }[];
      };
      for (const delta of deltas) {
        if (delta.type === "lagged") lagged += 1;
        last = (delta.row?.columns as { priority?: number } | undefined)?.priority ?? last;
      }
    }
    expect(lagged).toBe(1);
  });

  test("[V9] a client follows so many queries and no more", async () => {
    const client = new Socket(await alone());
    for (let sub = 0; sub <= 1000; sub += 1)
      await client.say({ op: "subscribe", sub, query: QUERY });
    for (;;) {
      const { sub, ended } = await client.next();
      if (ended === undefined) continue;
      expect([sub, ended]).toMatchObject([1000, { code: "RATE_LIMITED" }]);
      break;
    }
  });
});

describe("POST /v1/live", () => {
  test("[V12] streams deltas as events, and goes on behind the last one that was seen", async () => {
    const peer = await alone();
    await peer.live.put(row("r1"));
    const keeper = peer.live.subscribe(QUERY);
    const first = send(peer, ["POST", "/v1/live"], QUERY);
    const events = eventsOf(first);
    const next = async (from = events) => (await from.next()).value as Record<string, string>;
    expect(await next()).toEqual({ event: "reset", data: '{"type":"reset","rows":1}' });
    const seen = await next();
    expect(seen).toMatchObject({ event: "enter", id: expect.stringMatching(/^\d+\.\d+\..+/) });
    await keeper.next();
    first.destroy();
    await peer.live.put(row("r0"));
    const headers = { "last-event-id": seen.id as string };
    const second = send(peer, ["POST", "/v1/live"], QUERY, headers);
    const again = eventsOf(second);
    expect(JSON.parse((await next(again)).data as string)).toMatchObject({
      type: "enter",
      index: 0,
    });
    second.destroy();
    const third = send(peer, ["POST", "/v1/live"], QUERY, { "last-event-id": "1.2.other" });
    expect(await next(eventsOf(third))).toMatchObject({ event: "reset" });
    third.destroy();
  });

  test("[V1] refuses what is no query, and rows that are none", async () => {
    const peer = await alone();
    const wrong = { ...QUERY, where: [{ column: "title", op: "eq", value: ["x"] }] };
    const bad = { status: 400, body: { error: { code: "BAD_REQUEST" } } };
    expect(await answerOf(send(peer, ["POST", "/v1/live"], wrong))).toMatchObject(bad);
    expect(await answerOf(send(peer, ["POST", "/v1/live"], "null"))).toMatchObject(bad);
    expect(
      await answerOf(send(peer, ["POST", "/v1/live"], QUERY, { "last-event-id": "x" })),
    ).toMatchObject(bad);
    expect(await answerOf(send(peer, ["PUT", "/v1/live/rows"], []))).toMatchObject(bad);
    const proto = '{"tenant":"t","entity":"__proto__","id":"r","columns":{}}';
    expect(await answerOf(send(peer, ["PUT", "/v1/live/rows"], proto))).toMatchObject(bad);
    expect(await answerOf(send(peer, ["PUT", "/v1/live/rows"], row("r")))).toEqual({
      ...{ status: 200, body: { applied: true, version: 1 } },
    });
    expect(await answerOf(send(peer, ["DELETE", "/v1/live/rows"], row("r")))).toEqual({
      ...{ status: 200, body: { applied: true, version: 2 } },
    });
  });
});

describe("who may follow and write what", () => {
  test("[V11] a token's scope and tenant are looked at before anything is done", async () => {
    const peer = await alone({ tokens: TOKENS });
    const ask = async (token: string | undefined, tenant: string) => {
      const client = new Socket(peer, bearer(token));
      await client.say({ op: "subscribe", sub: 1, query: { ...QUERY, tenant } });
      const { ended } = (await client.next()) as { ended?: { code: string } };
      await client.say({ op: "put", call: 1, row: row("r", tenant) });
      for (;;) {
        const { call, error } = (await client.next()) as {
          call?: number;
          error?: { code: string };
        };
        if (call === 1) return [ended?.code, error?.code];
      }
    };
    expect(await ask(READER, "t")).toEqual([undefined, "FORBIDDEN"]);
    expect(await ask(WRITER, "u")).toEqual([undefined, undefined]);
    expect(await ask(BOUND, "t")).toEqual([undefined, undefined]);
    expect(await ask(BOUND, "u")).toEqual(["FORBIDDEN", "FORBIDDEN"]);
    const stranger = new Socket(peer, bearer("somebody-nobody-knows"));
    expect(await stranger.next()).toHaveProperty("closed");
    const http = (token: string, path: string, tenant: string) =>
      answerOf(send(peer, ["PUT", path], row("r", tenant), bearer(token)));
    expect(await http(BOUND as string, "/v1/live/rows", "t")).toMatchObject({ status: 200 });
    expect(await http(BOUND as string, "/v1/live/rows", "u")).toMatchObject({ status: 403 });
    expect(await http(READER as string, "/v1/live/rows", "t")).toMatchObject({ status: 403 });
    // Good for live queries and nothing else.
    const members = send(peer, ["GET", "/v1/members"], "", bearer(BOUND));
    expect(await answerOf(members)).toMatchObject({ status: 403 });
    const reading = send(peer, ["POST", "/v1/live"], QUERY, bearer(READER));
    expect((await eventsOf(reading).next()).value).toMatchObject({ event: "reset" });
    reading.destroy();
  });

  test("[V11] the hook decides with the query at hand, and what throws allows nothing", async () => {
    const asked: unknown[] = [];
    const authorise: Authorise = (wanted) => {
      const { action, tenant, entity, scope, query, headers } = wanted;
      asked.push({ action, tenant, entity, scope, limit: query?.limit, from: headers["x-user"] });
      if (tenant === "broken") throw new Error("boo");
      return tenant === "t";
    };
    const peer = await alone({ live: { entities: DECLARATIONS, authorise } });
    const client = new Socket(peer, { "x-user": "ann" });
    const codes: unknown[] = [];
    for (const [sub, tenant] of [
      [1, "t"],
      [2, "u"],
      [3, "broken"],
    ] as const) {
      await client.say({ op: "subscribe", sub, query: { ...QUERY, tenant } });
      const { ended, subscribed } = (await client.next()) as {
        ended?: { code: string };
        subscribed?: true;
      };
      codes.push(subscribed ?? ended?.code);
      if (subscribed) await client.next();
    }
    expect(codes).toEqual([true, "FORBIDDEN", "HANDLER_FAILED"]);
    expect(asked[0]).toEqual({
      ...{
        action: "subscribe",
        tenant: "t",
        entity: "task",
        scope: "admin",
        limit: 3,
        from: "ann",
      },
    });
    await client.say({ op: "reanchor", sub: 1, query: { ...QUERY, tenant: "u" } });
    expect(await client.next()).toMatchObject({ sub: 1, ended: { code: "FORBIDDEN" } });
  });

  test("[V11] a page of another origin is not let in", async () => {
    const peer = await alone();
    const foreign = new Socket(peer, { origin: "https://elsewhere.example" });
    expect(await foreign.next()).toHaveProperty("closed");
    const headers = { origin: "https://elsewhere.example" };
    expect(await answerOf(send(peer, ["POST", "/v1/live"], QUERY, headers))).toMatchObject({
      status: 403,
    });
  });
});

describe("a client of another process", () => {
  test("[V12] follows a query through the death of its peer, and writes", async () => {
    const live = { entities: DECLARATIONS };
    const a = await start("a", { live });
    const b = await start("b", { live, join: [a.address] });
    await until([a, b], () => isSettled(a, [a, b]));
    const shard = `shard-${shardOf("t", "task", 16)}`;
    await a.allocate(shard, "a");
    await until([a, b], () => b.regionFor(shard) === "a");
    const client = await connect([b.address, a.address]);
    expect(await client.live.put(row("r1"))).toEqual({ applied: true, version: 1 });
    const window = new FollowedWindow(client.live.subscribe(QUERY));
    await window.until(({ ids }) => ids.join() === "r1");
    await b.close();
    await a.live.put(row("r2"));
    await window.until(({ ids }) => ids.join() === "r1,r2");
    await client.live.delete({ tenant: "t", entity: "task", id: "r1" });
    await window.until(({ ids }) => ids.join() === "r2");
    const refused = new FollowedWindow(client.live.subscribe({ ...QUERY, limit: 0 }));
    await refused.until(({ isOver }) => isOver);
    expect(refused.error).toMatchObject({ code: "BAD_REQUEST" });
    await expect(client.live.put({ ...row("r"), id: "" })).rejects.toMatchObject({
      code: "BAD_REQUEST",
    });
    client.close();
    await window.until(({ isOver }) => isOver);
    expect(window.error).toBeUndefined();
    await expect(client.live.put(row("r"))).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("[V9] a reader who leaves too much unread has lagged, and gets all rows", async () => {
    const peer = await alone();
    const client = await connect(peer.address);
    const deltas = client.live.subscribe(QUERY);
    expect((await deltas.next()).value).toMatchObject({ type: "reset" });
    const quick = new FollowedWindow(peer.live.subscribe(QUERY));
    for (let n = 0; n < 18_000; n += 1) {
      await peer.live.put({ ...row("r"), columns: { priority: n } });
      if (n % 200 === 0) await quick.until(({ rows }) => rows[0]?.columns.priority === n);
    }
    const slow = new FollowedWindow(deltas);
    await slow.until(({ rows }) => rows[0]?.columns.priority === 17_999);
    expect([slow.lagged > 0, slow.resets > 0]).toEqual([true, true]);
    client.close();
  });

  test("[V11] one that is not let in is told so", async () => {
    const without = await start("a");
    const client = await connect(without.address);
    const window = new FollowedWindow(client.live.subscribe(QUERY));
    await window.until(({ isOver }) => isOver);
    expect(window.error).toMatchObject({ code: "BAD_REQUEST" });
    client.close();
  });
});
