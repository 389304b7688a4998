/**
 * The parts that the page of a report is put together from.
 *
 * Arguments called `content` and the results are markup; all others are plain text.
 */
import { box, escaped, tag } from "./report-svg.ts";

/** A part of the page under a title, with a sentence that says how to read it. */
export function section(title: string, text: string, ...content: string[]): string {
  const note = text === "" ? "" : tag("p", { class: "note" }, escaped(text));
  return tag("section", {}, tag("h2", {}, escaped(title)), note, ...content);
}

/** Where a picture stands; narrow screens scroll in it. */
export function figure(content: string): string {
  return tag("figure", {}, content);
}

/** What the colours and fillings of a picture mean. */
export function legend(items: readonly (readonly [swatch: string, name: string])[]): string {
  return tag(
    "ul",
    { class: "legend" },
    ...items.map(([mark, name]) => tag("li", {}, mark, escaped(name))),
  );
}

/** A piece of a picture beside its name. */
export function swatch(attributes: { readonly class: string }, height = 12): string {
  const shape = box([0.5, (12 - height) / 2 + 0.5, 21, height - 1], { ...attributes, rx: 2 });
  return tag("svg", { viewBox: "0 0 22 12", "aria-hidden": "true" }, shape);
}

/** The outcome, at a glance. */
export function badge(hasPassed: boolean, failed: string): string {
  const kind = hasPassed ? "passed" : "failed";
  return tag("span", { class: `badge ${kind}` }, escaped(hasPassed ? "passed" : failed));
}

/** A number, large, over what it is. */
export function tile(value: string, name: string): string {
  return tag(
    "div",
    { class: "tile" },
    tag("b", {}, escaped(value)),
    tag("span", {}, escaped(name)),
  );
}

/** The head of a column. */
export function heading(text: string, isNumber = false): string {
  return tag("th", isNumber ? { class: "number" } : {}, escaped(text));
}

/** A cell of a table, of plain text. */
export function cell(text: string, kind?: string): string {
  return tag("td", { class: kind }, escaped(text));
}

/** A number of things, with the noun in its form. */
export function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Digits in groups of three, as in SI. */
export function count(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** Fillings that pictures name. */
export const PATTERNS = tag(
  "svg",
  { class: "defs", "aria-hidden": "true" },
  tag(
    "defs",
    {},
    pattern("unready", "M-1 1L1 -1M0 6L6 0M5 7L7 5"),
    pattern("paused", "M1.5 0V6M4.5 0V6"),
  ),
);

function pattern(id: string, d: string): string {
  const size = { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" };
  return tag("pattern", size, tag("rect", { width: 6, height: 6 }), tag("path", { d }));
}
