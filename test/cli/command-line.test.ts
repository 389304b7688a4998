/**
 * The commands as people and scripts use them, against real peers.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import { type Ended, type PeerRun, Processes, until } from "../end-to-end/processes.ts";

let processes = new Processes();

beforeEach(() => {
  processes = new Processes();
});

afterEach(() => processes.close());

const QUICK = ["--shards", "8", "--timings", "local"];

const startOne = (...flags: string[]): Promise<PeerRun> =>
  processes.peer(["--name", "peer-1", "--listen", "127.0.0.1:0", ...QUICK, ...flags]).ready();

/** Two peers with four shards each. */
async function startTwo(): Promise<[PeerRun, PeerRun]> {
  const a = await startOne();
  const flags = ["--name", "peer-2", "--listen", "127.0.0.1:0", "--join", a.address];
  const b = await processes.peer([...flags, ...QUICK]).ready();
  await until("four shards at each", [a, b], async () => {
    const tables = await Promise.all([a.allocations(), b.allocations()]);
    return tables.every((table) => table.filter(({ region }) => region === "peer-2").length === 4);
  });
  return [a, b];
}

const run = (args: string[], environment?: Record<string, string>): Promise<Ended> =>
  processes.run(args, environment).end();

/** Runs a command that must do, and parses its one line. */
async function jsonOf(peer: PeerRun, ...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run([...args, "--json", "--peer", peer.address]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^[^\n]+\n$/);
  return JSON.parse(stdout);
}

test.each([
  ...["start", "dev", "status", "members", "allocations", "shards", "allocate", "release"],
  ...["route", "rebalance", "drain", "replicas", "tick", "watch", "leave", "index", "df", "repair"],
  "search",
  "live",
])("hearsay %s --help explains itself and does nothing", async (command) => {
  const { code, stdout, stderr } = await run([command, "--help"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  for (const flag of ["--json", "--config <file>", "--print-config", "--help"]) {
    expect(stdout).toContain(flag);
  }
});

test("--version prints the version and --help the commands", async () => {
  expect((await run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await run(["--help"])).stdout).toContain("Exit status: 0 done, 1 failed, 2 wrong usage");
});

test("--print-config shows every setting and where it comes from, and starts nothing", async () => {
  const flags = ["start", "--print-config", "--zone", "rack-1"];
  const environment = { HEARSAY_SHARDS: "16" };
  const text = (await run(flags, environment)).stdout;
  expect(text).toMatch(/^zone +rack-1 {2}\(--zone\)$/m);
  expect(text).toMatch(/^shards +16 {2}\(HEARSAY_SHARDS\)$/m);
  expect(text).toMatch(/^weight +1 {2}\(default\)$/m);
  const json = JSON.parse((await run([...flags, "--json"], environment)).stdout);
  expect(json).toMatchObject({ zone: "rack-1", shards: 16, weight: 1, name: null });
});

test("start prints one line, once it serves, and logs to stderr", async () => {
  const peer = await startOne();
  const { incarnation } = await peer.status();
  const { code, stdout, stderr } = await peer.end("SIGTERM");
  expect(JSON.parse(stdout)).toEqual({
    event: "ready",
    name: "peer-1",
    address: peer.address,
    incarnation,
  });
  expect(stderr).toMatch(/info +Serving/);
  expect(code).toBe(0);
});

test("start logs one JSON object a line where that is asked for", async () => {
  const peer = await startOne("--log-format", "json");
  const { stderr } = await peer.end("SIGINT");
  const lines = stderr.trim().split("\n");
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({ level: 30, msg: expect.any(String) });
  }
  expect(lines.length).toBeGreaterThan(2);
});

test("a peer that waits for others can be stopped", async () => {
  const peer = processes.peer(["--listen", "127.0.0.1:0", "--join", "127.0.0.1:1", ...QUICK]);
  await peer.says(/warn +UNREACHABLE/);
  const { code, stdout } = await peer.end("SIGTERM");
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
});

test("HEARSAY_PEER names the peer to ask", async () => {
  const peer = await startOne();
  const { stdout } = await run(["status", "--json"], { HEARSAY_PEER: peer.address });
  expect(JSON.parse(stdout)).toMatchObject({ name: "peer-1" });
});

test("status, members, allocations and shards print what the contract says", async () => {
  const peer = await startOne("--zone", "rack-1");
  const status = await jsonOf(peer, "status");
  expect(status).toMatchObject({
    name: "peer-1",
    incarnation: expect.any(String),
    cluster: "hearsay",
    viewId: expect.any(String),
    fingerprint: expect.any(String),
    clock: { time: expect.any(Number), driftMs: expect.any(Number) },
    members: { alive: 1, suspect: 0, dead: 0, left: 0 },
    shards: 8,
    allocations: 8,
    links: 0,
    tick: 0,
  });
  const { incarnation } = status as { incarnation: string };
  expect(await jsonOf(peer, "members")).toEqual([
    expect.objectContaining({
      name: "peer-1",
      address: peer.address,
      status: "alive",
      zone: "rack-1",
      incarnation,
      since: expect.any(Number),
      why: expect.any(String),
    }),
  ]);
  const token = expect.any(Number);
  const allocation = { shard: "shard-0", region: "peer-1", token, writer: incarnation };
  const allocations = (await jsonOf(peer, "allocations")) as unknown[];
  expect(allocations).toHaveLength(8);
  expect(allocations[0]).toEqual(allocation);
  const shards = (await jsonOf(peer, "shards")) as unknown[];
  expect(shards).toHaveLength(8);
  expect(shards[0]).toMatchObject({
    shard: "shard-0",
    region: "peer-1",
    status: expect.any(String),
    documents: 0,
    memoryBytes: 0,
    token,
  });
});

test("allocate, release, route and rebalance print what the contract says", async () => {
  const peer = await startOne();
  const token = expect.any(Number);
  const writer = (await peer.status()).incarnation;
  expect(await jsonOf(peer, "allocate", "shard-3", "peer-1")).toMatchObject({
    ...{ shard: "shard-3", region: "peer-1", token, writer },
    superseded: { shard: "shard-3", region: "peer-1" },
  });
  const documents = ["notes/a.md", "__proto__", "Grüße & mehr?", "--json"];
  const flags = ["--json", "--peer", peer.address];
  const routed = await run(["route", ...flags, "--", ...documents]);
  expect(JSON.parse(routed.stdout)).toEqual(
    documents.map((document) => ({
      ...{ document, shard: expect.stringMatching(/^shard-[0-7]$/), region: "peer-1" },
      ...{ token, writer },
    })),
  );
  expect(await jsonOf(peer, "release", "shard-3")).toMatchObject({
    ...{ shard: "shard-3", region: null, token, writer },
  });
  expect(await jsonOf(peer, "rebalance", "--dry-run")).toEqual([]);
});

test("a pin outlasts a plan, and a region drains until that is undone", async () => {
  const [a, b] = await startTwo();
  const { shard = "" } = (await a.allocations()).find(({ region }) => region === "peer-1") ?? {};
  expect(await jsonOf(b, "allocate", shard, "peer-2", "--pin")).toMatchObject({
    ...{ shard, region: "peer-2" },
    superseded: { shard, region: "peer-1" },
  });
  await jsonOf(a, "rebalance");
  expect((await a.allocations()).find((each) => each.shard === shard)?.region).toBe("peer-2");

  expect(await jsonOf(a, "drain", "peer-2")).toEqual({ region: "peer-2", draining: true });
  const regionsAre = (wanted: string) => async () =>
    (await a.allocations()).map(({ region }) => region).join() === wanted;
  await until("all shards at peer-1", [a, b], regionsAre(new Array(8).fill("peer-1").join()));
  const members = (await jsonOf(a, "members")) as { name: string; draining: boolean }[];
  expect(members.map(({ draining }) => draining)).toEqual([false, true]);

  expect(await jsonOf(a, "drain", "peer-2", "--undo")).toEqual({
    ...{ region: "peer-2", draining: false },
  });
  const isBack = async () =>
    (await a.allocations()).some((each) => each.shard === shard && each.region === "peer-2");
  await until("the pin counts again", [a, b], isBack);

  const nobody = await run(["drain", "peer-9", "--json", "--peer", a.address]);
  expect([nobody.code, nobody.stdout]).toEqual([1, ""]);
  expect(nobody.stderr).toContain("REGION_NOT_FOUND");
});

test("more documents than one request can name are routed in order", async () => {
  const peer = await startOne();
  const documents = Array.from({ length: 300 }, (_, index) => `${"long/".repeat(20)}${index}.md`);
  const routes = (await jsonOf(peer, "route", ...documents)) as { document: string }[];
  expect(routes.map(({ document }) => document)).toEqual(documents);
});

test("text is an aligned table without colours where nobody looks", async () => {
  const peer = await startOne();
  const { stdout } = await run(["members", "--peer", peer.address], { CI: "true" });
  expect(stdout).not.toContain("\u001b");
  expect(stdout).toMatch(/^NAME +ADDRESS +STATUS +SINCE +ZONE +WHY\npeer-1 +127/);
});

test("leave makes the peer stop with exit status 0", async () => {
  const peer = await startOne();
  expect(await jsonOf(peer, "leave")).toMatchObject({ name: "peer-1" });
  expect((await peer.end()).code).toBe(0);
});

test("watch prints one change a line, and fails when the peer goes away", async () => {
  const peer = await startOne();
  const watching = processes.run(["watch", "--json", "--peer", peer.address]);
  await watching.says(/watching/);
  const { token, writer } = await peer.allocate("shard-5", "peer-1");
  const [line] = await watching.says(/^.*"shard-5".*$/m);
  expect(JSON.parse(line)).toMatchObject({
    type: "allocation",
    atMs: expect.any(Number),
    ...{ shard: "shard-5", region: "peer-1", token, writer },
  });
  await peer.end("SIGKILL");
  const { code, stderr } = await watching.end();
  expect(stderr).toMatch(/CLOSED|UNREACHABLE/);
  expect(code).toBe(1);
});

test("watch ends with exit status 0 when it is interrupted", async () => {
  const peer = await startOne();
  const watching = processes.run(["watch", "--peer", peer.address]);
  await watching.says(/watching/);
  expect((await watching.end("SIGINT")).code).toBe(0);
});

test("a reader that has seen enough ends the command without a complaint", async () => {
  const peer = await startOne();
  const watching = processes.run(["watch", "--peer", peer.address]);
  await watching.says(/watching/);
  watching.child.stdout?.destroy();
  await peer.allocate("shard-1", "peer-1");
  const { code, stderr } = await watching.end();
  expect(stderr).toBe(`hearsay: watching ${peer.address}\n`);
  expect(code).toBe(0);
});

test("tick starts, completes and shows ticks; replicas says whether there are enough", async () => {
  const peer = await startOne();
  expect(await jsonOf(peer, "tick", "status")).toMatchObject({ tick: 0, state: "idle" });
  expect(await jsonOf(peer, "tick", "start")).toMatchObject({ tick: 1, phase: "sense" });
  expect(await jsonOf(peer, "tick", "complete", "shard-3", "sense")).toMatchObject({
    ...{ tick: 1, completed: ["shard-3"], state: "running" },
  });
  const text = await run(["tick", "status", "--peer", peer.address]);
  expect(text.stdout).toMatch(/^phase +sense, of sense, act, decay, advance$/m);
  const replicas = await jsonOf(peer, "replicas", "notes/monday.md", "2");
  expect(replicas).toMatchObject({ shards: [{ region: "peer-1" }], complete: false });
  for (const args of [["tick"], ["tick", "stop"], ["tick", "complete", "shard-3"]]) {
    expect((await run([...args, "--peer", peer.address])).code).toBe(2);
  }
  const again = await run(["tick", "start", "--peer", peer.address]);
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("TICK_IN_PROGRESS")]);
});

test("live follows a query, one delta a line, and goes on when the peer is gone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hearsay-live-"));
  const file = join(folder, "entities.json");
  try {
    await writeFile(file, JSON.stringify({ task: { title: "string", priority: "number" } }));
    const peer = await startOne("--live", file);
    const query = JSON.stringify({
      ...{ tenant: "acme", entity: "task", limit: 2 },
      sort: [{ column: "priority", descending: true }],
    });
    const json = processes.run(["live", query, "--json", "--peer", peer.address]);
    const text = processes.run(["live", "acme/task", "--peer", peer.address]);
    await json.says(/"reset","rows":0/);
    await text.says(/^reset {3}0 rows$/m);
    const client = await connect(peer.address);
    for (const priority of [1, 2, 3]) {
      const columns = { title: `Task ${priority}`, priority };
      await client.live.put({ tenant: "acme", entity: "task", id: `t${priority}`, columns });
    }
    client.close();
    await text.says(/^enter {3}2 {2}t3 {2}title=Task 3 {2}priority=3$/m);
    await json.says(/"id":"t3"[^\n]*\n/);
    const types = json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).type);
    expect(types).toEqual(["reset", "enter", "enter", "leave", "enter"]);
    for (const each of [json, text]) each.child.kill("SIGINT");
    expect([(await json.ended).code, (await text.ended).code]).toEqual([0, 0]);
    expect((await run(["live", "{", "--peer", peer.address])).code).toBe(2);
    const wrong = await run(["live", "acme/nothing", "--json", "--peer", peer.address]);
    expect([wrong.code, JSON.parse(wrong.stderr).error.code]).toEqual([1, "BAD_REQUEST"]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
