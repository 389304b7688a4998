import { expect, test } from "vitest";
import type { Peer } from "../src/peer.ts";
import { start, startCluster, until } from "./peers.ts";

const DEADLINE = { timeout: 20_000 };

/** What keeps this process busy: sockets, servers, timers. */
function countOf(kind: "TCPSocketWrap" | "TCPServerWrap" | "Timeout"): number {
  return process.getActiveResourcesInfo().filter((each) => each === kind).length;
}

async function joinAndLeave(a: Peer, b: Peer): Promise<void> {
  const guest = await start("guest", { join: [a.address] });
  const links = (): number[] => [a, b].map((peer) => peer.status().links);
  await expect.poll(links, DEADLINE).toEqual([2, 2]);
  await guest.leave();
  await until([a, b], () => a.members().some(({ status }) => status === "left"));
}

test("[U4] after peers have joined and left sockets and timers are as before", async () => {
  const [a, b] = await startCluster("a", "b");
  const sockets = (): number => countOf("TCPSocketWrap");
  await expect.poll(sockets, DEADLINE).toBe(2); // Both ends of one link are in this process.
  const timers = countOf("Timeout");
  for (let time = 0; time < 8; time += 1) await joinAndLeave(a, b);
  await expect.poll(sockets, DEADLINE).toBe(2);
  expect(countOf("TCPServerWrap")).toBe(2);
  await expect.poll(() => countOf("Timeout") <= timers, DEADLINE).toBe(true);
});
