/**
 * What a bench found, and how it is shown: a table for people, one line of JSON for programs.
 *
 * A figure with a target says beside it whether the target is reached. A missed target does not fail
 * the run: these are measurements of one machine at one moment, and whoever reads them judges.
 */

/** What a figure should be, in its own unit. */
export type Target = { readonly atMost: number } | { readonly atLeast: number };

export interface Figure {
  /** What was measured, for people; unique within its section. */
  readonly name: string;
  readonly value: number;
  /** `x` for a ratio, "" for a number of things. */
  readonly unit: string;
  readonly target?: Target;
}

/** Figures that belong together. */
export interface Section {
  readonly title: string;
  readonly figures: readonly Figure[];
}

export interface Bench {
  /** One line for the list of benches. */
  readonly summary: string;
  /** Measures. `progress` may be told what is going on, for whoever waits. */
  readonly run: (
    progress: (text: string) => void,
    options: BenchOptions,
  ) => Promise<readonly Section[]>;
}

/** What is measured of a bench; those that have no parts, and repeat nothing, leave it. */
export interface BenchOptions {
  /** The parts that are asked for; none for all. */
  readonly parts: readonly string[];
  /** How often something is repeated that may go wrong; undefined for what is usual. */
  readonly repeat: number | undefined;
}

/** Whether a figure reaches its target; undefined when it has none. */
function isReached({ value, target }: Figure): boolean | undefined {
  if (target === undefined) return undefined;
  return "atMost" in target ? value <= target.atMost : value >= target.atLeast;
}

/** The figures of one bench as a value for JSON. */
export function figuresOf(sections: readonly Section[]): object[] {
  return sections.flatMap(({ title, figures }) =>
    figures.map((figure) => ({ section: title, ...figure, reached: isReached(figure) })),
  );
}

/** The figures of one bench as text. */
export function textOf(sections: readonly Section[]): string {
  const rows = sections.flatMap(({ figures }) => figures.map(cellsOf));
  const widthOf = (cell: number) => Math.max(...rows.map((row) => row[cell]?.length ?? 0));
  const [nameWidth, valueWidth, targetWidth] = [widthOf(0), widthOf(1), widthOf(2)];
  const lines = sections.flatMap(({ title, figures }) => [
    `  ${title}`,
    ...figures.map((figure) => {
      const [name, value, target, verdict] = cellsOf(figure);
      const cells = [
        name.padEnd(nameWidth),
        value.padStart(valueWidth),
        target.padEnd(targetWidth),
        verdict,
      ];
      return `    ${cells.join("   ").trimEnd()}`;
    }),
  ]);
  return `${lines.join("\n")}\n`;
}

/** How many targets there are in `sections`, and how many of them are missed. */
export function countTargets(sections: readonly Section[]): { total: number; missed: number } {
  const verdicts = sections.flatMap(({ figures }) => figures.map(isReached));
  return {
    total: verdicts.filter((verdict) => verdict !== undefined).length,
    missed: verdicts.filter((verdict) => verdict === false).length,
  };
}

function cellsOf(figure: Figure): [name: string, value: string, target: string, verdict: string] {
  const { name, value, unit, target } = figure;
  const bound =
    target === undefined
      ? ""
      : "atMost" in target
        ? `at most ${quantity(target.atMost, unit)}`
        : `at least ${quantity(target.atLeast, unit)}`;
  const reached = isReached(figure);
  const verdict = reached === undefined ? "" : reached ? "reached" : "MISSED";
  return [name, quantity(value, unit), bound, verdict];
}

/** Three digits that count, four of what is near 1, and thousands apart. */
function quantity(value: number, unit: string): string {
  const magnitude = Math.floor(Math.log10(Math.max(Math.abs(value), 0.01)));
  const decimals = value > 0.5 && value < 2 ? 3 : Math.max(0, 2 - magnitude);
  const [whole = "", fraction] = value.toFixed(Number.isInteger(value) ? 0 : decimals).split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, " ");
  const text = fraction === undefined ? spaced : `${spaced}.${fraction}`;
  return unit === "" ? text : `${text} ${unit}`;
}
