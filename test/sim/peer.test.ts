import { expect, test } from "vitest";
import { Network } from "../../sim/network.ts";
import { SimulatedPeer } from "../../sim/peer.ts";
import { World } from "../../sim/world.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS } from "../../src/core/timings.ts";

function alone() {
  const world = new World();
  const network = new Network(world, new Random(1), {
    ...{ delayMsMean: 1, delayMsMin: 0.1, bytesPerMs: 100_000 },
    ...{ lossProbability: 0, duplicateProbability: 0 },
  });
  const options = {
    ...{ name: "a", cluster: "x", address: "a:1", shardCount: 1, zone: null, weight: 1, join: [] },
    ...{ downing: "off" as const, timings: TIMINGS.lan },
  };
  const peer = new SimulatedPeer(world, network, options, new Random(2), {});
  const dial = (): string => {
    let outcome = "nothing";
    network.dial("b", "a:1", 500, (result) => {
      outcome = typeof result === "string" ? result : "accepted";
    });
    world.runUntil(world.now + 1000);
    return outcome;
  };
  return { peer, dial, pass: (ms: number) => world.runUntil(world.now + ms) };
}

test("a process that dies of its first effects listens no more", () => {
  const { peer, dial } = alone();
  peer.crashInEffects = 0;
  peer.start();
  expect(peer.state).toBe("down");
  expect(dial()).toBe("refused");
  peer.start();
  expect(peer.state).toBe("up");
  expect(dial()).toBe("accepted");
});

test("what has come to a slow or paused process is done in order, and at once when it is neither", () => {
  const { peer, pass } = alone();
  const done: number[] = [];
  const come = (number: number): void => peer.run(() => void done.push(number));
  peer.start();
  peer.slowMs = 60;
  for (const number of [1, 2, 3, 4]) come(number);
  expect(done).toEqual([]);
  peer.slowMs = 0;
  come(5); // Not before what came earlier.
  peer.pause();
  come(6);
  expect(done).toEqual([]);
  peer.resume();
  come(7);
  expect(peer.isPrompt).toBe(false);
  pass(0);
  expect(done).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(peer.isPrompt).toBe(true);
  peer.slowMs = 60;
  come(8);
  pass(59);
  expect(done).not.toContain(8);
  pass(1);
  expect(done).toContain(8);
});
