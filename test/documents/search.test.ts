import { expect, test } from "vitest";
import { TEXT_INDEXED_MAX } from "../../src/documents/shell/search.ts";
import { snippetOf } from "../../src/documents/shell/snippet.ts";
import { countWords } from "../../src/documents/word-index.ts";
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

/** What one process would say that holds all texts, by the formulas and nothing else. */
function reference(words: string): { document: string; score: number }[] {
  const counts = [...TEXTS].map(([document, text]) => ({
    document,
    counts: countWords(wordsOf(text)),
  }));
  const terms = [...new Set(wordsOf(words))].sort();
  const weights = terms.map((term) => {
    const frequency = counts.filter((each) => each.counts.has(term)).length;
    return frequency === 0 ? 0 : Math.log(TEXTS.size / frequency) + 1;
  });
  const scored = counts.map(({ document, counts: own }) => {
    const parts = terms.map((term, at) => {
      const count = own.get(term);
      return count === undefined ? 0 : (1 + Math.log(count)) * (weights[at] as number);
    });
    return { document, score: parts.reduce((sum, part) => sum + part, 0) };
  });
  return scored
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || (a.document < b.document ? -1 : 1));
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

test("[Y11, S4] a document that is too long is searched up to a limit, and that is said", async () => {
  const [a] = (await documentPeers("a")) as [Peer];
  const handle = await a.documents.open("long");
  const text = `begins ${"filling ".repeat(TEXT_INDEXED_MAX / 8)} ends`;
  handle.doc.getText("body").insert(0, text);
  await handle.flush();
  await soon(() => a.globalDf(["begins"]).frequencies.get("begins") === 1);
  const begins = await a.search("begins");
  expect(begins).toMatchObject({ documents: [{ document: "long" }], truncated: 1, complete: true });
  expect(begins.documents[0]?.snippet).toMatch(/^begins filling/);
  expect(await a.search("ends")).toMatchObject({ documents: [], truncated: 1 });
  handle.doc.getText("body").delete(7, 1000);
  await handle.flush();
  await soon(() => a.globalDf(["ends"]).frequencies.get("ends") === 1);
  expect(await a.search("ends")).toMatchObject({ documents: [{ document: "long" }], truncated: 0 });
});
