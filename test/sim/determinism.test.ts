import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { afterEach, expect, test, vi } from "vitest";
import { createSimulation, simulate } from "../../sim/simulation.ts";

function cure(): void {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  syncBuiltinESMExports();
}

afterEach(cure);

/** Whatever a run could learn from outside: each of these throws from now on. */
function poison(): void {
  const refuse = (name: string) => () => {
    throw new Error(`A run asked for ${name}`);
  };
  const timers = ["setTimeout", "setInterval", "setImmediate", "queueMicrotask"] as const;
  for (const name of timers) vi.spyOn(globalThis, name).mockImplementation(refuse(name));
  const now = refuse("Date.now");
  vi.stubGlobal("Date", new Proxy(Date, { construct: refuse("new Date"), get: () => now }));
  vi.spyOn(Math, "random").mockImplementation(refuse("Math.random"));
  vi.spyOn(performance, "now").mockImplementation(refuse("performance.now"));
  vi.spyOn(process, "hrtime").mockImplementation(refuse("process.hrtime"));
  vi.spyOn(process.hrtime, "bigint").mockImplementation(refuse("process.hrtime.bigint"));
  vi.spyOn(globalThis.crypto, "getRandomValues").mockImplementation(refuse("getRandomValues"));
  vi.spyOn(globalThis.crypto, "randomUUID").mockImplementation(refuse("randomUUID"));
  for (const name of ["randomBytes", "randomFillSync", "randomInt", "randomUUID"] as const) {
    vi.spyOn(crypto, name).mockImplementation(refuse(`crypto.${name}`));
  }
  syncBuiltinESMExports();
}

test("a run asks nothing of the machine that it runs on", () => {
  const expected = [3, 4, 5].map((seed) => simulate({ seed }).digest);
  poison();
  const digests = [3, 4, 5].map((seed) => simulate({ seed }).digest);
  cure();
  expect(digests).toEqual(expected);
});

test("the poison works", () => {
  poison();
  const asked = [
    () => Date.now(),
    () => new Date(),
    () => Math.random(),
    () => performance.now(),
    () => setTimeout(() => {}, 0),
    () => crypto.randomBytes(1),
  ].map((ask) => {
    try {
      return ask();
    } catch (error) {
      return String(error).startsWith("Error: A run asked for");
    }
  });
  cure();
  expect(asked).toEqual(asked.map(() => true));
});

test("equal seeds give equal reports, to the last line of the history", () => {
  for (let seed = 0; seed < 300; seed += 50) expect(simulate({ seed })).toEqual(simulate({ seed }));
});

test("a run does not depend on those before it", () => {
  const first = simulate({ seed: 21 }).digest;
  const other = simulate({ seed: 22 }).digest;
  expect(simulate({ seed: 21 }).digest).toBe(first);
  expect(simulate({ seed: 22 }).digest).toBe(other);
});

test("two runs that take turns do not disturb each other", () => {
  const seeds = [31, 32];
  const runs = seeds.map((seed) => createSimulation({ seed }).steps());
  const digests: (string | undefined)[] = [undefined, undefined];
  while (digests.includes(undefined)) {
    runs.forEach((run, index) => {
      const { done, value } = run.next();
      if (done && value !== undefined) digests[index] = value.digest;
    });
  }
  expect(digests).toEqual(seeds.map((seed) => simulate({ seed }).digest));
});

test("a run without one kind of fault has the strikes of the others as before", () => {
  const options = { seed: 8, peers: 3, durationMs: 20_000, faultEveryMs: 3000 } as const;
  const both = simulate({ ...options, faults: ["partition", "pause"] });
  const one = simulate({ ...options, faults: ["pause"] });
  const pauses = both.course.strikes.filter(({ kind }) => kind === "pause");
  expect(pauses.length).toBeGreaterThan(2);
  expect(one.course.strikes).toEqual(pauses);
});
