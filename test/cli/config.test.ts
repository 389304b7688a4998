import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { configure, type SettingName, timingsOf } from "../../src/cli/config.ts";
import { Failure } from "../../src/cli/failure.ts";
import { TIMINGS } from "../../src/core/timings.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hearsay-config-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

function fileWith(text: string): string {
  const file = join(folder, "hearsay.json");
  writeFileSync(file, text);
  return file;
}

function failureOf(work: () => unknown): Failure {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(Failure);
    return error as Failure;
  }
  throw new Error("Nothing was thrown");
}

test("a flag wins over a variable, that over a file, and that over the default", () => {
  const names = ["listen", "shards", "zone", "weight"] as const;
  const { values, origins } = configure(names, {
    flags: { listen: "127.0.0.1:1" },
    environment: { HEARSAY_LISTEN: "127.0.0.1:2", HEARSAY_SHARDS: "2" },
    file: fileWith('{"listen": "127.0.0.1:3", "shards": 3, "zone": "rack-3"}'),
  });
  expect(values).toEqual({ listen: "127.0.0.1:1", shards: 2, zone: "rack-3", weight: 1 });
  expect(origins).toEqual({
    listen: "--listen",
    shards: "HEARSAY_SHARDS",
    zone: join(folder, "hearsay.json"),
    weight: "default",
  });
});

test("an empty variable says nothing", () => {
  const { values } = configure(["peer"], { flags: {}, environment: { HEARSAY_PEER: "" } });
  expect(values.peer).toBe("127.0.0.1:7100");
});

test("HEARSAY_CONFIG names the file where no flag does", () => {
  const file = fileWith('{"zone": "rack-1"}');
  const { values } = configure(["zone"], { flags: {}, environment: { HEARSAY_CONFIG: file } });
  expect(values.zone).toBe("rack-1");
});

test("addresses to join by may be repeated, separated by commas, or a list in a file", () => {
  const file = fileWith('{"join": ["127.0.0.1:1", "[::1]:2"]}');
  const joinOf = (flags: Record<string, unknown>, environment = {}) =>
    configure(["join"], { flags, environment, file }).values.join;
  expect(joinOf({ join: ["a:1,b:2", "c:3"] })).toEqual(["a:1", "b:2", "c:3"]);
  expect(joinOf({}, { HEARSAY_JOIN: "a:1, b:2" })).toEqual(["a:1", "b:2"]);
  expect(joinOf({})).toEqual(["127.0.0.1:1", "[::1]:2"]);
});

test("a file may hold the settings of other commands", () => {
  const file = fileWith('{"peers": 5, "peer": "127.0.0.1:7105"}');
  expect(configure(["peer"], { flags: {}, environment: {}, file }).values).toEqual({
    peer: "127.0.0.1:7105",
  });
});

const WRONG_VALUES: readonly (readonly [name: SettingName, text: string, problem: RegExp])[] = [
  ["peer", "localhost", /host:port/],
  ["peer", "127.0.0.1:0", /can be dialled/],
  ["name", "-", /letters, digits/],
  ["name", "a".repeat(65), /1 to 64/],
  ["cluster", "two words", /letters, digits/],
  ["listen", "127.0.0.1:65536", /host:port/],
  ["join", "127.0.0.1:1,,127.0.0.1:2", /list of host:port/],
  ["shards", "-1", /integer from 0 to 65536/],
  ["shards", "1.5", /integer from 0 to 65536/],
  ["shards", "many", /integer from 0 to 65536/],
  ["weight", "0", /above 0/],
  ["timings", "slow", /one of local, lan, wan, fast/],
  ["timings", "lan,joinTimeout=5", /joinTimeoutMs/],
  ["timings", "lan,joinTimeoutMs=0", /name=ms/],
  ["downing", "eldest", /one of majority, static-quorum=<n>, oldest, off/],
  ["downing", "static-quorum=0", /static-quorum=<n>/],
  ["join", "dns:pods.test", /list of host:port, dns:NAME:PORT/],
  ["join", "srv:a b", /list of host:port, dns:NAME:PORT, srv:NAME/],
  ["insecure", "perhaps", /true or false/],
  ["logLevel", "loud", /one of debug, info/],
];

test.each(WRONG_VALUES)("%s cannot be %s, wherever it is written", (name, text, problem) => {
  const variable = `HEARSAY_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`;
  const byFlag = failureOf(() => configure([name], { flags: { [name]: text }, environment: {} }));
  const byVariable = failureOf(() =>
    configure([name], { flags: {}, environment: { [variable]: text } }),
  );
  const file = fileWith(JSON.stringify({ [name]: text }));
  const byFile = failureOf(() => configure([], { flags: {}, environment: {}, file }));
  for (const failure of [byFlag, byVariable, byFile]) {
    expect(failure).toMatchObject({ code: "BAD_REQUEST", exitCode: 2 });
    expect(failure.message).toMatch(problem);
  }
  expect(byFlag.message).toContain(`Cannot use --`);
  expect(byVariable.message).toContain(`Cannot use ${variable}`);
  expect(byFile.message).toContain(`Cannot use "${name}" in ${file}`);
});

test.each([
  ["a number as text", '{"shards": "256"}', /"shards" in .*an integer from 0/],
  ["a text as list", '{"join": "127.0.0.1:1"}', /"join" in .*list of host:port/],
  ["an unknown field", '{"shard": 1}', /"shard" in .*no such setting/],
  ["a field of every object", '{"__proto__": 1}', /"__proto__" in .*no such setting/],
  ["another constructor", '{"constructor": 1}', /"constructor" in .*no such setting/],
  ["a list", "[]", /one JSON object/],
  ["null", "null", /one JSON object/],
  ["half an object", '{"shards": ', /not JSON/],
])("a file with %s is refused by name", (_, text, problem) => {
  const file = fileWith(text);
  const failure = failureOf(() => configure([], { flags: {}, environment: {}, file }));
  expect(failure).toMatchObject({ code: "BAD_REQUEST", exitCode: 2 });
  expect(failure.message).toMatch(problem);
});

test("a file that cannot be read is named", () => {
  const file = join(folder, "none.json");
  const failure = failureOf(() => configure([], { flags: {}, environment: {}, file }));
  expect(failure).toMatchObject({ code: "BAD_REQUEST", exitCode: 2 });
  expect(failure.message).toContain(`Cannot read ${file}`);
});

test("timings are a preset, and single ones after it", () => {
  expect(timingsOf("wan")).toEqual(TIMINGS.wan);
  expect(timingsOf("local,joinTimeoutMs=500,heartbeatMs=100")).toEqual({
    ...TIMINGS.local,
    joinTimeoutMs: 500,
    heartbeatMs: 100,
  });
});
