/**
 * `hearsay live QUERY`: the rows of a query and what becomes of them.
 *
 * A query is JSON, or `TENANT/ENTITY` for all of an entity. On a terminal the window is kept on the screen;
 * elsewhere, and with `--json`, deltas are printed one a line. It goes on through losses of the peer.
 */
import type { LiveDelta, LiveRow } from "../live/live-delta.ts";
import type { LiveQuery } from "../live/query.ts";
import { defineCommand } from "./command.ts";
import { wrongUsage } from "./failure.ts";
import { type Column, colours, printable, tableOf } from "./output.ts";
import { PeerApi } from "./peer-api.ts";

/** Length of a value that is shown, in characters: a row is a line. */
const SHOWN_LENGTH_MAX = 40;

export const live = defineCommand({
  usage: "live <query>",
  summary: "follow a query over rows: its window on a terminal, deltas elsewhere",
  settings: ["peer", "ca"],
  example: `hearsay live '{"tenant":"acme","entity":"task","sort":[{"column":"priority"}],"limit":10}'`,
  async run(call) {
    const { operands, json, output } = call;
    const [text = ""] = operands;
    const query = readQueryText(text);
    const { address, dial } = PeerApi.of(call);
    const { LiveClient } = await import("../live/shell/live-client.ts");
    const client = new LiveClient([address], dial);
    const stop = (): void => client.close();
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
    const screen = process.stdout.isTTY === true && !json ? new Screen() : undefined;
    try {
      for await (const delta of client.subscribe(query)) {
        if (screen !== undefined) output.out(screen.show(delta));
        else output.out(`${json ? JSON.stringify(delta) : sentenceOf(delta)}\n`);
      }
    } finally {
      client.close();
    }
  },
});

/** Reads a query from the command line; what it asks for is judged by the peer. */
function readQueryText(text: string): LiveQuery {
  const [, tenant, entity] = /^([^{}/]+)\/([^{}/]+)$/.exec(text) ?? [];
  if (tenant !== undefined && entity !== undefined) return { tenant, entity };
  try {
    return JSON.parse(text) as LiveQuery;
  } catch {
    throw wrongUsage("A query is JSON, or TENANT/ENTITY: see hearsay live --help");
  }
}

/** `+ 0  r1  title=x`. */
function sentenceOf(delta: LiveDelta): string {
  const said = ({ id, columns }: LiveRow): string => {
    const fields = Object.entries(columns).filter(([, value]) => value !== null);
    const values = fields.map(([name, value]) => `${name}=${shown(value)}`);
    return [printable(id), ...values].join("  ");
  };
  const changed = (names: readonly string[]): string =>
    names.length === 0 ? "" : colours.dim(`  (${names.join(", ")})`);
  switch (delta.type) {
    case "reset":
      return `reset   ${delta.rows} rows`;
    case "enter":
      return `enter   ${delta.index}  ${said(delta.row)}`;
    case "leave":
      return `leave   ${delta.index}  ${printable(delta.id)}`;
    case "move":
      return `move    ${delta.from} to ${delta.index}  ${said(delta.row)}${changed(delta.changed)}`;
    case "update":
      return `update  ${delta.index}  ${said(delta.row)}${changed(delta.changed)}`;
    case "match":
      return `match   ${said(delta.row)}${changed(delta.changed)}`;
    case "unmatch":
      return `unmatch ${printable(delta.id)}`;
    case "lagged":
      return "lagged";
  }
}

/** The window as a table that is drawn over itself. */
class Screen {
  #rows: LiveRow[] = [];
  #lines = 0;

  /** What to print to have the window on the screen once this delta is in it; nothing in between. */
  show(delta: LiveDelta): string {
    this.#apply(delta);
    if (delta.at === undefined) return "";
    const names = Object.keys(this.#rows[0]?.columns ?? {});
    const columns: Column<LiveRow>[] = [
      { title: "id", cell: ({ id }) => id },
      ...names.map((title) => ({
        title,
        cell: ({ columns }: LiveRow) => shown(columns[title] ?? null),
      })),
    ];
    const lines = [...tableOf(columns, this.#rows), colours.dim(`${this.#rows.length} rows`)];
    const up = this.#lines === 0 ? "" : `\u001b[${this.#lines}A\u001b[J`;
    this.#lines = lines.length;
    return `${up}${lines.join("\n")}\n`;
  }

  #apply(delta: LiveDelta): void {
    switch (delta.type) {
      case "reset":
        this.#rows = [];
        break;
      case "enter":
        this.#rows.splice(delta.index, 0, delta.row);
        break;
      case "leave":
        this.#rows.splice(delta.index, 1);
        break;
      case "move":
        this.#rows.splice(delta.from, 1);
        this.#rows.splice(delta.index, 0, delta.row);
        break;
      case "update":
        this.#rows[delta.index] = delta.row;
        break;
      case "match":
        this.#rows = [...this.#rows.filter(({ id }) => id !== delta.row.id), delta.row];
        break;
      case "unmatch":
        this.#rows = this.#rows.filter(({ id }) => id !== delta.id);
    }
  }
}

function shown(value: unknown): string {
  const text = value === null ? "" : printable(String(value));
  return text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX - 1)}…`;
}
