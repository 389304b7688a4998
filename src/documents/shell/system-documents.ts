/**
 * The table and the members as documents: live, and read-only for everybody but their region.
 *
 *   hearsay/allocations   a map `rows`: shard -> {region, token, writer}
 *   hearsay/members       a map `rows`: name -> {address, status, zone, incarnation}
 *
 * The region of such a document writes what it knows, when somebody looks and something has changed.
 * Nothing of it is stored: the next region begins an empty document, under a client id that is higher than
 * any before, so that its rows win over those that clients still have.
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
}
