/**
 * System documents at their region, at a peer that follows it, and at clients that come and go.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { applyUpdate, Doc, encodeStateAsUpdate, encodeStateVector } from "yjs";
import type { View } from "../../src/core/view.ts";
import { replacing } from "../../src/documents/contents.ts";
import { Documents } from "../../src/documents/documents.ts";
import type { DocumentMessage } from "../../src/documents/messages.ts";
import type { Room } from "../../src/documents/room.ts";
import { writeSystemDocument } from "../../src/documents/shell/system-documents.ts";
import { MemoryItemStore } from "../../src/items/item-store.ts";
import { Items } from "../../src/items/items.ts";

const NAME = "hearsay/allocations";
const SHARD = "shard-0";

/** Two peers in one process; messages are carried over when they are told to be. */
class World {
  region = "a";
  now = 0;
  readonly rows = new Map<string, string>();
  readonly peers: Readonly<Record<string, Documents>> = { a: this.#peer("a"), b: this.#peer("b") };
  readonly #messages: { from: string; to: string; message: DocumentMessage }[] = [];

  readonly #view = {
    members: () => [],
    allocations: () =>
      [...this.rows].map(([shard, region]) => ({ shard, region, token: 1, writer: "w" })),
  } as unknown as View;

  /** The table changes, and everybody looks at it. */
  change(shard: string, region: string | undefined): void {
    if (region === undefined) this.rows.delete(shard);
    else this.rows.set(shard, region);
    for (const documents of Object.values(this.peers)) {
      for (const room of documents.rooms.values()) writeSystemDocument(room, this.#view);
      documents.flush();
    }
  }

  move(region: string): void {
    const before = this.peers[this.region] as Documents;
    this.region = region;
    before.items.released(SHARD);
    this.peers[region]?.items.acquired(SHARD, this.now, region, this.now);
    for (const documents of Object.values(this.peers)) documents.settle();
    this.settle();
  }

  settle(): void {
    for (let round = 0; round < 3; round += 1) {
      for (let next = this.#messages.shift(); next !== undefined; next = this.#messages.shift()) {
        this.peers[next.to]?.received(next.from, next.message);
      }
      for (const documents of Object.values(this.peers)) {
        documents.tick();
        documents.flush();
      }
    }
  }

  #peer(name: string): Documents {
    const items = new Items(
      {
        ...{ name, send: () => {}, isBusy: () => false, shardFor: () => SHARD, due: () => {} },
        ...{ regionFor: () => this.region, replicasOf: () => [], others: () => new Set() },
        ringChanges: () => 0,
      },
      new MemoryItemStore(),
      {
        ...{ merge: () => {}, isOpen: () => false, replaced: () => {}, acknowledged: () => {} },
        ...{ recovered: () => {}, grown: () => {} },
      },
    );
    if (name === this.region) items.acquired(SHARD, 1, name, 0);
    return new Documents(
      {
        ...{ name, regionFor: () => this.region, shardFor: () => SHARD, isBusy: () => false },
        send: (to, message) => void this.#messages.push({ from: name, to, message }),
        ...{ due: () => {}, now: () => this.now, wallMs: () => 1_800_000_000_000 },
        changed: () => {},
        hosted: (room: Room) => writeSystemDocument(room, this.#view),
      },
      items,
    );
  }
}

/** A stock client: it asks what it lacks when it comes, and is told what changes while it is there. */
class Client {
  readonly doc = new Doc();
  #room: Room | undefined;

  come(room: Room): void {
    this.#room = room;
    room.enter(this);
    this.ready();
  }
  go(): void {
    this.#room?.leave(this, 0);
    this.#room = undefined;
  }
  get isThere(): boolean {
    return this.#room !== undefined;
  }
  ready(): void {
    if (this.#room?.isReady !== true) return;
    applyUpdate(this.doc, this.#room.updateFor(encodeStateVector(this.doc)));
  }
  updated(update: Uint8Array): void {
    applyUpdate(this.doc, update);
  }
  awareness(): void {}
  acknowledged(): void {}
  resync(): void {}
  rejected(): void {}
  gone(): void {}
  shows(): unknown {
    const rows = this.doc.getMap<{ region: string }>("rows").toJSON();
    return Object.fromEntries(Object.entries(rows).map(([shard, { region }]) => [shard, region]));
  }
}

const roomAt = (world: World, peer: string): Room => world.peers[peer]?.open(NAME) as Room;

test("[Y12] a system document stays small over many changes, at its region and where it is followed", () => {
  const world = new World();
  const rooms = [roomAt(world, "a"), roomAt(world, "b")];
  const clients = rooms.map((room) => {
    const client = new Client();
    client.come(room);
    return client;
  });
  world.settle();
  for (let change = 0; change < 6000; change += 1) {
    world.change(`shard-${change % 16}`, `region-${change % 7}`);
    if (change % 100 === 0) world.settle();
  }
  world.settle();
  const expected = Object.fromEntries(world.rows);
  for (const client of clients) expect(client.shows()).toEqual(expected);
  for (const room of rooms) expect(encodeStateAsUpdate(room.doc).length).toBeLessThan(30_000);
  const late = new Client();
  late.come(roomAt(world, "b"));
  expect(late.shows()).toEqual(expected);
});

test("[Y12] who has missed a removal, and that it was forgotten, does not see the row any more", () => {
  const world = new World();
  const room = (): Room => roomAt(world, "a");
  const client = new Client();
  world.change("shard-1", "a");
  world.change("shard-2", "a");
  client.come(room());
  client.go();
  world.change("shard-2", undefined);
  world.move("b");
  world.move("a");
  client.come(room());
  world.settle();
  expect(client.shows()).toEqual({ "shard-1": "a" });
});

test("[Y2] a document that nobody is at does not follow to where its shard goes", () => {
  const world = new World();
  const client = new Client();
  roomAt(world, "a");
  const other = world.peers.a?.open("hearsay/members") as Room;
  client.come(other);
  world.move("b");
  expect([...(world.peers.a?.rooms.keys() ?? [])]).toEqual(["hearsay/members"]);
  expect(other.isReady).toBe(true);
});

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("change" as const),
      shard: fc.nat(3),
      many: fc.constantFrom(1, 1, 1, 1100),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), shard: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("come" as const, "go" as const),
      client: fc.nat(2),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("move" as const, "settle" as const) }) },
);

test("[Y12] whoever looks sees the table, whatever has been forgotten, moved or missed meanwhile", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const world = new World();
      for (const peer of ["a", "b"]) roomAt(world, peer);
      world.settle();
      const clients = [0, 1, 2].map(() => new Client());
      let number = 0;
      for (const each of steps) {
        if (each.do === "change") {
          for (let one = 0; one < each.many; one += 1) {
            number += 1;
            world.change(`shard-${each.shard}`, `region-${number}`);
          }
        } else if (each.do === "remove") world.change(`shard-${each.shard}`, undefined);
        else if (each.do === "come") {
          const client = clients[each.client] as Client;
          if (!client.isThere) client.come(roomAt(world, "ab"[each.client % 2] as string));
        } else if (each.do === "go") clients[each.client]?.go();
        else if (each.do === "move") {
          number += 1;
          world.now += 1;
          world.move(world.region === "a" ? "b" : "a");
        } else world.settle();
      }
      for (const [index, client] of clients.entries()) {
        if (!client.isThere) client.come(roomAt(world, "ab"[index % 2] as string));
      }
      world.settle();
      for (const client of clients) expect(client.shows()).toEqual(Object.fromEntries(world.rows));
    }),
    { numRuns: 25 },
  );
});

test("[Y12] a content that has taken the place of another one deletes all that the other had", () => {
  const [before, after] = [new Doc(), new Doc()];
  for (let row = 0; row < 300; row += 1) before.getMap("rows").set(`${row}`, row);
  after.getMap("rows").set("x", 1);
  applyUpdate(before, replacing(after, encodeStateVector(before)));
  expect(before.getMap("rows").toJSON()).toEqual({ x: 1 });
  expect(replacing(after, encodeStateVector(after))).toEqual(
    encodeStateAsUpdate(after, encodeStateVector(after)),
  );
});
