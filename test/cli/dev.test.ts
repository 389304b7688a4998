/**
 * `hearsay dev`, the first command that anybody tries: what it shows, and that it leaves nothing behind.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DevRow } from "../../src/cli/dev-table.ts";
import { freePorts, Processes, type Run } from "../end-to-end/processes.ts";

let processes = new Processes();
let folder = "";

beforeEach(() => {
  processes = new Processes();
  folder = mkdtempSync(join(tmpdir(), "hearsay-dev-"));
  mkdirSync(join(folder, "sub"));
  for (let index = 0; index < 30; index += 1) {
    writeFileSync(join(folder, "sub", `${index}.txt`), "text");
  }
  writeFileSync(join(folder, "image.png"), Uint8Array.of(0, 1, 2));
});

afterEach(async () => {
  await processes.close();
  rmSync(folder, { recursive: true });
});

/** Three ports in a row that were free a moment ago. */
async function freeRow(): Promise<number> {
  for (;;) {
    const [port = 0] = await freePorts(1);
    if (port > 65_500) continue;
    const servers = [1, 2].map((step) => createServer().listen(port + step, "127.0.0.1"));
    const free = await Promise.all(
      servers.map(
        (server) =>
          new Promise<boolean>((resolve) => {
            server.once("listening", () => server.close(() => resolve(true)));
            server.once("error", () => resolve(false));
          }),
      ),
    );
    if (free.every(Boolean)) return port;
  }
}

interface Table {
  readonly event: "table";
  readonly peers: readonly DevRow[];
}

async function startDev(...flags: string[]): Promise<{ run: Run; port: number }> {
  const port = await freeRow();
  const run = processes.run(["dev", "--port", String(port), "--documents", folder, ...flags]);
  return { run, port };
}

/** Waits until the process of a child has gone, which closes its port. */
async function portsAreFree(port: number): Promise<void> {
  for (const address of [port, port + 1, port + 2]) {
    const server = createServer().listen(address, "127.0.0.1");
    await new Promise((resolve, reject) => {
      server.once("listening", resolve);
      server.once("error", reject);
    });
    server.close();
  }
}

test("all peers have their share, and every document is somewhere", async () => {
  const { run, port } = await startDev("--json");
  const [ready] = await run.says(/^\{"event":"ready".*\}$/m);
  const [table] = await run.says(/^\{"event":"table".*\}$/m);
  expect(JSON.parse(ready)).toMatchObject({ documents: 30, skipped: 1, folder });
  const { peers } = JSON.parse(table) as Table;
  expect(peers.map(({ name, address, status }) => ({ name, address, status }))).toEqual([
    { name: "peer-1", address: `127.0.0.1:${port}`, status: "alive" },
    { name: "peer-2", address: `127.0.0.1:${port + 1}`, status: "alive" },
    { name: "peer-3", address: `127.0.0.1:${port + 2}`, status: "alive" },
  ]);
  expect(peers.map(({ shards }) => shards).sort()).toEqual([85, 85, 86]);
  expect(peers.reduce((sum, { documents }) => sum + documents, 0)).toBe(30);
  const { code } = await run.end("SIGINT");
  expect(code).toBe(0);
  await portsAreFree(port);
});

test("a killed peer's shards are said to be served, and it can be started again as printed", async () => {
  const { run, port } = await startDev();
  const [page] = await run.says(/http:\S+\/edit/);
  expect(page).toBe(`http://127.0.0.1:${port}/edit`);
  const [, pid] = await run.says(/kill -9 (\d+)/);
  process.kill(Number(pid), "SIGKILL");
  const [, shards, ms] = await run.says(
    /peer-2 \(pid \d+\) was killed; its (\d+) shards and \d+ documents are served by the others after (\d+) ms/,
  );
  expect([85, 86]).toContain(Number(shards));
  expect(Number(ms)).toBeLessThan(10_000);
  const [, command = ""] = await run.says(/Start it again: node \S+ start (.*)/);
  const again = await processes.peer(command.split(" ")).ready();
  await run.says(/peer-2 is back and hosts \d+ shards/);
  expect((await again.end("SIGTERM")).code).toBe(0);
  await run.says(/peer-2 has left; its \d+ shards/);
  expect((await run.end("SIGTERM")).code).toBe(0);
});

test("a port in use is named, and nothing is left behind", async () => {
  const { run, port } = await startDev("--json");
  await run.says(/"ready"/);
  const second = processes.run(["dev", "--port", String(port + 2), "--peers", "1"]);
  const { code, stderr } = await second.end();
  expect(stderr).toContain(`hearsay: ADDRESS_IN_USE: Cannot listen on 127.0.0.1:${port + 2}`);
  expect(code).toBe(1);
});

test("a folder that is not there ends everything", async () => {
  const port = await freeRow();
  const missing = join(folder, "none");
  const run = processes.run(["dev", "--port", String(port), "--documents", missing]);
  const { code, stderr } = await run.end();
  expect(stderr).toContain("hearsay: BAD_REQUEST: Cannot read documents");
  expect(code).toBe(1);
  await portsAreFree(port);
});

test("peers do not outlive a dev that is killed", async () => {
  const { run, port } = await startDev("--json");
  const [ready] = await run.says(/^\{"event":"ready".*\}$/m);
  const { peers } = JSON.parse(ready) as Table;
  // A child's end of this pipe closes when the child does: the run has ended once all have.
  await run.end("SIGKILL");
  for (const { pid } of peers) await gone(pid as number);
  await portsAreFree(port);
});

/** Resolves when no such process is left; the test's own time limit is the deadline. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
