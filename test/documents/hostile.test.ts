/**
 * What strangers can say in the size that they may: it costs them their connection, and the others nothing.
 */
import { expect, test } from "vitest";
import * as Y from "yjs";
import {
  DOCUMENT_WRITERS_MAX,
  EDIT_WEIGHT_MAX,
  TYPES_DEPTH_MAX,
} from "../../src/documents/limits.ts";
import { weightOf } from "../../src/documents/weight.ts";
import type { Peer } from "../../src/peer.ts";
import { connect, documentPeers, soon } from "./clients.ts";
import { beside, crafted, nested, type Range, text, underKey, within } from "./crafted.ts";
import { RawClient, say } from "./raw-client.ts";

const LENGTH = 100_000;

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Every second character of a long run, from its end on: each cut moves all that was cut before. */
const backwards: readonly Range[] = times(LENGTH / 2, (index) => [LENGTH - 2 - 2 * index, 1]);

/** Tens of thousands who each set one key: each one walks past all others. */
const crowd = crafted(times(30_000, (client) => ({ client, structs: [underKey("key")] })));

const tooMany = crafted(
  times(DOCUMENT_WRITERS_MAX + 1, (client) => ({ client, structs: [underKey(`${client}`)] })),
);

/** Ten bytes that announce thirty million structs. */
const lies = crafted([{ client: 1, count: 30_000_000, structs: [] }]);

test("[Y7, S5] an edit that would hold the loop is refused, and others type on meanwhile", async () => {
  const [a] = (await documentPeers("a")) as [Peer];
  const good = connect(a.address, "notes/other");
  await soon(() => good.provider.synced);
  for (const [what, attack, code] of [
    ["cuts", crafted([], [{ client: 1, ranges: backwards }]), 4413],
    ["a crowd", crowd, 4413],
    ["too many", tooMany, 4413],
    ["lies", lies, 4400],
    ["depth", crafted([{ client: 1, structs: [nested(10_000)] }]), 4400],
    ["much depth", crafted([{ client: 1, structs: [nested(300_000)] }]), 4413],
    [
      "many lies",
      crafted([{ client: 1, count: 3e7, structs: times(9999, () => text("a")) }]),
      4413,
    ],
  ] as const) {
    const document = `notes/${what}`;
    const first = await new RawClient(a.address, document).open();
    first.edit(crafted([{ client: 1, structs: [text("x".repeat(LENGTH))] }]));
    first.ask();
    await soon(() => first.told.includes("step-2"));
    const attacker = await new RawClient(a.address, document).open();
    attacker.edit(attack);
    const before = good.text.length;
    // Each of these is answered by the same loop.
    for (let number = 0; number < 10; number += 1) {
      const writer = await new RawClient(a.address, "notes/other").open();
      const doc = new Y.Doc();
      doc.getText("text").insert(0, "x");
      writer.edit(Y.encodeStateAsUpdate(doc));
      await soon(() => good.text.length === before + number + 1);
      writer.socket.terminate();
    }
    await soon(() => attacker.closed !== undefined);
    expect([what, attacker.closed]).toEqual([what, code]);
    first.edit(crafted([{ client: 2, structs: [text("still here ")] }]));
    first.ask();
    await soon(() => first.doc.getText("text").length === LENGTH + 11);
    expect(first.closed).toBeUndefined();
  }
});

test("[Y7] a whole document that somebody has edited alone is taken, and what follows it stays behind it", async () => {
  const [a] = (await documentPeers("a")) as [Peer];
  const doc = new Y.Doc();
  const own = doc.getText("text");
  const updates: Uint8Array[] = [];
  for (let number = 0; number < 5000; number += 1) own.insert(number % 7, `${number % 10}`);
  const whole = Y.encodeStateAsUpdate(doc);
  expect(weightOf(new Y.Doc(), whole).work).toBeGreaterThan(EDIT_WEIGHT_MAX);
  doc.on("update", (update: Uint8Array) => updates.push(update));
  for (let number = 0; number < 50; number += 1) own.insert(own.length, "!");
  const client = await new RawClient(a.address, "notes/alone").open();
  client.send(say(0, 1, whole));
  for (const update of updates) client.edit(update);
  client.ask();
  await soon(() => client.told.includes("step-2"));
  const handle = await a.documents.open("notes/alone");
  expect(handle.doc.getText("text").toString()).toBe(own.toString());
  expect(client.told.filter((told) => told === "step-1").length).toBe(1); // No gap was seen.
});

test("[Y7] what an update repeats weighs nothing, and what is new by how much is there", () => {
  const doc = new Y.Doc();
  const own = doc.getText("text");
  for (let number = 0; number < 300; number += 1) own.insert(0, "ab");
  for (let number = 0; number < 300; number += 1) own.delete(number, 1);
  const whole = Y.encodeStateAsUpdate(doc);
  expect(weightOf(doc, whole)).toEqual({ work: 0, writers: 1, depth: 0 });
  const other = new Y.Doc();
  Y.applyUpdate(other, whole);
  const before = Y.encodeStateVector(other);
  other.getText("text").insert(0, "new");
  const structs = [...doc.store.clients.values()].reduce((sum, list) => sum + list.length, 0);
  const { work } = weightOf(doc, Y.encodeStateAsUpdate(other, before));
  expect(work).toBe(structs + 3);
});

test("[S5] types within types come to an end, however they say where they lie", async () => {
  const [a] = (await documentPeers("a")) as [Peer];
  const deep = (depth: number, from = 0) =>
    crafted([
      { client: 1, clock: from, structs: times(depth, (index) => within(1, from + index - 1)) },
    ]);
  const honest = await new RawClient(a.address, "notes/deep").open();
  honest.edit(deep(TYPES_DEPTH_MAX));
  honest.ask();
  await soon(() => honest.told.includes("step-2"));
  for (const attack of [
    deep(20_000),
    deep(1, TYPES_DEPTH_MAX),
    // In the type that its neighbour on the left lies in, two at a time.
    crafted([
      { client: 1, clock: TYPES_DEPTH_MAX, structs: [beside(1, TYPES_DEPTH_MAX - 1)] },
      { client: 2, structs: [within(1, TYPES_DEPTH_MAX)] },
    ]),
  ]) {
    const attacker = await new RawClient(a.address, "notes/deep").open();
    attacker.edit(attack);
    await soon(() => attacker.closed !== undefined);
    expect(attacker.closed).toBe(4413);
  }
  // Beside the deepest is no deeper than that.
  honest.edit(crafted([{ client: 3, structs: [beside(1, TYPES_DEPTH_MAX - 1)] }]));
  const handle = await a.documents.open("notes/deep");
  const list = handle.doc.getArray("text");
  list.delete(0, 1);
  await handle.flush();
  honest.ask();
  await soon(() => honest.answers === 2);
  expect(honest.doc.getArray("text").length).toBe(0);
  expect(honest.closed).toBeUndefined();
});
