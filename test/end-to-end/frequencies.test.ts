/**
 * Document frequencies of real files at real processes: equal to a central count, term by term, at every
 * peer, when files change, when a peer is killed, and when all of them were cut apart.
 */
import { mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type CentralCount, countMarkdown, differences } from "./central-count.ts";
import { freePorts, type PeerRun, Processes, until } from "./processes.ts";
import { TcpProxy } from "./tcp-proxy.ts";

const SHARDS = 16;
const LOCAL = ["--shards", String(SHARDS), "--timings", "local"];
const DOCUMENTS = 40;
const WORDS =
  "a shard is the unit of allocation Größe größe 日本語 __proto__ constructor don't 3.14";

let processes = new Processes();
let proxies: TcpProxy[] = [];
let folder = "";

beforeEach(() => {
  processes = new Processes();
  folder = mkdtempSync(join(tmpdir(), "hearsay-index-"));
  for (let number = 0; number < DOCUMENTS; number += 1) write(number, `${number}`);
  writeFileSync(join(folder, "image.md"), Buffer.from([0x89, 0, 1, 2]));
});

afterEach(async () => {
  await processes.close();
  await Promise.all(proxies.map((proxy) => proxy.cut()));
  proxies = [];
  rmSync(folder, { recursive: true });
});

function pathOf(number: number): string {
  return join(folder, `part-${number % 3}`, `document-${number}.md`);
}

function write(number: number, also: string): void {
  mkdirSync(join(folder, `part-${number % 3}`), { recursive: true });
  const words = WORDS.split(" ").filter((_, index) => (index * 7 + number) % 3 > 0);
  writeFileSync(pathOf(number), `# Document ${number}\n\n${words.join(" ")}\n${also}\n`);
}

interface Indexed {
  readonly documents: number;
  readonly skipped: number;
  readonly terms: number;
  readonly shards: number;
  readonly changed: number;
}

async function index(peer: PeerRun): Promise<Indexed> {
  const args = ["index", folder, "--json", "--peer", peer.api.address];
  const { code, stdout, stderr } = await processes.run(args).end();
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Indexed;
}

/** What the text files of the folder hold: the binary one is none. */
function central(): CentralCount {
  unlinkSync(join(folder, "image.md"));
  const count = countMarkdown(folder);
  writeFileSync(join(folder, "image.md"), Buffer.from([0x89, 0, 1, 2]));
  return count;
}

/** Every peer says what a central count does. Frequencies come without an event of their own. */
async function expectExact(peers: readonly PeerRun[], also: CentralCount["terms"] = new Map()) {
  const expected = central();
  for (const { api } of peers) {
    const isExact = async () => (await differences(api, expected, also.keys())).length === 0;
    await vi.waitUntil(isExact, { timeout: 20_000, interval: 20 }).catch(() => {});
    expect(await differences(api, expected, also.keys())).toEqual([]);
  }
}

/** No shard is about to move: a region that is new to one writes all of it anew. */
async function hostedBy(peers: readonly PeerRun[], names: readonly string[]): Promise<void> {
  await until(`all shards at ${names}`, peers, async () => {
    const tables = await Promise.all(peers.map((peer) => peer.allocations()));
    return tables.every(
      (table) =>
        table.length === SHARDS &&
        isBalanced(table, names) &&
        JSON.stringify(table) === JSON.stringify(tables[0]),
    );
  });
}

function isBalanced(table: readonly { region: string }[], names: readonly string[]): boolean {
  const counts = names.map((name) => table.filter(({ region }) => region === name).length);
  const sum = counts.reduce((total, count) => total + count, 0);
  return sum === table.length && Math.max(...counts) - Math.min(...counts) <= 1;
}

test("[D1, D2, D3] an indexed folder is counted exactly at every peer, and after a kill", async () => {
  const ports = await freePorts(3);
  const joined = ports.map((port) => `127.0.0.1:${port}`).join(",");
  const peers = ports.map((port, number) =>
    processes.peer([
      ...[
        "--name",
        `peer-${number + 1}`,
        "--listen",
        `127.0.0.1:${port}`,
        "--join",
        joined,
        ...LOCAL,
      ],
    ]),
  ) as [PeerRun, PeerRun, PeerRun];
  await Promise.all(peers.map((peer) => peer.ready()));
  const [a, b, c] = peers;
  await hostedBy(peers, ["peer-1", "peer-2", "peer-3"]);

  const first = await index(a);
  const before = central();
  expect(first).toMatchObject({ documents: DOCUMENTS, skipped: 1, shards: SHARDS });
  expect(first.terms).toBe(before.terms.size);
  await expectExact(peers);
  expect((await index(b)).changed).toBe(0);

  write(0, "this one word is changed");
  unlinkSync(pathOf(1));
  write(DOCUMENTS, "this file is new");
  const second = await index(c);
  expect(second).toMatchObject({ documents: DOCUMENTS });
  expect(second.changed).toBeGreaterThan(0);
  expect(second.changed).toBeLessThan(first.changed / 2);
  await expectExact(peers, before.terms);

  await c.end("SIGKILL");
  await hostedBy([a, b], ["peer-1", "peer-2"]);
  await expectExact([a, b], before.terms);
  write(2, "changed after the kill");
  await index(b);
  await expectExact([a, b], before.terms);
});

test("[D1, D4] an indexed folder is counted exactly after all peers were cut apart", async () => {
  const ports = await freePorts(6);
  proxies = [0, 1, 2].map((n) => new TcpProxy(ports[n] as number, ports[n + 3] as number));
  await Promise.all(proxies.map((proxy) => proxy.heal()));
  const joined = proxies.map(({ address }) => address).join(",");
  const peers = proxies.map((proxy, number) =>
    processes.peer([
      ...["--name", `peer-${number + 1}`, "--listen", `127.0.0.1:${ports[number + 3]}`],
      ...["--advertise", proxy.address, "--join", joined, ...LOCAL, "--downing", "off"],
    ]),
  ) as [PeerRun, PeerRun, PeerRun];
  await Promise.all(peers.map((peer) => peer.ready()));
  const names = ["peer-1", "peer-2", "peer-3"];
  await hostedBy(peers, names);
  await index(peers[0]);
  const before = central();
  await expectExact(peers);

  await Promise.all(proxies.map((proxy) => proxy.cut()));
  for (const [number, peer] of peers.entries()) await hostedBy([peer], [names[number] as string]);
  write(3, "changed while all were cut apart");
  unlinkSync(pathOf(4));
  await index(peers[1]);
  await expectExact([peers[1]], before.terms);
  expect(await differences(peers[0].api, central())).not.toEqual([]);

  await Promise.all(proxies.map((proxy) => proxy.heal()));
  await hostedBy(peers, names);
  await expectExact(peers, before.terms);
});
