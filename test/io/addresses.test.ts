import { expect, test } from "vitest";
import { ADDRESS_LENGTH_MAX } from "../../src/core/limits.ts";
import { formatAddress, parseAddress, splitAddress } from "../../src/io/addresses.ts";

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
