/**
 * How far the design carries: 100, 300 and 1000 peers with 1024 shards, in the simulator's world over
 * links of 1 ms, with the real core and codec.
 *
 * A change is a write of one allocation. What it takes are all frames that tell of it, divided by the
 * peers. Idle is a cluster in which nothing happens but heartbeats and exchanges. Memory is that of
 * the process in which all these peers live.
 *
 * Whom peers link to is the core's affair. Where that is everybody, a thousand peers have a million ends
 * of links, and each looks at a thousand members whenever one opens. When the run before shows that this
 * would not fit into memory and patience, the largest cluster that fits is run in its place, and the
 * title says so.
 */
import { Child } from "./child.ts";
import { percentile } from "./measure.ts";
import type { Bench, Section } from "./report.ts";
import type { ScaleAnswer, ScaleQuestion } from "./scale-child.ts";

const SIZES = [100, 300, 1000];
const SHARDS = 1024;
const MEMORY_MB_MAX = 4000;
const PROCESSOR_S_MAX = 600;
/** What a process takes before there are peers in it, in MB. */
const BARE_MB = 100;
/** Of what should fit, how much is used: estimates err. */
const CAUTION = 0.8;
/** Sizes that are not as asked are multiples of this. */
const STEP = 50;

/** Ms until the last of so many peers is to know. */
const SPREAD_MS_MAX: ReadonlyMap<number, number> = new Map([
  [100, 10],
  [1000, 15],
]);

export const bench: Bench = {
  summary: "one change among 100, 300 and 1000 peers: spread, messages, idle traffic, memory",
  run: async (progress) => {
    const sections: Section[] = [];
    let before: Measured | undefined;
    for (const asked of SIZES) {
      const peers = before === undefined ? asked : fitting(asked, before);
      progress(`${peers} peers`);
      before = { peers, answer: await measure({ peers, shards: SHARDS }) };
      sections.push(sectionOf(asked, before));
    }
    return sections;
  },
};

interface Measured {
  readonly peers: number;
  readonly answer: ScaleAnswer;
}

async function measure(question: ScaleQuestion): Promise<ScaleAnswer> {
  const child = new Child(new URL("./scale-child.ts", import.meta.url));
  try {
    return (await child.ask(question)) as ScaleAnswer;
  } finally {
    await child.end();
  }
}

/** As many of `asked` peers as fit, by what a run took before. */
function fitting(asked: number, { peers, answer }: Measured): number {
  const isMesh = answer.linkEnds === peers * (peers - 1);
  const perPart = (answer.memoryMb - BARE_MB) / (isMesh ? answer.linkEnds : peers);
  const parts = (CAUTION * (MEMORY_MB_MAX - BARE_MB)) / perPart;
  const inMemory = isMesh ? Math.sqrt(parts) : parts;
  // The time grows with the third power in a mesh, and at most with the second elsewhere.
  const slack = (CAUTION * PROCESSOR_S_MAX) / answer.processorS;
  const inTime = peers * slack ** (isMesh ? 1 / 3 : 1 / 2);
  const most = Math.min(inMemory, inTime);
  return asked <= most ? asked : STEP * Math.floor(most / STEP);
}

function sectionOf(asked: number, { peers, answer }: Measured): Section {
  const { spreadsMs, linkEnds, framesPerPeer, bytesPerPeer, idleBytes, idleFrames } = answer;
  const { memoryMb, processorS } = answer;
  const links = linkEnds / peers;
  const isMesh = links === peers - 1;
  const kind = isMesh ? "a full mesh" : `${links.toFixed(1)} links each`;
  const instead = peers === asked ? "" : `: ${asked} would not fit`;
  const atMost = SPREAD_MS_MAX.get(asked);
  const target = atMost === undefined ? {} : { target: { atMost } };
  return {
    title: `${peers} peers, ${SHARDS} shards, ${kind}${instead}`,
    figures: [
      { name: "spread to the last peer, p50", value: percentile(spreadsMs, 0.5), unit: "ms" },
      {
        name: "spread to the last peer, max",
        value: Math.max(...spreadsMs),
        unit: "ms",
        ...target,
      },
      {
        name: "messages per peer and change",
        value: framesPerPeer,
        unit: "",
        target: { atMost: 2 },
      },
      { name: "bytes per peer and change", value: bytesPerPeer, unit: "B" },
      { name: "idle, sent by each peer", value: idleBytes, unit: "B/s" },
      { name: "idle, frames of each peer", value: idleFrames, unit: "per s" },
      { name: "memory of the run", value: memoryMb, unit: "MB", target: { atMost: MEMORY_MB_MAX } },
      { name: "processor time of the run", value: processorS, unit: "s" },
    ],
  };
}
