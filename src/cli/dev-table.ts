/**
 * The table of `hearsay dev`: drawn anew in its place on a terminal; elsewhere, such as in the log of a
 * continuous integration, printed again when it has changed.
 */
import { stripVTControlCharacters } from "node:util";
import { type Column, colours, paintStatus, tableOf } from "./output.ts";

export interface DevRow {
  readonly name: string;
  /** Null for a process that this command did not start and that does not say. */
  readonly pid: number | null;
  readonly address: string;
  readonly status: string;
  readonly shards: number;
  readonly documents: number;
}

const COLUMNS: readonly Column<DevRow>[] = [
  { title: "PEER", cell: ({ name }) => name, paint: () => colours.bold },
  { title: "PID", cell: ({ pid }) => pid },
  { title: "ADDRESS", cell: ({ address }) => address },
  { title: "STATUS", cell: ({ status }) => status, paint: ({ status }) => paintStatus(status) },
  { title: "SHARDS", cell: ({ shards }) => shards },
  { title: "DOCUMENTS", cell: ({ documents }) => documents },
];

const CURSOR_UP = (lines: number): string => `\u001b[${lines}A\r`;
const ERASE_BELOW = "\u001b[J";

export class DevTable {
  readonly #write: (text: string) => void;
  /** Width of the terminal; undefined when there is none, and nothing can be drawn over. */
  readonly #width: (() => number) | undefined;
  #lines: readonly string[] = [];
  /** Lines on the screen below the last message. */
  #drawn = 0;

  constructor(write: (text: string) => void, width?: () => number) {
    this.#write = write;
    this.#width = width;
  }

  get isLive(): boolean {
    return this.#width !== undefined;
  }

  /** Shows the table. Does nothing when it looks as before. */
  show(rows: readonly DevRow[]): void {
    const lines = tableOf(COLUMNS, rows);
    if (lines.join("\n") === this.#lines.join("\n")) return;
    this.#lines = lines;
    this.#draw("");
  }

  /** Prints something above the table, for good. */
  say(text: string): void {
    this.#draw(`${text}\n`);
  }

  #draw(message: string): void {
    const table = this.#lines.map((line) => `${line}\n`).join("");
    if (this.#width === undefined) {
      this.#write(message === "" ? `\n${table}\n` : message);
      return;
    }
    const erase = this.#drawn === 0 ? "" : CURSOR_UP(this.#drawn) + ERASE_BELOW;
    this.#write(`${erase}${message}${table}`);
    this.#drawn = this.#heightOf(this.#lines);
  }

  /** Lines that a terminal needs, which breaks those that are too long. */
  #heightOf(lines: readonly string[]): number {
    const width = Math.max(1, this.#width?.() ?? 1);
    const heights = lines.map((line) =>
      Math.max(1, Math.ceil(stripVTControlCharacters(line).length / width)),
    );
    return heights.reduce((sum, height) => sum + height, 0);
  }
}
