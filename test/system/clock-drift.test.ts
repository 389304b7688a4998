/**
 * A real peer whose wall clock is an hour ahead, made so by libfaketime (Debian package `faketime`).
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Processes, until } from "../end-to-end/processes.ts";

let processes = new Processes();

beforeEach(() => {
  processes = new Processes();
});

afterEach(() => processes.close());

/** Debian puts it below a folder for the architecture. */
const LIBRARY = ["/usr/lib", ...foldersOf("/usr/lib")]
  .map((folder) => join(folder, "faketime", "libfaketime.so.1"))
  .find((path) => existsSync(path));

function foldersOf(parent: string): string[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent).map((name) => join(parent, name));
}

const QUICK = ["--listen", "127.0.0.1:0", "--shards", "8", "--timings", "local,joinTimeoutMs=2000"];

test.skipIf(LIBRARY === undefined)(
  "[C4] a peer an hour ahead says CLOCK_DRIFT and joins nobody, and the others go on unharmed",
  async () => {
    const a = await processes.peer(["--name", "peer-1", ...QUICK]).ready();
    const b = await processes.peer(["--name", "peer-2", "--join", a.address, ...QUICK]).ready();
    await until("equal shares", [a, b], async () => {
      const tables = await Promise.all([a.allocations(), b.allocations()]);
      return tables.every((table) => table.filter((row) => row.region === "peer-2").length === 4);
    });
    const before = await Promise.all([a.allocations(), b.allocations()]);

    const ahead = processes.peer(
      ["--name", "peer-3", "--join", `${a.address},${b.address}`, ...QUICK],
      { LD_PRELOAD: LIBRARY as string, FAKETIME: "+1h", FAKETIME_DONT_FAKE_MONOTONIC: "1" },
    );
    await ahead.says(/warn +CLOCK_DRIFT: /);
    expect(await Promise.all([a.allocations(), b.allocations()])).toEqual(before);
    for (const peer of [a, b]) {
      const { ready, clock, members } = await peer.status();
      expect({ ready, members }).toEqual({
        ready: true,
        members: { alive: 2, suspect: 0, dead: 0, left: 0 },
      });
      expect(clock.driftMs).toBeLessThan(10_000);
    }
    const written = await a.allocate("shard-0", "peer-2");
    await until("a write that everybody takes", [b], async () =>
      (await b.allocations()).some(({ token }) => token === written.token),
    );
    expect((await ahead.end("SIGTERM")).code).toBe(0);
  },
);
