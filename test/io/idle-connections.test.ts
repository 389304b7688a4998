import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { IdleConnections } from "../../src/io/idle-connections.ts";

const MAX = 3;
const closers: (() => unknown)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(): Promise<{ server: Server; idle: IdleConnections; port: number }> {
  const idle = new IdleConnections(MAX);
  const server = createServer();
  server.on("upgrade", (_, socket) => {
    idle.release(socket);
    closers.push(() => socket.destroy());
    socket.on("error", () => {}).write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  });
  idle.watch(server);
  server.listen(0, "127.0.0.1");
  closers.push(() => server.closeAllConnections() ?? server.close());
  await once(server, "listening");
  return { server, idle, port: (server.address() as AddressInfo).port };
}

/** Connects, and waits until the server has seen it. */
async function open({ server, port }: { server: Server; port: number }): Promise<Socket> {
  const seen = once(server, "connection");
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  closers.push(() => socket.destroy());
  socket.resume();
  await seen;
  return socket;
}

test("[S4] of connections that say nothing the oldest makes room, and nobody else", async () => {
  const serving = await serve();
  const { server, idle } = serving;
  const asking = await open(serving);
  const asked = once(server, "request") as Promise<unknown[]>;
  asking.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const response = (await asked)[1] as ServerResponse;
  const upgraded = await open(serving);
  upgraded.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  await once(upgraded, "data");

  const silent: Socket[] = [];
  for (let index = 0; index < MAX; index += 1) silent.push(await open(serving));
  expect(idle.size).toBe(MAX);
  const [first, second] = silent as [Socket, Socket];
  const firstGone = once(first, "close");
  await open(serving);
  await firstGone;
  expect([asking.destroyed, upgraded.destroyed, second.destroyed]).toEqual([false, false, false]);

  // One that has been answered is the youngest of those that say nothing.
  const secondGone = once(second, "close");
  const answered = once(asking, "data");
  response.end("late");
  await Promise.all([answered, secondGone]);
  expect([idle.size, asking.destroyed, upgraded.destroyed]).toEqual([MAX, false, false]);
});

test("[S4] connections that end are forgotten", async () => {
  const serving = await serve();
  const socket = await open(serving);
  const closed = once(serving.server, "connection").then(([other]) => once(other, "close"));
  const other = await open(serving);
  other.destroy();
  await closed;
  expect(serving.idle.size).toBe(1);
  socket.destroy();
});
