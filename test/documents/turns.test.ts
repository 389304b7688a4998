/**
 * What happens in one turn of the event loop is told once.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyUpdate, Doc, encodeStateAsUpdate } from "yjs";
import { Changes } from "../../src/documents/changes.ts";
import { Room, type RoomPort } from "../../src/documents/room.ts";
import type { RoomClient } from "../../src/documents/room-client.ts";
import { WaitingEdits } from "../../src/documents/waiting-edits.ts";

const SHARD = "shard-0";

/** A region that stores one document, and acknowledges when it is told to. */
class Region implements RoomPort {
  readonly name = "a";
  readonly parts: Uint8Array[] = [];
  isLeader = true;
  isDurable = true;
  dues = 0;

  regionFor(): string {
    return this.isLeader ? "a" : "b";
  }
  isReady(): boolean {
    return this.isLeader;
  }
  send(): void {}
  nextSubscription(): number {
    return 1;
  }
  read(): Uint8Array[] {
    return [...this.parts];
  }
  append(_shard: string, _document: string, update: Uint8Array): void {
    if (this.isLeader) this.parts.push(update);
  }
  stored() {
    return { count: this.parts.length, bytes: 0, isWaiting: !this.isDurable };
  }
  due(): void {
    this.dues += 1;
  }
  changed(): void {}
  edited(): void {}
  hosted(): void {}
  nextClient(): number {
    return 1;
  }
}

class Client implements RoomClient {
  readonly doc = new Doc();
  readonly updates: Uint8Array[] = [];
  readonly acknowledgements: number[] = [];
  readonly #room: Room;

  constructor(room: Room) {
    this.#room = room;
    room.enter(this);
    this.doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== this) room.edit(this, update);
    });
  }
  type(text: string): void {
    for (const letter of text) this.doc.getText("text").insert(0, letter);
  }
  updated(update: Uint8Array): void {
    this.updates.push(update);
    applyUpdate(this.doc, update, this);
  }
  acknowledged(edit: number): void {
    this.acknowledgements.push(edit);
  }
  resync(): void {
    this.#room.edit(this, encodeStateAsUpdate(this.doc), true);
  }
  ready(): void {}
  awareness(): void {}
  rejected(): void {}
  gone(): void {}
}

function hosted(): { region: Region; room: Room } {
  const region = new Region();
  const room = new Room(region, "x", SHARD, false);
  room.settle();
  return { region, room };
}

describe("a turn of a room", () => {
  test("[Y3] what is edited in one turn is stored and told as one update, and its author hears nothing", () => {
    const { region, room } = hosted();
    const [author, other] = [new Client(room), new Client(room)];
    author.type("abc");
    expect([region.dues, region.parts.length, other.updates.length]).toEqual([1, 0, 0]);
    room.flush();
    expect([region.parts.length, author.updates.length, other.updates.length]).toEqual([1, 0, 1]);
    expect(other.doc.getText("text").toString()).toBe("cba");
    room.flush();
    expect(region.parts.length).toBe(1);
  });

  test("[Y3] an edit that is not stored yet is not acknowledged by what was stored before it", () => {
    const { region, room } = hosted();
    const client = new Client(room);
    client.type("a");
    room.flush();
    region.isDurable = false;
    client.type("b");
    room.acknowledged(1);
    expect(client.acknowledgements).toEqual([1]);
    room.flush();
    room.acknowledged(2);
    expect(client.acknowledgements).toEqual([1, 2]);
  });

  test("[Y2] what was edited in the turn in which a shard goes is told here, and waits for the next region", () => {
    const { region, room } = hosted();
    const [author, other] = [new Client(room), new Client(room)];
    author.type("a");
    region.isLeader = false;
    room.settle();
    expect(region.parts).toEqual([]);
    expect(other.doc.getText("text").toString()).toBe("a");
    expect(author.acknowledgements).toEqual([]);
    region.isLeader = true;
    room.settle();
    room.flush();
    room.acknowledged(1);
    expect(author.acknowledgements).toEqual([1]);
    expect(region.parts.length).toBe(1);
  });

  test("[Y7] a malformed update takes nothing along that others have edited in the same turn", () => {
    const { region, room } = hosted();
    const [author, stranger] = [new Client(room), new Client(room)];
    author.type("a");
    room.edit(stranger, Uint8Array.of(1, 1, 1, 255));
    room.flush();
    const doc = new Doc();
    for (const part of region.parts) applyUpdate(doc, part);
    expect(doc.getText("text").toString()).toBe("a");
    expect(room.doc.getText("text").toString()).toBe("a");
  });
});

test("[Y3] changes are one update, and those of clients apart from the others", () => {
  const elsewhere = Symbol("elsewhere");
  const changes = new Changes(elsewhere);
  const doc = new Doc();
  doc.on("update", (update: Uint8Array, origin: unknown) => changes.add(update, origin));
  const text = doc.getText("text");
  const insert = (letter: string, origin: unknown): void =>
    doc.transact(() => text.insert(0, letter), origin);
  const read = (update: Uint8Array | undefined): string => {
    const copy = new Doc();
    if (update !== undefined) applyUpdate(copy, update);
    return copy.getText("text").toString();
  };
  expect(changes.take()).toBeUndefined();
  insert("a", elsewhere);
  expect(changes.hasOwn).toBe(false);
  expect(changes.take()).toMatchObject({ own: undefined, author: elsewhere });
  const fresh = new Doc();
  const other = fresh.getText("text");
  fresh.on("update", (update: Uint8Array, origin: unknown) => changes.add(update, origin));
  fresh.transact(() => other.insert(0, "x"), "client");
  fresh.transact(() => other.insert(1, "y"), elsewhere);
  expect(changes.hasOwn).toBe(true);
  const changed = changes.take();
  expect([read(changed?.update), read(changed?.own)]).toEqual(["xy", "x"]);
  expect(changed?.author).toBeUndefined();
  expect([changes.isEmpty, changes.bytes]).toEqual([true, 0]);
});

/** The same, edit by edit. */
class NaiveEdits {
  edits: { client: string; edit: number; mark: number | undefined; isMissing: boolean }[] = [];

  acknowledged(mark: number): Map<string, number> {
    const done = new Map<string, number>();
    for (const each of this.edits) {
      if (each.mark !== undefined && each.mark <= mark) done.set(each.client, each.edit);
    }
    this.edits = this.edits.filter((each) => each.mark === undefined || each.mark > mark);
    return done;
  }
}

const step = fc.oneof(
  fc.record({ do: fc.constant("edit" as const), client: fc.constantFrom("a", "b") }),
  fc.record({ do: fc.constant("mark" as const), client: fc.constantFrom("a", "b") }),
  fc.record({ do: fc.constant("acknowledge" as const), back: fc.nat(3) }),
  fc.record({ do: fc.constantFrom("unmark" as const, "drop" as const) }),
);

test("[Y3] edits that wait together are acknowledged as if each waited by itself", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const [waiting, naive] = [new WaitingEdits<string>(), new NaiveEdits()];
      let [edit, mark] = [0, 0];
      for (const each of steps) {
        if (each.do === "edit") {
          edit += 1;
          waiting.begin(each.client, edit);
          waiting.filled(each.client);
          naive.edits.push({ client: each.client, edit, mark: undefined, isMissing: false });
        } else if (each.do === "mark") {
          mark += 1;
          waiting.mark(mark, each.client);
          for (const one of naive.edits) if (one.client === each.client) one.mark ??= mark;
        } else if (each.do === "acknowledge") {
          const upTo = mark - each.back;
          expect(waiting.acknowledged(upTo)).toEqual(naive.acknowledged(upTo));
        } else if (each.do === "unmark") {
          waiting.unmark();
          for (const one of naive.edits) one.mark = undefined;
        } else {
          waiting.drop("a");
          naive.edits = naive.edits.filter(({ client }) => client !== "a");
        }
        expect(new Set(waiting.clients)).toEqual(new Set(naive.edits.map(({ client }) => client)));
      }
    }),
  );
});

test("[Y1] what follows a gap waits until that is filled", () => {
  const waiting = new WaitingEdits<string>();
  waiting.begin("a", 1);
  waiting.mark(1, "a");
  expect(waiting.begin("a", 2)).toBe(true);
  waiting.markAll(1);
  expect(waiting.acknowledged(9)).toEqual(new Map());
  waiting.filled("a");
  waiting.markAll(2);
  waiting.unmark(true);
  waiting.markAll(3);
  expect(waiting.acknowledged(9)).toEqual(new Map());
  waiting.filled("a");
  waiting.markAll(4);
  expect(waiting.acknowledged(4)).toEqual(new Map([["a", 2]]));
  expect(waiting.isEmpty).toBe(true);
});
