/**
 * Calls from another process: how many a second over one connection, and how long one takes.
 *
 * The client is this process, and the peer another one. Beside it runs a bare WebSocket with the same codec
 * and the same bytes, which looks nothing up: no methods, arguments, deadlines, limits or promises of a
 * client. What is between the two is what those cost. Both take turns, round by round.
 *
 * Throughput is that of 500 callers, each of which calls again when it has its answer. Beside it stands
 * the processor's time that a call takes at either end, which does not depend on who else is busy. Latency is measured
 * at a steady rate, from the moment at which a call was due and not from when it was made: calls that had
 * to wait because their sender was late are not forgiven.
 */
import { setTimeout as sleep } from "node:timers/promises";
import hyperid from "hyperid";
import { WebSocket } from "ws";
import { connect } from "../../src/client.ts";
import { RpcOutbox } from "../../src/io/rpc-outbox.ts";
import { decodeRpcFrame, encodeRpcMessage, TO_CLIENT } from "../../src/wire/rpc-codec.ts";
import { Child } from "./child.ts";
import { median, nowMs, percentile } from "./measure.ts";
import type { Bench, Section } from "./report.ts";
import type { Question } from "./rpc-child.ts";

const CALLERS = 500;
const CALLS = 100_000;
const ROUNDS = 5;
const WARM_UPS = 2;
const RATE_PER_MS = 10;
const STEADY_MS = 2000;

export const bench: Bench = {
  summary: "calls from another process, against a bare WebSocket with the same codec",
  run: async (progress) => {
    const module = new URL("./rpc-child.ts", import.meta.url);
    const children = [new Child(module, ["peer"]), new Child(module, ["echo"])] as const;
    try {
      const opened = children.map((child) => child.ask({ type: "open" } satisfies Question));
      const [peer, echo] = (await Promise.all(opened)) as [string, string];
      await using client = await connect(peer);
      const bare = await BareClient.connect(echo);
      const contestants: Contestants = [
        { call: (document) => client.routeDocument(document), server: children[0] },
        { call: bare.call, server: children[1] },
      ];
      const sections = [
        await measureThroughput(contestants, progress),
        await measureLatency(contestants, progress),
      ];
      bare.close();
      return sections;
    } finally {
      await Promise.all(children.map((child) => child.end()));
    }
  },
};

type Call = (document: string) => Promise<unknown>;

interface Contestant {
  readonly call: Call;
  readonly server: Child;
}

type Contestants = readonly [ours: Contestant, bare: Contestant];

async function measureThroughput(
  contestants: Contestants,
  progress: (text: string) => void,
): Promise<Section> {
  progress(`${CALLERS} callers`);
  const found = contestants.map((): Run[] => []);
  for (let round = -WARM_UPS; round < ROUNDS; round += 1) {
    for (const [index, contestant] of contestants.entries()) {
      const run = await measureRun(contestant);
      if (round >= 0) found[index]?.push(run);
    }
  }
  const [[ours, oursHere, oursThere], [bare, bareHere, bareThere]] = found.map((runs) => [
    median(runs.map(({ perSecond }) => perSecond)),
    median(runs.map(({ hereUs }) => hereUs)),
    median(runs.map(({ thereUs }) => thereUs)),
  ]) as unknown as [Medians, Medians];
  return {
    title: `one connection, ${CALLERS} callers`,
    figures: [
      { name: "routeDocument", value: ours, unit: "/s", target: { atLeast: 60_000 } },
      { name: "bare WebSocket, same codec", value: bare, unit: "/s" },
      { name: "routeDocument / bare", value: ours / bare, unit: "x" },
      { name: "processor a call, client", value: oursHere, unit: "us", target: { atMost: 16 } },
      { name: "processor a call, peer", value: oursThere, unit: "us", target: { atMost: 16 } },
      { name: "processor a call, bare, client", value: bareHere, unit: "us" },
      { name: "processor a call, bare, server", value: bareThere, unit: "us" },
    ],
  };
}

type Medians = readonly [perSecond: number, hereUs: number, thereUs: number];

interface Run {
  readonly perSecond: number;
  /** The processor's time a call, of this process and of the other one, in us. */
  readonly hereUs: number;
  readonly thereUs: number;
}

async function measureRun({ call, server }: Contestant): Promise<Run> {
  const processor = { type: "processor" } satisfies Question;
  const thereMs = (await server.ask(processor)) as number;
  const before = process.cpuUsage();
  const startMs = nowMs();
  await callInTurns(call);
  const perSecond = CALLS / ((nowMs() - startMs) / 1000);
  const { user, system } = process.cpuUsage(before);
  const usedMs = ((await server.ask(processor)) as number) - thereMs;
  return { perSecond, hereUs: (user + system) / CALLS, thereUs: (usedMs * 1000) / CALLS };
}

async function callInTurns(call: Call): Promise<void> {
  let left = CALLS;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await call(`document-${left}`);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}

async function measureLatency(
  contestants: Contestants,
  progress: (text: string) => void,
): Promise<Section> {
  progress(`${RATE_PER_MS * 1000} calls a second`);
  const times = contestants.map((): number[] => []);
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const [index, { call }] of contestants.entries()) {
      const found = await callSteadily(call);
      if (round >= 0) times[index]?.push(...found);
    }
  }
  const [ours = [], bare = []] = times;
  return {
    title: `${RATE_PER_MS * 1000} calls a second`,
    figures: [
      { name: "routeDocument, p50", value: percentile(ours, 0.5), unit: "ms" },
      {
        ...{ name: "routeDocument, p99", value: percentile(ours, 0.99), unit: "ms" },
        target: { atMost: 3 },
      },
      { name: "bare WebSocket, p50", value: percentile(bare, 0.5), unit: "ms" },
      { name: "bare WebSocket, p99", value: percentile(bare, 0.99), unit: "ms" },
    ],
  };
}

/** Calls at a steady rate; returns how long each took, from when it was due. */
async function callSteadily(call: Call): Promise<number[]> {
  const times: number[] = [];
  const calls: Promise<unknown>[] = [];
  const startMs = nowMs();
  let made = 0;
  while (made < STEADY_MS * RATE_PER_MS) {
    const due = Math.min((nowMs() - startMs) * RATE_PER_MS, STEADY_MS * RATE_PER_MS);
    for (; made < due; made += 1) {
      const dueMs = startMs + made / RATE_PER_MS;
      calls.push(call(`document-${made}`).then(() => times.push(nowMs() - dueMs)));
    }
    await sleep(1);
  }
  await Promise.all(calls);
  return times;
}

/** As little of a client as there can be. */
class BareClient {
  readonly #socket: WebSocket;
  readonly #outbox: RpcOutbox;
  readonly #waiting = new Map<string, (value: unknown) => void>();
  readonly #uniqueId = hyperid({ urlSafe: true });

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#outbox = new RpcOutbox((frame) => socket.send(frame));
    socket.on("message", (bytes: Buffer) => {
      const frame = decodeRpcFrame(bytes, TO_CLIENT);
      if (!frame.ok) throw new Error(frame.message);
      for (const message of frame.messages) {
        if (message.type !== "answer") continue;
        this.#waiting.get(message.id)?.(message.value);
        this.#waiting.delete(message.id);
      }
    });
  }

  static async connect(address: string): Promise<BareClient> {
    const socket = new WebSocket(`ws://${address}`, { perMessageDeflate: false });
    await new Promise((resolve) => socket.once("open", resolve));
    return new BareClient(socket);
  }

  readonly call: Call = (document) => {
    const id = this.#uniqueId();
    const args = [document];
    this.#outbox.add(
      encodeRpcMessage({ type: "call", id, method: "routeDocument", timeoutMs: 10_000, args }),
    );
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  };

  close(): void {
    this.#socket.close();
  }
}
