import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as Y from "yjs";
import { DocumentService } from "../../src/documents/shell/document-service.ts";
import type { Clock } from "../../src/io/clock.ts";
import type { Services } from "../../src/io/services.ts";
import { MemoryItemStore } from "../../src/items/item-store.ts";
import type { Peer } from "../../src/peer.ts";
import { start, until } from "../peers.ts";
import { connect, documentPeers, soon } from "./clients.ts";
import { RawClient, say } from "./raw-client.ts";

const textOf = (doc: Y.Doc): string => doc.getText("text").toString();

/** Moves a shard; two moves that follow each other at once may get in each other's way. */
async function move(peer: Peer, shard: string, region: string): Promise<void> {
  for (;;) {
    try {
      await peer.allocate(shard, region);
      return;
    } catch (error) {
      expect(error).toMatchObject({ retryable: true });
    }
  }
}

/** A document of a region other than that of `peer`, and the peer that hosts it. */
function elsewhere(peer: Peer, peers: readonly Peer[]): { name: string; owner: Peer } {
  for (let number = 0; ; number += 1) {
    const name = `notes/${number}`;
    const owner = peers.find((each) => each.name === peer.routeDocument(name).region);
    if (owner !== undefined && owner !== peer) return { name, owner };
  }
}

test("[Y1, Y2] stock clients at three peers edit one document, and see who else is there", async () => {
  const [a, b, c] = (await documentPeers("a b c")) as [Peer, Peer, Peer];
  const clients = [a, b, c, a].map(({ address }) => connect(address, "notes/plan é"));
  await soon(() => clients.every(({ provider }) => provider.synced));
  for (const [index, { text }] of clients.entries()) text.insert(0, `${index}`);
  await soon(() => clients.every(({ text }) => text.length === 4));
  await soon(() => new Set(clients.map(({ text }) => text.toString())).size === 1);
  for (const [index, { provider }] of clients.entries()) {
    provider.awareness.setLocalState({ user: index });
  }
  await soon(() => clients.every(({ provider }) => provider.awareness.getStates().size === 4));
  clients[0]?.provider.destroy();
  await soon(() =>
    clients.slice(1).every(({ provider }) => provider.awareness.getStates().size === 3),
  );
  const late = connect(b.address, "notes/plan é");
  await soon(() => textOf(late.doc) === clients[1]?.text.toString());
  expect(late.provider.awareness.getStates().size).toBe(4);
});

test("[Y4, H7] a region leads a document under the token that its shard has by now", () => {
  const port = { name: "a", view: undefined, post: () => false, need: () => {}, release: () => {} };
  const store = new MemoryItemStore();
  const service = new DocumentService({
    ...{ services: { register: () => port } as unknown as Services, store, acks: 1 },
    ...{
      clock: { now: () => 0 } as unknown as Clock,
      onFault: (error) => expect(error).toBeUndefined(),
    },
    ...{ globalDf: () => ({}) as never, publish: async () => {} },
  });
  const { signal } = new AbortController();
  const under = (token: number) => ({ token, writer: "w", from: undefined, entities: [], signal });
  const tokenAfterAppend = () => {
    service.items.append("shard-0", "plan", Y.encodeStateAsUpdate(new Y.Doc()));
    return store.items("shard-0").get("plan")?.version.token;
  };
  service.onAcquire("shard-0", under(5));
  expect(tokenAfterAppend()).toBe(5);
  service.onRenew("shard-0", under(9));
  expect(tokenAfterAppend()).toBe(9);
  service.close();
});

test("[Y3, H7] edits are durable under the new token of a shard that stays where it is", async () => {
  const peers = await documentPeers("a b c");
  const [a] = peers as [Peer];
  const { name, owner } = elsewhere(a, peers);
  const plan = await a.documents.open(name);
  const text = plan.doc.getText("text");
  text.insert(0, "one ");
  await plan.flush();
  await move(a, a.routeDocument(name).shard, owner.name);
  text.insert(4, "two");
  await plan.flush();
  const copy = new Y.Doc();
  Y.applyUpdate(copy, (await owner.documents.export(name)) as Uint8Array);
  expect(textOf(copy)).toBe("one two");
});

test("[Y2] clients go on while the document moves, and nothing of what they edit is lost", async () => {
  const peers = await documentPeers("a b c");
  const [a] = peers as [Peer];
  const clients = peers.map(({ address }) => connect(address, "notes/moving"));
  await soon(() => clients.every(({ provider }) => provider.synced));
  let closings = 0;
  for (const { provider } of clients) provider.on("connection-close", () => (closings += 1));
  const { shard } = a.routeDocument("notes/moving");
  let count = 0;
  const typing = setInterval(() => {
    const { text } = clients[count % 3] as (typeof clients)[0];
    text.insert(text.length, "x");
    count += 1;
  }, 3);
  for (const region of ["a", "b", "c", "a"]) await move(a, shard, region);
  clearInterval(typing);
  await soon(() => clients.every(({ text }) => text.length === count));
  expect(count).toBeGreaterThan(0);
  expect(closings).toBe(0);
});

test("[Y3, Y5, Y9] when the region of a document dies, nothing that was flushed is missing", async () => {
  const peers = await documentPeers("a b c d");
  const [a] = peers as [Peer];
  const { name, owner } = elsewhere(a, peers);
  const handle = await a.documents.open(name);
  const text = handle.doc.getText("text");
  for (let number = 0; number < 50; number += 1) text.insert(0, "x");
  await handle.flush();
  await owner.close();
  text.insert(0, "y");
  await handle.flush();
  const others = peers.filter((peer) => peer !== owner && peer !== a);
  for (const peer of others) {
    const other = await peer.documents.open(name);
    await soon(() => textOf(other.doc) === `y${"x".repeat(50)}`);
  }
});

test("[Y7] nonsense costs its sender the connection and nothing else", async () => {
  const [a] = (await documentPeers("a")) as [Peer];
  const good = connect(a.address, "notes/a");
  await soon(() => good.provider.synced);
  const nonsense = [
    new Uint8Array(),
    say(9),
    say(0, 7, new Uint8Array(1)),
    say(0, 2, new Uint8Array([1, 1, 255, 255, 255, 255, 255, 255])),
    say(0, 0, new Uint8Array([255, 255])),
    say(1, new Uint8Array([5, 1])),
    new Uint8Array([0, 2, 255, 255, 255, 255, 15]),
    Uint8Array.from({ length: 999 }, (_, index) => (index * 31) % 256),
  ];
  for (const bytes of nonsense) {
    const client = await new RawClient(a.address, "notes/a").open();
    client.send(bytes);
    await soon(() => client.closed !== undefined);
    expect(client.closed).toBeGreaterThanOrEqual(4400);
  }
  const texting = await new RawClient(a.address, "notes/a").open();
  texting.socket.send("text");
  await soon(() => texting.closed === 4400);
  good.text.insert(0, "fine");
  const other = connect(a.address, "notes/a");
  await soon(() => textOf(other.doc) === "fine");
});

test("[Y7] an edit that depends on what is never sent is asked for, then refused, and kept nowhere", async () => {
  const [a] = (await documentPeers("a")) as [Peer];
  const doc = new Y.Doc();
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  for (let number = 0; number < 100; number += 1) doc.getText("text").insert(0, "x");
  const client = await new RawClient(a.address, "notes/gap").open();
  await soon(() => client.told.includes("step-1"));
  for (const update of updates.slice(1)) client.edit(update);
  await soon(() => client.closed !== undefined);
  expect(client.told.filter((told) => told === "step-1").length).toBe(2);
  const handle = await a.documents.open("notes/gap");
  expect(Y.encodeStateAsUpdate(handle.doc).length).toBe(2);
  const honest = await new RawClient(a.address, "notes/gap").open();
  honest.edit(updates[1] as Uint8Array);
  honest.send(say(0, 1, Y.encodeStateAsUpdate(doc)));
  honest.ask();
  await soon(() => honest.told.includes("step-2"));
  expect(textOf(honest.doc)).toBe("x".repeat(100));
});

test("[Y8] a token that may only read reads, and what it writes is refused aloud", async () => {
  const tokens = ["token-that-may-read read", "token-that-may-write write"];
  const [a] = (await documentPeers("a", { tokens })) as [Peer];
  const writer = connect(a.address, "notes/a", { token: "token-that-may-write" });
  await soon(() => writer.provider.synced);
  writer.text.insert(0, "mine");
  const headers = { authorization: "Bearer token-that-may-read" };
  const reader = await new RawClient(a.address, "notes/a", headers).open();
  reader.ask();
  await soon(() => textOf(reader.doc) === "mine");
  const other = new Y.Doc();
  other.getText("text").insert(0, "not ");
  reader.edit(Y.encodeStateAsUpdate(other));
  await soon(() => reader.told.includes("denied: This document is read-only here"));
  writer.text.insert(4, "!");
  await soon(() => textOf(reader.doc) === "mine!");
  expect(writer.text.toString()).toBe("mine!");
  const stranger = new RawClient(a.address, "notes/a");
  await soon(() => stranger.closed === 1006);
});

test("[Y9] documents are listed, exported and deleted from any peer, and a deleted one stays away", async () => {
  const peers = await documentPeers("a b");
  const [a, b] = peers as [Peer, Peer];
  for (const name of ["one", "two", "__proto__"]) {
    const handle = await a.documents.open(name);
    handle.doc.getText("text").insert(0, name);
    await handle.flush();
    handle.close();
  }
  const names = async (peer: Peer) =>
    (await peer.documents.list()).documents.map(({ document }) => document);
  expect(await names(b)).toEqual(["__proto__", "one", "two"]);
  const exported = (await b.documents.export("two")) as Uint8Array;
  const copy = new Y.Doc();
  Y.applyUpdate(copy, exported);
  expect(textOf(copy)).toBe("two");
  expect(await a.documents.export("three")).toBeUndefined();
  const client = await new RawClient(a.address, "two").open();
  const handle = await b.documents.open("two");
  expect(await a.documents.delete("two")).toBe(true);
  expect(await a.documents.delete("two")).toBe(false);
  await soon(() => client.closed === 4404);
  await soon(() => handle.flush !== undefined);
  await expect(handle.flush()).rejects.toMatchObject({ code: "CLOSED" });
  expect(await names(b)).toEqual(["__proto__", "one"]);
  const { shard } = a.routeDocument("two");
  await a.allocate(shard, a.routeDocument("two").region === "a" ? "b" : "a");
  const again = await a.documents.open("two");
  expect(textOf(again.doc)).toBe("");
});

test("[Y10] documents are there again after the whole cluster has stopped", async () => {
  const data = await mkdtemp(join(tmpdir(), "documents-"));
  try {
    const options = { documents: true, data } as const;
    const a = await start("a", options);
    const handle = await a.documents.open("kept");
    for (let number = 0; number < 1200; number += 1) handle.doc.getText("text").insert(0, "x");
    await handle.flush();
    await (await a.documents.open("deleted")).flush();
    await a.close();
    const again = await start("a", options);
    await until([again], () => again.allocations().length === 16);
    const reopened = await again.documents.open("kept");
    expect(textOf(reopened.doc)).toBe("x".repeat(1200));
    await again.close();
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});

test("[Y9] a peer that was started without documents says so", async () => {
  const a = await start("a");
  expect(() => a.documents).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  const client = new RawClient(a.address, "x");
  await soon(() => client.closed === 1006);
});

test("[Y12, Y8] the table is a document that follows what happens, from any peer, and nobody else writes it", async () => {
  const peers = await documentPeers("a b c");
  const [a, b] = peers as [Peer, Peer];
  const clients = peers.map(({ address }) => connect(address, "hearsay/allocations"));
  const rowsOf = ({ doc }: { doc: Y.Doc }) =>
    doc.getMap<{ region: string; token: number }>("rows").toJSON();
  const tableOf = (peer: Peer) =>
    Object.fromEntries(
      peer
        .allocations()
        .map(({ shard, region, token, writer }) => [shard, { region, token, writer }]),
    );
  const isShown = () =>
    clients.every((client) => Y.encodeStateVector(client.doc).length > 1) &&
    clients.every(
      (client) => JSON.stringify(sorted(rowsOf(client))) === JSON.stringify(sorted(tableOf(a))),
    );
  await soon(isShown);
  for (const region of ["a", "b", "c"]) await move(a, "shard-3", region);
  await soon(isShown);
  // The document itself moves, and another region writes it.
  const { shard } = a.routeDocument("hearsay/allocations");
  for (const region of ["c", "a", "b"]) await move(a, shard, region);
  await move(b, "shard-5", "c");
  await soon(isShown);
  const members = await b.documents.open("hearsay/members");
  await soon(() => Object.keys(members.doc.getMap("rows").toJSON()).length === 3);
  members.doc.getMap("rows").set("d", {});
  const raw = await new RawClient(a.address, "hearsay/members").open();
  const forged = new Y.Doc();
  forged.getMap("rows").set("e", {});
  raw.edit(Y.encodeStateAsUpdate(forged));
  await soon(() => raw.told.some((told) => told.startsWith("denied")));
  const fresh = await a.documents.open("hearsay/members");
  expect(Object.keys(fresh.doc.getMap("rows").toJSON()).sort()).toEqual(["a", "b", "c"]);
  expect((await a.documents.list()).documents).toEqual([]);
});

const sorted = (rows: object): unknown => Object.entries(rows).sort(([x], [y]) => (x < y ? -1 : 1));

test("[Y1] who asks after an edit that says nothing new is answered, wherever the document is", async () => {
  const peers = await documentPeers("a b");
  const [a] = peers as [Peer];
  const { name } = elsewhere(a, peers);
  const client = await new RawClient(a.address, name).open();
  await soon(() => client.told.includes("step-1"));
  client.send(say(0, 1, Y.encodeStateAsUpdate(new Y.Doc())));
  client.ask();
  await soon(() => client.told.includes("step-2"));
});
