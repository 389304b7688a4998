/**
 * A million subscriptions from one token: what is too much is refused by a code, at once; others follow and
 * write meanwhile, and the peer does not grow beyond its limits.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import { type PeerRun, Processes } from "../end-to-end/processes.ts";

const ASKED = 1_000_000;

/** Writes that are made while a flood goes on that has no end. */
const ROUNDS = 1000;

const FLOOD = fileURLToPath(new URL("flood.mjs", import.meta.url));

const [GREEDY, MODEST] = ["token-of-the-greedy-one", "token-of-the-modest-one"];

/** What one token may follow, as `live-door.ts` has it. */
const TOKEN_SUBSCRIPTIONS_MAX = 16_384;

/** What the limits allow a token is far below it; a million subscriptions would take gigabytes. */
const GROWTH_BYTES_MAX = 400_000_000;

let processes = new Processes();
let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hearsay-flood-"));
  await writeFile(join(folder, "live.json"), '{"task":{"priority":"number"}}');
  await writeFile(join(folder, "tokens"), `${GREEDY} read\n${MODEST} write\n`, { mode: 0o600 });
});

afterEach(async () => {
  await processes.close();
  processes = new Processes();
  await rm(folder, { recursive: true, force: true });
});

async function memoryOf(peer: PeerRun): Promise<number> {
  const headers = { authorization: `Bearer ${MODEST}` };
  const text = await (await fetch(`http://${peer.address}/metrics`, { headers })).text();
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]);
}

interface Outcome {
  readonly asked: number;
  /** Of queries, by code. */
  readonly became: Readonly<Record<string, number>>;
  /** Of connections, by status and reason. */
  readonly closed: Readonly<Record<string, number>>;
}

/** What becomes of a million subscriptions, by code; undefined when their sender was cut off or stuck. */
async function flood(
  peer: PeerRun,
  connections: number,
  manner: "read" | "ignore",
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  const args = [peer.address, GREEDY, ASKED, connections, manner].map(String);
  const child = fork(FLOOD, args, { silent: true });
  signal.addEventListener("abort", () => child.kill("SIGKILL"), { once: true });
  let text = "";
  child.stdout?.on("data", (chunk) => {
    text += chunk;
  });
  await once(child, "close");
  return text === "" ? undefined : (JSON.parse(text) as Outcome);
}

for (const [what, connections, manner] of [
  ["over one connection", 1, "read"],
  ["over a hundred connections", 100, "read"],
  ["by one who reads no answer", 10, "ignore"],
] as const) {
  test(`[V9, V11] a million subscriptions of one token, ${what}, cost nobody else theirs`, async () => {
    const peer = await processes
      .peer(
        [
          ...["--listen", "127.0.0.1:0", "--name", "a", "--shards", "4", "--timings", "local"],
          ...["--live", join(folder, "live.json"), "--token-file", join(folder, "tokens")],
          ...["--log-level", "error"],
        ],
        { HEARSAY_TOKEN: MODEST },
      )
      .ready();
    const before = await memoryOf(peer);
    const client = await connect(peer.address, { token: MODEST });
    const deltas = client.live.subscribe({ tenant: "u", entity: "task" });
    await deltas.next();
    const stop = new AbortController();
    let isOver = false;
    const flooding = flood(peer, connections, manner, stop.signal).finally(() => {
      isOver = true;
    });
    const tookMs: number[] = [];
    let peak = before;
    let most = 0;
    // One who reads nothing is not listened to, so that flood has no end of its own.
    for (let n = 1; !isOver && !(manner === "ignore" && n > ROUNDS); n += 1) {
      const began = performance.now();
      const row = { tenant: "u", entity: "task", id: "r", columns: { priority: n } };
      await client.live.put(row);
      const { value } = await deltas.next();
      expect(value).toMatchObject({ row: { columns: { priority: n } } });
      tookMs.push(performance.now() - began);
      if (n % 100 !== 1) continue;
      peak = Math.max(peak, await memoryOf(peer));
      most = Math.max(most, (await peer.status()).live?.subscriptions ?? 0);
    }
    peak = Math.max(peak, await memoryOf(peer));
    stop.abort();
    const outcome = await flooding;
    const p = (share: number) => tookMs.sort((a, b) => a - b)[Math.floor(share * tookMs.length)];
    const grown = `grown by ${(peak - before) >> 20} MiB`;
    const how = `${tookMs.length} writes followed, p50 ${p(0.5)} ms, p99 ${p(0.99)} ms`;
    console.log(`${what}: ${JSON.stringify(outcome)}; ${how}; ${grown}`);
    client.close();
    expect(peak - before).toBeLessThan(GROWTH_BYTES_MAX);
    expect(tookMs.length).toBeGreaterThan(10);
    expect(most).toBeLessThanOrEqual(TOKEN_SUBSCRIPTIONS_MAX + 1);
    if (manner === "ignore") return;
    expect(outcome?.asked).toBe(ASKED);
    const { subscribed = 0, RATE_LIMITED = 0, ...others } = outcome?.became ?? {};
    expect([others, subscribed > 0, RATE_LIMITED > 0]).toEqual([{}, true, true]);
    // Who floods on is cut off before it has read why, now and then.
    const ends = Object.keys(outcome?.closed ?? {});
    expect(ends.filter((end) => !/^(?:1008 RATE_LIMITED|1006 )$/.test(end))).toEqual([]);
  }, 300_000);
}
