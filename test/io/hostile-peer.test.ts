import { once } from "node:events";
import { createServer, request } from "node:http";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, expect, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import {
  FRAME_BYTES_MAX,
  FRAME_FRAGMENTS_MAX,
  HANDSHAKE_FRAME_BYTES_MAX,
  HANDSHAKE_TIMEOUT_MS,
} from "../../src/core/limits.ts";
import type { Message } from "../../src/core/message.ts";
import type { LinkId } from "../../src/core/units.ts";
import type { WebSocketTransportOptions } from "../../src/io/websocket-transport.ts";
import { closeStatus } from "../../src/wire/close-code.ts";
import { encodeFrame } from "../../src/wire/codec.ts";
import { Handshake } from "../../src/wire/handshake.ts";
import type { Endpoint } from "../contract/transport-contract.ts";
import { startEndpoint } from "./endpoint.ts";

const MALFORMED = closeStatus("MALFORMED_FRAME").status;
const TOO_LARGE = closeStatus("FRAME_TOO_LARGE").status;
const NOTHING = new Uint8Array([0x90]);
const DONE: Message = { type: "done", exchange: 1 };

const closers: (() => unknown)[] = [];

afterEach(async () => {
  vi.useRealTimers();
  for (const close of closers.splice(0)) await close();
});

async function start(name: string, options?: Partial<WebSocketTransportOptions>) {
  const endpoint = await startEndpoint(name, {}, options);
  closers.push(() => endpoint.close());
  return endpoint;
}

const statuses = new WeakMap<WebSocket, Promise<number>>();

/** A socket to an endpoint's path for peers, with somebody at its end who keeps to no rule. */
async function stranger(port: number, headers: Record<string, string> = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/peer`, { headers });
  socket.on("error", () => {});
  closers.push(() => socket.terminate());
  statuses.set(socket, new Promise((resolve) => socket.on("close", resolve)));
  await once(socket, "open");
  return socket;
}

/** The status that the other end closes with. It may have closed by now. */
async function statusOf(socket: WebSocket): Promise<number> {
  return (await statuses.get(socket)) ?? 0;
}

async function nextFrame(socket: WebSocket): Promise<Buffer> {
  const [bytes] = await once(socket, "message");
  return bytes;
}

/** Keeps to the rules until the link is open, and returns the link's number at the endpoint. */
async function admit(socket: WebSocket, endpoint: Endpoint): Promise<LinkId> {
  const identity = { ...endpoint.identity, name: "stranger", incarnation: "m0-stranger" };
  const handshake = new Handshake("dialler", identity, new Uint8Array(16));
  socket.send(handshake.start() ?? NOTHING);
  const step = handshake.receive(await nextFrame(socket));
  expect(step.type).toBe("open");
  socket.send(step.type === "open" && step.reply ? step.reply : NOTHING);
  const event = await endpoint.next();
  expect(event).toMatchObject({ type: "link-opened", remote: { name: "stranger" } });
  return event.type === "link-opened" ? event.link : -1;
}

function hello(endpoint: Endpoint): Uint8Array {
  const identity = { ...endpoint.identity, name: "stranger", incarnation: "m0-stranger" };
  return new Handshake("dialler", identity, new Uint8Array(16)).start() ?? NOTHING;
}

test("[S5] a malformed frame closes its link with the reason, and no other", async () => {
  const endpoint = await start("a");
  const bad = await stranger(endpoint.port);
  const badLink = await admit(bad, endpoint);
  const good = await stranger(endpoint.port);
  const goodLink = await admit(good, endpoint);

  bad.send(new Uint8Array([0xc1]));
  bad.send(encodeFrame([DONE]));
  expect(await statusOf(bad)).toBe(MALFORMED);
  const code = "MALFORMED_FRAME";
  expect(await endpoint.next()).toEqual({ type: "link-closed", link: badLink, clean: true, code });

  good.send(encodeFrame([DONE]));
  const received = { type: "received", link: goodLink, messages: [DONE], refused: 0 };
  expect(await endpoint.next()).toEqual(received);
});

test("[S5] a text frame is malformed, in the handshake and later", async () => {
  const endpoint = await start("a");
  const early = await stranger(endpoint.port);
  early.send("hello");
  expect(await statusOf(early)).toBe(MALFORMED);
  const late = await stranger(endpoint.port);
  await admit(late, endpoint);
  late.send("hello");
  expect(await statusOf(late)).toBe(MALFORMED);
});

test("[S4] a frame above the limit closes its link before it has arrived", async () => {
  const endpoint = await start("a");
  const socket = await stranger(endpoint.port);
  const link = await admit(socket, endpoint);
  socket.send(new Uint8Array(FRAME_BYTES_MAX + 1));
  await statusOf(socket);
  const code = "FRAME_TOO_LARGE";
  expect(await endpoint.next()).toEqual({ type: "link-closed", link, clean: true, code });
});

test("[S4] a message in too many fragments closes its link", async () => {
  const endpoint = await start("a");
  const socket = await stranger(endpoint.port);
  const link = await admit(socket, endpoint);
  for (let count = 0; count <= FRAME_FRAGMENTS_MAX; count += 1) {
    socket.send(new Uint8Array(1), { fin: false });
  }
  await statusOf(socket);
  const code = "MALFORMED_FRAME";
  expect(await endpoint.next()).toEqual({ type: "link-closed", link, clean: true, code });
});

test("[S4] compression is neither offered nor taken", async () => {
  const endpoint = await start("a");
  const socket = await stranger(endpoint.port); // `ws` offers it by default.
  expect(socket.extensions).toBe("");

  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true });
  closers.push(() => server.close());
  await once(server, "listening");
  const [, upgrade] = await Promise.all([
    dial(endpoint, server.address() as AddressInfo),
    once(server, "connection"),
  ]);
  expect(upgrade[1].headers["sec-websocket-extensions"]).toBeUndefined();
});

test("[S1] frames before hello reach nobody and close the link", async () => {
  const endpoint = await start("a");
  const socket = await stranger(endpoint.port);
  socket.send(encodeFrame([DONE]));
  expect(await statusOf(socket)).toBe(MALFORMED);
  expect(endpoint.events).toEqual([]);
});

test("[S1] a second hello closes the link, before and after it is open", async () => {
  const endpoint = await start("a");
  const early = await stranger(endpoint.port);
  early.send(hello(endpoint));
  early.send(hello(endpoint));
  expect(await statusOf(early)).toBe(MALFORMED);
  expect(endpoint.events).toEqual([]);

  const late = await stranger(endpoint.port);
  await admit(late, endpoint);
  late.send(hello(endpoint));
  expect(await statusOf(late)).toBe(MALFORMED);
});

test("[S4] a frame of the handshake has a limit of its own", async () => {
  const endpoint = await start("a");
  const socket = await stranger(endpoint.port);
  socket.send(new Uint8Array(HANDSHAKE_FRAME_BYTES_MAX + 1));
  expect(await statusOf(socket)).toBe(TOO_LARGE);
});

test("[S4] half-open handshakes are bounded, the oldest go first, and an honest peer gets in", async () => {
  const endpoint = await start("a", { handshakesMax: 3 });
  const sockets: WebSocket[] = [];
  for (let count = 0; count < 10; count += 1) sockets.push(await stranger(endpoint.port));
  await Promise.all(sockets.slice(0, 7).map(statusOf));
  const honest = await start("b");
  await dial(honest, endpoint);
  expect(await honest.next()).toMatchObject({ type: "link-opened", remote: { name: "a" } });
  await statusOf(sockets[7] as WebSocket); // It made room for the honest one.
  const open = sockets.filter(({ readyState }) => readyState === WebSocket.OPEN);
  expect(open).toEqual(sockets.slice(8));
});

test("[S9] a link has three seconds for its handshake, and all the time in the world after it", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const endpoint = await start("a", { handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS });
  const mute = await stranger(endpoint.port);
  const tardy = await stranger(endpoint.port);
  tardy.send(hello(endpoint));
  await nextFrame(tardy);
  const silent = await stranger(endpoint.port);
  await admit(silent, endpoint);

  vi.advanceTimersByTime(HANDSHAKE_TIMEOUT_MS - 1);
  await endpoint.turn();
  expect([mute.readyState, tardy.readyState]).toEqual([WebSocket.OPEN, WebSocket.OPEN]);
  vi.advanceTimersByTime(1);
  await Promise.all([statusOf(mute), statusOf(tardy)]);
  expect(silent.readyState).toBe(WebSocket.OPEN);
  expect(endpoint.events).toEqual([]);
});

test("[S4] links are bounded, and whoever comes too late is answered and not reset", async () => {
  const endpoint = await start("a", { linksMax: 1 });
  const first = await stranger(endpoint.port);
  await admit(first, endpoint);
  const second = await start("b");
  await dial(second, endpoint);
  const failed = { type: "dial-failed", dial: 1, failure: "unreachable" };
  expect(await second.next()).toEqual(failed);
  await dial(endpoint, second);
  expect(await endpoint.next()).toEqual(failed);
});

test("a page in a browser cannot open a link", async () => {
  const { port } = await start("a");
  const upgrade = stranger(port, { Origin: "https://example.com" });
  await expect(upgrade).rejects.toThrow("Unexpected server response: 403");
});

test("[S4] a link whose reader has stopped for good is given up", async () => {
  const endpoint = await start("a");
  const socket = await stranger(endpoint.port);
  const link = await admit(socket, endpoint);
  socket.pause();
  const value = "x".repeat(60_000);
  const entries = [0, 1, 2, 3].map((key) => ({ key: `${key}`, value, time: 1, writer: "w" }));
  const message: Message = { type: "delta", maps: [{ map: "settings", entries }] };
  for (let count = 0; endpoint.events.length < 2; count += 1) {
    expect(count, "messages until the link is given up").toBeLessThan(500);
    endpoint.perform({ type: "send", links: [link], message });
    await endpoint.turn();
  }
  expect(await endpoint.next()).toEqual({ type: "link-congested", link });
  const code = "BUFFER_FULL";
  expect(await endpoint.next()).toEqual({ type: "link-closed", link, clean: true, code });
});

test("[S5] bytes that are no WebSocket at all end their socket only", async () => {
  const endpoint = await start("a");
  const good = await stranger(endpoint.port);
  const link = await admit(good, endpoint);
  for (const bytes of [Buffer.alloc(64, 0xff), Buffer.from("GET / HTTP/1.1\r\n\r\n")]) {
    const socket = await upgradeByHand(endpoint.port);
    socket.resume().write(bytes);
    await once(socket, "close");
  }
  const reset = await upgradeByHand(endpoint.port);
  reset.destroy(new Error("cut"));
  const half = connect(endpoint.port, "127.0.0.1");
  await once(half, "connect");
  half.write("GET /peer HTTP/1.1\r\nUpgrade: webso");
  half.resetAndDestroy();

  good.send(encodeFrame([DONE]));
  expect(await endpoint.next()).toMatchObject({ type: "received", link });
});

test.each([
  ["closes", (socket: Socket) => socket.destroy()],
  ["resets", (socket: Socket) => socket.resetAndDestroy()],
])("[F5] an end that accepts a connection and %s it has not refused", async (_, end) => {
  await expectDialToFail(await listen(createTcpServer(end)), { failure: "reset" });
});

test("[G8] an end that opens no link in time is unreachable", async () => {
  const silent = await listen(createTcpServer((socket) => void socket.on("error", () => {})));
  await expectDialToFail(silent, { failure: "unreachable" }, { dialTimeoutMs: 20 });

  const halfSilent = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  closers.push(() => halfSilent.close());
  await once(halfSilent, "listening");
  await expectDialToFail(halfSilent, { failure: "unreachable" }, { dialTimeoutMs: 200 });
});

test("an end that is no peer is unreachable", async () => {
  const website = await listen(createServer((_request, response) => void response.end("welcome")));
  await expectDialToFail(website, { failure: "unreachable" });
});

test("[S1] an end that answers a hello with anything else is rejected", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  closers.push(() => server.close());
  server.on("connection", (socket) => socket.send(NOTHING));
  await once(server, "listening");
  await expectDialToFail(server, { failure: "rejected", code: "MALFORMED_FRAME" });
});

test("a transport that has closed leaves no socket behind, whoever is at the other ends", async () => {
  const endpoint = await start("a");
  await admit(await stranger(endpoint.port), endpoint);
  const deaf = await stranger(endpoint.port);
  await admit(deaf, endpoint);
  deaf.pause(); // It will not answer the close frame.
  await stranger(endpoint.port); // In handshake.
  const silent = await listen(createTcpServer((socket) => void socket.on("error", () => {})));
  await dial(endpoint, silent.address() as AddressInfo);
  await endpoint.close();
  expect(endpoint.events).toEqual([]);
});

async function listen(server: Server): Promise<Server> {
  server.listen(0, "127.0.0.1");
  closers.push(() => server.close());
  await once(server, "listening");
  return server;
}

async function dial(endpoint: Endpoint, { port }: { readonly port: number }): Promise<void> {
  endpoint.perform({ type: "dial", dial: 1, address: `127.0.0.1:${port}` });
}

async function expectDialToFail(
  server: { address(): unknown },
  outcome: object,
  options?: Partial<WebSocketTransportOptions>,
): Promise<void> {
  const endpoint = await start("a", options);
  await dial(endpoint, server.address() as AddressInfo);
  expect(await endpoint.next()).toEqual({ type: "dial-failed", dial: 1, ...outcome });
}

/** An upgraded socket without any WebSocket on top of it. */
async function upgradeByHand(port: number): Promise<Duplex> {
  const headers = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Key": Buffer.alloc(16).toString("base64"),
    "Sec-WebSocket-Version": "13",
  };
  const upgrade = request({ port, host: "127.0.0.1", path: "/peer", headers });
  upgrade.end();
  const [, socket] = await once(upgrade, "upgrade");
  socket.on("error", () => {});
  closers.push(() => socket.destroy());
  return socket;
}
