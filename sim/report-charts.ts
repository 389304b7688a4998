/**
 * Charts of a report: which faults struck when, what was sent, and how long many runs took to agree.
 */
import { FAULT_KINDS, FAULTS, isStanding } from "./options.ts";
import {
  box,
  escaped,
  LEFT,
  label,
  niceStep,
  picture,
  RIGHT,
  type TimeScale,
  tag,
  WIDTH,
} from "./report-svg.ts";
import { type SeedResult, seconds } from "./summary.ts";
import type { Course, Sample } from "./timeline.ts";

const TOP = 34;
const FAULT_ROW = 17;
const TRAFFIC_HEIGHT = 84;
const TRAFFIC_GAP = 26;
/** Over how long a rate is taken, in ms: samples may lie closer. */
const RATE_MS = 250;
const HISTOGRAM_HEIGHT = 150;
/** Upper ends of the bars of the histogram, in ms: finer where most runs are. */
const CONVERGENCE_MS = [
  ...[0, 100, 200, 300, 400, 500, 600, 800, 1000, 1500, 2000, 3000, 4000, 6000],
  ...[8000, 10_000, 15_000, 20_000, 30_000, 60_000],
];

/** A row for each kind of fault that struck, a dot for each strike. */
export function faultRows(
  course: Course,
  counts: Readonly<Record<string, number>>,
  scale: TimeScale,
): string {
  const kinds = FAULT_KINDS.filter((kind) => counts[kind] !== undefined);
  const bottom = TOP + Math.max(1, kinds.length) * FAULT_ROW;
  const untilMs = scale.moments.healedAtMs ?? scale.moments.endedAtMs;
  const rows = kinds.map((kind, index) => {
    const y = TOP + index * FAULT_ROW + FAULT_ROW / 2;
    const name = label(LEFT - 10, y + 4, kind, { class: "lane", "text-anchor": "end" });
    const line = tag("line", { x1: LEFT, x2: scale.x(untilMs), y1: y, y2: y, class: "thread" });
    if (isStanding(kind)) {
      const hint = `${kind}: ${FAULTS[kind]}, all along`;
      return name + box([LEFT, y - 3, scale.x(untilMs) - LEFT, 6], { class: "standing" }, hint);
    }
    const strikes = course.strikes.filter((strike) => strike.kind === kind);
    const dots = strikes.map(({ atMs }) =>
      tag(
        "circle",
        { cx: scale.x(atMs), cy: y, r: 4, class: "strike" },
        tag("title", {}, escaped(`${kind} at ${seconds(atMs)}: ${FAULTS[kind]}`)),
      ),
    );
    const count = label(WIDTH - RIGHT + 8, y + 4, `${counts[kind]}×`, { class: "tick" });
    return [name, line, ...dots, count].join("");
  });
  return picture(
    bottom + 24,
    "Which faults struck when",
    scale.axis(TOP, bottom),
    ...rows,
    scale.marks(TOP, bottom),
  );
}

/** Frames and bytes per second. */
export function traffic(samples: readonly Sample[], scale: TimeScale): string {
  const middle = TOP + TRAFFIC_HEIGHT;
  const bottom = middle + TRAFFIC_GAP + TRAFFIC_HEIGHT;
  return picture(
    bottom + 24,
    "Frames and bytes that all peers together sent in a second",
    scale.axis(TOP, bottom),
    rate(samples, "frames", "frames/s", scale, TOP, middle),
    rate(samples, "bytes", "bytes/s", scale, middle + TRAFFIC_GAP, bottom),
    scale.marks(TOP, bottom),
  );
}

/** How long runs took to agree, with the one that is shown. */
export function histogram(results: readonly SeedResult[], shown: number): string {
  const bars = [...CONVERGENCE_MS, Number.POSITIVE_INFINITY].map((maxMs, index, all) => {
    const minMs = all[index - 1] ?? -1;
    const inside = results.filter(({ convergenceMs }) =>
      convergenceMs === null
        ? maxMs === Number.POSITIVE_INFINITY
        : convergenceMs > minMs && convergenceMs <= maxMs,
    );
    return { maxMs, inside };
  });
  const used = bars.findLastIndex(({ maxMs, inside }) => maxMs <= 2000 || inside.length > 0);
  const visible = bars.slice(0, used + 1);
  const most = Math.max(1, ...visible.map(({ inside }) => inside.length));
  const bottom = TOP + HISTOGRAM_HEIGHT;
  const step = (WIDTH - LEFT - RIGHT) / visible.length;
  const y = (count: number): number => bottom - (HISTOGRAM_HEIGHT * count) / most;
  const drawn = visible.map(({ maxMs, inside }, index) => {
    const x = LEFT + index * step;
    const isNever = maxMs === Number.POSITIVE_INFINITY;
    const isShown = inside.some(({ seed }) => seed === shown);
    const kind = isNever ? "bar never" : isShown ? "bar shown" : "bar";
    const name = isNever ? "never" : maxMs === 0 ? "at once" : `≤ ${maxMs / 1000}`;
    const hint = `${inside.length} runs, ${isNever ? name : `${name} s`}`;
    const height = inside.length === 0 ? 0 : Math.max(2, bottom - y(inside.length));
    const middle = x + step / 2;
    return [
      box([x + 2, bottom - height, step - 4, height], { class: kind }, hint),
      label(middle, bottom + 16, name, { class: "tick", "text-anchor": "middle" }),
      inside.length === 0
        ? ""
        : label(middle, bottom - height - 5, String(inside.length), {
            ...{ class: "tick", "text-anchor": "middle" },
          }),
    ].join("");
  });
  const line = tag("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: bottom, y2: bottom, class: "base" });
  const unit = label(WIDTH - RIGHT, bottom + 34, "seconds after healing", {
    ...{ class: "tick", "text-anchor": "end" },
  });
  const runs = label(LEFT - 10, bottom + 4, "runs", { class: "lane", "text-anchor": "end" });
  return picture(bottom + 42, "Runs by the time they took to agree", ...drawn, line, unit, runs);
}

function rate(
  samples: readonly Sample[],
  what: "frames" | "bytes",
  unit: string,
  scale: TimeScale,
  top: number,
  bottom: number,
): string {
  const rates: { readonly toMs: number; readonly perSecond: number }[] = [];
  let before = { atMs: 0, frames: 0, bytes: 0 };
  for (const sample of samples) {
    const elapsedMs = sample.atMs - before.atMs;
    if (elapsedMs < RATE_MS) continue;
    rates.push({
      toMs: sample.atMs,
      perSecond: ((sample[what] - before[what]) * 1000) / elapsedMs,
    });
    before = sample;
  }
  const step = niceStep(Math.max(1, ...rates.map(({ perSecond }) => perSecond)) / 3);
  const most = step * Math.ceil(Math.max(1, ...rates.map(({ perSecond }) => perSecond)) / step);
  const y = (value: number): number => bottom - ((bottom - top) * value) / most;
  const ticks: string[] = [];
  for (let value = 0; value <= most; value += step) {
    const ends = { x1: LEFT, x2: scale.x(scale.moments.endedAtMs), y1: y(value), y2: y(value) };
    ticks.push(tag("line", { ...ends, class: value === 0 ? "base" : "grid" }));
    const text = value === most ? `${amount(value)} ${unit}` : amount(value);
    ticks.push(label(LEFT - 10, y(value) + 4, text, { class: "tick", "text-anchor": "end" }));
  }
  const steps = rates
    .map(({ toMs, perSecond }) => `V${y(perSecond).toFixed(1)}H${scale.x(toMs).toFixed(1)}`)
    .join("");
  const path = `M${LEFT} ${bottom}${steps}`;
  return [
    ...ticks,
    tag("path", { d: `${path}V${bottom}Z`, class: "area" }),
    tag("path", { d: path, class: "line" }),
  ].join("");
}

function amount(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  return value >= 1000 ? `${value / 1000} k` : String(value);
}
