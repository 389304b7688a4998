/**
 * What a table costs that is shown as a document, after many changes: beside a map of Yjs that is simply written.
 */
import { Doc, encodeStateAsUpdate } from "yjs";
import type { View } from "../../src/core/view.ts";
import { Room, type RoomPort } from "../../src/documents/room.ts";
import { writeSystemDocument } from "../../src/documents/shell/system-documents.ts";
import { nowMs, retainedBytes } from "./measure.ts";
import type { Section } from "./report.ts";

const ROWS = 64;
const CHANGES = 100_000;

/** A region that has the document, and nobody to tell. */
function portOf(write: (room: Room) => void): RoomPort {
  let client = 0;
  return {
    ...{ name: "a", regionFor: () => "a", isReady: () => true, send: () => {}, due: () => {} },
    ...{ nextSubscription: () => 0, read: () => [], append: () => {}, edited: () => {} },
    ...{ stored: () => ({ count: 0, bytes: 0, isWaiting: false }), changed: () => {} },
    hosted: write,
    nextClient: () => ++client,
  };
}

/** The table changes so often, one row at a time. */
function change(changed: (rows: Map<string, object>) => void): void {
  const rows = new Map<string, object>();
  for (let each = 0; each < CHANGES; each += 1) {
    const shard = `shard-${each % ROWS}`;
    rows.set(shard, {
      shard,
      region: `p${each % 3}`,
      token: 1_800_000_000_000 + each,
      writer: "w",
    });
    changed(rows);
  }
}

function shown(): Room {
  let rows = new Map<string, object>();
  const view = { allocations: () => [...rows.values()] } as unknown as View;
  const room = new Room(
    portOf((hosting) => writeSystemDocument(hosting, view)),
    "hearsay/allocations",
    "shard-0",
    true,
  );
  room.settle();
  change((changed) => {
    rows = changed;
    writeSystemDocument(room, view);
    room.flush();
  });
  return room;
}

function plain(): Doc {
  const doc = new Doc();
  let last = 0;
  change((rows) => {
    const shard = `shard-${last % ROWS}`;
    doc.getMap("rows").set(shard, rows.get(shard));
    last += 1;
  });
  return doc;
}

export function measureSystem(progress: (text: string) => void): Promise<Section[]> {
  progress(`${CHANGES} changes of a table of ${ROWS} rows`);
  const docs: Doc[] = [];
  const keep = (doc: Doc): Doc => {
    docs.push(doc);
    return doc;
  };
  const plainBytes = retainedBytes(() => keep(plain()));
  const start = nowMs();
  const shownBytes = retainedBytes(() => keep(shown().doc));
  const tookMs = nowMs() - start;
  const [plainSize = 0, shownSize = 0] = docs.map((doc) => encodeStateAsUpdate(doc).length);
  return Promise.resolve([
    {
      title: `a table of ${ROWS} rows as a document, after ${CHANGES} changes`,
      figures: [
        {
          ...{ name: "for whoever comes to it", value: shownSize, unit: "B" },
          target: { atMost: 65_536 },
        },
        { name: "the same of a map that is simply written", value: plainSize, unit: "B" },
        { name: "memory at the region", value: shownBytes, unit: "B" },
        { name: "memory of that map", value: plainBytes, unit: "B" },
        { name: "one change at the region", value: (tookMs * 1000) / CHANGES, unit: "us" },
      ],
    },
  ]);
}
