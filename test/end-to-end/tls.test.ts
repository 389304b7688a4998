/**
 * Real processes over TLS, with the certificates that `hearsay certs` makes.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import { freePorts, Processes } from "./processes.ts";

let processes = new Processes();
let certs = "";

beforeEach(async () => {
  certs = await mkdtemp(join(tmpdir(), "hearsay-tls-"));
});

afterEach(async () => {
  await processes.close();
  processes = new Processes();
  await rm(certs, { recursive: true, force: true });
});

const flagsOf = (name: string, port: number, others: readonly number[]): string[] => [
  ...["--name", name, "--listen", `127.0.0.1:${port}`, "--shards", "16", "--timings", "local"],
  ...others.flatMap((other) => ["--join", `127.0.0.1:${other}`]),
  ...["--tls-cert", join(certs, `${name}.pem`), "--tls-key", join(certs, `${name}-key.pem`)],
  ...["--tls-ca", join(certs, "ca.pem")],
];

test("[S3, S7] peers and clients find each other over TLS, and nobody else is let in", async () => {
  const ca = join(certs, "ca.pem");
  const made = await processes.run(["certs", "a", "b", "--out", certs]).end();
  expect([made.code, made.stderr]).toEqual([0, ""]);
  const ports = (await freePorts(2)) as [number, number];
  const peers = ["a", "b"].map((name, index) =>
    processes.peer(flagsOf(name, ports[index] ?? 0, ports)),
  );
  for (const peer of peers) await peer.says(/"event":"ready"/);

  const ask = (...args: string[]) =>
    processes.run([...args, "--peer", `127.0.0.1:${ports[0]}`]).end();
  const members = await ask("members", "--json", "--ca", ca);
  expect(members.stderr).toBe("");
  const rows = JSON.parse(members.stdout) as { name: string; status: string }[];
  expect(rows.map(({ name, status }) => `${name} ${status}`)).toEqual(["a alive", "b alive"]);
  expect(await ask("status")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("UNREACHABLE"),
  });
  const distrustful = await processes
    .run(["status", "--peer", `https://127.0.0.1:${ports[0]}`])
    .end();
  expect(distrustful.stderr).toMatch(/its certificate is refused/);

  const client = await connect(`127.0.0.1:${ports[1]}`, { tls: { ca } });
  expect((await client.members()).length).toBe(2);
  client.close();
  await expect(connect(`127.0.0.1:${ports[1]}`, { tls: true })).rejects.toMatchObject({
    code: "AUTH_FAILED",
  });
  await expect(connect(`127.0.0.1:${ports[1]}`)).rejects.toMatchObject({ code: "UNREACHABLE" });

  const stranger = processes.peer([
    ...["--name", "c", "--listen", "127.0.0.1:0", "--join", `127.0.0.1:${ports[0]}`],
    ...["--shards", "16", "--timings", "local"],
  ]);
  await stranger.says(/nobody|UNREACHABLE|AUTH_FAILED/i);
  const after = await ask("members", "--json", "--ca", ca);
  expect((JSON.parse(after.stdout) as unknown[]).length).toBe(2);
});

test("[S6] certificates open the way off loopback, and all three files are needed", async () => {
  await processes.run(["certs", "a", "--out", certs]).end();
  const flags = flagsOf("a", 0, []).map((flag) => flag.replace("127.0.0.1:0", "0.0.0.0:0"));
  await processes.peer(flags).says(/"event":"ready"/);
  const half = await processes.run(["start", ...flags.slice(0, -2)]).end();
  expect([half.code, half.stderr]).toEqual([2, expect.stringContaining("go together")]);
  const other = await processes
    .run(["start", ...flags.map((flag) => (flag === "a" ? "other" : flag))])
    .end();
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining("not the certificate")]);
});
