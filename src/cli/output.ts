/**
 * What commands write: one JSON value for programs, aligned tables for people.
 *
 * Text that came from elsewhere is shown with its control characters escaped: a document's name must
 * not be able to move the cursor or change the colours of whoever looks at it.
 */
import pc from "picocolors";

/** Colours for a person at a terminal; NO_COLOR takes them away, FORCE_COLOR asks for them. */
const { NO_COLOR = "", FORCE_COLOR = "", TERM } = process.env;
export const colours = pc.createColors(
  NO_COLOR === "" && (FORCE_COLOR !== "" || (process.stdout.isTTY === true && TERM !== "dumb")),
);

/** Where a command writes. Results go to `out`; everything else goes to `err`. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** A cell: text, a number (aligned to the right), or nothing. */
export type Cell = string | number | null | undefined;

/** Changes how a padded cell looks, not how long it is. */
export type Paint = (padded: string) => string;

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => Cell;
  readonly paint?: (row: Row) => Paint;
}

/** Lines of a table with a title row; columns stand two spaces apart. */
export function tableOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)));
  const texts = cells.map((line) => line.map((cell) => printable(cell ?? "-")));
  const widths = columns.map((column, index) =>
    Math.max(widthOf(column.title), ...texts.map((line) => widthOf(line[index] ?? ""))),
  );
  const isNumber = columns.map((_, index) => {
    const known = cells.map((line) => line[index]).filter((cell) => cell != null);
    return known.length > 0 && known.every((cell) => typeof cell === "number");
  });
  const lineOf = (line: readonly string[], paints: readonly (Paint | undefined)[]): string =>
    line
      .map((cell, index) => {
        const gap = " ".repeat(Math.max(0, (widths[index] ?? 0) - widthOf(cell)));
        const isLast = index === line.length - 1;
        const padded = isNumber[index] ? gap + cell : isLast ? cell : cell + gap;
        return paints[index]?.(padded) ?? padded;
      })
      .join("  ");
  const titles = columns.map(({ title }) => title);
  return [
    lineOf(
      titles,
      columns.map(() => colours.dim),
    ),
    ...rows.map((row, index) =>
      lineOf(
        texts[index] ?? [],
        columns.map((column) => column.paint?.(row)),
      ),
    ),
  ];
}

/** Lines `name  value`, aligned. */
export function listOf(pairs: readonly (readonly [name: string, value: Cell])[]): string[] {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs.map(
    ([name, value]) => `${colours.dim(name.padEnd(width))}  ${printable(value ?? "-")}`,
  );
}

/** How a member's status looks. */
export function paintStatus(status: string): Paint {
  if (status === "alive") return colours.green;
  if (status === "suspect") return colours.yellow;
  return status === "dead" ? colours.red : colours.dim;
}

/** Text without control characters: each is written as its number. */
export function printable(text: string | number): string {
  return String(text).replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for.
    /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** How many characters a text has, each pair of surrogates being one. */
function widthOf(text: string): number {
  let width = 0;
  for (const _ of text) width += 1;
  return width;
}
