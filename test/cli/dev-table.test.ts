import { expect, test } from "vitest";
import { type DevRow, DevTable } from "../../src/cli/dev-table.ts";

const row = (status: string): DevRow => ({
  ...{ name: "peer-1", pid: 4711, address: "127.0.0.1:7100", status, shards: 8, documents: 3 },
});

const TITLES = "PEER     PID  ADDRESS         STATUS  SHARDS  DOCUMENTS\n";

/** What a table writes, and on a terminal of that width. */
function tableOn(width?: number): { table: DevTable; written: string[] } {
  const written: string[] = [];
  const write = (text: string): void => void written.push(text);
  return {
    table: width === undefined ? new DevTable(write) : new DevTable(write, () => width),
    written,
  };
}

test("without a terminal a table is printed when it has changed, and only then", () => {
  const { table, written } = tableOn();
  table.show([row("alive")]);
  table.show([row("alive")]);
  table.show([row("dead")]);
  expect(written).toEqual([
    `\n${TITLES}peer-1  4711  127.0.0.1:7100  alive        8          3\n\n`,
    `\n${TITLES}peer-1  4711  127.0.0.1:7100  dead         8          3\n\n`,
  ]);
});

test("without a terminal a message is printed alone", () => {
  const { table, written } = tableOn();
  table.show([row("alive")]);
  table.say("peer-2 is back");
  expect(written.at(-1)).toBe("peer-2 is back\n");
});

test("on a terminal a table takes the place of the one before", () => {
  const { table, written } = tableOn(80);
  table.show([row("alive")]);
  table.show([row("dead")]);
  expect(written[1]).toBe(
    `\u001b[2A\r\u001b[J${TITLES}peer-1  4711  127.0.0.1:7100  dead         8          3\n`,
  );
});

test("on a terminal a message stays above the table", () => {
  const { table, written } = tableOn(80);
  table.show([row("alive")]);
  table.say("peer-2 is back");
  expect(written[1]).toBe(
    `\u001b[2A\r\u001b[Jpeer-2 is back\n${TITLES}` +
      "peer-1  4711  127.0.0.1:7100  alive        8          3\n",
  );
});

test("lines that a narrow terminal breaks are counted as it shows them", () => {
  const { table, written } = tableOn(30);
  table.show([row("alive")]);
  table.show([row("dead")]);
  expect(written[1]?.startsWith("\u001b[4A\r\u001b[J")).toBe(true);
});
