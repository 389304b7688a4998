/**
 * `hearsay live` as people use it: on a terminal, and over TLS.
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freePorts, Processes } from "./processes.ts";

let processes = new Processes();
let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hearsay-live-"));
  await writeFile(join(folder, "live.json"), '{"task":{"title":"string","priority":"number"}}');
});

afterEach(async () => {
  await processes.close();
  processes = new Processes();
  await rm(folder, { recursive: true, force: true });
});

const QUERY = JSON.stringify({
  ...{ tenant: "acme", entity: "task", limit: 2 },
  sort: [{ column: "priority", descending: true }],
});

const bodyOf = (id: string, priority: number, title = `Title of ${id}`): RequestInit => ({
  method: "PUT",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ tenant: "acme", entity: "task", id, columns: { priority, title } }),
});

const ESCAPE = "\u001b";

const startFlags = (): string[] => [
  ...["--live", join(folder, "live.json"), "--shards", "4", "--timings", "local"],
];

/** Up over the table that is there, and away with it. */
const UP = new RegExp(`${ESCAPE}\\[\\d+A${ESCAPE}\\[J`);

const HAS_SCRIPT = spawnSync("script", ["--version"]).status === 0;

test.skipIf(!HAS_SCRIPT)(
  "[V3] on a terminal the window of a query is drawn over itself, and nothing in a row commands it",
  async () => {
    const peer = await processes
      .peer(["--listen", "127.0.0.1:0", "--name", "a", ...startFlags()])
      .ready();
    const put = async (...row: Parameters<typeof bodyOf>): Promise<void> => {
      const response = await fetch(`http://${peer.address}/v1/live/rows`, bodyOf(...row));
      expect(response.status).toBe(200);
    };
    await put("r1", 1);
    const shown = processes.run(
      ["live", QUERY, "--peer", peer.address],
      { TERM: "xterm", COLUMNS: "80" },
      { onTerminal: true },
    );
    await shown.says(/Title of r1[\s\S]*1 rows/);
    expect(shown.stdout).not.toMatch(UP);
    await put("r2", 2);
    // Up to where the table began, and down over it.
    await shown.says(new RegExp(`${UP.source}[\\s\\S]*r2 [\\s\\S]*r1 [\\s\\S]*2 rows`));
    await put("r3", 3, "\u001b[2J\u001b]0;owned\u0007gone");
    await shown.says(/r3 [\s\S]*gone[\s\S]*r2 [\s\S]*2 rows/);
    const last = shown.stdout.slice(shown.stdout.lastIndexOf("\u001b[J"));
    expect(last).not.toContain("r1");
    expect(shown.stdout).not.toContain("\u001b[2J");
    expect(shown.stdout).not.toContain("\u001b]0;");
  },
);

test("[S3, V3] over TLS deltas are printed to who trusts the authority, and to nobody else", async () => {
  await processes.run(["certs", "a", "--out", folder]).end();
  const [port = 0] = await freePorts(1);
  const tls = ["--tls-cert", join(folder, "a.pem"), "--tls-key", join(folder, "a-key.pem")];
  const ca = join(folder, "ca.pem");
  const peer = processes.peer([
    ...["--listen", `127.0.0.1:${port}`, "--name", "a", ...startFlags()],
    ...[...tls, "--tls-ca", ca],
  ]);
  await peer.says(/"event":"ready"/);
  const at = ["--peer", `https://127.0.0.1:${port}`];
  const trusting = processes.run(["live", QUERY, "--json", ...at, "--ca", ca]);
  await trusting.says(/"type":"reset","rows":0/);
  const bystander = processes.run(["live", QUERY, "--json", ...at]);
  const plain = processes.run(["live", QUERY, "--json", "--peer", `127.0.0.1:${port}`]);
  const [closed = 0] = await freePorts(1);
  const nobody = processes.run(["live", QUERY, "--peer", `127.0.0.1:${closed}`]);
  const { connect } = await import("../../src/client.ts");
  const client = await connect(`127.0.0.1:${port}`, { tls: { ca } });
  await client.live.put({ tenant: "acme", entity: "task", id: "r1", columns: { priority: 1 } });
  await trusting.says(/"type":"enter","index":0,"row":\{"id":"r1"/);
  const deltas = client.live.subscribe(JSON.parse(QUERY));
  expect((await deltas.next()).value).toMatchObject({ type: "reset", rows: 1 });
  client.close();
  const ended = await trusting.end("SIGINT");
  expect(ended.code).toBe(0);
  const refused = await bystander.end();
  expect([refused.code, refused.stdout]).toEqual([1, ""]);
  expect(refused.stderr).toMatch(/AUTH_FAILED.*certificate is refused/);
  for (const [run, pattern] of [
    [plain, /UNREACHABLE/],
    [nobody, /UNREACHABLE: Cannot reach .*ECONNREFUSED/],
  ] as const) {
    const { code, stdout, stderr } = await run.end();
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(pattern);
  }
});
