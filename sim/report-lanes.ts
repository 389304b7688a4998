/**
 * Lanes: a row for each peer, through the whole run.
 *
 * One picture says in what condition a peer was, and whom it could not reach; the other which peers
 * had equal tables. In the second a colour is a place and not a table: the table that most peers have
 * at a moment is always of the first colour, so that agreement is calm and what differs stands out.
 */
import { box, escaped, LEFT, label, picture, type TimeScale, tag, WIDTH } from "./report-svg.ts";
import { seconds } from "./summary.ts";
import type { Course, CutSpan, PeerCondition, Sample } from "./timeline.ts";

/** More lanes than these are no picture any more. */
export const LANES_MAX = 32;
/** Colours for peers, and then again from the first. */
export const COLOURS = 7;
/** Colours for tables: the last is for all that are held by fewer. */
export const TABLE_COLOURS = 4;

const TOP = 34;
const STRIPES_HEIGHT = 28;
const STRIPE_MAX = 5;
const LANE_GAP = 5;
const TABLE_LANE = 15;
const DISTINCT_HEIGHT = 54;

/** What legends call conditions. */
export const CONDITION_NAMES: Readonly<Record<PeerCondition, string>> = {
  ready: "ready",
  unready: "runs, but is not ready",
  paused: "stopped",
  down: "down",
};

/** Who was cut from whom, and in what condition peers were. */
export function cutLanes(course: Course, scale: TimeScale): string {
  const peers = course.peers.slice(0, LANES_MAX);
  const stripe = Math.min(STRIPE_MAX, STRIPES_HEIGHT / Math.max(1, course.peers.length - 1));
  const height = Math.max(18, 4 + stripe * (course.peers.length - 1));
  const bottom = TOP + peers.length * (height + LANE_GAP);
  const lanes = peers.map((peer, index) => {
    const y = TOP + index * (height + LANE_GAP);
    const conditions = course.conditions.filter((span) => span.peer === peer);
    return [
      label(LEFT - 24, y + height / 2 + 4, peer, { class: "lane", "text-anchor": "end" }),
      box([LEFT - 16, y + height / 2 - 4, 8, 8], { class: `peer-${index % COLOURS}`, rx: 2 }),
      ...conditions.map(({ condition, fromMs, toMs }) =>
        box(
          [scale.x(fromMs), y, scale.x(toMs) - scale.x(fromMs), height],
          { class: condition },
          `${peer} ${CONDITION_NAMES[condition]}, ${seconds(fromMs)} to ${seconds(toMs)}`,
        ),
      ),
      ...course.cuts
        .filter((cut) => cut.from === peer)
        .map((cut) => cutStripe(cut, course.peers, y + 2, stripe, scale)),
      ...brokenIn(peer, scale, y + height / 2),
    ].join("");
  });
  return picture(
    bottom + 24,
    "Condition of every peer over time, and whom it could not reach",
    scale.axis(TOP, bottom),
    ...lanes,
    scale.marks(TOP, bottom),
  );
}

/** Which tables were equal, and how many there were. */
export function tableLanes(course: Course, scale: TimeScale): string {
  const peers = course.peers.slice(0, LANES_MAX);
  const lanesBottom = TOP + peers.length * (TABLE_LANE + 3);
  const top = lanesBottom + 26;
  const bottom = top + DISTINCT_HEIGHT;
  const places = course.samples.map(placesOf);
  const lanes = peers.map((peer, index) => {
    const y = TOP + index * (TABLE_LANE + 3);
    return (
      label(LEFT - 10, y + 12, peer, { class: "lane", "text-anchor": "end" }) +
      runsOf(places.map((place) => place[index] ?? null))
        .map(([place, from, to]) => {
          const fromMs = course.samples[from - 1]?.atMs ?? 0;
          const toMs = course.samples[to]?.atMs ?? 0;
          const kind = place === null ? "none" : `table-${Math.min(place, TABLE_COLOURS - 1)}`;
          return box([scale.x(fromMs), y, scale.x(toMs) - scale.x(fromMs), TABLE_LANE], {
            class: kind,
          });
        })
        .join("")
    );
  });
  return picture(
    bottom + 24,
    "Which peers had equal tables over time, and how many different tables there were",
    scale.axis(TOP, bottom),
    ...lanes,
    distinctLine(course.samples, scale, top, bottom),
    scale.marks(TOP, bottom),
  );
}

/** How many different tables there are in a sample. */
export function distinctTables({ fingerprints }: Sample): number {
  return new Set(fingerprints.filter((fingerprint) => fingerprint !== null)).size;
}

/** For each peer the place of its table: 0 for what most have, then 1, and so on; null without one. */
export function placesOf({ fingerprints }: Sample): (number | null)[] {
  const counts = new Map<string, number>();
  for (const fingerprint of fingerprints) {
    if (fingerprint !== null) counts.set(fingerprint, (counts.get(fingerprint) ?? 0) + 1);
  }
  // Of equally many, whoever comes first by name: the sort is stable.
  const order = [...counts].sort((a, b) => b[1] - a[1]).map(([fingerprint]) => fingerprint);
  return fingerprints.map((fingerprint) =>
    fingerprint === null ? null : order.indexOf(fingerprint),
  );
}

function distinctLine(
  samples: readonly Sample[],
  scale: TimeScale,
  top: number,
  bottom: number,
): string {
  const most = Math.max(2, ...samples.map(distinctTables));
  const y = (count: number): number => bottom - ((bottom - top) * count) / most;
  let path = `M${scale.x(0)} ${y(distinctTables(samples[0] ?? NOTHING)).toFixed(1)}`;
  for (const sample of samples) {
    path += `V${y(distinctTables(sample)).toFixed(1)}H${scale.x(sample.atMs).toFixed(1)}`;
  }
  const ticks = [...new Set([1, most])].map(
    (count) =>
      tag("line", {
        x1: LEFT,
        x2: scale.x(scale.moments.endedAtMs),
        y1: y(count),
        y2: y(count),
        class: "grid",
      }) + label(LEFT - 10, y(count) + 4, String(count), { class: "tick", "text-anchor": "end" }),
  );
  return [
    ...ticks,
    label(LEFT - 26, (top + bottom) / 2 + 4, "different", { class: "tick", "text-anchor": "end" }),
    tag("path", { d: path, class: "line" }),
  ].join("");
}

const NOTHING: Sample = { atMs: 0, fingerprints: [], frames: 0, bytes: 0 };

function cutStripe(
  { from, to, fromMs, toMs }: CutSpan,
  peers: readonly string[],
  y: number,
  height: number,
  scale: TimeScale,
): string {
  const place = peers.indexOf(to);
  const row = place - (place > peers.indexOf(from) ? 1 : 0);
  const width = Math.max(1, scale.x(toMs) - scale.x(fromMs));
  return box(
    [scale.x(fromMs), y + row * height, width, Math.max(1, height - 1)],
    { class: `peer-${place % COLOURS}` },
    `Nothing that ${from} sends reaches ${to}, ${seconds(fromMs)} to ${seconds(toMs)}`,
  );
}

/** A cross where a violation names the peer. */
function brokenIn(peer: string, scale: TimeScale, y: number): string[] {
  return scale.moments.violations
    .filter(({ detail }) => detail.split(/[^\w.-]+/).includes(peer))
    .map(({ atMs, rule, detail }) => {
      const x = Math.min(scale.x(atMs), WIDTH - 6);
      const d = `M${x - 5} ${y - 5}L${x + 5} ${y + 5}M${x - 5} ${y + 5}L${x + 5} ${y - 5}`;
      const cross = tag("path", { d, class: "cross" }) + tag("path", { d, class: "cross-in" });
      return tag("g", {}, cross, tag("title", {}, escaped(`${rule}: ${detail}`)));
    });
}

/** Runs of equal values: the value, and the first and the last index that has it. */
function runsOf<T>(values: readonly T[]): [value: T, from: number, to: number][] {
  const runs: [T, number, number][] = [];
  values.forEach((value, index) => {
    const last = runs.at(-1);
    if (last !== undefined && last[0] === value) last[2] = index;
    else runs.push([value, index, index]);
  });
  return runs;
}
