import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Random } from "../../src/core/random.ts";
import { killInALoop } from "./kill-loop.ts";
import { Processes } from "./processes.ts";

/** `npm run test:system` kills it a hundred times. */
const ROUNDS = 6;

test("[I17] a peer that is killed while it is written to has all that it acknowledged", async () => {
  const processes = new Processes();
  const directory = await mkdtemp(join(tmpdir(), "hearsay-kills-"));
  onTestFinished(async () => {
    await processes.close();
    await rm(directory, { recursive: true, force: true });
  });
  const random = new Random(1);
  const total = await killInALoop({ processes, directory, rounds: ROUNDS, random });
  expect(total).toBeGreaterThan(ROUNDS);
}, 60_000);
