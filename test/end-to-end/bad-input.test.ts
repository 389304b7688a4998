/**
 * What people get wrong when they start and use real peers: each is told clearly, by a code and an exit
 * status, and does no harm to the others.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Ended, freePorts, type PeerRun, Processes, until } from "./processes.ts";

let processes = new Processes();

beforeEach(() => {
  processes = new Processes();
});

afterEach(() => processes.close());

/** Few shards, and no patience with those that do not answer. */
const QUICK = ["--shards", "8", "--timings", "local,joinTimeoutMs=500"];

function start(...flags: string[]): PeerRun {
  const listen = flags.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
  return processes.peer([...listen, ...QUICK, ...flags]);
}

const run = (...args: string[]): Promise<Ended> => processes.run(args).end();

/** What must not change for a peer when somebody else makes a mistake. */
async function unharmed(peer: PeerRun): Promise<unknown> {
  const { fingerprint, incarnation, members } = await peer.status();
  return { fingerprint, incarnation, members };
}

test.each([
  [["start", "--unknown"], "Unknown option '--unknown'"],
  [["start", "--shards", "many"], "Cannot use --shards"],
  [["start", "--listen", "localhost"], "Cannot use --listen"],
  [["start", "--join", "127.0.0.1:0"], "Cannot use --join"],
  [["start", "--timings", "lan,silenceMs=1"], "silenceMs is less than three times heartbeatMs"],
  [["start", "extra"], "Too many arguments"],
  [["dev", "--peers", "0"], "Cannot use --peers"],
  [["dev", "--port", "65535"], "Cannot use --port"],
  [["allocate", "shard-1"], "Missing required argument 'region'"],
  [["route"], "Missing required argument 'document'"],
  [["status", "--peer", "nowhere"], "Cannot use --peer"],
  [["status", "--config", "no-such-file.json"], "Cannot read no-such-file.json"],
  [["frobnicate"], 'There is no command "frobnicate"'],
  [[], "No command"],
])("%j is wrong usage: exit status 2 and a sentence", async (args, sentence) => {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toContain(`hearsay: BAD_REQUEST: `);
  expect(stderr).toContain(sentence);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test("a malformed configuration file is wrong usage that names the field", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hearsay-bad-input-"));
  const file = join(folder, "hearsay.json");
  writeFileSync(file, '{"shards": "many"}');
  const { code, stderr } = await run("start", "--config", file);
  rmSync(folder, { recursive: true });
  expect(stderr).toContain(`BAD_REQUEST: Cannot use "shards" in ${file}: it is "many"`);
  expect(code).toBe(2);
});

test("with --json a failure is one JSON object on stderr, and stdout stays empty", async () => {
  const [port] = await freePorts(1);
  const { code, stdout, stderr } = await run("status", "--json", "--peer", `127.0.0.1:${port}`);
  expect(JSON.parse(stderr)).toEqual({
    error: {
      code: "UNREACHABLE",
      message: `Cannot reach 127.0.0.1:${port}: nothing listens there`,
    },
  });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
});

test("a port in use fails with ADDRESS_IN_USE, and whoever has it goes on", async () => {
  const peer = await start("--name", "peer-1").ready();
  const before = await unharmed(peer);
  const { code, stdout, stderr } = await start("--listen", peer.address).end();
  expect(stderr).toMatch(new RegExp(`^hearsay: ADDRESS_IN_USE: .*${peer.address}`, "m"));
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(await unharmed(peer)).toEqual(before);
});

test("listening for the whole network without a secret fails with INSECURE_LISTEN", async () => {
  const { code, stderr } = await start("--listen", "0.0.0.0:0").end();
  expect(stderr).toContain("hearsay: INSECURE_LISTEN: ");
  expect(code).toBe(1);
});

test("[F7] a newcomer whose name is taken fails with NAME_TAKEN, and the others go on", async () => {
  const a = await start("--name", "peer-1").ready();
  const b = await start("--name", "peer-2", "--join", a.address).ready();
  await until("the same share for both", [a, b], async () => {
    const tables = await Promise.all([a.allocations(), b.allocations()]);
    return tables.every((table) => table.filter(({ region }) => region === "peer-2").length === 4);
  });
  const before = await Promise.all([unharmed(a), unharmed(b)]);
  const { code, stdout, stderr } = await start("--name", "peer-2", "--join", a.address).end();
  expect(stderr).toMatch(/^hearsay: NAME_TAKEN: .*"peer-2"/m);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(await Promise.all([unharmed(a), unharmed(b)])).toEqual(before);
});

test("[S1] a peer of another cluster warns of CLUSTER_MISMATCH and stays by itself", async () => {
  const a = await start("--name", "peer-1").ready();
  const before = await unharmed(a);
  const stranger = start("--name", "peer-2", "--cluster", "other", "--join", a.address);
  await stranger.says(/warn +CLUSTER_MISMATCH: /);
  await stranger.ready();
  expect((await stranger.members()).map(({ name }) => name)).toEqual(["peer-2"]);
  expect(await unharmed(a)).toEqual(before);
});

test("[R6] a peer that was told another number of shards warns of CLUSTER_MISMATCH", async () => {
  const a = await start("--name", "peer-1").ready();
  const before = await unharmed(a);
  const other = start("--name", "peer-2", "--join", a.address, "--shards", "9");
  await other.says(/warn +CLUSTER_MISMATCH: /);
  await other.ready();
  expect(await unharmed(a)).toEqual(before);
});

test("[A0] an address to join by that nobody answers at is a warning, and then a founding", async () => {
  const [port] = await freePorts(1);
  const peer = start("--join", `127.0.0.1:${port}`);
  await peer.says(new RegExp(`warn +UNREACHABLE: .*127\\.0\\.0\\.1:${port}`));
  await peer.says(/warn +UNREACHABLE: Founding a cluster alone/);
  await peer.ready();
  expect(await peer.status()).toMatchObject({ members: { alive: 1 }, allocations: 8 });
});

test("a shard or region that is not there, or is dead, is refused by its code", async () => {
  const a = await start("--name", "peer-1").ready();
  const b = await start("--name", "peer-2", "--join", a.address).ready();
  await until("a member", [a], async () => (await a.status()).members.alive === 2);
  await b.end("SIGKILL");
  await until("a funeral", [a], async () => (await a.status()).members.dead === 1);
  await until("no orphan", [a], async () => {
    return (await a.allocations()).every(({ region }) => region === "peer-1");
  });
  const before = await unharmed(a);
  for (const [shard, region, code] of [
    ["shard-99", "peer-1", "SHARD_NOT_FOUND"],
    ["shard-1", "peer-9", "REGION_NOT_FOUND"],
    ["shard-1", "peer-2", "REGION_NOT_ALIVE"],
    ["shard-1", "no name", "BAD_REQUEST"],
    ["../status", "peer-1", "BAD_REQUEST"],
  ] as const) {
    const ended = await run("allocate", shard, region, "--peer", a.address);
    expect(ended.stderr).toMatch(new RegExp(`^hearsay: ${code}: Cannot `));
    expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code: 1, stdout: "" });
  }
  expect(await unharmed(a)).toEqual(before);
});

test("what answers at the address but is no peer is named as such", async () => {
  const { createServer } = await import("node:http");
  const server = createServer((_, response) => response.end("<html>")).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  const { code, stderr } = await run("status", "--peer", `127.0.0.1:${port}`);
  server.close();
  expect(stderr).toContain("UNREACHABLE: Cannot ask 127.0.0.1");
  expect(code).toBe(1);
});
