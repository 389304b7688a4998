/**
 * The corpus of the fuzzer, and a few thousand inputs made from it: what took hours to find once is tried
 * with every test.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bytesOf } from "../wire/messages.ts";
import { mutate } from "./mutation.ts";
import { randomFor, targets } from "./targets.ts";

/** Mutations of each target: a second or so. */
const MUTATIONS = 3000;

/** By target and outcome, in hex. */
const corpus = JSON.parse(readFileSync("test/fuzz/corpus.json", "utf8")) as Record<
  string,
  Record<string, string>
>;

test.each(targets().map((target) => [target.name, target] as const))(
  "[I15, S5] nothing that anybody may send makes %s fail",
  async (name, target) => {
    const kept = Object.values(corpus[name] ?? {}).map(bytesOf);
    expect(kept.length).toBeGreaterThan(2);
    const inputs = [...target.seeds, ...kept];
    const outcomes = new Set<string>();
    for (const bytes of inputs) outcomes.add(await target.run(bytes));
    const random = randomFor(1);
    for (let count = 0; count < MUTATIONS; count += 1) {
      outcomes.add(await target.run(mutate(random, inputs, target.head)));
    }
    expect(outcomes.size).toBeGreaterThan(kept.length / 4);
  },
);
