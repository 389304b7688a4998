import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { Peer } from "../../src/peer.ts";
import { freeAddresses, next, start, startCluster, until } from "../peers.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  /** The text as JSON, where it is that. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into every kind of answer.
  readonly json: any;
}

const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** Sends a request as it is given. `body` is sent as JSON unless it is text. */
async function ask(
  peer: { readonly address: string },
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const [host, port] = peer.address.split(":");
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const sent = httpRequest({
    ...{ host, port, method, path, agent: false },
    headers: { ...type, ...headers },
  });
  sent.end(body === undefined || typeof body === "string" ? body : JSON.stringify(body));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const isJson = text !== "" && response.headers["content-type"]?.startsWith("application/json");
  const status = response.statusCode ?? 0;
  return { status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
}

/** Sends raw bytes, and returns everything that comes back before the peer closes. */
async function askRaw(peer: Peer, bytes: string): Promise<string> {
  const socket = connect(Number(peer.address.split(":")[1]), "127.0.0.1");
  sockets.push(socket);
  socket.write(bytes);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", () => {});
  await once(socket, "close");
  return Buffer.concat(chunks).toString();
}

/** Opens an event stream; returns a function that resolves to the next event. */
async function listen(peer: Peer) {
  const [host, port] = peer.address.split(":");
  const sent = httpRequest({ host, port, path: "/v1/events", agent: false });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  sockets.push(response.socket);
  response.on("error", () => {});
  response.setEncoding("utf8");
  const chunks: AsyncIterator<string> = response[Symbol.asyncIterator]();
  let text = "";
  const nextBlock = async (): Promise<string | undefined> => {
    for (;;) {
      const end = text.indexOf("\n\n");
      if (end >= 0) {
        const block = text.slice(0, end);
        text = text.slice(end + 2);
        return block;
      }
      const { value, done } = await chunks.next();
      if (done) return undefined;
      text += value;
    }
  };
  const nextEvent = async () => {
    const block = await nextBlock();
    if (block === undefined) return undefined;
    const [event, data] = block.split("\n");
    return { event: event?.slice("event: ".length), data: JSON.parse(data?.slice(6) ?? "null") };
  };
  return { response, nextBlock, nextEvent };
}

const errorOf = ({ status, json }: Answer) => ({ status, code: json.error.code });

function expectError(answer: Answer, status: number, code: string): void {
  expect(errorOf(answer)).toEqual({ status, code });
  expect(Object.keys(answer.json)).toEqual(["error"]);
  expect(Object.keys(answer.json.error)).toEqual(["code", "message"]);
  expect(answer.json.error.message).toMatch(/^[A-Z]/);
}

test("health says that the process lives, readiness that it serves", async () => {
  const a = await start("a");
  expect(await ask(a, "GET", "/healthz")).toMatchObject({ status: 200, json: { status: "ok" } });
  expect(await ask(a, "GET", "/readyz")).toMatchObject({ status: 200, json: { status: "ready" } });
  expect(await ask(a, "HEAD", "/healthz")).toMatchObject({ status: 200, text: "" });
});

test("[A0] a peer that waits for its cluster lives, is not ready, and takes no write", async () => {
  const [address, nowhere] = (await freeAddresses(2)) as [string, string];
  const giveUp = new AbortController();
  const timings = { joinTimeoutMs: 60_000 };
  const options = { listen: address, join: [nowhere], timings, signal: giveUp.signal };
  const starting = start("a", options);
  const early = { address };
  expect(await ask(early, "GET", "/healthz")).toMatchObject({ status: 200 });
  expectError(await ask(early, "GET", "/readyz"), 503, "NOT_READY");
  expectError(
    await ask(early, "PUT", "/v1/allocations/shard-0", { region: "a" }),
    503,
    "NOT_READY",
  );
  expect((await ask(early, "GET", "/v1/status")).json).toMatchObject({ ready: false, name: "a" });
  const route = { document: "x", region: null, token: null, writer: null };
  expect((await ask(early, "GET", "/v1/route?document=x")).json).toMatchObject([route]);
  giveUp.abort(new Error("Enough"));
  await expect(starting).rejects.toThrow("Enough");
});

test("reads answer what the peer answers", async () => {
  const [a, b] = await startCluster("a", "b");
  const read = async (path: string) => (await ask(a, "GET", path)).json;
  expect(await read("/v1/members")).toEqual(a.members());
  expect(await read("/v1/allocations")).toEqual(a.allocations());
  expect(await read("/v1/shards")).toEqual(a.shards());
  const { clock, ...status } = await read("/v1/status");
  expect(a.status()).toMatchObject(status);
  expect(clock).toEqual({ time: expect.any(Number), driftMs: expect.any(Number) });
  expect(status).toMatchObject({
    ...{ name: "a", incarnation: a.incarnation, cluster: "hearsay", shards: 16, allocations: 16 },
    ...{ members: { alive: 2, suspect: 0, dead: 0, left: 0 }, links: 1, tick: 0 },
    fingerprint: b.status().fingerprint,
  });
  expect(await read("/v1/shards")).toMatchObject(
    Array(16).fill({ status: "online", documents: 0, memoryBytes: 0 }),
  );
});

test("[R5] a document is routed with its fencing token, any text is one, and several can be asked", async () => {
  const a = await start("a");
  const route = (document: string) => ({ document, ...a.routeDocument(document) });
  const one = await ask(a, "GET", "/v1/route?document=readme");
  expect(one).toMatchObject({ status: 200, json: [route("readme")] });
  const documents = ["b", "a", "a", "", "__proto__", "a/b c&ü", "constructor"];
  const query = documents.map((each) => `document=${encodeURIComponent(each)}`).join("&");
  const many = await ask(a, "GET", `/v1/route?${query}`);
  expect(many.json).toEqual(documents.map(route));
  for (const wrong of ["", "?", "?documents=a", "?__proto__=a"]) {
    expectError(await ask(a, "GET", `/v1/route${wrong}`), 400, "BAD_REQUEST");
  }
});

test("[R1] without shards a document has no shard, region or token", async () => {
  const a = await start("a", { shards: 0 });
  const { json } = await ask(a, "GET", "/v1/route?document=x");
  expect(json).toEqual([{ document: "x", shard: null, region: null, token: null, writer: null }]);
});

test("[A1] a shard is allocated and released by hand", async () => {
  const [a, b] = await startCluster("a", "b");
  const before = a.allocations().find(({ region }) => region === "a");
  const shard = before?.shard ?? "";
  const put = await ask(a, "PUT", `/v1/allocations/${shard}`, { region: "b" });
  expect(put.status).toBe(200);
  const { token } = put.json;
  const allocation = { shard, region: "b", token, writer: a.incarnation };
  expect(put.json).toEqual({ ...allocation, superseded: before });
  await until([b], () => b.shard(shard)?.token === token);

  const released = await ask(a, "DELETE", `/v1/allocations/${shard}`);
  expect(released.status).toBe(200);
  expect(released.json).toMatchObject({ shard, region: null, writer: a.incarnation });
  expect(released.json.token).toBeGreaterThan(token);
  await until([a], () => a.regionFor(shard) !== undefined);
});

test("what cannot be allocated is refused by a code", async () => {
  const [a, b] = await startCluster("a", "b");
  const put = (shard: string, body: unknown) => ask(a, "PUT", `/v1/allocations/${shard}`, body);
  expectError(await put("shard-16", { region: "a" }), 404, "SHARD_NOT_FOUND");
  expectError(await ask(a, "DELETE", "/v1/allocations/shard-16"), 404, "SHARD_NOT_FOUND");
  expectError(await put("shard-0", { region: "c" }), 404, "REGION_NOT_FOUND");
  await b.leave();
  await until([a], () => a.members()[1]?.status === "left");
  expectError(await put("shard-0", { region: "b" }), 409, "REGION_NOT_ALIVE");
});

test("[S5] a hostile body is refused by a code, quotes nothing and changes nothing", async () => {
  const a = await start("a");
  const { fingerprint } = a.status();
  const path = "/v1/allocations/shard-0";
  const hostile: unknown[] = [
    ...["", "{", '{"region":"a"', "nonsense-to-be-quoted", "[]", "null", "7", '"a"', "\ufeff{}"],
    ...['{"__proto__":{"region":"a"}}', '{"constructor":{"prototype":{"region":"a"}}}'],
    ...[{}, { region: 7 }, { region: null }, { region: ["a"] }, { region: "" }, { region: "a b" }],
    ...[{ region: "x".repeat(65) }, { region: "../a" }, { region: { toString: "a" } }],
    "[".repeat(16_000),
  ];
  for (const body of hostile) {
    const answer = await ask(a, "PUT", path, body);
    expectError(answer, 400, "BAD_REQUEST");
    expect(answer.text).not.toContain("nonsense-to-be-quoted");
  }
  expectError(await ask(a, "PUT", path), 400, "BAD_REQUEST");
  expectError(await ask(a, "PUT", path, { region: "x".repeat(20_000) }), 413, "FRAME_TOO_LARGE");
  const lie = `PUT ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`;
  const answer = await askRaw(a, `${lie}Content-Length: 4294967296\r\n\r\n{`);
  expect(answer).toMatch(/^HTTP\/1\.1 413 .*FRAME_TOO_LARGE/s);
  const text = { "content-type": "text/plain" };
  expectError(await ask(a, "PUT", path, '{"region":"a"}', text), 415, "BAD_REQUEST");
  expectError(await ask(a, "POST", "/v1/rebalance", { dryRun: "yes" }), 400, "BAD_REQUEST");
  expectError(await ask(a, "POST", "/v1/rebalance?dryRun=true"), 400, "BAD_REQUEST");
  for (const shard of ["a%20b", "%2e%2e", "-", "x".repeat(65), "%00", "__proto__"]) {
    const answer = await ask(a, "PUT", `/v1/allocations/${shard}`, { region: "a" });
    expectError(answer, 400, "BAD_REQUEST");
  }
  expect(a.status().fingerprint).toBe(fingerprint);
});

test("what is not there is not found, in the same form", async () => {
  const a = await start("a");
  for (const path of ["/nowhere", "/v1", "/v1/nothing", "/v1/status/", "//", "/constructor"]) {
    expectError(await ask(a, "GET", path), 404, "BAD_REQUEST");
  }
  expectError(await ask(a, "POST", "/v1/status"), 404, "BAD_REQUEST");
  const long = `/v1/allocations/${"x".repeat(500)}`;
  expectError(await ask(a, "DELETE", long), 414, "FRAME_TOO_LARGE");
  expectError(await ask(a, "GET", "/v1/%E0%A4%A"), 400, "BAD_REQUEST");
});

test("[S4] headers and paths have a limit, and what is no HTTP is told so", async () => {
  const a = await start("a");
  const long = await askRaw(a, `GET /v1/route?document=${"x".repeat(20_000)} HTTP/1.1\r\n\r\n`);
  expect(long).toMatch(/^HTTP\/1\.1 431 .*FRAME_TOO_LARGE/s);
  expect(await askRaw(a, "\x16\x03\x01 hello\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 .*BAD_REQUEST/s);
  expect(await askRaw(a, "GET /healthz HTTP/9.9\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
  expect(a.isReady).toBe(true);
});

test("only peers and clients are upgraded, and everybody else is told why not", async () => {
  const a = await start("a");
  const upgrade = (path: string, to = "websocket") =>
    askRaw(a, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: ${to}\r\n\r\n`);
  for (const path of ["/", "/rpc/", "/peers", "/peer/", "/v1/status", "/healthz?x=/peer"]) {
    expect(await upgrade(path)).toMatch(/^HTTP\/1\.1 404 .*BAD_REQUEST/s);
  }
  for (const path of ["/peer", "/rpc"]) {
    expect(await upgrade(path, "h2c")).toMatch(/^HTTP\/1\.1 426 /);
    const plain = await ask(a, "GET", path);
    expectError(plain, 426, "BAD_REQUEST");
    expect(plain.headers.upgrade).toBe("websocket");
  }
  expect(a.isReady).toBe(true);
});

test("a socket that is reset in the middle of anything ends alone", async () => {
  const a = await start("a");
  const beginnings = [
    "",
    "GET /v1/status HTT",
    "PUT /v1/allocations/shard-0 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{",
    "GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET /peer HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  ];
  for (const beginning of beginnings) {
    const socket = connect(Number(a.address.split(":")[1]), "127.0.0.1");
    await once(socket, "connect");
    await new Promise((resolve) => socket.write(beginning, resolve));
    socket.resetAndDestroy();
  }
  expect(await ask(a, "GET", "/healthz")).toMatchObject({ status: 200 });
});

test("a page of another origin can read nothing new and write nothing", async () => {
  const a = await start("a");
  const foreign = { origin: "https://example.org" };
  for (const origin of ["https://example.org", "null", `http://localhost:1`]) {
    expectError(await ask(a, "POST", "/v1/leave", undefined, { origin }), 403, "FORBIDDEN");
  }
  const path = "/v1/allocations/shard-0";
  expectError(await ask(a, "PUT", path, { region: "a" }, foreign), 403, "FORBIDDEN");
  const read = await ask(a, "GET", "/v1/status", undefined, foreign);
  expect(read.headers).not.toHaveProperty("access-control-allow-origin");
  const rebound = { origin: "http://evil.example:7100", host: "evil.example:7100" };
  expectError(await ask(a, "POST", "/v1/leave", undefined, rebound), 403, "FORBIDDEN");
  const own = { origin: `http://${a.address}` };
  expect(await ask(a, "PUT", path, { region: "a" }, own)).toMatchObject({ status: 200 });
  const b = await start("b", { origins: ["https://example.org"] });
  expect(await ask(b, "POST", "/v1/rebalance", {}, foreign)).toMatchObject({ status: 200 });
  const itself = { origin: `http://${b.address}` };
  expectError(await ask(b, "POST", "/v1/rebalance", {}, itself), 403, "FORBIDDEN");
});

test("[A3] a plan can be asked for, and carried out", async () => {
  const [a, b] = await startCluster("a", "b");
  const shard = a.allocations().find(({ region }) => region === "a")?.shard ?? "";
  await a.allocate(shard, "b");
  const { json } = await ask(a, "POST", "/v1/rebalance", { dryRun: true });
  expect(json).toEqual([{ shard: expect.any(String), from: "b", to: "a" }]);
  expect((await ask(b, "POST", "/v1/rebalance")).status).toBe(200);
  await until([a], () => a.shards().filter(({ region }) => region === "a").length === 8);
});

test("changes are streamed as they happen, and the stream ends with the peer", async () => {
  const a = await start("a");
  const { response, nextBlock, nextEvent } = await listen(a);
  expect(response.statusCode).toBe(200);
  expect(response.headers["content-type"]).toBe("text/event-stream; charset=utf-8");
  expect(await nextBlock()).toMatch(/^: /);
  const { superseded, ...written } = await a.allocate("shard-0", "a");
  expect(await nextEvent()).toEqual({
    event: "allocation",
    data: { type: "allocation", ...written, superseded, atMs: expect.any(Number) },
  });
  const acquired = { type: "acquire", shard: "shard-0", token: written.token };
  expect(await nextEvent()).toMatchObject({ event: "acquire", data: acquired });
  const { token } = await a.release("shard-0");
  expect((await nextEvent())?.data).toMatchObject({ shard: "shard-0", region: null, token });
  await a.close();
  while ((await nextEvent()) !== undefined);
});

test("[S4] there are only so many event streams, and who goes makes room", async () => {
  const a = await start("a");
  const streams = await Promise.all(Array.from({ length: 64 }, () => listen(a)));
  expectError(await ask(a, "GET", "/v1/events"), 429, "RATE_LIMITED");
  expect((await ask(a, "HEAD", "/v1/events")).status).toBe(404);
  streams[0]?.response.destroy();
  for (;;) {
    const { response } = await listen(a); // The end of the first one is on its way.
    if (response.statusCode === 200) break;
  }
});

test("[F6] a peer that is asked to leave answers, has left, and ends", async () => {
  const [a, b] = await startCluster("a", "b");
  const left = next(b, "member", ({ name }) => name === "a");
  const { status, json } = await ask(a, "POST", "/v1/leave");
  expect({ status, json }).toEqual({
    ...{ status: 200, json: { name: "a", incarnation: a.incarnation, status: "left" } },
  });
  expect((await left).status).toBe("left");
  await a.ended;
  await expect(ask(a, "GET", "/healthz")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  expect(b.allocations().every(({ region }) => region === "b")).toBe(true);
});

test("metrics are in the format of Prometheus, each peer's its own", async () => {
  const [a, b] = await startCluster("a", "b");
  const metric = async (peer: Peer, name: string): Promise<string | undefined> => {
    const { text } = await ask(peer, "GET", "/metrics");
    return text.split("\n").find((line) => line.startsWith(`${name} `));
  };
  const { status, headers } = await ask(a, "GET", "/metrics");
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await metric(a, 'hearsay_members{status="alive"}')).toMatch(/ 2$/);
  expect(await metric(a, "hearsay_ready")).toMatch(/ 1$/);
  expect(await metric(b, "hearsay_shards_hosted")).toMatch(/ 8$/);
  expect(await metric(b, 'hearsay_entries_refused_total{reason="drift"}')).toMatch(/ 0$/);
  expect(await metric(b, "process_resident_memory_bytes")).toMatch(/ \d+$/);
});

test("documents are counted where they are hosted, in metrics and in the status", async () => {
  const a = await start("a", { documents: true });
  await until([a], () => a.allocations().length > 0);
  const handle = await a.documents.open("x");
  handle.doc.getText("text").insert(0, "abc");
  await handle.flush();
  const { json } = await ask(a, "GET", "/v1/status");
  const { documents } = json as { documents: Record<string, number> };
  expect(documents).toMatchObject({
    loaded: 1,
    clients: 1,
    loads: 1,
    unloads: 0,
    edits: 1,
    copies: 1,
  });
  expect(documents).toEqual(a.documents.status());
  const { text } = await ask(a, "GET", "/metrics");
  const bytes = documents.copyBytes as number;
  expect(bytes).toBeGreaterThan(0);
  expect(text).toContain("\nhearsay_documents_loaded 1\n");
  expect(text).toContain("\nhearsay_document_edits_total 1\n");
  expect(text).toContain(`\nhearsay_document_copy_bytes ${bytes}\n`);
  const b = await start("b");
  expect((await ask(b, "GET", "/metrics")).text).not.toContain("hearsay_document");
  expect((await ask(b, "GET", "/v1/status")).json).not.toHaveProperty("documents");
});

test("the page names paths that are there", async () => {
  const a = await start("a", { documents: true });
  const { status, headers, text } = await ask(a, "GET", "/");
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("text/html; charset=utf-8");
  const paths = [...text.matchAll(/href="([^"]+)"/g)].map(([, path]) => path ?? "");
  expect(paths.length).toBeGreaterThan(5);
  for (const path of paths.filter((each) => each !== "/v1/events")) {
    expect(await ask(a, "GET", path)).toMatchObject({ status: 200 });
  }
});
