/**
 * One process of the `spread` bench: a peer, or an end of a mesh of bare WebSockets.
 *
 * It notes when it sees each write, and says so when it is all over: during the writes nothing is said
 * to the parent. Peers come from `dist`, as they are installed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as ws from "ws";
import { type WebSocket, WebSocketServer } from "ws";
import { answerParent } from "./child.ts";
import { nowMs } from "./measure.ts";

/** What the parent asks, and what is answered. */
export type Command =
  /** Listens and links up; answers the address. */
  | { readonly type: "open"; readonly name: string; readonly join: readonly string[] }
  /** Answers when so many are linked and nothing moves any more. */
  | { readonly type: "settle"; readonly count: number }
  /** Writes at the times given; answers [key, when it was called] of each. */
  | {
      readonly type: "write";
      readonly startMs: number;
      readonly everyMs: number;
      readonly writes: number;
      readonly bytes: number;
      readonly names: readonly string[];
    }
  /** Answers [key, when it was seen] of each write since the last time. */
  | { readonly type: "seen" };

type Times = [key: number, atMs: number][];

interface Subject {
  readonly seen: Times;
  open(name: string, join: readonly string[]): Promise<string>;
  isSettled(count: number): boolean;
  /** Writes once, and returns what everybody will know the write by. */
  write(number: number, bytes: number, names: readonly string[]): Promise<number>;
}

/** How long nothing may have moved, in ms: longer than peers wait before they plan. */
const SETTLED_MS = 1500;

class PeerSubject implements Subject {
  readonly seen: Times = [];
  #peer: import("../../src/index.ts").Peer | undefined;

  async open(name: string, join: readonly string[]): Promise<string> {
    const dist = new URL("../../dist/index.js", import.meta.url).href;
    const { startPeer } = (await import(dist)) as typeof import("../../src/index.ts");
    const peer = await startPeer({ name, listen: "127.0.0.1:0", join: join.slice(0, 1) });
    peer.on("allocation", ({ token }) => this.seen.push([token, nowMs()]));
    this.#peer = peer;
    return peer.address;
  }

  isSettled(count: number): boolean {
    const { members, allocations, shards } = this.#peer?.status() ?? {};
    return members?.alive === count && allocations === shards;
  }

  async write(number: number, _: number, names: readonly string[]): Promise<number> {
    const region = names[number % names.length] as string;
    const allocation = await this.#peer?.allocate(`shard-${number % 256}`, region);
    return allocation?.token ?? Number.NaN;
  }
}

/** Everybody is linked to everybody, and a write is a message to all. */
class MeshSubject implements Subject {
  readonly seen: Times = [];
  readonly #sockets: WebSocket[] = [];

  async open(_: string, join: readonly string[]): Promise<string> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
    server.on("connection", (socket) => this.#keep(socket));
    await new Promise((resolve) => server.once("listening", resolve));
    for (const address of join) {
      const socket = new ws.WebSocket(`ws://${address}`, { perMessageDeflate: false });
      await new Promise((resolve) => socket.once("open", resolve));
      this.#keep(socket);
    }
    return `127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  isSettled(count: number): boolean {
    return this.#sockets.length === count - 1;
  }

  async write(number: number, bytes: number): Promise<number> {
    const message = Buffer.alloc(bytes);
    message.writeUint32BE(number);
    for (const socket of this.#sockets) socket.send(message);
    return number;
  }

  #keep(socket: WebSocket): void {
    this.#sockets.push(socket);
    socket.on("message", (message: Buffer) => {
      this.seen.push([message.readUint32BE(), nowMs()]);
    });
  }
}

async function answer(subject: Subject, command: Command): Promise<unknown> {
  switch (command.type) {
    case "open":
      return subject.open(command.name, command.join);
    case "settle":
      return settle(subject, command.count);
    case "write":
      return write(subject, command);
    case "seen":
      return subject.seen.splice(0);
  }
}

async function settle(subject: Subject, count: number): Promise<void> {
  let movedMs = nowMs();
  let seen = -1;
  while (nowMs() - movedMs < SETTLED_MS) {
    if (!subject.isSettled(count) || subject.seen.length !== seen) movedMs = nowMs();
    seen = subject.seen.length;
    await sleep(50);
  }
}

async function write(
  subject: Subject,
  { startMs, everyMs, writes, bytes, names }: Extract<Command, { type: "write" }>,
): Promise<Times> {
  const written: Promise<[key: number, atMs: number]>[] = [];
  for (let number = 0; number < writes; number += 1) {
    await sleep(Math.max(0, startMs + number * everyMs - nowMs()));
    const calledMs = nowMs();
    written.push(subject.write(number, bytes, names).then((key) => [key, calledMs]));
  }
  return Promise.all(written);
}

const subject = process.argv[2] === "peer" ? new PeerSubject() : new MeshSubject();
answerParent((command: Command) => answer(subject, command));
