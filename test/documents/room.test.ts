import { expect, test } from "vitest";
import { Awareness, encodeAwarenessUpdate } from "y-protocols/awareness";
import * as Y from "yjs";
import { DOCUMENT_BYTES_MAX } from "../../src/documents/limits.ts";
import { crafted, text } from "./crafted.ts";
import { FakeClient, FakePeer, textOf, typed } from "./room-fakes.ts";

const at = <T>(list: readonly T[], index: number): T => list[index] as T;

test("[Y3] an edit at the region is stored, told to the others, and acknowledged when it is durable", () => {
  const peer = new FakePeer("a");
  const [writer, reader] = [new FakeClient(peer.room), new FakeClient(peer.room)];
  const { updates } = typed("one", "two");
  expect(writer.edit(at(updates, 0))).toBe(1);
  expect(writer.edit(at(updates, 1))).toBe(2);
  expect(peer.parts).toHaveLength(2);
  expect(reader.updates).toHaveLength(2);
  expect(writer.updates).toEqual([]); // It has them.
  expect(writer.acknowledgedTo).toBe(0);
  peer.durable = 1;
  peer.room.acknowledged(1);
  expect(writer.acknowledgedTo).toBe(1);
  peer.sync();
  expect(writer.acknowledgedTo).toBe(2);
  expect(reader.acknowledgedTo).toBe(0);
});

test("[Y1] an edit that says nothing new is acknowledged with what was before it, hosted or followed", () => {
  const peer = new FakePeer("a");
  const writer = new FakeClient(peer.room);
  const { doc, updates } = typed("one");
  writer.edit(at(updates, 0));
  writer.edit(at(updates, 0));
  expect(writer.acknowledgedTo).toBe(0);
  peer.sync();
  expect(writer.acknowledgedTo).toBe(2);
  expect(writer.edit(at(updates, 0))).toBe(3);
  expect(writer.acknowledgedTo).toBe(3);

  const follower = new FakePeer("b");
  const client = new FakeClient(follower.room);
  const sub = follower.answers(doc);
  client.edit(at(updates, 0));
  expect(client.acknowledgedTo).toBe(1);
  client.edit(at(typed("two").updates, 0));
  client.edit(at(updates, 0));
  expect(client.acknowledgedTo).toBe(1);
  follower.room.told({ type: "edited", sub, number: 1 });
  expect(client.acknowledgedTo).toBe(3);
});

test("[Y2] a room elsewhere subscribes once, is told what it lacks, and passes edits on by number", () => {
  const peer = new FakePeer("b");
  const client = new FakeClient(peer.room);
  expect(peer.sent.map(({ type, to }) => `${type} to ${to}`)).toEqual(["subscribe to b"]);
  expect(client.told).toEqual([]);
  const { doc } = typed("there");
  const sub = peer.answers(doc);
  expect(client.told).toEqual(["ready"]);
  expect(textOf(peer.room.doc)).toBe("there");
  const own = typed("here", "!");
  for (const update of own.updates) client.edit(update);
  expect(peer.sent.slice(1)).toMatchObject([
    { type: "edit", sub, number: 1 },
    { type: "edit", sub, number: 2 },
  ]);
  expect(peer.parts).toEqual([]); // Nothing is stored but at the region.
  peer.room.told({ type: "edited", sub, number: 1 });
  expect(client.acknowledgedTo).toBe(1);
});

test("[Y2] a number that is missing begins the subscription anew, and an old one's words count for nothing", () => {
  const peer = new FakePeer("b");
  const client = new FakeClient(peer.room);
  const sub = peer.answers(new Y.Doc());
  // Of three writers, so that Yjs does not miss the second one.
  const updates = ["1", "2", "3"].map((text) => at(typed(text).updates, 0));
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, update);
  peer.room.told({ type: "update", sub, number: 1, update: at(updates, 0) });
  peer.room.told({ type: "update", sub, number: 3, update: at(updates, 2) });
  expect(textOf(peer.room.doc)).toBe("1");
  expect(peer.last("unsubscribe")).toMatchObject({ sub });
  expect(peer.last("subscribe")).toMatchObject({ sub: sub + 1 });
  peer.room.told({ type: "update", sub, number: 2, update: at(updates, 1) });
  expect(textOf(peer.room.doc)).toBe("1");
  peer.answers(doc);
  expect(textOf(peer.room.doc)).toBe(textOf(doc));
  expect(client.told).toEqual(["ready", "ready"]);
});

test("[Y2, Y3] a handoff in the middle of an edit loses nothing, and acknowledges it where it is durable then", () => {
  const peer = new FakePeer("a");
  const client = new FakeClient(peer.room);
  const { doc, updates } = typed("one", "two", "three");
  // What is counted here is not what is counted there.
  const other = new FakeClient(peer.room);
  for (const text of "abcd") other.edit(at(typed(text).updates, 0));
  peer.sync();
  peer.room.leave(other, 0);
  client.edit(at(updates, 0));
  peer.moves("b"); // Before anything was durable.
  client.edit(at(updates, 1)); // While the next region has not answered.
  expect(peer.sent.filter(({ type }) => type === "edit")).toEqual([]);
  const sub = peer.answers(new Y.Doc()); // It has none of it.
  const edit = peer.last("edit");
  expect(edit).toMatchObject({ sub, number: 1 });
  const there = new Y.Doc();
  Y.applyUpdate(there, edit?.update as Uint8Array);
  expect(textOf(there)).toContain("onetwo");
  expect(client.acknowledgedTo).toBe(0);
  peer.room.told({ type: "edited", sub, number: 1 });
  expect(client.acknowledgedTo).toBe(6);
  client.edit(at(updates, 2));
  // And back, though this peer has stored only the first one.
  peer.moves(undefined);
  peer.moves("a");
  expect(textOf(peer.room.doc)).toContain(textOf(doc));
  const stored = new Y.Doc();
  for (const part of peer.parts) Y.applyUpdate(stored, part);
  expect(textOf(stored)).toBe(textOf(peer.room.doc));
  expect(client.acknowledgedTo).toBe(6);
  peer.sync();
  expect(client.acknowledgedTo).toBe(7);
});

test("[Y5] a region that has not recovered the shard yet hosts nothing, and clients wait", () => {
  const peer = new FakePeer(undefined);
  peer.isServing = false;
  const client = new FakeClient(peer.room);
  peer.moves("a");
  expect(peer.room.isReady).toBe(false);
  client.edit(at(typed("early").updates, 0));
  expect(peer.parts).toEqual([]);
  peer.isServing = true;
  peer.room.settle();
  expect(client.told).toEqual(["ready"]);
  expect(peer.parts).toHaveLength(1);
  peer.sync();
  expect(client.acknowledgedTo).toBe(1);
});

test("[Y7] a gap is asked for once and kept nowhere; what follows it is durable when it is filled", () => {
  const peer = new FakePeer("a");
  const client = new FakeClient(peer.room);
  const { doc, updates } = typed("1", "2", "3");
  client.edit(at(updates, 1));
  client.edit(at(updates, 2));
  expect(client.told).toEqual(["ready", "resync"]);
  expect(peer.parts).toEqual([]);
  client.edit(at(typed("x").updates, 0)); // It depends on nothing.
  peer.sync();
  expect(client.acknowledgedTo).toBe(0); // Though all that is stored is durable.
  const other = new FakeClient(peer.room);
  other.edit(at(updates, 0));
  expect(textOf(peer.room.doc)).not.toContain("2"); // It was not kept until then.
  client.edit(Y.encodeStateAsUpdate(doc), true);
  peer.sync();
  expect(client.acknowledgedTo).toBe(5);
  expect(textOf(peer.room.doc)).toContain("123");
});

test("[Y7] whoever goes on with gaps is refused, and so is a malformed edit", () => {
  const peer = new FakePeer("a");
  const [stubborn, good] = [new FakeClient(peer.room), new FakeClient(peer.room)];
  good.edit(at(typed("good").updates, 0));
  const { updates } = typed(..."0123456789abcdefghij");
  for (const update of updates.slice(1, -2)) stubborn.edit(update);
  expect(stubborn.told.at(-1)).toMatch(/^rejected: /);
  const broken = new FakeClient(peer.room);
  broken.edit(crafted([{ client: 9, structs: [text("half")] }]).slice(0, -1)); // No deletions are there.
  expect(broken.told).toEqual(["ready", "rejected: The update is malformed"]);
  // Whatever of it Yjs has taken is what is stored and what everybody was told.
  const stored = new Y.Doc();
  for (const part of peer.parts) Y.applyUpdate(stored, part);
  expect(textOf(peer.room.doc)).toBe(textOf(stored));
  expect(textOf(stored)).toContain("good");
  expect(good.told).toEqual(["ready"]);
});

test("[Y7, S4] a document that is full refuses edits, and its clients hear why", () => {
  const peer = new FakePeer("a");
  const client = new FakeClient(peer.room);
  peer.bytes = DOCUMENT_BYTES_MAX;
  client.edit(at(typed("one too many").updates, 0));
  expect(client.told.at(-1)).toMatch(/^rejected: .*larger than/);
  expect(peer.parts).toEqual([]);

  const follower = new FakePeer("b");
  const clients = [new FakeClient(follower.room), new FakeClient(follower.room)];
  const sub = follower.answers(new Y.Doc());
  at(clients, 0).edit(at(typed("refused there").updates, 0));
  follower.room.told({ type: "rejected", sub, reason: "It is full" });
  expect(at(clients, 0).told).toEqual(["ready", "rejected: It is full"]);
  expect(at(clients, 1).told).toEqual(["ready"]);
  follower.answers(new Y.Doc());
  expect(textOf(follower.room.doc)).toBe(""); // What was refused is not here either.
});

test("[Y9] when the document is deleted all clients are out, and it begins empty", () => {
  const peer = new FakePeer("a");
  const clients = [new FakeClient(peer.room), new FakeClient(peer.room)];
  at(clients, 0).edit(at(typed("gone").updates, 0));
  peer.room.gone();
  expect(clients.map(({ told }) => told.at(-1))).toEqual(["gone", "gone"]);
  expect([peer.room.clientCount, textOf(peer.room.doc)]).toEqual([0, ""]);
});

test("[Y1] who is there is told to the others, and goes with the client or region it came from", () => {
  const peer = new FakePeer("b");
  const [ada, bob] = [new FakeClient(peer.room), new FakeClient(peer.room)];
  const sub = peer.answers(new Y.Doc());
  const state = (user: string): Uint8Array => {
    const awareness = new Awareness(new Y.Doc());
    awareness.setLocalState({ user });
    const update = encodeAwarenessUpdate(awareness, [awareness.clientID]);
    awareness.destroy();
    return update;
  };
  peer.room.aware(state("ada"), ada);
  expect([ada.told, bob.told]).toEqual([["ready"], ["ready", "awareness"]]);
  expect(peer.last("aware")).toMatchObject({ to: "b", sub });
  peer.room.told({ type: "awareness", sub, update: state("from b") });
  expect(ada.told).toEqual(["ready", "awareness"]);
  peer.room.leave(ada, 7);
  expect(bob.told.filter((told) => told === "awareness")).toHaveLength(3);
  expect(peer.room.awarenessFor(bob)).toBeDefined(); // Of the other region.
  peer.moves("c");
  expect(peer.room.awarenessFor(bob)).toBeUndefined();
  expect(peer.room.idleSince).toBeUndefined();
  peer.room.leave(bob, 9);
  expect(peer.room.idleSince).toBe(9);
});

test("[Y12] a document that only its region writes is stored nowhere, and read by all", () => {
  const peer = new FakePeer("a", true);
  const reader = new FakeClient(peer.room);
  peer.room.write(() => peer.room.doc.getMap("rows").set("shard-0", "a"));
  expect(reader.updates).toHaveLength(1);
  expect(peer.parts).toEqual([]);
});
