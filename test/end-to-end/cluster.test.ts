/**
 * Three real processes: they found one cluster however they are started, agree, lose one, get it back,
 * are cut apart and heal.
 */
import { afterEach, expect, test } from "vitest";
import type { Allocation } from "../../src/core/effect.ts";
import { freePorts, type PeerRun, Processes, until } from "./processes.ts";
import { TcpProxy } from "./tcp-proxy.ts";

const SHARDS = 64;
const LOCAL = ["--shards", String(SHARDS), "--timings", "local"];

let processes = new Processes();
let proxies: TcpProxy[] = [];

afterEach(async () => {
  await processes.close();
  await Promise.all(proxies.map((proxy) => proxy.cut()));
  processes = new Processes();
  proxies = [];
});

const addressOf = (port: number): string => `127.0.0.1:${port}`;

/** Flags of a peer that joins by all the others. */
function flagsOf(name: string, port: number, ports: readonly number[]): string[] {
  const others = ports.filter((other) => other !== port).map(addressOf);
  const join = others.length === 0 ? [] : ["--join", others.join(",")];
  return ["--name", name, "--listen", addressOf(port), ...join, ...LOCAL];
}

/** Three peers that join by each other, started at once. */
async function startThree(): Promise<[PeerRun, PeerRun, PeerRun]> {
  const ports = await freePorts(3);
  const [a, b, c] = ["peer-1", "peer-2", "peer-3"].map((name, index) =>
    processes.peer(flagsOf(name, ports[index] as number, ports)),
  ) as [PeerRun, PeerRun, PeerRun];
  await Promise.all([a.ready(), b.ready(), c.ready()]);
  await agreement([a, b, c]);
  return [a, b, c];
}

/** Waits until all peers have the same table, every shard is hosted by one of them, and loads are equal. */
async function agreement(peers: readonly PeerRun[]): Promise<Allocation[]> {
  return until("equal tables with equal shares", peers, async () => {
    const statuses = await Promise.all(peers.map((peer) => peer.status()));
    const fingerprints = new Set(statuses.map(({ fingerprint }) => fingerprint));
    const [allocations = []] = await Promise.all(peers.map((peer) => peer.allocations()));
    const loads = loadsOf(allocations);
    const names = statuses.map(({ name }) => name);
    const isSpread =
      allocations.length === SHARDS &&
      loads.size === names.length &&
      names.every((name) => loads.has(name)) &&
      Math.max(...loads.values()) - Math.min(...loads.values()) <= 1;
    return fingerprints.size === 1 && isSpread && allocations;
  });
}

function loadsOf(allocations: readonly Allocation[]): Map<string, number> {
  const loads = new Map<string, number>();
  for (const { region } of allocations) loads.set(region, (loads.get(region) ?? 0) + 1);
  return loads;
}

const rowOf = ({ shard, region, token, writer }: Allocation) => ({ shard, region, token, writer });

/** Gives a shard that `to` does not host to it by hand, through `by`. */
async function allocateByHand(by: PeerRun, to: string): Promise<Allocation> {
  const foreign = (await by.allocations()).find(({ region }) => region !== to);
  return by.allocate(foreign?.shard as string, to);
}

test("[A0] peers started at once found one cluster, with all shards spread", async () => {
  const peers = await startThree();
  const statuses = await Promise.all(peers.map((peer) => peer.status()));
  for (const status of statuses) {
    expect(status).toMatchObject({
      members: { alive: 3, suspect: 0, dead: 0, left: 0 },
      shards: SHARDS,
      allocations: SHARDS,
      links: 2,
    });
  }
});

test("[A0] a peer that boots last steals no table", async () => {
  const ports = await freePorts(3);
  const [first, second, third] = ports as [number, number, number];
  const a = await processes.peer(flagsOf("peer-1", first, [first])).ready();
  const before = await agreement([a]);
  const b = await processes.peer(flagsOf("peer-2", second, [first, second])).ready();
  const two = await agreement([a, b]);
  expect(movedTo(before, two)).toEqual(new Set(["peer-2"]));
  const c = await processes.peer(flagsOf("peer-3", third, [first, third])).ready();
  const three = await agreement([a, b, c]);
  expect(movedTo(two, three)).toEqual(new Set(["peer-3"]));
});

/** The regions whose allocations are new in `after`. */
function movedTo(before: readonly Allocation[], after: readonly Allocation[]): Set<string> {
  const known = new Set(before.map((allocation) => JSON.stringify(rowOf(allocation))));
  return new Set(
    after
      .filter((allocation) => !known.has(JSON.stringify(rowOf(allocation))))
      .map(({ region }) => region),
  );
}

test("[A0] a founder restarted with its first command line gives way to the others", async () => {
  const ports = await freePorts(3);
  const [first, second, third] = ports as [number, number, number];
  const founderFlags = flagsOf("peer-1", first, [first]); // Nobody to join.
  const founder = await processes.peer(founderFlags).ready();
  const b = await processes.peer(flagsOf("peer-2", second, [first, second])).ready();
  const c = await processes.peer(flagsOf("peer-3", third, [first, third])).ready();
  await agreement([founder, b, c]);
  await founder.end("SIGKILL");
  await agreement([b, c]);
  const byHand = await allocateByHand(b, "peer-3");
  const before = await until("the hand-made allocation everywhere", [b, c], async () => {
    const tables = await Promise.all([b.allocations(), c.allocations()]);
    const has = (table: Allocation[]) => table.some(({ token }) => token === byHand.token);
    return tables.every(has) && tables[0];
  });

  const again = await processes.peer(founderFlags).ready();
  const after = await agreement([again, b, c]);
  // What was there stays, but for the share that the others give to the founder.
  expect(movedTo(before, after)).toEqual(new Set(["peer-1"]));
  const kept = after.filter(({ region }) => region !== "peer-1").map(rowOf);
  expect(before.map(rowOf)).toEqual(expect.arrayContaining(kept));
  const moved = after.filter(({ region }) => region === "peer-1");
  // A region writes what it was given anew before it serves [H7], as a member of their cluster.
  const { incarnation } = await again.status();
  expect(new Set(moved.map(({ writer }) => writer))).toEqual(new Set([incarnation]));
});

test("[A1] what is allocated on one peer is read on all", async () => {
  const [a, b, c] = await startThree();
  const allocation = await allocateByHand(a, "peer-3");
  for (const peer of [a, b, c]) {
    const row = await until("the allocation", [peer], async () => {
      const allocations = await peer.allocations();
      return allocations.find(({ token }) => token === allocation.token);
    });
    expect(row).toEqual(rowOf(allocation));
  }
});

test("[F5] the shards of a killed peer are claimed, and its restart gets its share", async () => {
  const ports = await freePorts(3);
  const start = (index: number) =>
    processes.peer(flagsOf(`peer-${index + 1}`, ports[index] as number, ports));
  const [a, b, c] = [start(0), start(1), start(2)] as const;
  await Promise.all([a.ready(), b.ready(), c.ready()]);
  await agreement([a, b, c]);
  await b.end("SIGKILL");
  await agreement([a, c]);
  const dead = (await a.members()).find(({ name }) => name === "peer-2");
  expect(dead).toMatchObject({ status: "dead" });

  const again = await start(1).ready();
  await agreement([a, again, c]);
  const back = (await a.members()).find(({ name }) => name === "peer-2");
  expect(back).toMatchObject({ status: "alive", address: again.address });
  expect(back?.incarnation).not.toBe(dead?.incarnation);
});

test("[F2, F4] a process that hangs is dead to all for its silence, and comes back as itself", async () => {
  const [a, b, c] = await startThree();
  const statusOf = async (peer: PeerRun) =>
    (await peer.members()).find(({ name }) => name === "peer-3");
  const { incarnation } = await c.status();
  c.child.kill("SIGSTOP");
  const dead = await until("the death of one that hangs", [a, b], async () => {
    const seen = await Promise.all([statusOf(a), statusOf(b)]);
    return seen.every((member) => member?.status === "dead") && seen[0];
  });
  expect(dead?.why).toMatch(/silent for \d+ ms/);
  expect(dead?.incarnation).toBe(incarnation);

  c.child.kill("SIGCONT");
  await until("its return", [a, b, c], async () => {
    const seen = await Promise.all([a, b, c].map(statusOf));
    return seen.every((member) => member?.status === "alive");
  });
  expect((await c.status()).incarnation).toBe(incarnation);
  await agreement([a, b, c]);
});

test("[F6] a peer that is told to stop gives its shards away and is not missed", async () => {
  const [a, b, c] = await startThree();
  const { code } = await b.end("SIGTERM");
  expect(code).toBe(0);
  await agreement([a, c]);
  const members = await a.members();
  expect(members.find(({ name }) => name === "peer-2")).toMatchObject({ status: "left" });
});

test("[G9] peers that were cut apart while all of them wrote end with equal tables", async () => {
  const ports = await freePorts(6);
  proxies = [0, 1, 2].map(
    (index) => new TcpProxy(ports[index] as number, ports[index + 3] as number),
  );
  await Promise.all(proxies.map((proxy) => proxy.heal()));
  const peers = proxies.map((proxy, index) =>
    processes.peer([
      ...["--name", `peer-${index + 1}`, "--listen", addressOf(ports[index + 3] as number)],
      ...["--advertise", proxy.address, "--join", proxies.map(({ address }) => address).join(",")],
      ...[...LOCAL, "--downing", "off"],
    ]),
  );
  await Promise.all(peers.map((peer) => peer.ready()));
  await agreement(peers);

  await Promise.all(proxies.map((proxy) => proxy.cut()));
  for (const peer of peers) {
    await until("a peer on its own", [peer], async () => (await peer.status()).members.alive === 1);
    await agreement([peer]);
  }
  for (const [index, peer] of peers.entries()) {
    for (const shard of ["shard-0", `shard-${index + 1}`]) {
      await peer.allocate(shard, `peer-${index + 1}`);
    }
  }

  await Promise.all(proxies.map((proxy) => proxy.heal()));
  await agreement(peers);
  const statuses = await Promise.all(peers.map((peer) => peer.status()));
  for (const { members } of statuses) {
    expect(members).toEqual({ alive: 3, suspect: 0, dead: 0, left: 0 });
  }
});
