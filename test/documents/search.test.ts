import { expect, test } from "vitest";
import { ShardIndex } from "../../src/documents/shard-index.ts";
import { snippetOf } from "../../src/documents/shell/snippet.ts";
import { wordsOf } from "../../src/io/tokeniser.ts";
import type { Peer } from "../../src/peer.ts";
import { documentPeers, soon } from "./clients.ts";

const RING = "A ring of shards: each peer knows where a document belongs.";

const TEXTS: ReadonlyMap<string, string> = new Map([
  ["notes/gossip", "Gossip spreads what one peer says. Gossip, and nothing else."],
  ["notes/ring", RING],
  ["notes/tie-a", "zebra"],
  ["notes/tie-b", "zebra"],
  ["__proto__", "constructor toString peer"],
]);

/** What one process would say that holds all texts. */
function reference(words: string): { document: string; score: number }[] {
  const index = new ShardIndex();
  for (const [name, text] of TEXTS) index.set(name, wordsOf(text));
  const frequencies = index.frequencies();
  const terms = [...new Set(wordsOf(words))].sort();
  const weights = terms.map((term) => {
    const frequency = frequencies.get(term) ?? 0;
    return frequency === 0 ? 0 : Math.log(index.documents / frequency) + 1;
  });
  return index.search(terms, weights, 20);
}

async function write(peer: Peer): Promise<void> {
  for (const [name, text] of TEXTS) {
    const handle = await peer.documents.open(name);
    handle.doc.getText("body").insert(0, text);
    await handle.flush();
    handle.close();
  }
}

const hits = async (peer: Peer, words: string) =>
  (await peer.search(words)).documents.map(({ document, score }) => ({ document, score }));

test("[Y11] every peer finds the same documents in the same order, score by score, as one process would", async () => {
  const peers = await documentPeers("a b c");
  const [a, b] = peers as [Peer, Peer];
  await write(a);
  const texts = TEXTS.size;
  await soon(() => peers.every((peer) => peer.globalDf(["zebra"]).documents === texts));
  for (const words of ["gossip", "peer", "zebra", "ring gossip PEER", "constructor"]) {
    for (const peer of peers) expect(await hits(peer, words)).toEqual(reference(words));
  }
  expect(await hits(a, "nowhere")).toEqual([]);
  const { documents, complete, missing } = await b.search("shards");
  expect({ complete, missing }).toEqual({ complete: true, missing: [] });
  expect(documents[0]).toMatchObject({
    document: "notes/ring",
    shard: a.routeDocument("notes/ring").shard,
    snippet: RING,
  });
  const ring = await b.documents.open("notes/ring");
  ring.doc.getText("body").delete(0, ring.doc.getText("body").length);
  ring.doc.getMap("other").set("title", "xylophone");
  await ring.flush();
  await soon(() =>
    peers.every((peer) => peer.globalDf(["xylophone"]).frequencies.get("xylophone") === 1),
  );
  expect((await hits(a, "shards")).length).toBe(0);
  expect((await hits(a, "xylophone"))[0]?.document).toBe("notes/ring");
  await a.documents.delete("notes/ring");
  await soon(() => peers.every((peer) => peer.globalDf([]).documents === texts - 1));
  expect(await hits(b, "xylophone")).toEqual([]);
});

test("[D5, Y11] a document is found with a score as soon as it is indexed, before its words are counted", async () => {
  const [a] = (await documentPeers("a")) as [Peer];
  const handle = await a.documents.open("first");
  handle.doc.getText("body").insert(0, "first words");
  await handle.flush();
  const scores: number[] = [];
  await soon(() => {
    void a.search("words").then(({ documents }) => {
      if (documents[0] !== undefined) scores.push(documents[0].score);
    });
    return a.globalDf([]).documents === 1;
  });
  expect(scores.length).toBeGreaterThan(0); // Before its words are counted.
  expect(new Set(scores)).toEqual(new Set([1]));
  expect(a.idf("words").idf).toBe(1);
  expect((await a.search("words")).documents[0]?.score).toBe(1);
});

test("[D1, Y11] what users publish of a shard counts beside its documents, whichever comes last", async () => {
  const peers = await documentPeers("a b");
  const [a, b] = peers as [Peer, Peer];
  const { shard } = a.routeDocument("note");
  const published = { documents: 2, terms: new Map([["words", 2]]) };
  const counts = (peer: Peer) => {
    const { documents, frequencies } = peer.globalDf(["words", "other"]);
    return [documents, ...frequencies.values()];
  };
  const bothSay = (...expected: number[]) =>
    soon(() => peers.every((peer) => counts(peer).join() === expected.join()));
  await a.publishFrequencies(shard, published);
  const handle = await a.documents.open("note");
  const text = handle.doc.getText("body");
  text.insert(0, "other words");
  await bothSay(3, 3, 1);
  await b.publishFrequencies(shard, { documents: 1, terms: new Map([["words", 1]]) });
  await bothSay(2, 2, 1);
  text.delete(0, 6);
  await bothSay(2, 2, 0);
  // The next region publishes what it finds, and what users said stays.
  await a.allocate(shard, a.routeDocument("note").region === "a" ? "b" : "a");
  text.insert(0, "other ");
  await bothSay(2, 2, 1);
  await a.documents.delete("note");
  await bothSay(1, 1, 0);
});

test("[Y11] a search over HTTP says the same, and a wrong one is refused", async () => {
  const [a] = (await documentPeers("a")) as [Peer];
  await write(a);
  await soon(() => a.globalDf(["zebra"]).documents === 5);
  const ask = async (query: string) => {
    const response = await fetch(`http://${a.address}/v1/search?${query}`);
    return { status: response.status, body: await response.json() };
  };
  const { body } = await ask("q=zebra&limit=1");
  expect(body).toMatchObject({
    complete: true,
    missing: [],
    documents: [{ document: "notes/tie-a" }],
  });
  expect((await ask("limit=1")).status).toBe(400);
  expect((await ask("q=x&limit=0")).status).toBe(400);
  await expect(a.search(5 as unknown as string)).rejects.toThrow(TypeError);
});

test("[Y11] a snippet begins before the word, in whole characters, and says something without it", () => {
  const text = `${"before ".repeat(50)}Needle ${"after ".repeat(50)}`;
  expect(snippetOf(text, ["needle"])).toMatch(/^before .*Needle after/);
  expect(snippetOf(text, ["needle"]).length).toBeLessThanOrEqual(120);
  expect(snippetOf("😀".repeat(100), ["x"])).toBe("😀".repeat(60));
  expect(snippetOf("", ["x"])).toBe("");
});
