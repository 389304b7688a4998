/**
 * A peer that was let in and says that it is another: by a row that it forged, and by links in its name.
 */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { packTimestamp } from "../src/core/clock.ts";
import { encodeRow } from "../src/core/membership.ts";
import { keyRing } from "../src/io/key-ring.ts";
import type { Peer } from "../src/peer.ts";
import { encodeFrame } from "../src/wire/codec.ts";
import { Handshake, type Identity } from "../src/wire/handshake.ts";
import { Authority, contentsOf } from "./io/certificates.ts";
import { start, until } from "./peers.ts";

const SECRET = "a secret that both have";
const OLDER = { name: "a", incarnation: "1-older-than-a", isHosting: true };

const authority = new Authority();
const closers: (() => unknown)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** What the forger knows: the secret, and certificates of its own name, if there are any. */
interface Means {
  readonly contents: Record<string, string> | undefined;
}

const identity = (differences: Partial<Identity>): Identity => ({
  ...{ versionLow: 1, versionHigh: 1, cluster: "hearsay", name: "x", incarnation: "m0-x" },
  ...{ address: "127.0.0.1:1", shardCount: 16, wallMs: Date.now(), founding: undefined },
  ...differences,
});

const NONCE = new Uint8Array(16).fill(3);

/** Dials `peer` as `says`; resolves to the socket, and what the peer is, or the status that refused it. */
async function dial(peer: Peer, { contents }: Means, says: Partial<Identity>) {
  const scheme = contents ? "wss" : "ws";
  const options = { rejectUnauthorized: false, ...contents };
  const socket = new WebSocket(`${scheme}://${peer.address}/peer`, options);
  closers.push(() => socket.terminate());
  await once(socket, "open");
  const handshake = new Handshake("dialler", identity(says), NONCE, keyRing(SECRET));
  socket.send(handshake.start() ?? "");
  const answer = await Promise.race([once(socket, "message"), once(socket, "close")]);
  if (typeof answer[0] === "number") return answer[0];
  const step = handshake.receive(answer[0] as Buffer);
  if (step.type !== "open") throw new Error("The peer refuses");
  socket.send(step.reply ?? "");
  return { socket, remote: step.remote };
}

/** Listens where the forged row says that the other life is, and answers as that; returns the port. */
async function impersonate({ contents }: Means, says: Partial<Identity>, onDialled: () => void) {
  const server: Server = contents
    ? createTlsServer({ ...contents, requestCert: true, rejectUnauthorized: false })
    : createServer();
  const sockets = new WebSocketServer({ server, path: "/peer" });
  sockets.on("connection", (socket) => {
    const handshake = new Handshake("acceptor", identity(says), NONCE, keyRing(SECRET));
    socket.on("error", () => {});
    socket.on("close", onDialled);
    socket.on("message", (bytes: Buffer) => {
      const step = handshake.receive(bytes);
      if (step.type === "wait" && step.reply !== undefined) socket.send(step.reply);
    });
  });
  server.listen(0, "127.0.0.1");
  closers.push(() => server.closeAllConnections() ?? server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function forgedRow(address: string): Uint8Array {
  const { incarnation } = OLDER;
  const row = { incarnation, started: 1, address, zone: null, weight: 1, draining: false };
  const value = encodeRow({ ...row, status: "alive", joined: 1, since: 0 });
  const entry = { key: "a", value, time: packTimestamp(Date.now() + 100), writer: incarnation };
  return encodeFrame([{ type: "delta", maps: [{ map: "members", entries: [entry] }] }]);
}

async function forge(peer: Peer, means: Means): Promise<void> {
  const first = await dial(peer, means, {});
  if (typeof first === "number") throw new Error(`The forger was not let in: ${first}`);
  const { founding, era } = first.remote;
  first.socket.terminate();
  let onDialled: () => void = () => {};
  const dialled = new Promise<void>((resolve) => {
    onDialled = resolve;
  });
  const port = await impersonate(means, { ...OLDER, founding, era }, () => onDialled());
  const link = await dial(peer, means, { founding, era });
  if (typeof link === "number") throw new Error(`The forger was not let in: ${link}`);
  link.socket.send(forgedRow(`127.0.0.1:${port}`));
  await Promise.race([dialled, peer.ended.catch(() => {})]);
}

test("[S7, S8] with certificates a forged row and a claim to it stop nobody, and the row is put right", async () => {
  const tls = await authority.filesOf("a");
  const peer = await start("a", { tls, secret: SECRET });
  const means = { contents: contentsOf(await authority.filesOf("x")) };
  await forge(peer, means);
  expect(await dial(peer, means, OLDER)).toBe(4015); // AUTH_FAILED: in its own name it is not let in, either.
  expect(peer.isReady).toBe(true);
  await until([peer], () => peer.members().some(({ address }) => address === peer.address));
});

test("[F7] with a secret alone whoever knows it can take a name, and the peer says so as it stops", async () => {
  const peer = await start("a", { secret: SECRET });
  await forge(peer, { contents: undefined });
  await expect(peer.ended).rejects.toMatchObject({ code: "NAME_TAKEN" });
});
