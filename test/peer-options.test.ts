import { expect, test } from "vitest";
import { HearsayError } from "../src/core/error.ts";
import { TIMINGS } from "../src/core/timings.ts";
import { addressToTell, readOptions } from "../src/peer-options.ts";

const read = (options: object) => readOptions({ name: "a", ...options });

test("a name is enough", () => {
  expect(read({})).toMatchObject({
    name: "a",
    cluster: "hearsay",
    listen: { host: "127.0.0.1", port: 7100 },
    advertise: undefined,
    join: [],
    shardCount: 256,
    zone: null,
    weight: 1,
    downing: "majority",
    timings: TIMINGS.lan,
  });
});

test("an option that is undefined is absent", () => {
  const { logger, ...settings } = read({ join: undefined, zone: undefined, timings: undefined });
  const { logger: _, ...defaults } = read({});
  expect(settings).toEqual(defaults);
  expect(logger.info({}, "silent")).toBeUndefined();
});

test("what has the wrong type or form is a TypeError that names the option", () => {
  const wrong: [option: string, value: unknown][] = [
    ["name", ""],
    ["name", "-a"],
    ["name", 7],
    ["cluster", "two words"],
    ["zone", 7],
    ["weight", "1"],
    ["shards", "256"],
    ["join", "127.0.0.1:7101"],
    ["downing", "eldest"],
    ["downing", "static-quorum"],
    ["downing", "static-quorum=0"],
    ["downing", { quorum: 2 }],
    ["timings", "fastest"],
    ["timings", "__proto__"],
    ["timings", 7],
    ["insecure", "yes"],
    ["signal", {}],
    ["logger", { info() {} }],
  ];
  for (const [option, value] of wrong) {
    expect(() => read({ [option]: value })).toThrow(TypeError);
    expect(() => read({ [option]: value })).toThrow(option);
  }
  expect(() => read({ timings: { heartbeat: 100 } })).toThrow("heartbeat");
  expect(() => readOptions(undefined as never)).toThrow(TypeError);
});

test("addresses are checked", () => {
  for (const address of ["7100", "localhost", "a:b:7100", "127.0.0.1:70000", 7]) {
    expect(() => read({ listen: address })).toThrow(TypeError);
    expect(() => read({ advertise: address })).toThrow(TypeError);
    expect(() => read({ join: [address] })).toThrow(TypeError);
  }
  expect(() => read({ join: ["127.0.0.1:0"] })).toThrow(TypeError);
  expect(read({ listen: "127.0.0.1:0" }).listen.port).toBe(0);
});

test("what is out of range is a RangeError that names the option", () => {
  const wrong: [option: string, value: unknown][] = [
    ["shards", -1],
    ["shards", 65_537],
    ["shards", 1.5],
    ["shards", Number.NaN],
    ["weight", 0],
    ["weight", Number.POSITIVE_INFINITY],
    ["weight", Number.NaN],
    ["zone", ""],
    ["zone", "x".repeat(65)],
    ["zone", "\ud800"],
    ["join", Array.from({ length: 257 }, (_, index) => `127.0.0.1:${index + 1}`)],
  ];
  for (const [option, value] of wrong) {
    expect(() => read({ [option]: value })).toThrow(RangeError);
    expect(() => read({ [option]: value })).toThrow(option);
  }
  expect(() => read({ timings: { dialTimeoutMs: 0 } })).toThrow(RangeError);
  expect(() => read({ timings: { heartbeatMs: 1000 } })).toThrow("silenceMs");
});

test("an option that does not exist is refused, since nobody would miss what it should do", () => {
  for (const option of ["secret", "tls", "Join", "__proto__x"]) {
    expect(() => read({ [option]: "value" })).toThrow(TypeError);
    expect(() => read({ [option]: "value" })).toThrow(option);
  }
});

test("[S2] pages are allowed by origins that are some, and by default those of the peer itself", () => {
  expect(read({}).origins).toBe("same-host");
  const origins = ["https://a.example", "http://127.0.0.1:8080"];
  expect(read({ origins }).origins).toEqual(origins);
  const wrong = ["https://a.example/", "a.example", "*", "", "HTTPS://A.example", 7, null];
  for (const origin of wrong) expect(() => read({ origins: [origin] })).toThrow(TypeError);
  for (const wanted of ["*", "any", {}]) expect(() => read({ origins: wanted })).toThrow(TypeError);
  const many = Array.from({ length: 65 }, (_, index) => `http://a${index}.example`);
  expect(() => read({ origins: many })).toThrow(RangeError);
});

test("timings are a preset, or durations that differ from lan", () => {
  expect(read({ timings: "wan" }).timings).toEqual(TIMINGS.wan);
  expect(read({ timings: { foundAfterMs: 1 } }).timings).toEqual({
    ...TIMINGS.lan,
    foundAfterMs: 1,
  });
});

test("[S6] only loopback may be listened on, unless insecure is spelt out", () => {
  for (const host of ["0.0.0.0", "[::]", "192.168.0.1", "example.org", "127.0.0.1.example.org"]) {
    const listen = `${host}:7100`;
    expect(() => read({ listen })).toThrow(expect.objectContaining({ code: "INSECURE_LISTEN" }));
    expect(() => read({ listen })).toThrow(HearsayError);
    expect(read({ listen, insecure: true }).listen.port).toBe(7100);
  }
  for (const host of ["127.0.0.1", "127.8.9.10", "[::1]", "localhost"]) {
    expect(read({ listen: `${host}:7100` }).listen.port).toBe(7100);
  }
});

test("others are told an address that they can dial", () => {
  const told = (options: object): string =>
    addressToTell(read(options), { host: "ignored", port: 7777 });
  expect(told({ listen: "127.0.0.1:0" })).toBe("127.0.0.1:7777");
  expect(told({ listen: "[::1]:0" })).toBe("[::1]:7777");
  expect(told({ listen: "127.0.0.1:0", advertise: "peer.example:80" })).toBe("peer.example:80");
  for (const listen of ["0.0.0.0:0", "[::]:0"]) {
    const address = told({ listen, insecure: true });
    expect(address).toMatch(/:7777$/);
    expect(address).not.toMatch(/^(0\.0\.0\.0|\[::\]):/);
  }
});
