import { expect, test } from "vitest";
import { hash32 } from "../../src/core/hash.ts";
import { MEMBERS, VERDICTS } from "../../src/core/membership.ts";
import { Overlay } from "../../src/core/overlay.ts";
import { detectionTimes } from "../../src/core/suspicion.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { Cluster } from "./cluster.ts";

const NAMES = Array.from({ length: 20 }, (_, index) => `p${index}`);
const MESH_MAX = 4;
/** What a link that nobody wants any more stays, and some more, in ms. */
const LINGER_MS = 12_000;

function neighboursOf(self: string, names: readonly string[] = NAMES): string[] {
  const overlay = new Overlay(self, MESH_MAX);
  for (const name of names) overlay.set(name, true);
  return [...overlay.neighbours()].sort();
}

const linksOf = (cluster: Cluster, name: string) => cluster.peer(name).links.remotes().sort();

/** A settled cluster of twenty with an overlay, which all join by the first. */
function twenty(seed = 1): Cluster {
  const join = (name: string) => (name === "p0" ? [] : ["p0:1"]);
  const cluster = new Cluster(NAMES.join(" "), { meshMax: MESH_MAX, seed, join });
  cluster.start("p0");
  cluster.start(NAMES.slice(1).join(" "));
  cluster.runUntil(() => NAMES.every((name) => cluster.machine(name).isReady), 5000);
  cluster.run(2000);
  return cluster;
}

test("[G7] beyond a full mesh everybody has the links of its overlay, and after a while no others", () => {
  const cluster = twenty();
  for (const name of NAMES)
    expect(linksOf(cluster, name)).toEqual(expect.arrayContaining(neighboursOf(name)));
  expect(linksOf(cluster, "p0")).toHaveLength(19); // All have joined by it.
  cluster.run(LINGER_MS);
  for (const name of NAMES) expect(linksOf(cluster, name)).toEqual(neighboursOf(name));
  expect(cluster.isEqual).toBe(true);
});

test("[G7] links do not come and go with a member that does", () => {
  const cluster = twenty();
  cluster.run(LINGER_MS);
  const opened = cluster.network.connections.size;
  for (let round = 0; round < 3; round += 1) {
    cluster.peer("p7").kill();
    cluster.run(1000);
    cluster.peer("p7").start();
    cluster.run(2000);
  }
  const others = NAMES.filter((name) => name !== "p7");
  for (const name of others) {
    // What its neighbours linked meanwhile stays for now, and what they had before stayed all along.
    expect(linksOf(cluster, name)).toEqual(expect.arrayContaining(neighboursOf(name)));
  }
  expect(cluster.network.connections.size).toBeLessThan(1.5 * opened);
  cluster.run(LINGER_MS);
  for (const name of NAMES) expect(linksOf(cluster, name)).toEqual(neighboursOf(name));
});

test("[G7] who cannot link with a neighbour links with somebody else, until it can", () => {
  const cluster = twenty();
  cluster.run(LINGER_MS);
  const [first = "", second = ""] = neighboursOf("p3");
  cluster.cut("p3", `${first} ${second}`);
  cluster.run(8000);
  const links = linksOf(cluster, "p3");
  expect(links).not.toContain(first);
  expect(links.length).toBeGreaterThanOrEqual(neighboursOf("p3").length);
  cluster.heal();
  cluster.run(LINGER_MS + 4000);
  expect(linksOf(cluster, "p3")).toEqual(neighboursOf("p3"));
});

test("[G7] who would stand in and does not answer either is passed over, and not dialled in turn", () => {
  const cluster = twenty();
  cluster.run(LINGER_MS);
  const neighbours = neighboursOf("p3");
  const ring = [...NAMES].sort((a, b) => hash32(a) - hash32(b));
  const at = ring.indexOf(neighbours[0] ?? "");
  const next = [...ring.slice(at), ...ring.slice(0, at)].filter(
    (name) => name !== "p3" && !neighbours.includes(name),
  );
  cluster.cut("p3", [neighbours[0], ...next.slice(0, 3)].join(" "));
  cluster.run(9000);
  expect(linksOf(cluster, "p3")).toContain(next[3]);
  cluster.heal();
  cluster.run(LINGER_MS + 4000);
  expect(linksOf(cluster, "p3")).toEqual(neighbours);
});

test("[G7] where nobody is left to stand in, those that were passed over are asked again", () => {
  const cluster = twenty();
  cluster.run(LINGER_MS);
  const neighbours = neighboursOf("p3");
  const [first = ""] = neighbours;
  const others = NAMES.filter((name) => name !== "p3" && !neighbours.includes(name));
  cluster.cut("p3", [first, ...others].join(" "));
  cluster.run(20_000); // Everybody has been tried in vain.
  cluster.heal();
  cluster.cut("p3", first);
  cluster.run(6000);
  expect(linksOf(cluster, "p3").length).toBeGreaterThanOrEqual(neighbours.length);
});

test("[G1] beyond a full mesh a change is with everybody at once, whoever makes it", () => {
  const cluster = twenty();
  cluster.run(LINGER_MS);
  for (const name of NAMES) {
    const at = cluster.now;
    cluster.allocate(name, "shard-1", name);
    cluster.run(60);
    const told = cluster.changes("allocation", at).filter(({ region }) => region === name);
    expect(new Set(told.map(({ peer }) => peer)).size).toBe(NAMES.length);
    expect(told).toHaveLength(NAMES.length);
  }
});

test("[G1, G4] what an exchange brings to one is told on to all that are not linked with its writer", () => {
  const cluster = twenty();
  cluster.run(LINGER_MS);
  const far = NAMES.filter((name) => !neighboursOf("p5").includes(name) && name !== "p5");
  const rest = NAMES.filter((name) => name !== "p5").join(" ");
  cluster.cut("p5", rest);
  cluster.run(500);
  cluster.allocate("p5", "shard-2", "p5");
  cluster.run(500);
  cluster.heal();
  cluster.runUntil(() => far.every((name) => cluster.table(name).get("shard-2") === "p5"), 4000);
  expect(far.length).toBeGreaterThan(5);
});

test("[F2] only neighbours judge a member by its silence, and all hear of it", () => {
  const cluster = twenty();
  cluster.run(LINGER_MS);
  cluster.peer("p9").kill(true);
  cluster.run(detectionTimes(TIMINGS.local, NAMES.length).deadAloneMs + 2500);
  const others = NAMES.filter((name) => name !== "p9");
  for (const name of others) expect(cluster.status("p9", name)).toBe("dead");
  const accusers = [...cluster.entries("p0").keys()]
    .filter((key) => key.startsWith(`${VERDICTS} p9/`))
    .map((key) => key.split("/")[1] ?? "");
  expect(accusers.length).toBeGreaterThan(0);
  expect(neighboursOf("p9")).toEqual(expect.arrayContaining(accusers));
  cluster.run(LINGER_MS);
  for (const name of others) expect(linksOf(cluster, name)).toEqual(neighboursOf(name, others));
});

test("[G8] two halves that have buried each other find each other again", () => {
  const cluster = twenty();
  const [ours, theirs] = [NAMES.slice(0, 8), NAMES.slice(8)];
  cluster.cut(ours.join(" "), theirs.join(" "));
  cluster.run(40_000);
  for (const name of ours) expect(cluster.status("p19", name)).toBe("dead");
  cluster.heal();
  cluster.runUntil(() => cluster.isEqual && cluster.status("p0", "p19") === "alive", 5000);
  cluster.run(LINGER_MS);
  for (const name of NAMES) expect(linksOf(cluster, name)).toEqual(neighboursOf(name));
});

test("[F9] beyond a full mesh one that is cut off from all stops as soon as it may call anybody dead", () => {
  const cluster = twenty();
  cluster.run(LINGER_MS);
  cluster.cut("p4", NAMES.filter((name) => name !== "p4").join(" "));
  cluster.run(2 * detectionTimes(TIMINGS.local, NAMES.length).deadMs + 500);
  expect(cluster.machine("p4").isReady).toBe(false);
  cluster.heal();
  cluster.runUntil(() => cluster.machine("p4").isReady, 5000);
});

test("[G7] members that know each other from their disks alone link anew", () => {
  const cluster = twenty();
  for (const name of NAMES) cluster.peer(name).kill();
  for (const name of NAMES) cluster.peer(name).start();
  cluster.run(5000);
  expect(cluster.isEqual).toBe(true);
  const rows = [...cluster.entries("p0").keys()].filter((key) => key.startsWith(`${MEMBERS} `));
  expect(rows).toHaveLength(NAMES.length);
});
