import { expect, test } from "vitest";
import { defaultName } from "../../src/cli/start.ts";
import { NAME_PATTERN } from "../../src/core/units.ts";

test("a peer without a name is called after its machine and port, the same after a restart", () => {
  expect(defaultName("127.0.0.1:7101")).toMatch(NAME_PATTERN);
  expect(defaultName("127.0.0.1:7101")).toMatch(/-7101$/);
  expect(defaultName("[::1]:7101")).toBe(defaultName("127.0.0.1:7101"));
});

test("where the port is any, the process tells peers apart", () => {
  expect(defaultName("127.0.0.1:0")).toMatch(new RegExp(`-${process.pid}$`));
});
