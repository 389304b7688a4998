/**
 * A hundred kills of one peer while it is written to, in places that another seed moves:
 * HEARSAY_SEED=7 npm run test:system.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Random } from "../../src/core/random.ts";
import { killInALoop } from "../end-to-end/kill-loop.ts";
import { Processes } from "../end-to-end/processes.ts";

const ROUNDS = 100;

test("[I17] nothing that was acknowledged is missing after a hundred kills", async () => {
  const processes = new Processes();
  const directory = await mkdtemp(join(tmpdir(), "hearsay-kills-"));
  onTestFinished(async () => {
    await processes.close();
    await rm(directory, { recursive: true, force: true });
  });
  const random = new Random(Number(process.env.HEARSAY_SEED ?? 1));
  const total = await killInALoop({ processes, directory, rounds: ROUNDS, random });
  console.log(`${ROUNDS} kills, ${total} acknowledged writes, none missing`);
  expect(total).toBeGreaterThan(ROUNDS);
}, 600_000);
