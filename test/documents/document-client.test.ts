import { createDecoder, readVarString, readVarUint, readVarUint8Array } from "lib0/decoding";
import { expect, test } from "vitest";
import type { WebSocket } from "ws";
import * as Y from "yjs";
import {
  CLIENT_MESSAGES_BURST,
  CLIENT_SLOW_MS_BURST,
  EDIT_WEIGHED_BYTES_MAX,
  QUESTIONS_MAX,
} from "../../src/documents/limits.ts";
import { DocumentClient } from "../../src/documents/shell/document-client.ts";
import type { Verdict } from "../../src/documents/shell/trials.ts";
import { say } from "./raw-client.ts";
import { FakeClient, FakePeer, textOf, typed } from "./room-fakes.ts";

const STEPS = ["step-1", "step-2", "update"];

/** A socket, the clock, and trials that are decided by the test. */
class Fixture {
  readonly told: string[] = [];
  closed: number | undefined;
  bufferedAmount = 0;
  now = 0;
  /** Time that passes with each look at the clock, in ms. */
  lookMs = 0;
  readonly verdicts: ((verdict: Verdict) => void)[] = [];
  readonly client: DocumentClient;

  constructor(mayWrite = true) {
    this.client = new DocumentClient(this as unknown as WebSocket, {
      mayWrite,
      now: () => {
        this.now += this.lookMs;
        return this.now;
      },
      trials: { run: () => new Promise((done) => this.verdicts.push(done)) },
    });
  }

  hear(...message: Parameters<typeof say>): void {
    this.client.received(Buffer.from(say(...message)), true);
  }

  edit(update: Uint8Array): void {
    this.hear(0, 2, update);
  }

  ask(): void {
    this.hear(0, 0, Uint8Array.of(0));
  }

  get answers(): number {
    return this.told.filter((told) => told === "step-2").length;
  }

  send(bytes: Uint8Array): void {
    const decoder = createDecoder(bytes);
    const type = readVarUint(decoder);
    if (type === 0) this.told.push(STEPS[readVarUint(decoder)] ?? "nonsense");
    else if (type === 1) this.told.push(`awareness ${readVarUint8Array(decoder).length}`);
    else this.told.push(`denied: ${readVarUint(decoder) === 0 && readVarString(decoder)}`);
  }

  close(code: number): void {
    this.closed ??= code;
  }

  terminate(): void {}
}

const long = "x".repeat(EDIT_WEIGHED_BYTES_MAX);
const update = (text: string): Uint8Array => typed(text).updates[0] as Uint8Array;

/** Everything that is promised is carried out. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("[Y1] what a client says before the document is open is taken in order, and answered when it is durable", () => {
  const fixture = new Fixture();
  const peer = new FakePeer("a");
  const { updates } = typed("1", "2");
  for (const each of updates) fixture.edit(each);
  fixture.ask();
  expect(fixture.told).toEqual([]);
  fixture.client.enter(peer.room);
  expect(textOf(peer.room.doc)).toBe("12");
  expect(fixture.told).toEqual(["step-1"]);
  peer.sync();
  expect(fixture.told).toEqual(["step-1", "step-2"]);
});

test("[Y1] a question is answered after the edits before it, whatever comes behind it", () => {
  const fixture = new Fixture();
  const peer = new FakePeer("a");
  fixture.client.enter(peer.room);
  fixture.ask();
  expect(fixture.answers).toBe(1);
  fixture.edit(update("1"));
  fixture.ask();
  fixture.edit(update("2"));
  fixture.ask();
  expect(fixture.answers).toBe(1);
  peer.durable = 1;
  peer.room.acknowledged(1);
  expect(fixture.answers).toBe(2);
  peer.sync();
  expect(fixture.answers).toBe(3);
});

test("[Y7, S4] only so many questions wait, and the oldest give way", () => {
  const fixture = new Fixture();
  const peer = new FakePeer("a");
  fixture.client.enter(peer.room);
  fixture.edit(update("1"));
  for (let number = 0; number < 2 * QUESTIONS_MAX; number += 1) fixture.ask();
  peer.sync();
  expect(fixture.answers).toBe(QUESTIONS_MAX);
});

test("[Y8] a client that may only read is told so when it writes, and is asked for nothing", () => {
  const fixture = new Fixture(false);
  const peer = new FakePeer("a");
  fixture.client.enter(peer.room);
  fixture.hear(0, 1, Uint8Array.of(0, 0)); // What a stock provider answers with that has nothing.
  expect(fixture.told).toEqual([]);
  fixture.edit(update("mine"));
  expect(fixture.told).toEqual(["denied: This document is read-only here"]);
  expect([textOf(peer.room.doc), fixture.closed]).toEqual(["", undefined]);
});

test("[Y7] each kind of nonsense closes the socket, and the room goes on", () => {
  for (const [bytes, isBinary] of [
    [Buffer.from("text"), false],
    [Buffer.alloc(0), true],
    [Buffer.from([7]), true],
    [Buffer.from([0, 9, 0]), true],
    [Buffer.from([0, 2, 200, 1]), true],
    [Buffer.from(say(0, 2, Uint8Array.of(1, 255, 255, 255, 255, 15, 1, 0))), true],
    [Buffer.from(say(1, Uint8Array.of(3, 1))), true],
  ] as const) {
    const fixture = new Fixture();
    const peer = new FakePeer("a");
    const other = new FakeClient(peer.room);
    fixture.client.enter(peer.room);
    fixture.client.received(bytes, isBinary);
    expect(fixture.closed).toBe(4400);
    expect(peer.room.clientCount).toBe(1);
    expect(other.told).toEqual(["ready"]);
  }
});

test("[Y7, S5] an edit that is tried holds back what its client says after it, and nobody else", async () => {
  const fixture = new Fixture();
  const peer = new FakePeer("a");
  const other = new FakeClient(peer.room);
  fixture.client.enter(peer.room);
  const { updates } = typed("1", long, "3");
  for (const each of updates) fixture.edit(each);
  fixture.ask();
  other.edit(update("other "));
  expect(textOf(peer.room.doc).length).toBe(7);
  expect(fixture.verdicts).toHaveLength(1);
  fixture.verdicts[0]?.("good");
  await turn();
  expect(textOf(peer.room.doc)).toContain(`1${long}3`);
  expect(fixture.answers).toBe(0);
  peer.sync();
  expect(fixture.answers).toBe(1);
  expect(fixture.told).not.toContain("resync");
});

test("[Y7] edits that are tried wait for each other, also those from before the document was open", async () => {
  const fixture = new Fixture();
  const peer = new FakePeer("a");
  const { doc, updates } = typed("1", long, long, "4");
  for (const each of updates) fixture.edit(each);
  fixture.client.enter(peer.room);
  for (const tried of [1, 2]) {
    expect(fixture.verdicts).toHaveLength(tried);
    fixture.verdicts[tried - 1]?.("good");
    await turn();
  }
  expect(textOf(peer.room.doc)).toBe(textOf(doc));
  expect(fixture.told).toEqual(["step-1"]); // Nothing was missing.
});

test("[Y7] what a trial refuses costs the connection, and what waited behind it is not taken", async () => {
  for (const [verdict, code] of [
    ["slow", 4413],
    ["malformed", 4413],
    ["deep", 4413],
    ["crowded", 4413],
    ["busy", 4503],
  ] as const) {
    const fixture = new Fixture();
    const peer = new FakePeer("a");
    fixture.client.enter(peer.room);
    fixture.edit(update(long));
    fixture.edit(update("behind"));
    fixture.verdicts[0]?.(verdict);
    await turn();
    expect([verdict, fixture.closed, textOf(peer.room.doc)]).toEqual([verdict, code, ""]);
    expect(peer.room.clientCount).toBe(0);
  }
  const left = new Fixture();
  const peer = new FakePeer("a");
  left.client.enter(peer.room);
  left.edit(update(long));
  left.client.closed();
  left.verdicts[0]?.("good");
  await turn();
  expect(textOf(peer.room.doc)).toBe(""); // Who is gone edits no more.
});

test("[Y7, S4] too many messages close the socket, those of a second are allowed for, and so is slow work", () => {
  const fixture = new Fixture();
  fixture.client.enter(new FakePeer("a").room);
  for (let number = 0; number < CLIENT_MESSAGES_BURST; number += 1) fixture.hear(3);
  expect(fixture.closed).toBeUndefined();
  fixture.now += 1;
  for (let number = 0; number < 4; number += 1) fixture.hear(3);
  expect(fixture.closed).toBeUndefined();
  fixture.hear(3);
  expect(fixture.closed).toBe(4529);
  const slow = new Fixture();
  slow.client.enter(new FakePeer("a").room);
  slow.lookMs = 100;
  let count = 0;
  for (; slow.closed === undefined && count < 1000; count += 1) slow.hear(3);
  expect(slow.closed).toBe(4529);
  expect(count).toBeGreaterThan(CLIENT_SLOW_MS_BURST / 100 - 1);
  expect(count).toBeLessThan(1000);
});

test("[Y7, S4] a client that does not read is given up", () => {
  const fixture = new Fixture();
  const peer = new FakePeer("a");
  fixture.client.enter(peer.room);
  fixture.bufferedAmount = 2 ** 30;
  new FakeClient(peer.room).edit(update("news"));
  expect(fixture.closed).toBe(4508);
  expect(peer.room.clientCount).toBe(1);
});

test("[Y1] a state of awareness is sent back, as a sign of life, and a document that is gone closes the socket", () => {
  const fixture = new Fixture();
  const peer = new FakePeer("a");
  fixture.client.enter(peer.room);
  fixture.hear(1, Uint8Array.of(0));
  expect(fixture.told.at(-1)).toBe("awareness 1");
  peer.room.gone();
  expect(fixture.closed).toBe(4404);
  expect(Y.encodeStateAsUpdate(peer.room.doc).length).toBe(2);
});
