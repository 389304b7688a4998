/**
 * How long 50 peers take to know each other: in one process, over real WebSockets, started in one go.
 *
 * One peer is there; 49 others are started at once and join by its address. The time goes from that start
 * until every one of the 50 shows 50 members alive, and on until all hold the same replica. A full view
 * of 50 is beyond a full mesh: most of what a peer learns comes to it over others.
 */
import { startPeer } from "../../src/index.ts";
import { median, nowMs } from "./measure.ts";
import type { Bench } from "./report.ts";

const PEERS = 50;
const ROUNDS = 5;
/** Longer than that is not waited for, in ms. */
const WAIT_MS_MAX = 60_000;

type Peer = Awaited<ReturnType<typeof startPeer>>;

export const bench: Bench = {
  summary: "50 peers in one process, started in one go: full view at all of them",
  run: async (progress) => {
    const rounds: { viewMs: number; equalMs: number; links: number }[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      progress(`round ${round + 1} of ${ROUNDS}`);
      rounds.push(await measure());
    }
    const times = rounds.map(({ viewMs }) => viewMs);
    return [
      {
        title: `${PEERS} peers join one`,
        figures: [
          {
            ...{ name: "full view at all, median", value: median(times), unit: "ms" },
            target: { atMost: 2000 },
          },
          { name: "full view at all, worst", value: Math.max(...times), unit: "ms" },
          {
            name: "equal replicas at all, median",
            value: median(rounds.map(({ equalMs }) => equalMs)),
            unit: "ms",
          },
          {
            name: "links per peer by then",
            value: median(rounds.map(({ links }) => links)),
            unit: "",
          },
        ],
      },
    ];
  },
};

async function measure(): Promise<{ viewMs: number; equalMs: number; links: number }> {
  const founder = await startOne("peer-0", []);
  const others: Promise<Peer>[] = [];
  try {
    const start = nowMs();
    for (let index = 1; index < PEERS; index += 1) {
      others.push(startOne(`peer-${index}`, [founder.address]));
    }
    const peers = [founder, ...(await Promise.all(others))];
    const viewMs = await since(start, () =>
      peers.every((peer) => peer.status().members.alive === PEERS),
    );
    const equalMs = await since(start, () => {
      const [first, ...rest] = peers.map((peer) => peer.status().replica);
      return rest.every((replica) => replica === first);
    });
    const links = peers.reduce((sum, peer) => sum + peer.status().links, 0) / PEERS;
    return { viewMs, equalMs, links };
  } finally {
    const all = await Promise.allSettled([Promise.resolve(founder), ...others]);
    await Promise.all(all.map((each) => each.status === "fulfilled" && each.value.close()));
  }
}

function startOne(name: string, join: readonly string[]): Promise<Peer> {
  return startPeer({ name, listen: "127.0.0.1:0", shards: 64, join });
}

/** Ms from `start` until it is so, which is looked at every few ms. */
async function since(start: number, isSo: () => boolean): Promise<number> {
  while (!isSo()) {
    if (nowMs() - start > WAIT_MS_MAX) throw new Error("They never came to know each other");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return nowMs() - start;
}
