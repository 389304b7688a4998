import { afterAll, expect, test } from "vitest";
import { BUGS } from "./planted/bugs.ts";
import { firstToFind, Nursery } from "./planted/planting.ts";

const nursery = new Nursery();
const sound = nursery.plant([]);

afterAll(() => nursery.clear());

/** What users do unless a bug needs something else: the more they do, the rarer each thing is. */
const WORKLOAD = ["allocate", "release", "route"] as const;

for (const { rule, does, edits, by, seeds, request: own } of BUGS) {
  const request = { workload: WORKLOAD, ...own };
  test(`[${rule}] a core that ${does} is found within ${seeds} seeds`, () => {
    const found = firstToFind(nursery.plant(edits), request, by, seeds);
    expect(found).toBeDefined();
    // The same runs of the core as it is show nothing of the kind.
    expect(firstToFind(sound, request, by, (found ?? 0) + 1)).toBeUndefined();
  });
}

test("a line of the core that is not there, or there twice, is not taken for a bug", () => {
  const file = "src/core/clock.ts";
  const plant = (line: string) => () => nursery.plant([{ file, line, bug: "" }]);
  expect(plant("this is no line of the clock")).toThrow("has this line 0 times");
  expect(plant("this.#last = ")).toThrow("Cannot plant a bug");
});
