/**
 * Real processes with secrets: who has none or another does not get in, and a secret is replaced while
 * the cluster runs.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freePorts, type PeerRun, Processes, until } from "./processes.ts";

const OLD = "the old secret of the cluster";
const NEW = "the new secret of the cluster";

let processes = new Processes();
let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hearsay-secrets-"));
});

afterEach(async () => {
  await processes.close();
  processes = new Processes();
  await rm(directory, { recursive: true, force: true });
});

async function fileOf(name: string, ...lines: string[]): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, `${lines.join("\n")}\n`, { mode: 0o600 });
  return path;
}

const flagsOf = (name: string, port: number, join_?: number): string[] => [
  ...["--name", name, "--listen", `127.0.0.1:${port}`, "--shards", "16", "--timings", "local"],
  ...(join_ === undefined ? [] : ["--join", `127.0.0.1:${join_}`]),
];

const alive = (peers: readonly PeerRun[], count: number) =>
  until(`${count} members alive`, peers, async () => {
    const statuses = await Promise.all(peers.map((peer) => peer.status()));
    return statuses.every(({ members }) => members.alive === count);
  });

test("[S1] a peer without the secret, or with another, is refused and told so, and the cluster goes on", async () => {
  const [a, b, c] = (await freePorts(3)) as [number, number, number];
  const secret = await fileOf("secret", OLD);
  const other = await fileOf("other", NEW);
  const first = processes.peer([...flagsOf("a", a), "--secret-file", secret]);
  await first.ready();
  const second = processes.peer([...flagsOf("b", b, a), "--secret-file", secret]);
  await second.ready();
  const strangers = [
    processes.peer(flagsOf("c", c, a)),
    processes.peer([...flagsOf("d", 0, a), "--secret-file", other]),
  ];
  for (const stranger of strangers) {
    await stranger.says(/AUTH_FAILED/);
    await stranger.end("SIGKILL");
  }
  await alive([first, second], 2);
});

test("[S1] a secret is replaced in three steps, and links stand or open in each of them", async () => {
  const ports = (await freePorts(3)) as [number, number, number];
  const files = await Promise.all(["a", "b", "c"].map((name) => fileOf(name, OLD)));
  const start = (index: number): PeerRun => {
    const name = "abc"[index] as string;
    const flags = flagsOf(name, ports[index] as number, ports[(index + 1) % 3]);
    return processes.peer([...flags, "--secret-file", files[index] as string]);
  };
  const peers = [start(0), start(1), start(2)] as [PeerRun, PeerRun, PeerRun];
  await Promise.all(peers.map((peer) => peer.ready()));
  for (const lines of [[OLD, NEW], [NEW, OLD], [NEW]]) {
    for (const [index, name] of ["a", "b", "c"].entries()) {
      await fileOf(name, ...lines);
      // One that starts in the middle of a step finds links with those that have gone it and those that have not.
      await peers[index]?.end("SIGKILL");
      peers[index] = await start(index).ready();
      await alive(peers, 3);
    }
  }
});

test("[S2] commands need a token where there are tokens, and what it does not allow they are told", async () => {
  const [port] = (await freePorts(1)) as [number];
  const reader = "a-token-for-reading-only";
  const tokens = await fileOf("tokens", "# for dashboards", `${reader} read`);
  const peer = processes.peer([...flagsOf("a", port), "--token-file", tokens]);
  await peer.ready();
  const ask = (args: string[], token?: string) =>
    processes
      .run([...args, "--peer", `127.0.0.1:${port}`], token ? { HEARSAY_TOKEN: token } : {})
      .end();
  expect((await ask(["status", "--json"], reader)).code).toBe(0);
  expect((await ask(["df", "term", "--json"], reader)).code).toBe(0);
  const without = await ask(["status"]);
  expect([without.code, without.stderr]).toEqual([1, expect.stringContaining("AUTH_FAILED")]);
  const forbidden = await ask(["allocate", "shard-1", "a"], reader);
  expect([forbidden.code, forbidden.stderr]).toEqual([1, expect.stringContaining("FORBIDDEN")]);
});

test("[S6] a secret opens the way off loopback, and a file that others may read is no secret", async () => {
  const secret = await fileOf("secret", OLD);
  const peer = processes.peer(["--name", "a", "--listen", "0.0.0.0:0", "--secret-file", secret]);
  await peer.says(/"event":"ready"/);
  const loose = join(directory, "loose");
  await writeFile(loose, OLD, { mode: 0o644 });
  const refused = await processes
    .run(["start", "--listen", "127.0.0.1:0", "--secret-file", loose])
    .end();
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringContaining("others may read it"),
  ]);
});
