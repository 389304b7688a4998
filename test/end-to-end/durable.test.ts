/**
 * Real processes with disks: a cluster that is killed as a whole, a disk that is lost, damaged, or in use.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Doc, encodeStateAsUpdate } from "yjs";
import type { Allocation } from "../../src/core/effect.ts";
import { soon } from "../documents/clients.ts";
import { RawClient } from "../documents/raw-client.ts";
import { freePorts, type PeerRun, Processes, until } from "./processes.ts";

const SHARDS = 64;
const NAMES = ["peer-1", "peer-2", "peer-3"];

let processes = new Processes();
let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hearsay-durable-"));
});

afterEach(async () => {
  await processes.close();
  processes = new Processes();
  await rm(directory, { recursive: true, force: true });
});

const diskOf = (name: string): string => join(directory, name);

/** Flags of peers that keep a disk each and join by all the others. */
async function flagsOfThree(): Promise<string[][]> {
  const ports = await freePorts(3);
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  return NAMES.map((name, index) => {
    const others = addresses.filter((_, other) => other !== index).join(",");
    const address = addresses[index] as string;
    const place = ["--name", name, "--listen", address, "--join", others];
    return [...place, "--data", diskOf(name), "--shards", `${SHARDS}`, "--timings", "local"];
  });
}

async function started(flags: readonly string[][]): Promise<PeerRun[]> {
  const peers = flags.map((each) => processes.peer(each));
  await Promise.all(peers.map((peer) => peer.ready()));
  return peers;
}

const rowOf = ({ shard, region, token, writer }: Allocation) => ({ shard, region, token, writer });

/** Waits until all have one table without a gap; returns it. */
function table(peers: readonly PeerRun[]): Promise<Allocation[]> {
  return until("one table with every shard in it", peers, async () => {
    const statuses = await Promise.all(peers.map((peer) => peer.status()));
    const [first] = peers;
    const allocations = (await first?.allocations()) ?? [];
    const isOne = new Set(statuses.map(({ fingerprint }) => fingerprint)).size === 1;
    const areIn = statuses.every(({ members }) => members.alive === peers.length);
    return isOne && areIn && allocations.length === SHARDS && allocations;
  });
}

test("[I17] a cluster that was killed as a whole remembers what was acknowledged, whoever starts first", async () => {
  const flags = await flagsOfThree();
  let peers = await started(flags);
  await table(peers);
  const acknowledged = new Map<string, Allocation>();
  for (const order of [
    [2, 0, 1],
    [1, 2, 0],
  ]) {
    // By hand, and until the very moment of the kill.
    const writing = peers.map(async (peer, index) => {
      for (let number = index; number < 30; number += 3) {
        const shard = `shard-${number}`;
        const allocation = await peer.allocate(shard, NAMES[(number + 1) % 3] as string);
        acknowledged.set(shard, allocation);
        if (number >= 27) break;
      }
    });
    await Promise.race(writing);
    for (const peer of peers) peer.child.kill("SIGKILL");
    await Promise.all([
      ...peers.map((peer) => peer.ended),
      ...writing.map((w) => w.catch(() => {})),
    ]);
    peers = await started(order.map((index) => flags[index] as string[]));
    const after = new Map((await table(peers)).map((row) => [row.shard, row]));
    expect(acknowledged.size).toBeGreaterThan(9);
    for (const [shard, { token }] of acknowledged) {
      expect(after.get(shard)?.token).toBeGreaterThanOrEqual(token);
    }
  }
});

test("[I17] a peer that was killed comes back with its table from its disk, and a lost disk is refilled", async () => {
  const flags = await flagsOfThree();
  const peers = await started(flags);
  const before = await table(peers);
  for (const peer of peers) peer.child.kill("SIGKILL");
  await Promise.all(peers.map((peer) => peer.ended));
  await rm(diskOf("peer-1"), { recursive: true });
  const again = await started(flags);
  const after = await table(again);
  // Whoever starts late is missed, and loses its shards: by entries that are above these.
  after.forEach(({ shard, token }, index) => {
    expect(shard).toBe(before[index]?.shard);
    expect(token).toBeGreaterThanOrEqual(before[index]?.token as number);
  });
});

test("a directory that another process has open is refused, and is free when that was killed", async () => {
  const [first] = await freePorts(1);
  const flags = ["--name", "only", "--data", diskOf("only"), "--shards", "4"];
  const peer = processes.peer([...flags, "--listen", `127.0.0.1:${first}`]);
  await peer.ready();
  const other = processes.run(["start", ...flags, "--listen", "127.0.0.1:0"]);
  const refused = await other.end();
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`STORE_LOCKED`);
  expect(refused.stderr).toContain(`process ${peer.pid} has it open`);
  const repair = await processes.run(["repair", "--data", diskOf("only")]).end();
  expect(repair.stderr).toContain("STORE_LOCKED");
  await peer.allocate("shard-1", "only");
  await peer.end("SIGKILL");
  await processes.peer([...flags, "--listen", "127.0.0.1:0"]).ready();
});

test("a damaged store is refused by name, set aside by repair, and refilled", async () => {
  const flags = await flagsOfThree();
  const peers = await started(flags);
  const before = (await table(peers)).map(rowOf);
  const [victim, ...rest] = peers as [PeerRun, ...PeerRun[]];
  await victim.end("SIGKILL");
  const file = join(diskOf("peer-1"), "replica", "data.mdb");
  const bytes = await readFile(file);
  const damaged = Buffer.from(bytes.toString("latin1").replaceAll("peer-2", "peer-9"), "latin1");
  await writeFile(file, damaged);
  const refused = await processes.run(["start", ...(flags[0] as string[])]).end();
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("STORE_CORRUPT");
  expect(refused.stderr).toContain("is not what was written");
  const repaired = await processes.run(["repair", "--data", diskOf("peer-1"), "--json"]).end();
  expect(repaired.code).toBe(0);
  const { damaged: found } = JSON.parse(repaired.stdout) as { damaged: Record<string, string>[] };
  expect(found).toMatchObject([{ store: "replica", damage: expect.stringContaining("damaged") }]);
  expect(await readdir(found[0]?.aside ?? "")).toContain("data.mdb");
  expect(await readdir(diskOf("peer-1"))).toContain("documents"); // What is sound stays where it is.
  const [again] = await started([flags[0] as string[]]);
  const after = (await table([again as PeerRun, ...rest])).map(rowOf);
  const shards = after.map(({ shard }) => shard);
  expect(shards).toEqual(before.map(({ shard }) => shard));
});

test("[Y10] damaged documents are found and set aside by repair, and filled in by the others", async () => {
  const flags = await flagsOfThree();
  const peers = await started(flags);
  const [first, victim] = peers as [PeerRun, PeerRun];
  const write = async (name: string, text: string): Promise<void> => {
    const client = await new RawClient(first.address, name).open();
    const doc = new Doc();
    doc.getText("text").insert(0, text);
    client.edit(encodeStateAsUpdate(doc));
    client.ask();
    await soon(() => client.told.includes("step-2"));
    client.socket.terminate();
  };
  const data = diskOf("peer-2");
  const file = join(data, "documents", "data.mdb");
  // What can be seen of one write may not count yet; what came before the next one does.
  for (const [name, text] of [
    ["kept", "told-once"],
    ["next", "told-later"],
  ] as const) {
    await write(name, text);
    await soon(() => readFileSync(file).includes(text));
  }
  await victim.end("SIGKILL");
  const repair = () => processes.run(["repair", "--data", data, "--json"]).end();
  expect(JSON.parse((await repair()).stdout)).toEqual({ damaged: [] });
  const bytes = await readFile(file);
  const damagedBytes = bytes.toString("latin1").replaceAll("told-once", "told-0nce");
  await writeFile(file, Buffer.from(damagedBytes, "latin1"));
  const { stdout } = await repair();
  const { damaged } = JSON.parse(stdout) as { damaged: Record<string, string>[] };
  expect(damaged).toMatchObject([{ store: "documents", aside: expect.any(String) }]);
  expect(await readdir(data)).toContain("replica");
  const [again] = (await started([flags[1] as string[]])) as [PeerRun];
  const reader = await new RawClient(again.address, "kept").open();
  reader.ask();
  await soon(() => reader.doc.getText("text").toString() === "told-once");
  reader.socket.terminate();
});

test("a store that is taken away ends its peer, which says so, and nothing it acknowledged is lost", async () => {
  const flags = await flagsOfThree();
  const peers = await started(flags);
  await table(peers);
  const [victim, second] = peers as [PeerRun, PeerRun];
  await rm(diskOf("peer-1"), { recursive: true });
  const outcome = await victim.allocate("shard-0", "peer-2").then(
    (allocation) => allocation,
    () => undefined,
  );
  const { code, stderr } = await victim.end();
  expect(code).toBe(1);
  expect(stderr).toContain("STORE_FAILED");
  if (outcome === undefined) return;
  const kept = (await second.allocations()).find(({ shard }) => shard === "shard-0");
  expect(kept?.token).toBeGreaterThanOrEqual(outcome.token);
});
