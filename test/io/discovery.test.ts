import { expect, test } from "vitest";
import { JOIN_ADDRESSES_MAX } from "../../src/core/limits.ts";
import { Discovery, type Join } from "../../src/io/discovery.ts";
import { FakeClock } from "./fake-clock.ts";

/** Names that a test makes up, by what they are asked for. */
function discover(join: Join, known: Record<string, readonly string[]> = {}) {
  const clock = new FakeClock();
  const found: (readonly string[])[] = [];
  const errors: unknown[] = [];
  const discovery = new Discovery({
    join,
    clock,
    intervalMs: 1000,
    random: () => 0,
    resolver: {
      addresses: async (name) => known[name] ?? Promise.reject(new Error(`no ${name}`)),
      services: async (name) => (known[name] ?? []).map((target) => ({ name: target, port: 7100 })),
    },
    onFound: (addresses) => found.push(addresses),
    onError: (error) => errors.push(error),
  });
  return { clock, found, errors, discovery };
}

test("a list is told once", async () => {
  const { clock, found, discovery } = discover(["b:1", "a:1", "b:1"]);
  await discovery.start();
  expect(found).toEqual([["a:1", "b:1"]]);
  expect(clock.alarmsSet).toBe(0);
});

test("a list with something else than addresses is misuse", () => {
  expect(() => discover(["a:1", "b"])).toThrow(TypeError);
  expect(() => discover(new Array(JOIN_ADDRESSES_MAX + 1).fill("a:1"))).toThrow(RangeError);
});

test("a function is asked again and again, and only changes are told", async () => {
  const answers = [["a:1"], ["a:1"], ["a:1", "b:1"]];
  const { clock, found, discovery } = discover(() => answers.shift() ?? []);
  await discovery.start();
  clock.advanceTo(1000);
  await settled();
  expect(answers).toHaveLength(1);
  clock.advanceTo(2000);
  await settled();
  discovery.close();
  expect(found).toEqual([["a:1"], ["a:1", "b:1"]]);
  expect(clock.alarmsPending).toBe(0);
});

test("a function that fails is asked again, and what it found before stands", async () => {
  const cause = new Error("no such name");
  let fails = true;
  const { clock, found, errors, discovery } = discover(async () => {
    if (fails) throw cause;
    return ["a:1", "nonsense"];
  });
  await discovery.start();
  expect(errors).toMatchObject([{ code: "UNREACHABLE", cause }]);
  fails = false;
  clock.advanceTo(1000);
  await settled();
  expect(found).toEqual([["a:1"]]);
  expect(errors.slice(1)).toEqual([
    new TypeError('Address "nonsense" has no port: write host:port'),
  ]);
  discovery.close();
});

test("an answer that comes after close is not told", async () => {
  const { clock, found, discovery } = discover(async () => ["a:1"]);
  const started = discovery.start();
  discovery.close();
  await started;
  expect(found).toEqual([]);
  expect(clock.alarmsSet).toBe(0);
});

test("[G8] all addresses of a name are found, and others when the name has changed", async () => {
  const known: Record<string, readonly string[]> = { pods: ["10.0.0.1", "10.0.0.2", "::1"] };
  const { clock, found, errors, discovery } = discover(["dns:pods:7100", "seed:1"], known);
  await discovery.start();
  expect(found).toEqual([["10.0.0.1:7100", "10.0.0.2:7100", "[::1]:7100", "seed:1"]]);
  known.pods = ["10.0.0.9"];
  clock.advanceTo(1000);
  await settled();
  expect(found.slice(1)).toEqual([["10.0.0.9:7100", "seed:1"]]);
  expect(errors).toEqual([]);
  discovery.close();
});

test("[G8] a name that is not known yet is asked for again, sooner at first, and told of once", async () => {
  const known: Record<string, readonly string[]> = {};
  const { clock, found, errors, discovery } = discover(["dns:pods:7100", "seed:1"], known);
  await discovery.start();
  expect(found).toEqual([["seed:1"]]);
  for (const at of [500, 1500]) {
    clock.advanceTo(at);
    await settled();
  }
  expect(clock.alarmsSet).toBe(3);
  expect(errors).toMatchObject([{ code: "UNREACHABLE", message: expect.stringContaining("pods") }]);
  known.pods = ["10.0.0.1"];
  clock.advanceTo(2500);
  await settled();
  expect(found.slice(1)).toEqual([["10.0.0.1:7100", "seed:1"]]);
  discovery.close();
});

test("[G8] a name that fails keeps the addresses that it had", async () => {
  const known: Record<string, readonly string[]> = { a: ["10.0.0.1"], b: ["10.0.0.2"] };
  const { clock, found, discovery } = discover(["dns:a:1", "dns:b:1"], known);
  await discovery.start();
  delete known.a;
  known.b = ["10.0.0.3"];
  clock.advanceTo(1000);
  await settled();
  expect(found.slice(1)).toEqual([["10.0.0.1:1", "10.0.0.3:1"]]);
  discovery.close();
});

test("[G8] services are found at all addresses of their targets, those that are gone left out", async () => {
  const known = {
    "_hearsay._tcp.pods": ["p0.pods", "p1.pods", "10.0.0.7"],
    "p1.pods": ["10.0.0.1"],
  };
  const { found, discovery } = discover(["srv:pods"], known);
  await discovery.start();
  expect(found).toEqual([["10.0.0.1:7100", "10.0.0.7:7100"]]);
  discovery.close();
});

test("[G8] a function may answer with names", async () => {
  const { found, discovery } = discover(() => ["dns:pods:7", "a:1"], { pods: ["10.0.0.1"] });
  await discovery.start();
  expect(found).toEqual([["10.0.0.1:7", "a:1"]]);
  discovery.close();
});

test("[S4] a name of more addresses than a peer dials is cut off there", async () => {
  const many = Array.from({ length: 5000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
  const { found, discovery } = discover(["dns:pods:1"], { pods: many });
  await discovery.start();
  expect(found[0]).toHaveLength(JOIN_ADDRESSES_MAX);
  discovery.close();
});

/** Lets every promise that can be settled be settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
