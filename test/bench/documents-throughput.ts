/**
 * How many edits get through in all: with one, two and three processes, beside one plain server.
 *
 * At every process the same number of documents is typed in, each by one client, while another one reads. A
 * client sends a handful of edits, and the next when these are acknowledged: which means at the plain server that
 * they are applied, and in a cluster that they are in another process, too. So beside edits per second there is
 * what an edit costs all processes together in processor time: where there are fewer processors than
 * processes, as on a machine with two, that says how far the total could grow.
 */
import type { Child } from "./child.ts";
import { childOf, documentsAt, endAll, startCluster, tell } from "./documents-cluster.ts";
import { Typist, typing } from "./documents-typist.ts";
import { nowMs } from "./measure.ts";
import type { Figure, Section } from "./report.ts";

/** Documents at each process, edits of each, and how many are sent at a stretch. */
const DOCUMENTS = 50;
const EDITS = 600;
const STRETCH = 10;

/** Where clients are: a peer, and documents. */
interface Place {
  readonly address: string;
  readonly documents: readonly string[];
}

export interface Throughput {
  readonly perSecond: number;
  /** Processor time of all processes for one edit, in us. */
  readonly cpuUs: number;
}

/** Types everywhere at once, after a first round that does not count. */
async function measure(children: readonly Child[], places: readonly Place[]): Promise<Throughput> {
  const frames = typing(EDITS * 2);
  const typists: Typist[] = [];
  const readers: Typist[] = [];
  for (const { address, documents } of places) {
    for (const document of documents) {
      typists.push(new Typist(address, document, frames));
      readers.push(new Typist(address, document, []));
    }
  }
  await Promise.all([...typists, ...readers].map((each) => each.open()));
  await type(typists);
  const cpuMs = async (): Promise<number> => {
    const times = await Promise.all(children.map((child) => tell(child, { type: "cpu" })));
    return (times as number[]).reduce((sum, each) => sum + each, 0);
  };
  const before = await cpuMs();
  const start = nowMs();
  await type(typists);
  const tookMs = nowMs() - start;
  const edits = typists.length * EDITS;
  const spentMs = (await cpuMs()) - before;
  for (const { socket } of [...typists, ...readers]) socket.close();
  return { perSecond: (edits * 1000) / tookMs, cpuUs: (spentMs * 1000) / edits };
}

async function type(typists: readonly Typist[]): Promise<void> {
  await Promise.all(
    typists.map(async (typist) => {
      const until = typist.sent + EDITS;
      while (typist.sent < until) {
        typist.type(STRETCH);
        await typist.ask();
      }
    }),
  );
}

/** One plain server. */
async function plainThroughput(): Promise<Throughput> {
  const server = childOf();
  const address = (await tell(server, { type: "plain" })) as string;
  const documents = Array.from({ length: DOCUMENTS }, (_, index) => `plain/${index}`);
  const found = await measure([server], [{ address, documents }]);
  await server.end();
  return found;
}

/** A cluster whose clients are at the regions of their documents, or one peer further. */
async function clusterThroughput(size: number, away = 0): Promise<Throughput> {
  const { children, addresses } = await startCluster(size);
  const places: Place[] = [];
  for (const [index, child] of children.entries()) {
    const documents = await documentsAt(child, `p${index}`, "through", DOCUMENTS);
    places.push({ address: addresses[(index + away) % size] as string, documents });
  }
  const found = await measure(children, places);
  await endAll(children);
  return found;
}

export async function measureThroughput(progress: (text: string) => void): Promise<Section[]> {
  progress("throughput of a plain server");
  const plain = await plainThroughput();
  const sizes: Throughput[] = [];
  for (const size of [1, 2, 3]) {
    progress(`throughput of ${size} ${size === 1 ? "process" : "processes"}`);
    sizes.push(await clusterThroughput(size));
  }
  progress("throughput where documents are elsewhere");
  const away = await clusterThroughput(3, 1);
  const [one, two, three] = sizes as [Throughput, Throughput, Throughput];
  const figures = (name: string, { perSecond, cpuUs }: Throughput): Figure[] => [
    { name, value: perSecond, unit: "edits/s" },
    { name: `${name}: processor time of all`, value: cpuUs, unit: "us an edit" },
  ];
  const perProcess = one.perSecond / plain.perSecond;
  return [
    {
      title: `edits in ${DOCUMENTS} documents at each process, acknowledged`,
      figures: [
        ...figures("a plain server", plain),
        ...figures("one process", one),
        { name: "one by the plain one", value: perProcess, unit: "x", target: { atLeast: 0.7 } },
        ...figures("two processes, two copies", two),
        ...figures("three processes, three copies", three),
        ...figures("three processes, clients one peer away", away),
      ],
    },
  ];
}
