/**
 * Peers in this process for tests: on any free port, with short timings, ended after each test.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "vitest";
import type { Change } from "../src/core/effect.ts";
import type { Timings } from "../src/core/timings.ts";
import { type Peer, startPeer } from "../src/peer.ts";
import type { PeerOptions } from "../src/peer-options.ts";

/** What is waited for longer than this will never happen, in ms. */
const WAIT_MS_MAX = 20_000;

/** Short where a test waits for the time to pass, and long where being late is an accusation. */
const TIMINGS: Partial<Timings> = {
  foundAfterMs: 100,
  joinTimeoutMs: 400,
  planSettleMs: 20,
  syncIntervalMs: 100,
  redialMinMs: 10,
};

const CHANGE_TYPES = [
  "ready",
  "allocation",
  "member",
  "acquire",
  "release",
  "tick",
  "warning",
] as const;

const started: Promise<Peer>[] = [];

afterEach(async () => {
  const peers = await Promise.allSettled(started.splice(0));
  await Promise.all(peers.map((peer) => peer.status === "fulfilled" && peer.value.close()));
});

/** Starts a peer that listens on 127.0.0.1, unless `options` say otherwise. */
export function start(name: string, options: Partial<PeerOptions> = {}): Promise<Peer> {
  const peer = startPeer({
    ...{ name, listen: "127.0.0.1:0", timings: TIMINGS, shards: 16 },
    ...options,
  });
  started.push(peer);
  return peer;
}

/** Starts a cluster: the first of `names` founds it, the others join it. All shards have a region. */
export async function startCluster<Names extends string[]>(
  ...names: Names
): Promise<{ [Index in keyof Names]: Peer }> {
  const [first = "", ...others] = names;
  const founder = await start(first);
  const joined = await Promise.all(others.map((name) => start(name, { join: [founder.address] })));
  const peers = [founder, ...joined];
  await until(peers, () => peers.every((peer) => isSettled(peer, peers)));
  return peers as { [Index in keyof Names]: Peer };
}

/** Whether `peer` knows all of `peers`, and the shards are spread over them as everybody agrees. */
export function isSettled(peer: Peer, peers: readonly Peer[]): boolean {
  const fingerprints = peers.map((each) => each.status().fingerprint);
  const loads = peers.map(
    ({ name }) => peer.allocations().filter(({ region }) => region === name).length,
  );
  return (
    peer.members().filter(({ status }) => status === "alive").length === peers.length &&
    new Set(fingerprints).size === 1 &&
    peer.allocations().length === peer.shards().length &&
    Math.max(...loads) - Math.min(...loads) <= 1
  );
}

/** Resolves when `condition` holds, which is looked at whenever something changes at one of `peers`. */
export function until(peers: readonly Peer[], condition: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(deadline);
      for (const peer of peers) for (const type of CHANGE_TYPES) peer.off(type, check);
    };
    const check = (): void => {
      if (!condition()) return;
      stop();
      resolve();
    };
    const deadline = setTimeout(() => {
      stop();
      reject(new Error(`This never came true: ${condition}`));
    }, WAIT_MS_MAX);
    for (const peer of peers) for (const type of CHANGE_TYPES) peer.on(type, check);
    check();
  });
}

/** Resolves to the first change of that type at `peer` from now on, of those that `wanted` takes. */
export async function next<Type extends Change["type"]>(
  peer: Peer,
  type: Type,
  wanted: (change: Extract<Change, { type: Type }>) => boolean = () => true,
): Promise<Extract<Change, { type: Type }>> {
  for await (const change of peer.watch({ signal: AbortSignal.timeout(WAIT_MS_MAX) })) {
    if (change.type === type && wanted(change as Extract<Change, { type: Type }>)) {
      return change as Extract<Change, { type: Type }>;
    }
  }
  throw new Error(`No ${type} came`);
}

/** Addresses on which nobody listens, all different. */
export async function freeAddresses(count: number): Promise<string[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports.map((port) => `127.0.0.1:${port}`);
}
