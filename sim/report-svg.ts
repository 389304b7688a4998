/**
 * What all pictures of a report share: escaped markup, a scale of time, its axis, and what is marked
 * across all of them.
 *
 * Pictures are as wide as each other and have equal margins, so that one moment is at one place on the
 * page. Markup is text; nothing gets into it but through `tag` and `escaped`.
 */
import type { Violation } from "./checker.ts";

export const WIDTH = 1120;
export const LEFT = 96;
export const RIGHT = 52;

/** Text that means nothing to a browser. */
export function escaped(text: unknown): string {
  return String(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An element. Attributes are escaped; `content` is markup. */
export function tag(name: string, attributes: Attributes = {}, ...content: string[]): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) => ` ${key}="${escaped(typeof value === "number" ? short(value) : value)}"`,
    );
  return `<${name}${written.join("")}>${content.join("")}</${name}>`;
}

/** A text in a picture. */
export function label(x: number, y: number, text: string, attributes: Attributes = {}): string {
  return tag("text", { x, y, ...attributes }, escaped(text));
}

/** A rectangle that says what it is when it is pointed at. */
export function box(
  [x, y, width, height]: readonly [number, number, number, number],
  attributes: Attributes,
  hint?: string,
): string {
  const title = hint === undefined ? "" : tag("title", {}, escaped(hint));
  return tag("rect", { x, y, width: Math.max(0, width), height, ...attributes }, title);
}

/** What is marked in every picture. */
export interface Moments {
  readonly endedAtMs: number;
  readonly healedAtMs: number | null;
  readonly agreedAtMs: number | null;
  readonly violations: readonly Violation[];
}

/** From virtual time to places in a picture. */
export class TimeScale {
  readonly moments: Moments;
  readonly #endMs: number;

  constructor(moments: Moments) {
    this.moments = moments;
    this.#endMs = Math.max(1, moments.endedAtMs);
  }

  x(ms: number): number {
    return LEFT + ((WIDTH - LEFT - RIGHT) * ms) / this.#endMs;
  }

  /** Ticks with labels below `y`, and lines through what is above it. */
  axis(top: number, y: number): string {
    const step = niceStep(this.#endMs / 1000 / 10);
    const ticks: string[] = [];
    for (let at = 0; at * 1000 <= this.#endMs; at += step) {
      const x = this.x(at * 1000);
      const text = at === 0 ? "0 s" : String(Number(at.toFixed(3)));
      ticks.push(tag("line", { x1: x, x2: x, y1: top, y2: y, class: "grid" }));
      ticks.push(label(x, y + 15, text, { class: "tick", "text-anchor": "middle" }));
    }
    return ticks.join("");
  }

  /** When the faults ended, when all agreed, and what broke when. */
  marks(top: number, bottom: number): string {
    const { healedAtMs, agreedAtMs, violations } = this.moments;
    let namedUntil = 0;
    const mark = (ms: number, name: string, kind: string, anchor: string): string => {
      const x = this.x(ms);
      const line = tag("line", { x1: x, x2: x, y1: top, y2: bottom, class: kind });
      const dx = anchor === "end" ? -5 : 5;
      const text = label(x + dx, top - 5, name, { class: "mark", "text-anchor": anchor });
      return line + text;
    };
    return [
      ...(healedAtMs === null ? [] : [mark(healedAtMs, "faults end", "healed", "end")]),
      ...(agreedAtMs === null ? [] : [mark(agreedAtMs, "agreed", "agreed", "start")]),
      ...grouped(violations).map(({ atMs, rules }) => {
        const x = this.x(atMs);
        const line = tag("line", { x1: x, x2: x, y1: top - 13, y2: bottom, class: "broken" });
        const width = 8 * rules.length;
        if (x - width / 2 < namedUntil) return line; // Its name would lie on another's.
        namedUntil = x + width / 2;
        const attributes = { class: "broken-name", "text-anchor": "middle" };
        return line + label(x, top - 18, rules, attributes);
      }),
    ].join("");
  }
}

/** A picture of this height, described for those who do not see it. */
export function picture(height: number, description: string, ...content: string[]): string {
  const viewBox = `0 0 ${WIDTH} ${short(height)}`;
  return tag("svg", { viewBox, role: "img", "aria-label": description }, ...content);
}

/** The least of 1, 2, 5, 10, 20, 50, ... (and parts of these) that is not below `least`. */
export function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-3)));
  return (([1, 2, 5].find((factor) => factor * power >= least * 0.999) ?? 10) * power) as number;
}

/** A number with as many digits as a picture needs. */
function short(value: number): string {
  return String(Number(value.toFixed(2)));
}

/** Violations of one moment stand under one name. */
function grouped(violations: readonly Violation[]): { atMs: number; rules: string }[] {
  const moments = new Map<number, Set<string>>();
  for (const { atMs, rule } of violations) {
    moments.set(atMs, (moments.get(atMs) ?? new Set()).add(rule));
  }
  const inOrder = [...moments].sort(([a], [b]) => a - b);
  return inOrder.map(([atMs, rules]) => ({ atMs, rules: [...rules].join(" ") }));
}
