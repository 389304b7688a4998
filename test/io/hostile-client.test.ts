import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { connect } from "../../src/client.ts";
import { RPC_FRAME_BYTES_MAX, RPC_STALL_MS } from "../../src/core/limits.ts";
import { ClientAccess } from "../../src/io/client-access.ts";
import { type Channel, dialWith } from "../../src/io/rpc-channel.ts";
import type { RpcTarget } from "../../src/io/rpc-methods.ts";
import { RpcServer } from "../../src/io/rpc-server.ts";
import { closeStatus } from "../../src/wire/close-code.ts";
import { start } from "../peers.ts";
import { CLIENT_SAMPLES } from "../wire/rpc-messages.ts";
import { FakeClock } from "./fake-clock.ts";
import { frameOf } from "./rpc-fakes.ts";

const MALFORMED = closeStatus("MALFORMED_FRAME").status;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A socket with somebody at its end who keeps to no rule; its first frame has been read. */
async function stranger(address: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${address}/rpc`);
  socket.on("error", () => {});
  closers.push(() => socket.terminate());
  await once(socket, "message");
  return socket;
}

/** A server of clients with a clock that the test moves. */
async function startServer(
  target: object,
  { sessionsMax = 100, tokens }: { sessionsMax?: number; tokens?: () => readonly string[] } = {},
) {
  const clock = new FakeClock();
  const rpc = new RpcServer({
    target: target as RpcTarget,
    identity: () => ({ name: "a", incarnation: "a-1", cluster: "c" }),
    ...{ origins: "same-host", clock, onFault: () => {} },
    access: new ClientAccess({ tokens, isClosed: false, now: () => clock.now() }),
    sessionsMax,
  });
  const server = createServer().listen(0, "127.0.0.1");
  server.on("upgrade", (request, socket, head) => rpc.acceptUpgrade(request, socket, head));
  await once(server, "listening");
  closers.push(async () => {
    await rpc.close("CLOSED");
    server.close();
  });
  return { clock, rpc, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test("[S5] hostile bytes close their own session, change nothing, and others are served", async () => {
  const a = await start("a");
  const good = await connect(a.address);
  closers.push(() => good.close());
  const table = await good.allocations();
  const allocate = {
    ...{ type: "call" as const, id: "1", method: "allocate", timeoutMs: 0 },
    args: ["shard-1", "nobody"],
  };
  const frames = [...Object.values(CLIENT_SAMPLES), allocate].map((message) => frameOf(message));
  const mutation = fc.record({
    frame: fc.constantFrom(...frames),
    changes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    cut: fc.option(fc.nat()),
    more: fc.uint8Array({ maxLength: 8 }),
  });
  let survived = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 5, maxLength: 20 }), async (mutations) => {
      const socket = await stranger(a.address);
      const isClosed = once(socket, "close");
      for (const { frame, changes, cut, more } of mutations) {
        const bytes = Uint8Array.from([...frame, ...more]);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        socket.send(cut === null ? bytes : bytes.subarray(0, cut % bytes.length));
      }
      socket.send(frameOf({ type: "ping" }));
      const isGood = await Promise.race([isClosed.then(() => false), pong(socket)]);
      if (isGood) survived += 1;
      else
        expect([MALFORMED, closeStatus("VERSION_MISMATCH").status]).toContain((await isClosed)[0]);
      socket.terminate();
      expect(await good.regionFor("shard-1")).toBe("a");
    }),
    { numRuns: 60 },
  );
  expect(survived).toBeLessThan(60);
  expect(await good.allocations()).toEqual(table);
});

/** Resolves when the peer answers a ping: it has read everything before it. */
async function pong(socket: WebSocket): Promise<true> {
  for (;;) {
    const [bytes] = (await once(socket, "message")) as [Buffer];
    if (bytes.subarray(-2).equals(frameOf({ type: "pong" }).subarray(-2))) return true;
  }
}

test("[S4] a frame that is too large, text and fragments without end close their session", async () => {
  const { address } = await startServer({});
  const large = await stranger(address);
  large.send(new Uint8Array(RPC_FRAME_BYTES_MAX + 1).fill(1));
  expect((await once(large, "close"))[0]).toBe(1009);
  const text = await stranger(address);
  text.send("hello");
  expect((await once(text, "close"))[0]).toBe(MALFORMED);
  const pieces = await stranger(address);
  for (let count = 0; count < 100; count += 1) pieces.send("x", { fin: false });
  expect((await once(pieces, "close"))[0]).toBe(1008);
});

test("[S4] one client too many is told so, until another has gone", async () => {
  const { address, rpc } = await startServer({ members: () => [] }, { sessionsMax: 2 });
  const first = await stranger(address);
  await stranger(address);
  await expect(connect(address)).rejects.toMatchObject({ code: "RATE_LIMITED" });
  first.close();
  await once(first, "close");
  await expect.poll(() => rpc.clientCount, { timeout: 10_000 }).toBe(1);
  const client = await connect(address);
  closers.push(() => client.close());
  expect(await client.members()).toEqual([]);
});

test("[S2] a client needs a token that is known, and loses its session with it", async () => {
  let lines = ["a-token-that-reads read", "a-token-that-writes write"];
  const target = { members: () => [], release: async () => "released" };
  const { address, clock } = await startServer(target, { tokens: () => lines });
  for (const options of [{}, { token: "a-token-that-is-not-there" }]) {
    await expect(connect(address, options)).rejects.toMatchObject({ code: "AUTH_FAILED" });
  }
  const client = await connect(address, { token: "a-token-that-reads" });
  closers.push(() => client.close());
  expect(await client.members()).toEqual([]);
  await expect(client.release("shard-1")).rejects.toMatchObject({ code: "FORBIDDEN" });
  lines = ["a-token-that-reads write"];
  clock.advanceTo(10_000);
  expect(await client.release("shard-1")).toBe("released");
  lines = ["another-token-for-all admin"];
  const lost = new Promise((resolve) => client.on("disconnected", resolve));
  clock.advanceTo(20_000);
  expect(await lost).toMatchObject({ code: "AUTH_FAILED" });
});

test("[Q4] a client that asks for much and never reads costs little, and is closed in the end", async () => {
  const table = Array.from({ length: 5000 }, (_, index) => ({ shard: `shard-${index}` }));
  let carriedOut = 0;
  const target = {
    allocations: () => {
      carriedOut += 1;
      return table;
    },
    members: () => [],
  };
  const { address, clock, rpc } = await startServer(target);
  const client = await connect(address);
  closers.push(() => client.close());
  const deaf = await stranger(address);
  const isClosed = once(deaf, "close");
  deaf.pause();
  for (let count = 0; count < 5000; count += 1) {
    deaf.send(
      frameOf({ type: "call", id: `${count}`, method: "allocations", timeoutMs: 0, args: [] }),
    );
  }
  // The kernel's buffers take some answers, the session a megabyte, and then nothing more is done.
  let before = -1;
  while (carriedOut !== before) {
    before = carriedOut;
    for (let count = 0; count < 20; count += 1) expect(await client.members()).toEqual([]);
  }
  expect(carriedOut).toBeGreaterThan(10);
  expect(carriedOut).toBeLessThan(1000);
  clock.advanceTo(clock.now() + RPC_STALL_MS);
  deaf.resume();
  await isClosed;
  await expect.poll(() => rpc.clientCount, { timeout: 10_000 }).toBe(1);
  expect(await client.members()).toEqual([]);
});

test("[S5] a flood of pings ends its own socket at most, and others are served", async () => {
  const { address } = await startServer({ members: () => [] });
  const client = await connect(address);
  closers.push(() => client.close());
  const flooding = await stranger(address);
  flooding.pause();
  for (let count = 0; count < 20_000; count += 1) flooding.ping("p".repeat(100));
  for (let count = 0; count < 50; count += 1) expect(await client.members()).toEqual([]);
});

test("[S5] a channel that comes to nothing says so once, whatever listens there", async () => {
  const servers = [
    createServer((_, response) => response.end("hello")),
    createServer().on("upgrade", (_, socket) => socket.destroy()),
    createServer().on("upgrade", (_, socket) => socket.end("HTTP/1.1 999 What\r\n\r\n")),
    createServer().on("upgrade", (_, socket) => socket.end("SSH-2.0-hello\r\n")),
  ];
  for (const server of servers) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => server.close());
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const endings: unknown[] = [];
    await new Promise<void>((resolve) => {
      const channel: Channel = dialWith({ token: undefined, tls: undefined })(address, {
        onFrame: () => expect.unreachable(),
        onWritten: () => {},
        onClosed: (ending) => {
          endings.push(ending);
          channel.end("CLOSED");
          channel.terminate();
          resolve();
        },
      });
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(endings).toHaveLength(1);
    await expect(connect(address)).rejects.toMatchObject({ name: "HearsayError" });
  }
});
