/**
 * The table and the members as documents: live, and read-only for everybody but their region.
 *
 *   hearsay/allocations   a map `rows`: shard -> {region, token, writer}
 *   hearsay/members       a map `rows`: name -> {address, status, zone, incarnation}
 *
 * The region of such a document writes what it knows, when somebody looks and something has changed.
 * Nothing of it is stored: the next region begins an empty document, and whoever has rows of the one before is
 * told that these are deleted.
 *
 * Yjs keeps something of every value that was overwritten, for ever. So a document that consists mostly of that
 * is begun anew, as if it had moved to another region. Who has been looking all the time keeps
 * what Yjs keeps of that, until it looks anew.
 *
 * Rules: SPEC.md, Y12.
 */
import type { Map as SharedMap } from "yjs";
import type { View } from "../../core/view.ts";
import type { Room } from "../room.ts";

type Rows = ReadonlyMap<string, Readonly<Record<string, string | number | null>>>;

const SOURCES = new Map<string, (view: View) => Rows>([
  [
    "hearsay/allocations",
    (view) =>
      new Map(
        view
          .allocations()
          .map(({ shard, region, token, writer }) => [shard, { region, token, writer }]),
      ),
  ],
  [
    "hearsay/members",
    (view) =>
      new Map(
        view
          .members()
          .map(({ name, address, status, zone, incarnation }) => [
            name,
            { address, status, zone, incarnation },
          ]),
      ),
  ],
]);

/** A document of which more values were written is begun anew: so many for each row, and at least as many as that. */
const WRITTEN_PER_ROW = 8;
const WRITTEN_MIN = 1024;

/** Writes what has changed, if the room is of one of these documents and hosts it. */
export function writeSystemDocument(room: Room, view: View): void {
  const source = SOURCES.get(room.name);
  if (source === undefined || !room.isHosting) return;
  const rows = source(view);
  const map: SharedMap<unknown> = room.doc.getMap("rows");
  const isNews = (key: string, row: unknown): boolean =>
    JSON.stringify(map.get(key)) !== JSON.stringify(row);
  const news = [...rows].filter(([key, row]) => isNews(key, row));
  const gone = [...map.keys()].filter((key) => !rows.has(key));
  if (news.length === 0 && gone.length === 0) return;
  room.write(() => {
    for (const [key, row] of news) map.set(key, row);
    for (const key of gone) map.delete(key);
  });
  // What one client has inserted is numbered from 0.
  const { doc } = room;
  const last = doc.store.clients.get(doc.clientID)?.at(-1);
  const written = last === undefined ? 0 : last.id.clock + last.length;
  if (written > Math.max(WRITTEN_MIN, rows.size * WRITTEN_PER_ROW)) room.renew();
}
