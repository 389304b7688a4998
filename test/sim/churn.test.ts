import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { Network } from "../../sim/network.ts";
import { SimulatedPeer } from "../../sim/peer.ts";
import { World } from "../../sim/world.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS } from "../../src/core/timings.ts";

/** Long enough for all that is timed to have come to an end, in ms. */
const REST_MS = 60_000;
const LEAVE_MS = 50;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Three peers that stay, and five that come and go. */
function startWorld() {
  const world = new World();
  const random = new Random(1);
  const network = new Network(world, random, {
    ...{ delayMsMean: 0, delayMsMin: 1, bytesPerMs: 100_000 },
    ...{ lossProbability: 0, duplicateProbability: 0 },
  });
  const peerOf = (name: string, join: readonly string[]): SimulatedPeer => {
    const options = {
      ...{ name, cluster: "x", address: `${name}:1`, shardCount: 12, zone: null, weight: 1, join },
      ...{ downing: "majority" as const, timings: TIMINGS.local },
    };
    return new SimulatedPeer(world, network, options, random, {});
  };
  const stay = ["a", "b", "c"].map((name) => peerOf(name, name === "a" ? [] : ["a:1"]));
  const come = ["v", "w", "x", "y", "z"].map((name) => peerOf(name, ["a:1"]));
  for (const peer of stay) peer.start();
  world.runUntil(REST_MS);
  return { world, network, stay, come };
}

type Started = ReturnType<typeof startWorld>;

function joinAndLeave({ world, stay, come }: Started, times: number): void {
  for (let time = 0; time < times; time += 1) {
    const guest = come[time % come.length] as SimulatedPeer;
    guest.start({ wipe: true });
    for (let looks = 0; guest.links.openCount < stay.length; looks += 1) {
      if (looks === 1000) throw new Error(`${guest.name} did not join`);
      world.runUntil(world.now + 5);
    }
    expect(guest.machine?.isReady).toBe(true);
    guest.call({ type: "leave" });
    world.runUntil(world.now + LEAVE_MS);
    guest.kill();
  }
  world.runUntil(world.now + REST_MS);
}

/** What is in use when nobody says anything: of many looks the least. */
function inUse({ world, network, stay }: Started) {
  let planned = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 50; look += 1) {
    world.runUntil(world.now + 7);
    planned = Math.min(planned, world.pendingCount);
  }
  return {
    ...{ planned, connections: network.connections.size },
    links: stay.map(({ links }) => links.count),
    entries: stay.map(({ machine }) => machine?.status().entries),
  };
}

function heapBytes(): number {
  for (let pass = 0; pass < 3; pass += 1) collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test("[U4] after a thousand joins and leaves timers, links, connections and memory are as before", () => {
  const started = startWorld();
  joinAndLeave(started, 100); // Everybody has been there, and the code is compiled.
  const before = inUse(started);
  const bytes = heapBytes();
  joinAndLeave(started, 1000);
  expect(inUse(started)).toEqual(before);
  expect(before).toMatchObject({ planned: 3, connections: 3, links: [2, 2, 2] });
  // One object that a link leaves behind at one peer would be more. Caches that fill are less.
  expect(heapBytes() - bytes).toBeLessThan(2_000_000);
});
