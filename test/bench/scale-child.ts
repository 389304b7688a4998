/**
 * What `scale.ts` asks of each of its processes: one cluster in the simulator's world, measured.
 *
 * It has a process of its own, so that what it takes in memory can be told.
 */
import type { SimulatedPeer } from "../../sim/peer.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { decodeFrame } from "../../src/wire/codec.ts";
import { answerParent } from "./child.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";

export interface ScaleQuestion {
  readonly peers: number;
  readonly shards: number;
}

export interface ScaleAnswer {
  /** Links, each counted at both ends. */
  readonly linkEnds: number;
  /** From the call until the last peer knew, for each change, in virtual ms. */
  readonly spreadsMs: readonly number[];
  /** What a change took, for each peer: frames that told of it, and their bytes. */
  readonly framesPerPeer: number;
  readonly bytesPerPeer: number;
  /** What each peer sends in a second in which nothing happens. */
  readonly idleBytes: number;
  readonly idleFrames: number;
  /** The most memory that the process had, in MB. */
  readonly memoryMb: number;
  /** Processor time of the whole run, in s. */
  readonly processorS: number;
}

const DELAY_MS = 1;
const IDLE_MS = 2000;
const CHANGES = 20;
/** Until the next change: whoever has not heard of one by then was not told. */
const CHANGE_MS = 200;

answerParent<ScaleQuestion>((question) => Promise.resolve(measure(question)));

function measure({ peers, shards }: ScaleQuestion): ScaleAnswer {
  let seen = 0;
  let seenAt = 0;
  let watched = "";
  const options = {
    downing: "majority" as const,
    timings: TIMINGS.lan,
    delayMs: DELAY_MS,
    seed: 1,
  };
  const cluster = new SimulatedCluster(
    { ...options, peers, shards },
    {
      changed: (_, change) => {
        if (change.type !== "allocation" || change.shard !== watched) return;
        seen += 1;
        seenAt = world.now;
      },
    },
  );
  const { world, network } = cluster;
  cluster.start();

  const [frames, bytes] = [network.frames, network.bytes];
  world.runUntil(world.now + IDLE_MS);
  const idle = (total: number) => (total * 1000) / IDLE_MS / peers;
  const [idleFrames, idleBytes] = [idle(network.frames - frames), idle(network.bytes - bytes)];

  const told = { frames: 0, bytes: 0 };
  network.onSent = (sent) => {
    const decoded = decodeFrame(sent);
    if (!decoded.ok || !decoded.messages.some((message) => "maps" in message)) return;
    told.frames += 1;
    told.bytes += sent.length;
  };
  const spreadsMs: number[] = [];
  for (let change = 0; change < CHANGES; change += 1) {
    const peer = cluster.peers[(change * 7) % peers] as SimulatedPeer;
    watched = `shard-${change}`;
    seen = 0;
    const calledAt = world.now;
    const region = peer.machine?.view.regionFor(watched) ?? peer.name;
    peer.call({ type: "allocate", shard: watched, region });
    world.runUntil(world.now + CHANGE_MS);
    if (seen < peers) throw new Error(`Only ${seen} of ${peers} peers heard of a change`);
    spreadsMs.push(seenAt - calledAt);
  }
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  return {
    ...{ linkEnds: cluster.linkEnds, spreadsMs, idleBytes, idleFrames },
    framesPerPeer: told.frames / CHANGES / peers,
    bytesPerPeer: told.bytes / CHANGES / peers,
    memoryMb: maxRSS / 1000,
    processorS: (userCPUTime + systemCPUTime) / 1e6,
  };
}
