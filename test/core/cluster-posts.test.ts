import fc from "fast-check";
import { expect, test } from "vitest";
import { POST_BYTES_BURST } from "../../src/core/limits.ts";
import { Cluster } from "./cluster.ts";

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

/** What the services of a peer were told, but for posts to others. */
const toldAt = (cluster: Cluster, at: string): object[] =>
  cluster.delivered.filter((each) => each.at === at).map(({ at: _, ...rest }) => rest);

test("[N1] a post reaches the service of its name at another peer, and at this one", () => {
  const cluster = new Cluster("a b").settled();
  expect(cluster.peer("a").post("b", "notes", bytes(1, 2))).toBe(true);
  expect(cluster.peer("a").post("a", "notes", bytes(3))).toBe(true);
  expect(cluster.peer("a").post("nobody", "notes", bytes(4))).toBe(false);
  cluster.run(100);
  expect(toldAt(cluster, "b")).toEqual([
    { type: "post", from: "a", service: "notes", body: bytes(1, 2) },
    { type: "open", peer: "a" },
  ]);
  expect(toldAt(cluster, "a")).toEqual([
    { type: "post", from: "a", service: "notes", body: bytes(3) },
  ]);
});

test("[N1] what is too much is not taken, and the service hears when posts are taken again", () => {
  const cluster = new Cluster("a b").settled();
  cluster.peer("a").step({ type: "peer-needed", peer: "b", isNeeded: true });
  cluster.run(1);
  expect(toldAt(cluster, "a")).toEqual([{ type: "open", peer: "b" }]);
  const large = new Uint8Array(1_000_000);
  let taken = 0;
  while (cluster.peer("a").post("b", "notes", large)) taken += 1;
  expect(taken).toBe(Math.ceil(POST_BYTES_BURST / large.length));
  cluster.run(2000);
  expect(toldAt(cluster, "a")).toEqual([
    { type: "open", peer: "b" },
    { type: "open", peer: "b" },
  ]);
  expect(toldAt(cluster, "b").length).toBe(1 + taken);
});

test("[N2] both ends hear that a conversation is lost, and of the next one", () => {
  const cluster = new Cluster("a b").settled();
  cluster.peer("a").step({ type: "peer-needed", peer: "b", isNeeded: true });
  cluster.peer("a").post("b", "notes", bytes(1));
  cluster.run(50);
  cluster.cut("a", "b");
  cluster.run(4000);
  cluster.heal();
  cluster.run(4000);
  cluster.peer("a").post("b", "notes", bytes(2));
  cluster.run(50);
  const kinds = (at: string) => toldAt(cluster, at).map((told) => (told as { type: string }).type);
  expect(kinds("a")).toEqual(["open", "lost", "open"]);
  expect(kinds("b")).toEqual(["post", "open", "lost", "post", "open"]);
});

test("[N2] a peer that was killed and comes back begins a new conversation", () => {
  const cluster = new Cluster("a b c").settled();
  cluster.peer("a").step({ type: "peer-needed", peer: "b", isNeeded: true });
  cluster.run(10);
  cluster.peer("b").kill();
  cluster.run(500);
  cluster.peer("b").start();
  cluster.run(6000);
  expect(toldAt(cluster, "a")).toEqual([
    { type: "open", peer: "b" },
    { type: "lost", peer: "b" },
    { type: "open", peer: "b" },
  ]);
});

/** In the arc overlay most pairs have no link of their own. */
function sparse(): { cluster: Cluster; from: string; to: string } {
  const names = Array.from({ length: 14 }, (_, index) => `p${index}`).join(" ");
  const cluster = new Cluster(names, { meshMax: 4 }).settled();
  cluster.run(30_000);
  const linked = new Set(
    cluster.up.filter((name) => name === "p0" || cluster.peer("p0").machine?.canPost(name)),
  );
  const to = cluster.up.find((name) => !linked.has(name));
  if (to === undefined) throw new Error("Everybody is linked");
  return { cluster, from: "p0", to };
}

test("[N3] a link to a peer that is needed is dialled, kept, and given up when it is not", () => {
  const { cluster, from, to } = sparse();
  expect(cluster.peer(from).post(to, "notes", bytes(1))).toBe(false);
  cluster.peer(from).step({ type: "peer-needed", peer: to, isNeeded: true });
  cluster.run(1000);
  expect(toldAt(cluster, from)).toEqual([{ type: "open", peer: to }]);
  cluster.run(60_000);
  expect(cluster.peer(from).post(to, "notes", bytes(1))).toBe(true);
  cluster.peer(from).step({ type: "peer-needed", peer: to, isNeeded: false });
  cluster.run(60_000);
  expect(cluster.machine(from).canPost(to)).toBe(false);
});

test("[N2] between two losses posts come in order and without a gap, whatever happens to links", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.record({ at: fc.integer({ min: 0, max: 9000 }), what: fc.nat(2) }), {
        maxLength: 6,
      }),
      (seed, faults) => {
        const cluster = new Cluster("a b c", { seed, delayMsMean: 8 });
        cluster.start("a b c");
        cluster.run(1500);
        for (const { at, what } of faults) {
          cluster.world.plan(at, () => {
            if (what === 0) cluster.cut("a", "b");
            if (what === 1) cluster.heal();
            if (what === 2) cluster.peer("b").kill();
            if (what === 2) cluster.peer("b").start();
          });
        }
        let sent = 0;
        for (let at = 0; at < 10_000; at += 20) {
          cluster.world.plan(at, () => {
            const body = bytes(sent >> 8, sent & 255);
            if (cluster.peer("a").post("b", "notes", body)) sent += 1;
          });
        }
        cluster.run(12_000);
        let last = -1;
        let isLost = true;
        const losses = cluster.delivered.filter(
          (each) => each.type === "lost" && each.at === "a",
        ).length;
        for (const each of cluster.delivered) {
          if (each.at !== "b") continue;
          if (each.type === "lost") isLost = true;
          if (each.type !== "post") continue;
          const number = (each.body[0] as number) * 256 + (each.body[1] as number);
          expect(number).toBeGreaterThan(last);
          // Who begins a new life was told nothing.
          if (!isLost && losses === 0) expect(number).toBe(last + 1);
          last = number;
          isLost = false;
        }
      },
    ),
    { numRuns: 25 },
  );
});
