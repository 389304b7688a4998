import { afterEach, beforeEach, expect, test } from "vitest";
import { type NameResolver, parseJoin, resolveJoin, systemResolver } from "../../src/io/names.ts";
import { NameServer } from "./name-server.ts";

const DEADLINE_MS = 30_000;

let server: NameServer;
let resolver: NameResolver;

beforeEach(async () => {
  server = new NameServer();
  resolver = systemResolver([await server.start()]);
});

afterEach(() => server.close());

const resolved = (text: string): Promise<string[]> => resolveJoin(parseJoin(text), resolver);

test.each([
  ["10.0.0.1:7100", { type: "address", address: "10.0.0.1:7100" }],
  ["[::1]:7100", { type: "address", address: "[::1]:7100" }],
  ["dns:7100", { type: "address", address: "dns:7100" }],
  ["srv:7100", { type: "address", address: "srv:7100" }],
  [
    "dns:pods.ns.svc.cluster.local:7100",
    { type: "dns", name: "pods.ns.svc.cluster.local", port: 7100 },
  ],
  ["srv:pods.example.com.", { type: "srv", name: "_hearsay._tcp.pods.example.com." }],
  ["srv:_peers._tcp.example.com", { type: "srv", name: "_peers._tcp.example.com" }],
])("[G8] %s is something to join by", (text, expected) => {
  expect(parseJoin(text)).toEqual(expected);
});

test.each([
  ...["pods", "dns:", "dns:pods", "dns:pods:0", "dns:pods:65536", "dns::7100", "dns:a/b:1", "srv:"],
  ...["srv:a b", "srv:a:7100", "srv:a\n", "DNS:pods:7100", `srv:${"a".repeat(254)}`, "dns:[::1]:1"],
])("[G8] %j is nothing to join by, and the error says so", (text) => {
  expect(() => parseJoin(text)).toThrow(TypeError);
});

test(
  "[G8] a name is asked of the name servers: every A and AAAA record is an address",
  async () => {
    server.records.set("A pods.test", ["10.0.0.1", "10.0.0.2"]);
    server.records.set("AAAA pods.test", ["fd00:0:0:0:0:0:0:5"]);
    const addresses = await resolved("dns:pods.test:7100");
    expect(addresses.sort()).toEqual(["10.0.0.1:7100", "10.0.0.2:7100", "[fd00::5]:7100"]);
  },
  DEADLINE_MS,
);

test(
  "[G8] a service is asked of the name servers: every SRV record, then the addresses of its target",
  async () => {
    server.records.set("SRV _hearsay._tcp.pods.test", ["p0.pods.test:7101", "p1.pods.test:7102"]);
    server.records.set("A p0.pods.test", ["10.0.0.1"]);
    server.records.set("A p1.pods.test", ["10.0.0.2", "10.0.0.3"]);
    const addresses = await resolved("srv:pods.test");
    expect(addresses.sort()).toEqual(["10.0.0.1:7101", "10.0.0.2:7102", "10.0.0.3:7102"]);
    expect(server.asked[0]).toBe("SRV _hearsay._tcp.pods.test");
  },
  DEADLINE_MS,
);

test(
  "[G8] a name that nobody knows yet is an error, and is found when it is there",
  async () => {
    await expect(resolved("dns:pods.test:7100")).rejects.toThrow("pods.test");
    await expect(resolved("srv:pods.test")).rejects.toThrow("pods.test");
    server.records.set("A pods.test", ["10.0.0.1"]);
    expect(await resolved("dns:pods.test:7100")).toEqual(["10.0.0.1:7100"]);
  },
  DEADLINE_MS,
);

test(
  "[G8] names of the hosts file are known, too",
  async () => {
    const addresses = await resolveJoin(parseJoin("dns:localhost:7100"), systemResolver());
    expect(addresses.some((each) => each === "127.0.0.1:7100" || each === "[::1]:7100")).toBe(true);
  },
  DEADLINE_MS,
);
