import { expect, test } from "vitest";
import { ADDRESS_LENGTH_MAX, JOIN_ADDRESSES_MAX } from "../../src/core/limits.ts";
import {
  Discovery,
  formatAddress,
  type Join,
  parseAddress,
  splitAddress,
} from "../../src/io/discovery.ts";
import { FakeClock } from "./fake-clock.ts";

test.each([
  ["127.0.0.1:7100", { host: "127.0.0.1", port: 7100 }],
  ["localhost:1", { host: "localhost", port: 1 }],
  ["peer-3.example.com:65535", { host: "peer-3.example.com", port: 65_535 }],
  ["fully.qualified.:80", { host: "fully.qualified.", port: 80 }],
  ["my_service:80", { host: "my_service", port: 80 }],
  ["[::1]:7100", { host: "::1", port: 7100 }],
  ["[2001:db8::127.0.0.1]:7100", { host: "2001:db8::127.0.0.1", port: 7100 }],
])("%s is an address and is written as it was read", (text, parts) => {
  expect(parseAddress(text)).toEqual(parts);
  expect(formatAddress(parts)).toBe(text);
});

test.each([
  ["localhost", 'Address "localhost" has no port: write host:port'],
  ["", 'Address "" has no port: write host:port'],
  [":7100", 'Address ":7100" is not host:port with a port from 0 to 65535'],
  ["a:65536", 'Address "a:65536" is not host:port with a port from 0 to 65535'],
  ["a:-1", 'Address "a:-1" is not host:port with a port from 0 to 65535'],
  ["::1:7100", 'Address "::1:7100" is not host:port with a port from 0 to 65535'],
  ["a:0", 'Address "a:0" has port 0, which cannot be dialled'],
])("%j is refused with the reason", (text, message) => {
  expect(() => parseAddress(text)).toThrow(new TypeError(message));
});

test("port 0 is an address to listen on", () => {
  expect(parseAddress("127.0.0.1:0", "listen")).toEqual({ host: "127.0.0.1", port: 0 });
});

test.each([
  "http://a:1",
  "user@a:1",
  "a/b:1",
  "a:1/x",
  "a:1?x",
  "a:1#x",
  "a b:1",
  "a:1\n",
  "[]:1",
  "[a/b]:1",
  "[::1%eth0]:1",
  `${"a".repeat(ADDRESS_LENGTH_MAX)}:1`,
])("[S4] a stranger's %j is no address, so it cannot become part of a URL", (text) => {
  expect(splitAddress(text)).toBeUndefined();
});

function discover(join: Join) {
  const clock = new FakeClock();
  const found: (readonly string[])[] = [];
  const errors: unknown[] = [];
  const discovery = new Discovery({
    join,
    clock,
    intervalMs: 1000,
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

/** Lets every promise that can be settled be settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
