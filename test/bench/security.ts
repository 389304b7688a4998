/**
 * What it costs to keep what was acknowledged, and strangers out.
 *
 * Links: from the dial to "open" at both ends, one after another, over loopback, and what of a processor
 * both ends take together; in the clear, with a secret, and with certificates on both sides (TLS 1.3).
 * The store: one entry written and durable, beside an `fdatasync` of as many bytes to the same disk; a
 * batch of entries; and how long a store of 100 000 entries takes to open, in which another process reads it
 * first. Last, the resident memory of an idle peer with all of that. Linux only.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createAuthority, createCertificate } from "../../src/cli/certs.ts";
import type { Entry } from "../../src/core/message.ts";
import { keyRing } from "../../src/io/key-ring.ts";
import { LmdbStore } from "../../src/io/lmdb-store.ts";
import { Credentials, type TlsFiles } from "../../src/io/tls.ts";
import type { WebSocketTransportOptions } from "../../src/io/websocket-transport.ts";
import { startEndpoint } from "../io/endpoint.ts";
import { median, nowMs } from "./measure.ts";
import type { Bench, Figure } from "./report.ts";

const LINKS = 200;
const WRITES = 500;
const BATCH = 10_000;
const BATCHES = 10;
const STORED = 100_000;
const SETTLE_MS = 4000;
const SECRET = "a secret for a bench of security";
const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

export const bench: Bench = {
  summary: "links in the clear, with a secret, over TLS; writes that are durable; a large store",
  run: async (progress) => {
    const folder = await mkdtemp(join(tmpdir(), "hearsay-bench-"));
    try {
      await createAuthority(folder, "hearsay");
      const filesOf = async (name: string): Promise<TlsFiles> => ({
        ...(await createCertificate(folder, { cluster: "hearsay", name })),
        ca: join(folder, "ca.pem"),
      });
      const files = [await filesOf("a"), await filesOf("b")] as const;
      progress("links");
      const links = await measureLinks(files);
      progress("a store");
      const store = await measureStore(join(folder, "store"));
      progress("an idle peer");
      const resident = await measureResident(folder, files[0]);
      return [
        { title: "From a dial to a link that is open at both ends", figures: links },
        { title: "A store on this disk", figures: store },
        {
          title: "An idle peer with 256 shards, a store, a secret and TLS",
          figures: [{ name: "resident", value: resident, unit: "MB", target: { atMost: 95 } }],
        },
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measureLinks(files: readonly [TlsFiles, TlsFiles]): Promise<Figure[]> {
  const ring = keyRing(SECRET);
  const kinds: [string, (end: 0 | 1) => Partial<WebSocketTransportOptions>][] = [
    ["in the clear", () => ({})],
    ["with a secret", () => ({ keys: () => ring })],
    [
      "with certificates",
      (end) => {
        const party = { name: end === 0 ? "a" : "b", cluster: "hearsay" };
        return { credentials: new Credentials(files[end], party, nowMs) };
      },
    ],
  ];
  const figures: Figure[] = [];
  for (const [name, options] of kinds) {
    const [a, b] = [
      await startEndpoint("a", {}, options(0)),
      await startEndpoint("b", {}, options(1)),
    ];
    const times: number[] = [];
    let usedMs = 0;
    for (let count = 0; count < LINKS; count += 1) {
      const [start, used] = [nowMs(), process.cpuUsage()];
      a.perform({ type: "dial", dial: count, address: b.identity.address });
      const [near] = await Promise.all([a.next(), b.next()]);
      times.push(nowMs() - start);
      const { user, system } = process.cpuUsage(used);
      usedMs += (user + system) / 1000;
      if (near.type !== "link-opened") throw new Error(`No link: ${JSON.stringify(near)}`);
      a.perform({ type: "close", link: near.link, code: "UNUSED" });
      await Promise.all([a.next(), b.next()]);
    }
    await Promise.all([a.close(), b.close()]);
    const isTls = name === "with certificates";
    figures.push(
      { name: `${name}, p50`, value: median(times), unit: "ms", ...(isTls && AT_MOST_10) },
      { name: `${name}, processor of both ends`, value: usedMs / LINKS, unit: "ms" },
    );
  }
  return figures;
}

const AT_MOST_10 = { target: { atMost: 10 } };

const entry = (number: number): Entry => ({
  ...{ key: `shard-${number}`, value: ["orders-1"], time: number + 1 },
  writer: "mwp8cbxp-1pEu00sLQb2iHBgxlfgGWA-0",
});

const entries = (from: number, count: number): Entry[] =>
  Array.from({ length: count }, (_, index) => entry(from + index));

async function measureStore(directory: string): Promise<Figure[]> {
  const identity = { directory, name: "a", cluster: "hearsay" };
  const store = new LmdbStore(identity);
  await store.open(Date.now());
  const file = await open(join(directory, "raw"), "w");
  const [singles, raws, batches]: [number[], number[], number[]] = [[], [], []];
  const timed = async (times: number[], act: () => Promise<unknown>): Promise<void> => {
    const start = nowMs();
    await act();
    times.push(nowMs() - start);
  };
  for (let count = 0; count < WRITES; count += 1) {
    const maps = [{ map: "allocations", entries: [entry(count)] }];
    await timed(singles, () => store.persist(maps, count));
    await timed(raws, async () => {
      await file.write(Buffer.alloc(4096, count), 0, 4096, (count % 64) * 4096);
      await file.datasync();
    });
  }
  for (let count = 0; count < BATCHES; count += 1) {
    const maps = [{ map: "allocations", entries: entries(count * BATCH, BATCH) }];
    await timed(batches, () => store.persist(maps, count));
  }
  await file.close();
  await store.close();
  const openings: number[] = [];
  for (let count = 0; count < 5; count += 1) {
    const again = new LmdbStore(identity);
    const start = nowMs();
    const { image } = await again.open(Date.now());
    openings.push((nowMs() - start) / 1000);
    await again.close();
    const stored = image.maps.reduce((sum, { entries: all }) => sum + all.length, 0);
    if (stored !== STORED) throw new Error(`${stored} entries were found`);
  }
  const perSecond = (BATCH / median(batches)) * 1000;
  return [
    { name: "one entry, durable, p50", value: median(singles), unit: "ms", target: { atMost: 1 } },
    { name: "4 KiB and fdatasync, p50", value: median(raws), unit: "ms" },
    {
      ...{ name: `in batches of ${BATCH}`, value: perSecond, unit: "entries/s" },
      target: { atLeast: 100_000 },
    },
    {
      ...{ name: `opening ${STORED} entries`, value: median(openings), unit: "s" },
      target: { atMost: 0.5 },
    },
  ];
}

/** Resident memory of a peer that has been idle for a while, in MB. */
async function measureResident(folder: string, { cert, key, ca }: TlsFiles): Promise<number> {
  const secret = join(folder, "secret");
  await writeFile(secret, SECRET, { mode: 0o600 });
  const flags = [
    ...["--name", "a", "--listen", "127.0.0.1:0", "--data", join(folder, "data")],
    ...["--secret-file", secret, "--tls-cert", cert, "--tls-key", key, "--tls-ca", ca],
  ];
  const child = spawn(process.execPath, [CLI, "start", ...flags], {
    stdio: ["ignore", "pipe", "ignore", "ipc"],
  });
  if (child.stdout === null) throw new Error("A process without output was started");
  await once(child.stdout, "data");
  await sleep(SETTLE_MS);
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  return (Number(kibibytes) * 1024) / 1e6;
}
