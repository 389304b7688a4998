/**
 * Everything that strangers, and peers that mean no good, may do to a running peer: each is an attack of its
 * own, and after each the peer is what it was. It is a process of its own, and what is watched is measured in it:
 * its memory, for how long its event loop stood still, its table, and whether others were served meanwhile.
 *
 * Bounds on time are generous: what must not be is a loop that stands still for as long as bytes come.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { packTimestamp } from "../../src/core/clock.ts";
import { FRAME_BYTES_MAX, REPLICA_ENTRIES_MAX } from "../../src/core/limits.ts";
import { encodeRow } from "../../src/core/membership.ts";
import type { Entry, Message } from "../../src/core/message.ts";
import { closeStatus } from "../../src/wire/close-code.ts";
import { encodeFrame } from "../../src/wire/codec.ts";
import { targets } from "../fuzz/targets.ts";
import { bytesOf } from "../wire/messages.ts";
import { Attacker, closed, statusOf } from "./attacker.ts";
import { freePorts, type PeerRun, Processes, until } from "./processes.ts";

const MEGABYTE = 2 ** 20;

/** How much more memory a peer may have after all attacks, and at any time during one, in bytes. */
const GROWTH_MAX = 64 * MEGABYTE;

/** Longest time that an event loop may stand still by its own work, in ms: several times what is usual. */
const DELAY_MS_MAX = 500;

const SECRET = "the secret of the cluster under attack";
const TOKEN = "a-token-that-nobody-guesses";
const SHARDS = 64;
const GAUGE = fileURLToPath(new URL("gauge.mjs", import.meta.url));

interface Gauge {
  readonly rss: number;
  readonly peakRss: number;
  readonly live: number;
  readonly delayMs: number;
}

const processes = new Processes();
let directory = "";
let victim: PeerRun;
let companion: PeerRun;
let attacker: Attacker;
let atRest: Gauge;
/** Members that were said to be dead. A busy machine may make anybody suspect. */
const accusations: unknown[] = [];

async function gauge(peer: PeerRun): Promise<Gauge> {
  const answer = once(peer.child, "message") as Promise<[{ gauge: Gauge }]>;
  peer.child.send("gauge");
  return (await answer)[0].gauge;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "hearsay-hostile-"));
  const [secret, tokens] = [join(directory, "secret"), join(directory, "tokens")];
  await writeFile(secret, SECRET, { mode: 0o600 });
  await writeFile(tokens, `${TOKEN} admin\n`, { mode: 0o600 });
  const [port, other] = (await freePorts(2)) as [number, number];
  const flags = (name: string, own: number): string[] => [
    ...["--name", name, "--listen", `127.0.0.1:${own}`, "--shards", String(SHARDS)],
    ...["--secret-file", secret, "--token-file", tokens, "--timings", "lan,foundAfterMs=100"],
    ...["--join", `127.0.0.1:${port},127.0.0.1:${other}`, "--log-level", "error"],
  ];
  const environment = { HEARSAY_TOKEN: TOKEN };
  const nodeFlags = ["--expose-gc", "--import", GAUGE];
  victim = processes.peer(flags("victim", port), environment, { nodeFlags });
  companion = processes.peer(flags("companion", other), environment);
  await Promise.all([victim.ready(), companion.ready()]);
  await settled();
  attacker = new Attacker(port, SECRET, SHARDS);
  watch().catch(() => {}); // Until the companion is ended.
  // What is loaded with the first request, link and call is no growth.
  (await attacker.admitted()).terminate();
  await attacker.answer("GET /v1/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  await gauge(victim);
  atRest = await gauge(victim);
});

afterAll(async () => {
  attacker?.release();
  await processes.close();
  await rm(directory, { recursive: true, force: true });
});

const settled = (): Promise<unknown> =>
  until("two members and a full table", [victim, companion], async () => {
    const statuses = await Promise.all([victim.status(), companion.status()]);
    const [first, second] = statuses.map(({ fingerprint }) => fingerprint);
    const loads = (await victim.allocations()).map(({ region }) => region);
    return (
      statuses.every(({ members }) => members.alive === 2) &&
      first === second &&
      loads.filter((region) => region === "victim").length === SHARDS / 2
    );
  });

async function watch(): Promise<void> {
  for await (const event of await companion.api.events()) {
    if (event.type === "member" && event.status === "dead") accusations.push(event);
  }
}

const DONE: Message = { type: "done", exchange: 1 };
const MALFORMED = closeStatus("MALFORMED_FRAME").status;

const delta = (map: string, ...entries: Entry[]): Uint8Array =>
  encodeFrame([{ type: "delta", maps: [{ map, entries }] }]).slice();

/** Frames that say something that nobody can mean, each before and after a link is open. */
const SENSELESS: readonly Uint8Array[] = [
  Uint8Array.of(),
  Uint8Array.of(0xc1),
  new Uint8Array(100_000).fill(0x91),
  Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff), // 4 G elements.
  Uint8Array.of(0x91, 0xc6, 0xff, 0xff, 0xff, 0xff), // 4 GB of bytes.
  Uint8Array.of(0x81, 0xa9, ...Buffer.from("__proto__"), 0x81, 0xa1, 0x61, 0x01),
  Uint8Array.of(0x81, 0xab, ...Buffer.from("constructor"), 0x80),
  Uint8Array.of(0x91, 0xd4, 0x01, 0x00),
  Uint8Array.of(0x91, 0xd4, 0x72, 0x40),
  Uint8Array.of(0x92, 0x19, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0),
  Uint8Array.of(0x92, 0x19, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0x91, 0xa2, 0xc3, 0x28), // No UTF-8.
  Uint8Array.of(...encodeFrame([DONE]), 0x00),
  encodeFrame([DONE]).slice(0, -1),
];

/** The head of a WebSocket frame that a client sends, with a mask of zeros. */
function head(opcode: number, length: number | bigint, isFinal = true): Uint8Array {
  const first = (isFinal ? 0x80 : 0) | opcode;
  const short = Number(length);
  if (short < 126) return Uint8Array.of(first, 0x80 | short, 0, 0, 0, 0);
  const bytes = Buffer.alloc(14);
  bytes.set([first, 0xff]);
  bytes.writeBigUInt64BE(BigInt(length), 2);
  return bytes;
}

const UPGRADE = [
  "GET /peer HTTP/1.1",
  ...["Host: a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
  ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""],
].join("\r\n");

/** Sends what is not to be waited for, and is done when the socket has taken it or ended. */
async function pour(socket: WebSocket, bytes: Uint8Array): Promise<void> {
  if (socket.readyState !== socket.OPEN) return;
  await new Promise<void>((resolve) => socket.send(bytes, () => resolve()));
}

async function closesAll(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(sockets.map(closed));
}

type Attack = () => Promise<void>;

const STRANGERS: Readonly<Record<string, Attack>> = {
  "bytes that are no HTTP": async () => {
    const random = Buffer.from(Array.from({ length: 4096 }, (_, n) => (n * 7919) % 256));
    const sockets = Array.from({ length: 200 }, (_, n) => attacker.raw(random.subarray(n * 16)));
    await closesAll(await Promise.all(sockets));
  },
  "requests that never end, and headers without end": async () => {
    const long = "x".repeat(100_000);
    expect(await attacker.answer(`GET /${long} HTTP/1.1\r\n`)).toMatch(/^HTTP\/1.1 431/);
    expect(await attacker.answer(`GET / HTTP/1.1\r\n${"A: b\r\n".repeat(50_000)}`)).toMatch(/431/);
    const both =
      "POST /v1/leave HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    expect(await attacker.answer(both)).toMatch(/^HTTP\/1.1 400/);
    const slow = await Promise.all(
      Array.from({ length: 50 }, () => attacker.raw("GET / HTTP/1.1\r\nHost: a\r\nX: ")),
    );
    await closesAll(slow);
  },
  "bodies that are too large, too deep, or poisoned": async () => {
    const bodies = [
      "x".repeat(100_000),
      "[".repeat(16_000),
      '{"__proto__": {"region": "victim"}, "constructor": {"prototype": {"region": "x"}}}',
      '{"region": {"toString": 1}}',
    ];
    for (const body of bodies) {
      for (const token of [TOKEN, "no-token-that-is-known"]) {
        const answer = await attacker.answer(
          `PUT /v1/allocations/shard-1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n` +
            `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n` +
            `Content-Length: ${body.length}\r\n\r\n${body}`,
        );
        expect(answer).toMatch(/^HTTP\/1.1 4\d\d/);
      }
    }
  },
  "a browser of a foreign page, at both doors": async () => {
    const headers = { origin: "https://evil.example", authorization: `Bearer ${TOKEN}` };
    expect(await attacker.socket("/peer", headers)).toBeUndefined();
    expect(await attacker.socket("/rpc", headers)).toBeUndefined();
  },
  "WebSocket frames that break its rules": async () => {
    const frames = [
      head(2, 0xffff_ffff_ffff_ffffn),
      head(2, FRAME_BYTES_MAX + 1),
      head(9, 200),
      head(3, 1),
      head(0x42, 1), // Compressed, though nobody offered it.
      Uint8Array.of(0x82, 0x01, 0x00), // Not masked.
      head(0, 1),
    ];
    for (const frame of frames) {
      const answer = await attacker.answer(UPGRADE, frame, new Uint8Array(16));
      expect(answer).toMatch(/^HTTP\/1.1 101/);
      expect(answer).not.toMatch(/permessage-deflate/i);
    }
    const fragments = Buffer.concat(
      Array.from({ length: 100_000 }, (_, n) =>
        Buffer.from([...head(n === 0 ? 2 : 0, 1, false), 0]),
      ),
    );
    await attacker.answer(UPGRADE, fragments);
  },
  "a flood of pings": async () => {
    const ping = Buffer.concat(Array.from({ length: 1000 }, () => head(9, 0)));
    const sockets = await Promise.all(Array.from({ length: 20 }, () => attacker.raw(UPGRADE)));
    for (const socket of sockets) for (let n = 0; n < 20; n += 1) socket.write(ping);
    await closesAll(sockets);
  },
  "frames before the hello, and a hello twice": async () => {
    const frames = [...SENSELESS, encodeFrame([DONE]).slice(), new Uint8Array(3000)];
    for (const frame of frames) {
      const socket = await attacker.socket("/peer");
      if (socket === undefined) throw new Error("The port takes no links");
      await pour(socket, frame);
      expect([MALFORMED, closeStatus("FRAME_TOO_LARGE").status]).toContain(await statusOf(socket));
    }
    const twice = await attacker.socket("/peer");
    if (twice === undefined) throw new Error("The port takes no links");
    const hello = attacker.hello();
    await pour(twice, hello);
    await pour(twice, hello);
    expect(await statusOf(twice)).toBe(MALFORMED);
  },
  "hellos of another cluster, another version, another secret, and without any": async () => {
    const hellos = [
      [attacker.hello({ cluster: "elsewhere" }), "CLUSTER_MISMATCH"],
      [attacker.hello({ shardCount: 7 }), "CLUSTER_MISMATCH"],
      [attacker.hello({ versionLow: 9, versionHigh: 9 }), "VERSION_MISMATCH"],
      [attacker.hello({}, "another secret of 16 characters"), "AUTH_FAILED"],
    ] as const;
    for (const [hello, code] of hellos) {
      const socket = await attacker.socket("/peer");
      if (socket === undefined) throw new Error("The port takes no links");
      await pour(socket, hello);
      expect(await statusOf(socket)).toBe(closeStatus(code).status);
    }
  },
  "2000 half-open handshakes and 1000 silent connections, gone in ten seconds": async () => {
    const silent: Promise<Socket>[] = [];
    for (let count = 0; count < 2000; count += 1) {
      silent.push(attacker.raw(UPGRADE));
      if (count % 2 === 0) silent.push(attacker.raw());
      if (count % 100 === 0) await Promise.all(silent);
    }
    const sockets = await Promise.all(silent);
    const [link, answer] = await Promise.all([attacker.admitted(), victim.status()]);
    expect([link.readyState, answer.members.alive]).toEqual([link.OPEN, 2]);
    await closesAll(sockets);
  },
  "guessed tokens": async () => {
    const guess = (n: number): string =>
      `GET /v1/members HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer guess-number-${n}-of-many\r\n\r\n`;
    const guesses = Array.from({ length: 200 }, (_, n) => guess(n)).join("");
    const answer = await attacker.answer(guesses, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1.1 401/);
    expect(answer).toMatch(/RATE_LIMITED/);
    expect((await victim.members()).length).toBe(2); // With the right one, from the same address.
  },
};

const ADMITTED: Readonly<Record<string, Attack>> = {
  "frames that make no sense": async () => {
    for (const frame of SENSELESS) {
      const socket = await attacker.admitted();
      await pour(socket, frame);
      expect(await statusOf(socket)).toBe(MALFORMED);
    }
  },
  "whatever the fuzzer has kept": async () => {
    const corpus = JSON.parse(readFileSync("test/fuzz/corpus.json", "utf8")) as Record<
      string,
      Record<string, string>
    >;
    const seeds = targets().find(({ name }) => name === "codec")?.seeds ?? [];
    // Only what does not decode to entries: a peer that was let in may write those.
    const frames = [...Object.values(corpus.codec ?? {}).map(bytesOf), ...seeds].filter(
      (frame) => !Buffer.from(frame).includes("peer-a"),
    );
    let socket = await attacker.admitted();
    for (const frame of frames) {
      if (socket.readyState !== socket.OPEN) socket = await attacker.admitted();
      await pour(socket, frame);
    }
  },
  "entries with times that nobody can have written": async () => {
    const socket = await attacker.admitted();
    const ahead = packTimestamp(Date.now() + 3_600_000);
    for (const time of [ahead, 2 ** 53 - 1, ahead + 1]) {
      const entry = { key: "shard-1", value: ["nobody"], time, writer: "x".repeat(20) };
      await pour(socket, delta("allocations", entry));
    }
    for (const map of ["members", "verdicts"]) {
      const entry = {
        key: "__proto__",
        value: "no row",
        time: packTimestamp(Date.now()),
        writer: "x",
      };
      await pour(socket, delta(map, entry));
    }
  },
  "a reader that has stopped, and asks on": async () => {
    const socket = await attacker.admitted();
    socket.pause();
    const asks = Array.from({ length: 500 }, (_, n): Message => {
      return { type: "snapshot-request", exchange: n, cursor: 0 };
    });
    for (let n = 0; n < 40; n += 1) await pour(socket, encodeFrame(asks).slice());
  },
  "clients that ask and do not read": async () => {
    const request = `GET /v1/allocations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;
    const sockets = await Promise.all(
      Array.from({ length: 20 }, () => attacker.raw(request.repeat(500))),
    );
    for (const socket of sockets) socket.pause();
    for (let n = 0; n < 20; n += 1) await victim.status();
    for (const socket of sockets) socket.destroy();
  },
  "as many links of one name as there may be": async () => {
    const name = { name: "twin", incarnation: "m0-twin" };
    for (let n = 0; n < 50; n += 1) await attacker.admitted(name);
  },
};

async function whatMustStay(): Promise<unknown> {
  const { fingerprint, replica, incarnation, ready } = (await victim.status()) as unknown as Record<
    string,
    unknown
  >;
  return { fingerprint, replica, incarnation, ready, members: await victim.members() };
}

async function survive(name: string, attack: Attack): Promise<void> {
  const before = await whatMustStay();
  await gauge(victim);
  await attack();
  attacker.release();
  const seen = await gauge(victim);
  const after = await gauge(victim);
  if (process.env.HEARSAY_SHOW) {
    const mb = (bytes: number): string => ((bytes - atRest.rss) / MEGABYTE).toFixed(0);
    const live = ((after.live - atRest.live) / MEGABYTE).toFixed(1);
    console.log(
      `${name}: loop ${seen.delayMs.toFixed(0)} ms, peak +${mb(seen.peakRss)} MB, live +${live} MB`,
    );
  }
  expect(await whatMustStay()).toEqual(before);
  expect(seen.delayMs).toBeLessThan(DELAY_MS_MAX);
  expect(after.live - atRest.live).toBeLessThan(GROWTH_MAX / 4);
  expect(seen.peakRss - atRest.rss).toBeLessThan(GROWTH_MAX);
  expect(accusations).toEqual([]);
}

test.each(Object.entries(STRANGERS))("[S4, S5, I15] strangers: %s", survive, 60_000);

test.each(Object.entries(ADMITTED))("[S5, I15] peers that were let in: %s", survive, 60_000);

test("[S8, F1] a goodbye that is forged in another's name is taken back by whoever it names", async () => {
  const row = (await victim.members()).find(({ name }) => name === "companion");
  const { incarnation = "", address = "" } = row ?? {};
  const said = { incarnation, address, started: 1, zone: null, weight: 1, draining: false };
  const value = encodeRow({ ...said, status: "left", joined: 1, since: 0 });
  const time = packTimestamp(Date.now());
  const entry = { key: "companion", value, time, writer: incarnation };
  const socket = await attacker.admitted();
  await pour(socket, delta("members", entry));
  await settled();
  attacker.release();
  expect((await victim.members()).map(({ name, status }) => `${name} ${status}`)).toEqual([
    "companion alive",
    "victim alive",
  ]);
}, 60_000);

/** The last: what it writes stays. */
test("[S5, U3] a peer that was let in and writes keys without end fills the replica and not the memory", async () => {
  await gauge(victim);
  let count = 0;
  let socket = await attacker.admitted();
  for (let links = 0; links < 3; links += 1) {
    while (socket.readyState === socket.OPEN && count < 1_000_000) {
      const time = packTimestamp(Date.now());
      const entries = Array.from({ length: 2000 }, (): Entry => {
        count += 1;
        return { key: `${count}`, value: count, time, writer: "a-writer-of-nothing" };
      });
      await pour(socket, delta("of-a-later-version", ...entries));
    }
    socket = (await attacker.admitted().catch(() => undefined)) ?? socket;
  }
  const seen = await gauge(victim);
  const { entries } = (await victim.status()) as unknown as { entries: number };
  if (process.env.HEARSAY_SHOW)
    console.log(`flood: ${count} keys sent, ${entries} kept`, seen, atRest);
  expect(entries).toBeLessThanOrEqual(REPLICA_ENTRIES_MAX);
  expect((await victim.status()).members.alive).toBe(2);
  expect(accusations).toEqual([]);
}, 60_000);
