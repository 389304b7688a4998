/**
 * Documents over several processes: edits, their throughput, a kill, and how many documents there can be.
 *
 * The parts are in files of their own, and can be asked for by name. `--repeat` says how often a process is
 * killed, five times by default.
 */
import { measureEdits } from "./documents-edits.ts";
import { measureKills } from "./documents-kill.ts";
import { measureMove } from "./documents-move.ts";
import { measureScale } from "./documents-scale.ts";
import { measureSystem } from "./documents-system.ts";
import { measureThroughput } from "./documents-throughput.ts";
import type { Bench, Section } from "./report.ts";

const KILLS = 5;

const PARTS: Readonly<
  Record<string, (progress: (text: string) => void, repeat: number) => Promise<Section[]>>
> = {
  edits: measureEdits,
  throughput: measureThroughput,
  kill: measureKills,
  scale: measureScale,
  system: measureSystem,
  move: measureMove,
};

export const bench: Bench = {
  summary: `documents over three processes: ${Object.keys(PARTS).join(", ")}`,
  async run(progress, { parts, repeat = KILLS }): Promise<readonly Section[]> {
    const unknown = parts.filter((part) => PARTS[part] === undefined);
    if (unknown.length > 0) throw new Error(`There is no part "${unknown.join()}"`);
    const sections: Section[] = [];
    for (const [part, measure] of Object.entries(PARTS)) {
      if (parts.length > 0 && !parts.includes(part)) continue;
      sections.push(...(await measure(progress, repeat)));
    }
    return sections;
  },
};
