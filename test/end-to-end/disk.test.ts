/**
 * Disks that take no more: the peer says so and ends, and what it had acknowledged is there.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import { Ledgers } from "./kill-loop.ts";
import { freePorts, Processes } from "./processes.ts";

/** Size of the largest file, in units of 1024 bytes: an empty store takes 100. */
const FILE_LIMIT = "-f 300";

let processes = new Processes();
let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hearsay-disk-"));
});

afterEach(async () => {
  await processes.close();
  processes = new Processes();
  await rm(directory, { recursive: true, force: true });
});

async function flagsOf(data: string): Promise<{ flags: string[]; address: string }> {
  const [port] = (await freePorts(1)) as [number];
  const address = `127.0.0.1:${port}`;
  const flags = ["--name", "only", "--listen", address, "--data", data, "--shards", "16"];
  return { flags: [...flags, "--timings", "local"], address };
}

test("[G1, I17] a disk that is full ends the peer with a reason, and nothing acknowledged is lost", async () => {
  const { flags, address } = await flagsOf(join(directory, "data"));
  const full = processes.peer(flags, {}, { limit: FILE_LIMIT });
  await full.ready();
  const client = await connect(address);
  const ledgers = new Ledgers();
  const writing = ledgers.write(client, (count) => {
    // Each takes room for ever, so that sooner or later there is none.
    client.registerShard({ key: `${"x".repeat(200)}-${count}` }).catch(() => {});
  });
  const ended = await full.end();
  client.close();
  await writing;
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^hearsay: STORE_FAILED: Cannot write to the store in .*data: \S+/m);
  expect(ledgers.acknowledged).toBeGreaterThan(0);
  await processes.peer(flags).ready();
  const again = await connect(address);
  await ledgers.compare(again);
  again.close();
});

test("a place where no store can be is refused at the start, with its name", async () => {
  const file = join(directory, "file");
  await writeFile(file, "");
  const { flags } = await flagsOf(join(file, "data"));
  const { code, stderr } = await processes.run(["start", ...flags]).end();
  expect([code, stderr]).toEqual([1, expect.stringContaining("STORE_FAILED: Cannot open")]);
  expect(stderr).toContain(file);
});
